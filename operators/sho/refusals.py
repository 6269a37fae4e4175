"""Every way in which the SHO says "refused": stable codes, HTTP status and remedy.

Rule: nothing is signed, released or activated with a refusal. A platform in a bad state is not refused here: its
order becomes `refused`, with the PVA's findings as the reason.
"""

from collections.abc import Mapping
from enum import StrEnum, unique
from http import HTTPStatus

from edge.refused import RefusalRule, RefusedError


@unique
class RefusalCode(StrEnum):
    """Stable reason codes: names in problem types and in the audit log."""

    # orders of users
    DEVICE_CODE_INVALID = "device-code-invalid"
    PRODUCT_UNKNOWN = "product-unknown"
    PRODUCT_UNFIT = "product-unfit"
    UPDATE_UNDER_WAY = "mid-update-under-way"
    MIGRATION_COMMITTED = "migration-committed"
    MIGRATION_UNDER_WAY = "migration-under-way"
    IDEMPOTENCY_KEY_INVALID = "idempotency-key-invalid"
    IDEMPOTENCY_CONFLICT = "idempotency-conflict"
    ORDER_UNKNOWN = "order-unknown"
    # changes of operator
    PRIOR_UNKNOWN = "prior-operator-unknown"
    SUCCESSOR_UNKNOWN = "successor-unknown"
    MID_UNKNOWN = "mid-unknown"
    MID_BLOCKED = "mid-blocked"
    RELEASE_UNKNOWN = "release-unknown"
    RELEASE_DENIED = "release-denied"
    RELEASE_GIVEN = "release-given"
    RELEASE_INVALID = "release-invalid"
    ERASURE_INVALID = "erasure-invalid"
    # registration of devices
    NO_ORDER = "no-order"
    ORDER_TAKEN = "order-taken"
    AK_UNACCEPTABLE = "ak-unacceptable"
    AK_MISMATCH = "ak-mismatch"
    PFC_INVALID = "pfc-invalid"
    PFC_WRONG_PURPOSE = "pfc-wrong-purpose"
    SUPPLIER_NOT_RECOGNISED = "supplier-not-recognised"
    MODEL_NOT_RECOGNISED = "model-not-recognised"
    DEVICE_MISMATCH = "device-mismatch"
    # results and approvals
    RESULT_INVALID = "result-invalid"
    EVENT_INVALID = "event-invalid"
    RESULT_MISMATCH = "result-mismatch"
    RESULT_NOT_AFFIRMING = "result-not-affirming"
    APPROVAL_UNACCEPTABLE = "approval-unacceptable"
    UPDATE_NOT_APPROVED = "update-not-approved"
    # receipts
    RECEIPT_MALFORMED = "receipt-malformed"
    RECEIPT_INVALID = "receipt-invalid"
    RECEIPT_MISMATCH = "receipt-mismatch"
    STATE_CHANGED = "state-changed"
    ORDER_NOT_AUTHORIZED = "order-not-authorized"
    FOREIGN_DPF = "foreign-dpf"
    # subscriptions
    FOREIGN_NETWORK = "foreign-serving-network"
    SUBSCRIPTION_UNKNOWN = "subscription-unknown"
    SUBSCRIPTION_NOT_ACTIVE = "subscription-not-active"
    SUBSCRIPTION_SUSPENDED = "subscription-suspended"
    RESYNCHRONISATION_INVALID = "resynchronisation-invalid"
    SEQUENCE_USED_UP = "sequence-used-up"
    # the moment
    CONCURRENT_CHANGE = "concurrent-change"


class RefusalError(RefusedError):
    """The SHO refuses, by one of its codes."""

    def __init__(
        self, code: RefusalCode, *, subject: str, reason: str, retry_after_s: int | None = None
    ) -> None:
        """Take status and remedy from the table."""
        super().__init__(
            code.value, REFUSALS[code], subject=subject, reason=reason, retry_after_s=retry_after_s
        )


