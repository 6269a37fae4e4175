"""The stores of ICF, CCIF and VNO, in memory, on SQLite and on PostgreSQL, keep the same promises to the use cases."""

import threading
from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from types import ModuleType

import pytest
import sqlalchemy as sa

import operators.ccif.schema
import operators.icf.schema
import operators.vno.schema
from edge.database import engine_for, migrate, schema_differences, transaction
from edge.ledger import LedgerTable
from edge.ledger_leaf import verify_entry
from edge.problem_document import Problem
from edge.process import system_random
from edge.secret_store import SecretStore, SecretStoreError
from operators.ccif.connectivity import Credential
from operators.ccif.store import Store as CcifStore
from operators.icf.store import ISSUED_MAX
from operators.icf.store import Store as IcfStore
from operators.icf.subscribers import BearerTerms, Subscriber
from operators.icf.vectors import IssuedVector
from operators.vno.bearers import Bearer, secret_digest
from operators.vno.store import REFUSALS_MAX
from operators.vno.store import Store as VnoStore
from standards.aka.milenage import MilenageKey
from standards.aka.sequence import DELTA, SEQ_MAX, HomeSequence, sqn_of
from tests.contract.databases import new_database
from tests.fakes.access_memory import CcifMemory, IcfMemory, VnoMemory

OPERATORS = Path(__file__).parents[2] / "operators"
NOW = datetime(2026, 6, 1, 12, 0, tzinfo=UTC)
LATER = NOW + timedelta(minutes=2)
PCID = "999700000000001"
KEY = MilenageKey(k=bytes(range(16)), opc=bytes(range(16, 32)))
TERMS = BearerTerms(apn="provisioning", destinations=("drf.example:443",), quota_bytes=1000, life_s=60)
SUBSCRIBER = Subscriber(pcid=PCID, key=KEY, amf=b"\x00\x00", terms=TERMS)
SECRETS = SecretStore(bytes(32), random_bytes=system_random)
BEARER = Bearer(
    id="b1",
    pcid=PCID,
    secret_sha256=secret_digest("s"),
    apn="provisioning",
    destinations=("drf.example:443",),
    quota_bytes=1000,
    used_bytes=0,
    expires_at=LATER,
)
PROBLEM = Problem(status=403, type="destination-not-allowed", title="Forbidden")
SCHEMAS = {"icf": operators.icf.schema, "ccif": operators.ccif.schema, "vno": operators.vno.schema}


@dataclass(kw_only=True)
class Stores:
    """One store of each role, and how to read its audit leaves."""

    icf: IcfStore | IcfMemory
    ccif: CcifStore | CcifMemory
    vno: VnoStore | VnoMemory
    engines: dict[str, sa.Engine]

    def audit(self, role: str) -> tuple[str, ...]:
        """Kinds of the leaves so far; each one must match its record."""
        store = {"icf": self.icf, "ccif": self.ccif, "vno": self.vno}[role]
        if isinstance(store, IcfMemory | CcifMemory | VnoMemory):
            return store.audit_kinds()
        schema: ModuleType = SCHEMAS[role]
        ledger: LedgerTable = schema.ledger
        with transaction(self.engines[role], write=False) as connection:
            return tuple(verify_entry(entry)["kind"] for entry in ledger.entries(connection))


def migrated(role: str, url: str) -> sa.Engine:
    engine = engine_for(url)
    migrate(engine, OPERATORS / role / "migrations")
    return engine


@pytest.fixture(params=["memory", "sqlite", "postgresql"])
def stores(request: pytest.FixtureRequest) -> Iterator[Stores]:
    if request.param == "memory":
        yield Stores(icf=IcfMemory(), ccif=CcifMemory(), vno=VnoMemory(), engines={})
        return
    engines = {}
    for role in SCHEMAS:
        engines[role] = engine_for(new_database(request, request.param, OPERATORS / role / "migrations"))
    yield Stores(
        icf=IcfStore(engines["icf"], secrets=SECRETS, random_bytes=system_random),
        ccif=CcifStore(engines["ccif"], secrets=SECRETS, random_bytes=system_random),
        vno=VnoStore(engines["vno"], random_bytes=system_random),
        engines=engines,
    )
    for engine in engines.values():
        engine.dispose()


def issued(*rands: bytes, at: datetime = NOW) -> tuple[IssuedVector, ...]:
    return tuple(
        IssuedVector(
            rand=rand, pcid=PCID, serving_network="vno-1", issued_at=at, expires_at=at + (LATER - NOW)
        )
        for rand in rands
    )


def rand(number: int) -> bytes:
    return number.to_bytes(16, "big")


def credential(pcid: str = PCID, *, device: str = "a" * 64, name: bytes = b"n" * 34) -> Credential:
    return Credential(pcid=pcid, tenant="t", device_id=device, storage_key_name=name, key=KEY)


def test_the_migrations_make_what_the_schemas_say(stores: Stores) -> None:
    for role, engine in stores.engines.items():
        assert schema_differences(engine, SCHEMAS[role].metadata) == [], role


# --- ICF


