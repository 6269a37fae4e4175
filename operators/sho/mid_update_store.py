"""Updates of MIDs in the SHO's store: satisfies `operators.sho.mid_updates.MidUpdateStore`, and what a receipt needs of it.

Rule: what goes over to a newer order goes over in the transaction that takes its receipt: USIMs with their keys, what is on
record about the MID, and who has its release. There is no moment in which both orders have it, or neither.
"""

from collections.abc import Sequence
from datetime import datetime

import sqlalchemy as sa

from edge.database import transaction
from edge.serialization import repeated
from operators.sho import schema
from operators.sho.change_store import Changes
from operators.sho.order_book import Move
from operators.sho.order_states import (
    REPLACEABLE,
    STANDING,
    MidUpdate,
    MigrationState,
    OrderRecord,
    OrderState,
)
from operators.sho.refusals import RefusalCode, RefusalError
from operators.sho.registration import NewOrder
from operators.sho.store_rows import order_of, row_of_order
from operators.sho.successions import NewSuccession


class MidUpdates(Changes):
    """Orders that bring the next version of a MID, and how one takes the place of another."""

    @repeated
    def place_update(self, new: NewSuccession) -> OrderRecord:
        """See `operators.sho.mid_updates.MidUpdateStore`."""
        record = new.order.record
        with transaction(self.engine) as connection:
            known = self.placed_before(connection, new.order)
            if known is not None:
                return known
            self._replace_standing(connection, new, at=record.created_at)
            self.add_succession(connection, new)
            connection.execute(
                sa.insert(schema.mid_updates).values(
                    order_id=record.id, prior_order_id=new.prior_id, mid_id=new.mid_id
                )
            )
            told = {"mid_id": new.mid_id, "supersedes": new.prior_id, "fresh_keys": len(new.sealed_keys)}
            self.audit(
                connection,
                "mid-update-ordered",
                record.id,
                {**told, "product": record.product},
                at=record.created_at,
            )
            return record

    def placed_before(self, connection: sa.Connection, order: NewOrder) -> OrderRecord | None:
        """The order that the same request made before, if it did. Raises RefusalError: another request came under this key."""
        table = schema.orders
        query = sa.select(table).where(table.c.idempotency_key == order.idempotency_key)
        known = connection.execute(query).mappings().first()
        if known is None:
            return None
        if known["request_digest"] != order.request_digest:
            raise RefusalError(
                RefusalCode.IDEMPOTENCY_CONFLICT,
                subject="Idempotency-Key",
                reason="another order was placed with it",
            )
        return order_of(known)

    def add_succession(self, connection: sa.Connection, new: NewSuccession) -> None:
        """Store the order, and the keys that the AuC takes with its receipt; none where they stay, whatever was made before."""
        table = schema.subscriptions
        connection.execute(sa.insert(schema.orders).values(**row_of_order(new.order)))
        own = table.c.order_id == new.prior_id
        connection.execute(sa.update(table).where(own).values(next_sealed=None))
        for imsi, sealed in new.sealed_keys.items():
            changed = sa.update(table).where(own, table.c.imsi == imsi)
            connection.execute(changed.values(next_sealed=sealed))

    def current(self, order_id: str) -> str:
        """See `operators.sho.mid_updates.MidUpdateStore`."""
        orders, updates = schema.orders, schema.mid_updates
        with transaction(self.engine, write=False) as connection:
            while True:
                following = connection.scalar(
                    sa.select(updates.c.order_id)
                    .join(orders, orders.c.id == updates.c.order_id)
                    .where(updates.c.prior_order_id == order_id, orders.c.state.in_(_TAKEN_OVER))
                )
                if following is None:
                    return order_id
                order_id = following

    def sealed_subscriber(self, order_id: str) -> bytes:
        """See `operators.sho.mid_updates.MidUpdateStore`."""
        query = sa.select(schema.orders.c.sealed_subscriber).where(schema.orders.c.id == order_id)
        with transaction(self.engine, write=False) as connection:
            found: bytes = connection.execute(query).scalar_one()
        return found

    def update_of(self, order_id: str) -> MidUpdate | None:
        """See `operators.sho.mid_updates.MidUpdateStore`."""
        table = schema.mid_updates
        with transaction(self.engine, write=False) as connection:
            row = connection.execute(sa.select(table).where(table.c.order_id == order_id)).mappings().first()
        if row is None:
            return None
        return MidUpdate(order_id=order_id, prior_id=row["prior_order_id"], mid_id=row["mid_id"])

    def updates_of(self, mid_id: str) -> Sequence[OrderRecord]:
        """See `operators.sho.mid_updates.MidUpdateStore`."""
        orders, updates = schema.orders, schema.mid_updates
        query = sa.select(orders).join(updates, updates.c.order_id == orders.c.id)
        return self.orders(query.where(updates.c.mid_id == mid_id).order_by(orders.c.number))

    def standing_update(self, order_id: str) -> OrderRecord | None:
        """See `operators.sho.mid_updates.MidUpdateStore`."""
        found = self.orders(self.standing_updates(order_id))
        return found[0] if found else None

    def newest_version(self, order_id: str) -> int:
        """See `operators.sho.provisioning.ProvisioningStore`."""
        packages, updates = schema.packages, schema.mid_updates
        mid = sa.select(updates.c.mid_id).where(updates.c.order_id == order_id)
        query = sa.select(sa.func.max(packages.c.version)).where(
            sa.or_(packages.c.order_id == order_id, packages.c.mid_id.in_(mid))
        )
        with transaction(self.engine, write=False) as connection:
            return connection.scalar(query) or 0

    def take_over(self, connection: sa.Connection, order_id: str, *, at: datetime) -> None:
        """In the caller's transaction: whatever the order before it has goes over to an update; of another order nothing.

        Raises RefusalError: the order before is not active any more.
        """
        updates = schema.mid_updates
        prior_id = connection.scalar(
            sa.select(updates.c.prior_order_id).where(updates.c.order_id == order_id)
        )
        if prior_id is None:
            return
        move = Move(order_id=prior_id, before=OrderState.ACTIVE, after=OrderState.SUPERSEDED)
        if not self.move(connection, move, at=at):
            self.check_state(connection, prior_id, OrderState.ACTIVE)
        self.move_subscriptions(connection, prior_id, to=order_id)
        for table in (schema.mid_lives, schema.releases):
            connection.execute(sa.update(table).where(table.c.order_id == prior_id).values(order_id=order_id))
        self.audit(connection, "subscription-taken-over", order_id, {"from": prior_id}, at=at)

    def move_subscriptions(self, connection: sa.Connection, order_id: str, *, to: str) -> None:
        """The USIMs of an order are another one's, with the keys that were laid beside."""
        table = schema.subscriptions
        connection.execute(
            sa.update(table)
            .where(table.c.order_id == order_id)
            .values(
                order_id=to, sealed=sa.func.coalesce(table.c.next_sealed, table.c.sealed), next_sealed=None
            )
        )

    @staticmethod
    def standing_updates(order_id: str) -> "sa.Select[tuple[object, ...]]":
        """The updates of an order that can still come to their end, newest first."""
        orders, updates = schema.orders, schema.mid_updates
        return (
            sa.select(orders)
            .join(updates, updates.c.order_id == orders.c.id)
            .where(
                updates.c.prior_order_id == order_id,
                orders.c.state.in_([each.value for each in STANDING]),
            )
            .order_by(orders.c.number.desc())
        )

    def _replace_standing(self, connection: sa.Connection, new: NewSuccession, *, at: datetime) -> None:
        if connection.scalar(sa.select(sa.exists().where(moving_from(new.prior_id)))):
            raise RefusalError(
                RefusalCode.UPDATE_UNDER_WAY,
                subject=f"order {new.prior_id}",
                reason="its MID is on its way to another device",
            )
        for row in connection.execute(self.standing_updates(new.prior_id)).mappings().all():
            state = OrderState(row["state"])
            if state not in REPLACEABLE:
                raise RefusalError(
                    RefusalCode.UPDATE_UNDER_WAY,
                    subject=f"order {new.prior_id}",
                    reason=f"its update {row['id']} is {state.value}: its package may be at the device",
                )
            reason = f"update {new.order.record.id} of the same MID took its place"
            self.move(
                connection,
                Move(order_id=row["id"], before=state, after=OrderState.EXPIRED, reason=reason),
                at=at,
            )


def moving_from(order_id: str) -> "sa.ColumnElement[bool]":
    """The migration by which the MID of an order is on its way to another device."""
    table = schema.mid_migrations
    return sa.and_(table.c.source_order_id == order_id, table.c.state == MigrationState.OPEN.value)


_TAKEN_OVER = [
    each.value for each in (OrderState.ACTIVE, OrderState.SUPERSEDED, OrderState.MOVED, OrderState.ERASED)
]
"""States of an update that has what it was to take over."""
