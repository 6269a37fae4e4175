"""Use case: an operator asks for a validation of a device; the device fetches a challenge; the operator reads.

Rule: an operator sees what it asked for itself and nothing else; a challenge is a signed token of which nothing
is stored, so asking for one costs no memory and changes nothing. No relying party can keep a device from another: of
each only the oldest request waits for its turn, lots are drawn between them, and a request that no TRE could answer is
refused when it is made.

    pending --(result recorded)--> completed          pending --(time)--> expired
A refused try leaves the request pending: whoever answers badly in a device's place must not end its validation.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
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
    RECOVERY,
    Challenge,
    ImaOffset,
    read_claims,
)
from messages.errors import MessageError
from pva.appraisal.continuity import DeviceHistory
from pva.appraisal.known import IssuedChallenges
from pva.refusals import RefusalCode, RefusalError
from standards.pki.jws import jws_length, sign_jws

REQUEST_ID_BYTES = 16
LOT_BYTES = 8
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
class RelyingParty:
    """Whose request it is: `role` sho or dpf, `tenant` its id, `name` who asked in its name, for the record."""

    role: str
    tenant: str
    name: str


@dataclass(frozen=True, slots=True, kw_only=True)
class SignedOrigin:
    """The signed request that a request on record came from.

    `content` is a digest of its claims (a signature can be rewritten by anybody); `encrypt_to` a DER certificate of
    the signer for answers that are relayed, `ends_at` when the signer's own question ends.
    """

    jti: str
    token: str
    content: bytes
    encrypt_to: bytes | None
    ends_at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class ValidationRequest(ValidationWish):
    """A wish on record; `party` whose it is; `origin` where it was signed, None where it was asked directly."""

    id: str
    party: RelyingParty
    origin: SignedOrigin | None
    created_at: datetime
    expires_at: datetime

    @property
    def tenant(self) -> str:
        """Whose it is."""
        return self.party.tenant


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
    """A request with what came of it: the signed result once completed, and the refused tries.

    `passes` says whether the result permits the release of a subscription, None without a result.
    """

    request: ValidationRequest
    state: RequestState
    result: str | None
    passes: bool | None
    refusals: tuple[RecordedRefusal, ...]


class RequestStore(Protocol):
    """What this use case needs of a store; each call is one transaction."""

    def add_request(
        self, request: ValidationRequest, *, pending_max: int, relay: str | None = None
    ) -> ValidationRequest:
        """Add a request and its audit leaf, and note the relay that brought it; the request that is on record now.

        A signed request that is there already (same party, same `jti`, same content) is the one on record. Raises
        RefusalError: this `jti` with other content, a nonce that the party used before, or `pending_max` open for
        the device.
        """

    def oldest_of_each(self, device_id: str, *, at: datetime) -> Sequence[ValidationRequest]:
        """Of each relying party the oldest request of each purpose that has neither result nor expired, oldest first.

        Purposes wait apart: a device whose credential is on hold answers for its recovery alone.
        """

    def device_history(self, device_id: str) -> DeviceHistory | None:
        """What was seen of a device before."""

    def progress(self, request_id: str, *, role: str, tenant: str, at: datetime) -> RequestProgress | None:
        """A relying party's own request and what came of it."""

    def relayed_progress(self, request_id: str, *, relay: str, at: datetime) -> RequestProgress | None:
        """A request that this relay handed in, and what came of it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ChallengeSigner:
    """The key that signs challenges, its certificate path (leaf first, no root), and the PVA's name as issuer."""

    key: EllipticCurvePrivateKey
    chain: Sequence[x509.Certificate]
    issuer: str


