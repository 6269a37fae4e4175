"""What every part of the store shares: the open transaction, counters and leases."""

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Any

import sqlalchemy as sa
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.sql.dml import ReturningInsert

from ca.store import tables
from edge.process import RandomBytes

SALT_BYTES = 32


class Rows:
    """One open transaction; the parts of the store are mixed into one class over it."""

    def __init__(self, connection: sa.Connection, *, random_bytes: RandomBytes) -> None:
        self._connection = connection
        self._random_bytes = random_bytes

    def audit(self, *, kind: str, subject: str, record: dict[str, Any], at: datetime) -> None:
        """Add one leaf to the ledger, in this transaction (D15)."""
        tables.ledger.append(
            self._connection,
            kind=kind,
            subject=subject,
            record=record,
            at=at,
            salt=self._random_bytes(SALT_BYTES),
        )

    def audit_all(self, *, kind: str, records: Sequence[tuple[str, dict[str, Any]]], at: datetime) -> None:
        """Add a leaf of one kind for each (subject, record), in this transaction (D15)."""
        leaves = [(subject, record, self._random_bytes(SALT_BYTES)) for subject, record in records]
        tables.ledger.append_all(self._connection, kind=kind, leaves=leaves, at=at)

    def removed_keys(self) -> frozenset[str]:
        """Keys of administrators who were removed."""
        return tables.administrators.removed_keys(self._connection)

    def next_number(self, name: str) -> int:
        """The next value of a counter, 1 first.

        The row is locked until the transaction ends, so numbers appear in the order of commits: a reader who
        has seen n will never meet a smaller one later.
        """
        return self.next_numbers(name, 1)[0]

    def next_numbers(self, name: str, count: int) -> range:
        """The next `count` values of a counter, as `next_number` would give them one by one."""
        table = tables.counters
        advance = (
            sa.update(table)
            .where(table.c.name == name)
            .values(value=table.c.value + count)
            .returning(table.c.value)
        )
        last = self._connection.execute(advance).scalar_one_or_none()
        if last is None:
            # Two first users at once: one INSERT wins, the other waits for it and counts on.
            self._insert_once(table, {"name": name, "value": 0})
            last = self._connection.execute(advance).scalar_one()
        return range(int(last) - count + 1, int(last) + 1)

    def counted(self, name: str) -> int:
        """The last value of a counter that was given, 0 before the first."""
        table = tables.counters
        query = sa.select(table.c.value).where(table.c.name == name)
        return int(self._connection.execute(query).scalar_one_or_none() or 0)

    def take_lease(self, name: str, *, holder: str, at: datetime, lasting: timedelta) -> bool:
        """Whether `holder` may do the periodic work `name` until `at + lasting`; renews its own lease."""
        table = tables.leases
        take = (
            sa.update(table)
            .where(table.c.name == name, sa.or_(table.c.holder == holder, table.c.until <= at))
            .values(holder=holder, until=at + lasting)
        )
        if self._connection.execute(take).rowcount == 1:
            return True
        return self._insert_once(table, {"name": name, "holder": holder, "until": at + lasting})

    def _insert_once(self, table: sa.Table, values: dict[str, Any]) -> bool:
        """INSERT unless the key is there; whether this call made the row."""
        key = next(iter(table.primary_key))
        made: ReturningInsert[Any]
        if self._connection.dialect.name == "postgresql":
            made = postgresql.insert(table).values(**values).on_conflict_do_nothing().returning(key)
        else:
            made = sqlite.insert(table).values(**values).on_conflict_do_nothing().returning(key)
        # a row count says nothing here: PostgreSQL's driver reports none for such an INSERT
        return self._connection.execute(made).one_or_none() is not None
