"""The audit log as pages: the signed checkpoint for all; records, and the proof of an entry, for administrators and auditors.

Rule: what a page says of an entry is computed from what is stored at this request: the record against its commitment, the
commitment against the signed root. That is this PVA's own word; `pva log` checks the same from outside.
"""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

from flask import Flask, render_template, request

from edge.audit_log import AuditLog
from edge.ledger_leaf import LedgerEntry, LedgerError, verify_entry
from edge.principals import current_principal, require
from edge.problem_document import Problem, ProblemError
from pva.web.dashboard.page import PEOPLE
from pva.web.path_digests import digest_of
from standards.merkle.checkpoint import Checkpoint, open_checkpoint
from standards.merkle.proof import LeafProof
from standards.merkle.tree import MerkleError, leaf_digest, verify_inclusion

READS: Final = ("admin", "auditor")
RECORDS: Final = 25
_INDEX_DIGITS: Final = 18


@dataclass(frozen=True, slots=True, kw_only=True)
class CheckedEntry:
    """An entry with its record in words, None where it is erased; `fault` says where it is not what was committed to."""

    entry: LedgerEntry
    whole: dict[str, Any] | None
    fault: str | None


def add_log(app: Flask, log: AuditLog | None) -> None:
    """Add the pages; without a log they say so."""

    @app.get("/log")
    @require(*PEOPLE)
    def show_log() -> str:
        note = None if log is None else log.checkpoint()
        return render_template(
            "log.html",
            kept=log is not None,
            note=note,
            verifier=None if log is None else str(log.verifier),
            checkpoint=None if log is None or note is None else _opened(log, note),
            may_read=current_principal().role in READS,
        )

    @app.get("/log/records")
    @require(*READS)
    def list_records() -> str:
        size = 0
        if log is not None:
            note = log.checkpoint()
            opened = None if note is None else _opened(log, note)
            size = 0 if opened is None else opened.size
        first = _first(size)
        found: Sequence[LedgerEntry] = () if log is None else log.records(first=first)[:RECORDS]
        return render_template(
            "records.html",
            records=[checked(each) for each in found],
            first=first,
            size=size,
            newer=first + len(found) if found and first + len(found) < size else None,
            older=max(0, first - RECORDS) if first else None,
        )

    @app.get("/log/records/<leaf_hash>")
    @require(*READS)
    def show_record(leaf_hash: str) -> str:
        wanted = digest_of(leaf_hash, not_found=_missing)
        entry = None if log is None else log.leaf(wanted)
        if log is None or entry is None:
            raise _missing()
        proof = log.prove(wanted)
        checkpoint = None if proof is None else _opened(log, proof.note)
        return render_template(
            "record.html",
            checked=checked(entry),
            proof=proof,
            checkpoint=checkpoint,
            proven=proof is not None and checkpoint is not None and proves(wanted, proof, checkpoint),
        )


def checked(entry: LedgerEntry) -> CheckedEntry:
    """An entry, its record held against what the leaf committed to."""
    if entry.record is None or entry.salt is None:
        return CheckedEntry(entry=entry, whole=None, fault=None)
    try:
        return CheckedEntry(entry=entry, whole=verify_entry(entry), fault=None)
    except (LedgerError, json.JSONDecodeError) as error:
        return CheckedEntry(entry=entry, whole=None, fault=str(error))


def proves(leaf_hash: bytes, proof: LeafProof, checkpoint: Checkpoint) -> bool:
    """Whether a proof leads from a leaf to the root of a checkpoint."""
    try:
        verify_inclusion(
            leaf_digest(leaf_hash),
            index=proof.index,
            size=checkpoint.size,
            proof=proof.proof,
            root=checkpoint.root,
        )
    except MerkleError:
        return False
    return True


def _opened(log: AuditLog, note: str) -> Checkpoint | None:
    """A checkpoint whose signature is the log's; None where it is not."""
    try:
        return open_checkpoint(note.encode(), log.verifier)
    except MerkleError:
        return None


def _first(size: int) -> int:
    """The index that a page begins at; the newest where none is asked for."""
    text = request.args.get("first", "")
    if text.isascii() and text.isdigit() and len(text) < _INDEX_DIGITS:
        return int(text)
    return max(0, size - RECORDS)


def _missing() -> ProblemError:
    return ProblemError(
        Problem(
            status=404,
            type="log-not-found",
            title="Not Found",
            detail="this log has no such leaf",
            subject="leaf",
            reason="log-not-found",
            remedy="take its hash from the record, or ask the log of another service",
        )
    )