@dataclass(frozen=True, slots=True, kw_only=True)
class RequestDesk:
    """The use case and what it works with: how long requests and challenges live, and what is asked for.

    `ima_policy` gives the digest of the appraisal policy now, where devices are asked for new entries of their IMA lists alone: what
    was judged by another policy is asked for again. None where they are asked for whole lists.
    """

    store: RequestStore
    signer: ChallengeSigner
    random_bytes: RandomBytes
    pcr_selections: Mapping[int, tuple[int, ...]]
    request_life: timedelta
    challenge_life: timedelta
    pending_max: int = 8
    ima: bool = False
    issued: IssuedChallenges | None = None
    ima_policy: Callable[[], bytes] | None = None

    def ask(self, wish: ValidationWish, *, tenant: str, requester: str, at: datetime) -> ValidationRequest:
        """Record a home operator's direct request for a look at a device; an order needs a signed request.

        Raises RefusalError: a wish with an order, and whatever `enter` refuses.
        """
        if wish.order_digest is not None:
            raise RefusalError(
                RefusalCode.ORDER_NEEDS_SIGNATURE,
                subject="order of the validation request",
                reason="an order is validated only for the signature of its operator",
            )
        asked, _ = self.enter(wish, party=RelyingParty(role="sho", tenant=tenant, name=requester), at=at)
        return asked

    def enter(
        self,
        wish: ValidationWish,
        *,
        party: RelyingParty,
        at: datetime,
        origin: SignedOrigin | None = None,
        relay: str | None = None,
    ) -> tuple[ValidationRequest, bool]:
        """Record a relying party's request, or find it on record where it was signed and came before.

        Returns the request on record, and whether it is new. Raises RefusalError: what `compose` refuses, and whatever
        the store refuses.
        """
        request = self.compose(wish, party=party, origin=origin, at=at)
        recorded = self.store.add_request(request, pending_max=self.pending_max, relay=relay)
        return recorded, recorded.id == request.id

    def compose(
        self, wish: ValidationWish, *, party: RelyingParty, at: datetime, origin: SignedOrigin | None = None
    ) -> ValidationRequest:
        """A relying party's request as it would be recorded.

        Raises RefusalError: a purpose that is not offered, an audience without the party, a wish that fits into no
        challenge.
        """
        if wish.purpose not in PURPOSES:
            raise RefusalError(
                RefusalCode.PURPOSE_NOT_OFFERED,
                subject="purpose",
                reason=f"expected {' or '.join(sorted(PURPOSES))}, got another",
            )
        if wish.purpose == RECOVERY and wish.order_digest is not None:
            raise RefusalError(
                RefusalCode.PURPOSE_NOT_OFFERED,
                subject="purpose",
                reason="a recovery permits nothing, so it is for no order",
            )
        if party.tenant not in wish.audience:
            raise RefusalError(
                RefusalCode.AUDIENCE_WITHOUT_CALLER,
                subject="audience of the validation request",
                reason=f"expected {party.tenant!r} among the names: a result is for who asked, and for whom it names",
            )
        ends_at = at + self.request_life
        request = ValidationRequest(
            id=self.random_bytes(REQUEST_ID_BYTES).hex(),
            party=party,
            origin=origin,
            device_id=wish.device_id,
            purpose=wish.purpose,
            rp_nonce=wish.rp_nonce,
            order_digest=wish.order_digest,
            audience=wish.audience,
            created_at=at,
            expires_at=ends_at if origin is None else min(ends_at, origin.ends_at),
        )
        self._refuse_unanswerable(request, at=at)
        return request

    def challenge(self, device_id: str, *, at: datetime) -> str:
        """A signed challenge for a pending request of a device: whose, is drawn by lot where several parties wait.

        Raises RefusalError if nobody waits.
        """
        waiting = self.store.oldest_of_each(device_id, at=at + CHALLENGE_LIFE_MIN)
        if not waiting:
            raise RefusalError(
                RefusalCode.NO_VALIDATION_PENDING,
                subject=f"device {device_id}",
                reason="no operator waits for a validation of this device",
            )
        challenge = replace(
            self._challenge(self._drawn(waiting), at=at), ima_after=self._ima_after(device_id)
        )
        token = self._signed(challenge)
        if self.issued is not None:
            self.issued.note_token(token, challenge)
        return token

    def _ima_after(self, device_id: str) -> ImaOffset | None:
        """What is known of the IMA list of the boot that a device was last seen in."""
        history = None if self.ima_policy is None else self.store.device_history(device_id)
        known = None if history is None else history.ima
        if known is None or self.ima_policy is None or known.policy != self.ima_policy():
            return None
        return ImaOffset(count=known.count, reset_count=known.reset_count, restart_count=known.restart_count)

    def _drawn(self, waiting: Sequence[ValidationRequest]) -> ValidationRequest:
        """One of them; a request that its TRE will not answer then holds up another party's by chance, never for good."""
        if len(waiting) == 1:
            return waiting[0]
        return waiting[int.from_bytes(self.random_bytes(LOT_BYTES), "big") % len(waiting)]

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
            ima=self.ima,
        )

    def _signed(self, challenge: Challenge) -> str:
        return sign_jws(challenge.claims(), key=self.signer.key, chain=self.signer.chain, typ=CHALLENGE_TYPE)

    def _refuse_unanswerable(self, request: ValidationRequest, *, at: datetime) -> None:
        """Read the challenge of a request as a TRE will, before the request can wait for an answer."""
        claims = self._challenge(request, at=at).claims()
        try:
            read_claims(claims)
            fault = None
        except MessageError as error:
            fault = str(error)
        signer = self.signer
        length = jws_length(claims, key=signer.key, chain=signer.chain, typ=CHALLENGE_TYPE)
        if fault is None and length > CHALLENGE_BYTES_MAX:
            fault = f"expected names that fit into a challenge of {CHALLENGE_BYTES_MAX} characters, got longer ones"
        if fault is not None:
            raise RefusalError(RefusalCode.REQUEST_UNANSWERABLE, subject="validation request", reason=fault)

    def progress(self, request_id: str, *, tenant: str, at: datetime) -> RequestProgress:
        """What came of a home operator's own request. Raises RefusalError where it has no such request."""
        progress = self.store.progress(request_id, role="sho", tenant=tenant, at=at)
        if progress is None:
            raise not_found()
        return progress


def not_found() -> RefusalError:
    """The refusal of a caller that has no such request."""
    return RefusalError(
        RefusalCode.NOT_FOUND,
        subject="validation request",
        reason="no request with this id belongs to the caller",
    )
