"""Statements of hot paths: compiled once for a store, and run on the driver's own cursor.

The one rule: the same statement on the same store as SQLAlchemy would run it, types, parameters and errors included; what is
left out is to build, to look up and to wrap it at each call, which costs several times what the statement itself does.

`within` runs it in a transaction of `edge.database`. `alone` is for what is one statement and whole by that: PostgreSQL
commits it without BEGIN and COMMIT of its own, with one message there and one back; one SELECT sees one state of the store,
one INSERT under a unique key is won by one. On SQLite it is a transaction like any other.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

import sqlalchemy as sa

from edge.database import alone_engine_of, transaction
from edge.database_faults import away_is_named

Row = Mapping[str, Any]
_Convert = Callable[[Any], Any]


class DirectStatement:
    """`statement` with its `bindparam`s; an INSERT or UPDATE sets the columns `sets`, each by the value of its name.

    Nothing of it may depend on the values: no `in_` of a list, no `values`. May be used by many threads.
    """

    def __init__(self, engine: sa.Engine, statement: sa.Executable, *, sets: Sequence[str] = ()) -> None:
        """Compile it for the store of `engine`."""
        self._engine = engine
        self._alone = alone_engine_of(engine)
        dialect = engine.dialect
        compiled = statement.compile(dialect=dialect, column_keys=list(sets) or None)  # type: ignore[attr-defined]  # every statement of ours is a ClauseElement
        self._text = str(compiled)
        self._order: Sequence[str] | None = compiled.positiontup if compiled.positional else None
        self._literals: Mapping[str, Any] = {
            name: bind.value for name, bind in compiled.binds.items() if not bind.required
        }
        self._dumps = _conversions(
            {name: bind.type for name, bind in compiled.binds.items()},
            lambda kind: kind.dialect_impl(dialect).bind_processor(dialect),
        )
        columns = getattr(statement, "selected_columns", ())
        self._names = tuple(each.name for each in columns)
        self._loads = _conversions(
            {each.name: each.type for each in columns},
            lambda kind: kind.dialect_impl(dialect).result_processor(dialect, None),
        )
        self._is_read = bool(self._names)

    def within(self, connection: sa.Connection, values: Row) -> int:
        """Run it in the transaction of `connection`; how many rows it changed."""
        with _translated(connection.engine, self._text, connection.invalidate):
            count: int = self._run(connection.connection.driver_connection, values).rowcount
            return count

    def rows(self, connection: sa.Connection, values: Row) -> list[dict[str, Any]]:
        """The rows that it finds in the transaction of `connection`."""
        with _translated(connection.engine, self._text, connection.invalidate):
            return self._read(self._run(connection.connection.driver_connection, values))

    def alone(self, values: Row) -> int:
        """Run it as a transaction of its own; how many rows it changed. What `transaction` raises."""
        if self._alone is None:
            with transaction(self._engine) as connection:
                return self.within(connection, values)
        with away_is_named(), _lent(self._alone, self._text) as driver:
            count: int = self._run(driver, values).rowcount
            return count

    def rows_alone(self, values: Row) -> list[dict[str, Any]]:
        """The rows that it finds, all of one state of the store. What `transaction` raises."""
        if self._alone is None:
            with transaction(self._engine, write=False) as connection:
                return self.rows(connection, values)
        with away_is_named(), _lent(self._alone, self._text) as driver:
            return self._read(self._run(driver, values))

    def _run(self, driver: Any, values: Row) -> Any:
        given = {**self._literals, **values} if self._literals else dict(values)
        for name, dump in self._dumps:
            given[name] = dump(given[name])
        if self._order is None:
            return driver.execute(self._text, given)
        return driver.execute(self._text, [given[name] for name in self._order])

    def _read(self, cursor: Any) -> list[dict[str, Any]]:
        found = [dict(zip(self._names, row, strict=True)) for row in cursor.fetchall()]
        for row in found:
            for name, load in self._loads:
                row[name] = load(row[name])
        return found


def _conversions(
    types: Mapping[str, sa.types.TypeEngine[Any]],
    conversion: Callable[[sa.types.TypeEngine[Any]], _Convert | None],
) -> tuple[tuple[str, _Convert], ...]:
    """What has to be converted, and how; most values go to a driver as they are."""
    found = ((name, conversion(kind)) for name, kind in types.items())
    return tuple((name, convert) for name, convert in found if convert is not None)


@contextmanager
def _lent(engine: sa.Engine, text: str) -> Iterator[Any]:
    """A driver's connection out of the pool; one whose server went away goes back to nobody."""
    lent = engine.raw_connection()
    try:
        with _translated(engine, text, lent.invalidate):
            yield lent.driver_connection
    finally:
        lent.close()


@contextmanager
def _translated(engine: sa.Engine, text: str, invalidate: Callable[[], None]) -> Iterator[None]:
    """A driver's errors as SQLAlchemy's, without parameters."""
    dialect = engine.dialect
    driver_error: type[Exception] = dialect.loaded_dbapi.Error
    try:
        yield
    except driver_error as error:
        cut = dialect.is_disconnect(error, None, None)  # type: ignore[arg-type]  # a driver's error, whose type is its own
        if cut:
            invalidate()
        raise sa.exc.DBAPIError.instance(
            text,
            None,
            error,
            driver_error,
            hide_parameters=True,
            connection_invalidated=cut,
            dialect=dialect,
        ) from error
