"""PostgreSQL as services meet it: passwords in a file, several that start at once, conflicts, a server that goes."""

import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from ca.certification import Certification
from ca.profiles import Kind
from ca.store import MIGRATIONS, tables
from edge.database import engine_for, migrate, schema_differences, transaction
from edge.database_faults import DatabaseError, DatabaseUnavailableError
from tests.contract.databases import new_database
from tests.contract.postgresql import PostgreSql, running_postgresql
from tests.fakes.ca import ADMIN, CaHouse
from tests.fakes.pki import p256

ROOT = Path(__file__).parents[2]


def test_the_password_comes_from_a_file_and_is_never_said(tmp_path: Path) -> None:
    passfile = tmp_path / "pgpass"
    passfile.touch(0o600)
    with running_postgresql(password="hunter2") as server:  # noqa: S106  # of a server that is gone in a moment
        url = server.url("postgres", passfile=str(passfile)).render_as_string()
        passfile.write_text("*:*:*:*:hunter2\n")
        engine = engine_for(url)
        with transaction(engine, write=False) as connection:
            assert connection.exec_driver_sql("SELECT 1").scalar() == 1
        engine.dispose()
        passfile.write_text("*:*:*:*:hunter3\n")
        engine = engine_for(url)
        with pytest.raises(DatabaseError, match="password authentication failed") as caught:
            migrate(engine, MIGRATIONS)
        assert "hunter" not in str(caught.value)


def test_several_processes_that_start_at_once_make_one_schema(postgresql: PostgreSql) -> None:
    url = postgresql.new_database()
    script = (
        "import sys; from edge.database import engine_for, migrate; from ca.store import MIGRATIONS\n"
        "migrate(engine_for(sys.argv[1]), MIGRATIONS)\n"
    )
    started = [
        subprocess.Popen([sys.executable, "-c", script, url], cwd=ROOT, stderr=subprocess.PIPE)
        for _ in range(4)
    ]
    said = [each.communicate(timeout=120)[1].decode() for each in started]
    assert [each.returncode for each in started] == [0] * 4, said
    engine = engine_for(url)
    assert schema_differences(engine, tables.metadata) == []
    engine.dispose()


def in_threads(count: int, work: Callable[[int], object]) -> list[object]:
    done: list[object] = []

    def one(number: int) -> None:
        try:
            done.append(work(number))
        except Exception as error:  # noqa: BLE001  # what came of each is what the test looks at
            done.append(error)

    threads = [threading.Thread(target=one, args=(number,)) for number in range(count)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    return done


@pytest.fixture
def house(request: pytest.FixtureRequest) -> Iterator[CaHouse]:
    """A CA on PostgreSQL."""
    made = CaHouse(database=new_database(request, "postgresql", MIGRATIONS))
    yield made
    made.close()


def test_use_cases_that_meet_are_run_again_and_nobody_hears_of_it(house: CaHouse) -> None:
    house.product_line()
    house.hierarchy.make_root(Kind.TLS_ROOT)
    certification: Certification = house.certification

    def certify(number: int) -> object:
        key = p256().public_key()
        return certification.certify_tls_key(Kind.TLS_CLIENT, holder=f"client {number}", key=key)

    done = in_threads(12, certify)
    assert [each for each in done if isinstance(each, Exception)] == []
    subjects = [subject for kind, subject, _ in house.audit_trail() if kind == "certificate-issued"]
    assert {f"tls-client client {number}" for number in range(12)} <= set(subjects)


def test_two_that_create_the_same_thing_are_told_apart(house: CaHouse) -> None:
    done = in_threads(4, lambda _: house.hierarchy.create_es_root("acme", caller=ADMIN))
    refused = [each for each in done if isinstance(each, Exception)]
    assert len(refused) == 3
    assert {getattr(each, "reason", str(each)) for each in refused} == {"exists-already"}


def test_a_server_that_was_restarted_is_found_again_and_one_that_is_gone_is_named() -> None:
    with running_postgresql() as server:
        engine = engine_for(server.new_database())
        with transaction(engine) as connection:
            connection.exec_driver_sql("CREATE TABLE t (x INTEGER)")
        with pytest.raises(DatabaseUnavailableError), transaction(engine) as connection:
            connection.exec_driver_sql("INSERT INTO t VALUES (1)")
            server.stop()
            connection.exec_driver_sql("INSERT INTO t VALUES (2)")
        with pytest.raises(DatabaseUnavailableError), transaction(engine) as connection:
            connection.exec_driver_sql("INSERT INTO t VALUES (3)")
        with pytest.raises(DatabaseError, match="cannot be reached"):
            migrate(engine, MIGRATIONS)
        server.start()
        with transaction(engine) as connection:
            assert connection.exec_driver_sql("SELECT x FROM t").scalars().all() == []
            connection.exec_driver_sql("INSERT INTO t VALUES (4)")
        engine.dispose()
