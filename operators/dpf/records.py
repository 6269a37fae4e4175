"""What the DPF keeps: authorisations, deliveries with their grants, receipts, and what was refused.

Rule: values only. The states, as tables that a person can check:

    authorisation   open --(grant)--> granted --(receipt: installed)--> installed
                    granted --(receipt: failed, a new try can mend it; or the grant ended)--> open    3 grants at most
                    granted --(receipt: failed otherwise; or the third grant is spent)--> closed
                    open, granted --(a new authorisation of the same order)--> closed
    delivery        validating --(gate)--> granted --(receipt, or its end)--> done
                    validating --(gate says no, or no result in time)--> refused
"""

from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum, unique

from messages.statement import INSTALLED
from operators.dpf.gate import AuthorizedParts

GRANTS_MAX = 3
RETRYABLE_OUTCOMES = frozenset({"state-refused", "storage"})
"""Outcomes of an installation that a new try, with a new fresh validation, can mend."""


@unique
class AuthorizationStatus(StrEnum):
    """Where an authorisation stands."""

    OPEN = "open"
    GRANTED = "granted"
    INSTALLED = "installed"
    CLOSED = "closed"


@unique
class DeliveryStatus(StrEnum):
    """Where a delivery stands."""

    VALIDATING = "validating"
    GRANTED = "granted"
    REFUSED = "refused"
    DONE = "done"


def status_after(outcome: str, *, grants: int) -> AuthorizationStatus:
    """Where an authorisation stands after a receipt with this outcome; `grants` is how many were made."""
    if outcome == INSTALLED:
        return AuthorizationStatus.INSTALLED
    if outcome in RETRYABLE_OUTCOMES:
        return status_after_lapse(grants=grants)
    return AuthorizationStatus.CLOSED


def status_after_lapse(*, grants: int) -> AuthorizationStatus:
    """Where an authorisation stands when its grant ended without success that it knows of."""
    return AuthorizationStatus.OPEN if grants < GRANTS_MAX else AuthorizationStatus.CLOSED


@dataclass(frozen=True, slots=True, kw_only=True)
class RecordedRefusal:
    """One refusal of the gate."""

    at: datetime
    code: str
    subject: str
    reason: str
    remedy: str


@dataclass(frozen=True, slots=True, kw_only=True)
class AuthorizationRecord:
    """An accepted authorisation: `parts` as they came, `sho` whose, `grants` how many were made on it.

    `prior_owner` is whose MID the new one is to serve in place of, in a change of operator.
    """

    id: str
    sho: str
    jti: str
    device_id: str
    order_digest: bytes
    status: AuthorizationStatus
    grants: int
    accepted_at: datetime
    expires_at: datetime
    parts: AuthorizedParts = field(repr=False)
    prior_owner: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Grant:
    """One grant: bound to device, AK, order, result, package, DPF and SHO (A28); `delivery` is the signed token."""

    id: str
    authorization_id: str
    number: int
    delivery_id: str
    sho: str
    dpf: str
    device_id: str
    ak_name: bytes
    order_digest: bytes
    result_id: str
    package_digest: bytes
    delivery: str
    granted_at: datetime
    expires_at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class DeliveryRecord:
    """A delivery: the DPF's own question (`nonce`, `request` token) to `pva`, its id there, and what came of it."""

    id: str
    authorization_id: str
    device_id: str
    order_digest: bytes
    status: DeliveryStatus
    nonce: bytes
    pva: str
    request: str
    request_id: str | None
    pfc_chain: tuple[bytes, ...]
    fresh_result: str | None
    opened_at: datetime
    expires_at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class ReceiptRecord:
    """A proven receipt, as signed, on its way to the SHO and back; `instruction` is the SHO's token."""

    digest: bytes
    delivery_id: str
    authorization_id: str
    sho: str
    order_digest: bytes
    statement: bytes
    fresh_result: str
    outcome: str
    received_at: datetime
    forwarded_at: datetime | None
    instruction: str | None
