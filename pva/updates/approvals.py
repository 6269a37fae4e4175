"""Use case: an SHO has the state of a validated platform approved, so that its package opens there and nowhere else.

Rule: whoever asks names a result and an order, and nothing more. Registers, counter and keys are those that the TPM
signed and this PVA verified; every policy is computed here, and no digest that somebody hands in is ever signed (D8).
An approval is for one value c of the device's generation counter. Installing a package raises the counter, so what was
approved before opens nothing any more; and an order that was approved at c is never approved at another value.

    1 the result is on record, and answers a signed request of this SHO for this order
    2 it is in its life, verifies, and permits the release of a subscription
    3 no newer result of the device says otherwise
    4 the order is open: never approved, or approved at this value of this counter, which the device still shows
    5 the same approvals again where they were given, else build and sign them: the package at c, the vault from c to
      c + VAULT_REACH, so that packages of other operators do not end it
    6 record them, unless anything changed since step 1
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Final, Protocol, TypeVar

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric.ec import ECDSA, EllipticCurvePrivateKey
from cryptography.hazmat.primitives.asymmetric.utils import Prehashed

from messages.approval import (
    FORBIDDEN_PCRS,
    USE_PACKAGE,
    USE_VAULT,
    VAULT_REACH,
    ApprovedState,
    StateApproval,
    Use,
    signed_digest,
)
from messages.errors import MessageError
from messages.pcr import covers_boot
from messages.reliance import permits_release, verify_result
from pva.refusals import RefusalCode, RefusalError
from standards.pki.fingerprints import certificate_der
from standards.tpm2.constants import Algorithm
from standards.tpm2.policy import pcr_digest, policy_key_public
from standards.tpm2.structures import PcrSelection, Signature

COUNTER_MAX: Final = (1 << 63) - 1 - VAULT_REACH
"""Beyond it the vault's last value could not be written into an approval."""
_COORDINATE_BYTES: Final = 32


@dataclass(frozen=True, slots=True, kw_only=True)
class ProvenState:
    """What a device proved when a result was made, out of its verified quote.

    `pcr_values` is bank -> index -> value, `storage_public` the certified storage key's TPMT_PUBLIC, `counter_name` the
    Name of the written generation counter.
    """

    pcr_values: Mapping[int, Mapping[int, bytes]]
    storage_public: bytes
    counter_name: bytes
    counter: int


@dataclass(frozen=True, slots=True, kw_only=True)
class OrderApproval:
    """The one device and the one value of its counter at which an order was approved."""

    device_id: str
    counter: int


