"""Suspensions from the CA's store to the responder's, each on SQLite and PostgreSQL, and for a hundred thousand devices."""

import time
from dataclasses import replace
from datetime import timedelta

import pytest
import sqlalchemy as sa

from ca.errors import ConflictError
from ca.store import Store
from ca.suspensions import Scope, Suspension, Suspensions
from clients.ca_status import NOTHING_SUSPENDED, StatusChange, SuspendedScope
from clients.ca_status import Suspensions as Told
from ocsp.store import SqlStatusStore
from standards.pki.crl import Revocation, RevocationReason
from standards.pki.extensions import Requester
from tests.contract.status_engines import engine as responder_engine
from tests.contract.test_ca_store import DEVICE, ISSUING, engine, issue, store
from tests.fakes.ca import ADMIN, SECOND, FrozenClock
from tests.fakes.pki import NOW

__all__ = ["engine", "responder_engine", "store"]

CA = "a" * 32
HOLD = Revocation(reason=RevocationReason.CERTIFICATE_HOLD, at=NOW)
MANY = 100_000

pytestmark = [pytest.mark.requirement("R28"), pytest.mark.requirement("R101")]


def told(version: int, *scopes: SuspendedScope) -> Told:
    return Told(version=version, in_force=scopes)


def scope(number: int = 1, *, model: str | None = None, batch: str | None = None) -> SuspendedScope:
    return SuspendedScope(id=f"{number:064x}", issuers=(CA,), model=model, batch=batch, since=NOW)


def change(serial: int, *, seq: int | None = None, version: int = 1, **told_of: object) -> StatusChange:
    made = StatusChange(
        seq=seq or serial,
        issuer=CA,
        serial=serial,
        revocation=None,
        not_after=NOW,
        version=version,
        model="gw-1",
        batch="b1",
    )
    return replace(made, **told_of)  # type: ignore[arg-type]


def test_the_ca_keeps_a_suspension_until_two_have_lifted_it(store: Store) -> None:
    with store.writing() as records:
        issue(records, 7, device_id=DEVICE.device_id)
        issue(records, 8)
    desk = Suspensions(store=store, clock=FrozenClock())
    made = desk.suspend(Scope(supplier="acme", batch="b1"), reason="a flaw", caller=ADMIN)
    with store.reading() as records:
        assert records.suspensions_in_force()[1][0].batch == "b1"
        assert [each.serial for each in records.suspended_certificates(ISSUING.ca_id)] == [7]
        assert records.suspended_certificates(ISSUING.ca_id, partition=1) == []
        assert records.last_suspension_seq(ISSUING.ca_id) == made.seq
        assert [each.batch for each in records.status_changes(after=0, limit=9)] == ["b1", None]
    staff = Requester(name="staff", key_sha256="3" * 64)
    desk.lift(made.id, caller=replace(ADMIN, issued_at_request_of=(staff,)))
    with pytest.raises(ConflictError):
        desk.lift(made.id, caller=replace(SECOND, issued_at_request_of=(staff,)))
    done = desk.lift(made.id, caller=SECOND)
    assert done.lifted_at is not None
    assert desk.listed(caller=ADMIN) == [done]
    with store.reading() as records:
        assert records.suspensions_in_force()[1] == []
        assert records.suspended_certificates(ISSUING.ca_id) == []
        assert records.last_suspension_seq(ISSUING.ca_id) > made.seq


