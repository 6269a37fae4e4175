"""Administrators in a service's own store: its tables, and each act of `edge.administrators` as one transaction.

Rule: the approval that makes a proposal enough adds the administrator and ends the proposal in one transaction, so it is
used once; what keeps him from being added keeps the approval from being recorded.
"""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import datetime
from typing import Any

import sqlalchemy as sa

from edge.administrators import (
    Administrator,
    KeyRegisteredError,
    Listed,
    NoSuchAdministratorError,
    Removal,
    Standing,
    from_file,
    leaving,
    subject_of,
    without_approvals_of,
)
from edge.database import UtcTime, transaction
from edge.dual_control import (
    ADMINISTRATORS,
    Approval,
    approvals_record,
    line_record,
    read_approvals,
    with_approval,
)
from edge.ledger import LedgerTable
from edge.ledger_leaf import SALT_BYTES
from edge.principals import ADMIN, Principal, RowKey
from edge.problem_document import Problem, ProblemError
from edge.process import RandomBytes
from edge.serialization import lost_on_key, repeated_while

REMOVED = "administrator-removed"
"""Problem type for the certificate of an administrator who was removed."""


class AdministratorTables:
    """The tables in a process's metadata; the room's migrations create them (`edge.administrator_schema`)."""

    def __init__(self, metadata: sa.MetaData) -> None:
        self.decided = sa.Table(
            "administrators",
            metadata,
            sa.Column("issuer_sha256", sa.String(64), primary_key=True),
            sa.Column("spki_sha256", sa.String(64), primary_key=True),
            sa.Column("tenant", sa.String(200), nullable=False),
            sa.Column("name", sa.String(200), nullable=False),
            # NULL of one whom the file of principals names, and who was removed here
            sa.Column("since", UtcTime, nullable=True),
            sa.Column("added_by", sa.String(500), nullable=False),
            # NULL while in force
            sa.Column("removed_by", sa.String(200), nullable=True),
            sa.Column("removed_at", UtcTime, nullable=True),
            sa.Column("removed_for", sa.String(200), nullable=True),
        )
        self.proposals = sa.Table(
            "administrator_proposals",
            metadata,
            sa.Column("digest", sa.String(64), primary_key=True),
            sa.Column("issuer_sha256", sa.String(64), nullable=False),
            sa.Column("spki_sha256", sa.String(64), nullable=False),
            sa.Column("tenant", sa.String(200), nullable=False),
            sa.Column("name", sa.String(200), nullable=False),
            sa.Column("since", UtcTime, nullable=False),
            sa.Column("approvals", sa.JSON, nullable=False),
        )

    def removed_keys(self, connection: sa.Connection) -> frozenset[str]:
        """Keys of administrators who were removed, in hexadecimal: what they approved counts no more."""
        table = self.decided
        query = sa.select(table.c.spki_sha256).where(table.c.removed_at.is_not(None))
        return frozenset(connection.scalars(query))


