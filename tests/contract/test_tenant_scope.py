"""No query of a store that a tenant reaches gives one tenant what is another's: every such query is asked here by both.

A query is known by its signature: it takes a tenant. One that is added later and stands in no table here fails.
"""

import importlib
import inspect
import pkgutil
from collections.abc import Callable, Iterator, Mapping
from types import ModuleType
from typing import Final, cast

import pytest

from ca.records import Device, Model
from ca.store import Records
from ca.suspensions import Scope
from pva.fleet.fleet import Filter
from pva.policies.desk import Owner, PolicyState
from pva.results.explanation import Reader
from pva.store.approvals import ApprovalStore
from pva.store.fleet import FleetStore
from pva.store.policies import PolicyStore
from pva.store.results import ResultStore
from pva.store.updates import UpdateStore
from pva.store.validations import Store
from pva.store.watches import WatchStore
from tests.contract.test_pva_store import sqlite_engine
from tests.fakes.ca import CaHouse, supplier
from tests.fakes.enrolling_device import EnrollingDevice
from tests.fakes.pki import NOW
from tests.fakes.pva_world import TENANT
from tests.fakes.watched_fleet import NOW_OF_PAGES, OTHER_TENANT, WatchedFleet, hours
from tests.unit.ca.test_enrollment import enroll

SCOPES: Final = frozenset("tenant owner reader sho operator supplier only_of relay party".split())  # noqa: SIM905  # a list of names
ROOMS: Final = ("pva.store", "ca.store")
MODULES: Final = (
    *(f"operators.{role}.store" for role in ("icf", "ccif", "drf", "sho", "dpf", "vno")),
    *("operators.sho.life_store", "operators.sho.device_state_store", "operators.dpf.device_state_store"),
    *("ocsp.store", "ocsp.state_store"),
)
OWNER: Final = Reader(role="sho", tenant=TENANT)
STRANGERS: Final = (
    Reader(role="sho", tenant=OTHER_TENANT),
    Reader(role="sho", tenant="sho-9"),
    Reader(role="dpf", tenant=TENANT),
)
"""An operator with rows of its own, one without any, and another role under the owner's name."""
_BY_NAME_ALONE: Final = {
    "ApprovalStore.approval_facts",
    "UpdateStore.next_facts",
    "WatchStore.watches",
    "WatchStore.end_watch",
}
"""Serve one role, so that the name is the tenant."""

Look = Callable[[WatchedFleet, Reader], object]
"""What a reader gets to see of the owner's; false where it is nothing."""


def _owner(reader: Reader) -> Owner:
    return Owner(role=reader.role, tenant=reader.tenant)


def _policies(fleet: WatchedFleet) -> PolicyStore:
    return PolicyStore(fleet.engine, random_bytes=bytes)


def _watches(fleet: WatchedFleet) -> WatchStore:
    return WatchStore(fleet.engine, random_bytes=bytes, callbacks=frozenset(), event_life=hours(1))


def _own_devices(fleet: WatchedFleet) -> frozenset[str]:
    return frozenset(device.device_id for name, device in fleet.devices.items() if name != "other")


def _seen(fleet: WatchedFleet, reader: Reader) -> frozenset[str]:
    found = FleetStore(fleet.engine).devices(reader, Filter(), skip=0, count_max=99, at=NOW_OF_PAGES)
    delivered = fleet.devices["fine 0"].device_id  # which the DPF asked about too
    return frozenset(line.device_id for line in found) & (_own_devices(fleet) - {delivered})


