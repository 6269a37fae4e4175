"""Transactions and migrations on a real store: races, crashes, read-only readers."""

import subprocess
import sys
import textwrap
import threading
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest
import sqlalchemy as sa

from edge.database import NAMING, engine_for, migrate, schema_differences, transaction
from edge.ledger import LedgerTable
from tests.contract.postgresql import PostgreSql

METADATA = sa.MetaData(naming_convention=NAMING)
NONCES = sa.Table("nonces", METADATA, sa.Column("digest", sa.LargeBinary(32), primary_key=True))
ACCOUNTS = sa.Table(
    "accounts",
    METADATA,
    sa.Column("id", sa.Integer, primary_key=True),
    sa.Column("amount", sa.Integer, nullable=False),
)
LEDGER = LedgerTable(METADATA)


@pytest.fixture(params=["sqlite", "postgresql"])
def url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """An empty store of each kind."""
    if request.param == "sqlite":
        return f"sqlite:///{tmp_path / 'store.db'}"
    server: PostgreSql = request.getfixturevalue("postgresql")
    return server.new_database()


@pytest.fixture
def engine(url: str) -> Iterator[sa.Engine]:
    made = engine_for(url)
    with transaction(made) as connection:
        METADATA.create_all(connection)
    yield made
    made.dispose()


def until_won(engine: sa.Engine, work: Callable[[sa.Connection], None]) -> None:
    """Repeat a transaction that lost a race; on SQLite the first try wins."""
    while True:
        try:
            with transaction(engine) as connection:
                work(connection)
        except sa.exc.OperationalError as error:
            if "serialize" not in str(error):
                raise
        else:
            return


def insert_nonce(connection: sa.Connection) -> None:
    connection.execute(sa.insert(NONCES).values(digest=b"n"))


