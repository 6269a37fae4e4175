"""The responder's database of each kind that it runs on, with the schema in place."""

from collections.abc import Iterator

import pytest
import sqlalchemy as sa

from edge.database import engine_for
from ocsp.store import MIGRATIONS
from tests.contract.databases import new_database


@pytest.fixture(params=["sqlite", "postgresql"])
def engine(request: pytest.FixtureRequest) -> Iterator[sa.Engine]:
    """A fresh and empty one of a kind."""
    made = engine_for(new_database(request, request.param, MIGRATIONS))
    yield made
    made.dispose()
