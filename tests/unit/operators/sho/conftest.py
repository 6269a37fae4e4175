"""One set of keys for all tests of the SHO, and a new world for each."""

import pytest
import sqlalchemy as sa

from edge.database import engine_for
from operators.sho.order_states import OrderRecord
from operators.sho.schema import metadata
from tests.fakes.sho_peers import Keys
from tests.fakes.sho_world import World


@pytest.fixture(scope="session")
def keys() -> Keys:
    return Keys()


@pytest.fixture
def world(keys: Keys) -> World:
    return World(keys)


def own_store() -> sa.Engine:
    """A store in memory that no other world clears."""
    engine = engine_for("sqlite://")
    metadata.create_all(engine)
    return engine


@pytest.fixture(scope="module")
def delivered(keys: Keys) -> tuple[World, OrderRecord]:
    """A world whose order is authorised, for tests of refusals: they leave it as it was."""
    world = World(keys, engine=own_store())
    return world, world.authorized()
