"""Every way in which the PVA says "refused": stable codes, HTTP status and remedy.

Rule: a refusal is for input that is malformed, forged, replayed or asked for by the wrong party, and for
platforms whose credential no longer speaks for them. Nothing is signed and no state changes. An authentic
platform in a bad state is never refused: it gets a signed result with findings (`pva.appraisal.findings`).
"""

from collections.abc import Mapping
from enum import StrEnum, unique
from http import HTTPStatus

from edge.dual_control import DependentApproverError, SameApproverError, UnknownOriginError
from edge.refused import RefusalRule, RefusedError


@unique
class RefusalCode(StrEnum):
    """Stable reason codes: names in problem types, in the requester's view and in the audit log."""

    EVIDENCE_MALFORMED = "evidence-malformed"
    CHALLENGE_INVALID = "challenge-invalid"
    CHALLENGE_EXPIRED = "challenge-expired"
    CHALLENGE_USED = "challenge-used"
    REQUEST_CLOSED = "request-closed"
    SUPPLIER_NOT_RECOGNISED = "supplier-not-recognised"
    SUPPLIER_SUSPENDED = "supplier-suspended"
    SUPPLIER_NOT_ACCREDITED = "supplier-not-accredited"
    SUPPLIER_NOT_TRUSTED = "supplier-not-trusted"
    TRE_LEVEL_TOO_LOW = "tre-level-too-low"
    PFC_INVALID = "pfc-invalid"
    PFC_WRONG_PURPOSE = "pfc-wrong-purpose"
    DEVICE_MISMATCH = "device-mismatch"
    PFC_REVOKED = "pfc-revoked"
    PFC_ON_HOLD = "pfc-on-hold"
    PFC_NOT_ON_HOLD = "pfc-not-on-hold"
    PFC_UNKNOWN = "pfc-unknown"
    STATUS_UNAVAILABLE = "status-unavailable"
    AK_MISMATCH = "ak-mismatch"
    AK_UNACCEPTABLE = "ak-unacceptable"
    NONCE_MISMATCH = "nonce-mismatch"
    SELECTION_MISMATCH = "selection-mismatch"
    PCR_VALUES_MISMATCH = "pcr-values-mismatch"
    QUOTE_INVALID = "quote-invalid"
    QUOTE_SIGNATURE_INVALID = "quote-signature-invalid"
    QUALIFIED_SIGNER_MISMATCH = "qualified-signer-mismatch"
    STORAGE_KEY_UNACCEPTABLE = "storage-key-unacceptable"
    COUNTER_UNACCEPTABLE = "generation-counter-unacceptable"
    BOOT_LOG_MISSING = "boot-log-missing"
    BOOT_LOG_MALFORMED = "boot-log-malformed"
    BOOT_LOG_MISMATCH = "boot-log-mismatch"
    BOOT_LOG_LEGACY = "boot-log-legacy-format"
    IMA_NOT_APPRAISED = "ima-log-not-appraised"
    IMA_QUOTE_INVALID = "ima-quote-invalid"
    IMA_LOG_MALFORMED = "ima-log-malformed"
    IMA_LOG_MISMATCH = "ima-log-mismatch"
    IMA_OFFSET_WRONG = "ima-offset-wrong"
    IDENTITY_CONFLICT = "identity-conflict"
    MANIFEST_MISMATCH = "manifest-mismatch"
    MANIFEST_ROLLBACK = "manifest-rollback"
    CONCURRENT_VALIDATION = "concurrent-validation"
    MALFUNCTION = "verifier-malfunction"
    # requests of operators and suppliers
    NO_VALIDATION_PENDING = "no-validation-pending"
    PURPOSE_NOT_OFFERED = "purpose-not-offered"
    AUDIENCE_WITHOUT_CALLER = "audience-without-caller"
    REQUEST_UNANSWERABLE = "request-unanswerable"
    NONCE_REUSED = "nonce-reused"
    TOO_MANY_REQUESTS = "too-many-pending-requests"
    NOT_FOUND = "not-found"
    RECORD_ALTERED = "record-altered"
    WATCH_WITHOUT_RESULT = "watch-without-result"
    WATCH_CONFLICT = "watch-conflict"
    WATCH_TERMS = "watch-terms"
    TOO_MANY_WATCHES = "too-many-watches"
    ORDER_NEEDS_SIGNATURE = "order-needs-signature"
    REQUEST_UNTRUSTED = "request-untrusted"
    REQUEST_OUT_OF_TIME = "request-out-of-time"
    REQUEST_FOR_ANOTHER_PVA = "request-for-another-pva"
    REQUEST_OF_ANOTHER = "request-of-another"
    REQUEST_CONFLICT = "request-conflict"
    ENCRYPTION_KEY_UNACCEPTABLE = "encryption-key-unacceptable"
    PROFILE_NOT_OFFERED = "profile-not-offered"
    NOT_EXPORTABLE = "not-exportable"
    # policies
    POLICY_FAULTY = "policy-faulty"
    POLICY_STATE = "policy-state"
    TOO_MANY_POLICIES = "too-many-policies"
    # approvals
    ORDER_MISMATCH = "order-mismatch"
    RESULT_EXPIRED = "result-expired"
    RESULT_NOT_AFFIRMING = "result-not-affirming"
    RESULT_SUPERSEDED = "result-superseded"
    ORDER_CLOSED = "order-closed"
    CONCURRENT_CHANGE = "concurrent-change"
    # updates
    UPDATE_NOT_ANNOUNCEABLE = "update-not-announceable"
    UPDATE_NOT_ANNOUNCED = "update-not-announced"
    UPDATE_PAUSED = "update-paused"
    UPDATE_NOT_YET = "update-not-yet"
    UPDATE_NO_SUCCESSOR = "update-no-successor"
    UPDATES_ABANDONED = "updates-abandoned"
    ROLLOUT_CONFLICT = "rollout-conflict"
    # suppliers
    ROOT_UNACCEPTABLE = "root-unacceptable"
    SUPPLIER_CONFLICT = "supplier-conflict"
    MANIFEST_UNTRUSTED = "manifest-untrusted"
    MANIFEST_UNSIGNED = "manifest-unsigned"
    MANIFEST_WRONG_PURPOSE = "manifest-wrong-purpose"
    MANIFEST_MALFORMED = "manifest-malformed"
    MANIFEST_WRONG_VENDOR = "manifest-wrong-vendor"
    MANIFEST_WRONG_MODEL = "manifest-wrong-model"
    MANIFEST_FORBIDDEN_PCR = "manifest-forbidden-pcr"
    MANIFEST_UNQUOTED_PCR = "manifest-unquoted-pcr"
    MANIFEST_INCONSISTENT = "manifest-inconsistent"
    MANIFEST_CONFLICT = "manifest-conflict"
    MANIFEST_PREDECESSOR_UNKNOWN = "manifest-predecessor-unknown"
    MANIFEST_FORK = "manifest-fork"
    MANIFEST_OTHER_LINE = "manifest-of-another-line"
    MANIFEST_SVN_FALLS = "manifest-svn-falls"
    MANIFEST_MODELS_WIDENED = "manifest-models-widened"
    MANIFEST_LINE_TOO_LONG = "manifest-line-too-long"
    MANIFEST_RETIRED = "manifest-retired"
    APPROVER_NOT_ANOTHER = "approver-not-another"
    APPROVER_NOT_INDEPENDENT = "approver-not-independent"
    APPROVER_ORIGIN_UNKNOWN = "approver-origin-unknown"
    PROPOSAL_DONE = "proposal-done"
    TRUST_LIST_UNTRUSTED = "trust-list-untrusted"
    TRUST_LIST_OUT_OF_TIME = "trust-list-out-of-time"
    TRUST_LIST_ROLLED_BACK = "trust-list-rolled-back"


