"""An SHO wired as its process wires it, on a store in memory, among the peers of `tests.fakes.sho_peers`."""

import hashlib
from dataclasses import replace
from datetime import timedelta
from typing import Any

from messages.binding import PVA_STATEMENT, extra_data
from messages.device_code import device_code
from messages.encoding import encode_deterministic
from messages.statement import INSTALLED, Receipt, SignedStatement
from messages.validation_request import SignedRequest
from operators.sho.advance import Engine
from operators.sho.approvals import PolicyRoot
from operators.sho.changes import ChangeDesk
from operators.sho.credential import RecognisedSupplier
from operators.sho.device_states import StateDesk
from operators.sho.lives import LifeDesk
from operators.sho.mid_migrations import MigrationDesk
from operators.sho.mid_updates import MidUpdateDesk
from operators.sho.order_binding import Operator
from operators.sho.order_states import OrderRecord, OrderState
from operators.sho.packages import Package
from operators.sho.provisioning import Provisioning
from operators.sho.receipts import ReceiptDesk
from operators.sho.registration import OrderWish, Registrar
from operators.sho.releases import ReleaseDesk, ReleasePolicy
from operators.sho.sealed_results import ResultOpener
from operators.sho.subscriber_secrets import SubscriberSecrets
from operators.sho.subscriptions import (
    AuthenticationCentre,
    NumberPlan,
    StoredSubscription,
    SubscriptionMaker,
)
from operators.sho.updates import UpdateDesk
from operators.sho.validation import Pva, Validation
from standards.pki import oids
from standards.tpm2.constants import StructureTag
from standards.tpm2.structures import PcrSelection, QuoteInfo
from tests.fakes.pki import NOW
from tests.fakes.sho_memory import MemoryStore
from tests.fakes.sho_peers import (
    DPF,
    KEY_FILE,
    OTHER_PVA,
    PCR_DIGEST,
    PRIOR_SHO,
    PRODUCT,
    PVA,
    SELECTIONS,
    SHO,
    FakeNetwork,
    FakePriors,
    FakePva,
    Keys,
)


class Counting:
    """Random bytes that differ every time and are the same in every run."""

    def __init__(self) -> None:
        """Start with zero."""
        self._count = 0

    def __call__(self, count: int) -> bytes:
        self._count += 1
        return hashlib.shake_256(self._count.to_bytes(8)).digest(count)


