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
from operators.sho.mid_updates import NewMidUpdate
from operators.sho.order_book import Move
from operators.sho.order_states import REPLACEABLE, STANDING, MidUpdate, OrderRecord, OrderState
from operators.sho.refusals import RefusalCode, RefusalError
from operators.sho.store_rows import order_of, row_of_order


class MidUpdates(Changes):
    """Orders that bring the next version of a MID, and how one takes the place of another."""

    @repeated
    def place_update(self, new: NewMidUpdate) -> OrderRecord:
        """See `operators.sho.mid_updates.MidUpdateStore`."""
        orders, record = schema.orders, new.order.record
        query = sa.select(orders).where(orders.c.idempotency_key == new.order.idempotency_key)
        with transaction(self.engine) as connection:
            known = connection.execute(query).mappings().first()
            if known is not None:
                if known["request_digest"] != new.order.request_digest:
                    raise RefusalError(
                        RefusalCode.IDEMPOTENCY_CONFLICT,
                        subject="Idempotency-Key",
                        reason="another order was placed with it",
                    )
                return order_of(known)
            self._replace_standing(connection, new, at=record.created_at)
            connection.execute(sa.insert(orders).values(**row_of_order(new.order)))
            connection.execute(
                sa.insert(schema.mid_updates).values(
                    order_id=record.id, prior_order_id=new.prior_id, mid_id=new.mid_id
                )
            )
            self._stage_keys(connection, new)
            told = {"mid_id": new.mid_id, "supersedes": new.prior_id, "fresh_keys": len(new.sealed_keys)}
            self.audit(
                connection,
                "mid-update-ordered",
                record.id,
                {**told, "product": record.product},
                at=record.created_at,
            )
            return record

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
        found = self.orders(_standing(order_id))
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
        updates, subscriptions = schema.mid_updates, schema.subscriptions
        prior_id = connection.scalar(
            sa.select(updates.c.prior_order_id).where(updates.c.order_id == order_id)
        )
        if prior_id is None:
            return
        move = Move(order_id=prior_id, before=OrderState.ACTIVE, after=OrderState.SUPERSEDED)
        if not self.move(connection, move, at=at):
            self.check_state(connection, prior_id, OrderState.ACTIVE)
        connection.execute(
            sa.update(subscriptions)
            .where(subscriptions.c.order_id == prior_id)
            .values(
                order_id=order_id,
                sealed=sa.func.coalesce(subscriptions.c.next_sealed, subscriptions.c.sealed),
                next_sealed=None,
            )
        )
        for table in (schema.mid_lives, schema.releases):
            connection.execute(sa.update(table).where(table.c.order_id == prior_id).values(order_id=order_id))
        self.audit(connection, "subscription-taken-over", order_id, {"from": prior_id}, at=at)

    def _replace_standing(self, connection: sa.Connection, new: NewMidUpdate, *, at: datetime) -> None:
        for row in connection.execute(_standing(new.prior_id)).mappings().all():
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

    def _stage_keys(self, connection: sa.Connection, new: NewMidUpdate) -> None:
        """The keys that the AuC takes with the receipt; none where they stay, whatever an older update had made."""
        table = schema.subscriptions
        connection.execute(sa.update(table).where(table.c.order_id == new.prior_id).values(next_sealed=None))
        for imsi, sealed in new.sealed_keys.items():
            connection.execute(
                sa.update(table)
                .where(table.c.order_id == new.prior_id, table.c.imsi == imsi)
                .values(next_sealed=sealed)
            )


_TAKEN_OVER = [each.value for each in (OrderState.ACTIVE, OrderState.SUPERSEDED, OrderState.ERASED)]
"""States of an update that has what it was to take over."""


def _standing(order_id: str) -> "sa.Select[tuple[object, ...]]":
    orders, updates = schema.orders, schema.mid_updates
    return (
        sa.select(orders)
        .join(updates, updates.c.order_id == orders.c.id)
        .where(updates.c.prior_order_id == order_id, orders.c.state.in_([each.value for each in STANDING]))
        .order_by(orders.c.number.desc())
    )
