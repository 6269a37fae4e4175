"""Use case: manifests between import and retirement, under dual control (D7).

Rule: a manifest counts only after enough administrators approved the very same digest within 24 hours: different
principals with different keys, none behind two of them. Retiring takes one administrator and a reason: it can only make this PVA trust less.

What makes two approvals two is decided in `edge.dual_control`.
"""

from collections.abc import Container
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Protocol

from edge.dual_control import Approval, ApproverError, Line, with_approval
from pva.appraisal.manifest_records import ImportedManifest, Retirement, Standing
from pva.refusals import RefusalCode, RefusalError


@dataclass(frozen=True, slots=True, kw_only=True)
class Administrator:
    """Who approves: the principal's name, and the SHA-256 of the key of his certificate (DER SPKI) in hex.

    `issued_at_request_of` is who had that certificate issued, nearest first, None where nothing says it.
    """

    name: str
    key_sha256: str
    issued_at_request_of: Line | None

    def approval(self, at: datetime) -> Approval:
        """His approval at this time."""
        return Approval(
            approver=self.name,
            key_sha256=self.key_sha256,
            approved_at=at,
            issued_at_request_of=self.issued_at_request_of,
        )


class ManifestRecords(Protocol):
    """What this use case needs of a store; each call is one transaction with its audit leaf."""

    def approve_manifest(self, digest: bytes, approval: Approval, *, needed: int) -> ImportedManifest:
        """Apply `approved` to the record. Raises RefusalError (its reasons, NOT_FOUND)."""

    def retire_manifest(self, digest: bytes, retirement: Retirement) -> ImportedManifest:
        """Retire a manifest; one that is retired already stays as it is. Raises RefusalError (NOT_FOUND)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ManifestApprovalDesk:
    """The use case; `needed` administrators approve a manifest."""

    records: ManifestRecords
    needed: int

    def approve(self, digest: bytes, *, by: Administrator, at: datetime) -> ImportedManifest:
        """Approve a manifest by its digest.

        Raises RefusalError: no such manifest, retired, this administrator or this key approved it already, or the two
        are not independent.
        """
        approval = by.approval(at)
        return self.records.approve_manifest(digest, approval, needed=self.needed)

    def retire(self, digest: bytes, *, reason: str, by: str, at: datetime) -> ImportedManifest:
        """Withdraw a manifest: from now on it affirms nobody. Raises RefusalError: no such manifest."""
        return self.records.retire_manifest(digest, Retirement(by=by, at=at, reason=reason))


def approved(
    record: ImportedManifest, approval: Approval, *, needed: int, removed: Container[str] = ()
) -> ImportedManifest:
    """The record with one more approval; it counts when the young ones of different people and keys are enough.

    What keys of `removed` administrators have approved does not count.

    An approval that waited too long is replaced by a new one of the same administrator.

    Raises RefusalError: retired, or the same administrator or key, or one who is not independent of him, approved it
    within `APPROVAL_LIFE`.
    """
    if record.standing is Standing.RETIRED:
        raise RefusalError(
            RefusalCode.MANIFEST_RETIRED,
            subject=f"manifest {record.id!r}",
            reason="it was retired, and cannot be approved any more",
        )
    if record.standing is Standing.APPROVED:
        return record
    try:
        approvals = with_approval(record.approvals, approval, removed=removed)
    except ApproverError as error:
        raise RefusalError(
            RefusalCode(error.code), subject=f"manifest {record.id!r}", reason=str(error)
        ) from None
    enough = len(approvals) >= needed
    return replace(record, approvals=approvals, approved_at=approval.approved_at if enough else None)
