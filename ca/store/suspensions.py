"""Suspensions of suppliers, models and batches, and which certificates of a list are in their scopes."""

from datetime import datetime

import sqlalchemy as sa

from ca.lifecycle import AuthorityState, Reason, Status
from ca.profiles import Kind
from ca.records import Revoked
from ca.store import tables
from ca.store.certificates import STATUS_SEQUENCE
from ca.store.rows import Rows
from ca.suspensions import InForce, Scope, Suspension
from edge.dual_control import approval_record, read_approval


class SuspensionRows(Rows):
    """Suspensions; a row is completed when it is lifted, and stays."""

    def has_model(self, supplier: str, model: str) -> bool:
        """Whether the supplier has a model of this name."""
        table = tables.models
        return self._any(table, table.c.supplier == supplier, table.c.model == model)

    def has_batch(self, supplier: str, batch: str) -> bool:
        """Whether the supplier has a batch of this name."""
        table = tables.batches
        return self._any(table, table.c.supplier == supplier, table.c.batch == batch)

    def suspensions(self, *, supplier: str | None = None) -> list[Suspension]:
        """All suspensions, of one supplier or of all, oldest first."""
        query = sa.select(tables.suspensions).order_by(tables.suspensions.c.seq)
        if supplier is not None:
            query = query.where(tables.suspensions.c.supplier == supplier)
        return [self._suspension(row) for row in self._connection.execute(query).mappings().all()]

    def suspension(self, suspension_id: str) -> Suspension | None:
        """The suspension of this id."""
        query = sa.select(tables.suspensions).where(tables.suspensions.c.id == suspension_id)
        row = self._connection.execute(query).mappings().one_or_none()
        return None if row is None else self._suspension(row)

    def next_status_seq(self) -> int:
        """The next place among changes of status."""
        return self.next_number(STATUS_SEQUENCE)

    def add_suspension(self, suspension: Suspension) -> None:
        """Record a suspension."""
        self._connection.execute(
            sa.insert(tables.suspensions).values(
                id=suspension.id,
                supplier=suspension.scope.supplier,
                model=suspension.scope.model,
                batch=suspension.scope.batch,
                reason=suspension.reason,
                suspended_by=suspension.suspended_by,
                suspended_at=suspension.suspended_at,
                seq=suspension.seq,
            )
        )

    def save_lifting(self, suspension: Suspension, *, lifted_seq: int | None) -> None:
        """Record the approvals of a lifting, and the lifting where `lifted_at` is there."""
        given, table = tables.lifting_approvals, tables.suspensions
        self._connection.execute(sa.delete(given).where(given.c.suspension == suspension.id))
        self._connection.execute(
            sa.insert(given),
            [{"suspension": suspension.id, **approval_record(each)} for each in suspension.approvals],
        )
        if suspension.lifted_at is not None:
            self._connection.execute(
                sa.update(table)
                .where(table.c.id == suspension.id)
                .values(lifted_at=suspension.lifted_at, lifted_seq=lifted_seq)
            )

    def suspensions_in_force(self) -> tuple[int, list[InForce]]:
        """The last place among changes of status at which one began or ended, and those in force now."""
        table = tables.suspensions
        newest = sa.select(sa.func.max(table.c.seq), sa.func.max(table.c.lifted_seq))
        last = max(each or 0 for each in self._connection.execute(newest).one())
        query = sa.select(table).where(table.c.lifted_at.is_(None)).order_by(table.c.seq)
        rows = self._connection.execute(query).mappings().all()
        return last, [
            InForce(
                id=row["id"],
                issuers=self._issuers(row["supplier"]),
                model=row["model"],
                batch=row["batch"],
                since=row["suspended_at"],
            )
            for row in rows
        ]

    def last_suspension_seq(self, ca_id: str) -> int:
        """Place of the last suspension or lifting of the supplier of an issuing CA, 0 before the first."""
        table, authorities = tables.suspensions, tables.authorities
        query = (
            sa.select(sa.func.max(table.c.seq), sa.func.max(table.c.lifted_seq))
            .select_from(table.join(authorities, authorities.c.supplier == table.c.supplier))
            .where(authorities.c.ca_id == ca_id, authorities.c.kind == str(Kind.ISSUING_CA))
        )
        return max(each or 0 for each in self._connection.execute(query).one())

    def suspended_certificates(self, ca_id: str, *, partition: int = 0) -> list[Revoked]:
        """Platform Credentials of a CA's partition that are good by themselves and in a suspended scope."""
        scopes = self._scopes_of(ca_id)
        if not scopes:
            return []
        issued, devices, history = tables.certificates, tables.devices, tables.certificate_status
        later = history.alias("later")
        superseded = sa.exists().where(
            later.c.ca_id == history.c.ca_id,
            later.c.serial == history.c.serial,
            later.c.version > history.c.version,
        )
        query = (
            sa.select(issued.c.serial, issued.c.not_after, devices.c.model, devices.c.batch)
            .select_from(
                issued.join(devices, devices.c.device_id == issued.c.device_id).join(
                    history,
                    sa.and_(history.c.ca_id == issued.c.ca_id, history.c.serial == issued.c.serial),
                )
            )
            .where(
                issued.c.ca_id == ca_id,
                issued.c.crl_partition == partition,
                issued.c.kind == str(Kind.PLATFORM_CREDENTIAL),
                history.c.status == str(Status.GOOD),
                ~superseded,
            )
            .order_by(history.c.seq)
        )
        listed = []
        for serial, not_after, model, batch in self._connection.execute(query):
            since = [at for scope, at in scopes if scope.covers(model=model, batch=batch)]
            if since:
                listed.append(
                    Revoked(
                        serial=int(serial, 16),
                        reason=Reason.CERTIFICATE_HOLD,
                        changed_at=min(since),
                        not_after=not_after,
                    )
                )
        return listed

    def _scopes_of(self, ca_id: str) -> list[tuple[Scope, datetime]]:
        table, authorities = tables.suspensions, tables.authorities
        query = (
            sa.select(table)
            .select_from(table.join(authorities, authorities.c.supplier == table.c.supplier))
            .where(
                authorities.c.ca_id == ca_id,
                authorities.c.kind == str(Kind.ISSUING_CA),
                table.c.lifted_at.is_(None),
            )
        )
        return [
            (Scope(supplier=row["supplier"], model=row["model"], batch=row["batch"]), row["suspended_at"])
            for row in self._connection.execute(query).mappings()
        ]

    def _issuers(self, supplier: str) -> tuple[str, ...]:
        table = tables.authorities
        query = (
            sa.select(table.c.ca_id)
            .where(
                table.c.supplier == supplier,
                table.c.kind == str(Kind.ISSUING_CA),
                table.c.state != str(AuthorityState.PENDING),
            )
            .order_by(table.c.ca_id)
        )
        return tuple(self._connection.execute(query).scalars())

    def _suspension(self, row: sa.RowMapping) -> Suspension:
        given = tables.lifting_approvals
        query = sa.select(given).where(given.c.suspension == row["id"]).order_by(given.c.approved_at)
        return Suspension(
            id=row["id"],
            scope=Scope(supplier=row["supplier"], model=row["model"], batch=row["batch"]),
            reason=row["reason"],
            suspended_by=row["suspended_by"],
            suspended_at=row["suspended_at"],
            seq=row["seq"],
            approvals=tuple(read_approval(each) for each in self._connection.execute(query).mappings()),
            lifted_at=row["lifted_at"],
        )

    def _any(self, table: sa.Table, *conditions: sa.ColumnElement[bool]) -> bool:
        query = sa.select(sa.func.count()).select_from(table).where(*conditions)
        return bool(self._connection.execute(query).scalar_one())
