"""The reader of the CA's change feed and the keeper of delegations, against a CA in memory."""

from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta

import pytest
from cryptography import x509

from clients.ca_status import NOTHING_SUSPENDED, ChangePage, IssuingCa, StatusChange, Suspensions
from edge.http_client import UnreachableError
from ocsp.delegation import LIST_EVERY, RETRY_EVERY, DelegateKeeper, DelegationError, check_delegate
from ocsp.feed import PAUSE_FIRST, PAUSE_MAX, FeedReader
from ocsp.store import StoredDelegate
from standards.pki import oids
from standards.pki.fingerprints import ca_id, spki_sha256
from tests.fakes.ocsp import DELEGATE_EXTENSIONS
from tests.fakes.pki import EXPIRED, LEAF_USAGE, NOW, Authority, Validity, p256

CA = "0" * 32


@dataclass
class Clock:
    """A clock that goes when told to."""

    now: datetime = NOW

    def __call__(self) -> datetime:
        return self.now


@dataclass
class MemoryFeed:
    """A CA's feed of `length` changes, `page` at a time; takes a second to answer, and may be away."""

    clock: Clock
    length: int = 5
    page: int = 2
    away: bool = False
    life: int = 1
    meanwhile: int = 0
    asked: list[int] = field(default_factory=list)
    waited: list[int] = field(default_factory=list)

    def status_changes(self, *, after: int, level_with: Suspensions | None = None) -> ChangePage:
        self.asked.append(after)
        if level_with is not None:
            self.waited.append(after)
            self.length += self.meanwhile
        if self.away:
            raise UnreachableError("https://ca.invalid", reason="refused")
        self.clock.now += timedelta(seconds=1)
        last = min(after + self.page, self.length)
        changes = tuple(replace(change(seq), version=self.life) for seq in range(after + 1, last + 1))
        previous = replace(change(after), version=self.life) if 0 < after <= self.length else None
        return ChangePage(previous=previous, changes=changes, next=last, complete=last == self.length)


@dataclass
class MemoryChangeStore:
    """Satisfies `ocsp.feed.ChangeStore`."""

    place: int = 0
    applied: list[int] = field(default_factory=list)
    as_of: datetime | None = None
    last: StatusChange | None = None
    suspended: Suspensions = NOTHING_SUSPENDED

    def follows(self, previous: StatusChange | None) -> bool:
        return self.last in {None, previous}

    def start_over(self) -> None:
        self.place, self.last = 0, None

    def next_seq(self) -> int:
        return self.place

    def apply(
        self,
        changes: Iterable[StatusChange],
        *,
        next_seq: int,
        as_of: datetime | None,
        suspensions: Suspensions,
    ) -> list[StatusChange]:
        self.suspended = suspensions
        for each in changes:
            self.applied.append(each.seq)
            self.last = each
        self.place, self.as_of = next_seq, as_of or self.as_of
        return []


def change(seq: int) -> StatusChange:
    return StatusChange(seq=seq, issuer=CA, serial=seq, revocation=None, not_after=NOW, version=1)


def ignore(_: Collection[str]) -> None:
    """Nobody listens."""


def test_who_is_level_waits_and_what_came_meanwhile_is_dated_after_it_came() -> None:
    clock = Clock()
    feed, store = MemoryFeed(clock, page=9), MemoryChangeStore()
    reader = FeedReader(feed, store, clock=clock, heard_of=ignore)
    assert reader.poll()
    assert feed.waited == []
    assert reader.poll()
    assert feed.waited == [5]
    assert store.as_of == clock.now - timedelta(seconds=1)
    feed.meanwhile = 1
    assert reader.poll()
    assert (feed.waited, feed.asked[-2:]) == ([5, 5], [5, 5])
    assert (store.applied[-1], store.as_of) == (6, clock.now - timedelta(seconds=1))
    feed.away = True
    assert not reader.poll()
    feed.away, clock.now = False, clock.now + timedelta(minutes=1)
    assert reader.poll()
    assert feed.waited == [5, 5, 6]  # after a failure it asks without waiting


