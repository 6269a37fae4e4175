"""A PostgreSQL of this test run, gone afterwards."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from lab.postgresql import PostgreSql, programs, running_cluster
from tests.tools import absent

__all__ = ["PostgreSql", "programs", "running_postgresql"]


@contextmanager
def running_postgresql(*, password: str | None = None, durable: bool = False) -> Iterator[PostgreSql]:
    """A cluster of its own while the block runs; skips where PostgreSQL is not installed."""
    found = programs()
    if found is None:
        absent("PostgreSQL", remedy="apt-get install postgresql")
    with running_cluster(Path(str(found)), password=password, durable=durable) as server:
        yield server
