"""Step 11: what a good result permits. The subscription is packed for one device and its delivery authorised (R96).

Rule: everything is checked again at the moment of use: the result, the recognition of the supplier, each approval.
Each step leaves its outcome in the store, so whoever is killed goes on with the same package and the same authorisation.

    pack        1 the result is verified anew, and still permits release
                2 the supplier of the device is still recognised
                3 approvals of the PVA, each verified against the result
                4 delegations by the policy root, content, content key, import blob, header, authorisation
                5 stored; the content key is gone
    authorise   6 the authorisation goes to the DPF, with order, result, package and content
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Protocol

from cryptography import x509

from edge.process import RandomBytes
from messages.errors import MessageError
from messages.operator_token import OperatorSigner
from messages.reliance import permits_release, verify_result
from operators.sho.approvals import (
    OfferedApprovals,
    PolicyRoot,
    delegate_all,
    package_use,
    verify_approvals,
)
from operators.sho.credential import RecognisedSupplier, check_still_recognised
from operators.sho.order_states import BoundOrder, Change, MidUpdate, OrderRecord, OrderState, bound
from operators.sho.packages import Package, Recipe, make_package
from operators.sho.refusals import PeerError, RefusalCode, RefusalError
from operators.sho.subscriptions import StoredSubscription, SubscriptionMaker
from operators.sho.validation import Validation, ValidationRequest
from standards.rats.ear import AttestationResult


class ApprovalSource(Protocol):
    """A PVA's approvals. Raises PeerError."""

    def approvals(self, pva: str, *, result_id: str, order_digest: bytes) -> OfferedApprovals:
        """Approvals of the state that an own result of this PVA speaks of."""


class DeliveryPoint(Protocol):
    """The DPF. Raises PeerError."""

    def authorize(self, *, authorization: str, order: str, result: str, package: str, content: bytes) -> None:
        """Authorise one delivery; the same again changes nothing."""


class ProvisioningStore(Protocol):
    """What provisioning needs of a store; each call is one transaction with its audit leaf."""

    def latest_request(self, order_id: str) -> ValidationRequest | None:
        """The newest request of an order."""

    def accepted_request(self, order_id: str) -> ValidationRequest | None:
        """The request whose result this order rests on."""

    def subscriptions_of(self, order_id: str) -> tuple[StoredSubscription, ...]:
        """The USIMs that were made for an order, in their order."""

    def package(self, order_id: str) -> Package | None:
        """The newest package of an order."""

    def newest_version(self, order_id: str) -> int:
        """The newest version in any package of an order, or of the MID that it updates; 0 where there is none."""

    def update_of(self, order_id: str) -> MidUpdate | None:
        """What an order updates, if it is an update."""

    def change(self, order_id: str) -> Change | None:
        """The change of operator that an order makes, if it makes one."""

    def save_package(self, order_id: str, package: Package, *, at: datetime) -> None:
        """Store a package; the order is packaged, if it is validating still."""

    def authorized(self, order_id: str, *, at: datetime) -> None:
        """The DPF has the authorisation of a packaged order."""

    def refuse(self, order_id: str, *, before: OrderState, reason: str, at: datetime) -> None:
        """Refuse an order, if it is in this state still."""

    def restart(self, order_id: str, *, before: OrderState, at: datetime) -> None:
        """Have the platform of an order validated anew, if it is still in this state."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Provisioning:
    """The use case and what it works with."""

    store: ProvisioningStore
    validation: Validation
    pvas: ApprovalSource
    dpf: DeliveryPoint
    suppliers: Sequence[RecognisedSupplier]
    signer: OperatorSigner
    policy_root: PolicyRoot
    maker: SubscriptionMaker
    anchors: Sequence[x509.Certificate]
    random_bytes: RandomBytes = field(repr=False)
    authorization_life: timedelta = timedelta(minutes=15)

    def pack(self, order: OrderRecord, *, request: ValidationRequest, at: datetime) -> bool:
        """Make the package of an order whose result permits release (1 to 5); whether anything has changed.

        Raises PeerError, and RefusalError for approvals that do not follow from the result.
        """
        binding = bound(order)
        result = self._still_good(binding, request, at=at)  # 1
        if result is None:
            self.store.restart(order.id, before=order.state, at=at)
            return True
        try:
            check_still_recognised(binding.es_root_sha256, suppliers=self.suppliers)  # 2
        except RefusalError as refusal:
            self.store.refuse(order.id, before=order.state, reason=str(refusal), at=at)
            return True
        package = self._package(order, binding, result, at=at)  # 3, 4
        self.store.save_package(order.id, package, at=at)  # 5
        return True

    def authorize(self, order: OrderRecord, *, at: datetime) -> bool:
        """Hand the package of a packaged order to the DPF (6); whether anything has changed. Raises PeerError.

        What has lapsed meanwhile is handed in too: a DPF that has it says so, and this operator was killed before it
        could note that; the device may have the package by now. A DPF that has it not refuses it, for its age.
        """
        binding = bound(order)
        package, request = self.store.package(order.id), self.store.accepted_request(order.id)
        if package is None or request is None or request.result is None:
            self.store.restart(order.id, before=order.state, at=at)
            return True
        good = self._still_good(binding, request, at=at) is not None
        try:
            self.dpf.authorize(
                authorization=package.authorization,
                order=binding.token,
                result=request.result,
                package=package.token,
                content=package.content,
            )
        except PeerError:
            if good:
                raise
            self.store.restart(order.id, before=order.state, at=at)
            return True
        self.store.authorized(order.id, at=at)
        return True

    def _still_good(
        self, order: BoundOrder, request: ValidationRequest, *, at: datetime
    ) -> AttestationResult | None:
        """The result of a request, verified anew; None where it has lapsed or says something else now."""
        if request.result is None:
            return None
        try:
            result = verify_result(request.result, anchors=self.anchors, at=at)
            self.validation.check(result, request=request, order=order)
        except (MessageError, RefusalError):
            return None
        return result if permits_release(result) else None

    def _package(
        self, order: OrderRecord, binding: BoundOrder, result: AttestationResult, *, at: datetime
    ) -> Package:
        subscriptions = self.store.subscriptions_of(order.id)
        if not subscriptions:
            raise RefusalError(
                RefusalCode.SUBSCRIPTION_UNKNOWN, subject=f"order {order.id}", reason="it has no subscription"
            )
        offered = self.pvas.approvals(result.issuer, result_id=result.result_id, order_digest=binding.digest)
        verified = verify_approvals(
            offered, result=result, order=binding, sho=self.signer.issuer, anchors=self.anchors, at=at
        )
        updated, bundle = self.store.update_of(order.id), self.maker.bundle(order.product)
        root = self.policy_root.public
        issued_at = at.replace(microsecond=0)
        recipe = Recipe(
            order=binding,
            applications=bundle.applications(self.maker.open_all(subscriptions)),
            policy=bundle.policy,
            storage=verified.storage,
            sealed_policy=package_use(binding, sho=self.signer.issuer).sealed_policy(root),
            policy_root=root.encode(),
            approvals=delegate_all(verified, root=self.policy_root),
            result_id=result.result_id,
            dpf=self.validation.dpf,
            version=self.store.newest_version(order.id) + 1,
            mid_id=None if updated is None else updated.mid_id,
            issued_at=issued_at,
            expires_at=min(issued_at + self.authorization_life, order.expires_at),
            change=self.store.change(order.id),
        )
        return make_package(recipe, signer=self.signer, random_bytes=self.random_bytes)
