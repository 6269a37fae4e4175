"""How a service publishes its audit log on its operator listener: checkpoint and tiles for all, records for auditors.

Rule: what every admitted caller sees says nothing about anybody (salted digests, and proofs of them); records and salts go to
`admin` and `auditor` alone. The paths below `/v1/log` are those of C2SP tlog-tiles, so other people's tools read them too.
"""

from http import HTTPStatus
from typing import Any, Final

from flask import Flask, Response

from edge.api_description import PathParameter
from edge.audit_log import AuditLog
from edge.ledger_leaf import LedgerEntry
from edge.operations import (
    AnswerModel,
    QueryModel,
    Sha256,
    Told,
    WholeNumber,
    answers,
    answers_octets,
    takes_query,
)
from edge.principals import ROLES, require
from edge.problem_document import Problem, ProblemError
from standards.merkle.tiles import LEVEL_MAX, TILE_WIDTH, read_tile_path
from standards.merkle.tree import HASH_SIZE, SIZE_MAX, MerkleError
from standards.rats.fields import encode_base64url

_FOR_EVER: Final = "max-age=31536000, immutable"
_NOW: Final = "no-cache"
_EVERYBODY: Final = tuple(sorted(ROLES))
_TEXT: Final = "text/plain; charset=utf-8"
OCTETS: Final = "application/octet-stream"
LOG_PARAMETERS: Final = {
    "level": PathParameter(description="level of the tile, 0 the leaves' own", pattern=r"^[0-9]$"),
    "tile": PathParameter(
        description="number of the tile, and `.p/` with its width while it grows",
        pattern=r"^(x[0-9]{3}/)*[0-9]{3}(\.p/[0-9]{1,3})?$",
    ),
    "leaf_hash": PathParameter(description="hash of a leaf (RFC 9162)", pattern=r"^[0-9a-f]{64}$"),
}


class FirstQuery(QueryModel):
    """From which leaf on; the answer has as many as fit on a page."""

    first: WholeNumber = 0


class LogRecordAnswer(AnswerModel):
    """A leaf with its record and salt (base64url, hexadecimal); what it has no more, or not yet, is left out."""

    leaf_hash: Sha256
    kind: str
    subject: str
    index: int | None = None
    record: str | None = None
    salt: str | None = None


class LogRecordsAnswer(AnswerModel):
    """A page of leaves, in the order of the tree."""

    records: list[LogRecordAnswer]


def add_log_pages(app: Flask, log: AuditLog | None) -> None:
    """Add the routes, none where no log is kept; their access is declared here."""
    if log is None:
        return

    @app.get("/v1/log/checkpoint")
    @require(*_EVERYBODY)
    @answers_octets(_TEXT)
    def log_checkpoint() -> Response:
        """The newest signed checkpoint of the audit log (C2SP tlog-checkpoint)."""
        note = log.checkpoint()
        if note is None:
            raise _missing("checkpoint", "no checkpoint is signed yet", "ask again in a moment")
        return Response(note, content_type=_TEXT, headers={"Cache-Control": _NOW})

    @app.get("/v1/log/tile/<int:level>/<path:tile>")
    @require(*_EVERYBODY)
    @answers_octets(OCTETS)
    def log_tile(level: int, tile: str) -> Response:
        """Hashes of the log's tree (C2SP tlog-tiles)."""
        number, width = _read_path(tile)
        found = log.tile(level, number, width=width) if level <= LEVEL_MAX else None
        return _tile(found, f"tile {level}/{tile}", width)

    @app.get("/v1/log/tile/entries/<path:tile>")
    @require(*_EVERYBODY)
    @answers_octets(OCTETS)
    def log_entries(tile: str) -> Response:
        """Leaf hashes of the log (C2SP tlog-tiles)."""
        number, width = _read_path(tile)
        return _tile(log.entries(number, width=width), f"entries {tile}", width)

    _add_leaves(app, log)


def _add_leaves(app: Flask, log: AuditLog) -> None:
    @app.get("/v1/log/proofs/<leaf_hash>")
    @require(*_EVERYBODY)
    @answers_octets(_TEXT)
    def log_proof(leaf_hash: str) -> Response:
        """That a leaf is in the signed tree, for who knows its hash, as from the promise in a result (C2SP tlog-proof)."""
        found = log.prove(_read_hash(leaf_hash))
        if found is None:
            raise _missing(
                f"leaf {leaf_hash}",
                "it is in no signed tree of this log",
                "ask again when its merge delay is over",
            )
        return Response(found.encode(), content_type=_TEXT, headers={"Cache-Control": _NOW})

    @app.get("/v1/log/records")
    @require("admin", "auditor")
    @takes_query(FirstQuery)
    @answers(LogRecordsAnswer)
    def log_records(query: FirstQuery) -> Told:
        """What the log has on record, from a leaf on."""
        return {"records": [_record(each) for each in log.records(first=query.first)]}

    @app.get("/v1/log/leaves/<leaf_hash>")
    @require("admin", "auditor")
    @answers(LogRecordAnswer)
    def log_leaf(leaf_hash: str) -> Told:
        """One record by the hash of its leaf."""
        found = log.leaf(_read_hash(leaf_hash))
        if found is None:
            raise _missing(f"leaf {leaf_hash}", "this log has no such leaf", "ask the log of another service")
        return _record(found)


def _tile(found: bytes | None, subject: str, width: int) -> Response:
    if found is None:
        raise _missing(subject, "the signed tree is not so large", "read the checkpoint first")
    headers = {"Cache-Control": _FOR_EVER if width == TILE_WIDTH else _NOW}
    return Response(found, content_type=OCTETS, headers=headers)


def _record(entry: LedgerEntry) -> dict[str, Any]:
    """A leaf without the members that it does not have: a place so far, what has been erased."""
    members = {
        "index": entry.log_index,
        "leaf_hash": entry.leaf_hash.hex(),
        "kind": entry.kind,
        "subject": entry.subject,
        "record": None if entry.record is None else encode_base64url(entry.record),
        "salt": None if entry.salt is None else entry.salt.hex(),
    }
    return {name: value for name, value in members.items() if value is not None}


def _read_path(path: str) -> tuple[int, int]:
    try:
        number, width = read_tile_path(path)
    except MerkleError as error:
        raise _malformed("path of a tile", str(error), "x001/x234/067, or 067.p/8 while it grows") from None
    if number * TILE_WIDTH > SIZE_MAX:
        raise _missing(f"tile {path}", "the signed tree is not so large", "read the checkpoint first")
    return number, width


def _read_hash(text: str) -> bytes:
    try:
        digest = bytes.fromhex(text)
    except ValueError:
        digest = b""
    if len(digest) != HASH_SIZE:
        raise _malformed("leaf hash", "expected 64 hexadecimal digits", "take it from the record")
    return digest


def _missing(subject: str, reason: str, remedy: str) -> ProblemError:
    return _refused(HTTPStatus.NOT_FOUND, "log-not-found", subject=subject, detail=reason, remedy=remedy)


def _malformed(subject: str, reason: str, remedy: str) -> ProblemError:
    return _refused(
        HTTPStatus.BAD_REQUEST, "log-path-malformed", subject=subject, detail=reason, remedy=remedy
    )


def _refused(status: HTTPStatus, code: str, *, subject: str, detail: str, remedy: str) -> ProblemError:
    return ProblemError(
        Problem(
            status=status,
            type=code,
            title=status.phrase,
            detail=detail,
            subject=subject,
            reason=code,
            remedy=remedy,
        )
    )
