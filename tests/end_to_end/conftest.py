"""One network for all files that walk through it: each brings devices of its own, and leaves the services as they were."""

from collections.abc import Iterator

import pytest

from lab.scene import Scene
from tests.end_to_end.lab_services import running_network


@pytest.fixture(scope="session")
def network(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Scene]:
    """All roles of the lab as processes; started once, since that costs more than what most tests do with them."""
    with running_network(tmp_path_factory.mktemp("network")) as scene:
        yield scene
