"""Each part of the journey by itself: what is carried, what is waited for, and how a failure reads."""

import dataclasses
from collections.abc import Mapping
from typing import Any

import pytest

from m2me_agent.agent.attachment import attach
from m2me_agent.agent.attestation import answer_if_asked
from m2me_agent.agent.download import ROUNDS_BEFORE_ASKING, Delivering, Grant, fetch_content, obtain_grant
from m2me_agent.agent.errors import NotReachedError, RefusedError
from m2me_agent.agent.installation import install
from m2me_agent.agent.ports import Patience, read_device
from m2me_agent.agent.registration import Wishes, register
from m2me_agent.agent.unverified import token_digest
from m2me_agent.tre.app import RateSettings
from m2me_agent.tre_protocol import Operation
from tests.fakes.journey_world import (
    CHUNK_BYTES,
    CONTENT,
    KEY,
    SECRET,
    FakeNetwork,
    FakeServices,
    FakeTre,
    World,
    not_reached,
    refused,
)
from tests.unit.messages.operator_samples import ORDER, SHO

WISHES = Wishes(consent=Patience(first_s=1, growth=1, longest_s=1, total_s=10))


class Blank(FakeTre):
    """A TRE that has not been to the factory yet."""

    missing: str = ""

    def _status(self, sent: Mapping[str, Any]) -> Mapping[str, Any]:
        status: dict[str, Any] = dict(super()._status(sent)["status"])
        empty: Any = [] if self.missing == "pfc_chain" else ""
        return {"status": {**status, self.missing: empty}}


class Damaging(FakeServices):
    """A DPF, or a way to it, that turns every chunk around."""

    def content(self, delivery_id: str, *, offset: int) -> bytes:
        return super().content(delivery_id, offset=offset)[::-1]


def delivering(world: World) -> Delivering:
    way = world.way()
    services = FakeServices(world)
    return Delivering(
        tre=way.tre,
        pva=services,
        dpf=services,
        device=read_device(way.tre),
        order_digest=world.order_digest,
        pace=way.pace,
    )


def granted(world: World) -> Grant:
    world.granted, world.deliveries = True, 1
    return Grant(
        order_digest=world.order_digest,
        delivery_id="delivery-1",
        package=world.package,
        delivery=world.delivery,
        content_size=len(CONTENT),
    )


def registered(world: World, wishes: Wishes = WISHES) -> Any:
    way = world.way()
    device = read_device(way.tre)
    return register(
        way.tre,
        FakeServices(world),
        device,
        wishes,
        random_bytes=way.random_bytes,
        pace=way.pace,
    )


@pytest.mark.requirement("R84")
def test_an_attachment_is_identity_challenge_answer_and_bearer() -> None:
    world = World()
    way = world.way()
    attachment = attach(way.tre, FakeNetwork(world), read_device(way.tre), tell=way.pace.tell)
    assert world.calls == ["tre.status", "vno.attach", "tre.attach", "vno.respond"]
    assert attachment.key == KEY
    assert attachment.bearer.secret == SECRET
    assert SECRET not in repr(attachment)
    assert repr(KEY) not in repr(attachment)


def test_a_network_that_is_behind_is_resynchronised_once() -> None:
    world = World(resynchronise=1)
    way = world.way()
    attach(way.tre, FakeNetwork(world), read_device(way.tre), tell=way.pace.tell)
    assert world.calls[1:] == ["vno.attach", "tre.attach", "vno.resynchronise", "tre.attach", "vno.respond"]


@pytest.mark.negative
def test_a_network_that_stays_behind_is_reported() -> None:
    world = World(resynchronise=2)
    way = world.way()
    with pytest.raises(RefusedError, match="after resynchronisation") as caught:
        attach(way.tre, FakeNetwork(world), read_device(way.tre), tell=way.pace.tell)
    assert caught.value.code == "not-synchronised"
    assert "vno.respond" not in world.calls


@pytest.mark.negative
@pytest.mark.parametrize(
    ("missing", "code", "remedy"),
    [
        ("device_id", "not-enrolled", "m2me enroll"),
        ("pfc_chain", "not-enrolled", "m2me enroll"),
        ("pcid", "not-connected", "m2me connect"),
        ("identity", "not-connected", "m2me connect"),
    ],
)
def test_a_device_that_was_not_in_the_factory_is_sent_there(missing: str, code: str, remedy: str) -> None:
    tre = Blank(World())
    tre.missing = missing
    with pytest.raises(RefusedError, match=remedy) as caught:
        read_device(tre)
    assert caught.value.code == code