def in_threads(count: int, work: Callable[[], None]) -> None:
    threads = [threading.Thread(target=work) for _ in range(count)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    assert not any(thread.is_alive() for thread in threads)


def test_what_raises_leaves_nothing(engine: sa.Engine) -> None:
    with pytest.raises(RuntimeError), transaction(engine) as connection:
        connection.execute(sa.insert(NONCES).values(digest=b"1"))
        raise RuntimeError
    with transaction(engine, write=False) as connection:
        assert connection.scalar(sa.select(sa.func.count()).select_from(NONCES)) == 0


def test_a_unique_insert_is_won_by_exactly_one_of_many(engine: sa.Engine) -> None:
    won: list[int] = []
    barrier = threading.Barrier(8)

    def redeem() -> None:
        barrier.wait()
        try:
            until_won(engine, insert_nonce)
            won.append(1)
        except sa.exc.IntegrityError:
            pass

    in_threads(8, redeem)
    assert won == [1]


def test_load_decide_save_loses_no_update(engine: sa.Engine) -> None:
    with transaction(engine) as connection:
        connection.execute(sa.insert(ACCOUNTS).values(id=1, amount=0))

    def load_decide_save(connection: sa.Connection) -> None:
        amount = connection.scalar(sa.select(ACCOUNTS.c.amount).where(ACCOUNTS.c.id == 1))
        connection.execute(sa.update(ACCOUNTS).values(amount=(amount or 0) + 1))

    def add() -> None:
        for _ in range(10):
            until_won(engine, load_decide_save)

    in_threads(6, add)
    with transaction(engine, write=False) as connection:
        assert connection.scalar(sa.select(ACCOUNTS.c.amount)) == 60


@pytest.mark.negative
def test_a_reader_cannot_write_and_leaves_no_trace_of_that(engine: sa.Engine) -> None:
    with (
        pytest.raises(sa.exc.DBAPIError, match=r"(?i)read.?only"),
        transaction(engine, write=False) as connection,
    ):
        connection.execute(sa.insert(NONCES).values(digest=b"1"))
    with transaction(engine) as connection:
        connection.execute(sa.insert(NONCES).values(digest=b"1"))


def test_a_reader_is_not_held_up_by_a_writer(engine: sa.Engine) -> None:
    with transaction(engine) as writer:
        writer.execute(sa.insert(NONCES).values(digest=b"1"))
        with transaction(engine, write=False) as reader:
            assert reader.scalar(sa.select(sa.func.count()).select_from(NONCES)) == 0


def test_a_leaf_is_in_the_ledger_exactly_when_its_event_is_in_the_store(engine: sa.Engine) -> None:
    at = datetime(2026, 1, 1, tzinfo=UTC)
    with pytest.raises(sa.exc.IntegrityError), transaction(engine) as connection:
        LEDGER.append(connection, kind="redeemed", subject="d", record={}, at=at, salt=bytes(32))
        connection.execute(sa.insert(NONCES).values(digest=b"1"))
        connection.execute(sa.insert(NONCES).values(digest=b"1"))
    with transaction(engine, write=False) as connection:
        assert LEDGER.entries(connection) == []


def test_errors_do_not_repeat_parameters(engine: sa.Engine) -> None:
    with transaction(engine) as connection:
        connection.execute(sa.insert(NONCES).values(digest=b"hunter2"))
    with pytest.raises(sa.exc.IntegrityError) as caught, transaction(engine) as connection:
        connection.execute(sa.insert(NONCES).values(digest=b"hunter2"))
    assert "hunter2" not in str(caught.value)


def test_the_file_is_private_and_durable(tmp_path: Path) -> None:
    engine = engine_for(f"sqlite:///{tmp_path / 'store.db'}")
    with transaction(engine) as connection:
        METADATA.create_all(connection)
    assert {path.stat().st_mode & 0o777 for path in tmp_path.glob("store.db*")} == {0o600}
    with transaction(engine, write=False) as connection:
        assert connection.exec_driver_sql("PRAGMA journal_mode").scalar() == "wal"
        assert connection.exec_driver_sql("PRAGMA synchronous").scalar() == 2
        assert connection.exec_driver_sql("PRAGMA foreign_keys").scalar() == 1
    engine.dispose()


def test_a_process_killed_in_a_transaction_leaves_a_store_that_starts_again(url: str) -> None:
    script = """
        import os, signal, sys
        import sqlalchemy as sa
        from edge.database import engine_for, transaction
        engine = engine_for(sys.argv[1])
        with transaction(engine) as connection:
            connection.exec_driver_sql("CREATE TABLE kept (x INTEGER)")
            connection.exec_driver_sql("INSERT INTO kept VALUES (1)")
        with transaction(engine) as connection:
            connection.exec_driver_sql("INSERT INTO kept VALUES (2)")
            os.kill(os.getpid(), signal.SIGKILL)
    """
    root = Path(__file__).parents[2]
    done = subprocess.run([sys.executable, "-c", textwrap.dedent(script), url], cwd=root, check=False)
    assert done.returncode == -9
    engine = engine_for(url)
    with transaction(engine) as connection:
        assert connection.exec_driver_sql("SELECT x FROM kept").scalars().all() == [1]
    engine.dispose()


ENV = "from edge.database import run_environment\nfrom tests.contract.test_database import METADATA\nrun_environment(METADATA)\n"
FIRST = """
import sqlalchemy as sa
from alembic import op
revision = "1"
down_revision = None
def upgrade():
    op.create_table("nonces", sa.Column("digest", sa.LargeBinary(32), nullable=False),
                    sa.PrimaryKeyConstraint("digest", name="pk_nonces"))
"""
SECOND = """
import sqlalchemy as sa
from alembic import op
revision = "2"
down_revision = "1"
def upgrade():
    op.create_table("accounts", sa.Column("id", sa.Integer, nullable=False),
                    sa.Column("amount", sa.Integer, nullable=False),
                    sa.PrimaryKeyConstraint("id", name="pk_accounts"))
    {end}
"""


def history(folder: Path, *, end: str = "") -> Path:
    (folder / "versions").mkdir(parents=True, exist_ok=True)
    (folder / "env.py").write_text(ENV)
    (folder / "versions" / "1_first.py").write_text(FIRST)
    (folder / "versions" / "2_second.py").write_text(SECOND.replace("{end}", end))
    return folder


def test_migrations_run_once_and_what_is_missing_is_seen(url: str, tmp_path: Path) -> None:
    engine = engine_for(url)
    scripts = history(tmp_path / "100% migrations")
    migrate(engine, scripts)
    migrate(engine, scripts)
    differences = schema_differences(engine, METADATA)
    assert {difference[0] for difference in differences} == {"add_table", "add_index"}
    assert {difference[1].name for difference in differences if difference[0] == "add_table"} == {
        "ledger",
        "log_tiles",
        "log_checkpoints",
    }
    engine.dispose()


def test_a_migration_that_fails_leaves_the_old_schema_whole(url: str, tmp_path: Path) -> None:
    engine = engine_for(url)
    with pytest.raises(ZeroDivisionError):
        migrate(engine, history(tmp_path / "migrations", end="1 / 0"))
    with transaction(engine, write=False) as connection:
        assert sa.inspect(connection).get_table_names() == []
    migrate(engine, history(tmp_path / "other"))
    engine.dispose()