@dataclass(frozen=True, slots=True, kw_only=True)
class GivenApprovals:
    """What was given on a result: encoded StateApprovals, and the day key's certificates (DER, leaf first)."""

    approvals: tuple[bytes, ...]
    day_key_chain: tuple[bytes, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class ApprovalFacts:
    """Everything on record that decides about approvals on one result of one SHO.

    `order_digest` is that of the signed request, None where it had none or was not signed; `refuted` says that a newer
    result of the device is not affirming; `counter_seen` is the highest value that the device showed.
    """

    result_id: str
    token: str
    expires_at: datetime
    device_id: str
    order_digest: bytes | None
    state: ProvenState | None
    refuted: bool
    counter_seen: int
    approved: OrderApproval | None
    given: GivenApprovals | None


class FactsOfAnOrder(Protocol):
    """Facts about one result of one SHO, with the order of its signed request."""

    @property
    def order_digest(self) -> bytes | None:
        """None where the request was for no order, or not signed."""


Facts = TypeVar("Facts", bound=FactsOfAnOrder)


def own_facts(facts: Facts | None, *, result_id: str, order_digest: bytes) -> Facts:
    """The facts, if they are there and about this order. Raises RefusalError."""
    if facts is None:
        raise RefusalError(
            RefusalCode.NOT_FOUND, subject="result", reason="no result with this id belongs to the caller"
        )
    if facts.order_digest != order_digest:
        raise RefusalError(
            RefusalCode.ORDER_MISMATCH,
            subject=f"result {result_id}",
            reason="it does not answer a signed request for this order",
        )
    return facts


class ApprovalRecords(Protocol):
    """What this use case needs of a store; each call is one transaction."""

    def approval_facts(self, result_id: str, *, sho: str) -> ApprovalFacts | None:
        """The facts about a result whose request is this SHO's own, None where there is no such result."""

    def record_approvals(
        self, given: GivenApprovals, *, facts: ApprovalFacts, sho: str, at: datetime
    ) -> GivenApprovals:
        """Record approvals with their audit leaf, if `facts` still hold; what is on record then.

        Raises RefusalError: something changed meanwhile (another call may have been faster: ask again).
        """


@dataclass(frozen=True, slots=True, kw_only=True)
class DayKey:
    """The key that signs approvals, and its certificate path (leaf first, no root)."""

    key: EllipticCurvePrivateKey
    chain: Sequence[x509.Certificate]

    def sign(self, use: Use, state: ApprovedState) -> StateApproval:
        """Approve a state for a use; the digest is computed here."""
        der = self.key.sign(signed_digest(use, state), ECDSA(Prehashed(hashes.SHA256())))
        signature = Signature.from_der(
            der, hash_algorithm=Algorithm.SHA256, coordinate_bytes=_COORDINATE_BYTES
        )
        return StateApproval(
            use=use,
            state=state,
            day_key=policy_key_public(self.key.public_key()).encode(),
            signature=signature.encode(),
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Approved:
    """The answer to an SHO: what was given, and the key that its package must be sealed to."""

    given: GivenApprovals
    storage_public: bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class ApprovalDesk:
    """The use case and what it works with; `anchors` is the operators' root."""

    records: ApprovalRecords
    day_key: DayKey
    anchors: Sequence[x509.Certificate]

    def approve(self, result_id: str, *, order_digest: bytes, sho: str, at: datetime) -> Approved:
        """Approvals on an SHO's own result, for its order. Raises RefusalError."""
        facts = self._own_facts(result_id, order_digest=order_digest, sho=sho)  # 1
        self._refuse_unless_released(facts, at=at)  # 2
        _refuse_refuted(facts)  # 3
        state = _proven(facts)
        _refuse_closed(facts, state=state)  # 4
        given = facts.given or self._given(facts, state=state, sho=sho, order_digest=order_digest)  # 5
        if facts.given is None:
            given = self.records.record_approvals(given, facts=facts, sho=sho, at=at)  # 6
        return Approved(given=given, storage_public=state.storage_public)

    def _own_facts(self, result_id: str, *, order_digest: bytes, sho: str) -> ApprovalFacts:
        facts = self.records.approval_facts(result_id, sho=sho)
        return own_facts(facts, result_id=result_id, order_digest=order_digest)

    def _refuse_unless_released(self, facts: ApprovalFacts, *, at: datetime) -> None:
        if at >= facts.expires_at:
            raise RefusalError(
                RefusalCode.RESULT_EXPIRED,
                subject=f"result {facts.result_id}",
                reason=f"it was good until {facts.expires_at:%Y-%m-%dT%H:%M:%SZ}",
            )
        try:
            released = permits_release(verify_result(facts.token, anchors=self.anchors, at=at))
            fault = "TRE and platform are not both affirming"
        except MessageError as error:
            released, fault = False, str(error)
        if not released:
            raise RefusalError(
                RefusalCode.RESULT_NOT_AFFIRMING, subject=f"result {facts.result_id}", reason=fault
            )

    def _given(
        self, facts: ApprovalFacts, *, state: ProvenState, sho: str, order_digest: bytes
    ) -> GivenApprovals:
        reach = range(state.counter, state.counter + VAULT_REACH + 1)
        now, *after = [approved_state(state, counter=counter) for counter in reach]
        package = Use(use=USE_PACKAGE, device_id=facts.device_id, sho=sho, order_digest=order_digest)
        vault = Use(use=USE_VAULT, device_id=facts.device_id, sho=sho, order_digest=None)
        uses = ((package, now), (vault, now), *((vault, later) for later in after))
        signed = [self.day_key.sign(use, at) for use, at in uses]
        return GivenApprovals(
            approvals=tuple(each.encode() for each in signed),
            day_key_chain=tuple(certificate_der(each) for each in self.day_key.chain),
        )


def approved_state(state: ProvenState, *, counter: int) -> ApprovedState:
    """The state to approve: every boot register that was quoted, exactly as it was, at a value of the counter (A16)."""
    selections = {
        bank: tuple(sorted(set(values) - FORBIDDEN_PCRS)) for bank, values in state.pcr_values.items()
    }
    kept = {bank: indices for bank, indices in sorted(selections.items()) if indices}
    selection = [PcrSelection(bank=bank, indices=indices) for bank, indices in kept.items()]
    return ApprovedState(
        pcr_selections=kept,
        pcr_digest=pcr_digest(selection, state.pcr_values),
        counter_name=state.counter_name,
        counter=counter,
    )


def _refuse_refuted(facts: ApprovalFacts) -> None:
    if facts.refuted:
        raise RefusalError(
            RefusalCode.RESULT_SUPERSEDED,
            subject=f"device {facts.device_id}",
            reason="a newer result of this device is not affirming",
        )


def _proven(facts: ApprovalFacts) -> ProvenState:
    """The state, where it is on record and can be written into approvals."""
    state = facts.state
    if (
        state is None
        or state.counter > COUNTER_MAX
        or not covers_boot(approved_state(state, counter=0).pcr_selections)
    ):
        raise RefusalError(
            RefusalCode.RESULT_SUPERSEDED,
            subject=f"result {facts.result_id}",
            reason="no state that could be approved is on record with it",
        )
    return state


def _refuse_closed(facts: ApprovalFacts, *, state: ProvenState) -> None:
    """An order is approved on one device at one value of its counter; a raised counter ends it (D8)."""
    here = OrderApproval(device_id=facts.device_id, counter=state.counter)
    left = facts.counter_seen != state.counter
    if facts.approved is not None and (facts.approved != here or left):
        raise RefusalError(
            RefusalCode.ORDER_CLOSED,
            subject=f"order of device {facts.device_id}",
            reason=f"it was approved at the counter's value {facts.approved.counter}, which the device has left "
            "or never had",
        )
    if left:
        raise RefusalError(
            RefusalCode.RESULT_SUPERSEDED,
            subject=f"device {facts.device_id}",
            reason=f"its generation counter is at {facts.counter_seen} now, this result says {state.counter}",
        )
