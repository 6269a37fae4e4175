"""What an operator may ask for: a request waits only if a device can answer it."""

from dataclasses import replace
from datetime import timedelta

import pytest

from pva.refusals import RefusalCode, RefusalError
from pva.requests import ValidationWish
from tests.fakes.attesting_device import measurements
from tests.fakes.pki import NOW
from tests.fakes.pva_world import TENANT, World


def refused(world: World, audience: tuple[str, ...]) -> RefusalCode:
    wish = ValidationWish(
        device_id=world.device.device_id,
        purpose="validation",
        rp_nonce=world.random_bytes(32),
        order_digest=None,
        audience=audience,
    )
    with pytest.raises(RefusalError) as caught:
        world.desk.ask(wish, tenant=TENANT, requester="sho", at=NOW)
    assert not world.store.requests
    return caught.value.code


@pytest.mark.requirement("R24")
def test_a_device_in_the_field_is_looked_at_again_and_its_operator_told() -> None:
    world = World()
    first = world.ask()
    world.validate(world.answer())
    tampered = replace(world.device.later(), boot=tuple(measurements(kernel=b"another kernel")))
    second = world.ask()
    token = world.validate(world.answer(tampered)).token
    looks = [world.desk.progress(each, tenant=TENANT, at=NOW) for each in (first, second)]
    assert [each.passes for each in looks] == [True, False]
    assert looks[1].result == token


@pytest.mark.negative
def test_an_order_needs_a_signed_request() -> None:
    world = World()
    wish = ValidationWish(
        device_id=world.device.device_id,
        purpose="validation",
        rp_nonce=bytes(32),
        order_digest=bytes(32),
        audience=(TENANT,),
    )
    with pytest.raises(RefusalError) as caught:
        world.desk.ask(wish, tenant=TENANT, requester="sho", at=NOW)
    assert caught.value.code is RefusalCode.ORDER_NEEDS_SIGNATURE
    assert not world.store.requests


@pytest.mark.negative
def test_a_result_names_its_requester() -> None:
    assert refused(World(), ("sho-2",)) is RefusalCode.AUDIENCE_WITHOUT_CALLER


@pytest.mark.negative
@pytest.mark.parametrize(
    "surplus",
    [(TENANT,), ("dpf\u202e1",), ("",), tuple(chr(0x1F600 + each) * 900 for each in range(7))],
    ids=["a name twice", "text that hides", "no text", "more than a challenge holds"],
)
def test_a_request_that_no_device_can_answer_does_not_stand_in_the_way(surplus: tuple[str, ...]) -> None:
    assert refused(World(), (TENANT, *surplus)) is RefusalCode.REQUEST_UNANSWERABLE


@pytest.mark.negative
def test_a_request_in_its_last_second_gives_way_to_the_next() -> None:
    world = World()
    world.ask(at=NOW)
    late = NOW + timedelta(minutes=15) - timedelta(milliseconds=500)
    with pytest.raises(RefusalError) as caught:
        world.desk.challenge(world.device.device_id, at=late)
    assert caught.value.code is RefusalCode.NO_VALIDATION_PENDING
    second = world.ask(at=late)
    _, challenge = world.challenge(at=late)
    assert challenge.request_id == second
