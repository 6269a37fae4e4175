"""What the responder answers, from bytes to bytes (RFC 6960, RFC 9919, RFC 9654).

The one rule: `good` is said only about a certificate that the CA's change feed has reported, by a store that
was in step with that feed a short time ago; in every doubt the answer is an error status, never `good`.

How old the store may be
    `as_of` is the moment at which the responder last was level with the CA's feed. Ordinarily it lies less
    than a second back, and is the thisUpdate of the answers: the latest time at which the status is known to
    have been right. While the CA is away, `as_of` stands still. Answers keep their full worth until they are
    half used up; past that the operator's policy speaks: up to `feed_age_max` the store is relied on and
    thisUpdate is the present, past it every answer that could change is `tryLater`. A revocation for good
    cannot change any more and is answered whatever the age of the store.

Several issuers in one request
    Each CertID is answered under its own issuer. One response has one signer, the delegate of the first
    issuer that is served here; whoever has not configured this responder as an authority must not take its
    word for certificates of other issuers (RFC 6960 section 4.2.2.2), and asks for them separately.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from enum import Enum
from typing import Protocol

from edge.database_faults import DatabaseUnavailableError
from ocsp.delegates import Delegate, DelegateDirectory, Issuer
from ocsp.responses import Answer, SingleResponse, basic_response, error_response
from ocsp.signed_answers import Saying, SignedAnswers
from standards.pki.crl import Revocation, RevocationReason
from standards.pki.errors import DecodeError
from standards.pki.ocsp import CertId, OcspRequest, ResponseStatus, decode_request

LIFETIME_MAX = timedelta(minutes=5)
LIFETIME_MIN = timedelta(seconds=4)
UNKNOWN_LIFETIME = timedelta(seconds=30)
"""A certificate that is unknown now may be issued in a moment."""
_NEVER_ISSUED = Revocation(reason=RevocationReason.CERTIFICATE_HOLD, at=datetime(1970, 1, 1, tzinfo=UTC))


class NeverIssued(Enum):
    """What is said about serial numbers that were never issued (O9)."""

    UNKNOWN = "unknown"
    REVOKED = "revoked"


@dataclass(frozen=True, slots=True, kw_only=True)
class AnswerPolicy:
    """How long answers live, how old the store may be, and what is said about what was never issued."""

    lifetime: timedelta = LIFETIME_MAX
    unknown_lifetime: timedelta = UNKNOWN_LIFETIME
    feed_age_max: timedelta = timedelta(minutes=15)
    never_issued: NeverIssued = NeverIssued.UNKNOWN
    # CA id -> when its key was no longer its own alone: whatever is signed by it is revoked from then on (O21).
    compromised: Mapping[str, datetime] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if not LIFETIME_MIN <= self.unknown_lifetime <= self.lifetime <= LIFETIME_MAX:
            raise ValueError(
                f"expected {LIFETIME_MIN} <= unknown lifetime <= lifetime <= {LIFETIME_MAX}, "
                f"got {self.unknown_lifetime} and {self.lifetime}"
            )


DEFAULT_POLICY = AnswerPolicy()


class StatusStore(Protocol):
    """What the responder has to know; it is filled from the CA's change feed."""

    def as_of(self) -> datetime | None:
        """When the store was last level with the CA's feed, None if never."""

    def statuses(self, issuer: str, serials: Sequence[int]) -> Mapping[int, Revocation | None]:
        """Of the asked serials of the CA `issuer` those that were issued, with their revocation."""


def respond(
    request: bytes,
    *,
    now: datetime,
    status_store: StatusStore,
    delegates: DelegateDirectory,
    policy: AnswerPolicy = DEFAULT_POLICY,
) -> bytes:
    """Answer any bytes with a DER OCSPResponse; never raises."""
    return answer(request, now=now, status_store=status_store, delegates=delegates, policy=policy).der


def answer(
    request: bytes,
    *,
    now: datetime,
    status_store: StatusStore,
    delegates: DelegateDirectory,
    policy: AnswerPolicy = DEFAULT_POLICY,
    signed: SignedAnswers | None = None,
) -> Answer:
    """Like `respond`, with what HTTP has to know beside the bytes; never raises.

    Answers without a nonce are taken from `signed` where it has them, and are kept there.
    """
    try:
        # 1 decode the request
        asked = decode_request(request)
        # 2 find the issuers
        issuers = {each: delegates.find(each) for each in asked.cert_ids}
        served = [issuer for issuer in issuers.values() if issuer is not None]
        if not served:
            return _refusal(ResponseStatus.UNAUTHORIZED)  # L6
        # 3 choose the delegate that signs
        delegate = next((each.delegate for each in served if _can_sign(each, at=now)), None)
        if delegate is None:
            return _refusal(ResponseStatus.TRY_LATER)
        # 4 look the statuses up
        as_of = status_store.as_of()
        facts = _lookup(issuers, status_store, compromised=policy.compromised)
        # 5 judge how long they hold, or admit that they are too old
        until = _whole_second(delegate.certificate.not_valid_after_utc)
        singles = [
            _judge(each, facts[each], now=now, as_of=as_of, until=until, policy=policy)
            for each in asked.cert_ids
        ]
        if None in singles:
            return _refusal(ResponseStatus.TRY_LATER)
        # 6 sign the answer, or give the one that was signed a moment ago
        told = [each for each in singles if each is not None]
        extended_revoke = any(each.says_never_issued(policy) for each in facts.values())
        return _signed(
            told, asked=asked, delegate=delegate, extended_revoke=extended_revoke, now=now, signed=signed
        )
    except Exception as error:  # noqa: BLE001  # whatever fails in here, the client gets an OCSP answer
        return _refusal(_status_of(error), error)