class SqlAdministrators:
    """Satisfies `edge.administrators.AdministratorStore`."""

    def __init__(
        self,
        engine: sa.Engine,
        tables: AdministratorTables,
        ledger: LedgerTable,
        *,
        random_bytes: RandomBytes,
    ) -> None:
        """Over the store of `engine`; `random_bytes` salts the ledger's leaves."""
        self._engine, self._tables = engine, tables
        self._ledger, self._random_bytes = ledger, random_bytes

    def beside(self, key: RowKey, listed: Principal | None) -> Principal | None:
        """See `edge.administrators.AdministratorStore`."""
        with transaction(self._engine, write=False) as connection:
            standing = self._decided(connection, key)
        if standing is None:
            return listed
        if standing.removal is not None:
            raise ProblemError(_removed(standing.administrator, standing.removal))
        held = standing.administrator
        return listed or Principal(role=ADMIN, tenant=held.tenant, name=held.name)

    def standings(self) -> Sequence[Standing]:
        """See `edge.administrators.AdministratorStore`."""
        with transaction(self._engine, write=False) as connection:
            return (*self._all_decided(connection), *self._waiting(connection))

    @repeated_while(lost_on_key)
    def agree(
        self, digest: str, approval: Approval, *, tenant: str, wanted: Administrator | None, listed: Listed
    ) -> Standing:
        """See `edge.administrators.AdministratorStore`."""
        with transaction(self._engine) as connection:
            # 1 what waits, or is proposed now; what was added by it already stays as it is
            held = self._proposal(connection, digest, tenant=tenant)
            if held is None:
                added = self._added(connection, digest, tenant=tenant)
                if added is not None:
                    return added
                if wanted is None:
                    raise _nobody(digest)
                held = Standing(administrator=wanted, since=approval.approved_at)
            # 2 for a key that has no role here
            self._check_free(connection, held.administrator, listed=listed())
            # 3 another administrator with another key, and nobody behind both
            removed = self._tables.removed_keys(connection)
            approvals = with_approval(held.approvals, approval, removed=removed)
            made = replace(held, approvals=approvals)
            # 4 enough of them add him and use the proposal up; audit leaf in any case
            enough = len(approvals) >= ADMINISTRATORS
            self._drop(connection, digest)
            if enough:
                by = ", ".join(each.approver for each in approvals)
                made = replace(made, since=approval.approved_at, added_by=by)
                self._decide(connection, made)
            else:
                self._save(connection, made)
            told = {**_said_by(approval), "approvals": len(approvals), "added": enough}
            self._audit(
                connection, "administrator-approved", made.administrator, told, at=approval.approved_at
            )
            return made

    @repeated_while(lost_on_key)
    def withdraw(self, digest: str, *, tenant: str, by: Approval) -> None:
        """See `edge.administrators.AdministratorStore`."""
        with transaction(self._engine) as connection:
            held = self._proposal(connection, digest, tenant=tenant)
            if held is None:
                raise _nobody(digest)
            self._drop(connection, digest)
            self._audit(
                connection, "administrator-withdrawn", held.administrator, _said_by(by), at=by.approved_at
            )

    @repeated_while(lost_on_key)
    def remove(self, spki_sha256: str, removal: Removal, *, tenant: str, listed: Listed) -> Standing:
        """See `edge.administrators.AdministratorStore`."""
        with transaction(self._engine) as connection:
            # 1 who administers this tenant now, and who of them has this key; enough others are left
            decided = self._all_decided(connection)
            named = from_file(listed(), {each.administrator.key for each in decided})
            ours = [each for each in (*decided, *named) if each.administrator.tenant == tenant]
            found = leaving([each for each in ours if each.removal is None], spki_sha256)
            # 2 removed; what his key has approved counts no more, and waits for nobody; audit leaf
            for each in found:
                self._decide(connection, replace(each, removal=removal))
            self._forget_approvals_of(connection, spki_sha256)
            told = {"by": removal.by, "reason": removal.reason}
            self._audit(connection, "administrator-removed", found[0].administrator, told, at=removal.at)
            return replace(found[0], removal=removal)

    def _added(self, connection: sa.Connection, digest: str, *, tenant: str) -> Standing | None:
        for each in self._all_decided(connection):
            held = each.administrator
            if each.removal is None and held.digest == digest and held.tenant == tenant:
                return each
        return None

    def _check_free(
        self, connection: sa.Connection, wanted: Administrator, *, listed: Mapping[RowKey, Principal]
    ) -> None:
        standing, row = self._decided(connection, wanted.key), listed.get(wanted.key)
        if standing is not None and standing.removal is None:
            raise KeyRegisteredError(subject_of(wanted), f"this key is {standing.administrator.name}'s")
        if row is not None and (row.role != ADMIN or standing is None):
            reason = f"the file of principals has this key as {row.name}'s, in the role {row.role}"
            raise KeyRegisteredError(subject_of(wanted), reason)

    def _decided(self, connection: sa.Connection, key: RowKey) -> Standing | None:
        table = self._tables.decided
        query = sa.select(table).where(table.c.issuer_sha256 == key[0], table.c.spki_sha256 == key[1])
        row = connection.execute(query).mappings().one_or_none()
        return None if row is None else _read_decided(row)

    def _all_decided(self, connection: sa.Connection) -> list[Standing]:
        rows = connection.execute(sa.select(self._tables.decided)).mappings()
        return [_read_decided(row) for row in rows]

    def _decide(self, connection: sa.Connection, standing: Standing) -> None:
        table, held, removal = self._tables.decided, standing.administrator, standing.removal
        connection.execute(
            sa.delete(table).where(
                table.c.issuer_sha256 == held.issuer_sha256, table.c.spki_sha256 == held.spki_sha256
            )
        )
        connection.execute(
            sa.insert(table).values(
                **_columns(held),
                since=standing.since,
                added_by=standing.added_by,
                removed_by=None if removal is None else removal.by,
                removed_at=None if removal is None else removal.at,
                removed_for=None if removal is None else removal.reason,
            )
        )

    def _waiting(self, connection: sa.Connection) -> list[Standing]:
        rows = connection.execute(sa.select(self._tables.proposals)).mappings()
        return [_read_proposal(row) for row in rows]

    def _proposal(self, connection: sa.Connection, digest: str, *, tenant: str) -> Standing | None:
        table = self._tables.proposals
        query = sa.select(table).where(table.c.digest == digest, table.c.tenant == tenant)
        row = connection.execute(query).mappings().one_or_none()
        return None if row is None else _read_proposal(row)

    def _save(self, connection: sa.Connection, waiting: Standing) -> None:
        connection.execute(
            sa.insert(self._tables.proposals).values(
                digest=waiting.administrator.digest,
                **_columns(waiting.administrator),
                since=waiting.since,
                approvals=approvals_record(waiting.approvals),
            )
        )

    def _drop(self, connection: sa.Connection, digest: str) -> None:
        table = self._tables.proposals
        connection.execute(sa.delete(table).where(table.c.digest == digest))

    def _forget_approvals_of(self, connection: sa.Connection, spki_sha256: str) -> None:
        for each in self._waiting(connection):
            left = without_approvals_of(each, spki_sha256)
            if left != each:
                self._drop(connection, each.administrator.digest)
                if left.approvals:
                    self._save(connection, left)

    def _audit(
        self,
        connection: sa.Connection,
        kind: str,
        about: Administrator,
        told: dict[str, Any],
        *,
        at: datetime,
    ) -> None:
        record = {"digest": about.digest, **_columns(about), **told}
        salt = self._random_bytes(SALT_BYTES)
        self._ledger.append(
            connection,
            kind=kind,
            subject=f"administrator {about.spki_sha256}",
            record=record,
            at=at,
            salt=salt,
        )


