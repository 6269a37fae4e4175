"""Asks of the CA on SQLAlchemy: satisfies `pva.pushing.Outbox` and `pva.watching.status_asks.StatusAskStore`.

Rule: one row a credential, its last act; `post` runs inside the transaction that records a result, so of several
processes that record results of one device at once each sees what the one before has asked.
"""

from collections.abc import Sequence
from datetime import datetime
from typing import Any

import sqlalchemy as sa

from edge.database import transaction
from edge.serialization import repeated
from pva.results.result import SignedResult
from pva.store import tables
from pva.store.rows import serial_text
from pva.watching.holding import Act, Ask, HoldRule, Outcome, next_ask
from pva.watching.status_asks import StatusAsk

_OUTCOMES_MAX = 256
"""How many results of a credential are looked at: more than any rule counts."""


class StatusAskOutbox:
    """Asks under way; their rows are written with the results that lead to them."""

    def __init__(self, engine: sa.Engine) -> None:
        """Work on an engine whose schema is migrated."""
        self._engine = engine

    def due(self, audience: str, *, at: datetime, count_max: int) -> Sequence[StatusAsk]:
        """See `pva.pushing.Outbox`; there is one CA, whatever the name."""
        del audience
        table = tables.status_asks
        query = (
            sa.select(table)
            .where(~table.c.told, table.c.next_at <= at)
            .order_by(table.c.next_at, table.c.issuer, table.c.serial)
            .limit(count_max)
        )
        with transaction(self._engine, write=False) as connection:
            return tuple(_ask_of(row) for row in connection.execute(query).mappings())

    @repeated
    def claim(self, posted: StatusAsk, *, until: datetime) -> bool:
        """See `pva.pushing.Outbox`."""
        return self._change(posted, tries=posted.tries, values={"tries": posted.tries + 1, "next_at": until})

    @repeated
    def postpone(self, posted: StatusAsk, *, until: datetime) -> None:
        """See `pva.pushing.Outbox`."""
        self._change(posted, tries=posted.tries + 1, values={"next_at": until})

    @repeated
    def remove(self, posted: StatusAsk) -> None:
        """See `pva.pushing.Outbox`; the row stays, as the last act."""
        self._change(posted, tries=None, values={"told": True})

    @repeated
    def drop(self, ask: StatusAsk) -> None:
        """See `pva.watching.status_asks.StatusAskStore`."""
        with transaction(self._engine) as connection:
            connection.execute(sa.delete(tables.status_asks).where(_is(ask)))

    def _change(self, ask: StatusAsk, *, tries: int | None, values: dict[str, Any]) -> bool:
        table = tables.status_asks
        here = _is(ask) if tries is None else sa.and_(_is(ask), table.c.tries == tries)
        with transaction(self._engine) as connection:
            return connection.execute(sa.update(table).where(here).values(**values)).rowcount == 1


def post_ask(connection: sa.Connection, result: SignedResult, *, rule: HoldRule, at: datetime) -> Ask | None:
    """Post what follows from a result that this transaction has recorded, in the place of the last ask."""
    table = tables.status_asks
    name = {"issuer": result.credential.issuer, "serial": serial_text(result.result.pfc.serial)}
    here = sa.and_(*(table.c[key] == value for key, value in name.items()))
    last = connection.scalar(sa.select(table.c.act).where(here))
    outcomes = _outcomes(connection, name)
    ask = next_ask(outcomes, last=None if last is None else Act(last), rule=rule, at=at)
    if ask is not None:
        connection.execute(sa.delete(table).where(here))
        values = {"act": ask.act.value, "results": list(ask.results), "tries": 0, "told": False}
        connection.execute(sa.insert(table).values(**name, **values, asked_at=at, next_at=at))
    return ask


def _outcomes(connection: sa.Connection, name: dict[str, str]) -> list[Outcome]:
    """Results of a credential, newest first."""
    results = tables.results
    rows = connection.execute(
        sa.select(results)
        .where(results.c.pfc_issuer == name["issuer"], results.c.pfc_serial == name["serial"])
        .order_by(results.c.revision.desc())
        .limit(_OUTCOMES_MAX)
    ).mappings()
    return [
        Outcome(
            result_id=row["id"],
            purpose=row["purpose"],
            against=row["against"],
            recovered=row["recovered"],
            at=row["issued_at"],
        )
        for row in rows
    ]


def _ask_of(row: sa.RowMapping) -> StatusAsk:
    return StatusAsk(
        issuer=row["issuer"],
        serial=int(row["serial"], 16),
        act=Act(row["act"]),
        results=tuple(row["results"]),
        asked_at=row["asked_at"],
        tries=row["tries"],
    )


def _is(ask: StatusAsk) -> sa.ColumnElement[bool]:
    """This ask, and not one that has taken its place."""
    table = tables.status_asks
    return sa.and_(
        table.c.issuer == ask.issuer,
        table.c.serial == serial_text(ask.serial),
        table.c.asked_at == ask.asked_at,
    )
