"""Listed devices and their enrolment sessions."""

from collections.abc import Collection, Iterable, Iterator
from datetime import datetime
from itertools import islice
from typing import Any

import sqlalchemy as sa

from ca.lifecycle import ENROLLABLE, DeviceState, SessionState
from ca.records import Device, Session, serial_text
from ca.store import tables
from ca.store.rows import Rows

_CHUNK = 500
"""Rows and variables a statement: below the limits of every SQLite build."""


class DeviceRows(Rows):
    """Devices."""

    def device(self, device_id: str) -> Device | None:
        """The listed device with this id."""
        return self._device(tables.devices.c.device_id == device_id)

    def device_with_key(self, *, ak_name: bytes, storage_name: bytes, other_than: str) -> Device | None:
        """Another device that was enrolled with one of these keys."""
        table = tables.devices
        query = sa.select(table).where(
            sa.or_(table.c.ak_name == ak_name, table.c.storage_name == storage_name),
            table.c.device_id != other_than,
        )
        row = self._connection.execute(query.limit(1)).mappings().one_or_none()
        return None if row is None else _device(row)

    def listed_already(self, device_ids: Collection[str]) -> Iterator[Device]:
        """Those of `device_ids` that some batch lists already."""
        table = tables.devices
        for chunk in chunks_of(device_ids):
            query = sa.select(table).where(table.c.device_id.in_(chunk))
            yield from (_device(row) for row in self._connection.execute(query).mappings())

    def serials_taken(self, supplier: str, named: Collection[tuple[str, str]]) -> Iterator[Device]:
        """Devices of the supplier that have one of the (model, serial) pairs in `named`."""
        table = tables.devices
        for model in sorted({model for model, _ in named}):
            # model by model, so that the unique key on (supplier, model, serial) answers
            for chunk in chunks_of(sorted(serial for of_model, serial in named if of_model == model)):
                query = sa.select(table).where(
                    table.c.supplier == supplier, table.c.model == model, table.c.serial.in_(chunk)
                )
                yield from (_device(row) for row in self._connection.execute(query).mappings())

    def add_devices(self, devices: Iterable[Device]) -> None:
        """Record newly listed devices."""
        columns = [column.name for column in tables.devices.c]
        for chunk in chunks_of(devices):
            rows = [{name: getattr(device, name) for name in columns} for device in chunk]
            self._connection.execute(
                sa.insert(tables.devices), [{**row, "state": str(row["state"])} for row in rows]
            )

    def reopen_device(self, device_id: str) -> bool:
        """Let an enrolled device enrol once more; False when it is not enrolled."""
        table = tables.devices
        change = (
            sa.update(table)
            .where(table.c.device_id == device_id, table.c.state == str(DeviceState.ENROLLED))
            .values(state=str(DeviceState.REOPENED))
        )
        return self._connection.execute(change).rowcount == 1

    def consume_ek(self, device_id: str, *, ak_name: bytes, storage_name: bytes) -> bool:
        """Use up the one enrolment of an EK, in one statement; False when there is none to use."""
        table = tables.devices
        change = (
            sa.update(table)
            .where(table.c.device_id == device_id, table.c.state.in_([str(each) for each in ENROLLABLE]))
            .values(state=str(DeviceState.ENROLLED), ak_name=ak_name, storage_name=storage_name)
        )
        return self._connection.execute(change).rowcount == 1

    def _device(self, condition: sa.ColumnElement[bool]) -> Device | None:
        row = self._connection.execute(sa.select(tables.devices).where(condition)).mappings().one_or_none()
        return None if row is None else _device(row)


