"""Relational stores: one engine, one kind of transaction, one migration history a process.

The same code runs on SQLite (WAL, synchronous=FULL, writers take the write lock at BEGIN) and on PostgreSQL
(SERIALIZABLE). On both, load -> decide -> save cannot lose a race: on SQLite the second writer waits, on
PostgreSQL one of two that conflict fails with an OperationalError and may be repeated whole. The one rule:
all access goes through `transaction`, which says at its start whether it writes; a read-only one cannot.
"""

import os
import select
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from weakref import WeakKeyDictionary

import sqlalchemy as sa
from alembic import command, context
from alembic.autogenerate import compare_metadata
from alembic.config import Config
from alembic.migration import MigrationContext
from sqlalchemy.engine.interfaces import DBAPIConnection
from sqlalchemy.pool import ConnectionPoolEntry

from edge.database_faults import DatabaseError, DatabaseUnavailableError, away_is_named

BUSY_TIMEOUT_MS = 10_000
POOL_SIZE = 8
POOL_OVERFLOW = 24
"""A process has up to three listeners of eight threads each, and its periodic work."""
ALONE_SIZE = 8
"""More for statements that are a transaction by themselves: each is over in a moment."""
POOL_TIMEOUT_S = 10.0
_WAITING = {"connect_timeout": "5", "tcp_user_timeout": "10000", "keepalives_idle": "30"}
"""libpq: seconds for a connection, milliseconds until unanswered data ends one, seconds until a probe."""
MIGRATION_TRIES = 5
MIGRATION_PAUSE_S = 0.5
_MIGRATED_BY_ANOTHER = frozenset({"40001", "40P01", "23505", "42P07", "42710", "42701"})
"""SQLSTATE: a conflict, or a table, index or column that was made by another process at this moment."""
_WRITE = "pva_write"
_ALONE: WeakKeyDictionary[sa.Engine, sa.Engine] = WeakKeyDictionary()
_ALONE_LOCK = threading.Lock()

NAMING = {
    "ix": "ix_%(column_0_label)s",
    "uq": "uq_%(table_name)s_%(column_0_name)s",
    "ck": "ck_%(table_name)s_%(constraint_name)s",
    "fk": "fk_%(table_name)s_%(column_0_name)s_%(referred_table_name)s",
    "pk": "pk_%(table_name)s",
}
"""Constraint names for `sa.MetaData(naming_convention=NAMING)`: migrations need names to drop things by."""


class UtcTime(sa.types.TypeDecorator[datetime]):
    """Column type of an aware UTC datetime: SQLite would forget the zone, a naive one is refused."""

    impl = sa.DateTime(timezone=True)
    cache_ok = True

    def process_bind_param(self, value: datetime | None, dialect: sa.Dialect) -> datetime | None:  # noqa: ARG002  # SQLAlchemy's signature
        """Refuse a naive time, store UTC."""
        if value is None or value.tzinfo is UTC:
            return value
        if value.tzinfo is None:
            raise ValueError("a stored time must be aware")
        return value.astimezone(UTC)

    def process_result_value(self, value: datetime | None, dialect: sa.Dialect) -> datetime | None:  # noqa: ARG002  # SQLAlchemy's signature
        """Give an aware UTC time."""
        if value is None:
            return None
        return value.replace(tzinfo=UTC) if value.tzinfo is None else value.astimezone(UTC)


def engine_for(url: str) -> sa.Engine:
    """Engine for `sqlite:///path`, `sqlite://` (memory, one thread) or `postgresql+psycopg://...`.

    A SQLite file is created with mode 0600; its folder must exist. Parameters are never echoed in
    errors or logs. A connection is looked at before it is used, so a server that was restarted is found again.
    Raises DatabaseError where the driver of PostgreSQL or the file with the password is missing.
    """
    parsed = sa.make_url(url)
    if parsed.get_backend_name() != "sqlite":
        return _postgresql(parsed)
    if parsed.database not in {None, "", ":memory:"}:
        os.close(os.open(str(parsed.database), os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600))
    engine = sa.create_engine(parsed, hide_parameters=True)
    sa.event.listen(engine, "connect", _prepare_sqlite)
    sa.event.listen(engine, "begin", _begin_sqlite)
    return engine


