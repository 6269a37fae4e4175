"""Every way in which the DPF says "refused": stable codes, HTTP status and remedy.

Rule: each point of the gate has codes of its own, so that a device, an operator and an auditor can tell from the
code which check said no. Nothing leaves with a refusal.
"""

from collections.abc import Mapping
from enum import StrEnum, unique
from http import HTTPStatus

from edge.refused import RefusalRule, RefusedError


@unique
class RefusalCode(StrEnum):
    """Stable reason codes: names in problem types, in the operator's view and in the audit log."""

    # gate 1: the authorisation
    AUTHORIZATION_MALFORMED = "authorization-malformed"
    AUTHORIZATION_INVALID = "authorization-invalid"
    AUTHORIZATION_EXPIRED = "authorization-expired"
    AUTHORIZATION_CONFLICT = "authorization-conflict"
    AUTHORIZATION_CLOSED = "authorization-closed"
    RELEASE_INVALID = "release-invalid"
    # gate 2: the order
    ORDER_INVALID = "order-invalid"
    ORDER_MISMATCH = "order-mismatch"
    ORDER_INSTALLED = "order-installed"
    # gate 3: the result that the authorisation rests on
    RESULT_INVALID = "result-invalid"
    EVENT_INVALID = "event-invalid"
    RESULT_MISMATCH = "result-mismatch"
    RESULT_NOT_AFFIRMING = "result-not-affirming"
    # gate 4: the package
    PACKAGE_INVALID = "package-invalid"
    PACKAGE_MISMATCH = "package-mismatch"
    CONTENT_MISMATCH = "content-mismatch"
    # gate 5: the fresh validation
    FRESH_RESULT_INVALID = "fresh-result-invalid"
    FRESH_RESULT_MISMATCH = "fresh-result-mismatch"
    FRESH_RESULT_NOT_AFFIRMING = "fresh-result-not-affirming"
    STATE_CHANGED = "state-changed"
    WATCHED_STATE = "watched-state"
    VALIDATION_EXPIRED = "validation-expired"
    PVA_UNAVAILABLE = "pva-unavailable"
    # gate 6: the Platform Credential and its status
    SUPPLIER_NOT_RECOGNISED = "supplier-not-recognised"
    PFC_INVALID = "pfc-invalid"
    PFC_MISMATCH = "pfc-mismatch"
    TRE_LEVEL_TOO_LOW = "tre-level-too-low"
    PFC_REVOKED = "pfc-revoked"
    PFC_ON_HOLD = "pfc-on-hold"
    PFC_UNKNOWN = "pfc-unknown"
    OCSP_UNAVAILABLE = "ocsp-unavailable"
    # deliveries
    NOTHING_AUTHORIZED = "nothing-authorized"
    NOT_FOUND = "not-found"
    TOO_SOON = "too-soon"
    DELIVERY_CLOSED = "delivery-closed"
    NOT_GRANTED = "not-granted"
    GRANT_EXPIRED = "grant-expired"
    OFFSET_BEYOND_CONTENT = "offset-beyond-content"
    # receipts
    RECEIPT_MALFORMED = "receipt-malformed"
    RECEIPT_INVALID = "receipt-invalid"
    RECEIPT_MISMATCH = "receipt-mismatch"
    RECEIPT_STATE_CHANGED = "receipt-state-changed"
    RECEIPT_CONFLICT = "receipt-conflict"
    # updates
    UPDATE_REFUSED = "update-refused"
    STEP_REFUSED = "step-refused"
    SHO_UNAVAILABLE = "sho-unavailable"


class RefusalError(RefusedError):
    """The DPF refuses, by one of its codes."""

    def __init__(
        self, code: RefusalCode, *, subject: str, reason: str, retry_after_s: int | None = None
    ) -> None:
        """Take status and remedy from the table."""
        super().__init__(
            code.value, REFUSALS[code], subject=subject, reason=reason, retry_after_s=retry_after_s
        )


def _rule(status: HTTPStatus, remedy: str) -> RefusalRule:
    return RefusalRule(status=status, remedy=remedy)


_FORBIDDEN = HTTPStatus.FORBIDDEN
_ANEW = "the SHO must have the platform validated and authorise the delivery anew"
_AS_SIGNED = "send the tokens as their signers made them, all for one device, order and package"
_AGAIN = "ask for the delivery again; the platform is validated once more"
_APPROVED = "bring the platform back into the approved state, then ask for the delivery again"
_SUPPLIER = "ask the equipment supplier why; the platform gets nothing until its credential is good"
_TRE_SAYS = "send the receipt that the TRE signed for this delivery, unaltered"

