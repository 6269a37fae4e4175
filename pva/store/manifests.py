"""Manifests in the PVA's store: import, approval, retirement, and the chain that a device is judged by.

Rule: a manifest leaves the store for an appraisal only after its signature has been verified again, under the root
that its supplier has now and at the time of its import: a row that somebody changed in the database affirms nobody. What
is decided on other rows (succession, the second approval) is decided in the transaction that writes.
"""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

import sqlalchemy as sa

from edge.database import transaction
from edge.dual_control import Approval, approval_record, line_record, read_approval
from edge.ledger_leaf import SALT_BYTES
from edge.process import RandomBytes
from edge.serialization import repeated
from pva.appraisal.known import KnownManifests
from pva.appraisal.manifest_chain import LINE_MAX, ChainedManifest, ManifestChain
from pva.appraisal.manifest_records import ImportedManifest, Retirement
from pva.manifests.approvals import approved
from pva.manifests.recognition import check_record, no_such_manifest
from pva.refusals import RefusalCode, RefusalError
from pva.store import tables
from standards.rats.corim import VerifiedManifest, read_unverified


class ManifestStore:
    """Satisfies `pva.manifests.approvals.ManifestRecords` and, for manifests, `RecognitionStore` and `References`."""

    def __init__(self, engine: sa.Engine, *, random_bytes: RandomBytes) -> None:
        """Work on an engine whose schema is migrated; `random_bytes` salts audit leaves."""
        self._engine = engine
        self._random_bytes = random_bytes
        self._known = KnownManifests()

    def manifests(self) -> Sequence[ImportedManifest]:
        """Every imported manifest, oldest first."""
        with transaction(self._engine, write=False) as connection:
            return _records(connection)

    @repeated
    def add_manifest(self, manifest: ImportedManifest) -> None:
        """See `pva.manifests.recognition.RecognitionStore`."""
        with transaction(self._engine) as connection:
            if not check_record(manifest, held=_records(connection)):
                return
            connection.execute(
                sa.insert(tables.manifests).values(
                    digest=manifest.digest,
                    supplier=manifest.supplier,
                    manifest_id=manifest.id,
                    svn=manifest.svn,
                    models=list(manifest.models),
                    signed=manifest.signed,
                    imported_by=manifest.imported_by,
                    imported_at=manifest.imported_at,
                    succeeds=manifest.predecessor_digest,
                )
            )
            before = manifest.predecessor_digest
            facts = {
                "svn": manifest.svn,
                "models": list(manifest.models),
                "predecessor": None if before is None else before.hex(),
                "by": manifest.imported_by,
            }
            self._audit(connection, "manifest-imported", manifest, facts=facts, at=manifest.imported_at)

    @repeated
    def approve_manifest(self, digest: bytes, approval: Approval, *, needed: int) -> ImportedManifest:
        """See `pva.manifests.approvals.ManifestRecords`."""
        table, manifests = tables.manifest_approvals, tables.manifests
        with transaction(self._engine) as connection:
            before = _record(connection, digest)
            removed = tables.administrators.removed_keys(connection)
            after = approved(before, approval, needed=needed, removed=removed)
            if after == before:
                return before
            kept = [each.approver for each in after.approvals]
            stale = table.c.approver.not_in(kept) | (table.c.approver == approval.approver)
            connection.execute(sa.delete(table).where(table.c.digest == digest, stale))
            connection.execute(sa.insert(table).values(digest=digest, **approval_record(approval)))
            connection.execute(
                sa.update(manifests).where(manifests.c.digest == digest).values(approved_at=after.approved_at)
            )
            facts = {
                "by": approval.approver,
                "key_sha256": approval.key_sha256,
                "issued_at_request_of": line_record(approval.issued_at_request_of),
                "approvals": len(after.approvals),
                "needed": needed,
            }
            self._audit(connection, "manifest-approval", after, facts=facts, at=approval.approved_at)
        return after

    @repeated
    def retire_manifest(self, digest: bytes, retirement: Retirement) -> ImportedManifest:
        """See `pva.manifests.approvals.ManifestRecords`."""
        table = tables.manifests
        with transaction(self._engine) as connection:
            before = _record(connection, digest)
            if before.retirement is not None:
                return before
            never_counted = {"succeeds": None} if before.approved_at is None else {}
            connection.execute(
                sa.update(table)
                .where(table.c.digest == digest)
                .values(
                    retired_at=retirement.at,
                    retired_by=retirement.by,
                    retired_reason=retirement.reason,
                    **never_counted,
                )
            )
            facts = {"by": retirement.by, "reason": retirement.reason}
            self._audit(connection, "manifest-retired", before, facts=facts, at=retirement.at)
            return _record(connection, digest)

    def manifest_chain(self, digest: bytes) -> ManifestChain | None:
        """See `pva.validation.ReferencesNow`. Raises an error of the formats where a row was altered."""
        table = tables.manifests
        query = sa.select(table, tables.suppliers.c.root, tables.suppliers.c.models.label("permitted")).join(
            tables.suppliers, tables.suppliers.c.name == table.c.supplier
        )
        with transaction(self._engine, write=False) as connection:
            rows: list[sa.RowMapping] = []
            row = connection.execute(query.where(table.c.digest == digest)).mappings().first()
            while row is not None and len(rows) < LINE_MAX:
                rows.append(row)
                following = query.where(table.c.succeeds == row["digest"])
                row = connection.execute(following).mappings().first()
            approvals = _approvals(connection, [each["digest"] for each in rows])
        if not rows:
            return None
        return ManifestChain(
            links=tuple(
                _link(
                    row,
                    verified=_verified(row, before=rows[number - 1] if number else None, known=self._known),
                    approvals=approvals.get(row["digest"], ()),
                )
                for number, row in enumerate(rows)
            ),
            permitted_models=dict(rows[0]["permitted"]),
        )

    def _audit(
        self,
        connection: sa.Connection,
        kind: str,
        manifest: ImportedManifest,
        *,
        facts: Mapping[str, Any],
        at: datetime,
    ) -> None:
        tables.ledger.append(
            connection,
            kind=kind,
            subject=manifest.supplier,
            record={"id": manifest.id, "digest": manifest.digest.hex(), **facts},
            at=at,
            salt=self._random_bytes(SALT_BYTES),
        )