class SessionRows(Rows):
    """Enrolment sessions."""

    def add_session(self, session: Session) -> None:
        """Record an open session."""
        values = {column.name: getattr(session, column.name) for column in tables.sessions.c}
        self._connection.execute(sa.insert(tables.sessions).values(**{**values, "state": str(session.state)}))

    def session(self, session_id: bytes) -> Session | None:
        """The session with this id, whatever its state."""
        query = sa.select(tables.sessions).where(tables.sessions.c.session_id == session_id)
        row = self._connection.execute(query).mappings().one_or_none()
        return None if row is None else _session(row)

    def drop_surplus_sessions(self, device_id: str, *, keep: int, at: datetime) -> None:
        """Leave at most `keep` sessions that a device opened itself and that led to nothing: open at `at`, then the newest.

        What a station opened is not among them. Whoever has a device's EK certificate can open sessions and burn them; he fills no store with that,
        and what he burns or lets expire pushes no session out that is open.
        """
        table = tables.sessions
        idle = sa.and_(_idle(device_id), table.c.station.is_(None))
        alive = sa.and_(table.c.state == str(SessionState.OPEN), table.c.expires_at > at)
        worth_most = (
            sa.select(table.c.session_id)
            .where(idle)
            .order_by(sa.case((alive, 0), else_=1), table.c.opened_at.desc(), table.c.session_id)
            .limit(keep)
        )
        kept = list(self._connection.execute(worth_most).scalars())
        self._connection.execute(sa.delete(table).where(idle, table.c.session_id.not_in(kept)))

    def drop_station_session(self, device_id: str) -> None:
        """Forget the session that a station opened for a device, unless it led to a PfC."""
        table = tables.sessions
        self._connection.execute(sa.delete(table).where(_idle(device_id), table.c.station.is_not(None)))

    def redeem_session(self, session_id: bytes, *, activation_sha256: bytes, at: datetime) -> bool:
        """Use an open session up, in one statement; False when it is used, burned, expired or unknown."""
        table = tables.sessions
        change = (
            sa.update(table)
            .where(
                table.c.session_id == session_id,
                table.c.state == str(SessionState.OPEN),
                table.c.expires_at > at,
            )
            .values(state=str(SessionState.USED), activation_sha256=activation_sha256)
        )
        return self._connection.execute(change).rowcount == 1

    def burn_session(self, session_id: bytes) -> None:
        """Close a session for good: its one try failed."""
        table = tables.sessions
        change = sa.update(table).where(table.c.session_id == session_id)
        self._connection.execute(change.values(state=str(SessionState.BURNED)))

    def complete_session(self, session_id: bytes, *, ca_id: str, serial: int) -> None:
        """Remember which PfC came of a session, for an answer that was lost on its way."""
        table = tables.sessions
        change = sa.update(table).where(table.c.session_id == session_id)
        self._connection.execute(change.values(ca_id=ca_id, serial=serial_text(serial)))

    def note_refusal(self, device_id: str, *, reason: str, at: datetime) -> bool:
        """Whether this refusal of a device is the first of its kind within the hour."""
        hour = at.replace(minute=0, second=0, microsecond=0)
        return self._insert_once(
            tables.noted_refusals, {"device_id": device_id, "reason": reason, "hour": hour}
        )

    def forget_sessions(self, *, opened_before: datetime) -> int:
        """Delete sessions that nobody can come back to; how many."""
        noted = tables.noted_refusals
        self._connection.execute(sa.delete(noted).where(noted.c.hour < opened_before))
        table = tables.sessions
        return self._connection.execute(sa.delete(table).where(table.c.opened_at < opened_before)).rowcount


def chunks_of(values: Iterable[Any]) -> Iterator[list[Any]]:
    """Lists of at most as many values as one statement takes."""
    rest = iter(values)
    while chunk := list(islice(rest, _CHUNK)):
        yield chunk


def _idle(device_id: str) -> sa.ColumnElement[bool]:
    """Sessions of a device that led to nothing."""
    table = tables.sessions
    return sa.and_(table.c.device_id == device_id, table.c.state != str(SessionState.USED))


def _device(row: Any) -> Device:
    return Device(**{**row, "state": DeviceState(row["state"])})


def _session(row: Any) -> Session:
    serial = None if row["serial"] is None else int(row["serial"], 16)
    return Session(**{**row, "state": SessionState(row["state"]), "serial": serial})