def test_a_round_reads_until_level_and_dates_it_before_the_last_question() -> None:
    clock = Clock()
    feed, store = MemoryFeed(clock), MemoryChangeStore()
    heard: list[Collection[str]] = []
    assert FeedReader(feed, store, clock=clock, heard_of=heard.append).poll()
    assert feed.asked == [0, 2, 4]
    assert store.applied == [1, 2, 3, 4, 5]
    assert store.as_of == NOW + timedelta(seconds=2)
    assert heard == [{CA}, {CA}, {CA}]


def test_the_next_round_continues() -> None:
    clock = Clock()
    feed, store = MemoryFeed(clock), MemoryChangeStore()
    reader = FeedReader(feed, store, clock=clock, heard_of=ignore)
    reader.poll()
    feed.length = 6
    reader.poll()
    assert store.applied == [1, 2, 3, 4, 5, 6]
    assert feed.asked[3:] == [5, 5]  # waited for, and asked once more


@pytest.mark.negative
@pytest.mark.parametrize("length", [3, 5, 8])
def test_a_feed_that_was_set_back_is_read_again_from_its_beginning(length: int) -> None:
    clock = Clock()
    feed, store = MemoryFeed(clock), MemoryChangeStore()
    reader = FeedReader(feed, store, clock=clock, heard_of=ignore)
    reader.poll()
    feed.length, feed.life, store.applied, store.as_of = length, 2, [], None
    assert reader.poll()
    assert store.applied == list(range(1, length + 1))
    assert store.place == length
    assert store.as_of is not None
    store.applied = []
    assert reader.poll()
    assert store.applied == []


@pytest.mark.negative
def test_while_the_ca_is_away_the_reader_backs_off_and_the_store_grows_old() -> None:
    clock = Clock()
    feed, store = MemoryFeed(clock), MemoryChangeStore()
    reader = FeedReader(feed, store, clock=clock, heard_of=ignore)
    reader.poll()
    level, feed.away, feed.asked = store.as_of, True, []
    pauses = []
    for _ in range(6):
        before = clock.now
        while not feed.asked:
            assert not reader.poll()
            clock.now += timedelta(milliseconds=250)
        feed.asked.clear()
        pauses.append(clock.now - before)
    assert pauses[1] >= PAUSE_FIRST
    assert pauses == sorted(pauses)
    assert pauses[-1] >= PAUSE_MAX
    assert store.as_of == level
    feed.away = False
    clock.now += PAUSE_MAX
    assert reader.poll()
    assert store.as_of == clock.now - timedelta(seconds=1)


@dataclass
class MemoryCa:
    """Issues delegate certificates for whoever asks, or what `gives` says instead."""

    authorities: list[Authority]
    away: bool = False
    asked: int = 0
    gives: x509.Certificate | None = None

    def issuing_cas(self) -> Sequence[IssuingCa]:
        if self.away:
            raise UnreachableError("https://ca.invalid", reason="refused")
        return [
            IssuingCa(ca_id=ca_id(each.certificate), certificate=each.certificate)
            for each in self.authorities
        ]

    def request_delegate(self, issuer: str, *, csr: x509.CertificateSigningRequest) -> x509.Certificate:
        self.asked += 1
        assert csr.is_signature_valid
        authority = next(each for each in self.authorities if ca_id(each.certificate) == issuer)
        key = csr.public_key()
        return self.gives or authority.issue(
            "delegate",
            key=key,  # type: ignore[arg-type]  # an EC key, the CSR is ours
            eku=oids.EKU_OCSP_SIGNING,
            extensions=DELEGATE_EXTENSIONS,
            validity=Validity(before=timedelta(0), after=timedelta(days=3)),
        )


@dataclass
class MemoryDelegates:
    """Satisfies `ocsp.delegation.DelegateStore`."""

    kept: dict[str, StoredDelegate] = field(default_factory=dict)

    def delegates(self) -> Sequence[StoredDelegate]:
        return tuple(self.kept.values())

    def save_delegate(self, delegate: StoredDelegate) -> None:
        self.kept[delegate.issuer] = delegate


LINES = [Authority.root("A"), Authority.root("B")]
KEY = p256()


