"""The whole way: told step by step, found again after a kill at any point, ended once."""

import dataclasses

import pytest

from m2me_agent.agent.download import CUTS_MAX
from m2me_agent.agent.errors import (
    AgentError,
    BearerEndedError,
    NotAffirmingError,
    NotReachedError,
    RefusedError,
)
from m2me_agent.agent.journey import ATTACHMENTS_MAX, DELIVERIES_MAX, Arrival, provision
from m2me_agent.agent.ports import Patience
from m2me_agent.agent.registration import Wishes
from m2me_agent.tre_protocol import Refusal
from tests.fakes.journey_world import CHUNK_BYTES, CONTENT, SECRET, KilledError, World, not_reached, refused
from tests.unit.messages.operator_samples import SHO

WISHES = Wishes(consent=Patience(total_s=5.0))
ENDED = BearerEndedError(Refusal(code="bearer-ended", subject="bearer", reason="quota", remedy="attach"))
SLOW = {"consent_after": 2, "authorize_after": 3, "forward_after": 2, "resynchronise": 1}


def calls_of(**world: int) -> int:
    """How many calls a journey without faults makes."""
    travelled = World(**world)  # type: ignore[arg-type]  # counts only
    provision(travelled.way(), WISHES)
    return len(travelled.calls)


def ended_once(world: World) -> bool:
    """Whether everything that must happen once has happened once."""
    counts = (world.registrations, world.deliveries, world.grants, world.installs, world.activations)
    return counts == (1, 1, 1, 1, 1) and world.mid_state == "ACTIVE"


@pytest.mark.requirement("R84", "R57")
def test_the_steps_of_a_journey_in_their_order() -> None:
    world = World()
    arrival = provision(world.way(), WISHES)
    assert arrival == Arrival(
        outcome="active", mid_id="mid-1", sho_name="Example Mobile", order_code="12345678"
    )
    assert world.events() == [
        "1 identity-sent",
        "3 challenge-answered",
        "4 attached",
        "6 operator-found",
        "7 registered",
        "7 order-accepted",
        "9 validated",
        "12 delivery-requested",
        "12 validated-again",
        "12 granted",
        "12 downloaded",
        "13 receipt-signed",
        "13 receipt-taken",
        "14 instructed",
    ]
    assert ended_once(world)


def test_a_journey_without_waiting_waits_for_nothing() -> None:
    world = World()
    provision(world.way(), WISHES)
    assert world.waited_s == 0


def test_a_journey_that_is_done_asks_the_tre_and_nobody_else() -> None:
    world = World()
    provision(world.way(), WISHES)
    world.calls.clear()
    again = provision(world.way(), WISHES)
    assert again == Arrival(outcome="active", mid_id="mid-1")
    assert world.calls == ["tre.status", "tre.mids", "shelf.clear"]
    assert provision(world.way(), dataclasses.replace(WISHES, choice=SHO)).outcome == "active"


def test_an_active_subscription_of_another_operator_ends_no_journey_to_the_operator_of_choice() -> None:
    world = World(mid_state="ACTIVE")
    arrival = provision(world.way(), dataclasses.replace(WISHES, choice="sho2.example"))
    assert arrival.outcome == "awaiting-consent"
    assert world.registrations == 1


@pytest.mark.requirement("R97")
@pytest.mark.parametrize("slow", [{}, SLOW], ids=["at once", "slow"])
@pytest.mark.parametrize("when", ["before", "after"])
def test_an_agent_killed_at_any_call_is_started_again_and_ends_the_same(
    when: str, slow: dict[str, int]
) -> None:
    for number in range(1, calls_of(**slow) + 1):
        world = World(**slow)  # type: ignore[arg-type]  # counts only
        world.fault = (number, when, KilledError())
        with pytest.raises(KilledError):
            provision(world.way(), WISHES)
        killed_at, world.fault = world.calls[-1], None
        arrival = provision(world.way(), WISHES)
        assert (arrival.outcome, ended_once(world)) == ("active", True), (number, killed_at)
        assert world.shelf.kept is None
        assert world.shelf.contents == {}


