"""A leaf of an audit ledger: what it commits to, and whether a record is the one that was committed to (D15).

The leaf is a commitment, SHA-256 over a label, a random salt and the record's bytes; salt and record lie beside it and can be
erased later without changing the leaf, which then says nothing about anybody. Pure: who verifies a log needs no store.
"""

import hashlib
import hmac
import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import lru_cache
from typing import Any

LEAF_LABEL = b"pva/leaf/1\x00"
SALT_BYTES = 32
RECORD_BYTES_MAX = 64 * 1024


_ENCODER = json.JSONEncoder(sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False)
_PLAIN = (str, int, type(None))


class LedgerError(Exception):
    """A record cannot become a leaf, or a stored leaf does not match its record."""


@dataclass(frozen=True, slots=True, kw_only=True)
class LedgerEntry:
    """One leaf as stored.

    `record` and `salt` are None once erased, `log_index` is its place in the tree (None until it has one).
    """

    number: int
    kind: str
    subject: str
    leaf_hash: bytes
    record: bytes | None
    salt: bytes | None
    log_index: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Leaf:
    """A leaf before it is stored: `make_leaf` makes it, `LedgerTable.put` stores it."""

    kind: str
    subject: str
    leaf_hash: bytes
    record: bytes
    salt: bytes

    def row(self) -> dict[str, Any]:
        """It as a row of the ledger."""
        return {
            "kind": self.kind,
            "subject": self.subject,
            "leaf_hash": self.leaf_hash,
            "record": self.record,
            "salt": self.salt,
        }


def encode_record(*, kind: str, subject: str, record: Mapping[str, Any], at: datetime) -> bytes:
    """The bytes that a leaf commits to: JSON, keys sorted, no spaces, UTF-8, no floating point.

    `at` must be aware; it is written in UTC to the microsecond. Raises LedgerError.
    """
    whole = {"at": _moment(at), "kind": kind, "record": record, "subject": subject}
    _refuse_ambiguous(whole)
    data = _ENCODER.encode(whole).encode()
    if len(data) > RECORD_BYTES_MAX:
        raise LedgerError(f"a ledger record has at most {RECORD_BYTES_MAX} bytes, got {len(data)}")
    return data


@lru_cache(maxsize=64)
def _moment(at: datetime) -> str:
    if at.tzinfo is None:
        raise LedgerError("the time of a ledger record must be aware")
    return at.astimezone(UTC).isoformat(timespec="microseconds").replace("+00:00", "Z")


def leaf_hash(*, salt: bytes, record: bytes) -> bytes:
    """Commitment to the encoded `record` under the 32-byte `salt`."""
    if len(salt) != SALT_BYTES:
        raise LedgerError(f"the salt of a leaf has {SALT_BYTES} bytes, got {len(salt)}")
    return hashlib.sha256(LEAF_LABEL + salt + record).digest()


def make_leaf(*, kind: str, subject: str, record: Mapping[str, Any], at: datetime, salt: bytes) -> Leaf:
    """A leaf with its hash, for who must name it before it is stored; otherwise as `LedgerTable.append`."""
    data = encode_record(kind=kind, subject=subject, record=record, at=at)
    return Leaf(
        kind=kind, subject=subject, leaf_hash=leaf_hash(salt=salt, record=data), record=data, salt=salt
    )


def verify_entry(entry: LedgerEntry) -> dict[str, Any]:
    """The record of a leaf that still has one, after checking it against the leaf's hash."""
    if entry.record is None or entry.salt is None:
        raise LedgerError(f"the record of leaf {entry.number} has been erased")
    if not hmac.compare_digest(leaf_hash(salt=entry.salt, record=entry.record), entry.leaf_hash):
        raise LedgerError(f"the record of leaf {entry.number} is not the one that was committed to")
    whole: dict[str, Any] = json.loads(entry.record)
    if whole.get("kind") != entry.kind or whole.get("subject") != entry.subject:
        raise LedgerError(f"leaf {entry.number} is filed under another kind or subject than its record says")
    return whole


def _refuse_ambiguous(value: object) -> None:
    if isinstance(value, _PLAIN):
        return
    if isinstance(value, dict) or isinstance(value, Mapping):  # noqa: SIM101  # the second question is a slow one
        for key, nested in value.items():
            if not isinstance(key, str):
                raise LedgerError(f"keys of a ledger record are strings, got {type(key).__name__}")
            if not isinstance(nested, _PLAIN):
                _refuse_ambiguous(nested)
        return
    if isinstance(value, list | tuple):
        for nested in value:
            _refuse_ambiguous(nested)
        return
    raise LedgerError(
        f"a ledger record holds strings, integers, lists and tables, got {type(value).__name__}"
    )
