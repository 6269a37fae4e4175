"""The states of a platform in which the TRE of an order is heard: its result's, and those of updates that this operator approved.

Rule: a result was verified when it was accepted, so its signer's certificate is judged at that moment; what it says is read
anew. A state that this operator approved before an update counts from the first statement in it, for every order of the
device; from then on those before it count no more, so nobody is heard who went back to the software that was mended.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol

from cryptography import x509

from messages.errors import MessageError
from messages.operator_token import verify_operator_token
from messages.pcr import PcrSelections
from messages.reliance import RESULT_BYTES_MAX, RESULT_KIND
from messages.statement import SignedStatement, StateChangedError, verify_statement
from operators.sho.order_states import BoundOrder
from operators.sho.refusals import RefusalCode, RefusalError
from operators.sho.validation import ValidationRequest
from standards.rats.ear import AttestationResult
from standards.rats.ear import read_claims as read_result
from standards.rats.errors import RatsError


@dataclass(frozen=True, slots=True, kw_only=True)
class QuotedState:
    """Registers and the digest over them, as a quote in this state has them."""

    pcr_selections: PcrSelections
    pcr_digest: bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class UpdatedPlatform:
    """What updates made of a device: the state that it showed last, since when, and the approved one that is to come."""

    shown: QuotedState | None = None
    shown_at: datetime | None = None
    coming: QuotedState | None = None


class SpokenStateStore(Protocol):
    """What is needed of a store."""

    def accepted_request(self, order_id: str) -> ValidationRequest | None:
        """The request whose result this order rests on."""

    def updated_platform(self, device_id: str) -> UpdatedPlatform:
        """What updates made of a device; nothing where none was approved."""

    def state_shown(self, device_id: str, state: QuotedState, *, at: datetime) -> None:
        """The device has shown the state that was to come: nothing is to come now. One transaction with its audit leaf."""


def heard(
    said: SignedStatement,
    *,
    nonce: bytes,
    order: BoundOrder,
    store: SpokenStateStore,
    anchors: Sequence[x509.Certificate],
    at: datetime,
) -> bytes:
    """The body of a statement by the AK of an order, for a nonce, in a state in which its TRE is heard.

    Raises RefusalError (STATE_CHANGED); MessageError: it is another AK's, or for another nonce.
    """
    asked, updated = store.accepted_request(order.id), store.updated_platform(order.device_id)
    result = rested_result(asked, order_id=order.id, anchors=anchors)
    if updated.coming is not None:
        try:
            body = _verified(said, nonce=nonce, order=order, state=updated.coming)
        except MessageError:  # what is wrong is said of the state that counts now
            pass
        else:
            store.state_shown(order.device_id, updated.coming, at=at)
            return body
    try:
        return _verified(said, nonce=nonce, order=order, state=_present(result, updated, asked=asked))
    except StateChangedError as error:
        raise RefusalError(RefusalCode.STATE_CHANGED, subject="statement", reason=str(error)) from None


def rested_result(
    asked: ValidationRequest | None, *, order_id: str, anchors: Sequence[x509.Certificate]
) -> AttestationResult:
    """The result of the request that an order rests on. Raises RefusalError."""
    if asked is None or asked.result is None:
        raise RefusalError(
            RefusalCode.ORDER_NOT_AUTHORIZED, subject=f"order {order_id}", reason="it rests on no result"
        )
    try:
        signed = verify_operator_token(
            asked.result, RESULT_KIND, anchors=anchors, at=asked.created_at, bytes_max=RESULT_BYTES_MAX
        )
        return read_result(signed.claims)
    except (MessageError, RatsError) as error:
        raise RefusalError(
            RefusalCode.RESULT_INVALID, subject=f"result of order {order_id}", reason=str(error)
        ) from None


def _present(
    result: AttestationResult, updated: UpdatedPlatform, *, asked: ValidationRequest | None
) -> QuotedState:
    """The state that a device showed after the order was validated, or that of the order's result."""
    is_newer = updated.shown_at is not None and asked is not None and updated.shown_at >= asked.created_at
    if updated.shown is not None and is_newer:
        return updated.shown
    return QuotedState(pcr_selections=result.pcr_selections, pcr_digest=result.pcr_digest)


def _verified(said: SignedStatement, *, nonce: bytes, order: BoundOrder, state: QuotedState) -> bytes:
    return verify_statement(
        said,
        nonce=nonce,
        ak_name=order.ak_name,
        pcr_selections=state.pcr_selections,
        pcr_digest=state.pcr_digest,
    )
