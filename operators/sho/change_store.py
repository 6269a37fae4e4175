"""Changes of operator in the SHO's store: satisfies `operators.sho.changes.ChangeStore`, and what receipts need of it."""

from datetime import datetime

import sqlalchemy as sa

from edge.database import transaction
from edge.serialization import repeated
from operators.sho import schema
from operators.sho.order_book import Move
from operators.sho.order_states import Change, OrderState, Prior
from operators.sho.release_store import Releases


class Changes(Releases):
    """Orders that take over from another operator, and how far each is."""

    def change(self, order_id: str) -> Change | None:
        """See `operators.sho.changes.ChangeStore`."""
        table = schema.operator_changes
        with transaction(self.engine, write=False) as connection:
            row = connection.execute(sa.select(table).where(table.c.order_id == order_id)).mappings().first()
        if row is None:
            return None
        return Change(
            order_id=order_id,
            prior=Prior(operator=row["prior_operator"], mid_id=row["prior_mid_id"]),
            release=row["release"],
            switches=row["switches"],
            attached=row["attached"],
            proof=row["proof"],
        )

    @repeated
    def keep_release(self, order_id: str, token: str, *, at: datetime) -> None:
        """See `operators.sho.changes.ChangeStore`."""
        table = schema.operator_changes
        with transaction(self.engine) as connection:
            changed = connection.execute(
                sa.update(table)
                .where(table.c.order_id == order_id, table.c.release.is_(None))
                .values(release=token)
            )
            if changed.rowcount == 1:
                self.audit(connection, "prior-released", order_id, {}, at=at)

    @repeated
    def switched(self, order_id: str, *, before: int, at: datetime) -> bool:
        """See `operators.sho.changes.ChangeStore`."""
        with transaction(self.engine) as connection:
            return self.count_switch(connection, order_id, before=before, at=at)

    def count_switch(self, connection: sa.Connection, order_id: str, *, before: int, at: datetime) -> bool:
        """Count a switch in the caller's transaction; False where another one was counted meanwhile."""
        table = schema.operator_changes
        changed = connection.execute(
            sa.update(table)
            .where(table.c.order_id == order_id, table.c.switches == before)
            .values(switches=before + 1, attached=False)
        )
        if changed.rowcount != 1:
            return False
        self.audit(connection, "switch-signed", order_id, {"number": before + 1}, at=at)
        return True

    @repeated
    def attached(self, imsi: str, *, network: str, at: datetime) -> None:
        """See `operators.sho.changes.ChangeStore`."""
        table, subscriptions, orders = schema.operator_changes, schema.subscriptions, schema.orders
        waiting = (
            sa.select(table.c.order_id)
            .join(subscriptions, subscriptions.c.order_id == table.c.order_id)
            .join(orders, orders.c.id == table.c.order_id)
            .where(
                subscriptions.c.imsi == imsi, orders.c.state == OrderState.INSTALLED.value, ~table.c.attached
            )
        )
        with transaction(self.engine) as connection:
            order_id = connection.scalar(waiting)
            if order_id is None:
                return
            connection.execute(sa.update(table).where(table.c.order_id == order_id).values(attached=True))
            self.audit(connection, "successor-attached", order_id, {"network": network}, at=at)

    @repeated
    def changed(self, order_id: str, *, informed: str, at: datetime) -> None:
        """See `operators.sho.changes.ChangeStore`."""
        orders = schema.orders
        with transaction(self.engine) as connection:
            move = Move(order_id=order_id, before=OrderState.INSTALLED, after=OrderState.ACTIVE)
            if not self.move(connection, move, at=at):
                self.check_state(connection, order_id, OrderState.ACTIVE)
                return
            connection.execute(sa.update(orders).where(orders.c.id == order_id).values(due_at=at, tries=0))
            self.tell_user(connection, order_id, informed, at=at)

    @repeated
    def keep_proof(self, order_id: str, proof: bytes, *, informed: str, at: datetime) -> None:
        """See `operators.sho.changes.ChangeStore`."""
        table, orders = schema.operator_changes, schema.orders
        with transaction(self.engine) as connection:
            changed = connection.execute(
                sa.update(table)
                .where(table.c.order_id == order_id, table.c.proof.is_(None))
                .values(proof=proof)
            )
            connection.execute(sa.update(orders).where(orders.c.id == order_id).values(due_at=None))
            if changed.rowcount == 1:
                self.audit(connection, "prior-erased", order_id, {}, at=at)
                self.tell_user(connection, order_id, informed, at=at)
