"""Migrations of MIDs in the SHO's store: satisfies `operators.sho.mid_migrations.MidMigrationStore`, and what others need of it.

Rule: a migration is open, committed or given up, and one statement leads from the first to each of the others: whichever comes
first, the other one has not happened.
"""

from collections.abc import Sequence
from datetime import datetime
from typing import Any, Final

import sqlalchemy as sa

from edge.database import transaction
from edge.serialization import repeated
from messages.instruction import ERASE, LOCK, UNLOCK
from operators.sho import schema
from operators.sho.mid_migrations import LOCKED, MOVED, REASON
from operators.sho.mid_update_store import MidUpdates, moving_from
from operators.sho.order_book import Move
from operators.sho.order_states import STANDING, MidMigration, MigrationState, OrderRecord, OrderState
from operators.sho.refusals import RefusalCode, RefusalError
from operators.sho.successions import NewSuccession

_AT_THE_DEVICE: Final = frozenset({OrderState.PACKAGED, OrderState.AUTHORIZED})
"""The package may be at the other device, and be installed there whatever is decided here."""


class MidMigrations(MidUpdates):
    """Orders that bring a subscription into another device."""

    @repeated
    def place_migration(self, new: NewSuccession) -> OrderRecord:
        """See `operators.sho.mid_migrations.MidMigrationStore`."""
        record = new.order.record
        with transaction(self.engine) as connection:
            known = self.placed_before(connection, new.order)
            if known is not None:
                return known
            self._check_alone(connection, new.prior_id)
            self.add_succession(connection, new)
            connection.execute(
                sa.insert(schema.mid_migrations).values(
                    order_id=record.id, source_order_id=new.prior_id, state=MigrationState.OPEN.value
                )
            )
            told = {"mid_id": new.mid_id, "from": new.prior_id, "device_code": record.device_code}
            self.audit(connection, "mid-migration-ordered", record.id, told, at=record.created_at)
            return record

    def migration_of(self, order_id: str) -> MidMigration | None:
        """See `operators.sho.mid_migrations.MidMigrationStore`."""
        return self._one_migration(schema.mid_migrations.c.order_id == order_id)

    def standing_migration(self, order_id: str) -> MidMigration | None:
        """See `operators.sho.successions.SuccessionStore`."""
        return self._one_migration(moving_from(order_id))

    def migrations_from(self, order_id: str) -> Sequence[MidMigration]:
        """See `operators.sho.mid_migrations.MidMigrationStore`."""
        table, orders = schema.mid_migrations, schema.orders
        query = sa.select(table).join(orders, orders.c.id == table.c.order_id)
        query = query.where(table.c.source_order_id == order_id).order_by(orders.c.number)
        with transaction(self.engine, write=False) as connection:
            return [_migration(row) for row in connection.execute(query).mappings()]

    @repeated
    def abort_migration(self, order_id: str, *, reason: str, at: datetime) -> bool:
        """See `operators.sho.mid_migrations.MidMigrationStore`."""
        orders = schema.orders
        with transaction(self.engine) as connection:
            state = connection.scalar(sa.select(orders.c.state).where(orders.c.id == order_id))
            if state is None or OrderState(state) not in STANDING:
                return False
            move = Move(order_id=order_id, before=OrderState(state), after=OrderState.EXPIRED, reason=reason)
            if not self.move(connection, move, at=at):
                return False
            return self.give_up(connection, order_id, before=OrderState(state), at=at)

    def give_up(self, connection: sa.Connection, order_id: str, *, before: OrderState, at: datetime) -> bool:
        """In the caller's transaction, which ends an order: if it was for a migration, the MID there is called back."""
        source_id = self._leave_open(connection, order_id, MigrationState.ABORTED)
        if source_id is None:
            return False
        subscriptions, lives = schema.subscriptions, schema.mid_lives
        connection.execute(
            sa.update(subscriptions).where(subscriptions.c.order_id == source_id).values(next_sealed=None)
        )
        connection.execute(
            sa.update(lives)
            .where(lives.c.order_id == source_id, sa.or_(lives.c.wish == LOCK, lives.c.state == LOCKED))
            .values(wish=UNLOCK, reason=REASON, changed_at=at)
        )
        if before in _AT_THE_DEVICE:
            self.put_life(connection, order_id, {"wish": ERASE, "reason": REASON, "changed_at": at}, at=at)
        self.audit(connection, "mid-migration-aborted", order_id, {"from": source_id}, at=at)
        return True

    def wish_lock(self, connection: sa.Connection, order_id: str, *, at: datetime) -> None:
        """In the transaction that binds the order for the other device: the MID is to be locked; of another order nothing."""
        table = schema.mid_migrations
        source_id = connection.scalar(sa.select(table.c.source_order_id).where(table.c.order_id == order_id))
        if source_id is None:
            return
        self.put_life(connection, source_id, {"wish": LOCK, "reason": REASON, "changed_at": at}, at=at)
        self.audit(connection, "mid-wish", source_id, {"action": LOCK, "reason": REASON}, at=at)

    def take_over(self, connection: sa.Connection, order_id: str, *, at: datetime) -> None:
        """Also for a migration: the subscription goes over, and the MID that is left is to be erased."""
        super().take_over(connection, order_id, at=at)
        source_id = self._leave_open(connection, order_id, MigrationState.COMMITTED)
        if source_id is None:
            return
        move = Move(order_id=source_id, before=OrderState.ACTIVE, after=OrderState.MOVED)
        if not self.move(connection, move, at=at):
            self.check_state(connection, source_id, OrderState.ACTIVE)
        self.move_subscriptions(connection, source_id, to=order_id)
        self.put_life(connection, source_id, {"wish": ERASE, "reason": REASON, "changed_at": at}, at=at)
        self.audit(connection, "subscription-taken-over", order_id, {"from": source_id}, at=at)
        self.tell_user(connection, source_id, MOVED, at=at)

    def _leave_open(self, connection: sa.Connection, order_id: str, after: MigrationState) -> str | None:
        """End an open migration; the order that it comes from, None where there is no open one."""
        table = schema.mid_migrations
        changed = connection.execute(
            sa.update(table)
            .where(table.c.order_id == order_id, table.c.state == MigrationState.OPEN.value)
            .values(state=after.value)
        )
        if changed.rowcount != 1:
            return None
        found: str | None = connection.scalar(
            sa.select(table.c.source_order_id).where(table.c.order_id == order_id)
        )
        return found

    def _check_alone(self, connection: sa.Connection, source_id: str) -> None:
        is_open = sa.exists().where(moving_from(source_id))
        is_updated = sa.exists(self.standing_updates(source_id))
        if connection.scalar(sa.select(sa.or_(is_open, is_updated))):
            raise RefusalError(
                RefusalCode.UPDATE_UNDER_WAY,
                subject=f"order {source_id}",
                reason="an update or another migration of its MID is under way",
            )

    def _one_migration(self, condition: "sa.ColumnElement[bool]") -> MidMigration | None:
        with transaction(self.engine, write=False) as connection:
            row = connection.execute(sa.select(schema.mid_migrations).where(condition)).mappings().first()
        return None if row is None else _migration(row)


def _migration(row: "sa.RowMapping | Any") -> MidMigration:
    return MidMigration(
        order_id=row["order_id"],
        source_id=row["source_order_id"],
        state=MigrationState(row["state"]),
    )
