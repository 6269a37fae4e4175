"""The CA's store on SQLite and PostgreSQL: its schema, its single statements, its races, its crashes."""

import os
import threading
from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import timedelta

import pytest
import sqlalchemy as sa

from ca.callers import Caller
from ca.errors import ConcurrentChangeError, ConflictError
from ca.holds import Holds
from ca.lifecycle import AuthorityState, DeviceState, Reason, SessionState, Status
from ca.profiles import Kind
from ca.records import (
    Authority,
    Batch,
    Device,
    HoldRecord,
    Intent,
    ManifestRecord,
    RevocationList,
    Session,
)
from ca.store import MIGRATIONS, Records, Store, tables
from edge.database import engine_for, schema_differences
from edge.dual_control import Approval
from tests.contract.databases import new_database
from tests.fakes.ca import NOW

ROOT = Authority(
    ca_id="a" * 32,
    kind=Kind.ES_ROOT,
    name="ES root",
    supplier="acme",
    hosted=True,
    state=AuthorityState.ACTIVE,
    created_at=NOW,
    certificate=b"root",
)
ISSUING = replace(ROOT, ca_id="b" * 32, kind=Kind.ISSUING_CA, name="gateways", parent=ROOT.ca_id, tre_level=2)
DEVICE = Device(
    device_id="1" * 64, supplier="acme", model="gw-1", batch="b1", serial="s1", state=DeviceState.LISTED
)
SESSION = Session(
    session_id=b"s" * 16,
    device_id=DEVICE.device_id,
    request=b"request",
    nonce=b"n" * 32,
    secret_sha256=b"d" * 32,
    state=SessionState.OPEN,
    opened_at=NOW,
    expires_at=NOW + timedelta(minutes=5),
)


@pytest.fixture(params=["sqlite", "postgresql"])
def engine(request: pytest.FixtureRequest) -> Iterator[sa.Engine]:
    """A store of each kind, made by the migrations."""
    made = engine_for(new_database(request, request.param, MIGRATIONS))
    yield made
    made.dispose()


@pytest.fixture
def store(engine: sa.Engine) -> Store:
    made = Store(engine, random_bytes=os.urandom)
    with made.writing() as records:
        records.add_authority(ROOT)
        records.add_authority(ISSUING)
        records.add_model(supplier="acme", model="gw-1", ca_id=ISSUING.ca_id)
        records.add_batch(
            Batch(
                supplier="acme",
                batch="b1",
                claims_sha256="0" * 64,
                signer_sha256="0" * 64,
                devices=1,
                imported_at=NOW,
            )
        )
        records.add_devices([DEVICE])
    return made


def issue(
    records: Records,
    serial: int,
    *,
    by: Authority = ISSUING,
    device_id: str | None = None,
    partition: int = 0,
) -> None:
    intent = Intent(
        ca_id=by.ca_id,
        serial=serial,
        kind=Kind.PLATFORM_CREDENTIAL,
        subject="device",
        spki_sha256="0" * 64,
        issued_at=NOW,
        supplier="acme",
        device_id=device_id,
        ak_name=b"ak",
        crl_partition=partition,
    )
    records.record_intent(intent)
    records.record_certificate(
        ca_id=by.ca_id, serial=serial, der=b"pfc", not_after=NOW + timedelta(days=1), at=NOW
    )


def until_won(store: Store, work: Callable[[Records], None]) -> None:
    """Repeat a transaction that lost a race, as a caller does who was told to send his request again."""
    while True:
        try:
            with store.writing() as records:
                work(records)
        except ConcurrentChangeError:
            continue
        return