def test_a_subscriber_is_added_once_and_its_key_comes_back(stores: Stores) -> None:
    assert stores.icf.subscriber(PCID) is None
    assert stores.icf.add_subscriber(SUBSCRIBER, by="ccif", at=NOW)
    assert not stores.icf.add_subscriber(SUBSCRIBER, by="ccif", at=NOW)
    assert stores.icf.subscriber(PCID) == SUBSCRIBER
    changed = replace(SUBSCRIBER, terms=replace(TERMS, apn="other"), amf=b"\x80\x00")
    stores.icf.change_terms(changed, by="ccif", at=NOW)
    assert stores.icf.subscriber(PCID) == changed
    assert stores.audit("icf") == ("subscriber-added", "subscriber-changed")


@pytest.mark.requirement("R87")
def test_numbers_go_forward_and_each_batch_has_its_own(stores: Stores) -> None:
    stores.icf.add_subscriber(SUBSCRIBER, by="ccif", at=NOW)
    first = stores.icf.take_numbers(issued(rand(1), rand(2)), sqn_ms=None, by="vno", at=NOW)
    second = stores.icf.take_numbers(issued(rand(3)), sqn_ms=None, by="vno", at=NOW)
    assert (first, second) == (HomeSequence(seq=0, ind=0), HomeSequence(seq=2, ind=1))
    third = stores.icf.take_numbers(issued(rand(4)), sqn_ms=sqn_of(seq=500, ind=9), by="vno", at=NOW)
    assert third == HomeSequence(seq=500, ind=2)
    fourth = stores.icf.take_numbers(issued(rand(5)), sqn_ms=sqn_of(seq=3, ind=9), by="vno", at=NOW)
    assert fourth == HomeSequence(seq=501, ind=3)
    assert stores.icf.issued(rand(5)) == issued(rand(5))[0]
    ahead = sqn_of(seq=600 + DELTA, ind=0)
    assert stores.icf.take_numbers(issued(rand(6)), sqn_ms=ahead, by="vno", at=NOW) is not None
    behind = stores.icf.take_numbers(issued(rand(7)), sqn_ms=sqn_of(seq=502, ind=3), by="vno", at=NOW)
    assert behind == HomeSequence(seq=502, ind=5)
    first_again = stores.icf.take_numbers(issued(rand(8)), sqn_ms=None, by="vno", at=NOW)
    assert first_again == HomeSequence(seq=503, ind=6)


@pytest.mark.negative
def test_used_up_numbers_are_not_taken(stores: Stores) -> None:
    ending = replace(SUBSCRIBER, sequence=HomeSequence(seq=SEQ_MAX - 1, ind=31))
    stores.icf.add_subscriber(ending, by="ccif", at=NOW)
    assert stores.icf.take_numbers(issued(rand(1), rand(2)), sqn_ms=None, by="vno", at=NOW) is None
    assert stores.icf.issued(rand(1)) is None
    taken = stores.icf.take_numbers(issued(rand(1)), sqn_ms=None, by="vno", at=NOW)
    assert taken == HomeSequence(seq=SEQ_MAX - 1, ind=31)


