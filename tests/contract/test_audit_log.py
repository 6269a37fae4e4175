"""The audit log on a real store: order, checkpoints, proofs, and what it refuses to sign."""

import threading
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import pytest
import sqlalchemy as sa
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from edge.audit_log import BATCH, AuditLog, AuditLogError, LogSigner
from edge.caller_refusals import CallerRefusals
from edge.database import NAMING, engine_for, transaction
from edge.ledger import LedgerTable
from edge.ledger_leaf import verify_entry
from edge.refused import AnonymousRefusals
from standards.merkle.checkpoint import Checkpoint, open_checkpoint
from standards.merkle.tiles import TILE_WIDTH, TileNodes, decode_entries, width_at
from standards.merkle.tree import (
    EMPTY_ROOT,
    consistency_proof,
    inclusion_proof,
    leaf_digest,
    tree_root,
    verify_consistency,
    verify_inclusion,
)
from tests.contract.postgresql import PostgreSql

METADATA = sa.MetaData(naming_convention=NAMING)
LEDGER = LedgerTable(METADATA)
AT = datetime(2026, 1, 2, tzinfo=UTC)
SIGNER = LogSigner(name="pva-1.example.net/log", key=Ed25519PrivateKey.from_private_bytes(bytes(range(32))))


@dataclass
class World:
    """A store with a log over it."""

    engine: sa.Engine
    added: int = 0

    @property
    def log(self) -> AuditLog:
        """A log as another process would open it."""
        return AuditLog(self.engine, LEDGER, signer=SIGNER, clock=lambda: AT)

    def add(self, count: int) -> list[bytes]:
        """Append leaves."""
        with transaction(self.engine) as connection:
            made = [
                LEDGER.append(
                    connection,
                    kind="test",
                    subject=f"device-{number}",
                    record={"number": number},
                    at=AT,
                    salt=number.to_bytes(32, "big"),
                )
                for number in range(self.added, self.added + count)
            ]
        self.added += count
        return made

    def checkpoint(self) -> Checkpoint:
        """The newest, verified."""
        note = self.log.checkpoint()
        assert note is not None
        return open_checkpoint(note.encode(), SIGNER.verifier)

    def nodes(self) -> TileNodes:
        """The tree as a stranger reads it: tiles of the signed size."""
        size = self.checkpoint().size

        def tile(level: int, number: int) -> bytes:
            width = width_at(level, number, size)
            found = self.log.tile(level, number, width=width) if width else b""
            assert found is not None
            return found

        return TileNodes(tile)


@pytest.fixture(params=["sqlite", "postgresql"])
def world(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[World]:
    if request.param == "sqlite":
        url = f"sqlite:///{tmp_path / 'store.db'}"
    else:
        server: PostgreSql = request.getfixturevalue("postgresql")
        url = server.new_database()
    engine = engine_for(url)
    with transaction(engine) as connection:
        METADATA.create_all(connection)
    yield World(engine)
    engine.dispose()


def test_an_empty_log_says_so_once(world: World) -> None:
    assert world.log.checkpoint() is None
    world.log.sequence_all()
    world.log.sequence_all()
    assert world.checkpoint() == Checkpoint(origin=SIGNER.name, size=0, root=EMPTY_ROOT)
    assert world.log.tile(0, 0, width=1) is None
    assert world.log.entries(0, width=1) is None


@pytest.mark.requirement("R71")
def test_leaves_get_their_place_and_every_one_is_proven(world: World) -> None:
    leaves = world.add(3)
    world.log.sequence_all()
    first = world.checkpoint()
    leaves += world.add(TILE_WIDTH + 40)
    world.log.sequence_all()
    second = world.checkpoint()
    assert (first.size, second.size) == (3, len(leaves))

    nodes = world.nodes()
    assert tree_root(second.size, nodes) == second.root
    for index in (0, 2, 3, TILE_WIDTH - 1, TILE_WIDTH, len(leaves) - 1):
        proof = inclusion_proof(index, second.size, nodes)
        verify_inclusion(
            leaf_digest(leaves[index]), index=index, size=second.size, proof=proof, root=second.root
        )
    verify_consistency(
        first=first.size,
        first_root=first.root,
        second=second.size,
        second_root=second.root,
        proof=consistency_proof(first.size, second.size, nodes),
    )
    bundle = world.log.entries(0)
    assert bundle is not None
    assert decode_entries(bundle, count=TILE_WIDTH) == leaves[:TILE_WIDTH]
    assert world.log.entries(1) is None  # not full
    assert world.log.tile(1, 0, width=1) is not None


def test_records_come_in_the_order_of_the_tree_and_a_leaf_by_its_hash(world: World) -> None:
    leaves = world.add(5)
    waiting = world.log.leaf(leaves[0])
    assert waiting is not None
    assert waiting.log_index is None
    world.log.sequence_all()
    assert [entry.leaf_hash for entry in world.log.records(first=2)] == leaves[2:]
    found = world.log.leaf(leaves[4])
    assert found is not None
    assert found.log_index == 4
    assert verify_entry(found)["record"] == {"number": 4}
    assert world.log.leaf(bytes(32)) is None


def test_many_leaves_take_several_rounds_and_one_call(world: World) -> None:
    world.add(BATCH + 1)
    assert world.log.sequence() == BATCH
    assert world.checkpoint().size == BATCH
    world.log.sequence_all()
    assert world.checkpoint().size == BATCH + 1


def test_two_processes_at_once_make_one_log(world: World) -> None:
    logs = [world.log, world.log]
    for _ in range(4):
        world.add(20)
        threads = [threading.Thread(target=log.sequence_all) for log in logs]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    world.log.sequence_all()
    assert world.checkpoint().size == 80
    assert tree_root(80, world.nodes()) == world.checkpoint().root
    assert [entry.log_index for entry in world.log.records(first=0)] == list(range(80))


@pytest.mark.negative
def test_a_tree_that_was_changed_is_never_signed_again(world: World) -> None:
    world.add(3)
    world.log.sequence_all()
    before = world.checkpoint()
    tiles = LEDGER.tiles
    with transaction(world.engine) as connection:
        row = connection.execute(sa.select(tiles.c.digests)).scalar_one()
        connection.execute(sa.update(tiles).values(digests=row[:-1] + bytes([row[-1] ^ 1])))
    world.add(1)
    with pytest.raises(AuditLogError, match="restore the store"):
        world.log.sequence_all()
    assert world.checkpoint() == before
    assert [entry.log_index for entry in world.log.records(first=0)] == [0, 1, 2]


@pytest.mark.negative
def test_a_size_is_signed_once(world: World) -> None:
    world.add(2)
    world.log.sequence_all()
    with transaction(world.engine) as connection:
        again = sa.select(LEDGER.checkpoints)
        row = connection.execute(again).mappings().one()
    with pytest.raises(sa.exc.IntegrityError), transaction(world.engine) as connection:
        connection.execute(sa.insert(LEDGER.checkpoints).values(**{**row, "note": "another"}))


def test_a_refused_caller_is_on_record_in_bounds(world: World) -> None:
    refusals = CallerRefusals(
        world.engine, LEDGER, random_bytes=bytes, clock=lambda: AT, anonymous=AnonymousRefusals()
    )
    refusals.record_caller_refusal(caller="c" * 999, route="r" * 999, code="no", detail="d" * 9_999, at=AT)
    world.log.sequence_all()
    (entry,) = world.log.records(first=0)
    assert (entry.kind, entry.subject) == ("request-refused", "c" * 200)
    assert verify_entry(entry)["record"] == {"route": "r" * 200, "code": "no", "detail": "d" * 2_000}
