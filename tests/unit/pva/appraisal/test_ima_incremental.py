"""Only what is new in an IMA list is sent and judged, within one boot (A14, A22)."""

from dataclasses import replace
from datetime import timedelta

import pytest

from messages.challenge import ImaOffset
from messages.evidence import EvidenceMessage
from pva.appraisal.continuity import ImaProgress
from pva.refusals import RefusalCode, RefusalError
from pva.results.result import SignedResult
from tests.fakes.attesting_device import AttestingDevice
from tests.fakes.pva_world import POLICY, World
from tests.unit.standards.ima.lists import VIOLATION, Made, encoded, ng, pcr_after

BARE = AttestingDevice()
FIRST = BARE.boot_aggregate
METER, LATER = Made(data=ng(b"/usr/bin/meter")), Made(data=ng(b"/usr/bin/later"))
LIST = (FIRST, METER)
DEVICE = replace(BARE, ima=LIST)
CLOCK = DEVICE.clock_info
WRITTEN = Made(data=ng(b"/var/log", bytes(20)), template_digest=VIOLATION)


def made_world() -> World:
    return World(device=DEVICE, policy=replace(POLICY, ima=True), ima_incremental=True)


@pytest.fixture
def world() -> World:
    """A PVA that has judged the device's list once, and asks for what is new."""
    made = made_world()
    assert codes(made.validate(made.answer())) == []
    return made


def later(device: AttestingDevice, *entries: Made) -> AttestingDevice:
    return replace(device.later(), ima=(*(device.ima or ()), *entries))


def rebooted(*entries: Made) -> AttestingDevice:
    clock = replace(CLOCK, reset_count=CLOCK.reset_count + 1, clock=CLOCK.clock + 5_000)
    return replace(DEVICE, clock_info=clock, ima=entries)


def codes(result: SignedResult) -> list[str]:
    return [each.code for each in result.result.submodules["platform"].findings]


def known(world: World) -> ImaProgress | None:
    progress: ImaProgress | None = world.store.histories[DEVICE.device_id].ima
    return progress


def refused(world: World, message: EvidenceMessage) -> str:
    with pytest.raises(RefusalError) as caught:
        world.validate(message)
    assert caught.value.code is RefusalCode.IMA_OFFSET_WRONG
    return caught.value.reason


@pytest.mark.check("A22")
def test_the_challenge_says_what_is_known_and_only_the_rest_comes(world: World) -> None:
    device = later(DEVICE, LATER)
    token, challenge = world.challenge(device=device)
    assert challenge.ima_after == ImaOffset(count=2, reset_count=7, restart_count=0)
    message = device.evidence(challenge, token=token, chain=world.chain())
    assert message.ima is not None
    assert (message.ima.first, message.ima.log) == (2, LATER.encoded)
    assert codes(world.validate(message)) == []
    assert known(world) == ImaProgress(
        count=3,
        value=pcr_after((*LIST, LATER)),
        reset_count=7,
        restart_count=0,
        policy=world.policy.digest,
    )


@pytest.mark.check("A22")
def test_a_list_without_anything_new_is_affirmed(world: World) -> None:
    message = world.answer(later(DEVICE))
    assert message.ima is not None
    assert message.ima.log == b""
    assert codes(world.validate(message)) == []
    assert known(world) is not None


@pytest.mark.check("A14")
@pytest.mark.negative
def test_a_new_boot_needs_the_whole_list_and_drops_what_was_known(world: World) -> None:
    device = rebooted(FIRST, LATER)
    message = world.answer(device)
    assert message.ima is not None
    assert message.ima.first == 0
    assert codes(world.validate(message)) == []
    progress = known(world)
    assert progress is not None
    assert (progress.count, progress.boot) == (2, (8, 0))


@pytest.mark.check("A14")
@pytest.mark.negative
def test_entries_after_those_of_another_boot_are_refused(world: World) -> None:
    device = rebooted(*LIST, LATER)
    message = world.answer(device)
    assert message.ima is not None
    partial = replace(message.ima, first=2, log=LATER.encoded)
    assert "booted since" in refused(world, replace(message, ima=partial))


@pytest.mark.check("A22")
@pytest.mark.negative
def test_a_beginning_that_nobody_asked_for_is_refused(world: World) -> None:
    message = world.answer(later(DEVICE, LATER))
    assert message.ima is not None
    wrong = replace(message.ima, first=1, log=encoded((METER, LATER)))
    assert "begins with entry 1" in refused(world, replace(message, ima=wrong))


@pytest.mark.check("A22")
@pytest.mark.negative
def test_a_pva_that_asks_for_whole_lists_takes_no_part_of_one() -> None:
    world = made_world()
    world.ima_incremental = False
    world.validate(world.answer())
    message = world.answer(later(DEVICE, LATER))
    assert message.ima is not None
    partial = replace(message.ima, first=2, log=LATER.encoded)
    assert "begins with entry 2" in refused(world, replace(message, ima=partial))


@pytest.mark.check("A22")
@pytest.mark.negative
def test_new_entries_that_leave_one_out_reach_no_quote(world: World) -> None:
    message = world.answer(later(DEVICE, Made(data=ng(b"/usr/bin/hidden")), LATER))
    assert message.ima is not None
    with pytest.raises(RefusalError) as caught:
        world.validate(replace(message, ima=replace(message.ima, log=LATER.encoded)))
    assert caught.value.code is RefusalCode.IMA_LOG_MISMATCH


@pytest.mark.check("A22")
@pytest.mark.negative
def test_what_was_found_once_is_found_again_as_long_as_the_machine_runs(world: World) -> None:
    written = later(DEVICE, WRITTEN)
    assert codes(world.validate(world.answer(written))) == ["ima-violation"]
    assert known(world) is None
    token, challenge = world.challenge(device=later(written, LATER))
    assert challenge.ima_after is None
    message = later(written, LATER).evidence(challenge, token=token, chain=world.chain())
    assert codes(world.validate(message)) == ["ima-violation"]


@pytest.mark.check("A22")
@pytest.mark.negative
def test_what_was_judged_by_another_policy_is_judged_again(world: World) -> None:
    message = world.answer(later(DEVICE, LATER))
    world.policy = replace(world.policy, result_life=timedelta(seconds=1))
    assert "another policy" in refused(world, message)
    _, challenge = world.challenge()
    assert challenge.ima_after is None


@pytest.mark.check("A22")
@pytest.mark.negative
def test_an_offset_that_was_overtaken_is_refused(world: World) -> None:
    held_back = world.answer(later(DEVICE, LATER))
    world.ask()
    history = world.store.histories[DEVICE.device_id]
    world.store.histories[DEVICE.device_id] = replace(history, ima=None)
    assert "judged again meanwhile" in refused(world, held_back)


def test_a_list_that_is_missing_once_is_asked_for_as_a_whole(world: World) -> None:
    message = replace(world.answer(later(DEVICE)), ima=None)
    assert codes(world.validate(message)) == ["ima-log-missing"]
    assert known(world) is None
