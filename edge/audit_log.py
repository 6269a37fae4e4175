"""The audit log of a process, second half: leaves get their order, and the log signs what it holds (D15).

Rule: a signed checkpoint commits the log for ever. So the tree is checked against the last checkpoint before the next
one is signed, places are given and signed in one transaction, and a size is signed once: it is the key of its row.

    leaf without a place --(sequence)--> index n, digest in tile (0, n / 256), checkpoint of size > n

Several processes on one store may sequence: of two that meet, one is repeated and finds nothing left to do.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from itertools import accumulate
from typing import Annotated, Any, Final

import sqlalchemy as sa
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from pydantic import AfterValidator, Field

from edge.database import transaction
from edge.direct_statements import DirectStatement
from edge.keys import load_log_key
from edge.ledger import LedgerTable
from edge.ledger_leaf import LedgerEntry
from edge.many_rows import update_all
from edge.periodic import Periodic
from edge.process import Clock
from edge.serialization import repeated
from edge.settings import Settings, SettingsPath
from standards.merkle.checkpoint import Checkpoint, VerifierKey, check_name, sign_checkpoint
from standards.merkle.proof import LeafProof
from standards.merkle.tiles import TILE_WIDTH, TileNodes, TileSource, encode_entries, grown_tiles, width_at
from standards.merkle.tree import EMPTY_ROOT, HASH_SIZE, inclusion_proof, leaf_digest, tree_root

BATCH: Final = 1024
"""Leaves that one transaction puts in order at most."""
RECORDS_PER_PAGE: Final = 200
PAGE_BYTES: Final = 256 * 1024


class AuditLogError(Exception):
    """The stored tree is not the one that was signed: nothing more is signed until somebody has looked."""


def _log_name(name: str) -> str:
    if not check_name(name):
        raise ValueError("expected a name without spaces and plus signs, such as pva-1.example.net/log")
    return name


class AuditLogSettings(Settings):
    """An audit log: its public name (`host/path` of its operator), and the Ed25519 key that signs for it."""

    name: Annotated[str, AfterValidator(_log_name)]
    key: SettingsPath
    passphrase_file: SettingsPath
    interval_s: Annotated[float, Field(gt=0, le=3_600)] = 1.0


@dataclass(frozen=True, slots=True, kw_only=True)
class LogSigner:
    """Name and key of a log."""

    name: str
    key: Ed25519PrivateKey

    @property
    def verifier(self) -> VerifierKey:
        """What others verify its checkpoints with."""
        return VerifierKey(name=self.name, public_key=self.key.public_key())


class AuditLog:
    """Puts the leaves of one ledger in order, and gives out what was signed."""

    def __init__(self, engine: sa.Engine, ledger: LedgerTable, *, signer: LogSigner, clock: Clock) -> None:
        """Work on an engine whose schema is migrated."""
        self._engine, self._ledger = engine, ledger
        self._signer, self._clock = signer, clock
        table, checkpoints, tiles = ledger.table, ledger.checkpoints, ledger.tiles
        waiting = sa.select(table.c.number, table.c.leaf_hash).where(table.c.log_index.is_(None))
        self._read_waiting = DirectStatement(
            engine, waiting.order_by(table.c.number).limit(sa.bindparam("count_max", type_=sa.Integer))
        )
        self._read_last = DirectStatement(
            engine, sa.select(checkpoints).order_by(checkpoints.c.size.desc()).limit(1)
        )
        here = sa.and_(tiles.c.level == sa.bindparam("level"), tiles.c.number == sa.bindparam("number"))
        self._read_tile = DirectStatement(engine, sa.select(tiles.c.digests).where(here))

    @property
    def verifier(self) -> VerifierKey:
        """What its checkpoints are verified with."""
        return self._signer.verifier

    def sequence_all(self) -> None:
        """Put every leaf that waits into the tree. Raises AuditLogError."""
        while self.sequence() == BATCH:
            pass

    @repeated
    def sequence(self) -> int:
        """Put up to BATCH waiting leaves into the tree, sign the new checkpoint, and give their number.

        Without any nothing is signed, but for the first checkpoint, of the empty log. Raises AuditLogError.
        """
        if self._read_last.rows_alone({}) and not self._read_waiting.rows_alone({"count_max": 1}):
            return 0
        with transaction(self._engine) as connection:
            last = self._last(connection)
            waiting = self._read_waiting.rows(connection, {"count_max": BATCH})
            if last is not None and not waiting:
                return 0
            size = 0 if last is None else last.size

            @cache  # each tile is read once: what is signed grew out of what was checked
            def stored(level: int, number: int) -> bytes:
                return self._tile(connection, level, number)

            self._refuse_another_tree(last, stored)
            grown = self._grow(connection, size, waiting, stored)
            self._sign(
                connection,
                size + len(waiting),
                lambda level, number: grown.get((level, number)) or stored(level, number),
            )
            return len(waiting)

    def checkpoint(self) -> str | None:
        """The newest signed checkpoint; None before the first."""
        table = self._ledger.checkpoints
        query = sa.select(table.c.note).order_by(table.c.size.desc()).limit(1)
        with transaction(self._engine, write=False) as connection:
            note: str | None = connection.execute(query).scalar()
            return note

    def tile(self, level: int, number: int, *, width: int = TILE_WIDTH) -> bytes | None:
        """The first `width` digests of a tile that is signed so far; None where there are fewer."""
        with transaction(self._engine, write=False) as connection:
            if width > width_at(level, number, self._size(connection)):
                return None
            return self._tile(connection, level, number)[: width * HASH_SIZE]

    def entries(self, number: int, *, width: int = TILE_WIDTH) -> bytes | None:
        """The entry bundle (leaf hashes) below the first `width` digests of tile (0, `number`), or None."""
        table = self._ledger.table
        first = number * TILE_WIDTH
        query = (
            sa.select(table.c.leaf_hash)
            .where(table.c.log_index >= first, table.c.log_index < first + width)
            .order_by(table.c.log_index)
        )
        with transaction(self._engine, write=False) as connection:
            if width > width_at(0, number, self._size(connection)):
                return None
            return encode_entries(list(connection.execute(query).scalars()))

    def records(self, *, first: int) -> Sequence[LedgerEntry]:
        """A page of leaves in the tree's order from index `first` on: of RECORDS_PER_PAGE and a size, one at least."""
        table = self._ledger.table
        query = sa.select(table).where(table.c.log_index >= first).order_by(table.c.log_index)
        with transaction(self._engine, write=False) as connection:
            rows = connection.execute(query.limit(RECORDS_PER_PAGE)).mappings()
            found = [LedgerEntry(**row) for row in rows]
        sizes = accumulate(len(entry.record or b"") for entry in found)
        return [entry for entry, size in zip(found, sizes, strict=True) if size <= PAGE_BYTES] or found[:1]

    def leaf(self, leaf_hash: bytes) -> LedgerEntry | None:
        """A leaf by its hash, in the tree or waiting for its place."""
        query = sa.select(self._ledger.table).where(self._ledger.table.c.leaf_hash == leaf_hash)
        with transaction(self._engine, write=False) as connection:
            row = connection.execute(query).mappings().first()
            return None if row is None else LedgerEntry(**row)

    def prove(self, leaf_hash: bytes) -> LeafProof | None:
        """That a leaf is in the tree that was signed last; None while it has no place in it."""
        table, checkpoints = self._ledger.table, self._ledger.checkpoints
        place = sa.select(table.c.log_index).where(table.c.leaf_hash == leaf_hash)
        newest = sa.select(checkpoints).order_by(checkpoints.c.size.desc()).limit(1)
        with transaction(self._engine, write=False) as connection:
            index = connection.execute(place).scalar()
            signed = connection.execute(newest).first()
            if index is None or signed is None or index >= signed.size:
                return None
            nodes = TileNodes(lambda level, number: self._tile(connection, level, number))
            return LeafProof(index=index, proof=inclusion_proof(index, signed.size, nodes), note=signed.note)

    def _last(self, connection: sa.Connection) -> Checkpoint | None:
        found = self._read_last.rows(connection, {})
        if not found:
            return None
        return Checkpoint(origin=self._signer.name, size=found[0]["size"], root=found[0]["root"])

    def _size(self, connection: sa.Connection) -> int:
        last = self._last(connection)
        return 0 if last is None else last.size

    def _refuse_another_tree(self, last: Checkpoint | None, stored: TileSource) -> None:
        size, signed = (0, EMPTY_ROOT) if last is None else (last.size, last.root)
        root = tree_root(size, TileNodes(stored))
        if root != signed:
            raise AuditLogError(
                f"audit log {self._signer.name}: {size} leaves were signed with root {signed.hex()}, "
                f"the stored tiles give {root.hex()}; restore the store from a backup"
            )

    def _grow(
        self, connection: sa.Connection, size: int, waiting: Sequence[Mapping[str, Any]], stored: TileSource
    ) -> Mapping[tuple[int, int], bytes]:
        """Give the leaves their places, and the tree the tiles that these make, which are returned."""
        places = [
            {"number": row["number"], "log_index": index} for index, row in enumerate(waiting, start=size)
        ]
        update_all(connection, self._ledger.table, places, key=["number"], where=sa.true())
        digests = [leaf_digest(row["leaf_hash"]) for row in waiting]
        grown = grown_tiles(size, digests, stored)
        tiles = self._ledger.tiles
        for (level, number), row in grown.items():
            at = sa.and_(tiles.c.level == level, tiles.c.number == number)
            if not connection.execute(sa.update(tiles).where(at).values(digests=row)).rowcount:
                connection.execute(sa.insert(tiles).values(level=level, number=number, digests=row))
        return grown

    def _sign(self, connection: sa.Connection, size: int, tiles: TileSource) -> None:
        root = tree_root(size, TileNodes(tiles))
        checkpoint = Checkpoint(origin=self._signer.name, size=size, root=root)
        connection.execute(
            sa.insert(self._ledger.checkpoints).values(
                size=size,
                root=root,
                note=sign_checkpoint(checkpoint, self._signer.key),
                signed_at=self._clock(),
            )
        )

    def _tile(self, connection: sa.Connection, level: int, number: int) -> bytes:
        found = self._read_tile.rows(connection, {"level": level, "number": number})
        return found[0]["digests"] if found else b""


def open_log(
    settings: AuditLogSettings | None, engine: sa.Engine, ledger: LedgerTable, *, clock: Clock
) -> AuditLog | None:
    """The log over a store, or None where none is kept. Raises KeyFileError."""
    if settings is None:
        return None
    key = load_log_key(settings.key, passphrase_file=settings.passphrase_file)
    return AuditLog(engine, ledger, signer=LogSigner(name=settings.name, key=key), clock=clock)


def log_work(settings: AuditLogSettings | None, log: AuditLog | None) -> tuple[Periodic, ...]:
    """What keeps the checkpoint of a log young; nothing where no log is kept."""
    if settings is None or log is None:
        return ()
    return (Periodic(name="audit-log", interval_s=settings.interval_s, work=log.sequence_all),)
