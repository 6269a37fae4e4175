"""What stays of a MID that was erased: a tombstone in its compartment, and the signed proof beside the vault (R59).

The rule: a tombstone holds no secret, and a proof was signed once, after the key was written over. A compartment that holds
nothing but tombstones goes too; its proofs are kept as they were signed, so that what stands in this file can be
shown again and never made up.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from m2me_agent.tre.state import Storage
from m2me_agent.tre.stored_rows import read_rows
from messages.encoding import encode_deterministic
from messages.errors import refusal
from messages.instruction import PROOF_NONCE_SIZE, REASON_MAX, TRE_NONCE_SIZE
from messages.order import DIGEST_SIZE, ID_MAX
from messages.statement import STATEMENT_BYTES_MAX
from standards.rats.fields import Fields

TOMBSTONES_MAX = 32
"""Tombstones that one compartment keeps; the oldest goes first."""
GRAVES_MAX = 64
"""Proofs that are kept; the oldest goes first."""
_RECORD = "graves"
_RECORD_BYTES_MAX = 1 << 19


@dataclass(frozen=True, slots=True, kw_only=True)
class Tombstone:
    """One MID that is gone: of which package and order, by which instruction (its two nonces), why and when.

    `clock_ms` and `reset_count` are the TPM's; `known_at` is what the time was at least, in seconds, 0 where nobody had told.
    """

    mid_id: str
    package_id: str
    order_digest: bytes
    version: int
    reason: str
    clock_ms: int
    reset_count: int
    known_at: int
    tre_nonce: bytes
    proof_nonce: bytes

    def row(self) -> dict[int, Any]:
        """As it is written; `read_tombstone` takes it back."""
        return {
            1: self.mid_id,
            2: self.package_id,
            3: self.order_digest,
            4: self.version,
            5: self.reason,
            6: self.clock_ms,
            7: self.reset_count,
            8: self.known_at,
            9: self.tre_nonce,
            10: self.proof_nonce,
        }


def read_tombstone(row: object, *, what: str) -> Tombstone:
    """Take one back. Raises MessageError."""
    fields = Fields(row, what=what, refusal=refusal)
    tombstone = Tombstone(
        mid_id=fields.text(1, size_max=ID_MAX),
        package_id=fields.text(2, size_max=ID_MAX),
        order_digest=fields.octets(3, size_min=DIGEST_SIZE, size_max=DIGEST_SIZE),
        version=fields.integer(4),
        reason=fields.text(5, size_max=REASON_MAX),
        clock_ms=fields.integer(6),
        reset_count=fields.integer(7),
        known_at=fields.integer(8),
        tre_nonce=fields.octets(9, size_min=TRE_NONCE_SIZE, size_max=TRE_NONCE_SIZE),
        proof_nonce=fields.octets(10, size_min=PROOF_NONCE_SIZE, size_max=PROOF_NONCE_SIZE),
    )
    fields.close()
    return tombstone


@dataclass(frozen=True, slots=True, kw_only=True)
class Grave:
    """A tombstone of an operator's MID, and the statement that proves the erasure."""

    sho: str
    tombstone: Tombstone
    proof: bytes


class Graves:
    """The proofs, oldest first. Every method raises StateError."""

    def __init__(self, storage: Storage) -> None:
        self._storage = storage

    def all(self) -> tuple[Grave, ...]:
        """Every grave."""
        return read_rows(self._storage, _RECORD, bytes_max=_RECORD_BYTES_MAX, rows_max=GRAVES_MAX, read=_read)

    def of(self, sho: str) -> tuple[Grave, ...]:
        """An operator's graves."""
        return tuple(each for each in self.all() if each.sho == sho)

    def find(self, sho: str, mid_id: str) -> Grave | None:
        """The grave of an operator's MID."""
        return next((each for each in self.of(sho) if each.tombstone.mid_id == mid_id), None)

    def add(self, grave: Grave) -> None:
        """Keep one, in place of an older one of the same MID."""
        others = [
            each
            for each in self.all()
            if (each.sho, each.tombstone.mid_id) != (grave.sho, grave.tombstone.mid_id)
        ]
        self._keep([*others, grave][-GRAVES_MAX:])

    def _keep(self, graves: Sequence[Grave]) -> None:
        rows = [{1: each.sho, 2: each.tombstone.row(), 3: each.proof} for each in graves]
        self._storage.write(_RECORD, encode_deterministic({1: rows}))


def _read(row: object) -> Grave:
    fields = Fields(row, what=_RECORD, refusal=refusal)
    grave = Grave(
        sho=fields.text(1, size_max=ID_MAX),
        tombstone=read_tombstone(fields.raw(2), what=_RECORD),
        proof=fields.octets(3, size_min=1, size_max=STATEMENT_BYTES_MAX),
    )
    fields.close()
    return grave
