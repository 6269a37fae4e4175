"""The responder's database of each kind that it runs on, with the schema in place."""

from collections.abc import Iterator
from pathlib import Path

import pytest
import sqlalchemy as sa

from edge.database import engine_for, migrate
from ocsp.store import MIGRATIONS
from tests.contract.postgresql import PostgreSql


@pytest.fixture(params=["sqlite", "postgresql"])
def engine(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[sa.Engine]:
    """A fresh and empty one of a kind."""
    if request.param == "sqlite":
        made = engine_for(f"sqlite:///{tmp_path / 'ocsp.db'}")
    else:
        server: PostgreSql = request.getfixturevalue("postgresql")
        made = engine_for(server.new_database())
    migrate(made, MIGRATIONS)
    yield made
    made.dispose()
