"""The outbox of results on SQLAlchemy: satisfies `pva.pushing.Outbox`.

Rule: a claim is one UPDATE that names the number of tries it has seen, so that of many who claim one wins.
"""

from collections.abc import Sequence
from datetime import datetime

import sqlalchemy as sa

from edge.database import transaction
from edge.serialization import repeated
from pva.pushing import PostedResult
from pva.store import tables


class OutboxStore:
    """Deliveries of recorded results; their rows are written by `pva.store.validations.Store`."""

    def __init__(self, engine: sa.Engine) -> None:
        """Work on an engine whose schema is migrated."""
        self._engine = engine

    def due(self, audience: str, *, at: datetime, count_max: int) -> Sequence[PostedResult]:
        """See `pva.pushing.Outbox`."""
        posted, results = tables.result_deliveries, tables.results
        query = (
            sa.select(
                posted.c.result_id, posted.c.audience, posted.c.tries, results.c.token, results.c.expires_at
            )
            .join(results, results.c.id == posted.c.result_id)
            .where(posted.c.audience == audience, posted.c.next_at <= at)
            .order_by(posted.c.next_at, posted.c.result_id)
            .limit(count_max)
        )
        with transaction(self._engine, write=False) as connection:
            return tuple(PostedResult(**row) for row in connection.execute(query).mappings())

    @repeated
    def claim(self, posted: PostedResult, *, until: datetime) -> bool:
        """See `pva.pushing.Outbox`."""
        table = tables.result_deliveries
        with transaction(self._engine) as connection:
            claimed = connection.execute(
                sa.update(table)
                .where(_is(posted), table.c.tries == posted.tries)
                .values(tries=posted.tries + 1, next_at=until)
            )
            return claimed.rowcount == 1

    @repeated
    def postpone(self, posted: PostedResult, *, until: datetime) -> None:
        """See `pva.pushing.Outbox`."""
        table = tables.result_deliveries
        with transaction(self._engine) as connection:
            connection.execute(
                sa.update(table).where(_is(posted), table.c.tries == posted.tries + 1).values(next_at=until)
            )

    @repeated
    def remove(self, posted: PostedResult) -> None:
        """See `pva.pushing.Outbox`."""
        with transaction(self._engine) as connection:
            connection.execute(sa.delete(tables.result_deliveries).where(_is(posted)))


def _is(posted: PostedResult) -> sa.ColumnElement[bool]:
    table = tables.result_deliveries
    return sa.and_(table.c.result_id == posted.result_id, table.c.audience == posted.audience)
