"""The vault: it opens in an approved state, and takes the newest file or none."""

from dataclasses import replace
from pathlib import Path

import pytest

from m2me_agent.tre.errors import MidError, RollbackError, StateError, StateRefusedError, VaultError
from m2me_agent.tre.lifecycle import TRANSITIONS, MidEvent, MidState, after
from m2me_agent.tre.vault_record import MIDS_MAX, decode_compartment
from messages.approval import VAULT_REACH
from tests.fakes.pki import Authority
from tests.fakes.tpm_device import FakeTpmDevice
from tests.unit.m2me_agent.tre.subscriptions import World


@pytest.fixture
def world(tmp_path: Path) -> World:
    made = World(folder=tmp_path)
    made.installed()
    return made


def states(world: World) -> list[str]:
    return [row["state"] for row in world.device.operations.mids.rows()]


def closed(world: World) -> Exception:
    assert states(world) == ["BLOCKED"]
    return world.device.operations.mids.vault.closed["sho-1"]


@pytest.mark.requirement("R32")
def test_after_a_restart_in_the_same_state_the_vault_opens_again(world: World) -> None:
    world.restart()
    assert states(world) == ["INACTIVE"]


@pytest.mark.requirement("R32")
@pytest.mark.requirement("R36")
@pytest.mark.negative
def test_in_another_state_it_stays_closed_and_its_mids_are_blocked(world: World) -> None:
    world.tpm.registers = b"something else booted"
    world.restart()
    assert isinstance(closed(world), StateRefusedError)
    world.tpm.registers = b"approved"
    world.restart()
    assert states(world) == ["INACTIVE"]


@pytest.mark.requirement("R51")
@pytest.mark.negative
def test_without_an_approval_for_the_present_generation_it_stays_closed(world: World) -> None:
    world.tpm.counter_value += VAULT_REACH
    world.restart()
    assert isinstance(closed(world), StateRefusedError)


@pytest.mark.requirement("R32")
@pytest.mark.negative
def test_an_older_file_is_a_rollback(world: World) -> None:
    older = world.storage.records["vault-0"]
    world.tpm.counter_value += VAULT_REACH - 1
    world.network.number = 2
    world.installed()
    world.storage.records["vault-0"] = older
    world.restart()
    assert isinstance(closed(world), StateRefusedError)  # its approvals are of a generation that is over
    sealed = decode_compartment(older, name="vault-0")
    newest = world.network.approvals(world.target)
    vault = (newest[1],)
    world.storage.records["vault-0"] = replace(
        sealed, unverified=replace(sealed.unverified, approvals=vault)
    ).encode()
    world.restart()
    assert isinstance(closed(world), RollbackError)


@pytest.mark.requirement("R32")
@pytest.mark.negative
def test_an_older_file_under_a_newer_version_is_not_what_was_written(world: World) -> None:
    content = world.storage.records["vault-0"]
    sealed = decode_compartment(content, name="vault-0")
    newer = replace(sealed.unverified, version=sealed.unverified.version + 1)
    world.storage.records["vault-0"] = replace(sealed, unverified=newer).encode()
    world.restart()
    assert isinstance(closed(world), VaultError)
    assert not isinstance(closed(world), RollbackError)


@pytest.mark.requirement("R37")
@pytest.mark.negative
def test_a_changed_journal_is_found_when_the_compartment_is_opened(world: World) -> None:
    sealed = decode_compartment(world.storage.records["vault-0"], name="vault-0")
    (row,) = sealed.unverified.journal
    active = replace(sealed.unverified, journal=(replace(row, state=MidState.ACTIVE),))
    world.storage.records["vault-0"] = replace(sealed, unverified=active).encode()
    world.restart()
    assert isinstance(closed(world), VaultError)


@pytest.mark.requirement("R51")
@pytest.mark.negative
def test_a_key_that_is_gone_opens_nothing(world: World) -> None:
    world.tpm.vault_keys.clear()
    world.restart()
    assert isinstance(closed(world), VaultError)


@pytest.mark.requirement("R51")
def test_what_was_made_under_another_storage_key_is_not_there(world: World) -> None:
    other = FakeTpmDevice(maker=Authority.root("TPM maker"))
    world.tpm.storage = other.storage
    world.device.enroll()
    world.restart()
    assert states(world) == []


@pytest.mark.negative
@pytest.mark.parametrize("content", [b"", b"\xa0", b"\xa1\x01\x00", b"\xff"])
def test_a_file_that_is_none_is_told(world: World, content: bytes) -> None:
    world.storage.records["vault-0"] = content
    instruction = world.network.instruction(world.target, bytes(32))
    world.device.start()  # what is open is held, whatever became of its file
    with pytest.raises(StateError):
        world.device.operations.mids.instruct(instruction)


@pytest.mark.negative
def test_a_compartment_has_a_largest_size(world: World) -> None:
    opened = world.device.operations.mids.vault.opened("sho-1")
    assert opened is not None
    many = replace(opened.visible, journal=opened.visible.journal * (MIDS_MAX + 1))
    with pytest.raises(StateError, match="at most"):
        replace(opened, visible=many).seal(bytes(12))


@pytest.mark.requirement("R37")
def test_the_life_of_a_mid_is_the_table_and_nothing_else() -> None:
    for state in MidState:
        for event in MidEvent:
            if (state, event) in TRANSITIONS:
                assert after(state, event) == TRANSITIONS[state, event]
                continue
            with pytest.raises(MidError, match="no effect"):
                after(state, event)
