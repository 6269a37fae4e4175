"""Statements on the driver's own cursor do what SQLAlchemy's would, on both kinds of store."""

from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa

from edge.database import NAMING, UtcTime, alone_engine_of, engine_for, transaction
from edge.database_faults import DatabaseUnavailableError
from edge.direct_statements import DirectStatement, TogetherStatement, parameter, setting
from tests.contract.postgresql import PostgreSql

METADATA = sa.MetaData(naming_convention=NAMING)
THINGS = sa.Table(
    "things",
    METADATA,
    sa.Column("id", sa.LargeBinary(32), primary_key=True),
    sa.Column("at", UtcTime, nullable=False),
    sa.Column("facts", sa.JSON, nullable=True),
    sa.Column("good", sa.Boolean, nullable=True),
    sa.Column("count", sa.BigInteger, nullable=False),
)
NOTES = sa.Table(
    "notes",
    METADATA,
    sa.Column("thing", sa.LargeBinary(32), sa.ForeignKey("things.id"), primary_key=True),
    sa.Column("count", sa.BigInteger, nullable=False),
)
ROW: dict[str, Any] = {
    "id": b"\x00\xff",
    "at": datetime(2026, 1, 2, 3, 4, 5, 678, tzinfo=UTC),
    "facts": {"a": ["b", None, 1]},
    "good": True,
    "count": 2**40,
}


