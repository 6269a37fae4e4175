"""One set of keys for all tests of the SHO, and a new world for each."""

import pytest

from operators.sho.order_states import OrderRecord
from tests.fakes.sho_peers import Keys
from tests.fakes.sho_world import World


@pytest.fixture(scope="session")
def keys() -> Keys:
    return Keys()


@pytest.fixture
def world(keys: Keys) -> World:
    return World(keys)


@pytest.fixture(scope="module")
def delivered(keys: Keys) -> tuple[World, OrderRecord]:
    """A world whose order is authorised, for tests of refusals: they leave it as it was."""
    world = World(keys)
    return world, world.authorized()
