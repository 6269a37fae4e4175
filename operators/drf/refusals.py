"""Every way in which the DRF says "refused": stable codes, HTTP status and remedy.

Rule: who cannot prove an attachment learns nothing about PCIDs, devices or orders: one code for all of it.
"""

from collections.abc import Mapping
from enum import StrEnum, unique
from http import HTTPStatus

from edge.refused import RefusalRule, RefusedError


@unique
class RefusalCode(StrEnum):
    """Stable reason codes: names in problem types and in the audit log."""

    NOT_ATTACHED = "not-attached"
    PCID_MISMATCH = "pcid-mismatch"
    ATTACHMENT_NOT_NOW = "attachment-not-now"
    ATTACHMENT_CONFLICT = "attachment-conflict"
    DEVICE_CODE_INVALID = "device-code-invalid"
    ORDER_CONFLICT = "order-conflict"
    SHO_UNKNOWN = "sho-unknown"
    NO_OPERATOR = "no-operator"
    CONFLICTING_ORDERS = "conflicting-orders"
    IDEMPOTENCY_CONFLICT = "idempotency-conflict"
    REGISTRATION_REFUSED = "registration-refused"
    SHO_UNAVAILABLE = "sho-unavailable"
    RELAY_REFUSED = "relay-refused"
    PVA_UNAVAILABLE = "pva-unavailable"
    NOT_FOUND = "not-found"


class RefusalError(RefusedError):
    """The DRF refuses, by one of its codes."""

    def __init__(
        self, code: RefusalCode, *, subject: str, reason: str, retry_after_s: int | None = None
    ) -> None:
        """Take status and remedy from the table."""
        super().__init__(
            code.value, REFUSALS[code], subject=subject, reason=reason, retry_after_s=retry_after_s
        )


def _rule(status: HTTPStatus, remedy: str) -> RefusalRule:
    return RefusalRule(status=status, remedy=remedy)


REFUSALS: Mapping[RefusalCode, RefusalRule] = {
    RefusalCode.NOT_ATTACHED: _rule(
        HTTPStatus.UNAUTHORIZED, "attach with the PCID, and sign each request with the key of that attachment"
    ),
    RefusalCode.PCID_MISMATCH: _rule(
        HTTPStatus.FORBIDDEN, "name the PCID whose attachment signs the request"
    ),
    RefusalCode.ATTACHMENT_NOT_NOW: _rule(
        HTTPStatus.UNPROCESSABLE_ENTITY, "tell of attachments while they last"
    ),
    RefusalCode.ATTACHMENT_CONFLICT: _rule(
        HTTPStatus.CONFLICT, "find out why two ICFs speak for one PCID before anything else"
    ),
    RefusalCode.DEVICE_CODE_INVALID: _rule(
        HTTPStatus.UNPROCESSABLE_ENTITY, "send the code as it stands on the device's label"
    ),
    RefusalCode.ORDER_CONFLICT: _rule(HTTPStatus.CONFLICT, "announce another order under another id"),
    RefusalCode.SHO_UNKNOWN: _rule(
        HTTPStatus.NOT_FOUND, "choose an operator that this registration operator works with"
    ),
    RefusalCode.NO_OPERATOR: _rule(
        HTTPStatus.NOT_FOUND, "order a subscription for this device code, or choose an operator at the device"
    ),
    RefusalCode.CONFLICTING_ORDERS: _rule(
        HTTPStatus.CONFLICT, "choose one of the operators at the device, or cancel the other order"
    ),
    RefusalCode.IDEMPOTENCY_CONFLICT: _rule(
        HTTPStatus.CONFLICT, "use a new Idempotency-Key for a new registration"
    ),
    RefusalCode.REGISTRATION_REFUSED: _rule(
        HTTPStatus.FORBIDDEN, "do as the operator's reason says, then register again"
    ),
    RefusalCode.SHO_UNAVAILABLE: _rule(HTTPStatus.SERVICE_UNAVAILABLE, "wait as Retry-After says"),
    RefusalCode.RELAY_REFUSED: _rule(HTTPStatus.FORBIDDEN, "do as the PVA's reason says, then ask again"),
    RefusalCode.PVA_UNAVAILABLE: _rule(HTTPStatus.SERVICE_UNAVAILABLE, "wait as Retry-After says"),
    RefusalCode.NOT_FOUND: _rule(
        HTTPStatus.NOT_FOUND, "check the id; each operator sees only what it had relayed itself"
    ),
}
