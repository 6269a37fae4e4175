"""A TRE that is killed at any call of its TPM or its disk comes up in a state from which the order goes on."""

from pathlib import Path
from typing import Any

import pytest

from m2me_agent.tre.errors import StateError, TpmDeviceError
from messages.statement import Receipt
from tests.fakes.network import Parcel
from tests.fakes.tpm_device import FakeTpmDevice, refusal
from tests.fakes.tre import MemoryStorage
from tests.unit.m2me_agent.tre.subscriptions import World

STORAGE_CALLS = ("write", "remove")
TPM_CALLS = (
    "read_generation_counter",
    "raise_generation_counter",
    "import_sealed",
    "verify_permits",
    "unseal_package",
    "open_vault_key",
    "read_vault_counter",
    "raise_vault_counter",
    "quote",
)


class KilledError(BaseException):
    """Power is off: no handler of the TRE may go on."""


class Fuse:
    """Counts calls of the ports, and blows before or after one of them."""

    def __init__(self, blows_at: int, *, after: bool, error: Any) -> None:
        self.left = blows_at
        self.after = after
        self.error = error

    def wrap(self, port: object, names: tuple[str, ...]) -> None:
        for name in names:
            setattr(port, name, self._guarded(getattr(port, name)))

    def _guarded(self, call: Any) -> Any:
        def guarded(*arguments: Any, **named: Any) -> Any:
            self.left -= 1
            if self.left == 0 and not self.after:
                raise self.error
            result = call(*arguments, **named)
            if self.left == 0:
                raise self.error
            return result

        return guarded

    @staticmethod
    def remove(port: object, names: tuple[str, ...]) -> None:
        for name in names:
            delattr(port, name)


class Agreed:
    """Devices on which a person has just consented, and the package for them; made once, since all are alike."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        first = World(folder=folder)
        first.agree()
        self.parcel = first.network.good_parcel(first.target)
        self._records = first.storage.records

    def world(self) -> World:
        made = World(folder=self._folder)
        made.storage.records = dict(self._records)
        return made


def cut(world: World, parcel: Parcel, *, blows_at: int, after: bool, error: Any) -> tuple[Fuse, Any]:
    fuse = Fuse(blows_at, after=after, error=error)
    fuse.wrap(world.storage, STORAGE_CALLS)
    fuse.wrap(world.tpm, TPM_CALLS)
    caught = None
    try:
        world.install(parcel)
    except (KilledError, StateError, TpmDeviceError) as killed:
        caught = killed
    finally:
        Fuse.remove(world.storage, STORAGE_CALLS)
        Fuse.remove(world.tpm, TPM_CALLS)
    return fuse, caught


def calls_of_an_installation(agreed: Agreed) -> int:
    fuse, _ = cut(agreed.world(), agreed.parcel, blows_at=1 << 30, after=False, error=KilledError())
    return (1 << 30) - fuse.left


def is_whole(world: World, receipt: Receipt, *, generation: int) -> None:
    """One MID, one generation further, and the compartment's file is the newest."""
    assert receipt.outcome == "installed", receipt.detail
    assert world.tpm.counter_value == generation + 1
    assert [row["mid_id"] for row in world.device.operations.mids.rows()] == ["mid-1"]
    world.restart()
    assert [row["state"] for row in world.device.operations.mids.rows()] == ["INACTIVE"]


@pytest.mark.requirement("R37")
def test_a_kill_before_any_call_is_made_up_for_by_the_same_package(tmp_path: Path) -> None:
    agreed = Agreed(tmp_path)
    calls = calls_of_an_installation(agreed)
    assert calls >= 10
    for blows_at in range(1, calls + 1):
        world = agreed.world()
        generation = world.tpm.counter_value
        _, caught = cut(world, agreed.parcel, blows_at=blows_at, after=False, error=KilledError())
        assert isinstance(caught, KilledError), blows_at
        world.restart()
        is_whole(world, world.install(agreed.parcel), generation=generation)


@pytest.mark.requirement("R37")
def test_an_answer_that_is_lost_after_any_call_needs_no_restart(tmp_path: Path) -> None:
    agreed = Agreed(tmp_path)
    for blows_at in range(1, calls_of_an_installation(agreed) + 1):
        world = agreed.world()
        generation = world.tpm.counter_value
        cut(world, agreed.parcel, blows_at=blows_at, after=True, error=refusal("the TPM is gone"))
        is_whole(world, world.install(agreed.parcel), generation=generation)


@pytest.mark.requirement("R37")
@pytest.mark.negative
def test_a_full_disk_is_told_in_the_receipt_and_the_package_may_come_again(tmp_path: Path) -> None:
    world = World(folder=tmp_path)
    world.agree()
    parcel = world.network.good_parcel(world.target)
    full = StateError(subject="vault-0", reason="no space", remedy="make some")
    fuse = Fuse(2, after=False, error=full)  # the first write pays for the receipt
    fuse.wrap(world.storage, STORAGE_CALLS)
    receipt = world.install(parcel)
    Fuse.remove(world.storage, STORAGE_CALLS)
    assert (receipt.outcome, "no space" in receipt.detail) == ("storage", True)
    assert world.install(parcel).installed


@pytest.mark.requirement("R37")
@pytest.mark.parametrize("after", [False, True], ids=["before", "after"])
def test_a_kill_at_any_call_of_an_activation_leaves_the_mid_as_it_was_or_active(
    tmp_path: Path, *, after: bool
) -> None:
    for blows_at in (1, 2):  # the file, the counter
        world = World(folder=tmp_path)
        receipt = world.installed()
        instruction = world.network.instruction(world.target, receipt.tre_nonce)
        fuse = Fuse(blows_at, after=after, error=KilledError())
        fuse.wrap(world.storage, ("write",))
        fuse.wrap(world.tpm, ("raise_vault_counter",))
        with pytest.raises(KilledError):
            world.device.operations.mids.instruct(instruction)
        Fuse.remove(world.storage, ("write",))
        Fuse.remove(world.tpm, ("raise_vault_counter",))
        world.restart()
        (row,) = world.device.operations.mids.rows()
        is_written = blows_at > 1 or after
        assert row["state"] == ("ACTIVE" if is_written else "INACTIVE")


def test_the_fuse_wraps_what_the_ports_have() -> None:
    for name in TPM_CALLS:
        assert callable(getattr(FakeTpmDevice, name))
    for name in STORAGE_CALLS:
        assert callable(getattr(MemoryStorage, name))
