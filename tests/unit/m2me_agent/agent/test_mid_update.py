"""An update as the agent carries it: killed anywhere and begun again, it ends as if nothing had been."""

import pytest

from m2me_agent.agent.attachment import attach
from m2me_agent.agent.installation import INSTALLED
from m2me_agent.agent.mid_update import Updating
from m2me_agent.agent.ports import read_device
from tests.fakes.journey_world import DPF_URL, PVA_URL, KilledError, World


def updating(world: World) -> Updating:
    """An agent that has attached."""
    way = world.way()
    device = read_device(way.tre)
    attachment = attach(way.tre, way.network, device, tell=way.pace.tell)
    return Updating(way=way, attachment=attachment, device=device, pva_url=PVA_URL, dpf_url=DPF_URL)


def ordered() -> World:
    """The owner's order is bound, so its operator has asked for a validation."""
    world = World()
    world.asked_by.append("sho")
    return world


def carried(world: World) -> str:
    """What `m2me follow` does with the word of an owner."""
    agent = updating(world)
    agent.finish()
    return agent.update(world.order).outcome if not world.done else INSTALLED


@pytest.mark.requirement("R46", "R57", "R97")
def test_an_update_is_validated_fetched_installed_and_receipted() -> None:
    world = ordered()
    assert carried(world) == INSTALLED
    assert world.events()[3:] == [
        "7 update-accepted",
        "9 validated",
        "12 delivery-requested",
        "12 validated-again",
        "12 granted",
        "12 downloaded",
        "13 receipt-signed",
        "13 receipt-taken",
        "14 instructed",
    ]
    assert (world.grants, world.installs, world.activations) == (1, 1, 1)


@pytest.mark.requirement("R46", "R97")
@pytest.mark.parametrize("side", ["before", "after"])
def test_an_agent_that_is_killed_at_any_call_goes_on_where_it_was(side: str) -> None:
    whole = ordered()
    carried(whole)
    for number in range(1, len(whole.calls) + 1):
        world = ordered()
        world.fault = (number, side, KilledError())
        with pytest.raises(KilledError):
            carried(world)
        world.fault = None
        assert carried(world) == INSTALLED, number
        assert (world.installs, world.activations, world.mid_state) == (1, 1, "ACTIVE"), number


def test_with_nothing_begun_there_is_nothing_to_bring_to_an_end() -> None:
    assert updating(World()).finish() is None