def _verified(row: sa.RowMapping, *, before: sa.RowMapping | None, known: KnownManifests) -> VerifiedManifest:
    """The manifest of a row, verified anew, that follows the one before it."""
    verified = known.verified(row["signed"], root=row["root"], at=row["imported_at"])
    predecessor = verified.manifest.predecessor
    follows = before is None or (
        predecessor is not None
        and predecessor.digest == before["digest"]
        and row["supplier"] == before["supplier"]
    )
    if verified.digest != row["digest"] or not follows:
        raise RefusalError(
            RefusalCode.MANIFEST_MISMATCH,
            subject=f"manifest {row['manifest_id']!r}",
            reason="the stored bytes are not those that its digest names, or not of a successor",
        )
    return verified


def _link(
    row: sa.RowMapping, *, verified: VerifiedManifest, approvals: tuple[Approval, ...]
) -> ChainedManifest:
    """A row as a link of a chain."""
    return ChainedManifest(
        manifest=verified.manifest,
        digest=verified.digest,
        imported_at=row["imported_at"],
        approvals=approvals,
        approved_at=row["approved_at"],
        retirement=_retirement(row),
    )


def _retirement(row: sa.RowMapping) -> Retirement | None:
    if row["retired_at"] is None:
        return None
    return Retirement(by=row["retired_by"], at=row["retired_at"], reason=row["retired_reason"])


def _approvals(
    connection: sa.Connection, digests: Sequence[bytes] | None
) -> Mapping[bytes, tuple[Approval, ...]]:
    """The approvals of these manifests, or of all, by digest, oldest first."""
    given = tables.manifest_approvals
    query = sa.select(given).order_by(given.c.approved_at, given.c.approver)
    if digests is not None:
        query = query.where(given.c.digest.in_(digests))
    by_digest: dict[bytes, tuple[Approval, ...]] = {}
    for row in connection.execute(query).mappings():
        by_digest[row["digest"]] = (*by_digest.get(row["digest"], ()), read_approval(row))
    return by_digest


def _records(connection: sa.Connection, *, digest: bytes | None = None) -> tuple[ImportedManifest, ...]:
    table = tables.manifests
    query = sa.select(table).order_by(table.c.imported_at, table.c.digest)
    if digest is not None:
        query = query.where(table.c.digest == digest)
    approvals = _approvals(connection, None if digest is None else [digest])
    return tuple(
        _record_of(row, approvals=approvals.get(row["digest"], ()))
        for row in connection.execute(query).mappings()
    )


def _record(connection: sa.Connection, digest: bytes) -> ImportedManifest:
    found = _records(connection, digest=digest)
    if not found:
        raise no_such_manifest(digest)
    return found[0]


def _record_of(row: sa.RowMapping, *, approvals: tuple[Approval, ...]) -> ImportedManifest:
    manifest = read_unverified(row["signed"])  # what it says is shown, and verified anew where it counts
    return ImportedManifest(
        digest=row["digest"],
        id=row["manifest_id"],
        supplier=row["supplier"],
        svn=row["svn"],
        models=tuple(row["models"]),
        release=manifest.release,
        line=manifest.line,
        predecessor=manifest.predecessor,
        valid_from=manifest.valid_from,
        valid_to=manifest.valid_to,
        signed=row["signed"],
        imported_by=row["imported_by"],
        imported_at=row["imported_at"],
        approvals=approvals,
        approved_at=row["approved_at"],
        retirement=_retirement(row),
    )