@pytest.mark.requirement("R07")
def test_choice_and_supplier_reach_the_drf_and_the_person_hears_who_asks() -> None:
    world = World(consent_after=3)
    wishes = dataclasses.replace(WISHES, choice=SHO, supplier="acme")
    order = registered(world, wishes)
    assert world.wishes_heard == [wishes]
    assert order.consented
    assert (order.sho, order.sho_name, order.order_code) == (SHO, ORDER.sho_name, ORDER.order_code)
    (prompt,) = [said for said in world.said if said.get("outcome") == "awaiting-consent"]
    assert prompt == {
        "step": 7,
        "event": "needs-registration",
        "outcome": "awaiting-consent",
        "sho_name": ORDER.sho_name,
        "order_code": ORDER.order_code,
    }
    assert world.waited_s == 3


@pytest.mark.requirement("R07")
@pytest.mark.negative
def test_the_agent_asks_again_and_again_and_can_agree_to_nothing() -> None:
    world = World(consent_after=1000)
    order = registered(world)
    assert not order.consented
    assert world.waited_s == 10
    assert world.calls.count("tre.accept_order") == 11
    assert {f"tre.{operation}" for operation in (Operation.CONSENT, Operation.PENDING)}.isdisjoint(
        world.calls
    )


def test_a_registration_whose_answer_was_lost_is_repeated_under_the_same_key() -> None:
    world = World()
    world.fault = (3, "after", not_reached())
    registered(world)
    assert world.calls.count("drf.register") == 2
    assert len(world.idempotency_keys) == 2
    assert len(set(world.idempotency_keys)) == 1
    assert world.registrations == 1


@pytest.mark.negative
@pytest.mark.parametrize("token", ["", "a.b", "a.!.c", "a.bm8.c", "ä.e30.c", "a.e30.c", "a.W10.c"])
def test_a_discovery_that_cannot_be_read_is_reported_and_nobody_is_registered(token: str) -> None:
    world = World()
    world.discovery = token
    with pytest.raises(RefusedError, match="discovery") as caught:
        registered(world)
    assert caught.value.code == "answer"
    assert "drf.register" not in world.calls


def test_nobody_asks_means_nothing_is_attested() -> None:
    world = World()
    tre, services = FakeTre(world), FakeServices(world)
    assert answer_if_asked(tre, services, device_id="d1" * 32, pace=world.pace()) is None
    assert world.calls == ["pva.challenge"]


@pytest.mark.requirement("R31", "R52")
def test_a_challenge_goes_to_the_tre_and_its_evidence_to_the_pva_as_they_are() -> None:
    world = World(asked_by=["sho"])
    tre, services = FakeTre(world), FakeServices(world)
    verdict = answer_if_asked(tre, services, device_id="d1" * 32, pace=world.pace())
    assert verdict is not None
    assert (verdict.status, verdict.result_id) == ("affirming", "result for sho")


def test_a_wait_for_the_operator_grows_and_the_dpf_is_asked_only_when_something_may_be_there() -> None:
    world = World(authorized=True)
    grant = obtain_grant(delivering(world))
    assert grant.delivery_id == "delivery-1"
    asked = world.calls.index("dpf.request")
    assert world.calls[:asked].count("pva.challenge") == ROUNDS_BEFORE_ASKING + 1
    assert 0.1 < world.waited_s < 1


@pytest.mark.negative
def test_an_operator_who_does_nothing_is_waited_for_within_bounds() -> None:
    world = World()
    with pytest.raises(NotReachedError, match="within 5 s") as caught:
        obtain_grant(delivering(world))
    assert caught.value.code == "no-delivery"
    assert world.waited_s == pytest.approx(5)
    assert world.deliveries == 0


@pytest.mark.negative
def test_a_service_that_stays_away_is_named_at_the_end_of_the_wait() -> None:
    world = World(asked_by=["sho"], refusals={"dpf.request": [not_reached() for _ in range(1000)]})
    with pytest.raises(NotReachedError, match="no route"):
        obtain_grant(delivering(world))


@pytest.mark.requirement("R70")
def test_a_pva_that_cannot_judge_does_not_use_up_the_signatures_of_the_tre() -> None:
    world = World(asked_by=["sho"], refusals={"pva.submit": [not_reached() for _ in range(1000)]})
    with pytest.raises(NotReachedError, match="no route"):
        obtain_grant(dataclasses.replace(delivering(world), pace=world.pace(total_s=30)))
    assert world.calls.count("tre.attest") < RateSettings().burst
    assert world.waited_s == pytest.approx(30)


