"""Holds on Platform Credentials, the attestation results that they have used up, and who approved that one be lifted."""

from collections.abc import Iterable, Sequence
from dataclasses import asdict
from datetime import datetime
from typing import Any

import sqlalchemy as sa

from ca.records import HoldRecord, Issued, serial_text
from ca.store import tables
from ca.store.rows import Rows
from edge.dual_control import Approval, approval_record, read_approval

_TOLD = ("ca_id", "version", "asked_by", "held_at", "recovery", "recovered_at")


class HoldRows(Rows):
    """Holds; a result counts once for a certificate, by a unique key."""

    def hold(self, issued: Issued) -> HoldRecord | None:
        """The hold that the present status of this certificate stands on."""
        row = (
            self._connection.execute(sa.select(tables.holds).where(_of(issued, tables.holds)))
            .mappings()
            .one_or_none()
        )
        if row is None:
            return None
        told = {name: row[name] for name in _TOLD}
        return HoldRecord(**told, serial=issued.serial, results=tuple(row["results"]))

    def any_result_used(self, issued: Issued, results: Sequence[str]) -> bool:
        """Whether a hold or recovery of this certificate has used one of these results."""
        table = tables.used_results
        query = (
            sa.select(sa.func.count())
            .select_from(table)
            .where(
                table.c.ca_id == issued.ca_id,
                table.c.serial == serial_text(issued.serial),
                table.c.result.in_(results),
            )
        )
        return bool(self._connection.execute(query).scalar_one())

    def add_hold(self, hold: HoldRecord) -> None:
        """Record a hold and use up its results; a result that was used meanwhile is an IntegrityError."""
        values: dict[str, Any] = {
            **asdict(hold),
            "serial": serial_text(hold.serial),
            "results": list(hold.results),
        }
        self._connection.execute(sa.insert(tables.holds).values(**values))
        self._use(hold, hold.results)

    def note_recovery(self, hold: HoldRecord, *, result: str, by: str, at: datetime) -> None:
        """Record the newest recovery result of a hold and use it up."""
        self._use(hold, (result,))
        self._update(hold, recovery=result, recovered_by=by, recovered_at=at)

    def note_release(self, hold: HoldRecord, *, by: str, at: datetime) -> None:
        """Record who released a hold."""
        self._update(hold, released_by=by, released_at=at)

    def hold_approvals(self, issued: Issued) -> tuple[Approval, ...]:
        """Approvals that the hold of this version of the status be lifted, oldest first."""
        table = tables.hold_approvals
        query = sa.select(table).where(_of(issued, table)).order_by(table.c.approved_at)
        return tuple(read_approval(row) for row in self._connection.execute(query).mappings())

    def save_hold_approvals(self, issued: Issued, approvals: Sequence[Approval]) -> None:
        """Replace them."""
        table = tables.hold_approvals
        about = {"ca_id": issued.ca_id, "serial": serial_text(issued.serial), "version": issued.version}
        self._connection.execute(sa.delete(table).where(_of(issued, table)))
        self._connection.execute(sa.insert(table), [{**about, **approval_record(each)} for each in approvals])

    def _use(self, hold: HoldRecord, results: Iterable[str]) -> None:
        used = {"ca_id": hold.ca_id, "serial": serial_text(hold.serial)}
        self._connection.execute(
            sa.insert(tables.used_results), [{**used, "result": result} for result in results]
        )

    def _update(self, hold: HoldRecord, **values: Any) -> None:
        self._connection.execute(sa.update(tables.holds).where(_of(hold, tables.holds)).values(**values))


def _of(held: Issued | HoldRecord, table: sa.Table) -> sa.ColumnElement[bool]:
    """The rows of `table` about this version of the status of a certificate."""
    return sa.and_(
        table.c.ca_id == held.ca_id,
        table.c.serial == serial_text(held.serial),
        table.c.version == held.version,
    )
