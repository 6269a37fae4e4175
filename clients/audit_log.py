"""A service's audit log as its readers know it: checkpoint and tiles, records for auditors.

Rule: nothing that comes here is believed here; whoever reads a log verifies it (`standards.merkle`).
"""

from typing import Final

from edge.http_client import HttpClient, HttpError
from edge.ledger_leaf import RECORD_BYTES_MAX, SALT_BYTES, LedgerEntry
from standards.merkle.proof import LeafProof
from standards.merkle.tiles import TILE_WIDTH, decode_entries, tile_path
from standards.merkle.tree import HASH_SIZE
from standards.rats.fields import Fields

_RECORDS_MAX: Final = 1_000
NOT_IN_LOG: Final = "log-not-found"
"""Problem type of what a log does not have."""


class AuditLogAnswerError(Exception):
    """The service answered with something that is no part of an audit log: what, expected, got."""

    def __init__(self, what: str, expected: str, got: str) -> None:
        super().__init__(f"audit log, {what}: expected {expected}, got {got}")
        self.what = what
        self.expected = expected
        self.got = got


class AuditLogClient:
    """The log pages of an operator listener; errors of `edge.http_client` pass through."""

    def __init__(self, http: HttpClient) -> None:
        """Read the log of the service that `http` points at."""
        self._http = http

    def checkpoint(self) -> bytes:
        """The newest signed checkpoint, not verified."""
        return self._http.get("/v1/log/checkpoint").body

    def tile(self, level: int, number: int, *, width: int = TILE_WIDTH) -> bytes:
        """The first `width` digests of a tile, not verified."""
        return self._http.get(f"/v1/log/tile/{level}/{tile_path(number, width=width)}").body

    def entries(self, number: int, *, width: int = TILE_WIDTH) -> list[bytes]:
        """The first `width` leaf hashes of entry bundle `number`, not verified. Raises MerkleError."""
        body = self._http.get(f"/v1/log/tile/entries/{tile_path(number, width=width)}").body
        return decode_entries(body, count=width)

    def proof(self, leaf_hash: bytes) -> LeafProof | None:
        """That a leaf is in the tree, not verified; None where the log says that it is in no signed one.

        Raises MerkleError.
        """
        try:
            return LeafProof.decode(self._http.get(f"/v1/log/proofs/{leaf_hash.hex()}").body)
        except HttpError as error:
            if error.problem is not None and error.problem.type == NOT_IN_LOG:
                return None
            raise

    def records(self, *, first: int) -> tuple[LedgerEntry, ...]:
        """A page of leaves with their records from index `first` on; empty behind the last.

        Raises AuditLogAnswerError.
        """
        answer = self._http.get_json(f"/v1/log/records?first={first}")
        fields = Fields(answer, what="records", refusal=AuditLogAnswerError)
        rows = fields.items("records", size_max=_RECORDS_MAX)
        fields.close()
        return tuple(_entry(row) for row in rows)

    def leaf(self, leaf_hash: bytes) -> LedgerEntry:
        """One leaf by its hash. Raises AuditLogAnswerError."""
        return _entry(self._http.get_json(f"/v1/log/leaves/{leaf_hash.hex()}"))


def _entry(value: object) -> LedgerEntry:
    fields = Fields(value, what="leaf", refusal=AuditLogAnswerError)
    entry = LedgerEntry(
        number=0,
        kind=fields.text("kind"),
        subject=fields.text("subject"),
        leaf_hash=fields.hex("leaf_hash", size_min=HASH_SIZE, size_max=HASH_SIZE),
        record=fields.base64url("record", size_max=RECORD_BYTES_MAX) if "record" in fields else None,
        salt=fields.hex("salt", size_min=SALT_BYTES, size_max=SALT_BYTES) if "salt" in fields else None,
        log_index=fields.integer("index") if "index" in fields else None,
    )
    fields.close()
    return entry