def test_the_responder_holds_what_is_in_a_scope_and_nothing_else(responder_engine: sa.Engine) -> None:
    store = SqlStatusStore(responder_engine)
    changes = [
        change(1),
        change(2, model="gw-2", batch="b2"),
        change(3, model=None, batch=None),
        change(4, revocation=Revocation(reason=RevocationReason.KEY_COMPROMISE, at=NOW)),
    ]
    store.apply(changes, next_seq=4, as_of=NOW)
    before, seen = store.standings(CA, [1]), store.changes_seen()
    store.apply([], next_seq=4, as_of=NOW, suspensions=told(5, scope(model="gw-1")))
    for each in (store, SqlStatusStore(responder_engine)):
        assert each.statuses(CA, [1]) == {1: HOLD}
        assert each.statuses(CA, [1, 2, 3]) == {1: HOLD, 2: None, 3: None}
        assert each.statuses(CA, [4])[4] != HOLD
        assert each.statuses("b" * 32, [1]) == {}
    assert store.standings(CA, [1]) != before
    assert store.changes_seen() > seen
    seen = store.changes_seen()
    store.apply([], next_seq=4, as_of=NOW, suspensions=told(5, scope(model="gw-1")))
    assert store.changes_seen() == seen
    store.apply([], next_seq=4, as_of=NOW, suspensions=told(5, scope()))
    assert store.statuses(CA, [1, 2, 3]) == {1: HOLD, 2: HOLD, 3: None}
    store.apply([], next_seq=4, as_of=NOW, suspensions=told(6))
    assert store.statuses(CA, [1, 2]) == {1: None, 2: None}
    assert store.standings(CA, [1]) == before


@pytest.mark.negative
def test_a_ca_that_counts_anew_lifts_nothing(responder_engine: sa.Engine) -> None:
    store = SqlStatusStore(responder_engine)
    store.apply([change(1)], next_seq=1, as_of=NOW, suspensions=told(5, scope()))
    store.apply([], next_seq=1, as_of=NOW, suspensions=NOTHING_SUSPENDED)
    assert store.statuses(CA, [1]) == {1: HOLD}
    store.apply([], next_seq=1, as_of=NOW, suspensions=told(2, scope(2, batch="b1")))
    assert store.statuses(CA, [1]) == {1: HOLD}
    store.apply([], next_seq=1, as_of=NOW, suspensions=told(6))
    assert store.statuses(CA, [1]) == {1: None}


def test_a_store_of_an_earlier_release_hears_of_models_and_batches(responder_engine: sa.Engine) -> None:
    store = SqlStatusStore(responder_engine)
    store.apply([change(1, model=None, batch=None)], next_seq=1, as_of=NOW, suspensions=told(5, scope()))
    assert store.statuses(CA, [1]) == {1: None}
    store.start_over()
    store.apply([change(1)], next_seq=1, as_of=NOW, suspensions=told(5, scope()))
    assert store.statuses(CA, [1]) == {1: HOLD}


def test_a_hundred_thousand_are_one_row(responder_engine: sa.Engine) -> None:
    """The work of a suspension does not grow with what it covers: no row of a certificate is written."""
    store = SqlStatusStore(responder_engine)
    store.apply([change(serial) for serial in range(1, 201)], next_seq=200, as_of=NOW)
    rows = [
        {
            "issuer": CA,
            "serial": f"{serial:040x}",
            "not_after": NOW,
            "version": 1,
            "model": "gw-1",
            "batch": "b1",
        }
        for serial in range(201, MANY + 1)
    ]
    with responder_engine.begin() as connection:
        statuses = sa.table(
            "statuses",
            *(sa.column(name) for name in ("issuer", "serial", "version", "model", "batch")),
            sa.column("not_after", sa.DateTime(timezone=True)),
        )
        for start in range(0, len(rows), 5_000):
            connection.execute(sa.insert(statuses), rows[start : start + 5_000])
    started = time.monotonic()
    store.apply(
        [], next_seq=200, as_of=NOW + timedelta(seconds=1), suspensions=told(MANY + 1, scope(batch="b1"))
    )
    heard = store.statuses(CA, [MANY])
    assert time.monotonic() - started < 1.0
    assert heard == {MANY: HOLD}
    assert store.statuses(CA, [1]) == {1: HOLD}


def suspended(desk: Suspensions) -> Suspension:
    return desk.suspend(Scope(supplier="acme"), reason="a flaw", caller=ADMIN)


def test_the_same_scope_twice_is_one_suspension(store: Store) -> None:
    desk = Suspensions(store=store, clock=FrozenClock())
    assert suspended(desk) == suspended(desk)
    assert len(desk.listed(caller=ADMIN)) == 1