LOOKS: Final[Mapping[str, Look]] = {
    "ApprovalStore.approval_facts": lambda fleet, reader: ApprovalStore(
        fleet.engine, random_bytes=bytes
    ).approval_facts(fleet.results["ordered"].id, sho=reader.tenant),
    "FleetStore.devices": _seen,
    "FleetStore.validations": lambda fleet, reader: FleetStore(fleet.engine).validations(
        fleet.devices["kernel"].device_id, reader, skip=0, count_max=9, at=NOW_OF_PAGES
    ),
    "FleetStore.journey_record": lambda fleet, reader: FleetStore(fleet.engine).journey_record(
        fleet.results["kernel"].request_id, reader=reader
    ),
    "PolicyStore.policies": lambda fleet, reader: _policies(fleet).policies(_owner(reader)),
    "PolicyStore.past_verdicts": lambda fleet, reader: (
        {each.device_id for each in _policies(fleet).past_verdicts(_owner(reader), since=NOW, count_max=999)}
        & (_own_devices(fleet) - {fleet.devices["fine 0"].device_id})
    ),
    "PolicyStore.change_state": lambda fleet, reader: _policies(fleet).change_state(
        _owner(reader), fleet.policy.digest, to=PolicyState.RETIRED, by="somebody", at=NOW_OF_PAGES
    ),
    "ResultStore.request_on_record": lambda fleet, reader: ResultStore(
        fleet.engine, random_bytes=bytes
    ).request_on_record(fleet.results["kernel"].id, reader=reader, at=NOW_OF_PAGES),
    "ResultStore.exportable": lambda fleet, reader: ResultStore(fleet.engine, random_bytes=bytes).exportable(
        fleet.results["kernel"].id, reader=reader
    ),
    "Store.progress": lambda fleet, reader: Store(fleet.engine, random_bytes=bytes).progress(
        fleet.results["kernel"].request_id, role=reader.role, tenant=reader.tenant, at=NOW_OF_PAGES
    ),
    "UpdateStore.next_facts": lambda fleet, reader: UpdateStore(fleet.engine, random_bytes=bytes).next_facts(
        fleet.results["ordered"].id, manifest_digest=fleet.second, sho=reader.tenant
    ),
    "WatchStore.watches": lambda fleet, reader: _watches(fleet).watches(reader.tenant),
    "WatchStore.end_watch": lambda fleet, reader: _watches(fleet).end_watch(
        _watches(fleet).watches(TENANT)[0].id, operator=reader.tenant, by="somebody", at=NOW_OF_PAGES
    ),
}
"""Of relying parties; the last one ends what it is asked about."""

COUNTS: Final = {"FleetStore.counts", "FleetStore.standing"}
"""Numbers, which `test_numbers_add_up_to_what_each_may_count` asks for."""

Books = Callable[[Records, str, Device], object]
"""What the books have for a supplier of this name; the device is enrolled, and "acme"'s."""
BOOKS: Final[Mapping[str, Books]] = {
    "AuthorityRows.models_of": lambda records, name, _: records.models_of(supplier=name),
    "AuthorityRows.model": lambda records, name, _: records.model(name, "gw-1"),
    "SupplyRows.batch": lambda records, name, _: records.batch(name, "batch-1"),
    "SupplyRows.manifest": lambda records, name, _: records.manifest(name, "gw/1"),
    "SupplyRows.current_manifest": lambda records, name, _: records.current_manifest(name, "gw-1"),
    "DeviceRows.serials_taken": lambda records, name, device: list(
        records.serials_taken(name, {(device.model, device.serial)})
    ),
    "LineRows.line_devices": lambda records, name, _: records.line_devices(name, "gw-1", after="", limit=9),
    "SuspensionRows.has_model": lambda records, name, _: records.has_model(name, "gw-1"),
    "SuspensionRows.has_batch": lambda records, name, _: records.has_batch(name, "batch-1"),
    "SuspensionRows.suspensions": lambda records, name, _: records.suspensions(supplier=name),
}
"""Of suppliers at the CA, each of which is asked for "acme" and for "rival"."""

ELSEWHERE: Final[Mapping[str, str]] = {
    "SupplyRows.batch_of_digest": "the digest is over the supplier's name too",
    "AuthorityRows.root": "certificates of roots are everybody's",
    "AuthorityRows.roots": "certificates of roots are everybody's",
    "AuthorityRows.authority_named": "asked when an administrator makes a CA",
    "AuthorityRows.add_model": "written when an administrator makes a CA",
    "FeedRows.feed_of_batch": "tests/unit/ca/test_batch_feeds.py: another supplier sees nothing of a feed",
    "FeedRows.open_feeds": "tests/unit/ca/test_batch_feeds.py: another supplier sees nothing of a feed",
    "FeedRows.lines_listed_already": "one's own lines alone, of one's own feed",
    "FleetStore.supplied": "tests/contract/test_pva_fleet.py: devices of a supplier are its own",
    "PolicyStore.in_force": "asked by a validation, about the party that wanted it",
    "SupplierStore.operator_trust": "asked by a validation, about the party that wanted it",
    "CurrentReferences.in_force": "keeps the answer of PolicyStore.in_force by party and tenant",
    "CurrentReferences.operator_trust": "keeps the answer of SupplierStore.trust_list by tenant",
    "SupplierStore.save_supplier": "written for administrators",
    "ReferenceStore.known_manifests": "asked by a validation, about the device's supplier",
    "ApprovalStore.record_approvals": "takes the facts that approval_facts gave for the same SHO",
    "Store.add_request": "written for whoever asks, under its own name",
    "Store.relayed_progress": "tests/end_to_end/test_pva_relying_parties.py: nobody hands in another's",
    "drf Store.is_relayed_for": "tests/unit/operators/drf/test_drf.py: another operator sees nothing of it",
    "DeviceStates.watched_states": "tests/unit/operators/dpf/test_device_states.py: another operator's watch",
    "SqlStateStore.last": "tests/contract/test_platform_state_store.py: each reader has its own last result",
}
"""Why a query needs no row above, or where it is asked by two tenants."""


