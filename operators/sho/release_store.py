"""Releases in the SHO's store: satisfies `operators.sho.releases.ReleaseStore`."""

from datetime import datetime

import sqlalchemy as sa

from edge.database import transaction
from edge.serialization import repeated
from operators.sho import schema
from operators.sho.life_store import Lives
from operators.sho.order_states import IN_DEVICE, OrderRecord, OrderState
from operators.sho.releases import ReleaseRecord, ReleaseState


class Releases(Lives):
    """What successors have asked for, and what they were told."""

    def order_of_mid(self, device_id: str, mid_id: str) -> OrderRecord | None:
        """See `operators.sho.releases.ReleaseStore`."""
        orders, packages, newer = schema.orders, schema.packages, schema.packages.alias()
        newest = (
            sa.select(sa.func.max(newer.c.version)).where(newer.c.order_id == orders.c.id).scalar_subquery()
        )
        query = (
            sa.select(orders)
            .join(packages, packages.c.order_id == orders.c.id)
            .where(orders.c.device_id == device_id, packages.c.mid_id == mid_id, packages.c.version == newest)
            .where(orders.c.state.in_([each.value for each in (*IN_DEVICE, OrderState.ERASED)]))
        )
        found = self.orders(query)
        return found[0] if found else None

    def is_blocked(self, order_id: str) -> bool:
        """See `operators.sho.releases.ReleaseStore`."""
        table = schema.mid_lives
        query = sa.select(table.c.barred).where(table.c.order_id == order_id)
        with transaction(self.engine, write=False) as connection:
            return bool(connection.scalar(query))

    def erase_proof(self, order_id: str) -> bytes | None:
        """See `operators.sho.releases.ReleaseStore`."""
        table = schema.mid_lives
        query = sa.select(table.c.proof).where(table.c.order_id == order_id)
        with transaction(self.engine, write=False) as connection:
            found: bytes | None = connection.scalar(query)
        return found

    def releases(self, order_id: str) -> tuple[ReleaseRecord, ...]:
        """See `operators.sho.releases.ReleaseStore`."""
        table = schema.releases
        query = sa.select(table).where(table.c.order_id == order_id).order_by(table.c.successor)
        with transaction(self.engine, write=False) as connection:
            return tuple(_release_of(row) for row in connection.execute(query).mappings())

    @repeated
    def ask_release(self, asked: ReleaseRecord, *, informed: str | None, at: datetime) -> ReleaseRecord:
        """See `operators.sho.releases.ReleaseStore`."""
        table = schema.releases
        query = sa.select(table).where(
            table.c.order_id == asked.order_id, table.c.successor == asked.successor
        )
        with transaction(self.engine) as connection:
            known = connection.execute(query).mappings().first()
            if known is not None:
                return _release_of(known)
            connection.execute(
                sa.insert(table).values(
                    order_id=asked.order_id,
                    successor=asked.successor,
                    state=asked.state.value,
                    token=asked.token,
                    decided_by=asked.decided_by,
                    changed_at=at,
                )
            )
            record = {"successor": asked.successor, "state": asked.state.value}
            self.audit(connection, "release-asked", asked.order_id, record, at=at)
            if informed is not None:
                self.tell_user(connection, asked.order_id, informed, at=at)
            return asked

    @repeated
    def decide_release(self, decided: ReleaseRecord, *, informed: str, at: datetime) -> bool:
        """See `operators.sho.releases.ReleaseStore`."""
        table = schema.releases
        with transaction(self.engine) as connection:
            changed = connection.execute(
                sa.update(table)
                .where(
                    table.c.order_id == decided.order_id,
                    table.c.successor == decided.successor,
                    table.c.state != ReleaseState.RELEASED.value,
                )
                .values(
                    state=decided.state.value,
                    token=decided.token,
                    decided_by=decided.decided_by,
                    changed_at=at,
                )
            )
            if changed.rowcount != 1:
                return False
            record = {
                "successor": decided.successor,
                "state": decided.state.value,
                "by": decided.decided_by or "",
            }
            self.audit(connection, "release-decided", decided.order_id, record, at=at)
            self.tell_user(connection, decided.order_id, informed, at=at)
            return True


def _release_of(row: sa.RowMapping) -> ReleaseRecord:
    return ReleaseRecord(
        order_id=row["order_id"],
        successor=row["successor"],
        state=ReleaseState(row["state"]),
        token=row["token"],
        decided_by=row["decided_by"],
    )
