"""What may stand in the setting `database`, and which errors of a driver say that the store is only away."""

import sqlite3
import subprocess
import sys
from http import HTTPStatus
from pathlib import Path

import pytest
import sqlalchemy as sa
from flask import Flask

from edge.database import engine_for
from edge.database_faults import (
    DatabaseError,
    DatabaseUnavailableError,
    DatabaseUrl,
    away_is_named,
    is_away,
)
from edge.problem_document import Problem
from edge.problems import register_problems
from edge.refusal_answers import register_refusals
from edge.refused import RefusalRule, RefusedError
from edge.settings import Settings, SettingsError, load_settings

ROOT = Path(__file__).parents[3]


class Room(Settings):
    """Settings of a process with a store."""

    database: DatabaseUrl


def read(url: str) -> str:
    return load_settings(Room, path=None, environ={"PVA_DATABASE": url}).database


@pytest.mark.parametrize(
    "url",
    [
        "sqlite:////var/lib/pva/ca.db",
        "postgresql+psycopg://ca@db.example.net/ca?passfile=/etc/pva/ca.pgpass&sslmode=verify-full",
        "postgresql+psycopg:///?service=ca",
    ],
)
def test_a_url_without_a_password_is_taken_as_it_is(url: str) -> None:
    assert read(url) == url


@pytest.mark.negative
@pytest.mark.parametrize(
    "url",
    [
        "postgresql+psycopg://ca:hunter2@db.example.net/ca",
        "postgresql+psycopg://ca@db.example.net/ca?password=hunter2",
        "postgresql+psycopg://ca@db.example.net/ca?PASSWORD=hunter2",
        "postgresql+psycopg://ca@db.example.net/ca?sslpassword=hunter2",
    ],
)
def test_a_password_among_the_settings_is_refused_and_not_repeated(url: str) -> None:
    with pytest.raises(SettingsError, match="passfile=FILE") as caught:
        read(url)
    assert "hunter2" not in str(caught.value)


@pytest.mark.negative
@pytest.mark.parametrize("url", ["", "ca.db", "mysql://ca@db/ca", "postgresql://ca@db/ca"])
def test_another_kind_of_store_is_refused_with_the_two_that_there_are(url: str) -> None:
    with pytest.raises(SettingsError, match=r"sqlite:///FILE or postgresql\+psycopg"):
        read(url)


@pytest.mark.negative
def test_a_missing_driver_is_named_by_its_extra() -> None:
    script = (
        "import sys; sys.modules['psycopg'] = None\n"
        "from edge.database import engine_for\n"
        "engine_for('postgresql+psycopg://ca@db/ca')\n"
    )
    ended = subprocess.run(
        [sys.executable, "-c", script], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert ended.returncode == 1
    assert "DatabaseError: PostgreSQL needs the extra `postgres`: pip install" in ended.stderr


@pytest.mark.negative
def test_a_passfile_that_others_can_read_is_refused_by_its_mode(tmp_path: Path) -> None:
    passfile = tmp_path / "pgpass"
    url = f"postgresql+psycopg://ca@db/ca?passfile={passfile}"
    with pytest.raises(DatabaseError, match="cannot be read"):
        engine_for(url)
    passfile.write_text("*:*:*:*:hunter2")
    passfile.chmod(0o644)
    with pytest.raises(DatabaseError, match=f"mode 0644: chmod 0600 {passfile}"):
        engine_for(url)
    passfile.chmod(0o600)
    engine_for(url).dispose()


class PostgreSqlSaysError(Exception):
    """What psycopg raises, as far as it is looked at."""

    def __init__(self, sqlstate: str) -> None:
        self.sqlstate = sqlstate


@pytest.mark.parametrize(
    ("sqlstate", "away"),
    [
        ("57P01", True),  # admin_shutdown
        ("57P03", True),  # cannot_connect_now
        ("08006", True),  # connection_failure
        ("53300", True),  # too_many_connections
        ("40001", False),  # serialization_failure
        ("57014", False),  # query_canceled
        ("25006", False),  # read_only_sql_transaction
        ("23505", False),  # unique_violation
        ("42P01", False),  # undefined_table
    ],
)
def test_the_state_of_the_server_tells_away_from_wrong(sqlstate: str, away: bool) -> None:  # noqa: FBT001  # a row of the table above
    assert is_away(sa.exc.OperationalError("x", {}, PostgreSqlSaysError(sqlstate))) is away


def test_a_cut_connection_is_away_whatever_it_says() -> None:
    cut = sa.exc.DBAPIError("x", {}, PostgreSqlSaysError("42P01"), connection_invalidated=True)
    assert is_away(cut)


def test_a_sqlite_file_that_another_writer_holds_is_away_and_a_wrong_statement_is_not(tmp_path: Path) -> None:
    path = tmp_path / "store.db"
    holder = sqlite3.connect(path, isolation_level=None)
    holder.execute("BEGIN EXCLUSIVE")
    engine = sa.create_engine(f"sqlite:///{path}", connect_args={"timeout": 0})
    with pytest.raises(DatabaseUnavailableError), away_is_named(), engine.begin() as connection:
        connection.exec_driver_sql("CREATE TABLE t (x)")
    holder.close()
    with pytest.raises(sa.exc.OperationalError), away_is_named(), engine.begin() as connection:
        connection.exec_driver_sql("SELECT x FROM nowhere")
    engine.dispose()


def away() -> str:
    raise DatabaseUnavailableError


class MineError(RefusedError):
    """A refusal of a room."""


def refuse() -> str:
    raise MineError("mine", RefusalRule(status=HTTPStatus.FORBIDDEN, remedy="r"), subject="s", reason="r")


def unrecorded(_problem: Problem) -> None:
    raise DatabaseUnavailableError


@pytest.mark.negative
@pytest.mark.parametrize("path", ["/away", "/refused", "/nowhere"])
def test_a_store_that_is_away_is_a_503_that_says_when_to_come_back(path: str) -> None:
    app = Flask("room")
    app.add_url_rule("/away", "away", away)
    app.add_url_rule("/refused", "refused", refuse)
    register_refusals(app, on_refusal=unrecorded)
    answer = app.test_client().get(path)
    problem = Problem.decode(answer.data)
    assert problem is not None
    assert (answer.status_code, problem.type, problem.subject) == (503, "store-unavailable", "store")
    assert "send the same request again" in problem.remedy
    assert int(answer.headers["Retry-After"]) > 0


def test_without_a_recorder_other_refusals_are_answered_as_ever() -> None:
    app = Flask("room")
    register_problems(app, {})
    assert app.test_client().get("/nowhere").status_code == 404