@pytest.fixture(scope="module")
def fleet(tmp_path_factory: pytest.TempPathFactory) -> Iterator[WatchedFleet]:
    engine = sqlite_engine(tmp_path_factory.mktemp("scope"))
    yield WatchedFleet(engine=engine)
    engine.dispose()


@pytest.mark.requirement("R102")
@pytest.mark.negative
@pytest.mark.parametrize("query", LOOKS)
def test_a_relying_party_never_sees_anothers_rows(fleet: WatchedFleet, query: str) -> None:
    look = LOOKS[query]
    for stranger in STRANGERS:
        if query in _BY_NAME_ALONE and stranger.tenant == TENANT:
            continue
        assert not look(fleet, stranger), stranger
    assert look(fleet, OWNER)


@pytest.mark.requirement("R102")
def test_numbers_add_up_to_what_each_may_count(fleet: WatchedFleet) -> None:
    store, edges = FleetStore(fleet.engine), (NOW, NOW_OF_PAGES + hours(1))

    def counted(reader: Reader) -> int:
        return sum(sum(each.values()) for each in store.counts(reader, edges=edges))

    everybody = [OWNER, STRANGERS[0], Reader(role="dpf", tenant="dpf-1")]
    assert counted(Reader(role="auditor", tenant="")) == sum(counted(each) for each in everybody)
    assert counted(STRANGERS[0]) == sum(store.standing(STRANGERS[0], at=NOW_OF_PAGES).values()) == 1
    for nobody in STRANGERS[1:]:
        assert counted(nobody) == 0
        assert not any(store.standing(nobody, at=NOW_OF_PAGES).values())


@pytest.fixture(scope="module")
def supplied() -> Iterator[tuple[CaHouse, Device]]:
    house = CaHouse()
    house.product_line()
    house.product_line("rival", models=("other-1",))
    house.publish_manifest()
    enrolling = EnrollingDevice(maker=house.maker)
    house.list_devices(enrolling)
    enroll(house, enrolling)
    house.suspensions.suspend(Scope(supplier="acme"), reason="a recall", caller=supplier("acme"))
    with house.store.reading() as records:
        device = records.device(enrolling.device_id)
    assert device is not None
    yield house, device
    house.close()


@pytest.mark.requirement("R102")
@pytest.mark.negative
@pytest.mark.parametrize("query", BOOKS)
def test_a_supplier_never_sees_anothers_rows(supplied: tuple[CaHouse, Device], query: str) -> None:
    house, device = supplied
    with house.store.reading() as records:
        own, others = (BOOKS[query](records, name, device) for name in ("acme", "rival"))
    assert own
    rivals_own = [("other-1", "rival")] if query == "AuthorityRows.models_of" else []
    assert [(each.model, each.supplier) for each in cast("list[Model]", others or [])] == rivals_own


def test_every_query_that_takes_a_tenant_is_asked_about() -> None:
    found = {name for module in stores() for name in scoped_queries(module)}
    assert found == {*LOOKS, *BOOKS, *COUNTS, *ELSEWHERE}


def stores() -> Iterator[ModuleType]:
    """Every module of every store."""
    for name in ROOMS:
        room = importlib.import_module(name)
        yield room
        for each in pkgutil.iter_modules(room.__path__):
            yield importlib.import_module(f"{name}.{each.name}")
    for name in MODULES:
        yield importlib.import_module(name)


def scoped_queries(module: ModuleType) -> Iterator[str]:
    """Public methods of the module's classes with a parameter that is a tenant."""
    room = module.__name__.split(".")
    for name, kind in inspect.getmembers(module, inspect.isclass):
        if kind.__module__ != module.__name__:
            continue
        for method, function in vars(kind).items():
            if method.startswith("_") or not inspect.isfunction(function):
                continue
            if SCOPES & set(inspect.signature(function).parameters):
                yield (
                    f"{room[1]} {name}.{method}"
                    if room[0] == "operators" and name == "Store"
                    else f"{name}.{method}"
                )
