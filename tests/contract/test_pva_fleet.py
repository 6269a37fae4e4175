"""Looks over a fleet on the real stores: the same numbers and lists from SQLite and from PostgreSQL."""

from collections import Counter
from collections.abc import Iterator

import pytest

from pva.fleet.fleet import Filter, Outcome
from pva.results.explanation import Reader
from pva.store.fleet import FleetStore
from tests.contract.test_pva_store import migrated
from tests.fakes.watched_fleet import NOW_OF_PAGES, WatchedFleet

OPERATOR = Reader(role="sho", tenant="sho-1")
OTHER = Reader(role="sho", tenant="sho-2")
DOWNLOAD = Reader(role="dpf", tenant="dpf-1")
AUDITOR = Reader(role="auditor", tenant="")
SUPPLIER = Reader(role="es", tenant="Acme")
NOBODY = Reader(role="admin", tenant="sho-1")


@pytest.fixture(scope="module", params=["sqlite", "postgresql"])
def fleet(request: pytest.FixtureRequest) -> Iterator[WatchedFleet]:
    engine = migrated(request, request.param)
    yield WatchedFleet(engine=engine)
    engine.dispose()


def test_numbers_are_of_what_the_reader_may_count(fleet: WatchedFleet) -> None:
    desk = fleet.desks.fleet

    def totals(reader: Reader) -> Counter[Outcome]:
        found: Counter[Outcome] = Counter()
        for part in desk.over_time(reader, span="week", at=NOW_OF_PAGES):
            found.update(part.of)
        return found

    own = {Outcome.AFFIRMING: 52, Outcome.WARNING: 1, Outcome.CONTRAINDICATED: 2, Outcome.REFUSED: 1}
    whole = {**own, Outcome.AFFIRMING: 54}
    assert totals(OPERATOR) == own
    assert totals(AUDITOR) == whole
    assert totals(SUPPLIER) == whole
    assert totals(OTHER) == totals(DOWNLOAD) == {Outcome.AFFIRMING: 1}
    assert totals(NOBODY) == totals(Reader(role="es", tenant="Other")) == {}


def test_devices_stand_as_their_last_request_ended(fleet: WatchedFleet) -> None:
    store = FleetStore(fleet.engine)
    lines = {
        line.device_id: line
        for line in store.devices(OPERATOR, Filter(), skip=0, count_max=99, at=NOW_OF_PAGES)
    }
    stood = {
        name: lines[device.device_id].outcome for name, device in fleet.devices.items() if name != "other"
    }
    assert stood.pop("kernel") is stood.pop("line") is Outcome.CONTRAINDICATED
    assert stood.pop("firmware") is Outcome.WARNING
    assert stood.pop("revoked") is Outcome.REFUSED
    assert stood.pop("silent") is Outcome.SILENT
    assert set(stood.values()) == {Outcome.AFFIRMING}
    assert len(lines) == 14
    assert Counter(line.outcome for line in lines.values()) == store.standing(OPERATOR, at=NOW_OF_PAGES)
    silent = lines[fleet.devices["silent"].device_id]
    assert (silent.watched, silent.supplier) == ("stale", "Acme")
    asked = [line.asked_at for line in lines.values()]
    assert asked == sorted(asked, reverse=True)


@pytest.mark.negative
def test_a_request_that_waits_does_not_hide_what_came_before(fleet: WatchedFleet) -> None:
    store, changed = FleetStore(fleet.engine), fleet.devices["kernel"]
    fleet.world.ask(device=changed, at=NOW_OF_PAGES)
    (line,) = store.devices(
        OPERATOR, Filter(device_id=changed.device_id), skip=0, count_max=9, at=NOW_OF_PAGES
    )
    assert line.outcome is Outcome.CONTRAINDICATED
    newest, *_ = store.validations(changed.device_id, OPERATOR, skip=0, count_max=9, at=NOW_OF_PAGES)
    assert newest.outcome is Outcome.PENDING


@pytest.mark.negative
@pytest.mark.requirement("R102")
def test_rows_are_for_who_asked_and_for_auditors(fleet: WatchedFleet) -> None:
    store, request_id = FleetStore(fleet.engine), fleet.results["kernel"].request_id
    device_id = fleet.devices["kernel"].device_id
    for reader in (OTHER, DOWNLOAD, SUPPLIER, NOBODY, Reader(role="dpf", tenant="sho-1")):
        assert store.journey_record(request_id, reader=reader) is None
        assert store.validations(device_id, reader, skip=0, count_max=9, at=NOW_OF_PAGES) == ()
        found = store.devices(reader, Filter(), skip=0, count_max=99, at=NOW_OF_PAGES)
        assert device_id not in {line.device_id for line in found}
    for reader in (OPERATOR, AUDITOR):
        record = store.journey_record(request_id, reader=reader)
        assert record is not None
        assert record.result_id == fleet.results["kernel"].id


def test_devices_of_a_supplier_are_its_own_and_their_time_is_a_day(fleet: WatchedFleet) -> None:
    store = FleetStore(fleet.engine)
    found = store.supplied("Acme", device_id="", skip=0, count_max=99)
    assert [each.device_id for each in found] == sorted(device.device_id for device in fleet.devices.values())
    assert {(each.seen_on.hour, each.seen_on.minute, each.seen_on.second) for each in found} == {(0, 0, 0)}
    assert store.supplied("Other", device_id="", skip=0, count_max=99) == ()
    (one,) = store.supplied("Acme", device_id=found[3].device_id[:20], skip=0, count_max=9)
    assert one == found[3]
