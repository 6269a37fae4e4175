"""Holds on Platform Credentials, and the attestation results that they have used up."""

from collections.abc import Iterable, Sequence
from dataclasses import asdict
from datetime import datetime
from typing import Any

import sqlalchemy as sa

from ca.records import HoldRecord, Issued, serial_text
from ca.store import tables
from ca.store.rows import Rows

_TOLD = ("ca_id", "version", "asked_by", "held_at", "recovery", "recovered_at")


class HoldRows(Rows):
    """Holds; a result counts once for a certificate, by a unique key."""

    def hold(self, issued: Issued) -> HoldRecord | None:
        """The hold that the present status of this certificate stands on."""
        row = (
            self._connection.execute(
                sa.select(tables.holds).where(_of(issued.ca_id, issued.serial, issued.version))
            )
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

    def _use(self, hold: HoldRecord, results: Iterable[str]) -> None:
        used = {"ca_id": hold.ca_id, "serial": serial_text(hold.serial)}
        self._connection.execute(
            sa.insert(tables.used_results), [{**used, "result": result} for result in results]
        )

    def _update(self, hold: HoldRecord, **values: Any) -> None:
        here = _of(hold.ca_id, hold.serial, hold.version)
        self._connection.execute(sa.update(tables.holds).where(here).values(**values))


def _of(ca_id: str, serial: int, version: int) -> sa.ColumnElement[bool]:
    table = tables.holds
    return sa.and_(table.c.ca_id == ca_id, table.c.serial == serial_text(serial), table.c.version == version)
