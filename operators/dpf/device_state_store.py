"""States of devices in the DPF's store: satisfies `operators.dpf.device_states.DeviceStateStore`."""

from datetime import datetime

import sqlalchemy as sa
from sqlalchemy.exc import IntegrityError

from edge.database import transaction
from edge.ledger_leaf import SALT_BYTES
from edge.process import RandomBytes
from edge.serialization import repeated
from messages.state_event import PlatformState, StateEvent
from operators.dpf import schema


class DeviceStates:
    """The newest state of each device, by PVA and watching operator."""

    def __init__(self, engine: sa.Engine, *, random_bytes: RandomBytes) -> None:
        """Work on an engine whose schema is migrated; `random_bytes` salts audit leaves."""
        self._engine = engine
        self._random_bytes = random_bytes

    def watched_states(self, device_id: str, *, sho: str) -> tuple[PlatformState, ...]:
        """See `operators.dpf.release.WatchedStates`."""
        table = schema.device_states
        query = sa.select(table.c.state).where(table.c.device_id == device_id, table.c.sho == sho)
        with transaction(self._engine, write=False) as connection:
            return tuple(PlatformState(each) for each in connection.scalars(query))

    def record_state(self, event: StateEvent, *, at: datetime) -> bool:
        """See `operators.dpf.device_states.DeviceStateStore`."""
        try:
            return self._record_state(event, at=at)
        except IntegrityError:  # another event about the device was the first at the same moment
            return self._record_state(event, at=at)

    @repeated
    def _record_state(self, event: StateEvent, *, at: datetime) -> bool:
        table = schema.device_states
        here = sa.and_(
            table.c.device_id == event.device_id, table.c.sho == event.operator, table.c.pva == event.pva
        )
        with transaction(self._engine) as connection:
            known = connection.scalar(sa.select(table.c.sequence).where(here))
            if known is not None and known >= event.sequence:
                return False
            connection.execute(sa.delete(table).where(here))
            connection.execute(
                sa.insert(table).values(
                    device_id=event.device_id,
                    sho=event.operator,
                    pva=event.pva,
                    state=event.state.value,
                    sequence=event.sequence,
                    event_id=event.jti,
                    since=event.since,
                )
            )
            schema.ledger.append(
                connection,
                kind="state-noted",
                subject=event.device_id,
                record={
                    "state": event.state.value,
                    "sho": event.operator,
                    "pva": event.pva,
                    "event_id": event.jti,
                    "sequence": event.sequence,
                },
                at=at,
                salt=self._random_bytes(SALT_BYTES),
            )
            return True