@pytest.mark.requirement("R70")
def test_a_tre_that_may_not_sign_now_is_asked_again() -> None:
    world = World(
        asked_by=["sho"],
        refusals={
            name: [refused("rate-limited") for _ in range(5)] for name in ("tre.attest", "tre.install")
        },
    )
    grant = obtain_grant(delivering(world))
    assert world.calls.count("tre.attest") == 5 + 2
    assert install(FakeTre(world), FakeServices(world), grant, CONTENT, pace=world.pace()).state == "ACTIVE"
    assert world.installs == 1


@pytest.mark.negative
def test_a_tre_that_never_signs_is_reported_within_bounds() -> None:
    world = World(asked_by=["sho"], refusals={"tre.attest": [refused("rate-limited") for _ in range(1000)]})
    with pytest.raises(RefusedError) as caught:
        obtain_grant(delivering(world))
    assert caught.value.code == "rate-limited"
    assert world.waited_s == pytest.approx(5)


@pytest.mark.requirement("R97")
def test_a_download_goes_on_where_it_ended() -> None:
    world = World()
    way, grant = world.way(), granted(world)
    world.shelf.contents[token_digest(grant.package)] = CONTENT[: 3 * CHUNK_BYTES + 5]
    content = fetch_content(FakeServices(world), world.shelf, grant, pace=way.pace)
    assert content == CONTENT
    assert world.calls.count("dpf.content") == 8
    assert world.said[-1]["resumed_at"] == 3 * CHUNK_BYTES + 5


@pytest.mark.requirement("R97")
@pytest.mark.parametrize("kept", [b"\x00" + CONTENT[1:5], CONTENT[:-1] + b"x", CONTENT + b"more"])
def test_bytes_that_are_damaged_are_thrown_away_before_the_tre_sees_them(kept: bytes) -> None:
    world = World()
    way, grant = world.way(), granted(world)
    world.shelf.contents[token_digest(grant.package)] = kept
    content = fetch_content(FakeServices(world), world.shelf, grant, pace=way.pace)
    assert content == CONTENT


@pytest.mark.negative
def test_content_that_is_always_damaged_is_reported() -> None:
    world = World()
    way, grant = world.way(), granted(world)
    with pytest.raises(RefusedError, match="2 downloads") as caught:
        fetch_content(Damaging(world), world.shelf, grant, pace=way.pace)
    assert caught.value.code == "content-damaged"
    assert world.shelf.contents == {}


@pytest.mark.requirement("R55")
def test_an_installation_carries_package_receipt_and_instruction_as_they_are() -> None:
    world = World(forward_after=2)
    way, grant = world.way(), granted(world)
    done = install(way.tre, FakeServices(world), grant, CONTENT, pace=way.pace)
    assert (done.outcome, done.mid_id, done.state) == ("installed", "mid-1", "ACTIVE")
    assert world.calls == ["tre.install", *["dpf.receipt"] * 3, "tre.instruct"]
    assert world.receipts == 1


@pytest.mark.requirement("R12")
@pytest.mark.negative
def test_an_installation_without_its_owners_instruction_is_no_success() -> None:
    world = World(forward_after=10_000)
    way, grant = world.way(), granted(world)
    with pytest.raises(NotReachedError, match="instruction to activate") as caught:
        install(way.tre, FakeServices(world), grant, CONTENT, pace=way.pace)
    assert caught.value.code == "no-instruction"
    assert "14 instructed" not in world.events()


@pytest.mark.negative
def test_a_receipt_that_the_dpf_refuses_is_reported() -> None:
    world = World(refusals={"dpf.receipt": [refused("receipt-invalid")]})
    way, grant = world.way(), granted(world)
    with pytest.raises(RefusedError) as caught:
        install(way.tre, FakeServices(world), grant, CONTENT, pace=way.pace)
    assert caught.value.code == "receipt-invalid"


@pytest.mark.parametrize("total_s", [0.0, 0.005, 1.0, 7.3])
def test_patience_is_used_up_and_no_more(total_s: float) -> None:
    pauses = list(Patience(total_s=total_s).pauses())
    assert sum(pauses) == pytest.approx(total_s)
    assert all(0 < pause_s <= 0.5 for pause_s in pauses)
    assert pauses[:-1] == sorted(pauses[:-1])