class PeerError(Exception):
    """Another service could not be used: which one and why; what was under way is tried again later."""

    def __init__(self, service: str, *, reason: str) -> None:
        """Keep both."""
        super().__init__(f"{service}: {reason}")
        self.service = service
        self.reason = reason


def _rule(status: HTTPStatus, remedy: str) -> RefusalRule:
    return RefusalRule(status=status, remedy=remedy)


_FORBIDDEN = HTTPStatus.FORBIDDEN
_CREDENTIAL = "send the device's own Platform Credential with its issuing CA certificates, leaf first"
_PVA = "send the signed result as the PVA made it, for the request of this operator"
_TRE_SAYS = "send the receipt that the TRE signed for this package, unaltered, with the fresh result"

REFUSALS: Mapping[RefusalCode, RefusalRule] = {
    RefusalCode.DEVICE_CODE_INVALID: _rule(
        HTTPStatus.UNPROCESSABLE_ENTITY, "type the device code as the label of the device has it"
    ),
    RefusalCode.PRODUCT_UNKNOWN: _rule(HTTPStatus.UNPROCESSABLE_ENTITY, "choose one of the products offered"),
    RefusalCode.PRODUCT_UNFIT: _rule(
        HTTPStatus.UNPROCESSABLE_ENTITY, "choose a product with the USIMs that the MID has, or order it anew"
    ),
    RefusalCode.UPDATE_UNDER_WAY: _rule(
        HTTPStatus.CONFLICT, "wait until that update or migration has come to its end, or give it up"
    ),
    RefusalCode.MIGRATION_COMMITTED: _rule(
        HTTPStatus.CONFLICT, "order another migration, back to the device that the MID was in"
    ),
    RefusalCode.MIGRATION_UNDER_WAY: _rule(
        HTTPStatus.CONFLICT, "give the migration up first, or wait until it has come to its end"
    ),
    RefusalCode.IDEMPOTENCY_KEY_INVALID: _rule(
        HTTPStatus.BAD_REQUEST,
        "send Idempotency-Key with 16 to 128 letters, digits, - or _ of your own choice",
    ),
    RefusalCode.IDEMPOTENCY_CONFLICT: _rule(
        HTTPStatus.CONFLICT, "use a new Idempotency-Key for another order"
    ),
    RefusalCode.ORDER_UNKNOWN: _rule(HTTPStatus.NOT_FOUND, "check the order's id and its secret"),
    RefusalCode.PRIOR_UNKNOWN: _rule(
        HTTPStatus.UNPROCESSABLE_ENTITY, "name an operator that this one takes subscriptions over from"
    ),
    RefusalCode.SUCCESSOR_UNKNOWN: _rule(
        _FORBIDDEN, "agree with this operator that subscriptions may be taken over, and under which policy"
    ),
    RefusalCode.MID_UNKNOWN: _rule(
        HTTPStatus.NOT_FOUND, "name device and MID as the device shows them to its subscriber"
    ),
    RefusalCode.MID_BLOCKED: _rule(
        _FORBIDDEN, "have the subscriber settle with this operator why the MID is blocked"
    ),
    RefusalCode.RELEASE_UNKNOWN: _rule(
        HTTPStatus.NOT_FOUND, "name an order and a successor that has asked for its release"
    ),
    RefusalCode.RELEASE_DENIED: _rule(
        _FORBIDDEN,
        "have the subscriber, or this operator, approve the release; then register the device again",
    ),
    RefusalCode.RELEASE_GIVEN: _rule(
        HTTPStatus.CONFLICT, "a release that was given stands: settle with the successor that it is not used"
    ),
    RefusalCode.RELEASE_INVALID: _rule(
        HTTPStatus.BAD_GATEWAY, "tell the prior operator; the order waits and is tried again"
    ),
    RefusalCode.ERASURE_INVALID: _rule(
        HTTPStatus.BAD_GATEWAY, "tell the prior operator: its proof does not show that its MID is gone"
    ),
    RefusalCode.NO_ORDER: _rule(HTTPStatus.NOT_FOUND, "order a subscription for this device's code first"),
    RefusalCode.ORDER_TAKEN: _rule(
        HTTPStatus.CONFLICT, "order anew: an order belongs to the device that registered with it"
    ),
    RefusalCode.AK_UNACCEPTABLE: _rule(_FORBIDDEN, "register with the AK that the device was enrolled with"),
    RefusalCode.AK_MISMATCH: _rule(_FORBIDDEN, _CREDENTIAL),
    RefusalCode.PFC_INVALID: _rule(_FORBIDDEN, _CREDENTIAL),
    RefusalCode.PFC_WRONG_PURPOSE: _rule(_FORBIDDEN, _CREDENTIAL),
    RefusalCode.SUPPLIER_NOT_RECOGNISED: _rule(
        _FORBIDDEN, "use equipment of a supplier that this operator recognises"
    ),
    RefusalCode.MODEL_NOT_RECOGNISED: _rule(_FORBIDDEN, "use a model that this operator recognises"),
    RefusalCode.DEVICE_MISMATCH: _rule(_FORBIDDEN, _CREDENTIAL),
    RefusalCode.RESULT_INVALID: _rule(_FORBIDDEN, _PVA),
    RefusalCode.EVENT_INVALID: _rule(_FORBIDDEN, _PVA),
    RefusalCode.RESULT_MISMATCH: _rule(_FORBIDDEN, _PVA),
    RefusalCode.RESULT_NOT_AFFIRMING: _rule(
        _FORBIDDEN, "bring the platform back into the approved state and validate it again"
    ),
    RefusalCode.UPDATE_NOT_APPROVED: _rule(
        HTTPStatus.CONFLICT,
        "wait until the supplier has announced the update to this device, and its platform is affirmed; then ask again",
    ),
    RefusalCode.APPROVAL_UNACCEPTABLE: _rule(
        HTTPStatus.BAD_GATEWAY, "tell the PVA's operator; the order waits and is tried again"
    ),
    RefusalCode.RECEIPT_MALFORMED: _rule(
        HTTPStatus.BAD_REQUEST, "send CBOR as docs/FOURTEEN-STEPS.md lays it out"
    ),
    RefusalCode.RECEIPT_INVALID: _rule(_FORBIDDEN, _TRE_SAYS),
    RefusalCode.RECEIPT_MISMATCH: _rule(_FORBIDDEN, _TRE_SAYS),
    RefusalCode.STATE_CHANGED: _rule(
        HTTPStatus.CONFLICT, "validate the platform afresh and ask the TRE for its receipt again"
    ),
    RefusalCode.ORDER_NOT_AUTHORIZED: _rule(
        HTTPStatus.CONFLICT, "nothing was released for this order, or its delivery is closed: order anew"
    ),
    RefusalCode.FOREIGN_DPF: _rule(
        _FORBIDDEN, "ask the operator through whose DPF it is: register that one's certificate as its tenant"
    ),
    RefusalCode.FOREIGN_NETWORK: _rule(_FORBIDDEN, "ask for vectors in the name of your own network"),
    RefusalCode.SUBSCRIPTION_UNKNOWN: _rule(HTTPStatus.NOT_FOUND, "check the IMSI"),
    RefusalCode.SUBSCRIPTION_NOT_ACTIVE: _rule(
        _FORBIDDEN, "wait until the device's receipt of the subscription has come in"
    ),
    RefusalCode.SUBSCRIPTION_SUSPENDED: _rule(
        _FORBIDDEN, "bring the platform back into the approved state and let it answer its watch (m2me watch)"
    ),
    RefusalCode.RESYNCHRONISATION_INVALID: _rule(
        _FORBIDDEN, "send RAND and AUTS of one authentication, as the device answered it"
    ),
    RefusalCode.SEQUENCE_USED_UP: _rule(_FORBIDDEN, "give the subscriber a new subscription"),
    RefusalCode.CONCURRENT_CHANGE: _rule(HTTPStatus.SERVICE_UNAVAILABLE, "send the request again"),
}
