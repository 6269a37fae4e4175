"""The whole life of a MID: the owner's words about it, each answering a nonce once, and what the TRE says of it, signed."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from m2me_agent.tre.errors import (
    AnchorError,
    InstructionError,
    MidError,
    NotEnrolledError,
    RollbackError,
    StateError,
    VaultError,
)
from m2me_agent.tre.state import Exchanges
from m2me_agent.tre.usim import NetworkChallenge
from messages.approval import VAULT_REACH
from messages.instruction import ACTIVATE, BLOCK, DEACTIVATE, ERASE, LOCK, UNBLOCK, UNLOCK
from messages.registry import RegistryEntry
from standards.pki import oids
from tests.fakes.network import IMSI, MID_KEY, operator, vector
from tests.fakes.pki import Authority
from tests.unit.m2me_agent.tre.subscriptions import OPERATORS_ROOT, World
from tests.unit.m2me_agent.tre.test_power_cuts import Fuse, KilledError

OTHER_SHO = operator(OPERATORS_ROOT, "sho", oids.EKU_SUBSCRIPTION, issuer="sho-2")
STEPS = ((DEACTIVATE, "INACTIVE"), (ACTIVATE, "ACTIVE"), (BLOCK, "BLOCKED"), (UNBLOCK, "INACTIVE"))


@pytest.fixture
def world(tmp_path: Path) -> World:
    made = World(folder=tmp_path)
    made.active()
    return made


def states(world: World) -> list[str]:
    return [row["state"] for row in world.device.operations.mids.rows()]


def is_usable(world: World, *, seq: int) -> bool:
    made = vector(MID_KEY, seq=seq)
    try:
        answer = world.device.operations.mids.authenticate(
            NetworkChallenge(rand=made.rand, autn=made.autn), mid_id="mid-1", application=IMSI
        )
    except MidError:
        return False
    return answer["res"] == made.xres


@pytest.mark.requirement("R34", "R37")
def test_the_owner_leads_a_mid_through_its_life_and_only_an_active_one_is_used(world: World) -> None:
    for seq, (action, state) in enumerate(STEPS, start=100):
        assert world.instructed(action) == state
        assert states(world) == [state]
        assert is_usable(world, seq=seq) == (state == "ACTIVE"), action
        world.restart()
        assert states(world) == [state]


@pytest.mark.requirement("R56", "R59")
def test_a_mid_that_migrates_is_locked_until_its_owner_calls_it_back(world: World) -> None:
    assert world.instructed(LOCK) == "MIGRATING"
    assert not is_usable(world, seq=100)
    world.restart()
    assert states(world) == ["MIGRATING"]
    assert world.report().transitions[-1].event == "lock"
    for action in (ACTIVATE, DEACTIVATE, BLOCK, UNBLOCK, LOCK):
        with pytest.raises(MidError, match="no effect"):
            world.instructed(action)
    assert world.instructed(UNLOCK) == "ACTIVE"
    assert is_usable(world, seq=200)


@pytest.mark.requirement("R59")
def test_a_mid_that_has_moved_is_erased_where_it_was_locked(world: World) -> None:
    world.instructed(LOCK)
    erasure = world.erase(world.network.erasure(world.target, world.report().tre_nonce))
    assert erasure.mid_id == "mid-1"
    assert [each.state for each in world.report().entries] == ["ERASED"]


@pytest.mark.requirement("R59")
@pytest.mark.negative
@pytest.mark.parametrize("before", [DEACTIVATE, BLOCK])
def test_only_a_mid_that_serves_is_locked_and_a_lock_cannot_be_replayed(world: World, before: str) -> None:
    token = world.network.instruction(world.target, world.report().tre_nonce, action=LOCK)
    assert world.device.operations.mids.instruct(token).state.value == "MIGRATING"
    assert world.instructed(UNLOCK) == "ACTIVE"
    with pytest.raises(InstructionError):
        world.device.operations.mids.instruct(token)
    world.instructed(before)
    with pytest.raises(MidError, match="no effect"):
        world.instructed(LOCK)


@pytest.mark.requirement("R38", "R40")
def test_a_report_tells_the_owner_how_its_mids_are_and_what_came_of_them(world: World) -> None:
    world.instructed(BLOCK, reason="stolen")
    report = world.report()
    digest = world.network.order(world.target).digest
    assert (report.sho, report.device_id) == ("sho-1", world.target.device_id)
    assert report.entries == (
        RegistryEntry(mid_id="mid-1", state="BLOCKED", reason="stolen", order_digest=digest, version=1),
    )
    assert [(each.event, each.state) for each in report.transitions] == [
        ("sealed", "INACTIVE"),
        ("activate", "ACTIVE"),
        ("block", "BLOCKED"),
    ]
    numbers = [each.number for each in report.transitions]
    assert numbers == sorted(set(numbers))
    assert numbers[-1] == report.sequence


@pytest.mark.requirement("R38")
def test_the_journal_of_changes_goes_on_over_restarts_and_keeps_the_newest(world: World) -> None:
    for _ in range(9):
        for action, _state in (STEPS[0], STEPS[1]):
            world.device.tpm.clock = replace(
                world.device.tpm.clock, clock=world.device.tpm.clock.clock + 9_000
            )
            world.instructed(action)
            world.restart()
    transitions = world.report().transitions
    numbers = [each.number for each in transitions]
    assert numbers == list(range(numbers[0], numbers[0] + len(numbers)))
    assert [each.clock_ms for each in transitions] == sorted(each.clock_ms for each in transitions)


@pytest.mark.requirement("R34", "R38")
def test_a_closed_compartment_is_reported_as_blocked_with_the_reason(world: World) -> None:
    world.tpm.registers = b"something else booted"
    world.restart()
    challenge = world.device.challenge(selections={0x000B: (0, 1, 4, 7)})
    world.device.attestation.attest(world.device.pva.sign(challenge))
    (entry,) = world.report().entries
    assert (entry.state, entry.reason) == ("BLOCKED", "state-refused")


@pytest.mark.requirement("R39", "R40")
@pytest.mark.negative
def test_who_asks_without_right_hears_nothing(world: World) -> None:
    registry, network = world.device.operations.registry, world.network
    signed = world.tpm.signatures
    with pytest.raises(MidError, match="no MID of this operator"):
        registry.report(network.query(world.target, signer=OTHER_SHO))
    stranger = operator(Authority.root("operators' root"), "sho", oids.EKU_SUBSCRIPTION)
    with pytest.raises(AnchorError):
        registry.report(network.query(world.target, signer=stranger))
    dpf = operator(OPERATORS_ROOT, "dpf", oids.EKU_SUBSCRIPTION, issuer="sho-1")
    with pytest.raises(AnchorError):
        registry.report(network.query(world.target, signer=dpf))
    with pytest.raises(InstructionError, match="another device"):
        registry.report(network.query(replace(world.target, device_id="00" * 32)))
    world.device.state.remember_exchanges(Exchanges())
    with pytest.raises(NotEnrolledError, match="answered no challenge"):
        registry.report(network.query(world.target))
    assert world.tpm.signatures == signed


@pytest.mark.requirement("R40")
@pytest.mark.negative
def test_an_operator_never_hears_of_the_mids_of_another(world: World, tmp_path: Path) -> None:
    del tmp_path
    first = world.network
    other = replace_operator(world)
    world.installed()
    assert [each.mid_id for each in world.report().entries] == ["mid-2"]
    world.network = first
    assert [each.mid_id for each in world.report().entries] == ["mid-1"]
    assert other.sho.issuer == "sho-2"


def replace_operator(world: World, *, number: int = 2) -> Any:
    """Another operator, with its own policy root, from now on."""
    network = type(world.network)(root=OPERATORS_ROOT, number=number)
    network.sho = (
        OTHER_SHO
        if number == 2
        else operator(OPERATORS_ROOT, "sho", oids.EKU_SUBSCRIPTION, issuer=f"sho-{number}")
    )
    world.network = network
    return network


@pytest.mark.requirement("R22", "R23")
def test_a_mid_comes_up_again_after_another_operator_has_installed_its_own(world: World) -> None:
    for number in range(2, VAULT_REACH + 1):
        replace_operator(world, number=number)
        world.installed()
        world.restart()
        assert states(world) == ["ACTIVE", *["INACTIVE"] * (number - 1)]


@pytest.mark.requirement("R37", "R58")
@pytest.mark.negative
@pytest.mark.parametrize("action", [ACTIVATE, UNBLOCK])
def test_an_instruction_that_the_table_does_not_have_changes_nothing(world: World, action: str) -> None:
    token = world.network.instruction(world.target, world.report().tre_nonce, action=action)
    before = dict(world.storage.records)
    with pytest.raises(MidError, match="no effect"):
        world.device.operations.mids.instruct(token)
    assert world.storage.records == before


@pytest.mark.requirement("R37", "R58")
@pytest.mark.negative
def test_a_recorded_instruction_is_followed_once_though_its_state_came_back(world: World) -> None:
    receipts = world.network.instruction(
        world.target,
        world.device.operations.mids.vault.opened("sho-1").visible.journal[0].tre_nonce,  # type: ignore[union-attr] # it is open
    )
    recorded = world.network.instruction(world.target, world.report().tre_nonce, action=DEACTIVATE)
    world.device.operations.mids.instruct(recorded)
    with pytest.raises(InstructionError, match="answered before"):
        world.device.operations.mids.instruct(receipts)
    world.instructed(ACTIVATE)
    with pytest.raises(InstructionError, match="no open report"):
        world.device.operations.mids.instruct(recorded)
    assert states(world) == ["ACTIVE"]


@pytest.mark.requirement("R37", "R58")
@pytest.mark.negative
def test_an_instruction_that_was_held_back_answers_nothing(world: World) -> None:
    held = world.network.instruction(world.target, world.report().tre_nonce, action=BLOCK)
    world.report()
    with pytest.raises(InstructionError, match="no open report"):
        world.device.operations.mids.instruct(held)
    held = world.network.instruction(world.target, world.report().tre_nonce, action=BLOCK)
    world.restart()
    with pytest.raises(InstructionError, match="no open report"):
        world.device.operations.mids.instruct(held)
    assert states(world) == ["ACTIVE"]


@pytest.mark.requirement("R22", "R58")
@pytest.mark.negative
@pytest.mark.parametrize("action", [DEACTIVATE, BLOCK])
def test_no_operator_instructs_about_the_mid_of_another(world: World, action: str) -> None:
    network = world.network
    replace_operator(world)
    world.installed()
    nonce = world.report().tre_nonce  # of the other operator's own
    token = network.instruction(world.target, nonce, action=action, signer=OTHER_SHO)
    with pytest.raises(InstructionError, match="owner"):
        world.device.operations.mids.instruct(token)
    assert states(world) == ["ACTIVE", "INACTIVE"]


@pytest.mark.requirement("R34")
@pytest.mark.negative
def test_a_block_ends_only_after_another_look_at_key_file_and_version(world: World) -> None:
    world.instructed(BLOCK)
    good = world.storage.records["vault-0"]
    token = world.network.instruction(world.target, world.report().tre_nonce, action=UNBLOCK)
    world.storage.records["vault-0"] = good[:-1] + bytes([good[-1] ^ 1])
    with pytest.raises((VaultError, StateError)):
        world.device.operations.mids.instruct(token)
    world.storage.records["vault-0"] = good
    world.restart()
    assert states(world) == ["BLOCKED"]
    assert world.instructed(UNBLOCK) == "INACTIVE"


@pytest.mark.requirement("R34")
@pytest.mark.negative
def test_an_older_file_is_found_when_the_block_is_to_end(world: World) -> None:
    older = world.storage.records["vault-0"]
    world.instructed(BLOCK)
    token = world.network.instruction(world.target, world.report().tre_nonce, action=UNBLOCK)
    world.storage.records["vault-0"] = older
    with pytest.raises(RollbackError):
        world.device.operations.mids.instruct(token)
    assert states(world) == ["BLOCKED"]


@pytest.mark.requirement("R34")
@pytest.mark.negative
def test_in_another_state_a_block_does_not_end(world: World) -> None:
    world.instructed(BLOCK)
    token = world.network.instruction(world.target, world.report().tre_nonce, action=UNBLOCK)
    world.tpm.registers = b"something else"
    with pytest.raises(Exception, match="holds"):
        world.device.operations.mids.instruct(token)
    assert states(world) == ["BLOCKED"]


@pytest.mark.negative
def test_an_erasure_has_an_operation_of_its_own(world: World) -> None:
    token = world.network.erasure(world.target, world.report().tre_nonce)
    with pytest.raises(InstructionError, match=ERASE):
        world.device.operations.mids.instruct(token)


@pytest.mark.requirement("R37")
@pytest.mark.parametrize("after", [False, True], ids=["before", "after"])
@pytest.mark.parametrize(("action", "state"), STEPS)
def test_a_kill_at_any_call_of_a_change_leaves_the_state_before_or_after(
    tmp_path: Path, action: str, state: str, *, after: bool
) -> None:
    prepared = {ACTIVATE: (DEACTIVATE,), UNBLOCK: (BLOCK,)}.get(action, ())
    for blows_at in (1, 2):  # the file, the counter
        world = World(folder=tmp_path)
        world.active()
        for each in prepared:
            world.instructed(each)
        before = states(world)
        token = world.network.instruction(world.target, world.report().tre_nonce, action=action)
        fuse = Fuse(blows_at, after=after, error=KilledError())
        fuse.wrap(world.storage, ("write",))
        fuse.wrap(world.tpm, ("raise_vault_counter",))
        with pytest.raises(KilledError):
            world.device.operations.mids.instruct(token)
        Fuse.remove(world.storage, ("write",))
        Fuse.remove(world.tpm, ("raise_vault_counter",))
        world.restart()
        assert states(world) == ([state] if blows_at > 1 or after else before)
