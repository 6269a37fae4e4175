"""The attestation result that an order rests on: the state in which its TRE speaks.

Rule: it was verified when it was accepted, so its signer's certificate is judged at that moment; what it says is read anew.
"""

from collections.abc import Sequence

from cryptography import x509

from messages.errors import MessageError
from messages.operator_token import verify_operator_token
from messages.reliance import RESULT_BYTES_MAX, RESULT_KIND
from messages.statement import SignedStatement, StateChangedError, verify_statement
from operators.sho.order_states import BoundOrder
from operators.sho.refusals import RefusalCode, RefusalError
from operators.sho.validation import ValidationRequest
from standards.rats.ear import AttestationResult
from standards.rats.ear import read_claims as read_result
from standards.rats.errors import RatsError


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


def verified_in_state(
    said: SignedStatement, *, nonce: bytes, order: BoundOrder, result: AttestationResult
) -> bytes:
    """The body of a statement by the AK of an order, for a nonce, in the state of a result.

    Raises RefusalError (STATE_CHANGED); MessageError: it is another AK's, or for another nonce.
    """
    try:
        return verify_statement(
            said,
            nonce=nonce,
            ak_name=order.ak_name,
            pcr_selections=result.pcr_selections,
            pcr_digest=result.pcr_digest,
        )
    except StateChangedError as error:
        raise RefusalError(RefusalCode.STATE_CHANGED, subject="statement", reason=str(error)) from None
