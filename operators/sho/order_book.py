"""Orders in the SHO's store, and the one way in which their state changes.

Rule: a change of state names the state before, is in the table of transitions, and leaves its audit leaf in the same
transaction; where the order is in another state by then, nothing has happened.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import sqlalchemy as sa

from edge.database import transaction
from edge.ledger_leaf import SALT_BYTES
from edge.process import RandomBytes
from operators.sho import schema
from operators.sho.order_states import UNDER_WAY, OrderRecord, OrderState, check_transition
from operators.sho.refusals import RefusalCode, RefusalError
from operators.sho.store_rows import order_of

_DUE_AT_ONCE = frozenset(
    {OrderState.ORDERED, OrderState.REGISTERED, OrderState.VALIDATING, OrderState.PACKAGED}
)
_DUE_WHEN_LAPSED = frozenset({OrderState.REFUSED, OrderState.AUTHORIZED})
_ORDERS_OF_A_CODE = 50
_REASON_MAX = 1_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Move:
    """One change of an order's state, and what else changes in its row."""

    order_id: str
    before: OrderState
    after: OrderState
    reason: str | None = None
    values: Mapping[str, Any] | None = None


class OrderBook:
    """Reads orders, and changes their state inside a transaction of the caller's."""

    def __init__(self, engine: sa.Engine, *, random_bytes: RandomBytes) -> None:
        """Work on an engine whose schema is migrated; `random_bytes` salts audit leaves."""
        self.engine = engine
        self._random_bytes = random_bytes

    def order(self, order_id: str) -> OrderRecord | None:
        """One order."""
        return self._one_order(schema.orders.c.id == order_id)

    def order_of_digest(self, digest: bytes) -> OrderRecord | None:
        """See `operators.sho.receipts.ReceiptStore`."""
        return self._one_order(schema.orders.c.digest == digest)

    def orders_of_code(self, device_code: str) -> Sequence[OrderRecord]:
        """See `operators.sho.registration.RegistrationStore`."""
        table = schema.orders
        # the one that is under way first: however many were placed for the code since, it is finished before them
        waits = sa.case((table.c.state.in_([each.value for each in UNDER_WAY]), 0), else_=1)
        # a device hears of an update from its owner, and registers for none
        is_update = sa.exists().where(schema.mid_updates.c.order_id == table.c.id)
        query = (
            sa.select(table)
            .where(table.c.device_code == device_code, ~is_update)
            .order_by(waits, table.c.number.desc())
        )
        return self.orders(query.limit(_ORDERS_OF_A_CODE))

    def _one_order(self, condition: sa.ColumnElement[bool]) -> OrderRecord | None:
        found = self.orders(sa.select(schema.orders).where(condition))
        return found[0] if found else None

    def orders(self, query: sa.Select[Any]) -> Sequence[OrderRecord]:
        """The orders that a query over the table finds."""
        with transaction(self.engine, write=False) as connection:
            return [order_of(row) for row in connection.execute(query).mappings()]

    def move(self, connection: sa.Connection, move: Move, *, at: datetime) -> bool:
        """Change an order's state with its audit leaf, if it is in the state before still."""
        check_transition(move.before, move.after)
        table = schema.orders
        reason = None if move.reason is None else move.reason[:_REASON_MAX]
        due: Any = at if move.after in _DUE_AT_ONCE else None
        changed = connection.execute(
            sa.update(table)
            .where(table.c.id == move.order_id, table.c.state == move.before.value)
            .values(
                state=move.after.value,
                due_at=table.c.expires_at if move.after in _DUE_WHEN_LAPSED else due,
                reason=reason,
                **(move.values or {}),
            )
        )
        if changed.rowcount != 1:
            return False
        record = {"before": move.before.value, **({} if reason is None else {"reason": reason})}
        self.audit(connection, f"order-{move.after.value}", move.order_id, record, at=at)
        return True

    def check_state(self, connection: sa.Connection, order_id: str, state: OrderState) -> None:
        """Raise RefusalError unless an order is in this state now."""
        found = connection.scalar(sa.select(schema.orders.c.state).where(schema.orders.c.id == order_id))
        if found != state.value:
            raise RefusalError(
                RefusalCode.CONCURRENT_CHANGE,
                subject=f"order {order_id}",
                reason=f"it became {found} while the receipt was judged",
                retry_after_s=1,
            )

    def tell_user(self, connection: sa.Connection, order_id: str, text: str, *, at: datetime) -> None:
        """Tell the user of an order something, with the audit leaf, in the caller's transaction."""
        connection.execute(sa.insert(schema.informed).values(order_id=order_id, text=text, at=at))
        self.audit(connection, "user-informed", order_id, {"text": text}, at=at)

    def audit(
        self, connection: sa.Connection, kind: str, subject: str, record: Mapping[str, Any], *, at: datetime
    ) -> None:
        """Append a leaf in the caller's transaction."""
        schema.ledger.append(
            connection,
            kind=kind,
            subject=subject,
            record=record,
            at=at,
            salt=self._random_bytes(SALT_BYTES),
        )
