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
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from enum import Enum
from typing import Protocol

from edge.database_faults import DatabaseUnavailableError
from ocsp.delegates import Delegate, DelegateDirectory, Issuer
from ocsp.responses import Answer, SingleResponse, basic_response, error_response
from ocsp.signed_answers import Saying, SignedAnswers
from ocsp.single_extensions import NOTHING_MORE, SingleExtensions
from standards.pki.crl import Revocation, RevocationReason
from standards.pki.errors import DecodeError
from standards.pki.ocsp import CertId, OcspRequest, ResponseStatus, decode_request
from standards.pki.ocsp_plain import read_plain_request

LIFETIME_MAX = timedelta(minutes=5)
LIFETIME_MIN = timedelta(seconds=4)
UNKNOWN_LIFETIME = timedelta(seconds=30)
"""A certificate that is unknown now may be issued in a moment."""
_NOTHING = timedelta(0)
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
    single_extensions: SingleExtensions = NOTHING_MORE

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
    request: bytes | OcspRequest,
    *,
    now: datetime,
    status_store: StatusStore,
    delegates: DelegateDirectory,
    policy: AnswerPolicy = DEFAULT_POLICY,
    signed: SignedAnswers | None = None,
) -> Answer:
    """Like `respond`, with what HTTP has to know beside the bytes; never raises.

    `request` is octets, or a request that was read already. Answers without a nonce are taken from `signed` where it has them, and are kept there.
    """
    try:
        # 1 decode the request
        asked = (
            request
            if isinstance(request, OcspRequest)
            else read_plain_request(request) or decode_request(request)
        )
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
        if policy.single_extensions is not NOTHING_MORE:
            told = _extended(told, issuers, policy.single_extensions, produced_at=_whole_second(now))
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
    if signed is None or asked.nonce is not None:
        return _made(told, asked=asked, delegate=delegate, extended_revoke=extended_revoke, now=now)
    said = Saying(
        singles=tuple((each.cert_id.der, each.known, each.revocation) for each in told),
        delegate=delegate.certificate,
        preferred=asked.preferred,
        extended_revoke=extended_revoke,
    )
    found = signed.find(said, now=now)
    if found is not None:
        return found
    made = _made(told, asked=asked, delegate=delegate, extended_revoke=extended_revoke, now=now)
    signed.keep(said, made)
    return made


def _made(
    told: Sequence[SingleResponse],
    *,
    asked: OcspRequest,
    delegate: Delegate,
    extended_revoke: bool,
    now: datetime,
) -> Answer:
    der = basic_response(
        told,
        delegate=delegate,
        produced_at=_whole_second(now),
        nonce=asked.nonce,
        extended_revoke=extended_revoke,
        preferred=asked.preferred,
    )
    return Answer(
        der=der,
        status=ResponseStatus.SUCCESSFUL,
        nonce=asked.nonce is not None,
        this_update=max([each.this_update for each in told]),
        next_update=min([each.next_update for each in told]),
    )


def _extended(
    told: Sequence[SingleResponse],
    issuers: Mapping[CertId, Issuer | None],
    extensions: SingleExtensions,
    *,
    produced_at: datetime,
) -> list[SingleResponse]:
    """With what the operator wants said beside each status (O14, O15, O16)."""
    extended = []
    for each in told:
        issuer = issuers[each.cert_id]
        more = extensions.said(
            None if issuer is None else issuer.ca_id, each.revocation, produced_at=produced_at
        )
        extended.append(replace(each, extensions=more))
    return extended


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
    if len(issuers) == 1:
        ((cert_id, issuer),) = issuers.items()
        if issuer is not None:
            statuses = store.statuses(issuer.ca_id, (cert_id.serial,))
            return {cert_id: _fact(cert_id, statuses, lost_at=compromised.get(issuer.ca_id))}
    asked: dict[str, list[CertId]] = {}
    facts = {cert_id: _Fact(served=issuer is not None) for cert_id, issuer in issuers.items()}
    for cert_id, issuer in issuers.items():
        if issuer is not None:
            asked.setdefault(issuer.ca_id, []).append(cert_id)
    for ca_id, cert_ids in asked.items():
        statuses = store.statuses(ca_id, [each.serial for each in cert_ids])
        facts |= {each: _fact(each, statuses, lost_at=compromised.get(ca_id)) for each in cert_ids}
    return facts


def _fact(cert_id: CertId, statuses: Mapping[int, Revocation | None], *, lost_at: datetime | None) -> _Fact:
    """What is known about a certificate of a served CA, whose key was lost at `lost_at`, if it was."""
    issued = cert_id.serial in statuses
    fact = _Fact(served=True, issued=issued, revocation=statuses.get(cert_id.serial))
    if lost_at is None or fact.final:
        return fact
    lost = Revocation(reason=RevocationReason.CA_COMPROMISE, at=lost_at)
    return _Fact(served=True, issued=True, revocation=lost)


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
    if known_at is None:
        return None
    age = now - known_at
    if age > policy.feed_age_max:
        return None
    # Within its first half of life the honest time, past it the operator's policy (see above).
    this_update = _whole_second(now if age < _NOTHING or age * 2 > lifetime else known_at)
    next_update = this_update + lifetime
    never_issued = fact.says_never_issued(policy)
    return SingleResponse(
        cert_id=cert_id,
        known=fact.issued or never_issued,
        revocation=_NEVER_ISSUED if never_issued else fact.revocation,
        this_update=this_update,
        next_update=min(next_update, until),
    )


def _whole_second(at: datetime) -> datetime:
    return at.replace(microsecond=0)