class RefusalError(RefusedError):
    """The PVA refuses: a refusal with a code of the table below, which gives its status and remedy."""

    code: RefusalCode

    def __init__(
        self, code: RefusalCode, *, subject: str, reason: str, retry_after_s: int | None = None
    ) -> None:
        """Take the remedy from the table, so that one code always advises the same."""
        super().__init__(code, REFUSALS[code], subject=subject, reason=reason, retry_after_s=retry_after_s)


_NEW_CHALLENGE = "fetch a new challenge and quote again over it"
_AS_ENROLLED = "re-enrol the device with the key that its TPM certifies, or replace the TRE's software"
_LOG = "send the complete TCG event log of the running boot, unaltered, as the firmware recorded it"
_IMA_LOG = "send binary_runtime_measurements of the running boot, unaltered, read after PCR 10 was quoted"
_SUPPLIER = "ask the equipment supplier for a corrected manifest, signed under its recognised ES root"

REFUSALS: Mapping[RefusalCode, RefusalRule] = {
    RefusalCode.EVIDENCE_MALFORMED: RefusalRule(
        status=HTTPStatus.BAD_REQUEST, remedy="send evidence as docs/PROTOCOL.md lays it out"
    ),
    RefusalCode.CHALLENGE_INVALID: RefusalRule(status=HTTPStatus.FORBIDDEN, remedy=_NEW_CHALLENGE),
    RefusalCode.CHALLENGE_EXPIRED: RefusalRule(status=HTTPStatus.FORBIDDEN, remedy=_NEW_CHALLENGE),
    RefusalCode.CHALLENGE_USED: RefusalRule(
        status=HTTPStatus.CONFLICT, remedy=f"a challenge is good for one try: {_NEW_CHALLENGE}"
    ),
    RefusalCode.REQUEST_CLOSED: RefusalRule(
        status=HTTPStatus.CONFLICT, remedy="the operator must ask for a new validation of this device"
    ),
    RefusalCode.SUPPLIER_NOT_RECOGNISED: RefusalRule(
        status=HTTPStatus.FORBIDDEN,
        remedy="have an administrator of the PVA recognise the supplier's ES root, or use a device of a "
        "recognised supplier",
    ),
    RefusalCode.SUPPLIER_SUSPENDED: RefusalRule(
        status=HTTPStatus.FORBIDDEN,
        remedy="wait until two administrators of the PVA lift the suspension: pva supplier show says which it is",
    ),
    RefusalCode.SUPPLIER_NOT_ACCREDITED: RefusalRule(
        status=HTTPStatus.FORBIDDEN,
        remedy="have the issuer of the trust list sign a new one with an accreditation that is in force, and import it",
    ),
    RefusalCode.SUPPLIER_NOT_TRUSTED: RefusalRule(
        status=HTTPStatus.FORBIDDEN,
        remedy="name supplier and model in your own trust list, or choose a device of a supplier that it names",
    ),
    RefusalCode.TRE_LEVEL_TOO_LOW: RefusalRule(
        status=HTTPStatus.FORBIDDEN, remedy="use a device whose TRE has the level that is asked for"
    ),
    RefusalCode.PFC_INVALID: RefusalRule(
        status=HTTPStatus.FORBIDDEN,
        remedy="send the PfC with its issuing CA certificates, in date, leaf first; enrol again if it expired",
    ),
    RefusalCode.PFC_WRONG_PURPOSE: RefusalRule(
        status=HTTPStatus.FORBIDDEN, remedy="use the Platform Credential that enrolment returned"
    ),
    RefusalCode.DEVICE_MISMATCH: RefusalRule(
        status=HTTPStatus.FORBIDDEN,
        remedy="only the device that the challenge names can answer it; look for a relay on this path",
    ),
    RefusalCode.PFC_REVOKED: RefusalRule(
        status=HTTPStatus.FORBIDDEN,
        remedy="withdraw the device from service and ask its supplier why the credential was revoked",
    ),
    RefusalCode.PFC_ON_HOLD: RefusalRule(
        status=HTTPStatus.FORBIDDEN,
        remedy="repair the device, have it validated for the purpose recovery, and have its supplier release it; where "
        "supplier, model or batch is suspended, two administrators lift that",
    ),
    RefusalCode.PFC_NOT_ON_HOLD: RefusalRule(
        status=HTTPStatus.FORBIDDEN, remedy="ask for a validation; a recovery is for a credential on hold"
    ),
    RefusalCode.PFC_UNKNOWN: RefusalRule(
        status=HTTPStatus.FORBIDDEN, remedy="ask the supplier whether it issued this credential at all"
    ),
    RefusalCode.STATUS_UNAVAILABLE: RefusalRule(
        status=HTTPStatus.SERVICE_UNAVAILABLE, remedy=f"wait as Retry-After says, then {_NEW_CHALLENGE}"
    ),
    RefusalCode.AK_MISMATCH: RefusalRule(status=HTTPStatus.FORBIDDEN, remedy=_AS_ENROLLED),
    RefusalCode.AK_UNACCEPTABLE: RefusalRule(status=HTTPStatus.FORBIDDEN, remedy=_AS_ENROLLED),
    RefusalCode.NONCE_MISMATCH: RefusalRule(
        status=HTTPStatus.FORBIDDEN, remedy=f"a recorded quote proves nothing: {_NEW_CHALLENGE}"
    ),
    RefusalCode.SELECTION_MISMATCH: RefusalRule(
        status=HTTPStatus.FORBIDDEN,
        remedy="quote exactly the PCR banks and indices that the challenge asks for",
    ),
    RefusalCode.PCR_VALUES_MISMATCH: RefusalRule(
        status=HTTPStatus.FORBIDDEN,
        remedy="send the PCR values that were quoted; read and quote again on change",
    ),
    RefusalCode.QUOTE_INVALID: RefusalRule(status=HTTPStatus.FORBIDDEN, remedy=_NEW_CHALLENGE),
    RefusalCode.QUOTE_SIGNATURE_INVALID: RefusalRule(
        status=HTTPStatus.FORBIDDEN,
        remedy="quote with the AK that the Platform Credential certifies; look for a relay on this path",
    ),
    RefusalCode.QUALIFIED_SIGNER_MISMATCH: RefusalRule(status=HTTPStatus.FORBIDDEN, remedy=_AS_ENROLLED),
    RefusalCode.STORAGE_KEY_UNACCEPTABLE: RefusalRule(
        status=HTTPStatus.FORBIDDEN, remedy="create the storage key in the TPM from the published template"
    ),
    RefusalCode.COUNTER_UNACCEPTABLE: RefusalRule(
        status=HTTPStatus.FORBIDDEN,
        remedy="define the generation counter in the TPM from the published template",
    ),
    RefusalCode.BOOT_LOG_MISSING: RefusalRule(
        status=HTTPStatus.UNPROCESSABLE_ENTITY,
        remedy="name the firmware's event log in the settings of the TRE (boot_log); for a machine that has none, have its "
        "supplier sign a manifest for devices without an event log (pcr_values_only)",
    ),
    RefusalCode.BOOT_LOG_MALFORMED: RefusalRule(status=HTTPStatus.BAD_REQUEST, remedy=_LOG),
    RefusalCode.BOOT_LOG_MISMATCH: RefusalRule(status=HTTPStatus.FORBIDDEN, remedy=_LOG),
    RefusalCode.BOOT_LOG_LEGACY: RefusalRule(
        status=HTTPStatus.UNPROCESSABLE_ENTITY,
        remedy="switch the firmware's TPM event log to the crypto-agile format (TCG2, SHA-256 or better) and boot again",
    ),
    RefusalCode.IMA_NOT_APPRAISED: RefusalRule(
        status=HTTPStatus.UNPROCESSABLE_ENTITY,
        remedy="send the IMA list only for a challenge that asks for it (pva_ima)",
    ),
    RefusalCode.IMA_QUOTE_INVALID: RefusalRule(
        status=HTTPStatus.FORBIDDEN,
        remedy="quote PCR 10 of the bank sha256 with the AK, in the same boot and for the same challenge",
    ),
    RefusalCode.IMA_OFFSET_WRONG: RefusalRule(
        status=HTTPStatus.CONFLICT,
        remedy="fetch a new challenge; send the entries after those that it names in the boot that it names, and the whole list in "
        "any other boot",
    ),
    RefusalCode.IMA_LOG_MALFORMED: RefusalRule(status=HTTPStatus.BAD_REQUEST, remedy=_IMA_LOG),
    RefusalCode.IMA_LOG_MISMATCH: RefusalRule(status=HTTPStatus.FORBIDDEN, remedy=_IMA_LOG),
    RefusalCode.IDENTITY_CONFLICT: RefusalRule(
        status=HTTPStatus.FORBIDDEN,
        remedy="treat it as a possible clone: take both devices out of service and call the supplier",
    ),
    RefusalCode.MANIFEST_MISMATCH: RefusalRule(status=HTTPStatus.FORBIDDEN, remedy=_SUPPLIER),
    RefusalCode.MANIFEST_ROLLBACK: RefusalRule(
        status=HTTPStatus.FORBIDDEN,
        remedy="update the device to a release that is not older than its last one",
    ),
    RefusalCode.CONCURRENT_VALIDATION: RefusalRule(
        status=HTTPStatus.SERVICE_UNAVAILABLE,
        remedy=f"another validation of this device ended first: {_NEW_CHALLENGE}",
    ),
    RefusalCode.MALFUNCTION: RefusalRule(
        status=HTTPStatus.INTERNAL_SERVER_ERROR, remedy="tell the PVA's operator; the cause is in its log"
    ),
    RefusalCode.NO_VALIDATION_PENDING: RefusalRule(
        status=HTTPStatus.NOT_FOUND, remedy="an operator must ask for a validation of this device first"
    ),
    RefusalCode.PURPOSE_NOT_OFFERED: RefusalRule(
        status=HTTPStatus.UNPROCESSABLE_ENTITY, remedy="ask with purpose 'validation'"
    ),
    RefusalCode.AUDIENCE_WITHOUT_CALLER: RefusalRule(
        status=HTTPStatus.UNPROCESSABLE_ENTITY,
        remedy="name yourself in the audience, as the PVA's table of principals names your tenant",
    ),
    RefusalCode.REQUEST_UNANSWERABLE: RefusalRule(
        status=HTTPStatus.UNPROCESSABLE_ENTITY,
        remedy="name each relying party once, in short printable text",
    ),
    RefusalCode.NONCE_REUSED: RefusalRule(
        status=HTTPStatus.CONFLICT, remedy="draw 32 new random bytes for every validation request"
    ),
    RefusalCode.TOO_MANY_REQUESTS: RefusalRule(
        status=HTTPStatus.TOO_MANY_REQUESTS, remedy="wait until pending validations of this device end"
    ),
    RefusalCode.NOT_FOUND: RefusalRule(
        status=HTTPStatus.NOT_FOUND, remedy="check the id; each operator sees only what it asked for itself"
    ),
    RefusalCode.RECORD_ALTERED: RefusalRule(
        status=HTTPStatus.INTERNAL_SERVER_ERROR,
        remedy="have the PVA's operator compare its database with a backup: somebody changed it",
    ),
    RefusalCode.WATCH_WITHOUT_RESULT: RefusalRule(
        status=HTTPStatus.FORBIDDEN,
        remedy="have the device validated first: a watch continues what was affirmed",
    ),
    RefusalCode.WATCH_CONFLICT: RefusalRule(
        status=HTTPStatus.CONFLICT, remedy="end the watch on record, then ask for the new one"
    ),
    RefusalCode.WATCH_TERMS: RefusalRule(
        status=HTTPStatus.UNPROCESSABLE_ENTITY, remedy="ask for an interval and a grace within the bounds"
    ),
    RefusalCode.TOO_MANY_WATCHES: RefusalRule(
        status=HTTPStatus.TOO_MANY_REQUESTS, remedy="end watches that are not needed any more"
    ),
    RefusalCode.ORDER_NEEDS_SIGNATURE: RefusalRule(
        status=HTTPStatus.UNPROCESSABLE_ENTITY,
        remedy="leave the order out to look at a device, or POST a signed request to /v1/validation-requests",
    ),
    RefusalCode.REQUEST_UNTRUSTED: RefusalRule(
        status=HTTPStatus.FORBIDDEN,
        remedy="sign the request with a certificate for subscriptions (SHO) or deliveries (DPF) under the "
        "operators' root",
    ),
    RefusalCode.REQUEST_OUT_OF_TIME: RefusalRule(
        status=HTTPStatus.FORBIDDEN, remedy="sign a new request with a new nonce, and look at both clocks"
    ),
    RefusalCode.REQUEST_FOR_ANOTHER_PVA: RefusalRule(
        status=HTTPStatus.FORBIDDEN, remedy="hand the request in at the PVA that it names"
    ),
    RefusalCode.REQUEST_OF_ANOTHER: RefusalRule(
        status=HTTPStatus.FORBIDDEN,
        remedy="hand in your own requests; those of others come through a relay that the PVA knows",
    ),
    RefusalCode.REQUEST_CONFLICT: RefusalRule(
        status=HTTPStatus.CONFLICT, remedy="give every signed request an id (jti) of its own"
    ),
    RefusalCode.ENCRYPTION_KEY_UNACCEPTABLE: RefusalRule(
        status=HTTPStatus.UNPROCESSABLE_ENTITY,
        remedy="name your own certificate for result encryption, in date, under the operators' root",
    ),
    RefusalCode.PROFILE_NOT_OFFERED: RefusalRule(
        status=HTTPStatus.BAD_REQUEST, remedy="ask for the profile ietf (the default) or deployed"
    ),
    RefusalCode.NOT_EXPORTABLE: RefusalRule(
        status=HTTPStatus.GONE,
        remedy="export a result while its evidence is kept (the PVA's setting evidence_days)",
    ),
    RefusalCode.POLICY_FAULTY: RefusalRule(
        status=HTTPStatus.UNPROCESSABLE_ENTITY,
        remedy="correct the lines that it names, and check it again (pva policy check FILE)",
    ),
    RefusalCode.POLICY_STATE: RefusalRule(
        status=HTTPStatus.CONFLICT, remedy="look where it stands: pva policy list"
    ),
    RefusalCode.TOO_MANY_POLICIES: RefusalRule(
        status=HTTPStatus.CONFLICT,
        remedy="retire one that is not needed, or put several statements into one policy",
    ),
    RefusalCode.ORDER_MISMATCH: RefusalRule(
        status=HTTPStatus.FORBIDDEN,
        remedy="ask for approvals on the result of your own signed request with this order's digest",
    ),
    RefusalCode.RESULT_EXPIRED: RefusalRule(
        status=HTTPStatus.CONFLICT, remedy="have the device validated again with a new signed request"
    ),
    RefusalCode.RESULT_NOT_AFFIRMING: RefusalRule(
        status=HTTPStatus.FORBIDDEN,
        remedy="no state of this platform is approved: do what the findings of the result advise first",
    ),
    RefusalCode.RESULT_SUPERSEDED: RefusalRule(
        status=HTTPStatus.CONFLICT, remedy="have the device validated again: it changed since this result"
    ),
    RefusalCode.ORDER_CLOSED: RefusalRule(
        status=HTTPStatus.CONFLICT,
        remedy="what was approved for this order is spent; the subscriber needs a new order",
    ),
    RefusalCode.CONCURRENT_CHANGE: RefusalRule(
        status=HTTPStatus.SERVICE_UNAVAILABLE, remedy="wait as Retry-After says, then ask again"
    ),
    RefusalCode.UPDATE_NOT_ANNOUNCEABLE: RefusalRule(
        status=HTTPStatus.CONFLICT,
        remedy="announce a manifest that names its predecessor, once administrators have approved it",
    ),
    RefusalCode.UPDATE_NOT_ANNOUNCED: RefusalRule(
        status=HTTPStatus.FORBIDDEN, remedy="wait until the supplier announces the update to this PVA"
    ),
    RefusalCode.UPDATE_PAUSED: RefusalRule(
        status=HTTPStatus.CONFLICT, remedy="wait until the supplier resumes the update"
    ),
    RefusalCode.UPDATE_NOT_YET: RefusalRule(
        status=HTTPStatus.CONFLICT, remedy="wait until the supplier widens the share of devices"
    ),
    RefusalCode.UPDATE_NO_SUCCESSOR: RefusalRule(
        status=HTTPStatus.FORBIDDEN,
        remedy="name the manifest that follows the device's own release and is for its model",
    ),
    RefusalCode.UPDATES_ABANDONED: RefusalRule(
        status=HTTPStatus.CONFLICT,
        remedy="have the device follow one of the announced updates first, which raises its counter",
    ),
    RefusalCode.ROLLOUT_CONFLICT: RefusalRule(
        status=HTTPStatus.CONFLICT,
        remedy="widen the roll-out to more devices, or pause it; what was given is not taken back",
    ),
    RefusalCode.ROOT_UNACCEPTABLE: RefusalRule(
        status=HTTPStatus.UNPROCESSABLE_ENTITY,
        remedy="send one self-signed CA certificate (PEM), in date, with keyCertSign",
    ),
    RefusalCode.SUPPLIER_CONFLICT: RefusalRule(
        status=HTTPStatus.CONFLICT,
        remedy="recognise another name, or use the root that is already recognised",
    ),
    RefusalCode.MANIFEST_UNTRUSTED: RefusalRule(status=HTTPStatus.FORBIDDEN, remedy=_SUPPLIER),
    RefusalCode.MANIFEST_UNSIGNED: RefusalRule(status=HTTPStatus.FORBIDDEN, remedy=_SUPPLIER),
    RefusalCode.MANIFEST_WRONG_PURPOSE: RefusalRule(
        status=HTTPStatus.FORBIDDEN,
        remedy="sign the manifest with a certificate that the ES root issued for signing manifests",
    ),
    RefusalCode.MANIFEST_MALFORMED: RefusalRule(status=HTTPStatus.BAD_REQUEST, remedy=_SUPPLIER),
    RefusalCode.MANIFEST_WRONG_VENDOR: RefusalRule(status=HTTPStatus.FORBIDDEN, remedy=_SUPPLIER),
    RefusalCode.MANIFEST_WRONG_MODEL: RefusalRule(
        status=HTTPStatus.FORBIDDEN,
        remedy="have the model recognised for this supplier first, or correct the manifest's model",
    ),
    RefusalCode.MANIFEST_FORBIDDEN_PCR: RefusalRule(
        status=HTTPStatus.UNPROCESSABLE_ENTITY,
        remedy="give reference values only for PCRs that software cannot reset and IMA does not extend",
    ),
    RefusalCode.MANIFEST_UNQUOTED_PCR: RefusalRule(
        status=HTTPStatus.UNPROCESSABLE_ENTITY,
        remedy="leave the register out, or add it to the PVA's `pcr_selection`",
    ),
    RefusalCode.MANIFEST_INCONSISTENT: RefusalRule(
        status=HTTPStatus.UNPROCESSABLE_ENTITY,
        remedy="list every extended event of the PCR from position 0, so that they replay to its register",
    ),
    RefusalCode.MANIFEST_CONFLICT: RefusalRule(
        status=HTTPStatus.CONFLICT, remedy="raise the manifest's security version (svn), then sign it again"
    ),
    RefusalCode.MANIFEST_PREDECESSOR_UNKNOWN: RefusalRule(
        status=HTTPStatus.CONFLICT, remedy="import the predecessor first, in the form whose digest is named"
    ),
    RefusalCode.MANIFEST_FORK: RefusalRule(
        status=HTTPStatus.CONFLICT,
        remedy="name the newest manifest of the line as the predecessor; one that nobody approved yet gives up its "
        "place when it is retired",
    ),
    RefusalCode.MANIFEST_OTHER_LINE: RefusalRule(
        status=HTTPStatus.CONFLICT,
        remedy="sign the manifest with its predecessor's line, or without a predecessor to begin a line",
    ),
    RefusalCode.MANIFEST_SVN_FALLS: RefusalRule(
        status=HTTPStatus.CONFLICT, remedy="sign the manifest with a security version (svn) that is not lower"
    ),
    RefusalCode.MANIFEST_MODELS_WIDENED: RefusalRule(
        status=HTTPStatus.CONFLICT,
        remedy="leave the added models to a manifest of their own, without a predecessor",
    ),
    RefusalCode.MANIFEST_LINE_TOO_LONG: RefusalRule(
        status=HTTPStatus.CONFLICT,
        remedy="begin a new line: a manifest without a predecessor, and Platform Credentials that name it",
    ),
    RefusalCode.MANIFEST_RETIRED: RefusalRule(
        status=HTTPStatus.CONFLICT, remedy="have the supplier sign another manifest, and import that one"
    ),
    RefusalCode.PROPOSAL_DONE: RefusalRule(
        status=HTTPStatus.CONFLICT,
        remedy="undo what it did: suspend the supplier, import a newer list, or suspend again what was lifted",
    ),
    RefusalCode.APPROVER_NOT_ANOTHER: RefusalRule(
        status=HTTPStatus.CONFLICT,
        remedy=SameApproverError.remedy,
    ),
    RefusalCode.APPROVER_NOT_INDEPENDENT: RefusalRule(
        status=HTTPStatus.CONFLICT, remedy=DependentApproverError.remedy
    ),
    RefusalCode.APPROVER_ORIGIN_UNKNOWN: RefusalRule(
        status=HTTPStatus.CONFLICT, remedy=UnknownOriginError.remedy
    ),
    RefusalCode.TRUST_LIST_UNTRUSTED: RefusalRule(
        status=HTTPStatus.FORBIDDEN,
        remedy="sign the list with a certificate for trust lists under a root that `trust_lists` of the PVA's settings "
        "names for this issuer",
    ),
    RefusalCode.TRUST_LIST_OUT_OF_TIME: RefusalRule(
        status=HTTPStatus.FORBIDDEN,
        remedy="sign a new list with a higher sequence number, and look at both clocks",
    ),
    RefusalCode.TRUST_LIST_ROLLED_BACK: RefusalRule(
        status=HTTPStatus.CONFLICT, remedy="sign the list with a higher sequence number"
    ),
}
