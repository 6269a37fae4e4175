"""The operators around one device: SHO, DPF, DRF, CCIF and a PVA's day key; everything that they sign may be wrong."""

import hashlib
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import timedelta
from typing import Any

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.utils import Prehashed

from m2me_agent.tre.enrollment import identity, key_access
from m2me_agent.tre.state import TreState
from m2me_agent.tre.tpm_device import TpmDevice
from messages.approval import (
    USE_PACKAGE,
    USE_VAULT,
    VAULT_REACH,
    ApprovedState,
    StateApproval,
    Use,
    signed_digest,
)
from messages.connectivity import CONNECTIVITY_KIND, Connectivity, sealed_policy
from messages.delivery import DELIVERY_KIND, Delivery
from messages.discovery import DISCOVERY_KIND, Discovery
from messages.instruction import ACTIVATE, ERASE, INSTRUCTION_KIND, Instruction
from messages.mid_content import MidContent, NetworkApplication
from messages.mid_package import (
    PACKAGE_KIND,
    ApprovedUse,
    PackageHeader,
    SealedKey,
    encrypt_content,
    package_digest,
)
from messages.mid_policy import MidPolicy
from messages.operator_token import OperatorSigner
from messages.order import ORDER_KIND, Order
from messages.registry import QUERY_KIND, RegistryQuery
from messages.release import RELEASE_KIND, Release
from messages.switch import SWITCH, SWITCH_KIND, Switch
from messages.update_approvals import GENERATIONS_MIN, UPDATE_APPROVALS_KIND, UpdateApprovals
from standards.aka.milenage import MilenageKey
from standards.aka.vectors import AuthenticationVector, make_vector
from standards.pki import oids
from standards.pki.extensions import OperatorRole
from standards.tpm2.constants import Algorithm
from standards.tpm2.import_blob import FreshMaterial, ImportBlob, make_import_blob
from standards.tpm2.policy import policy_key_public
from standards.tpm2.structures import Public, Signature
from tests.fakes.pki import DEFAULT_VALIDITY, LEAF_USAGE, NOW, Authority, Validity, p256

LIFE = timedelta(hours=1)
NONCE = b"q" * 32
RECEIPT_NONCE = b"r" * 32
QUERY_NONCE = b"?" * 32
PROOF_NONCE = b"p" * 32
PCID_KEY = MilenageKey(k=b"K of the PCID...", opc=b"OPc of the PCID.")
MID_KEY = MilenageKey(k=b"K of the MID....", opc=b"OPc of the MID..")
IMSI = "001010000000001"
PCID = "001019999999999"
AMF = b"\x80\x00"
NEXT_MANIFEST = b"\x4d" * 32
"""Digest of the manifest that an update leads to."""


@dataclass(frozen=True, kw_only=True)
class Target:
    """The device that things are made for, and the state that is approved."""

    device_id: str
    ak_name: bytes
    storage: Public
    state: ApprovedState

    def at(self, counter: int) -> "Target":
        """The same with another value of the counter."""
        return replace(self, state=replace(self.state, counter=counter))


def target_of(
    device: TpmDevice, state: TreState, *, pcr_selections: Mapping[int, tuple[int, ...]], pcr_digest: bytes
) -> Target:
    """An enrolled device as it is now, with the registers that are selected."""
    access = key_access(state, device)
    with device.unlock(access) as keys:
        counter = keys.read_generation_counter()
    return Target(
        device_id=identity(access.keys.ek).hex(),
        ak_name=access.keys.ak.name,
        storage=access.keys.storage,
        state=ApprovedState(
            pcr_selections=pcr_selections,
            pcr_digest=pcr_digest,
            counter_name=access.keys.counter.name,
            counter=counter,
        ),
    )


@dataclass(frozen=True, kw_only=True)
class Parcel:
    """What an agent brings to the TRE; a test changes one part."""

    package: str
    delivery: str
    content: bytes


def operator(
    root: Authority,
    role: str,
    eku: x509.ObjectIdentifier,
    *,
    issuer: str | None = None,
    validity: Validity = DEFAULT_VALIDITY,
) -> OperatorSigner:
    """A service with a signing certificate under `root`."""
    key, name = p256(), issuer or f"{role}-1"
    extensions: list[tuple[x509.ExtensionType, bool]] = [
        (LEAF_USAGE, True),
        (OperatorRole(role=role, id=name).to_extension(), False),
    ]
    leaf = root.issue(name, key=key.public_key(), eku=eku, extensions=extensions, validity=validity)
    return OperatorSigner(key=key, chain=(leaf,), issuer=name)


