"""An update on real TPMs: the next state opens the vault at once, and afterwards the TPM refuses the old one."""

from collections.abc import Iterator
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

import pytest

from m2me_agent.tre.enrollment import identity, key_access
from m2me_agent.tre.errors import StateRefusedError, TpmDeviceError
from tests.contract.tpm_devices import RunningTpm
from tests.contract.tre_world import TreWorld
from tests.fakes.network import NEXT_MANIFEST, Target

MOVED = 4
"""The register that the update moves."""
POLICY_NV_FALSE, OTHER_REGISTERS = "0x126", "0x1c4"
"""TPM2_PolicyNV whose comparison does not hold; TPM2_PolicyPCR for other values than the approved ones."""


@pytest.fixture
def world(device: RunningTpm, tmp_path: Path) -> Iterator[TreWorld]:
    made = TreWorld(device, tmp_path)
    yield made
    with suppress(TpmDeviceError):
        made.close()


def booted(world: TreWorld, *, is_next: bool) -> list[str]:
    """Power off, boot the old or the next state, start the TRE: the states of the MIDs."""
    world.close()
    world.power_on()
    if is_next:
        world.extend(MOVED)
    world.operations.open_vault()
    return world.states()


def following(world: TreWorld) -> Target:
    """This device as it will be: measured on the device itself, in a boot of its own."""
    counter = world.target.state.counter
    world.close()
    world.power_on()
    world.extend(MOVED)
    target = world.target
    world.reboot()
    return replace(target, state=replace(target.state, counter=counter))


def retire(world: TreWorld) -> bool:
    """What the TRE does when its new Platform Credential names the next manifest."""
    access = key_access(world.state, world.device)
    device_id = identity(access.keys.ek).hex()
    with world.device.unlock(access) as keys:
        return world.operations.mids.vault.retire_old_state(
            keys, access=access, device_id=device_id, accepted_manifest=NEXT_MANIFEST
        )


def refusal(world: TreWorld) -> str:
    closed = world.operations.mids.vault.closed["sho-1"]
    assert isinstance(closed, StateRefusedError)
    return closed.reason


@pytest.mark.requirement("R82")
@pytest.mark.negative
def test_the_next_state_opens_and_then_the_old_one_is_refused_by_the_tpm(world: TreWorld) -> None:
    world.installed()
    target = following(world)
    network, use = world.network, world.network.use(target, vault=True)
    now = replace(target.state, pcr_digest=world.pcr_digest)
    old = tuple(network.approve(use, replace(now, counter=now.counter + number)) for number in range(2))
    assert booted(world, is_next=True) == ["BLOCKED"]
    assert OTHER_REGISTERS in refusal(world)
    world.reboot()
    nonce = world.operations.updates.begin("sho-1").nonce
    world.operations.updates.take(network.update_approvals(target, nonce))
    # the next state, with nobody to ask
    assert booted(world, is_next=True) == ["INACTIVE"]
    # back in the old one, while nobody has accepted the update
    assert booted(world, is_next=False) == ["INACTIVE"]
    assert not retire(world), "not while the old state runs"
    assert booted(world, is_next=True) == ["INACTIVE"]
    assert retire(world)
    assert not retire(world), "once"
    assert booted(world, is_next=True) == ["INACTIVE"]
    # the old software, and every file and approval that was good in it
    assert booted(world, is_next=False) == ["BLOCKED"]
    access = key_access(world.state, world.device)
    found = next(world.operations.mids.vault.compartments(access))
    permits = world.operations.mids.vault.permits(found.unverified, old, access=access, use=use)
    with world.device.unlock(access) as keys:
        for permit in permits:
            with pytest.raises(StateRefusedError, match=POLICY_NV_FALSE):
                keys.open_vault_key(found.unverified.slot, permit=permit)
