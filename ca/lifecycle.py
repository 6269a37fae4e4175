"""The states that a person can check: certificates, devices, enrolment sessions, CAs.

The one rule: a status row is never changed, a new one follows it; what may follow what is in these tables.

    certificate   good -> revoked(reason);  revoked(certificateHold) -> revoked(real reason)
                  revoked(certificateHold for results) -> good, once recovered and released (`ca.holds`)
    device        listed -> enrolled -> reopened -> enrolled
    session       open -> used | burned
    CA            pending -> active -> superseded -> revoked;  active -> revoked

A hold that a person set is replaced by a real reason, and not lifted here.
"""

from enum import StrEnum

from cryptography import x509

from ca.errors import ConflictError, InvalidInputError
from ca.profiles import PROFILES, Kind


class Status(StrEnum):
    """What the CA says of a certificate that it issued."""

    GOOD = "good"
    REVOKED = "revoked"


class Reason(StrEnum):
    """CRLReason, RFC 5280 section 5.3.1, by its names there; those of no use to this CA are left out."""

    KEY_COMPROMISE = "keyCompromise"
    CA_COMPROMISE = "cACompromise"
    AFFILIATION_CHANGED = "affiliationChanged"
    SUPERSEDED = "superseded"
    CESSATION_OF_OPERATION = "cessationOfOperation"
    CERTIFICATE_HOLD = "certificateHold"
    PRIVILEGE_WITHDRAWN = "privilegeWithdrawn"

    @property
    def flag(self) -> x509.ReasonFlags:
        """The same reason as the CRL builder wants it."""
        return x509.ReasonFlags(self.value)

    @property
    def code(self) -> int:
        """Number of the reason in a CRL entry and in an OCSP answer."""
        return REASON_CODES[self]


REASON_CODES: dict[Reason, int] = {
    Reason.KEY_COMPROMISE: 1,
    Reason.CA_COMPROMISE: 2,
    Reason.AFFILIATION_CHANGED: 3,
    Reason.SUPERSEDED: 4,
    Reason.CESSATION_OF_OPERATION: 5,
    Reason.CERTIFICATE_HOLD: 6,
    Reason.PRIVILEGE_WITHDRAWN: 9,
}

REASONS_REFUSED: dict[str, str] = {
    "unspecified": "unspecified(0) must not be given (RFC 5280, 5.3.1)",
    "removeFromCRL": "removeFromCRL(8) has a place in delta CRLs only",
    "aACompromise": "aACompromise(10) is for attribute authorities",
}


class DeviceState(StrEnum):
    """Where a device stands with the CA."""

    LISTED = "listed"
    ENROLLED = "enrolled"
    REOPENED = "reopened"


ENROLLABLE = frozenset({DeviceState.LISTED, DeviceState.REOPENED})
"""An EK enrols once, unless the supplier reopens it (D2)."""


class SessionState(StrEnum):
    """An enrolment session: one try."""

    OPEN = "open"
    USED = "used"
    BURNED = "burned"


class AuthorityState(StrEnum):
    """Whether a CA may sign; a superseded one signs CRLs and delegates of its responder only."""

    PENDING = "pending"
    ACTIVE = "active"
    SUPERSEDED = "superseded"
    REVOKED = "revoked"


def read_reason(text: str, *, kind: Kind, subject: str) -> Reason:
    """The reason named `text`, where a certificate of `kind` may be revoked for it; else InvalidInputError."""
    try:
        reason = Reason(text)
    except ValueError:
        fault = REASONS_REFUSED.get(text, f"{text[:40]!r} is no reason of RFC 5280 that this CA uses")
        raise _refused_reason(fault, kind=kind, subject=subject) from None
    if reason not in _reasons_of(kind):
        raise _refused_reason(f"{reason} is not for a {kind}", kind=kind, subject=subject)
    return reason


def check_revocation(*, subject: str, status: Status, held: Reason | None, asked: Reason) -> None:
    """Raise ConflictError unless a certificate in `status` (with the reason `held`) may be revoked for `asked`."""
    if status is Status.GOOD:
        return
    if held is Reason.CERTIFICATE_HOLD and asked is not Reason.CERTIFICATE_HOLD:
        return
    raise ConflictError(
        "already-revoked",
        subject=subject,
        detail=f"it is revoked already, with the reason {held}",
        remedy="nothing needs to be done; only a certificateHold can be replaced by another reason",
    )


def _reasons_of(kind: Kind) -> frozenset[Reason]:
    if PROFILES[kind].never_revoked:
        return frozenset()
    if PROFILES[kind].is_ca:
        return frozenset(Reason)
    return frozenset(Reason) - {Reason.CA_COMPROMISE}


def _refused_reason(fault: str, *, kind: Kind, subject: str) -> InvalidInputError:
    named = ", ".join(f"{reason}({reason.code})" for reason in Reason if reason in _reasons_of(kind))
    return InvalidInputError(
        "revocation-reason",
        subject=subject,
        detail=fault,
        remedy=f"give one of: {named}" if named else "let it expire, it is short-lived and has no status",
    )