@dataclass(kw_only=True)
class Network:
    """The operators under one root; orders, packages and MIDs are numbered. An order may update the MID of an earlier one."""

    root: Authority
    number: int = 1
    updates: str | None = None
    day_key: ec.EllipticCurvePrivateKey = field(default_factory=p256)
    policy_root_key: ec.EllipticCurvePrivateKey = field(default_factory=p256)

    def __post_init__(self) -> None:
        self.sho = operator(self.root, "sho", oids.EKU_SUBSCRIPTION)
        self.dpf = operator(self.root, "dpf", oids.EKU_DELIVERY)
        self.drf = operator(self.root, "drf", oids.EKU_DISCOVERY)
        self.ccif = operator(self.root, "ccif", oids.EKU_CONNECTIVITY)

    @property
    def mid_id(self) -> str:
        """Of the MID that the present order is about."""
        return self.updates or f"mid-{self.number}"

    @property
    def policy_root(self) -> Public:
        """The operator's."""
        return policy_key_public(self.policy_root_key.public_key())

    def order(self, target: Target) -> Order:
        """Order number `number`, for the target."""
        return Order(
            order_id=f"order-{self.number}",
            jti=f"jti-{self.number}",
            order_code=f"1234567{self.number}",
            sho=self.sho.issuer,
            sho_name="Example Mobile",
            subscriber="us-1",
            device_id=target.device_id,
            ak_name=target.ak_name,
            audience=self.dpf.issuer,
            issued_at=NOW,
            expires_at=NOW + LIFE,
            updates=self.updates,
        )

    def updating(self, target: Target, *, mid_id: str = "mid-1", signer: OperatorSigner | None = None) -> str:
        """The next order, which updates a MID that is there."""
        self.number, self.updates = self.number + 1, mid_id
        return (signer or self.sho).sign(self.order(target).claims(), typ=ORDER_KIND.typ)

    def discovery(self, target: Target) -> Discovery:
        """The answer to a question with NONCE."""
        return Discovery(
            drf=self.drf.issuer,
            device_id=target.device_id,
            nonce=NONCE,
            sho=self.sho.issuer,
            sho_name="Example Mobile",
            source="registered-order",
            pva_url="https://pva.example",
            dpf_url="https://dpf.example",
            issued_at=NOW,
            expires_at=NOW + LIFE,
        )

    def accepting(
        self,
        target: Target,
        *,
        order: Order | None = None,
        discovery: Discovery | None = None,
    ) -> dict[str, object]:
        """Parameters of accept_order."""
        return {
            "order": self.sho.sign((order or self.order(target)).claims(), typ=ORDER_KIND.typ),
            "discovery": self.drf.sign(
                (discovery or self.discovery(target)).claims(), typ=DISCOVERY_KIND.typ
            ),
            "nonce": NONCE,
        }

    def use(self, target: Target, *, vault: bool = False) -> Use:
        """Of the package of the present order, or of the vault."""
        return Use(
            use=USE_VAULT if vault else USE_PACKAGE,
            device_id=target.device_id,
            sho=self.sho.issuer,
            order_digest=None if vault else self.order(target).digest,
        )

    def approve(self, use: Use, state: ApprovedState) -> ApprovedUse:
        """Day key for the state, policy root for the day key."""
        day_key = policy_key_public(self.day_key.public_key())
        approval = StateApproval(
            use=use,
            state=state,
            day_key=day_key.encode(),
            signature=sign_digest(self.day_key, signed_digest(use, state)).encode(),
        )
        delegation = sign_digest(self.policy_root_key, use.delegation_digest(day_key)).encode()
        return ApprovedUse(approval=approval.encode(), delegation=delegation)

    def approvals(self, target: Target) -> tuple[ApprovedUse, ...]:
        """For the package now, for the vault now and afterwards."""
        package, vault = self.use(target), self.use(target, vault=True)
        counter = target.state.counter
        reach = (target.at(value).state for value in range(counter, counter + VAULT_REACH + 1))
        return (self.approve(package, target.state), *(self.approve(vault, state) for state in reach))

    def content(self, *, key: MilenageKey = MID_KEY) -> MidContent:
        """A MID with one USIM."""
        usim = NetworkApplication(
            kind="usim",
            access="cellular",
            identity=IMSI,
            public_identities=(),
            algorithm="milenage",
            k=key.k,
            opc=key.opc,
        )
        return MidContent(
            mid_id=self.mid_id, applications=(usim,), policy=MidPolicy(algorithms=("milenage",))
        )

    def sealed(self, target: Target, *, secret: bytes) -> ImportBlob:
        """The content key, for the target's storage key under the policy of the order."""
        auth_policy = self.use(target).sealed_policy(self.policy_root)
        return make_import_blob(target.storage, secret=secret, auth_policy=auth_policy, fresh=fresh())

    def package(
        self,
        target: Target,
        *,
        content: MidContent | bytes | None = None,
        blob: ImportBlob | None = None,
        approvals: Sequence[ApprovedUse] | None = None,
        key: bytes = b"k" * 32,
        **changed: object,
    ) -> tuple[PackageHeader, bytes]:
        """Header and encrypted content; `changed` are members of the header."""
        made = content or self.content()
        clear = made if isinstance(made, bytes) else made.encode()
        sealed = blob or self.sealed(target, secret=key)
        header = PackageHeader(
            sho=self.sho.issuer,
            dpf=self.dpf.issuer,
            package_id=f"package-{self.number}",
            version=1,
            mid_id=self.mid_id,
            device_id=target.device_id,
            ak_name=target.ak_name,
            storage_key_name=target.storage.name,
            order_digest=self.order(target).digest,
            sealed_key=sealed_key(sealed),
            policy_root=self.policy_root.encode(),
            approvals=tuple(self.approvals(target) if approvals is None else approvals),
            content_nonce=b"n" * 12,
            content_size=1,
            content_sha256=bytes(32),
            receipt_nonce=RECEIPT_NONCE,
            issued_at=NOW,
            expires_at=NOW + LIFE,
        )
        header = replace(header, **changed)  # type: ignore[arg-type] # the members of a PackageHeader
        encrypted = encrypt_content(
            clear, key=key, nonce=header.content_nonce, bound_to=header.additional_data
        )
        digest = hashlib.sha256(encrypted).digest()
        sized = {"content_size": len(encrypted), "content_sha256": digest, **changed}
        return replace(header, **sized), encrypted  # type: ignore[arg-type] # as above

    def parcel(
        self,
        header: PackageHeader,
        content: bytes,
        *,
        signer: OperatorSigner | None = None,
        sender: OperatorSigner | None = None,
        **changed: object,
    ) -> Parcel:
        """Signed and delivered; `changed` are members of the delivery."""
        package = (signer or self.sho).sign(header.claims(), typ=PACKAGE_KIND.typ)
        delivery = Delivery(
            dpf=self.dpf.issuer,
            grant_id="grant-1",
            device_id=header.device_id,
            order_digest=header.order_digest,
            package_digest=package_digest(package),
            result_id="result-1",
            issued_at=NOW,
            expires_at=NOW + LIFE,
        )
        delivery = replace(delivery, **changed)  # type: ignore[arg-type] # the members of a Delivery
        token = (sender or self.dpf).sign(delivery.claims(), typ=DELIVERY_KIND.typ)
        return Parcel(package=package, delivery=token, content=content)

    def good_parcel(self, target: Target) -> Parcel:
        """Everything as it should be."""
        return self.parcel(*self.package(target))

    def connectivity(self, target: Target, *, blob: ImportBlob | None = None) -> Connectivity:
        """PCID and key for the target."""
        made = blob or make_import_blob(
            target.storage,
            secret=PCID_KEY.k + PCID_KEY.opc,
            auth_policy=sealed_policy(),
            fresh=fresh(),
        )
        return Connectivity(
            ccif=self.ccif.issuer,
            device_id=target.device_id,
            storage_key_name=target.storage.name,
            pcid=PCID,
            mnc_digits=2,
            sealed_key=sealed_key(made),
            issued_at=NOW,
        )

    def connectivity_token(self, connectivity: Connectivity) -> str:
        """As the CCIF signs it."""
        return self.ccif.sign(connectivity.claims(), typ=CONNECTIVITY_KIND.typ)

    def instruction(
        self, target: Target, tre_nonce: bytes, *, signer: OperatorSigner | None = None, **changed: object
    ) -> str:
        """Activate the present MID."""
        instruction = Instruction(
            sho=self.sho.issuer,
            action=ACTIVATE,
            device_id=target.device_id,
            mid_id=self.mid_id,
            tre_nonce=tre_nonce,
        )
        instruction = replace(instruction, **changed)  # type: ignore[arg-type] # its members
        return (signer or self.sho).sign(instruction.claims(), typ=INSTRUCTION_KIND.typ)

    def release(self, target: Target, *, successor: str, mid_id: str = "mid-1") -> str:
        """This operator's release of a MID."""
        release = Release(
            osho=self.sho.issuer, device_id=target.device_id, mid_id=mid_id, successor=successor
        )
        return self.sho.sign(release.claims(), typ=RELEASE_KIND.typ)

    def switch(self, target: Target, tre_nonce: bytes, **changed: object) -> str:
        """The present MID serves in place of the first, for a minute."""
        switch = Switch(
            nsho=self.sho.issuer,
            action=SWITCH,
            device_id=target.device_id,
            mid_id=self.mid_id,
            prior_mid_id="mid-1",
            tre_nonce=tre_nonce,
            window_ms=60_000,
        )
        switch = replace(switch, **changed)  # type: ignore[arg-type] # its members
        return self.sho.sign(switch.claims(), typ=SWITCH_KIND.typ)

    def query(
        self, target: Target, *, signer: OperatorSigner | None = None, nonce: bytes = QUERY_NONCE
    ) -> str:
        """Which MIDs of the operator are there?"""
        sender = signer or self.sho
        query = RegistryQuery(sho=sender.issuer, device_id=target.device_id, nonce=nonce)
        return sender.sign(query.claims(), typ=QUERY_KIND.typ)

    def erasure(self, target: Target, tre_nonce: bytes, **changed: Any) -> str:
        """Erase the present MID."""
        return self.instruction(
            target, tre_nonce, **{"action": ERASE, "proof_nonce": PROOF_NONCE, "reason": "moved", **changed}
        )

    def update_approvals(
        self,
        following: Target,
        tre_nonce: bytes,
        *,
        approvals: Sequence[ApprovedUse] | None = None,
        signer: OperatorSigner | None = None,
        **changed: object,
    ) -> str:
        """For the vault in the state of `following`, at its value of the counter and the next two."""
        use, state = self.use(following, vault=True), following.state
        states = [replace(state, counter=state.counter + number) for number in range(GENERATIONS_MIN)]
        made = UpdateApprovals(
            sho=self.sho.issuer,
            device_id=following.device_id,
            tre_nonce=tre_nonce,
            manifest_digest=NEXT_MANIFEST,
            approvals=tuple(approvals or (self.approve(use, each) for each in states)),
        )
        made = replace(made, **changed)  # type: ignore[arg-type] # its members
        return (signer or self.sho).sign(made.claims(), typ=UPDATE_APPROVALS_KIND.typ)


def vector(key: MilenageKey, *, seq: int) -> AuthenticationVector:
    """A challenge of the network that knows this key."""
    return make_vector(key, rand=hashlib.sha256(bytes([seq % 256])).digest()[:16], sqn=seq << 5, amf=AMF)


def fresh() -> FreshMaterial:
    """Random input of a blob for an ECC key."""
    return FreshMaterial(obfuscation=os.urandom(32), ephemeral=p256())


def sealed_key(blob: ImportBlob) -> SealedKey:
    """As messages carry it."""
    return SealedKey(
        public=blob.public.encode(), duplicate=blob.duplicate, encrypted_seed=blob.encrypted_seed
    )


def sign_digest(key: ec.EllipticCurvePrivateKey, digest: bytes) -> Signature:
    """ECDSA over a digest, as the TPM verifies it."""
    der = key.sign(digest, ec.ECDSA(Prehashed(hashes.SHA256())))
    return Signature.from_der(der, hash_algorithm=Algorithm.SHA256, coordinate_bytes=32)
