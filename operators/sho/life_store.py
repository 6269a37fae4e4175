"""Lives of MIDs in the SHO's store: satisfies `operators.sho.lives.LifeStore`."""

from datetime import datetime
from typing import Any

import sqlalchemy as sa

from edge.database import transaction
from edge.serialization import repeated
from messages.instruction import BLOCK, UNBLOCK
from operators.sho import schema
from operators.sho.lives import MidLife, Told
from operators.sho.order_book import Move
from operators.sho.order_states import ERASABLE, OrderState
from operators.sho.platform_state_store import PlatformStates


class Lives(PlatformStates):
    """What is wanted of each MID, and what its TRE has said last."""

    def life(self, order_id: str) -> MidLife:
        """See `operators.sho.lives.LifeStore`."""
        table = schema.mid_lives
        query = sa.select(table).where(table.c.order_id == order_id)
        with transaction(self.engine, write=False) as connection:
            row = connection.execute(query).mappings().first()
        return MidLife(order_id=order_id) if row is None else _life_of(row)

    @repeated
    def wish(self, order_id: str, action: str, *, reason: str, at: datetime) -> None:
        """See `operators.sho.lives.LifeStore`."""
        with transaction(self.engine) as connection:
            values: dict[str, Any] = {"wish": action, "reason": reason, "changed_at": at}
            if action == BLOCK:
                values["barred"] = True
            self.put_life(connection, order_id, values, at=at)
            self.audit(connection, "mid-wish", order_id, {"action": action, "reason": reason}, at=at)

    @repeated
    def ask(self, order_id: str, nonce: bytes, *, at: datetime) -> None:
        """See `operators.sho.lives.LifeStore`."""
        with transaction(self.engine) as connection:
            self.put_life(connection, order_id, {"query_nonce": nonce, "changed_at": at}, at=at)
            self.audit(connection, "mid-asked", order_id, {}, at=at)

    @repeated
    def told(self, order_id: str, told: Told, *, at: datetime) -> bool:
        """See `operators.sho.lives.LifeStore`."""
        table = schema.mid_lives
        with transaction(self.engine) as connection:
            query = sa.select(table).where(table.c.order_id == order_id)
            before = connection.execute(query).mappings().first()
            if before is None or before["query_nonce"] != told.query_nonce:
                return False
            is_unblocked = told.is_done and before["wish"] == UNBLOCK
            connection.execute(
                sa.update(table)
                .where(table.c.order_id == order_id)
                .values(
                    wish=None if told.is_done else before["wish"],
                    barred=before["barred"] and not is_unblocked,
                    state=told.state,
                    state_reason=told.state_reason,
                    sequence=max(told.sequence, before["sequence"]),
                    query_nonce=None,
                    proof_nonce=told.proof_nonce,
                    instruction=told.instruction,
                    changed_at=at,
                )
            )
            record = {
                "state": told.state,
                "reason": told.state_reason,
                "sequence": told.sequence,
                "instructed": int(told.is_instructed),
            }
            self.audit(connection, "mid-told", order_id, record, at=at)
            return True

    @repeated
    def erased(self, order_id: str, statement: bytes, *, informed: str, at: datetime) -> None:
        """See `operators.sho.lives.LifeStore`."""
        subscriptions = schema.subscriptions
        with transaction(self.engine) as connection:
            moves = [
                Move(order_id=order_id, before=each, after=OrderState.ERASED) for each in sorted(ERASABLE)
            ]
            if not any(self.move(connection, move, at=at) for move in moves):
                self.check_state(connection, order_id, OrderState.ERASED)
                return
            connection.execute(
                sa.update(subscriptions).where(subscriptions.c.order_id == order_id).values(active=False)
            )
            values = {
                "wish": None,
                "state": "ERASED",
                "proof": statement,
                "changed_at": at,
            }
            self.put_life(connection, order_id, values, at=at)
            self.tell_user(connection, order_id, informed, at=at)

    def is_released(self, order_id: str) -> bool:
        """See `operators.sho.lives.LifeStore`."""
        table = schema.releases
        query = sa.select(sa.exists().where(table.c.order_id == order_id, table.c.state == "released"))
        with transaction(self.engine, write=False) as connection:
            return bool(connection.scalar(query))

    def put_life(
        self, connection: sa.Connection, order_id: str, values: dict[str, Any], *, at: datetime
    ) -> None:
        """Change what is on record about a MID, in the caller's transaction."""
        table = schema.mid_lives
        changed = connection.execute(sa.update(table).where(table.c.order_id == order_id).values(**values))
        if changed.rowcount == 0:
            empty: dict[str, Any] = {
                "order_id": order_id,
                "reason": "",
                "barred": False,
                "state_reason": "",
                "sequence": 0,
                "changed_at": at,
            }
            connection.execute(sa.insert(table).values(**{**empty, **values}))


def is_barred(order_id: sa.ColumnElement[str]) -> sa.ColumnElement[bool]:
    """Whether this operator has the MID of an order blocked."""
    lives = schema.mid_lives
    return sa.exists().where(lives.c.order_id == order_id, lives.c.barred)


def _life_of(row: sa.RowMapping) -> MidLife:
    return MidLife(
        order_id=row["order_id"],
        wish=row["wish"],
        reason=row["reason"],
        state=row["state"],
        state_reason=row["state_reason"],
        sequence=row["sequence"],
        query_nonce=row["query_nonce"],
        proof_nonce=row["proof_nonce"],
        instruction=row["instruction"],
    )
