"""A PostgreSQL of this test run, gone afterwards."""

import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from lab.postgresql import PostgreSql, give_to_server, programs
from tests.tools import absent

__all__ = ["PostgreSql", "postgresql", "programs", "running_postgresql"]


@contextmanager
def running_postgresql(*, password: str | None = None, durable: bool = False) -> Iterator[PostgreSql]:
    """A cluster of its own while the block runs; skips where PostgreSQL is not installed."""
    found = programs()
    if found is None:
        absent("PostgreSQL", remedy="apt-get install postgresql")
    # a path that another user can walk, and short enough for a socket's address
    folder = Path(tempfile.mkdtemp(prefix="pva-pg-", dir="/tmp"))  # see the line above
    try:
        give_to_server(folder)
        server = PostgreSql(folder, Path(str(found)), password=password, durable=durable)
        try:
            server.start()
            yield server
        finally:
            server.stop()
    finally:
        shutil.rmtree(folder)


@pytest.fixture(scope="module")
def postgresql() -> Iterator[PostgreSql]:
    """One cluster for a module; skips where PostgreSQL is not installed."""
    with running_postgresql() as server:
        yield server
