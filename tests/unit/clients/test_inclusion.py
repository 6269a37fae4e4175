"""A relying party looks for the leaf that a result promises."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import timedelta

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from clients.inclusion import NothingPromisedError, PromiseBrokenError, check_promise
from edge.ledger_leaf import LedgerEntry
from standards.merkle.checkpoint import Checkpoint, open_checkpoint, sign_checkpoint
from standards.merkle.proof import LeafProof
from standards.merkle.tiles import TileNodes, grown_tiles
from standards.merkle.tree import MerkleError, leaf_digest, tree_root
from standards.rats.ear import InclusionPromise
from tests.fakes.pva_log import NAME, MemoryLog
from tests.unit.standards.rats.results import RESULT

LEAF = b"\x11" * 32
PROMISED = replace(RESULT, promise=InclusionPromise(log=NAME, leaf_hash=LEAF, merge_delay_s=60))
EARLY, DUE = RESULT.issued_at + timedelta(seconds=59), RESULT.issued_at + timedelta(seconds=60)


@dataclass
class ReadLog:
    """A log as a reader sees it; where it is `silent`, it denies proofs of what it has."""

    log: MemoryLog
    silent: bool = False

    def checkpoint(self) -> bytes:
        """What it has signed."""
        tiles = grown_tiles(0, [leaf_digest(each) for each in self.log.leaves], lambda *_: b"")
        nodes = TileNodes(lambda level, number: tiles.get((level, number), b""))
        size = len(self.log.leaves)
        root = tree_root(size, nodes)
        return sign_checkpoint(Checkpoint(origin=self.log.name, size=size, root=root), self.log.key).encode()

    def proof(self, leaf_hash: bytes) -> LeafProof | None:
        """A proof, unless it is silent."""
        return None if self.silent else self.log.prove(leaf_hash)

    def entries(self, number: int, *, width: int) -> list[bytes]:
        """The leaves; all of them are in the first bundle."""
        return self.log.leaves[:width] if number == 0 else []

    def tile(self, level: int, number: int, *, width: int) -> bytes:
        """Nobody asks."""
        raise AssertionError(level, number, width)

    def records(self, *, first: int) -> Sequence[LedgerEntry]:
        """Nobody may ask."""
        raise AssertionError(first)

    def leaf(self, leaf_hash: bytes) -> LedgerEntry:
        """Nobody may ask."""
        raise AssertionError(leaf_hash)


@pytest.fixture
def log() -> MemoryLog:
    made = MemoryLog()
    made.place(LEAF)
    return made


def test_a_promise_that_was_kept_is_shown_by_one_proof(log: MemoryLog) -> None:
    for at in (EARLY, DUE):
        state = check_promise(PROMISED, log=ReadLog(log), key=log.verifier, at=at)
        assert state.checkpoint is not None
        assert (state.checkpoint.size, state.due_at) == (8, DUE)


def test_before_its_time_nothing_is_broken(log: MemoryLog) -> None:
    log.leaves.remove(LEAF)
    state = check_promise(PROMISED, log=ReadLog(log), key=log.verifier, at=EARLY)
    assert (state.checkpoint, state.due_at) == (None, DUE)


@pytest.mark.negative
def test_a_leaf_that_is_not_there_in_time_is_a_broken_promise(log: MemoryLog) -> None:
    log.leaves.remove(LEAF)
    with pytest.raises(PromiseBrokenError, match="none of the 7 leaves") as caught:
        check_promise(PROMISED, log=ReadLog(log), key=log.verifier, at=DUE)
    assert caught.value.promise == PROMISED.promise
    assert open_checkpoint(caught.value.note, log.verifier).size == 7


def test_a_log_that_denies_a_leaf_which_it_has_is_read_whole(log: MemoryLog) -> None:
    state = check_promise(PROMISED, log=ReadLog(log, silent=True), key=log.verifier, at=DUE)
    assert state.checkpoint is not None
    assert state.checkpoint.size == 8


@pytest.mark.negative
def test_a_log_that_cannot_be_verified_proves_nothing(log: MemoryLog) -> None:
    other = MemoryLog(key=Ed25519PrivateKey.generate(), leaves=log.leaves)
    with pytest.raises(MerkleError, match="signature"):
        check_promise(PROMISED, log=ReadLog(other), key=log.verifier, at=DUE)


@pytest.mark.negative
def test_without_a_promise_of_this_log_there_is_nothing_to_check(log: MemoryLog) -> None:
    elsewhere = InclusionPromise(log="other.example.net/log", leaf_hash=LEAF, merge_delay_s=60)
    for promise in (None, elsewhere):
        with pytest.raises(NothingPromisedError):
            check_promise(replace(RESULT, promise=promise), log=ReadLog(log), key=log.verifier, at=DUE)
