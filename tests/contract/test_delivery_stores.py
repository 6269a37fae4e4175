"""The stores of DPF and DRF on SQLite files and on PostgreSQL: the schema of their migrations, and no race lost."""

import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TypeVar

import pytest
import sqlalchemy as sa

from edge.database import engine_for, schema_differences, transaction
from messages.device_code import device_code
from operators.dpf import schema as dpf_schema
from operators.dpf.refusals import RefusalError
from operators.drf import schema as drf_schema
from operators.drf.registrations import RegistrationWish
from tests.contract.databases import new_database
from tests.fakes.dpf_counterparts import DpfRoom
from tests.fakes.pki import NOW
from tests.unit.operators.dpf.room import PARTS, SECOND, WORLD, answer, authorize, come
from tests.unit.operators.drf.room import ATTACHMENT, DEVICE, PCID, DrfRoom

OPERATORS = Path(__file__).parents[2] / "operators"
THREADS = 8
T = TypeVar("T")


@pytest.fixture(params=["sqlite", "postgresql"])
def engines(request: pytest.FixtureRequest) -> Iterator[Callable[[str], sa.Engine]]:
    """Gives a role its store, each of one kind."""
    made: list[sa.Engine] = []

    def of(role: str) -> sa.Engine:
        made.append(engine_for(new_database(request, request.param, OPERATORS / role / "migrations")))
        return made[-1]

    yield of
    for engine in made:
        engine.dispose()


@pytest.fixture
def dpf(engines: Callable[[str], sa.Engine]) -> DpfRoom:
    return DpfRoom(WORLD, engine=engines("dpf"))


@pytest.fixture
def drf(engines: Callable[[str], sa.Engine]) -> DrfRoom:
    return DrfRoom(engine=engines("drf"))


def at_once(call: Callable[[], T]) -> list[T]:
    """What `THREADS` threads get that call at the same moment; none may fail."""
    ready, results, faults = threading.Barrier(THREADS), [], []

    def run() -> None:
        ready.wait()
        try:
            results.append(call())
        except Exception as error:  # noqa: BLE001  # shown below
            faults.append(error)

    threads = [threading.Thread(target=run) for _ in range(THREADS)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert faults == []
    return results


def kinds(engine: sa.Engine, schema: object) -> list[str]:
    ledger = schema.ledger  # type: ignore[attr-defined]
    with transaction(engine, write=False) as connection:
        return [each.kind for each in ledger.entries(connection)]


def test_the_migrations_make_the_schemas(engines: Callable[[str], sa.Engine]) -> None:
    assert schema_differences(engines("dpf"), dpf_schema.metadata) == []
    assert schema_differences(engines("drf"), drf_schema.metadata) == []


@pytest.mark.check("A28")
def test_of_many_at_once_one_opens_one_is_granted_one_is_receipted(dpf: DpfRoom) -> None:
    assert len({record.id for record in at_once(lambda: authorize(dpf))}) == 1
    deliveries = at_once(lambda: come(dpf))
    assert len({each.id for each in deliveries}) == 1
    answer(dpf, deliveries[0])
    granted = at_once(lambda: dpf.releases.progress(deliveries[0].id, at=NOW))
    assert len({each.grant.id for each in granted if each is not None}) == 1
    statement = WORLD.statement(WORLD.receipt(PARTS.package))
    receipts = at_once(lambda: dpf.receipts.take(deliveries[0].id, statement, at=NOW))
    assert {each.outcome for each in receipts} == {"installed"}
    leaves = kinds(dpf.engine, dpf_schema)
    once = ("authorization-accepted", "delivery-opened", "grant", "receipt", "receipt-forwarded")
    assert {kind: leaves.count(kind) for kind in once} == dict.fromkeys(once, 1)


@pytest.mark.negative
@pytest.mark.check("A28")
def test_a_result_that_made_one_grant_makes_no_other(dpf: DpfRoom) -> None:
    authorize(dpf)
    first = come(dpf)
    answer(dpf, first)
    granted = dpf.releases.progress(first.id, at=NOW)
    assert granted is not None
    later = granted.grant.expires_at + SECOND
    second = come(dpf, at=later)
    answer(dpf, second, at=later, result_id=granted.grant.result_id)
    with pytest.raises(RefusalError, match="authorization-closed"):
        dpf.releases.progress(second.id, at=later)
    assert kinds(dpf.engine, dpf_schema).count("grant") == 1


@pytest.mark.requirement("R92")
def test_of_many_registrations_at_once_one_is_kept(drf: DrfRoom) -> None:
    drf.attachments.attached(ATTACHMENT, at=NOW)
    at_once(
        lambda: drf.discovery.announce(
            "order-1", sho="sho-1", code=device_code(DEVICE), sho_name="Operator", at=NOW
        )
    )
    wish = RegistrationWish(pcid=PCID, device_id=DEVICE, sho="sho-1", pfc_chain=(b"pfc",), ak_public=b"ak")
    tokens = at_once(lambda: drf.registrations.register(wish, idempotency_key="key-1", at=NOW))
    assert len(set(tokens)) == 1
    at_once(lambda: drf.relay.relay("a JWS", token_digest=b"\x01" * 32, sho="sho-1", at=NOW))
    leaves = kinds(drf.engine, drf_schema)
    once = ("attached", "order-announced", "registered", "relayed")
    assert {kind: leaves.count(kind) for kind in once} == dict.fromkeys(once, 1)