def in_threads(count: int, work: Callable[[], None]) -> None:
    threads = [threading.Thread(target=work) for _ in range(count)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert not any(thread.is_alive() for thread in threads)


def test_the_migrations_make_the_schema(engine: sa.Engine) -> None:
    made = Store(engine, random_bytes=os.urandom)
    made.migrate()
    made.migrate()
    assert schema_differences(engine, tables.metadata) == []


def test_what_goes_in_comes_out(store: Store) -> None:
    manifest = ManifestRecord(
        supplier="acme",
        manifest_id="gw/1",
        digest=b"m" * 32,
        svn=(1 << 63) - 1,
        models=("gw-1",),
        signed=b"signed",
        not_before=None,
        not_after=NOW,
        imported_at=NOW,
    )
    published = RevocationList(
        ca_id=ROOT.ca_id,
        partition=0,
        number=7,
        der=b"crl",
        this_update=NOW,
        next_update=NOW + timedelta(days=1),
        status_seq=3,
    )
    with store.writing() as records:
        records.add_manifest(manifest)
        records.add_session(SESSION)
        records.add_revocation_list(published)
    with store.reading() as records:
        assert records.authority(ISSUING.ca_id) == ISSUING
        assert records.root(Kind.ES_ROOT, supplier="acme") == ROOT
        assert records.root(Kind.TLS_ROOT) is None
        assert records.device(DEVICE.device_id) == DEVICE
        assert records.session(SESSION.session_id) == SESSION
        assert records.current_manifest("acme", "gw-1") == manifest
        assert records.newest_revocation_list(ROOT.ca_id) == published
        assert records.newest_revocation_list(ISSUING.ca_id) is None


@pytest.mark.negative
def test_a_reader_cannot_write(store: Store) -> None:
    with pytest.raises(sa.exc.DBAPIError), store.reading() as records:
        records.add_session(SESSION)
    with store.reading() as records:
        assert records.session(SESSION.session_id) is None


def test_what_raises_leaves_nothing(store: Store) -> None:
    def halfway() -> None:
        with store.writing() as records:
            records.add_session(SESSION)
            issue(records, 1)
            raise ConflictError("x", subject="x", detail="x", remedy="x")

    with pytest.raises(ConflictError):
        halfway()
    with store.reading() as records:
        assert records.session(SESSION.session_id) is None
        assert records.certificate(ISSUING.ca_id, 1) is None
        assert records.status_changes(after=0, limit=10) == []


@pytest.mark.check("A13")
def test_a_session_is_redeemed_once(store: Store) -> None:
    with store.writing() as records:
        records.add_session(SESSION)
    won: list[bool] = []

    def redeem() -> None:
        outcome: list[bool] = []

        def work(records: Records) -> None:
            outcome[:] = [records.redeem_session(SESSION.session_id, activation_sha256=b"a" * 32, at=NOW)]

        until_won(store, work)
        won.extend(outcome)

    in_threads(8, redeem)
    assert sorted(won) == [False] * 7 + [True]


@pytest.mark.negative
def test_a_session_that_is_over_or_burned_is_not_redeemed(store: Store) -> None:
    with store.writing() as records:
        records.add_session(SESSION)
        late = SESSION.expires_at
        assert not records.redeem_session(SESSION.session_id, activation_sha256=b"a" * 32, at=late)
        records.burn_session(SESSION.session_id)
        assert not records.redeem_session(SESSION.session_id, activation_sha256=b"a" * 32, at=NOW)
        assert not records.redeem_session(b"x" * 16, activation_sha256=b"a" * 32, at=NOW)


def test_an_ek_is_consumed_once(store: Store) -> None:
    won: list[bool] = []

    def consume() -> None:
        outcome: list[bool] = []

        def work(records: Records) -> None:
            outcome[:] = [records.consume_ek(DEVICE.device_id, ak_name=b"ak", storage_name=b"st")]

        until_won(store, work)
        won.extend(outcome)

    in_threads(8, consume)
    assert sorted(won) == [False] * 7 + [True]
    with store.writing() as records:
        assert records.reopen_device(DEVICE.device_id)
        assert not records.reopen_device(DEVICE.device_id)
        assert records.consume_ek(DEVICE.device_id, ak_name=b"ak", storage_name=b"st2")


@pytest.mark.check("A26")
@pytest.mark.negative
def test_two_devices_never_hold_one_ak(store: Store) -> None:
    second = replace(DEVICE, device_id="2" * 64, serial="s2")
    with store.writing() as records:
        records.add_devices([second])
        assert records.consume_ek(DEVICE.device_id, ak_name=b"ak", storage_name=b"st")
    with pytest.raises(ConcurrentChangeError), store.writing() as records:
        records.consume_ek(second.device_id, ak_name=b"ak", storage_name=b"other")
    with store.reading() as records:
        held = records.device_with_key(ak_name=b"ak", storage_name=b"x", other_than=second.device_id)
        assert held is not None
        assert held.device_id == DEVICE.device_id


@pytest.mark.check("P1")
@pytest.mark.negative
def test_a_serial_number_is_unique_per_issuer(store: Store) -> None:
    with store.writing() as records:
        issue(records, 5)
        issue(records, 5, by=ROOT)
    with pytest.raises(ConcurrentChangeError), store.writing() as records:
        issue(records, 5)


def test_status_rows_are_appended_and_the_newest_counts(store: Store) -> None:
    with store.writing() as records:
        issue(records, 9, device_id=DEVICE.device_id)
        first = records.certificate(ISSUING.ca_id, 9)
        assert first is not None
        assert (first.status, first.version) == (Status.GOOD, 1)
        records.change_status(first, status=Status.REVOKED, reason=Reason.CERTIFICATE_HOLD, at=NOW)
        held = records.certificate(ISSUING.ca_id, 9)
        assert held is not None
        records.change_status(held, status=Status.REVOKED, reason=Reason.KEY_COMPROMISE, at=NOW)
    with store.reading() as records:
        now = records.certificates_of_device(DEVICE.device_id)
        assert [(each.reason, each.version) for each in now] == [(Reason.KEY_COMPROMISE, 3)]
        assert [each.serial for each in records.revoked_certificates(ISSUING.ca_id)] == [9]
        assert records.key_compromised(b"ak")
        assert not records.key_compromised(b"another")
        assert [each.version for each in records.status_changes(after=0, limit=10)] == [1, 2, 3]


@pytest.mark.negative
def test_two_changes_from_one_version_cannot_both_succeed(store: Store) -> None:
    with store.writing() as records:
        issue(records, 9)
        first = records.certificate(ISSUING.ca_id, 9)
    assert first is not None
    with store.writing() as records:
        records.change_status(first, status=Status.REVOKED, reason=Reason.SUPERSEDED, at=NOW)
    with pytest.raises(ConcurrentChangeError), store.writing() as records:
        records.change_status(first, status=Status.REVOKED, reason=Reason.KEY_COMPROMISE, at=NOW)


def test_a_reader_of_the_feed_misses_nothing_while_others_write(store: Store) -> None:
    """Numbers appear in the order of commits: who has seen n never meets a smaller one later."""
    serials = iter(range(1, 1000))
    lock = threading.Lock()
    seen: list[int] = []
    done = threading.Event()

    def write() -> None:
        for _ in range(5):
            with lock:
                serial = next(serials)
            until_won(store, lambda records, serial=serial: issue(records, serial))  # type: ignore[misc]  # a default argument

    def read() -> None:
        after = 0
        while not done.is_set() or after < 30:
            with store.reading() as records:
                page = records.status_changes(after=after, limit=3)
            seen.extend(each.seq for each in page)
            after = page[-1].seq if page else after

    reader = threading.Thread(target=read)
    reader.start()
    in_threads(6, write)
    done.set()
    reader.join(60)
    assert seen == list(range(1, 31))


@pytest.mark.negative
@pytest.mark.requirement("R101")
def test_a_result_counts_once_for_a_hold(store: Store) -> None:
    with store.writing() as records:
        issue(records, 9, device_id=DEVICE.device_id)
        good = records.certificate(ISSUING.ca_id, 9)
        assert good is not None
        assert records.hold(good) is None
        version = records.change_status(good, status=Status.REVOKED, reason=Reason.CERTIFICATE_HOLD, at=NOW)
        made = HoldRecord(
            ca_id=good.ca_id,
            serial=9,
            version=version,
            results=("r1", "r2"),
            asked_by="pva-1",
            held_at=NOW,
        )
        records.add_hold(made)
    with store.writing() as records:
        held = records.certificate(ISSUING.ca_id, 9)
        assert held is not None
        assert records.hold(held) == made
        assert records.any_result_used(held, ("r0", "r2"))
        assert not records.any_result_used(held, ("r0",))
        records.note_recovery(made, result="r3", by="pva-1", at=NOW)
        records.change_status(held, status=Status.GOOD, reason=None, at=NOW)
        records.note_release(made, by="acme-desk", at=NOW)
    with store.reading() as records:
        again = records.certificate(ISSUING.ca_id, 9)
        assert again is not None
        assert (again.status, again.version, records.hold(again)) == (Status.GOOD, 3, None)
        assert records.any_result_used(again, ("r3",))
        assert records.last_revocation_seq(ISSUING.ca_id) == 3
        assert records.revoked_certificates(ISSUING.ca_id) == []
    with pytest.raises(ConcurrentChangeError), store.writing() as records:
        records.add_hold(replace(made, version=1, results=("r2",)))


@pytest.mark.requirement("R101")
def test_a_hold_that_is_asked_by_many_at_once_is_one_change(store: Store) -> None:
    with store.writing() as records:
        issue(records, 9, device_id=DEVICE.device_id)
    holds = Holds(
        store=store, clock=lambda: NOW, publish=lambda _ca, _list: None, recovery_life=timedelta(hours=1)
    )
    pva = Caller(name="pva-1", role="pva", tenant="pva-1")

    def ask() -> None:
        while True:
            try:
                holds.hold(ISSUING.ca_id, 9, results=("r1",), caller=pva)
            except ConcurrentChangeError:
                continue
            return

    in_threads(8, ask)
    with store.reading() as records:
        changes = records.status_changes(after=0, limit=10)
    assert [(each.version, each.reason) for each in changes] == [(1, None), (2, Reason.CERTIFICATE_HOLD)]


@pytest.mark.requirement("R28")
def test_approvals_are_kept_for_one_version_of_a_hold(store: Store) -> None:
    given = [
        Approval(approver=name, key_sha256=digit * 64, approved_at=NOW, issued_at_request_of=())
        for name, digit in (("admin", "1"), ("admin-2", "2"))
    ]
    with store.writing() as records:
        issue(records, 9, device_id=DEVICE.device_id)
        good = records.certificate(ISSUING.ca_id, 9)
        assert good is not None
        records.change_status(good, status=Status.REVOKED, reason=Reason.CERTIFICATE_HOLD, at=NOW)
    with store.writing() as records:
        held = records.certificate(ISSUING.ca_id, 9)
        assert held is not None
        records.save_hold_approvals(held, given[:1])
        records.save_hold_approvals(held, given)
    with store.reading() as records:
        assert sorted(records.hold_approvals(held), key=lambda each: each.approver) == given
        assert records.hold_approvals(good) == ()
    same_key = replace(given[1], key_sha256=given[0].key_sha256)
    with pytest.raises(ConcurrentChangeError), store.writing() as records:
        records.save_hold_approvals(held, [given[0], same_key])


def test_a_lease_has_one_holder(store: Store) -> None:
    lasting = timedelta(seconds=60)
    with store.writing() as records:
        assert records.take_lease("crl", holder="one", at=NOW, lasting=lasting)
        assert not records.take_lease("crl", holder="two", at=NOW, lasting=lasting)
        assert records.take_lease("crl", holder="one", at=NOW, lasting=lasting)
        assert records.take_lease("crl", holder="two", at=NOW + lasting, lasting=lasting)


def test_a_refusal_is_noted_once_an_hour(store: Store) -> None:
    with store.writing() as records:
        assert records.note_refusal("1" * 64, reason="r", at=NOW)
        assert not records.note_refusal("1" * 64, reason="r", at=NOW + timedelta(minutes=59))
        assert records.note_refusal("1" * 64, reason="other", at=NOW)
        assert records.note_refusal("1" * 64, reason="r", at=NOW + timedelta(minutes=60))


def test_open_sessions_are_kept_before_closed_ones_and_the_newest_before_older_ones(store: Store) -> None:
    made = [
        replace(SESSION, session_id=bytes([number]) * 16, opened_at=NOW + timedelta(seconds=number))
        for number in range(5)
    ]
    with store.writing() as records:
        for each in made:
            records.add_session(each)
        assert records.redeem_session(made[0].session_id, activation_sha256=b"a" * 32, at=NOW)
        records.burn_session(made[4].session_id)
        records.drop_surplus_sessions(DEVICE.device_id, keep=3, at=NOW)
    with store.reading() as records:
        kept = [session and session.state for session in (records.session(each.session_id) for each in made)]
    assert kept == [SessionState.USED, SessionState.OPEN, SessionState.OPEN, SessionState.OPEN, None]
    with store.writing() as records:
        records.add_session(
            late := replace(SESSION, session_id=b"l" * 16, expires_at=NOW + timedelta(days=1))
        )
        after = SESSION.expires_at
        records.drop_surplus_sessions(DEVICE.device_id, keep=2, at=after)
    with store.reading() as records:
        # of those that have expired by then the newest, and the only one that lives, though it is older
        kept_then = [records.session(each.session_id) is not None for each in (*made, late)]
    assert kept_then == [True, False, False, True, False, True]