def _signed(
    told: Sequence[SingleResponse],
    *,
    asked: OcspRequest,
    delegate: Delegate,
    extended_revoke: bool,
    now: datetime,
    signed: SignedAnswers | None,
) -> Answer:
    said = Saying(
        singles=tuple((each.cert_id.der, each.known, each.revocation) for each in told),
        delegate=delegate.certificate,
        preferred=asked.preferred,
        extended_revoke=extended_revoke,
    )
    if signed is not None and asked.nonce is None:
        found = signed.find(said, now=now)
        if found is not None:
            return found
    der = basic_response(
        told,
        delegate=delegate,
        produced_at=_whole_second(now),
        nonce=asked.nonce,
        extended_revoke=extended_revoke,
        preferred=asked.preferred,
    )
    made = _success(der, told, nonce=asked.nonce is not None)
    if signed is not None and asked.nonce is None:
        signed.keep(said, made)
    return made


def _refusal(status: ResponseStatus, error: Exception | None = None) -> Answer:
    return Answer(der=error_response(status), status=status, error=error)


def _status_of(error: Exception) -> ResponseStatus:
    if isinstance(error, DecodeError):
        return ResponseStatus.MALFORMED_REQUEST
    if isinstance(error, DatabaseUnavailableError):  # its store is away for a moment, not lost
        return ResponseStatus.TRY_LATER
    return ResponseStatus.INTERNAL_ERROR


def _can_sign(issuer: Issuer, *, at: datetime) -> bool:
    return issuer.delegate is not None and issuer.delegate.usable(at=at)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Fact:
    """What is known about a CertID: is its issuer served here, was it issued, was it revoked."""

    served: bool
    issued: bool = False
    revocation: Revocation | None = None

    @property
    def final(self) -> bool:
        """Whether nothing can change it any more: revoked, and not on hold."""
        return self.revocation is not None and self.revocation.reason is not RevocationReason.CERTIFICATE_HOLD

    def says_never_issued(self, policy: AnswerPolicy) -> bool:
        """Whether `revoked` stands for "never issued" in its answer (RFC 6960 section 2.2)."""
        return self.served and not self.issued and policy.never_issued is NeverIssued.REVOKED


def _lookup(
    issuers: Mapping[CertId, Issuer | None], store: StatusStore, *, compromised: Mapping[str, datetime]
) -> dict[CertId, _Fact]:
    """What the store knows about the asked certificates; one question a CA.

    Of a compromised CA every serial number is one that may have been issued, and is revoked.
    """
    asked: dict[str, list[CertId]] = {}
    facts = {cert_id: _Fact(served=issuer is not None) for cert_id, issuer in issuers.items()}
    for cert_id, issuer in issuers.items():
        if issuer is not None:
            asked.setdefault(issuer.ca_id, []).append(cert_id)
    for ca_id, cert_ids in asked.items():
        statuses = store.statuses(ca_id, [each.serial for each in cert_ids])
        for cert_id in cert_ids:
            if cert_id.serial in statuses:
                facts[cert_id] = _Fact(served=True, issued=True, revocation=statuses[cert_id.serial])
            if ca_id in compromised and not facts[cert_id].final:
                lost = Revocation(reason=RevocationReason.CA_COMPROMISE, at=compromised[ca_id])
                facts[cert_id] = _Fact(served=True, issued=True, revocation=lost)
    return facts


def _judge(
    cert_id: CertId,
    fact: _Fact,
    *,
    now: datetime,
    as_of: datetime | None,
    until: datetime,
    policy: AnswerPolicy,
) -> SingleResponse | None:
    """The status to tell and for how long, None where the store is too old to tell one."""
    lifetime = policy.lifetime if fact.issued else policy.unknown_lifetime
    known_at = now if fact.final or not fact.served else as_of
    if known_at is None or now - known_at > policy.feed_age_max:
        return None
    # Within its first half of life the honest time, past it the operator's policy (see above).
    this_update = min(known_at, now) if (now - known_at) * 2 <= lifetime else now
    never_issued = fact.says_never_issued(policy)
    return SingleResponse(
        cert_id=cert_id,
        known=fact.issued or never_issued,
        revocation=_NEVER_ISSUED if never_issued else fact.revocation,
        this_update=_whole_second(this_update),
        next_update=min(_whole_second(this_update) + lifetime, until),
    )


def _success(der: bytes, singles: Sequence[SingleResponse], *, nonce: bool) -> Answer:
    return Answer(
        der=der,
        status=ResponseStatus.SUCCESSFUL,
        nonce=nonce,
        this_update=max(each.this_update for each in singles),
        next_update=min(each.next_update for each in singles),
    )


def _whole_second(at: datetime) -> datetime:
    return at.replace(microsecond=0)
