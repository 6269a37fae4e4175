"""What a status is worth at a moment: which is told, and for how long (RFC 6960 section 2.4, RFC 9919).

The one rule: `good` is said only about a certificate that the CA's change feed has reported, by a store that
was in step with that feed a short time ago; in every doubt nothing is said.

How old the store may be
    `as_of` is the moment at which the responder last was level with the CA's feed. Ordinarily it lies less
    than a second back, and is the thisUpdate of the answers: the latest time at which the status is known to
    have been right. While the CA is away, `as_of` stands still. Answers keep their full worth until they are
    half used up; past that the operator's policy speaks: up to `feed_age_max` the store is relied on and
    thisUpdate is the present, past it every answer that could change is `tryLater`. A revocation for good
    cannot change any more and is answered whatever the age of the store.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from enum import Enum
from typing import NamedTuple, Protocol

from ocsp.delegates import Issuer
from ocsp.responses import Told
from ocsp.single_extensions import NOTHING_MORE, SingleExtensions
from standards.pki.crl import Revocation, RevocationReason
from standards.pki.ocsp import CertId

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


class Fact(NamedTuple):
    """What is known about a CertID: is its issuer served here, was it issued, was it revoked."""

    served: bool
    issued: bool = False
    revocation: Revocation | None = None

    @property
    def final(self) -> bool:
        """Whether nothing can change it any more: revoked, and not on hold."""
        return self.revocation is not None and self.revocation.reason is not RevocationReason.CERTIFICATE_HOLD

    @property
    def never_issued(self) -> bool:
        """Whether it is known that the CA issued nothing of this number."""
        return self.served and not self.issued


_FOREIGN = Fact(served=False)
_NOT_ISSUED = Fact(served=True)
_GOOD = Fact(served=True, issued=True)


def look_up(
    cert_ids: Sequence[CertId],
    issuers: Sequence[Issuer | None],
    store: StatusStore,
    *,
    compromised: Mapping[str, datetime],
) -> list[Fact]:
    """What the store knows about the asked certificates; one question a CA.

    Of a compromised CA every serial number is one that may have been issued, and is revoked.
    """
    if len(cert_ids) == 1 and issuers[0] is not None:  # nearly always
        ca_id, serial = issuers[0].ca_id, cert_ids[0].serial
        return [_fact(serial, store.statuses(ca_id, (serial,)), lost_at=compromised.get(ca_id))]
    asked: dict[str, list[int]] = {}
    for cert_id, issuer in zip(cert_ids, issuers, strict=True):
        if issuer is not None:
            asked.setdefault(issuer.ca_id, []).append(cert_id.serial)
    statuses = {ca_id: store.statuses(ca_id, serials) for ca_id, serials in asked.items()}
    return [
        _FOREIGN
        if issuer is None
        else _fact(cert_id.serial, statuses[issuer.ca_id], lost_at=compromised.get(issuer.ca_id))
        for cert_id, issuer in zip(cert_ids, issuers, strict=True)
    ]


def _fact(serial: int, statuses: Mapping[int, Revocation | None], *, lost_at: datetime | None) -> Fact:
    """What is known about a certificate of a served CA, whose key was lost at `lost_at`, if it was."""
    if serial not in statuses:
        fact = _NOT_ISSUED
    else:
        revocation = statuses[serial]
        fact = _GOOD if revocation is None else Fact(served=True, issued=True, revocation=revocation)
    if lost_at is None or fact.final:
        return fact
    lost = Revocation(reason=RevocationReason.CA_COMPROMISE, at=lost_at)
    return Fact(served=True, issued=True, revocation=lost)


class Moment:
    """One moment of one store: what it tells of a status that is known by `as_of`, for all answers of that moment."""

    def __init__(self, now: datetime, *, as_of: datetime | None, policy: AnswerPolicy) -> None:
        """`as_of` is when the store was last level with the CA's feed, None if never."""
        self.now = now
        self.second = whole_second(now)
        self._as_of = as_of
        self._policy = policy
        self._judged: dict[tuple[Fact, datetime], Told | None] = {}

    def told(self, fact: Fact, *, until: datetime) -> Told | None:
        """The status to tell and for how long, at most `until`; None where the store is too old to tell one."""
        asked = (fact, until)
        if asked not in self._judged:
            self._judged[asked] = self._judge(fact, until=until)
        return self._judged[asked]

    def _judge(self, fact: Fact, *, until: datetime) -> Told | None:
        policy = self._policy
        lifetime = policy.lifetime if fact.issued else policy.unknown_lifetime
        known_at = self.now if fact.final or not fact.served else self._as_of
        if known_at is None:
            return None
        age = self.now - known_at
        if age > policy.feed_age_max:
            return None
        # Within its first half of life the honest time, past it the operator's policy (see above).
        this_update = self.second if age < _NOTHING or age * 2 > lifetime else whole_second(known_at)
        # `revoked` may stand for "never issued" (RFC 6960 section 2.2)
        never_issued = fact.never_issued and policy.never_issued is NeverIssued.REVOKED
        return Told(
            known=fact.issued or never_issued,
            revocation=_NEVER_ISSUED if never_issued else fact.revocation,
            this_update=this_update,
            next_update=min(this_update + lifetime, until),
        )


def whole_second(at: datetime) -> datetime:
    """The second in which `at` lies: OCSP has no smaller ones."""
    return at.replace(microsecond=0)