@pytest.mark.requirement("R97")
def test_an_agent_killed_twice_ends_the_same() -> None:
    total = calls_of()
    for first in range(1, total + 1, 3):
        for second in range(1, total + 1, 5):
            world = World()
            for number in (first, second):
                world.fault = (len(world.calls) + number, "after", KilledError())
                try:
                    provision(world.way(), WISHES)
                except KilledError:
                    continue
            world.fault = None
            assert provision(world.way(), WISHES).outcome == "active"
            assert ended_once(world), (first, second)


@pytest.mark.requirement("R97")
@pytest.mark.parametrize("when", ["before", "after"])
def test_a_network_that_is_gone_at_any_call_costs_no_second_of_anything(when: str) -> None:
    for number in range(1, calls_of() + 1):
        world = World()
        world.fault = (number, when, not_reached())
        try:
            arrival = provision(world.way(), WISHES)
        except AgentError:
            world.fault = None
            arrival = provision(world.way(), WISHES)
        assert (arrival.outcome, ended_once(world)) == ("active", True), (number, world.calls)


@pytest.mark.requirement("R97")
@pytest.mark.parametrize("cut_at", range(1, 11))
def test_a_link_cut_at_ten_points_of_the_download_completes_without_a_duplicate(cut_at: int) -> None:
    world = World(cut_at=cut_at)
    assert provision(world.way(), WISHES).outcome == "active"
    assert ended_once(world)
    chunks = -(-len(CONTENT) // CHUNK_BYTES)
    assert chunks > 10
    assert world.calls.count("dpf.content") == chunks + 1
    assert world.calls.count("shelf.add") == chunks


@pytest.mark.negative
def test_a_link_that_is_cut_again_and_again_is_reported_and_what_came_is_kept() -> None:
    world = World(refusals={"dpf.content": [not_reached() for _ in range(2 * CUTS_MAX)]})
    with pytest.raises(NotReachedError):
        provision(world.way(total_s=60), WISHES)
    assert world.calls.count("dpf.content") == CUTS_MAX + 1
    world.refusals.clear()
    assert provision(world.way(), WISHES).outcome == "active"
    assert ended_once(world)


def test_a_bearer_that_ends_is_replaced_and_the_journey_goes_on() -> None:
    for call in (
        "drf.discover",
        "drf.register",
        "pva.challenge",
        "dpf.request",
        "dpf.content",
        "dpf.receipt",
    ):
        world = World(refusals={call: [ENDED]})
        assert provision(world.way(), WISHES).outcome == "active"
        assert world.sessions == 2
        assert ended_once(world)
        assert "4 bearer-ended" in world.events()


@pytest.mark.negative
def test_bearers_that_end_at_once_are_not_replaced_for_ever() -> None:
    world = World(refusals={"drf.discover": [ENDED] * 10})
    with pytest.raises(BearerEndedError):
        provision(world.way(), WISHES)
    assert world.sessions == ATTACHMENTS_MAX


@pytest.mark.requirement("R07")
def test_a_person_who_does_not_agree_in_time_is_named_the_order_and_nothing_is_delivered() -> None:
    world = World(consent_after=1000)
    arrival = provision(world.way(), WISHES)
    assert arrival == Arrival(outcome="awaiting-consent", sho_name="Example Mobile", order_code="12345678")
    assert {"pva.challenge", "dpf.request"}.isdisjoint(world.calls)
    world.consent_after = 0
    assert provision(world.way(), WISHES).outcome == "active"
    assert ended_once(world)


@pytest.mark.negative
@pytest.mark.parametrize("which", [0, 1])
def test_a_platform_that_is_not_affirmed_gets_nothing(which: int) -> None:
    world = World(verdicts=["affirming"] * which + ["contraindicated"])
    with pytest.raises(NotAffirmingError, match="contraindicated") as caught:
        provision(world.way(), WISHES)
    assert caught.value.status == "contraindicated"
    assert (world.grants, world.installs) == (0, 0)
    assert "dpf.content" not in world.calls


@pytest.mark.parametrize("outcome", ["state-refused", "storage"])
def test_a_failure_that_a_new_delivery_can_mend_gets_one(outcome: str) -> None:
    world = World(outcomes=[outcome])
    assert provision(world.way(), WISHES).outcome == "active"
    assert (world.registrations, world.deliveries, world.grants, world.installs) == (1, 2, 2, 1)


@pytest.mark.negative
def test_a_failure_that_lasts_ends_the_journey_after_three_deliveries() -> None:
    world = World(outcomes=["state-refused"] * 10)
    assert provision(world.way(), WISHES).outcome == "state-refused"
    assert (world.deliveries, world.installs) == (DELIVERIES_MAX, 0)


@pytest.mark.negative
@pytest.mark.parametrize("outcome", ["package-refused", "order-refused", "replayed", "content-refused"])
def test_a_failure_that_nothing_can_mend_is_receipted_and_ends_the_journey(outcome: str) -> None:
    world = World(outcomes=[outcome])
    assert provision(world.way(), WISHES).outcome == outcome
    assert (world.deliveries, world.installs, world.calls.count("dpf.receipt")) == (1, 0, 1)
    assert world.shelf.kept is None


def test_a_delivery_that_is_over_is_asked_for_anew() -> None:
    world = World(refusals={"dpf.content": [refused("grant-expired")]})
    assert provision(world.way(), WISHES).outcome == "active"
    assert (world.registrations, world.installs) == (1, 1)
    assert "12 delivery-ended" in world.events()


@pytest.mark.negative
def test_deliveries_that_are_always_over_are_not_asked_for_for_ever() -> None:
    world = World(refusals={"dpf.content": [refused("grant-expired")] * 10})
    assert provision(world.way(), WISHES).outcome == "grant-expired"
    assert world.calls.count("dpf.content") == DELIVERIES_MAX


def killed_at(call: str) -> World:
    """A world whose agent was killed after this call, once its effect was there."""
    number = 0
    while True:
        number += 1
        world = World()
        world.fault = (number, "after", KilledError())
        with pytest.raises(KilledError):
            provision(world.way(), WISHES)
        world.fault = None
        if world.calls[-1] == call:
            world.calls.clear()
            return world


@pytest.mark.requirement("R97")
def test_what_was_granted_before_is_brought_to_its_end_without_a_new_order() -> None:
    for call in ("shelf.keep", "tre.install", "dpf.receipt"):
        world = killed_at(call)
        assert provision(world.way(), WISHES).outcome == "active"
        assert {"drf.discover", "drf.register", "tre.accept_order", "dpf.request"}.isdisjoint(world.calls)
        assert ended_once(world)


def test_a_kept_delivery_that_is_over_is_asked_for_anew() -> None:
    world = killed_at("shelf.keep")
    world.refusals = {"dpf.content": [refused("grant-expired")]}
    assert provision(world.way(), WISHES).outcome == "active"
    assert (world.registrations, world.installs) == (1, 1)


@pytest.mark.requirement("R31")
@pytest.mark.negative
def test_a_package_that_nobody_is_known_to_have_sent_is_not_kept() -> None:
    world = World(refusals={"tre.install": [refused("package-refused")]})
    with pytest.raises(RefusedError, match="package-refused"):
        provision(world.way(), WISHES)
    assert world.shelf.kept is None
    assert "dpf.receipt" not in world.calls


@pytest.mark.negative
def test_an_installed_subscription_whose_delivery_nobody_knows_is_not_ordered_again() -> None:
    world = killed_at("tre.install")
    world.refusals = {"dpf.receipt": [refused("not-found")]}
    assert provision(world.way(), WISHES).outcome == "not-found"
    assert "tre.accept_order" not in world.calls


@pytest.mark.requirement("R55")
def test_nothing_that_is_told_or_kept_is_a_secret() -> None:
    world = World()
    way = world.way()
    provision(way, WISHES)
    told = repr(world.said)
    assert SECRET not in told
    assert (b"\xa7" * 32).hex() not in told
    assert "4e" * 8 not in told


@pytest.mark.negative
@pytest.mark.parametrize(
    "call",
    [
        "tre.status",
        "tre.mids",
        "vno.attach",
        "tre.attach",
        "vno.respond",
        "drf.discover",
        "drf.register",
        "tre.accept_order",
        "pva.challenge",
        "tre.attest",
        "pva.submit",
        "dpf.request",
        "dpf.granted",
        "dpf.content",
        "tre.install",
        "dpf.receipt",
        "tre.instruct",
    ],
)
def test_a_refusal_of_anybody_ends_the_journey_with_its_report(call: str) -> None:
    world = World(refusals={call: [refused("no")]})
    with pytest.raises(RefusedError, match="it says no") as caught:
        provision(world.way(), WISHES)
    assert caught.value.code == "no"
    assert world.calls[-1] == call