def _postgresql(url: sa.URL) -> sa.Engine:
    passfile = url.query.get("passfile")
    if isinstance(passfile, str):
        _check_passfile(Path(passfile))
    try:
        engine = sa.create_engine(
            url,
            connect_args=_waiting(url),
            pool_size=POOL_SIZE,
            max_overflow=POOL_OVERFLOW,
            pool_timeout=POOL_TIMEOUT_S,
            hide_parameters=True,
            isolation_level="SERIALIZABLE",
        )
    except ImportError as error:
        raise DatabaseError(
            "PostgreSQL needs the extra `postgres`: pip install 'open-pva[postgres]', "
            f"or name a SQLite file as the database ({error})"
        ) from None
    sa.event.listen(engine, "connect", _prepare_postgresql)
    sa.event.listen(engine, "checkout", _refuse_cut)
    return engine


def _refuse_cut(connection: DBAPIConnection, _entry: ConnectionPoolEntry, _proxy: object) -> None:
    """Let a connection go that its server has ended: nothing else is to be read from one that is not at work.

    A question on the socket takes microseconds; one to the server costs as much as a statement, at every transaction.
    """
    if not connection.closed:
        waiting = select.poll()
        waiting.register(connection.fileno(), select.POLLIN)
        if not waiting.poll(0):
            return
    raise sa.exc.InvalidatePoolError


def alone_engine_of(engine: sa.Engine) -> sa.Engine | None:
    """Engine whose every statement is a transaction of its own, beside an `engine` on PostgreSQL; None on SQLite.

    One for all who ask, with a pool of its own: connections are never switched between the two kinds.
    """
    if engine.dialect.name == "sqlite":
        return None
    with _ALONE_LOCK:
        if engine not in _ALONE:
            made = sa.create_engine(
                engine.url,
                connect_args=_waiting(engine.url),
                pool_size=ALONE_SIZE,
                max_overflow=0,
                pool_timeout=POOL_TIMEOUT_S,
                pool_reset_on_return=None,
                hide_parameters=True,
                isolation_level="AUTOCOMMIT",
            )
            sa.event.listen(made, "connect", _prepare_postgresql)
            sa.event.listen(made, "checkout", _refuse_cut)
            sa.event.listen(engine, "engine_disposed", lambda _: made.dispose())
            _ALONE[engine] = made
        return _ALONE[engine]


def _waiting(url: sa.URL) -> dict[str, str]:
    return {name: value for name, value in _WAITING.items() if name not in url.query}


def _check_passfile(path: Path) -> None:
    """A passfile that others may read is ignored by libpq: it would then say only that a password is missing."""
    try:
        mode = path.stat().st_mode & 0o777
    except OSError as error:
        raise DatabaseError(f"the passfile {path} cannot be read: {error.strerror}") from None
    if mode & 0o077:
        raise DatabaseError(f"the passfile {path} has the mode {mode:04o}: chmod 0600 {path}")


def _prepare_sqlite(connection: DBAPIConnection, _entry: ConnectionPoolEntry) -> None:
    # None: the driver starts no transaction of its own accord, _begin_sqlite does
    connection.isolation_level = None
    cursor = connection.cursor()
    for pragma in (
        f"busy_timeout={BUSY_TIMEOUT_MS}",
        "journal_mode=WAL",
        "synchronous=FULL",
        "foreign_keys=ON",
        "trusted_schema=OFF",
    ):
        cursor.execute(f"PRAGMA {pragma}")
    cursor.close()


def _prepare_postgresql(connection: DBAPIConnection, _entry: ConnectionPoolEntry) -> None:
    # arrays travel as they are: as text, each of their values would be searched for what has to be quoted
    from psycopg.types.array import ListBinaryDumper  # noqa: PLC0415  # of the extra `postgres`

    connection.adapters.register_dumper(list, ListBinaryDumper)


def _begin_sqlite(connection: sa.Connection) -> None:
    write = connection.get_execution_options().get(_WRITE, True)
    connection.exec_driver_sql(f"PRAGMA query_only={'OFF' if write else 'ON'}")
    connection.exec_driver_sql("BEGIN IMMEDIATE" if write else "BEGIN")


@contextmanager
def transaction(engine: sa.Engine, *, write: bool = True) -> Iterator[sa.Connection]:
    """One transaction: committed when the block ends, rolled back when it raises.

    With `write=False` the store refuses changes, and readers neither wait for the writer nor hold it
    up. On SQLite a writer waits up to BUSY_TIMEOUT_MS for the one before it. Raises DatabaseUnavailableError
    when the store is away, at whichever statement that shows.
    """
    options: dict[str, Any] = {_WRITE: write}
    if engine.dialect.name == "postgresql":
        options = {} if write else {"postgresql_readonly": True}
    with away_is_named(), engine.connect() as connection:
        if options:
            connection.execution_options(**options)
        with connection.begin():
            yield connection