REFUSALS: Mapping[RefusalCode, RefusalRule] = {
    RefusalCode.AUTHORIZATION_MALFORMED: _rule(
        HTTPStatus.BAD_REQUEST, "send CBOR as docs/FOURTEEN-STEPS.md lays it out"
    ),
    RefusalCode.AUTHORIZATION_INVALID: _rule(_FORBIDDEN, _AS_SIGNED),
    RefusalCode.RELEASE_INVALID: _rule(
        _FORBIDDEN,
        "get the prior owner's release of its MID in this device for this operator, and send it unaltered",
    ),
    RefusalCode.AUTHORIZATION_EXPIRED: _rule(_FORBIDDEN, _ANEW),
    RefusalCode.AUTHORIZATION_CONFLICT: _rule(
        HTTPStatus.CONFLICT, "give every authorisation an id (jti) of its own"
    ),
    RefusalCode.AUTHORIZATION_CLOSED: _rule(HTTPStatus.CONFLICT, _ANEW),
    RefusalCode.ORDER_INVALID: _rule(_FORBIDDEN, _AS_SIGNED),
    RefusalCode.ORDER_MISMATCH: _rule(_FORBIDDEN, _AS_SIGNED),
    RefusalCode.ORDER_INSTALLED: _rule(
        HTTPStatus.CONFLICT, "nothing: the subscription of this order is installed"
    ),
    RefusalCode.RESULT_INVALID: _rule(_FORBIDDEN, _ANEW),
    RefusalCode.EVENT_INVALID: _rule(_FORBIDDEN, "have a recognised PVA push the event that it signed"),
    RefusalCode.WATCHED_STATE: _rule(_FORBIDDEN, f"{_APPROVED}, and let it answer its watch (m2me watch)"),
    RefusalCode.RESULT_MISMATCH: _rule(_FORBIDDEN, _AS_SIGNED),
    RefusalCode.RESULT_NOT_AFFIRMING: _rule(_FORBIDDEN, _APPROVED),
    RefusalCode.PACKAGE_INVALID: _rule(_FORBIDDEN, _AS_SIGNED),
    RefusalCode.PACKAGE_MISMATCH: _rule(_FORBIDDEN, _AS_SIGNED),
    RefusalCode.CONTENT_MISMATCH: _rule(_FORBIDDEN, "send the encrypted content that the package names"),
    RefusalCode.FRESH_RESULT_INVALID: _rule(_FORBIDDEN, _AGAIN),
    RefusalCode.FRESH_RESULT_MISMATCH: _rule(_FORBIDDEN, _AGAIN),
    RefusalCode.FRESH_RESULT_NOT_AFFIRMING: _rule(_FORBIDDEN, _APPROVED),
    RefusalCode.STATE_CHANGED: _rule(_FORBIDDEN, f"{_APPROVED}; or {_ANEW}"),
    RefusalCode.VALIDATION_EXPIRED: _rule(
        HTTPStatus.GONE, f"answer the PVA's challenge as soon as there is one: {_AGAIN}"
    ),
    RefusalCode.PVA_UNAVAILABLE: _rule(HTTPStatus.SERVICE_UNAVAILABLE, "wait as Retry-After says"),
    RefusalCode.SUPPLIER_NOT_RECOGNISED: _rule(
        _FORBIDDEN, "use equipment of a supplier that this DPF recognises, or have the DPF recognise its root"
    ),
    RefusalCode.PFC_INVALID: _rule(
        _FORBIDDEN, "send the Platform Credential with its issuing CA certificates, in date, leaf first"
    ),
    RefusalCode.PFC_MISMATCH: _rule(
        _FORBIDDEN, "send the Platform Credential that stands in the evidence, with its own issuer"
    ),
    RefusalCode.TRE_LEVEL_TOO_LOW: _rule(
        _FORBIDDEN, "use equipment whose TRE has the security level that this product needs"
    ),
    RefusalCode.PFC_REVOKED: _rule(_FORBIDDEN, _SUPPLIER),
    RefusalCode.PFC_ON_HOLD: _rule(_FORBIDDEN, _SUPPLIER),
    RefusalCode.PFC_UNKNOWN: _rule(_FORBIDDEN, _SUPPLIER),
    RefusalCode.OCSP_UNAVAILABLE: _rule(HTTPStatus.SERVICE_UNAVAILABLE, "wait as Retry-After says"),
    RefusalCode.NOTHING_AUTHORIZED: _rule(
        HTTPStatus.NOT_FOUND, "wait until the operator has authorised the delivery of this order"
    ),
    RefusalCode.NOT_FOUND: _rule(HTTPStatus.NOT_FOUND, "check the id"),
    RefusalCode.TOO_SOON: _rule(HTTPStatus.TOO_MANY_REQUESTS, "wait as Retry-After says"),
    RefusalCode.DELIVERY_CLOSED: _rule(HTTPStatus.GONE, _AGAIN),
    RefusalCode.NOT_GRANTED: _rule(
        HTTPStatus.CONFLICT, "answer the PVA's challenge, then ask for the delivery's state"
    ),
    RefusalCode.GRANT_EXPIRED: _rule(HTTPStatus.GONE, _AGAIN),
    RefusalCode.OFFSET_BEYOND_CONTENT: _rule(
        HTTPStatus.REQUESTED_RANGE_NOT_SATISFIABLE, "ask for an offset below content_size"
    ),
    RefusalCode.RECEIPT_MALFORMED: _rule(HTTPStatus.BAD_REQUEST, _TRE_SAYS),
    RefusalCode.RECEIPT_INVALID: _rule(_FORBIDDEN, _TRE_SAYS),
    RefusalCode.RECEIPT_MISMATCH: _rule(_FORBIDDEN, _TRE_SAYS),
    RefusalCode.RECEIPT_STATE_CHANGED: _rule(HTTPStatus.CONFLICT, f"{_APPROVED}: {_AGAIN}"),
    RefusalCode.RECEIPT_CONFLICT: _rule(
        HTTPStatus.CONFLICT, "nothing: another outcome of this package is on record"
    ),
    RefusalCode.UPDATE_REFUSED: _rule(
        HTTPStatus.CONFLICT, "wait until the update is announced to this device; its owner says why it is not"
    ),
    RefusalCode.STEP_REFUSED: _rule(
        HTTPStatus.CONFLICT,
        "begin anew without a statement; the owner of the MID says why it takes this one not",
    ),
    RefusalCode.SHO_UNAVAILABLE: _rule(
        HTTPStatus.SERVICE_UNAVAILABLE, "wait as Retry-After says, then ask again"
    ),
}
