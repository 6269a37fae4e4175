"""A compartment whose file cannot be read: told by name, and nobody else's harm."""

from pathlib import Path

import pytest

from m2me_agent.tre.errors import StateError
from tests.fakes.tre import MemoryStorage
from tests.unit.m2me_agent.tre.subscriptions import World


class Rotten(MemoryStorage):
    """A storage in which one record is torn."""

    def __init__(self, records: dict[str, bytes], torn: str) -> None:
        super().__init__()
        self.records, self._torn = dict(records), torn

    def read(self, name: str) -> bytes | None:
        """As a directory that finds another digest."""
        if name == self._torn:
            raise StateError(subject=name, reason="is torn", remedy="restore it")
        return super().read(name)


@pytest.mark.requirement("R37")
@pytest.mark.negative
def test_a_mid_in_a_torn_file_is_refused_by_its_name_and_nothing_is_installed_over_it(tmp_path: Path) -> None:
    world = World(folder=tmp_path)
    receipt = world.installed()
    instruction = world.network.instruction(world.target, receipt.tre_nonce)
    world.storage = world.device.storage = Rotten(world.storage.records, "vault-0")
    world.restart()
    operations = world.device.operations
    assert operations.mids.rows() == []
    for use in (
        lambda: operations.mids.instruct(instruction),
        lambda: operations.updates.begin("sho-1"),
    ):
        with pytest.raises(StateError) as refused:
            use()
        assert refused.value.subject == "vault-0"
    world.network.number = 2
    world.agree()
    receipt = world.install(world.network.good_parcel(world.target))
    assert (receipt.outcome, "vault-0" in receipt.detail) == ("storage", True)