@pytest.fixture(params=["sqlite", "postgresql"])
def engine(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[sa.Engine]:
    if request.param == "sqlite":
        made = engine_for(f"sqlite:///{tmp_path / 'store.db'}")
    else:
        server: PostgreSql = request.getfixturevalue("postgresql")
        made = engine_for(server.new_database())
    with transaction(made) as connection:
        METADATA.create_all(connection)
    yield made
    made.dispose()


def inserting(engine: sa.Engine) -> DirectStatement:
    return DirectStatement(engine, sa.insert(THINGS), sets=tuple(THINGS.c.keys()))


def selecting(engine: sa.Engine) -> DirectStatement:
    return DirectStatement(engine, sa.select(THINGS).where(THINGS.c.id == sa.bindparam("of")))


def test_values_come_back_as_they_went(engine: sa.Engine) -> None:
    assert inserting(engine).alone(ROW) == 1
    assert selecting(engine).rows_alone({"of": ROW["id"]}) == [ROW]
    with transaction(engine, write=False) as connection:
        (plain,) = connection.execute(sa.select(THINGS)).mappings()
        assert dict(plain) == ROW
        (direct,) = selecting(engine).rows(connection, {"of": ROW["id"]})
    assert direct == ROW
    assert direct["at"].tzinfo is UTC


def test_a_change_says_how_many_rows_it_found(engine: sa.Engine) -> None:
    inserting(engine).alone(ROW)
    change = DirectStatement(
        engine,
        sa.update(THINGS).where(THINGS.c.count == sa.bindparam("of"), THINGS.c.good.is_(True)),
        sets=("count", "facts"),
    )
    with transaction(engine) as connection:
        assert change.within(connection, {"of": ROW["count"], "count": 1, "facts": None}) == 1
        assert change.within(connection, {"of": ROW["count"], "count": 2, "facts": None}) == 0
    (found,) = selecting(engine).rows_alone({"of": ROW["id"]})
    assert (found["count"], found["facts"]) == (1, None)


def test_what_runs_in_a_transaction_ends_with_it(engine: sa.Engine) -> None:
    with pytest.raises(RuntimeError, match="no"), transaction(engine) as connection:
        inserting(engine).within(connection, ROW)
        raise RuntimeError("no")
    assert selecting(engine).rows_alone({"of": ROW["id"]}) == []


def test_a_key_that_is_taken_is_the_error_that_everybody_knows(engine: sa.Engine) -> None:
    insert = inserting(engine)
    insert.alone(ROW)
    with pytest.raises(sa.exc.IntegrityError) as alone:
        insert.alone(ROW)
    with pytest.raises(sa.exc.IntegrityError), transaction(engine) as connection:
        insert.within(connection, ROW)
    assert "2026" not in str(alone.value), "an error must not repeat parameters"
    assert insert.alone(ROW | {"id": b"other"}) == 1, "the connection goes on"


def test_a_naive_time_is_refused_as_ever(engine: sa.Engine) -> None:
    with pytest.raises(ValueError, match="aware"):
        inserting(engine).alone(ROW | {"at": datetime(2026, 1, 2)})  # noqa: DTZ001  # the case


def test_a_session_that_its_server_ended_is_noticed_before_it_is_used(postgresql: PostgreSql) -> None:
    engine = engine_for(postgresql.new_database())
    with transaction(engine) as connection:
        METADATA.create_all(connection)
    insert = inserting(engine)
    insert.alone(ROW)
    ends = sa.text(
        "SELECT pg_terminate_backend(pid, 10000) FROM pg_stat_activity WHERE pid <> pg_backend_pid()"
    )
    with transaction(engine) as connection:
        connection.execute(ends)
    assert insert.alone(ROW | {"id": b"next"}) == 1
    with pytest.raises(DatabaseUnavailableError), transaction(engine) as connection:
        connection.execute(sa.select(THINGS))
        insert.alone(ROW | {"id": b"third"})
        alone = alone_engine_of(engine)
        assert alone is not None
        with alone.connect() as other:
            other.execute(ends)
        insert.within(connection, ROW | {"id": b"fourth"})
    (third,) = selecting(engine).rows_alone({"of": b"third"})
    assert third["count"] == ROW["count"]
    engine.dispose()


def both(engine: sa.Engine) -> TogetherStatement:
    """A thing and the note of it."""
    parts = {"thing": THINGS, "note": NOTES}
    return TogetherStatement(
        engine, {name: sa.insert(table).values(setting(name, table)) for name, table in parts.items()}
    )


def test_what_is_written_together_is_there_together(engine: sa.Engine) -> None:
    note = {"thing": ROW["id"], "count": 7}
    with transaction(engine) as connection:
        assert both(engine).within(connection, {"thing": ROW, "note": note}) == 1
    with transaction(engine, write=False) as connection:
        assert [dict(each) for each in connection.execute(sa.select(THINGS)).mappings()] == [ROW]
        assert [dict(each) for each in connection.execute(sa.select(NOTES)).mappings()] == [note]
    with pytest.raises(sa.exc.IntegrityError) as taken, transaction(engine) as connection:
        both(engine).within(connection, {"thing": ROW | {"id": b"other"}, "note": note})
    assert "2026" not in str(taken.value), "an error must not repeat parameters"
    with pytest.raises(sa.exc.IntegrityError), transaction(engine) as connection:
        both(engine).within(
            connection, {"thing": ROW | {"id": b"third"}, "note": note | {"thing": b"nobody"}}
        )
    with transaction(engine, write=False) as connection:
        assert connection.scalar(sa.select(sa.func.count()).select_from(THINGS)) == 1


def test_the_first_of_several_changes_is_counted(engine: sa.Engine) -> None:
    inserting(engine).alone(ROW)
    expected = sa.bindparam(parameter("thing", "expected"), type_=sa.BigInteger)
    change = sa.update(THINGS).where(THINGS.c.count == expected).values(setting("thing", THINGS))
    note = sa.insert(NOTES).values(setting("note", NOTES))
    statement = TogetherStatement(engine, {"thing": change, "note": note})

    def run(expected: int) -> int:
        rows = {"thing": ROW | {"expected": expected}, "note": {"thing": ROW["id"], "count": 1}}
        with transaction(engine) as connection:
            changed = statement.within(connection, rows)
            connection.execute(sa.delete(NOTES))
        return changed

    assert (run(3), run(ROW["count"])) == (0, 1)