def row_reader(
    engine: sa.Engine, query: sa.Select[Any]
) -> Callable[[Mapping[str, object]], Sequence[Sequence[Any]]]:
    """Ask `query`, which finds a few rows, again and again, with other values for its `bindparam`s.

    The one exception to the rule above, for hot paths: on a SQLite file the question goes to a connection of its
    own that cannot write, without the ceremony of a transaction, which costs thirty times as much; one SELECT sees
    one state of the store all the same. Everywhere else it is a read-only transaction. Columns come as the driver
    gives them: a time of SQLite is ISO 8601 text in UTC. Safe for several threads.
    """
    if engine.dialect.name != "sqlite" or engine.url.database in {None, "", ":memory:"}:

        def ask_in_transaction(values: Mapping[str, object]) -> Sequence[Sequence[Any]]:
            with transaction(engine, write=False) as connection:
                return connection.execute(query, dict(values)).all()

        return ask_in_transaction
    compiled = query.compile(engine)
    text, names = str(compiled), tuple(compiled.positiontup or ())
    # detached: it stays with the reader for good
    connection = engine.raw_connection()
    connection.detach()
    cursor = connection.cursor()
    cursor.execute("PRAGMA query_only=ON")
    lock = threading.Lock()

    def ask(values: Mapping[str, object]) -> Sequence[Sequence[Any]]:
        with lock:
            # all of it: a question that is not read to its end would keep the store's old state
            found: list[Sequence[Any]] = cursor.execute(
                text, tuple(map(values.__getitem__, names))
            ).fetchall()
        return found

    return ask


def migrate(engine: sa.Engine, script_location: Path) -> None:
    """Bring the store up to the newest revision of the Alembic history in `script_location`.

    Its `env.py` is `run_environment(metadata)` and nothing else. All revisions run in one
    transaction: a process that is killed meanwhile leaves the old schema. Of several processes that start on one
    PostgreSQL at once, one migrates and the others find it done. Raises DatabaseError where the store is away.
    """
    config = Config()
    config.set_main_option("script_location", str(script_location).replace("%", "%%"))
    config.set_main_option("path_separator", "os")
    for left in reversed(range(MIGRATION_TRIES)):
        try:
            with transaction(engine) as connection:
                config.attributes["connection"] = connection
                command.upgrade(config, "head")
        except DatabaseUnavailableError as error:
            raise DatabaseError(_unreachable(engine, error.__cause__)) from error
        except sa.exc.DBAPIError as error:
            if not left or getattr(error.orig, "sqlstate", None) not in _MIGRATED_BY_ANOTHER:
                raise
            time.sleep(MIGRATION_PAUSE_S)
        else:
            return


def _unreachable(engine: sa.Engine, cause: BaseException | None) -> str:
    """One sentence; the driver's own says where and why, and holds no password."""
    said = " ".join(str(getattr(cause, "orig", None) or "every connection is at work").split())
    where = engine.url.render_as_string(hide_password=True)
    return f"the store {where} cannot be reached: {said}"


def run_environment(metadata: sa.MetaData) -> None:
    """Body of every room's Alembic `env.py`: runs the revisions on the connection of `migrate`."""
    context.configure(
        connection=context.config.attributes["connection"],
        target_metadata=metadata,
        transactional_ddl=True,
        render_as_batch=True,
    )
    context.run_migrations()


def schema_differences(engine: sa.Engine, metadata: sa.MetaData) -> list[Any]:
    """What Alembic would still have to change so that the store matches `metadata`; empty is right."""
    with transaction(engine, write=False) as connection:
        return list(compare_metadata(MigrationContext.configure(connection), metadata))


def behind(
    order: Sequence[sa.Column[Any]], key: Sequence[object], *, is_descending: bool = False
) -> sa.ColumnElement[bool]:
    """Rows that come after `key` in the order of these columns (compared as one row value)."""
    values = [sa.literal(value, column.type) for column, value in zip(order, key, strict=True)]
    place = sa.tuple_(*values)
    return sa.tuple_(*order) < place if is_descending else sa.tuple_(*order) > place
