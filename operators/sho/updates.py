"""Use case: an update is announced for a device that holds this operator's MID; what may open its vault afterwards (R82).

Rule: the device asks, through the DPF, which decides nothing; the PVA that this operator chose for the order says what the
next state is, for a manifest that the supplier announced; this operator's policy root and token key say yes to it, for its
own compartment alone, in answer to a nonce of that TRE. Nothing here opens anything that is not the operator's own.

    1 the order is active, so its MID is in that device
    2 the PVA that validated the platform for it approves the next state, by the result of this order
    3 each approval: the vault of this operator on this device, one state, the counter's values without a gap, the day key
    4 the policy root delegates, and the whole is signed for the nonce; with an audit leaf, and the state to come is kept:
      in it the TRE is heard from then on (`spoken_states`)
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol

from cryptography import x509

from messages.mid_package import ApprovedUse
from messages.operator_token import OperatorSigner
from messages.update_approvals import UPDATE_APPROVALS_KIND, UpdateApprovals
from operators.sho.approvals import (
    OfferedApprovals,
    PolicyRoot,
    delegate_all,
    verify_next_approvals,
)
from operators.sho.order_states import OrderRecord, OrderState, bound
from operators.sho.refusals import PeerError, RefusalCode, RefusalError
from operators.sho.spoken_states import QuotedState
from operators.sho.validation import ValidationRequest


@dataclass(frozen=True, slots=True, kw_only=True)
class UpdateQuestion:
    """What a device asks for: the order by which it is known, the manifest it is to be updated to, its TRE's nonce."""

    order_digest: bytes
    manifest_digest: bytes
    tre_nonce: bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class ApprovedUpdate:
    """What was approved for a device: the state after the update, and by how many approvals."""

    device_id: str
    manifest_digest: bytes
    state: QuotedState
    approvals: int


class NextApprovalSource(Protocol):
    """A PVA's approvals of next states. Raises PeerError."""

    def next_approvals(
        self, pva: str, *, result_id: str, order_digest: bytes, manifest_digest: bytes
    ) -> OfferedApprovals:
        """Approvals of the state that an announced manifest describes, by an own result of this PVA."""


class UpdateStore(Protocol):
    """What this use case needs of a store."""

    def order_of_digest(self, digest: bytes) -> OrderRecord | None:
        """The order with this digest."""

    def accepted_request(self, order_id: str) -> ValidationRequest | None:
        """The request whose result this order rests on."""

    def note_update(self, order_id: str, update: ApprovedUpdate, *, at: datetime) -> None:
        """Keep the state that the device is to come up in, with the audit leaf of the approvals that are given out."""


@dataclass(frozen=True, slots=True, kw_only=True)
class UpdateDesk:
    """The use case and what it works with."""

    store: UpdateStore
    pvas: NextApprovalSource
    signer: OperatorSigner
    policy_root: PolicyRoot
    anchors: Sequence[x509.Certificate]

    def approve(self, question: UpdateQuestion, *, at: datetime) -> str:
        """The signed approvals for the TRE that gave out the nonce. Raises RefusalError."""
        order, request = self._own(question)  # 1
        binding = bound(order)
        try:
            offered = self.pvas.next_approvals(  # 2
                request.pva,
                result_id=request.result_id or "",
                order_digest=binding.digest,
                manifest_digest=question.manifest_digest,
            )
        except PeerError as error:
            raise RefusalError(
                RefusalCode.UPDATE_NOT_APPROVED, subject=f"update of order {order.id}", reason=str(error)
            ) from None
        verified = verify_next_approvals(  # 3
            offered, order=binding, sho=self.signer.issuer, pva=request.pva, anchors=self.anchors, at=at
        )
        uses: tuple[ApprovedUse, ...] = delegate_all(verified, root=self.policy_root)  # 4
        approved = verified.approvals[0].state
        update = ApprovedUpdate(
            device_id=binding.device_id,
            manifest_digest=question.manifest_digest,
            state=QuotedState(pcr_selections=approved.pcr_selections, pcr_digest=approved.pcr_digest),
            approvals=len(uses),
        )
        self.store.note_update(order.id, update, at=at)
        answer = UpdateApprovals(
            sho=self.signer.issuer,
            device_id=binding.device_id,
            tre_nonce=question.tre_nonce,
            manifest_digest=question.manifest_digest,
            approvals=uses,
        )
        return self.signer.sign(answer.claims(), typ=UPDATE_APPROVALS_KIND.typ)

    def _own(self, question: UpdateQuestion) -> tuple[OrderRecord, ValidationRequest]:
        order = self.store.order_of_digest(question.order_digest)
        if order is None:
            raise RefusalError(
                RefusalCode.ORDER_UNKNOWN, subject="order of the update", reason="this operator has none such"
            )
        request = self.store.accepted_request(order.id)
        if order.state is not OrderState.ACTIVE or request is None or request.result_id is None:
            raise RefusalError(
                RefusalCode.ORDER_NOT_AUTHORIZED,
                subject=f"order {order.id}",
                reason=f"it is {order.state.value}, so no MID of it is in the device",
            )
        return order, request
