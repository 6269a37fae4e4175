"""The responder's store on a real database: pages in one transaction, places kept, final means final."""

from datetime import timedelta

import pytest
import sqlalchemy as sa

from clients.ca_status import StatusChange
from edge.database import migrate, schema_differences
from ocsp.store import METADATA, MIGRATIONS, PERSIST_EVERY, SqlStatusStore, StoredDelegate
from standards.pki.crl import Revocation, RevocationReason
from tests.contract.status_engines import engine
from tests.fakes.pki import NOW, Authority

__all__ = ["engine"]

CA, OTHER_CA = "a" * 32, "b" * 32
HOLD = Revocation(reason=RevocationReason.CERTIFICATE_HOLD, at=NOW)
FINAL = Revocation(reason=RevocationReason.SUPERSEDED, at=NOW)


def change(
    seq: int, *, serial: int = 7, version: int = 1, revocation: Revocation | None = None, issuer: str = CA
) -> StatusChange:
    return StatusChange(
        seq=seq, issuer=issuer, serial=serial, revocation=revocation, not_after=NOW, version=version
    )


def test_the_history_makes_the_schema(engine: sa.Engine) -> None:
    assert schema_differences(engine, METADATA) == []
    migrate(engine, MIGRATIONS)


def test_a_fresh_store_knows_nothing_and_was_never_level(engine: sa.Engine) -> None:
    store = SqlStatusStore(engine)
    assert (store.as_of(), store.next_seq()) == (None, 0)
    assert store.statuses(CA, [7]) == {}
    assert store.delegates() == ()


def test_the_place_is_known_again_by_its_change(engine: sa.Engine) -> None:
    store = SqlStatusStore(engine)
    assert store.follows(None)
    store.apply([change(1), change(2, serial=8, revocation=HOLD)], next_seq=2, as_of=NOW)
    for each in (store, SqlStatusStore(engine)):
        assert each.follows(change(2, serial=8, revocation=HOLD))
        assert not each.follows(None)
        assert not each.follows(change(2, serial=9, revocation=HOLD))
        assert not each.follows(change(2, serial=8, revocation=FINAL))
    store.apply([], next_seq=2, as_of=NOW + PERSIST_EVERY)
    assert store.follows(change(2, serial=8, revocation=HOLD))
    store.start_over()
    again = SqlStatusStore(engine)
    assert (again.next_seq(), again.follows(None)) == (0, True)
    assert again.statuses(CA, [8]) == {8: HOLD}


def test_a_ca_that_counts_anew_can_take_back_more_but_not_less(engine: sa.Engine) -> None:
    store = SqlStatusStore(engine)
    store.apply([change(1, version=2, revocation=HOLD)], next_seq=1, as_of=NOW)
    store.start_over()
    store.apply([change(1), change(2, version=2, revocation=FINAL)], next_seq=2, as_of=NOW)
    assert store.statuses(CA, [7]) == {7: FINAL}
    store.apply([change(3, version=2, revocation=HOLD)], next_seq=3, as_of=NOW)
    assert store.statuses(CA, [7]) == {7: FINAL}


def test_changes_and_place_survive_a_restart(engine: sa.Engine) -> None:
    store = SqlStatusStore(engine)
    assert store.apply([change(1), change(2, serial=8, revocation=HOLD)], next_seq=2, as_of=NOW) == []
    again = SqlStatusStore(engine)
    assert (again.as_of(), again.next_seq()) == (NOW, 2)
    assert again.statuses(CA, [7, 8, 9]) == {7: None, 8: HOLD}


@pytest.mark.check("P1")
def test_a_serial_means_nothing_without_its_issuer(engine: sa.Engine) -> None:
    store = SqlStatusStore(engine)
    store.apply([change(1), change(2, issuer=OTHER_CA, revocation=FINAL)], next_seq=2, as_of=NOW)
    assert store.statuses(CA, [7]) == {7: None}
    assert store.statuses(OTHER_CA, [7]) == {7: FINAL}


def test_a_hold_is_lifted_or_made_final(engine: sa.Engine) -> None:
    store = SqlStatusStore(engine)
    for version, revocation in enumerate([None, HOLD, None, HOLD, FINAL], start=1):
        store.apply([change(version, version=version, revocation=revocation)], next_seq=version, as_of=NOW)
        assert store.statuses(CA, [7]) == {7: revocation}


def test_pages_may_come_twice_and_late(engine: sa.Engine) -> None:
    store = SqlStatusStore(engine)
    first, second = change(1, version=1), change(2, version=2, revocation=FINAL)
    store.apply([first, second], next_seq=2, as_of=NOW)
    store.apply([first], next_seq=2, as_of=NOW)
    assert store.statuses(CA, [7]) == {7: FINAL}