@pytest.mark.requirement("R87")
def test_no_number_is_taken_twice_at_the_same_time(tmp_path: Path) -> None:
    engine = migrated("icf", f"sqlite:///{tmp_path / 'icf.db'}")
    store = IcfStore(engine, secrets=SECRETS, random_bytes=system_random)
    store.add_subscriber(SUBSCRIBER, by="ccif", at=NOW)
    stood: list[HomeSequence | None] = []

    def take(number: int) -> None:
        stood.append(store.take_numbers(issued(rand(number)), sqn_ms=None, by="vno", at=NOW))

    threads = [threading.Thread(target=take, args=(number,)) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    engine.dispose()
    assert sorted(each.seq for each in stood if each is not None) == list(range(8))


@pytest.mark.negative
@pytest.mark.requirement("R90")
def test_a_rand_attaches_once(stores: Stores) -> None:
    stores.icf.add_subscriber(SUBSCRIBER, by="ccif", at=NOW)
    stores.icf.take_numbers(issued(rand(1)), sqn_ms=None, by="vno", at=NOW)
    assert stores.icf.attach(rand(1), until=LATER, by="vno", at=NOW)
    assert stores.icf.attach(rand(1), until=LATER, by="vno", at=NOW)
    assert not stores.icf.attach(rand(1), until=LATER + timedelta(seconds=1), by="vno", at=NOW)
    assert not stores.icf.attach(rand(2), until=LATER, by="vno", at=NOW)
    assert stores.audit("icf") == ("subscriber-added", "vectors-issued", "attached")


def test_old_rands_are_forgotten_and_their_number_is_bounded(tmp_path: Path) -> None:
    engine = migrated("icf", f"sqlite:///{tmp_path / 'icf.db'}")
    store = IcfStore(engine, secrets=SECRETS, random_bytes=system_random)
    store.add_subscriber(SUBSCRIBER, by="ccif", at=NOW)
    for number in range(ISSUED_MAX + 3):
        at = NOW + timedelta(milliseconds=number)
        store.take_numbers(issued(rand(number), at=at), sqn_ms=None, by="vno", at=at)
    assert store.issued(rand(2)) is None
    assert store.issued(rand(3)) is not None
    store.take_numbers(
        issued(rand(1000), at=LATER + timedelta(hours=1)),
        sqn_ms=None,
        by="vno",
        at=LATER + timedelta(hours=1),
    )
    assert store.issued(rand(3)) is None
    engine.dispose()


@pytest.mark.negative
def test_a_key_opens_in_its_own_row_with_its_own_key_file_only(tmp_path: Path) -> None:
    engine = migrated("icf", f"sqlite:///{tmp_path / 'icf.db'}")
    store = IcfStore(engine, secrets=SECRETS, random_bytes=system_random)
    store.add_subscriber(SUBSCRIBER, by="ccif", at=NOW)
    other = IcfStore(
        engine, secrets=SecretStore(b"\x01" * 32, random_bytes=system_random), random_bytes=system_random
    )
    with pytest.raises(SecretStoreError):
        other.subscriber(PCID)
    with transaction(engine) as connection:
        connection.execute(sa.update(operators.icf.schema.subscribers).values(pcid="999700000000002"))
    with pytest.raises(SecretStoreError):
        store.subscriber("999700000000002")
    engine.dispose()


# --- CCIF


@pytest.mark.requirement("R105")
def test_a_pcid_and_a_storage_key_are_allotted_once(stores: Stores) -> None:
    assert stores.ccif.allot(credential(), by="es", at=NOW)
    assert not stores.ccif.allot(credential(device="b" * 64, name=b"m" * 34), by="es", at=NOW)
    assert not stores.ccif.allot(credential("999700000000002"), by="es", at=NOW)
    assert stores.ccif.allot(credential("999700000000002", name=b"m" * 34), by="es", at=NOW)
    assert stores.ccif.credential("a" * 64, storage_key_name=b"n" * 34) == credential()
    assert stores.ccif.owner("a" * 64) == "t"
    assert stores.ccif.owner("b" * 64) is None


@pytest.mark.requirement("R106")
def test_the_token_takes_the_keys_place_once(stores: Stores) -> None:
    stores.ccif.allot(credential(), by="es", at=NOW)
    stores.ccif.issue(PCID, token="first", by="es", at=NOW)  # noqa: S106 - no password
    stores.ccif.issue(PCID, token="second", by="es", at=NOW)  # noqa: S106 - no password
    found = stores.ccif.credential("a" * 64, storage_key_name=b"n" * 34)
    assert found == replace(credential(), key=None, token="first")  # noqa: S106 - no password
    assert stores.audit("ccif") == ("pcid-allotted", "connectivity-issued")
    if "ccif" in stores.engines:
        with transaction(stores.engines["ccif"], write=False) as connection:
            assert connection.scalar(sa.select(operators.ccif.schema.credentials.c.sealed_key)) is None


# --- VNO


def test_a_bearer_takes_the_place_of_the_one_before_and_its_use(stores: Stores) -> None:
    stores.vno.open(BEARER, at=NOW)
    assert stores.vno.bearer("b1") == BEARER
    assert stores.vno.set_aside("b1", bytes_needed=300, at=NOW) == 300
    stores.vno.open(replace(BEARER, id="b2"), at=NOW)
    assert stores.vno.bearer("b1") is None
    assert stores.vno.bearer("b2") == replace(BEARER, id="b2", used_bytes=300)
    assert stores.vno.used_bytes(PCID, at=LATER) == 0
    stores.vno.open(replace(BEARER, id="b3", expires_at=LATER + timedelta(hours=1)), at=LATER)
    assert stores.vno.used_bytes(PCID, at=LATER) == 0
    assert stores.audit("vno") == ("bearer-opened",) * 3


@pytest.mark.negative
@pytest.mark.requirement("R08")
def test_no_more_is_set_aside_than_the_quota_and_nothing_after_the_end(stores: Stores) -> None:
    stores.vno.open(BEARER, at=NOW)
    assert stores.vno.set_aside("b1", bytes_needed=900, at=NOW) == 900
    assert stores.vno.set_aside("b1", bytes_needed=200, at=NOW) == 100
    assert stores.vno.set_aside("b1", bytes_needed=1, at=NOW) == 0
    stores.vno.give_back("b1", bytes_unused=50)
    assert stores.vno.set_aside("b1", bytes_needed=200, at=NOW) == 50
    stores.vno.give_back("b1", bytes_unused=50)
    assert stores.vno.set_aside("b1", bytes_needed=1, at=LATER) == 0
    assert stores.vno.set_aside("b0", bytes_needed=1, at=NOW) == 0


def test_refusals_of_a_bearer_are_on_record_within_a_bound(stores: Stores) -> None:
    stores.vno.open(BEARER, at=NOW)
    for _ in range(REFUSALS_MAX + 5):
        stores.vno.record_refusal(BEARER, PROBLEM, at=NOW)
    assert stores.audit("vno").count("tunnel-refused") == REFUSALS_MAX
