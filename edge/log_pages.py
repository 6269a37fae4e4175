"""How a service publishes its audit log on its operator listener: checkpoint and tiles for all, records for auditors.

Rule: what every admitted caller sees says nothing about anybody (salted digests); records and salts go to `admin` and
`auditor` alone. The paths below `/v1/log` are those of C2SP tlog-tiles, so other people's tools read them too.
"""

from http import HTTPStatus
from typing import Any, Final

from flask import Flask, Response, jsonify, request

from edge.audit_log import AuditLog
from edge.ledger import LedgerEntry
from edge.principals import ROLES, require
from edge.problem_document import Problem, ProblemError
from standards.merkle.tiles import LEVEL_MAX, TILE_WIDTH, read_tile_path
from standards.merkle.tree import HASH_SIZE, SIZE_MAX, MerkleError
from standards.rats.fields import encode_base64url

_FOR_EVER: Final = "max-age=31536000, immutable"
_NOW: Final = "no-cache"
_EVERYBODY: Final = tuple(sorted(ROLES))
_INDEX_DIGITS: Final = 19


def add_log_pages(app: Flask, log: AuditLog) -> None:
    """Add the routes; their access is declared here."""

    @app.get("/v1/log/checkpoint")
    @require(*_EVERYBODY)
    def log_checkpoint() -> Response:
        note = log.checkpoint()
        if note is None:
            raise _missing("checkpoint", "no checkpoint is signed yet", "ask again in a moment")
        return Response(note, content_type="text/plain; charset=utf-8", headers={"Cache-Control": _NOW})

    @app.get("/v1/log/tile/<int:level>/<path:tile>")
    @require(*_EVERYBODY)
    def log_tile(level: int, tile: str) -> Response:
        number, width = _read_path(tile)
        found = log.tile(level, number, width=width) if level <= LEVEL_MAX else None
        return _tile(found, f"tile {level}/{tile}", width)

    @app.get("/v1/log/tile/entries/<path:tile>")
    @require(*_EVERYBODY)
    def log_entries(tile: str) -> Response:
        number, width = _read_path(tile)
        return _tile(log.entries(number, width=width), f"entries {tile}", width)

    @app.get("/v1/log/records")
    @require("admin", "auditor")
    def log_records() -> Response:
        first = request.args.get("first", "0")
        if not (first.isascii() and first.isdigit() and len(first) < _INDEX_DIGITS):
            raise _malformed("first", "expected the index of a leaf", "first=0")
        found = log.records(first=int(first))
        answer = jsonify(records=[_record(each) for each in found])
        answer.headers["Cache-Control"] = "no-store"
        return answer

    @app.get("/v1/log/leaves/<leaf_hash>")
    @require("admin", "auditor")
    def log_leaf(leaf_hash: str) -> Response:
        found = log.leaf(_read_hash(leaf_hash))
        if found is None:
            raise _missing(f"leaf {leaf_hash}", "this log has no such leaf", "ask the log of another service")
        answer = jsonify(_record(found))
        answer.headers["Cache-Control"] = "no-store"
        return answer


def _tile(found: bytes | None, subject: str, width: int) -> Response:
    if found is None:
        raise _missing(subject, "the signed tree is not so large", "read the checkpoint first")
    headers = {"Cache-Control": _FOR_EVER if width == TILE_WIDTH else _NOW}
    return Response(found, content_type="application/octet-stream", headers=headers)


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
