"""States of devices in the SHO's store: satisfies `operators.sho.device_states.DeviceStateStore`."""

from datetime import datetime

import sqlalchemy as sa
from sqlalchemy.exc import IntegrityError

from edge.database import transaction
from edge.serialization import repeated
from messages.state_event import StateEvent
from operators.sho import schema
from operators.sho.order_book import OrderBook


class DeviceStates(OrderBook):
    """The newest state of each device by each PVA."""

    def record_state(self, event: StateEvent, *, suspended: bool | None, at: datetime) -> bool:
        """See `operators.sho.device_states.DeviceStateStore`."""
        try:
            return self._record_state(event, suspended=suspended, at=at)
        except IntegrityError:  # another event about the device was the first at the same moment
            return self._record_state(event, suspended=suspended, at=at)

    @repeated
    def _record_state(self, event: StateEvent, *, suspended: bool | None, at: datetime) -> bool:
        table = schema.device_states
        here = sa.and_(table.c.device_id == event.device_id, table.c.pva == event.pva)
        with transaction(self.engine) as connection:
            known = connection.execute(sa.select(table).where(here)).mappings().first()
            if known is not None and known["sequence"] >= event.sequence:
                return False
            before = known is not None and known["suspended"]
            after = before if suspended is None else suspended
            connection.execute(sa.delete(table).where(here))
            connection.execute(
                sa.insert(table).values(
                    device_id=event.device_id,
                    pva=event.pva,
                    state=event.state.value,
                    sequence=event.sequence,
                    suspended=after,
                    event_id=event.jti,
                    since=event.since,
                )
            )
            record = {
                "state": event.state.value,
                "pva": event.pva,
                "event_id": event.jti,
                "sequence": event.sequence,
                "result_id": event.result_id,
                "suspended": int(after),
            }
            self.audit(connection, _KINDS[before, after], event.device_id, record, at=at)
            return True


def is_suspended(order_id: sa.ColumnElement[str]) -> sa.ColumnElement[bool]:
    """Whether some PVA's newest word suspends the device of an order."""
    orders, states = schema.orders, schema.device_states
    return sa.exists().where(
        orders.c.id == order_id, states.c.device_id == orders.c.device_id, states.c.suspended
    )


_KINDS = {
    (False, True): "subscription-suspended",
    (True, False): "subscription-reopened",
    (False, False): "state-noted",
    (True, True): "state-noted",
}
"""Kinds of audit leaves, by suspended before and after."""