def _columns(administrator: Administrator) -> dict[str, str]:
    return {
        "issuer_sha256": administrator.issuer_sha256,
        "spki_sha256": administrator.spki_sha256,
        "tenant": administrator.tenant,
        "name": administrator.name,
    }


def _read_administrator(row: Mapping[Any, Any]) -> Administrator:
    return Administrator(
        issuer_sha256=row["issuer_sha256"],
        spki_sha256=row["spki_sha256"],
        tenant=row["tenant"],
        name=row["name"],
    )


def _read_decided(row: Mapping[Any, Any]) -> Standing:
    removal = None
    if row["removed_at"] is not None:
        removal = Removal(by=row["removed_by"], at=row["removed_at"], reason=row["removed_for"])
    return Standing(
        administrator=_read_administrator(row), since=row["since"], added_by=row["added_by"], removal=removal
    )


def _read_proposal(row: Mapping[Any, Any]) -> Standing:
    return Standing(
        administrator=_read_administrator(row),
        since=row["since"],
        approvals=read_approvals(row["approvals"]),
    )


def _said_by(approval: Approval) -> dict[str, Any]:
    return {
        "by": approval.approver,
        "key_sha256": approval.key_sha256,
        "issued_at_request_of": line_record(approval.issued_at_request_of),
    }


def _nobody(digest: str) -> NoSuchAdministratorError:
    return NoSuchAdministratorError(f"digest {digest[:64]}", "nobody waits under this digest")


def _removed(administrator: Administrator, removal: Removal) -> Problem:
    return Problem(
        status=403,
        type=REMOVED,
        title="Forbidden",
        detail=f"{administrator.name} was removed by {removal.by} at {removal.at:%Y-%m-%dT%H:%M:%SZ}",
        subject=administrator.name,
        reason="removed",
        remedy="have two administrators add the key again: pva administrator add",
    )
