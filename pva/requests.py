"""Use case: an operator asks for a validation of a device; the device fetches a challenge; the operator reads.

Rule: an operator sees what it asked for itself and nothing else; a challenge is a signed token of which nothing
is stored, so asking for one costs no memory and changes nothing. A device answers its oldest request first, so a request
that no TRE could answer is refused when it is made: it would stand in the way of everybody else's.

    pending --(result recorded)--> completed          pending --(time)--> expired
A refused try leaves the request pending: whoever answers badly in a device's place must not end its validation.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum, unique
from typing import Protocol

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric.ec import EllipticCurvePrivateKey

from edge.process import RandomBytes
from messages.binding import NONCE_SIZE
from messages.challenge import (
    CHALLENGE_BYTES_MAX,
    CHALLENGE_TYPE,
    PURPOSES,
    Challenge,
    read_claims,
)
from messages.errors import MessageError
from pva.refusals import RefusalCode, RefusalError
from standards.pki.jws import sign_jws

REQUEST_ID_BYTES = 16
CHALLENGE_LIFE_MIN = timedelta(seconds=1)
"""A request that ends sooner is not asked of a device any more: times in tokens are whole seconds."""


@unique
class RequestState(StrEnum):
    """Where a validation request stands; see the module's diagram."""

    PENDING = "pending"
    COMPLETED = "completed"
    EXPIRED = "expired"


@dataclass(frozen=True, slots=True, kw_only=True)
class ValidationWish:
    """What an operator asks for: `device_id` 64 hex digits, `rp_nonce` its own nonce, `audience` of the result."""

    device_id: str
    purpose: str
    rp_nonce: bytes
    order_digest: bytes | None
    audience: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class ValidationRequest(ValidationWish):
    """A wish on record; `tenant` whose it is, `requester` who asked."""

    id: str
    tenant: str
    requester: str
    created_at: datetime
    expires_at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class RecordedRefusal:
    """One refused try; `authenticated` when the device's own AK had answered before it was refused."""

    at: datetime
    code: str
    subject: str
    reason: str
    remedy: str
    authenticated: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class RequestProgress:
    """A request with what came of it: the signed result once completed, and the refused tries."""

    request: ValidationRequest
    state: RequestState
    result: str | None
    refusals: tuple[RecordedRefusal, ...]


class RequestStore(Protocol):
    """What this use case needs of a store; each call is one transaction."""

    def add_request(self, request: ValidationRequest, *, pending_max: int) -> None:
        """Add a request and its audit leaf.

        Raises RefusalError: the tenant used this nonce before, or has `pending_max` open for the device.
        """

    def oldest_pending(self, device_id: str, *, at: datetime) -> ValidationRequest | None:
        """The oldest request for a device that has neither result nor expired."""

    def progress(self, request_id: str, *, tenant: str, at: datetime) -> RequestProgress | None:
        """A tenant's own request and what came of it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ChallengeSigner:
    """The key that signs challenges, its certificate path (leaf first, no root), and the PVA's name as issuer."""

    key: EllipticCurvePrivateKey
    chain: Sequence[x509.Certificate]
    issuer: str


@dataclass(frozen=True, slots=True, kw_only=True)
class RequestDesk:
    """The use case and what it works with: how long requests and challenges live, and which PCRs are asked for."""

    store: RequestStore
    signer: ChallengeSigner
    random_bytes: RandomBytes
    pcr_selections: Mapping[int, tuple[int, ...]]
    request_life: timedelta
    challenge_life: timedelta
    pending_max: int = 8

    def ask(self, wish: ValidationWish, *, tenant: str, requester: str, at: datetime) -> ValidationRequest:
        """Record an operator's request for a validation of a device.

        Raises RefusalError: a purpose that is not offered, an audience without the caller, a wish that fits into
        no challenge, a nonce used before, too many open requests.
        """
        if wish.purpose not in PURPOSES:
            raise RefusalError(
                RefusalCode.PURPOSE_NOT_OFFERED,
                subject="purpose",
                reason=f"expected {' or '.join(sorted(PURPOSES))}, got another",
            )
        if tenant not in wish.audience:
            raise RefusalError(
                RefusalCode.AUDIENCE_WITHOUT_CALLER,
                subject="audience of the validation request",
                reason=f"expected {tenant!r} among the names: a result is for who asked, and for whom it names",
            )
        request = ValidationRequest(
            id=self.random_bytes(REQUEST_ID_BYTES).hex(),
            tenant=tenant,
            requester=requester,
            device_id=wish.device_id,
            purpose=wish.purpose,
            rp_nonce=wish.rp_nonce,
            order_digest=wish.order_digest,
            audience=wish.audience,
            created_at=at,
            expires_at=at + self.request_life,
        )
        self._refuse_unanswerable(request, at=at)
        self.store.add_request(request, pending_max=self.pending_max)
        return request

    def challenge(self, device_id: str, *, at: datetime) -> str:
        """A signed challenge for the oldest pending request of a device. Raises RefusalError if there is none."""
        request = self.store.oldest_pending(device_id, at=at + CHALLENGE_LIFE_MIN)
        if request is None:
            raise RefusalError(
                RefusalCode.NO_VALIDATION_PENDING,
                subject=f"device {device_id}",
                reason="no operator waits for a validation of this device",
            )
        return self._signed(self._challenge(request, at=at))

    def _challenge(self, request: ValidationRequest, *, at: datetime) -> Challenge:
        now = at.replace(microsecond=0)
        return Challenge(
            nonce=self.random_bytes(NONCE_SIZE),
            device_id=request.device_id,
            purpose=request.purpose,
            request_id=request.id,
            pcr_selections=self.pcr_selections,
            rp_nonce=request.rp_nonce,
            order_digest=request.order_digest,
            audience=request.audience,
            issuer=self.signer.issuer,
            issued_at=now,
            expires_at=min(now + self.challenge_life, request.expires_at.replace(microsecond=0)),
        )

    def _signed(self, challenge: Challenge) -> str:
        return sign_jws(challenge.claims(), key=self.signer.key, chain=self.signer.chain, typ=CHALLENGE_TYPE)

    def _refuse_unanswerable(self, request: ValidationRequest, *, at: datetime) -> None:
        """Read the challenge of a request as a TRE will, before the request can wait for an answer."""
        challenge = self._challenge(request, at=at)
        try:
            read_claims(challenge.claims())
            fault = None
        except MessageError as error:
            fault = str(error)
        if fault is None and len(self._signed(challenge)) > CHALLENGE_BYTES_MAX:
            fault = f"expected names that fit into a challenge of {CHALLENGE_BYTES_MAX} characters, got longer ones"
        if fault is not None:
            raise RefusalError(RefusalCode.REQUEST_UNANSWERABLE, subject="validation request", reason=fault)

    def progress(self, request_id: str, *, tenant: str, at: datetime) -> RequestProgress:
        """What came of a tenant's own request. Raises RefusalError where it has no such request."""
        progress = self.store.progress(request_id, tenant=tenant, at=at)
        if progress is None:
            raise RefusalError(
                RefusalCode.NOT_FOUND,
                subject="validation request",
                reason="no request with this id belongs to the caller",
            )
        return progress