@pytest.mark.negative
def test_final_means_final(engine: sa.Engine) -> None:
    store = SqlStatusStore(engine)
    store.apply([change(1, revocation=FINAL)], next_seq=1, as_of=NOW)
    undo = change(2, version=2)
    assert store.apply([undo], next_seq=2, as_of=NOW) == [undo]
    assert store.statuses(CA, [7]) == {7: FINAL}
    assert store.next_seq() == 2


@pytest.mark.negative
def test_serials_that_no_certificate_can_have(engine: sa.Engine) -> None:
    store = SqlStatusStore(engine)
    odd = [0, -1, 1 << 160, 1 << 4000]
    assert store.statuses(CA, odd) == {}
    for serial in odd:
        assert len(store.apply([change(1, serial=serial)], next_seq=1, as_of=NOW)) == 1


def test_being_level_is_remembered_now_and_then(engine: sa.Engine) -> None:
    store = SqlStatusStore(engine)
    store.apply([change(1)], next_seq=1, as_of=NOW)
    soon, late = NOW + timedelta(seconds=1), NOW + PERSIST_EVERY
    store.apply([], next_seq=1, as_of=soon)
    assert store.as_of() == soon
    assert SqlStatusStore(engine).as_of() == NOW
    store.apply([], next_seq=1, as_of=late)
    assert SqlStatusStore(engine).as_of() == late
    store.apply([change(2, serial=9)], next_seq=2, as_of=None)
    assert store.as_of() == late


def test_delegates_are_replaced(engine: sa.Engine) -> None:
    store = SqlStatusStore(engine)
    root = Authority.root()
    bare = StoredDelegate(issuer=CA, issuer_certificate=root.certificate)
    full = StoredDelegate(
        issuer=CA, issuer_certificate=root.certificate, key_sha256="0" * 64, certificate=root.certificate
    )
    for each in (bare, full):
        store.save_delegate(each)
        assert SqlStatusStore(engine).delegates() == (each,)


def test_a_standing_changes_with_its_status_alone(engine: sa.Engine) -> None:
    store = SqlStatusStore(engine)
    store.apply([change(1), change(2, serial=8)], next_seq=2, as_of=NOW)
    first, seen = store.standings(CA, [7]).get(7), store.changes_seen()
    assert first is not None
    store.apply([], next_seq=2, as_of=NOW + PERSIST_EVERY)
    assert store.changes_seen() == seen
    store.apply([change(3, serial=8, version=2, revocation=HOLD)], next_seq=3, as_of=NOW)
    assert store.changes_seen() > seen
    assert store.standings(CA, [7]).get(7) == first
    # a hold that was lifted again is another standing, and so is a stricter one under the same version
    known: list[object] = [first]
    for version, revocation in [(2, HOLD), (3, None), (4, HOLD), (4, FINAL)]:
        seen = store.changes_seen()
        store.apply([change(4, version=version, revocation=revocation)], next_seq=4, as_of=NOW)
        assert store.changes_seen() > seen
        known.append(store.standings(CA, [7]).get(7))
        assert store.statuses(CA, [7]) == {7: revocation}
    assert len(set(known)) == len(known)


@pytest.mark.negative
def test_what_was_not_issued_has_no_standing(engine: sa.Engine) -> None:
    store = SqlStatusStore(engine)
    store.apply([change(1)], next_seq=1, as_of=NOW)
    for issuer, serial in [(OTHER_CA, 7), (CA, 8), (CA, 0), (CA, -7), (CA, 1 << 160)]:
        assert store.standings(issuer, [serial]) == {}


@pytest.mark.parametrize("asked", [1, 2, 15, 16, 17, 33])
def test_several_are_asked_for_at_once(engine: sa.Engine, asked: int) -> None:
    store = SqlStatusStore(engine)
    issued = [
        change(serial, serial=serial, revocation=HOLD if serial % 3 else None) for serial in range(1, 30)
    ]
    store.apply(issued, next_seq=29, as_of=NOW)
    wanted = [*range(1, asked + 1), 1, 0]
    found = store.standings(CA, wanted)
    assert {serial: each.revocation for serial, each in found.items()} == {
        each.serial: each.revocation for each in issued if each.serial <= asked
    }
    assert store.statuses(CA, wanted) == {serial: each.revocation for serial, each in found.items()}
    assert store.standings(CA, []) == store.standings(OTHER_CA, wanted) == {}