@pytest.mark.check("O3")
@pytest.mark.check("O13")
def test_every_issuing_ca_delegates_and_the_store_remembers() -> None:
    ca, store, clock = MemoryCa(list(LINES)), MemoryDelegates(), Clock()
    keeper = DelegateKeeper(ca, store, key=KEY, clock=clock)
    assert list(keeper.directory.issuers) == []
    keeper.renew()
    assert {each.ca_id for each in keeper.directory.issuers} == {ca_id(each.certificate) for each in LINES}
    assert all(each.delegate is not None for each in keeper.directory.issuers)
    again = DelegateKeeper(replace(ca, away=True), store, key=KEY, clock=clock)
    again.renew()
    assert len(again.directory.issuers) == 2
    assert ca.asked == 2


def test_delegations_are_renewed_in_their_last_third_and_for_a_new_key() -> None:
    ca, store, clock = MemoryCa([LINES[0]]), MemoryDelegates(), Clock()
    keeper = DelegateKeeper(ca, store, key=KEY, clock=clock)
    keeper.renew()
    for day, asked in [(1.9, 1), (2.1, 2)]:
        clock.now = NOW + timedelta(days=day)
        keeper.renew()
        assert ca.asked == asked
    clock.now = NOW
    other = DelegateKeeper(ca, store, key=p256(), clock=clock)
    assert other.directory.issuers[0].delegate is None
    other.renew()
    assert ca.asked == 3


def test_a_ca_that_the_feed_names_first_is_asked_for_at_once() -> None:
    ca, clock = MemoryCa([LINES[0]]), Clock()
    keeper = DelegateKeeper(ca, MemoryDelegates(), key=KEY, clock=clock)
    keeper.renew()
    ca.authorities.append(LINES[1])
    keeper.expect({ca_id(LINES[0].certificate)})
    keeper.renew()
    assert len(keeper.directory.issuers) == 1
    keeper.expect({ca_id(LINES[1].certificate)})
    keeper.renew()
    assert len(keeper.directory.issuers) == 2
    clock.now += LIST_EVERY
    keeper.renew()
    assert ca.asked == 2


@pytest.mark.negative
def test_a_refused_or_absent_ca_is_asked_again_later() -> None:
    foreign = LINES[1].issue(
        "x", key=KEY.public_key(), eku=oids.EKU_OCSP_SIGNING, extensions=DELEGATE_EXTENSIONS
    )
    ca, clock = MemoryCa([LINES[0]], gives=foreign), Clock()
    keeper = DelegateKeeper(ca, MemoryDelegates(), key=KEY, clock=clock)
    keeper.renew()
    assert keeper.directory.issuers[0].delegate is None
    ca.gives = None
    keeper.renew()
    assert keeper.directory.issuers[0].delegate is None
    clock.now += RETRY_EVERY
    keeper.renew()
    assert keeper.directory.issuers[0].delegate is not None


@pytest.mark.negative
@pytest.mark.check("O2")
def test_what_a_delegation_has_to_be() -> None:
    line, key = LINES[0], KEY.public_key()
    digest = spki_sha256(key)

    def check(certificate: x509.Certificate) -> None:
        check_delegate(certificate, issuer=line.certificate, key_sha256=digest, at=NOW)

    right = line.issue("d", key=key, eku=oids.EKU_OCSP_SIGNING, extensions=DELEGATE_EXTENSIONS)
    check(right)
    for wrong, reason in [
        (
            line.issue(
                "d", key=p256().public_key(), eku=oids.EKU_OCSP_SIGNING, extensions=DELEGATE_EXTENSIONS
            ),
            "key",
        ),
        (
            Authority.root("A").issue(
                "d", key=key, eku=oids.EKU_OCSP_SIGNING, extensions=DELEGATE_EXTENSIONS
            ),
            "sign",
        ),
        (line.issue("d", key=key, eku=oids.EKU_SERVER_AUTH, extensions=DELEGATE_EXTENSIONS), "OCSPSigning"),
        (line.issue("d", key=key, eku=oids.EKU_OCSP_SIGNING, extensions=[(LEAF_USAGE, True)]), "nocheck"),
        (
            line.issue(
                "d", key=key, eku=oids.EKU_OCSP_SIGNING, extensions=DELEGATE_EXTENSIONS, validity=EXPIRED
            ),
            "not valid",
        ),
    ]:
        with pytest.raises(DelegationError, match=reason):
            check(wrong)
