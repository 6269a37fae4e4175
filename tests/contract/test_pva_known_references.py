"""What validations look up is read again after every change of it, whoever made it, and not before."""

from collections.abc import Iterator
from datetime import datetime
from typing import Any

import pytest
import sqlalchemy as sa

from edge.database import UtcTime, transaction
from edge.process import system_random
from pva.appraisal.credential import PlatformCredential
from pva.manifests.recognised import RecognisedSupplier
from pva.refusals import RefusalError
from pva.requests import RelyingParty
from pva.store import tables
from pva.store.known_references import KnownReferences
from pva.store.policies import PolicyStore
from pva.store.references import ReferenceStore
from standards.pki.ocsp_answer import CertStatus
from standards.rats.errors import RatsError
from tests.contract.test_pva_store import AuditedStore, migrated
from tests.fakes.pki import NOW
from tests.fakes.pva_world import TENANT, World, good

WATCHED = (
    tables.suppliers,
    tables.supplier_suspensions,
    tables.trust_lists,
    tables.manifests,
    tables.manifest_approvals,
    tables.policies,
)
PARTY = RelyingParty(role="sho", tenant=TENANT, name="t")
_VALUES: dict[type[sa.types.TypeEngine[Any]], object] = {
    sa.String: "x",
    sa.Text: "x",
    sa.LargeBinary: b"x",
    sa.JSON: {},
    sa.BigInteger: 1,
    UtcTime: NOW,
}


class CountedReferences(ReferenceStore):
    """Counts how often it is read."""

    reads = 0

    def suppliers(self) -> tuple[RecognisedSupplier, ...]:
        """As its parent."""
        self.reads += 1
        return tuple(super().suppliers())


@pytest.fixture(params=["sqlite", "postgresql"])
def engine(request: pytest.FixtureRequest) -> Iterator[sa.Engine]:
    made = migrated(request, request.param)
    yield made
    made.dispose()


@pytest.mark.requirement("R29")
def test_each_change_of_a_row_changes_the_stamp(engine: sa.Engine) -> None:
    stamps: set[str] = set()

    def changed(statement: sa.Executable) -> None:
        with transaction(engine) as connection:
            connection.execute(statement)
            stamp = connection.scalar(sa.select(tables.reference_stamps.c.stamp))
        assert stamp not in stamps, str(statement)
        stamps.add(str(stamp))

    for table in WATCHED:
        changed(sa.insert(table).values({each.name: _VALUES[type(each.type)] for each in table.c}))
        changed(_same(table))
    for table in reversed(WATCHED):
        changed(sa.delete(table))


def _same(table: sa.Table) -> sa.Update:
    column = list(table.c)[-1]
    return sa.update(table).values({column.name: _VALUES[type(column.type)]})


@pytest.mark.requirement("R29")
def test_what_did_not_change_is_read_once_and_what_changed_at_once(engine: sa.Engine) -> None:
    references = CountedReferences(engine, random_bytes=system_random)
    policies = PolicyStore(engine, random_bytes=system_random)
    world = World(store=AuditedStore(engine), references=references, policies=policies)
    known = KnownReferences(engine, references=references, policies=policies)
    chain = known.current().manifest_chain(world.state.manifest_digest)
    assert chain is not None
    before = references.reads
    first = known.current().suppliers()
    held = known.current()
    assert held.suppliers() is first
    assert held.manifest_chain(world.state.manifest_digest) is chain
    assert held.operator_trust(PARTY, supplier="Acme", at=NOW) == (False, None)
    assert list(held.in_force(PARTY, supplier="Acme")) == []
    assert references.reads == before + 1
    with transaction(engine) as connection:
        connection.execute(sa.update(tables.suppliers).values(withdrawn_at=NOW))
    assert known.current().suppliers() == ()


@pytest.mark.negative
@pytest.mark.requirement("R29")
def test_what_is_decided_while_the_responder_is_asked_counts(engine: sa.Engine) -> None:
    references = ReferenceStore(engine, random_bytes=system_random)
    policies = PolicyStore(engine, random_bytes=system_random)
    known = KnownReferences(engine, references=references, policies=policies)
    world = World(store=AuditedStore(engine), references=references, policies=policies, looked_up=known)
    assert world.validate(world.answer()).status == "affirming"

    def meanwhile(_credential: PlatformCredential, at: datetime) -> CertStatus:
        with transaction(engine) as connection:
            connection.execute(sa.update(tables.manifests).values(approved_at=None))
        return good(at)

    world.responder = meanwhile
    assert world.validate(world.answer(world.device.later())).status != "affirming"


@pytest.mark.negative
@pytest.mark.requirement("R29")
def test_a_row_that_was_altered_beneath_is_refused_each_time(engine: sa.Engine) -> None:
    references = ReferenceStore(engine, random_bytes=system_random)
    policies = PolicyStore(engine, random_bytes=system_random)
    world = World(store=AuditedStore(engine), references=references, policies=policies)
    known = KnownReferences(engine, references=references, policies=policies)
    assert known.current().manifest_chain(world.state.manifest_digest) is not None
    flipped = world.signed_manifest[:-1] + bytes([world.signed_manifest[-1] ^ 1])
    with transaction(engine) as connection:
        connection.execute(sa.update(tables.manifests).values(signed=flipped))
    for _ in range(2):
        with pytest.raises((RatsError, RefusalError)):
            known.current().manifest_chain(world.state.manifest_digest)
