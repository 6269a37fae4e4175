"""Statements of hot paths: compiled once for a store, and run on the driver's own cursor.

The one rule: the same statement on the same store as SQLAlchemy would run it, types, parameters and errors included; what is
left out is to build, to look up and to wrap it at each call, which costs several times what the statement itself does.

`within` runs it in a transaction of `edge.database`. `alone` is for what is one statement and whole by that: PostgreSQL
commits it without BEGIN and COMMIT of its own, with one message there and one back; one SELECT sees one state of the store,
one INSERT under a unique key is won by one. On SQLite it is a transaction like any other.
"""

from collections.abc import Callable, Mapping, Sequence
from types import TracebackType
from typing import Any

import sqlalchemy as sa
from sqlalchemy.pool import PoolProxiedConnection

from edge.database import alone_engine_of, transaction
from edge.database_faults import away_is_named

Row = Mapping[str, Any]
_Convert = Callable[[Any], Any]
_CURSOR = "pva.cursor"
"""Where a pooled connection keeps its cursor; SQLAlchemy empties that place with each new connection."""


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
        with _Translated(connection.engine, self._text, connection.invalidate):
            count: int = self._run(_cursor_of(connection.connection), values).rowcount
            return count

    def rows(self, connection: sa.Connection, values: Row) -> list[dict[str, Any]]:
        """The rows that it finds in the transaction of `connection`."""
        with _Translated(connection.engine, self._text, connection.invalidate):
            return self._read(self._run(_cursor_of(connection.connection), values))

    def alone(self, values: Row) -> int:
        """Run it as a transaction of its own; how many rows it changed. What `transaction` raises."""
        if self._alone is None:
            with transaction(self._engine) as connection:
                return self.within(connection, values)
        with away_is_named(), _Lent(self._alone, self._text) as lent:
            count: int = self._run(_cursor_of(lent), values).rowcount
            return count

    def rows_alone(self, values: Row) -> list[dict[str, Any]]:
        """The rows that it finds, all of one state of the store. What `transaction` raises."""
        if self._alone is None:
            with transaction(self._engine, write=False) as connection:
                return self.rows(connection, values)
        with away_is_named(), _Lent(self._alone, self._text) as lent:
            return self._read(self._run(_cursor_of(lent), values))

    def _run(self, cursor: Any, values: Row) -> Any:
        given = {**self._literals, **values} if self._literals else dict(values)
        for name, dump in self._dumps:
            given[name] = dump(given[name])
        if self._order is None:
            return cursor.execute(self._text, given)
        return cursor.execute(self._text, [given[name] for name in self._order])

    def _read(self, cursor: Any) -> list[dict[str, Any]]:
        found = [dict(zip(self._names, row, strict=True)) for row in cursor.fetchall()]
        for row in found:
            for name, load in self._loads:
                row[name] = load(row[name])
        return found


class TogetherStatement:
    """Changes of which none needs another's outcome: on PostgreSQL one statement (`WITH`), with one message there and one back.

    Parameters have the names that `parameter` gives them, of the part that they belong to. Foreign keys among what is written
    hold at the end of a statement; on SQLite, where each part is a statement of its own, the order of `parts` keeps them.
    """

    def __init__(self, engine: sa.Engine, parts: Mapping[str, sa.Insert | sa.Update]) -> None:
        """Compile them; the first one is that whose rows are counted."""
        names = list(parts)
        if engine.dialect.name == "sqlite":
            self._statements = [DirectStatement(engine, parts[name]) for name in names]
            return
        counted = parts[names[0]]
        for name in names[1:]:
            counted = counted.add_cte(parts[name].cte(name))
        self._statements = [DirectStatement(engine, counted)]

    def within(self, connection: sa.Connection, values: Mapping[str, Row]) -> int:
        """Run them in the transaction of `connection`, with the values of each part; how many rows the first one changed."""
        given = {parameter(part, name): value for part, row in values.items() for name, value in row.items()}
        counts = [each.within(connection, given) for each in self._statements]
        return counts[0]


def parameter(part: str, name: str) -> str:
    """Name of a parameter of one of several statements that run together."""
    return f"{part}_{name}"


def setting(part: str, table: sa.Table) -> dict[str, sa.BindParameter[Any]]:
    """Every column of a table that a part sets, each by the value of its name."""
    return {each.name: sa.bindparam(parameter(part, each.name), type_=each.type) for each in table.c}


def _conversions(
    types: Mapping[str, sa.types.TypeEngine[Any]],
    conversion: Callable[[sa.types.TypeEngine[Any]], _Convert | None],
) -> tuple[tuple[str, _Convert], ...]:
    """What has to be converted, and how; most values go to a driver as they are."""
    found = ((name, conversion(kind)) for name, kind in types.items())
    return tuple((name, convert) for name, convert in found if convert is not None)


def _cursor_of(connection: PoolProxiedConnection) -> Any:
    """The one cursor of a driver's connection, for as long as that lives: what it found is read before it is used again.

    To make one for each statement costs a third of the statement.
    """
    cursor = connection.info.get(_CURSOR)
    if cursor is None:
        cursor = connection.info[_CURSOR] = connection.cursor()
    return cursor


class _Translated:
    """Raises a driver's errors as SQLAlchemy's, without parameters; a connection that was cut goes back to nobody."""

    __slots__ = ("_dialect", "_invalidate", "_text")

    def __init__(self, engine: sa.Engine, text: str, invalidate: Callable[[], None]) -> None:
        self._dialect, self._text, self._invalidate = engine.dialect, text, invalidate

    def __enter__(self) -> None:
        pass

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if error is None:
            return
        driver_error: type[Exception] = self._dialect.loaded_dbapi.Error
        if not isinstance(error, driver_error):
            return
        cut = self._dialect.is_disconnect(error, None, None)  # type: ignore[arg-type]  # a driver's error, whose type is its own
        if cut:
            self._invalidate()
        raise sa.exc.DBAPIError.instance(
            self._text,
            None,
            error,
            driver_error,
            hide_parameters=True,
            connection_invalidated=cut,
            dialect=self._dialect,
        ) from error


class _Lent:
    """A connection out of the pool, for one statement."""

    __slots__ = ("_connection", "_translated")

    def __init__(self, engine: sa.Engine, text: str) -> None:
        self._connection = engine.raw_connection()
        self._translated = _Translated(engine, text, self._connection.invalidate)

    def __enter__(self) -> PoolProxiedConnection:
        return self._connection

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        try:
            self._translated.__exit__(kind, error, trace)
        finally:
            self._connection.close()
