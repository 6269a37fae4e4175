"""What a service's audit log is worth: read whole, computed anew, compared with what was signed and seen before.

Rule: nothing that the service says counts but its signature; the tree is computed here from its entries.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Protocol

from edge.ledger_leaf import LedgerEntry, LedgerError, verify_entry
from standards.merkle.checkpoint import Checkpoint, VerifierKey, open_checkpoint
from standards.merkle.tiles import TILE_WIDTH, TileNodes, grown_tiles, split_tile, width_at
from standards.merkle.tree import (
    HASH_SIZE,
    MerkleError,
    inclusion_proof,
    leaf_digest,
    tree_root,
    verify_inclusion,
)


class LogReader(Protocol):
    """A log that is read over the network; `clients.audit_log.AuditLogClient` is one."""

    def checkpoint(self) -> bytes:
        """The newest signed checkpoint."""

    def tile(self, level: int, number: int, *, width: int) -> bytes:
        """Digests of a tile."""

    def entries(self, number: int, *, width: int) -> list[bytes]:
        """Leaf hashes of an entry bundle."""

    def records(self, *, first: int) -> Sequence[LedgerEntry]:
        """A page of records."""

    def leaf(self, leaf_hash: bytes) -> LedgerEntry:
        """One leaf by its hash."""


Progress = Callable[[int, int], None]
"""Hears how many leaves of how many have been read."""


@dataclass(frozen=True, slots=True, kw_only=True)
class VerifiedLog:
    """A log whose every entry is under the signed root; `note` is the signed checkpoint to keep."""

    checkpoint: Checkpoint
    note: bytes
    leaves: Sequence[bytes]


@dataclass(frozen=True, slots=True, kw_only=True)
class CheckedRecords:
    """How many records are what their leaves committed to, and how many have been erased."""

    kept: int
    erased: int


def verify_log(
    log: LogReader, key: VerifierKey, *, known: bytes | None, progress: Progress = lambda _done, _all: None
) -> VerifiedLog:
    """Read the whole log and verify it under `key`; with a checkpoint seen before, that nothing was taken back.

    Raises MerkleError.
    """
    note = log.checkpoint()
    checkpoint = open_checkpoint(note, key)
    before = None if known is None else open_checkpoint(known, key)
    if before is not None and before.size > checkpoint.size:
        raise MerkleError(
            "log", expected=f"at least {before.size} leaves, as once signed", got=str(checkpoint.size)
        )
    tiles = _Tiles()
    leaves: list[bytes] = []
    for bundle in _bundles(log, checkpoint.size):
        digests = [leaf_digest(entry) for entry in bundle]
        tiles.update(grown_tiles(len(leaves), digests, tiles.tile))
        leaves += bundle
        progress(len(leaves), checkpoint.size)
    nodes = TileNodes(tiles.tile)
    for signed in (checkpoint, before):
        if signed is not None and tree_root(signed.size, nodes) != signed.root:
            raise MerkleError(
                f"tree of {signed.size} leaves",
                expected=f"the signed root {signed.root.hex()}",
                got="another",
            )
    return VerifiedLog(checkpoint=checkpoint, note=note, leaves=leaves)


def check_records(log: LogReader, verified: VerifiedLog) -> CheckedRecords:
    """Check every record of a verified log against its leaf. Raises MerkleError or LedgerError."""
    kept = erased = index = 0
    size = len(verified.leaves)
    while index < size:
        page = log.records(first=index)
        if not page:
            raise MerkleError("records", expected=f"the record of leaf {index}", got="none")
        for entry in page[: size - index]:
            _check_place(entry, index, verified.leaves[index])
            if entry.record is None:
                erased += 1
            else:
                verify_entry(entry)
                kept += 1
            index += 1
    return CheckedRecords(kept=kept, erased=erased)


def prove_leaf(log: LogReader, key: VerifierKey, leaf_hash: bytes) -> tuple[LedgerEntry, Checkpoint]:
    """Show by a few tiles that a leaf is under the signed root. Raises MerkleError or LedgerError."""
    checkpoint = open_checkpoint(log.checkpoint(), key)
    entry = log.leaf(leaf_hash)
    if entry.log_index is None or entry.log_index >= checkpoint.size:
        raise LedgerError(
            f"leaf {leaf_hash.hex()} has no place in the signed tree yet; ask again in a moment"
        )
    if entry.leaf_hash != leaf_hash:
        raise MerkleError("leaf", expected=leaf_hash.hex(), got=entry.leaf_hash.hex())

    def tile(level: int, number: int) -> bytes:
        width = width_at(level, number, checkpoint.size)
        found = log.tile(level, number, width=width)
        if len(split_tile(found)) != width:
            raise MerkleError(
                f"tile {level}/{number}", expected=f"{width} digests", got=f"{len(found) // HASH_SIZE}"
            )
        return found

    proof = inclusion_proof(entry.log_index, checkpoint.size, TileNodes(tile))
    verify_inclusion(
        leaf_digest(leaf_hash), index=entry.log_index, size=checkpoint.size, proof=proof, root=checkpoint.root
    )
    if entry.record is not None:
        verify_entry(entry)
    return entry, checkpoint


class _Tiles(dict[tuple[int, int], bytes]):
    """The tiles of a tree that is computed here."""

    def tile(self, level: int, number: int) -> bytes:
        return self.get((level, number), b"")


def _bundles(log: LogReader, size: int) -> Iterator[list[bytes]]:
    for first in range(0, size, TILE_WIDTH):
        yield log.entries(first // TILE_WIDTH, width=min(TILE_WIDTH, size - first))


def _check_place(entry: LedgerEntry, index: int, leaf: bytes) -> None:
    if entry.log_index != index or entry.leaf_hash != leaf:
        raise MerkleError(f"record {index}", expected=f"that of leaf {leaf.hex()}", got=entry.leaf_hash.hex())