class World:
    """One SHO, its device, its PVAs; `at` is the present moment."""

    def __init__(self, keys: Keys, *, relayed: bool = False, store: Any = None) -> None:
        """Build everything as `operators.sho.app` does, on a store in memory unless told otherwise."""
        self.keys, self.at, self.random_bytes, self.wakes = keys, NOW, Counting(), 0
        self.store: Any = MemoryStore() if store is None else store
        self.network = FakeNetwork()
        self.pva = FakePva(keys=keys, sealed=relayed)
        self.other_pva = FakePva(keys=keys, id=OTHER_PVA)
        self.signer = keys.signer(keys.token_key, oids.EKU_SUBSCRIPTION, role="sho", name=SHO)
        self.anchors = [keys.operators.certificate]
        self.secrets = SubscriberSecrets(key=KEY_FILE, random_bytes=self.random_bytes)
        self.maker = SubscriptionMaker(
            numbers=NumberPlan(mcc="262", mnc="07"), secrets=self.secrets, random_bytes=self.random_bytes
        )
        self.suppliers = [RecognisedSupplier(name="Acme", root=keys.supplier.root.certificate, models=None)]
        opener = keys.certificate(keys.opener_key, oids.EKU_RESULT_ENCRYPTION, role="sho", name=SHO)
        self.registrar = Registrar(
            store=self.store,
            announcer=self.network,
            operator=Operator(
                id=SHO,
                name="Example Mobile",
                dpf=DPF,
                products=(PRODUCT, "M2M 100"),
                priors=frozenset({PRIOR_SHO}),
            ),
            suppliers=self.suppliers,
            signer=self.signer,
            secrets=self.secrets,
            new_subscriptions=self.maker.make,
            random_bytes=self.random_bytes,
            wake=self.wake,
            wait=timedelta(days=7),
        )
        self.validation = Validation(
            store=self.store,
            pvas=[
                Pva(id=PVA, route=self.pva, relayed=relayed),
                Pva(id=OTHER_PVA, route=self.other_pva, relayed=False),
            ],
            operator=SHO,
            dpf=DPF,
            signer=self.signer,
            anchors=self.anchors,
            opener=ResultOpener(certificate=opener, key=keys.opener_key),
            random_bytes=self.random_bytes,
            wake=self.wake,
        )
        self.policy_root = PolicyRoot(key=keys.policy_root)
        self.provisioning = Provisioning(
            store=self.store,
            validation=self.validation,
            pvas=self.pva,
            dpf=self.network,
            suppliers=self.suppliers,
            signer=self.signer,
            policy_root=self.policy_root,
            maker=self.maker,
            anchors=self.anchors,
            random_bytes=self.random_bytes,
        )
        self.priors = FakePriors()
        self.changes = ChangeDesk(
            store=self.store,
            priors=self.priors,
            signer=self.signer,
            anchors=self.anchors,
            window=timedelta(minutes=10),
        )
        self.policies = {name: ReleasePolicy(name) for name in ("consent", "notice", "none")}
        self.releases = ReleaseDesk(
            store=self.store, signer=self.signer, secrets=self.secrets, policies=self.policies
        )
        self.receipts = ReceiptDesk(
            store=self.store, changes=self.changes, signer=self.signer, anchors=self.anchors
        )
        self.updates = UpdateDesk(
            store=self.store,
            pvas=self.pva,
            signer=self.signer,
            policy_root=self.policy_root,
            anchors=self.anchors,
        )
        self.mid_updates = MidUpdateDesk(
            store=self.store,
            registrar=self.registrar,
            maker=self.maker,
            random_bytes=self.random_bytes,
        )
        self.migrations = MigrationDesk(
            store=self.store,
            registrar=self.registrar,
            maker=self.maker,
            random_bytes=self.random_bytes,
        )
        self.lives = LifeDesk(
            store=self.store,
            changes=self.changes,
            updates=self.mid_updates,
            signer=self.signer,
            anchors=self.anchors,
            random_bytes=self.random_bytes,
        )
        self.authentication = AuthenticationCentre(
            store=self.store, maker=self.maker, random_bytes=self.random_bytes
        )
        self.states = StateDesk(
            store=self.store, operator=SHO, pvas=frozenset({PVA, OTHER_PVA}), anchors=self.anchors
        )
        self.motor = Engine(
            store=self.store,
            registrar=self.registrar,
            changes=self.changes,
            migrations=self.migrations,
            validation=self.validation,
            provisioning=self.provisioning,
            clock=lambda: self.at,
            poll_s=0.1,
        )

    def wake(self) -> None:
        """Count how often the engine was to be woken."""
        self.wakes += 1

    def later(self, **time: float) -> None:
        """Let time pass."""
        self.at += timedelta(**time)
        self.pva.at = self.other_pva.at = self.at

    def place(self, *, key: str = "an-order-of-a-user", **changed: Any) -> OrderRecord:
        """A user orders for the device."""
        wish = OrderWish(
            subscriber="Ada Lovelace",
            device_code=device_code(self.keys.device.device_id),
            product=PRODUCT,
            idempotency_key=key,
        )
        return self.registrar.place(replace(wish, **changed), at=self.at)

    def register(self, **changed: Any) -> str:
        """The device registers; its order token."""
        device, supplier = self.keys.device, self.keys.supplier
        credential = supplier.credential(device.device_id, device.ak_key.public_key())
        parts = {
            "device_id": device.device_id,
            "pfc_chain": supplier.chain(credential),
            "ak_public": device.ak.encode(),
        }
        return self.registrar.register(**{**parts, **changed}, at=self.at)

    def advance(self) -> None:
        """One round of the engine over everything that is due."""
        for order in self.store.due(at=self.at, limit=10):
            self.motor.advance(order)

    def validating(self, **wish: Any) -> OrderRecord:
        """An order whose request is with the PVA."""
        order = self.place(**wish)
        self.register()
        self.advance()
        return self.order(order.id)

    def authorized(self, **wish: Any) -> OrderRecord:
        """An order whose package is with the DPF."""
        order = self.validating(**wish)
        self.validation.take(self.pva.answer_all(), at=self.at)
        self.advance()
        return self.order(order.id)

    def active(self, **wish: Any) -> OrderRecord:
        """An order whose MID is in the device, as its TRE has signed."""
        order = self.authorized(**wish)
        self.receipts.take(self.message(order.id), at=self.at)
        return self.order(order.id)

    def order(self, order_id: str) -> OrderRecord:
        """An order as stored."""
        order: OrderRecord | None = self.store.order(order_id)
        assert order is not None
        return order

    def package(self, order_id: str) -> Package:
        """The newest package of an order."""
        package: Package | None = self.store.package(order_id)
        assert package is not None
        return package

    def state(self, order_id: str) -> OrderState:
        """Where an order stands."""
        return self.order(order_id).state

    def imsi(self, order_id: str) -> str:
        """The subscriber of an order."""
        subscriptions: tuple[StoredSubscription, ...] = self.store.subscriptions_of(order_id)
        return subscriptions[0].imsi

    def leaves(self, subject: str) -> list[str]:
        """Kinds of the audit leaves about an order."""
        return list(self.store.leaves(subject))

    def fresh(self, order_id: str, **changed: Any) -> str:
        """The result of the validation that the DPF has asked for before it delivered."""
        order = self.order(order_id)
        asked = SignedRequest(
            requester=DPF,
            pva=PVA,
            jti="fresh",
            device_id=self.keys.device.device_id,
            purpose="validation",
            rp_nonce=b"\xdf" * 32,
            order_digest=order.digest,
            audience=(DPF, SHO),
            encrypt_to=None,
            issued_at=self.at,
            expires_at=self.at + timedelta(minutes=5),
        )
        return self.pva.sign(self.pva.result(asked, **changed))

    def receipt(self, order_id: str, **changed: Any) -> Receipt:
        """What the TRE says of an order's package."""
        order, package = self.order(order_id), self.package(order_id)
        assert order.digest is not None
        receipt = Receipt(
            device_id=self.keys.device.device_id,
            order_digest=order.digest,
            package_digest=package.digest,
            mid_id=package.mid_id,
            outcome=INSTALLED,
            detail="-",
            tre_nonce=b"\x7e" * 32,
            version=package.version,
        )
        return replace(receipt, **changed)

    def statement(self, order_id: str, receipt: Receipt, **changed: Any) -> SignedStatement:
        """The receipt under a quote of the device's AK; `nonce`, `pcr_digest` and `device` may be others."""
        nonce = changed.pop("nonce", self.package(order_id).receipt_nonce)
        return self.said(receipt.encode(), nonce=nonce, **changed)

    def said(self, body: bytes, *, nonce: bytes, **changed: Any) -> SignedStatement:
        """Anything that the device's TRE says; `pcr_digest` and `device` may be others."""
        device = changed.get("device", self.keys.device)
        info = QuoteInfo(
            pcr_selections=tuple(
                PcrSelection(bank=bank, indices=indices) for bank, indices in SELECTIONS.items()
            ),
            pcr_digest=changed.get("pcr_digest", PCR_DIGEST),
        )
        attest, signature = device.attested(
            StructureTag.ATTEST_QUOTE, info, extra_data(PVA_STATEMENT, nonce=nonce, body=body)
        )
        return SignedStatement(body=body, attest=attest, signature=signature, ak_public=device.ak.encode())

    def message(
        self, order_id: str, statement: SignedStatement | None = None, *, result: str | None = None
    ) -> bytes:
        """A receipt as the DPF brings it."""
        said = statement or self.statement(order_id, self.receipt(order_id))
        digest = self.order(order_id).digest
        return encode_deterministic({1: digest, 2: said.encode(), 3: result or self.fresh(order_id)})
