"""The same verdict in the other profile: signed, read by every relying party, and for nobody else."""

from dataclasses import replace

import pytest

from cli.result_check import Question, verify_result
from messages.reliance import Expected, check_answers, permits_release
from messages.reliance import verify_result as relied_on
from pva.refusals import RefusalCode, RefusalError
from pva.results.explanation import Reader
from tests.fakes.pki import NOW
from tests.fakes.pva_world import TENANT, World

SHO = Reader(role="sho", tenant=TENANT)


@pytest.fixture
def world() -> World:
    return World()


@pytest.mark.requirement("R69")
def test_both_profiles_are_the_same_result_to_who_relies_on_it(world: World) -> None:
    signed = world.validate(world.answer())
    deployed = world.reissue_desk.result(signed.id, profile="deployed", reader=SHO, at=NOW)
    assert world.reissue_desk.result(signed.id, profile="ietf", reader=SHO, at=NOW) == signed.token
    assert deployed != signed.token
    anchors = [world.operators.certificate]
    for token in (signed.token, deployed):
        result = relied_on(token, anchors=anchors, at=NOW)
        assert result == signed.result
        assert permits_release(result)
        check_answers(result, Expected(audience="dpf-1", device_id=world.device.device_id))
        assert verify_result(token, anchors=anchors, question=Question(), at=NOW) == signed.result


@pytest.mark.negative
def test_nobody_else_fetches_it_and_there_is_no_third_profile(world: World) -> None:
    signed = world.validate(world.answer())
    desk = world.reissue_desk
    pending = world.ask(device=replace(world.device, ek_seed=b"another"))
    for some_id, profile, reader, code in (
        (signed.id, "deployed", Reader(role="sho", tenant="sho-2"), RefusalCode.NOT_FOUND),
        (signed.id, "deployed", Reader(role="ro-relay", tenant=TENANT), RefusalCode.NOT_FOUND),
        ("00", "ietf", SHO, RefusalCode.NOT_FOUND),
        (pending, "ietf", SHO, RefusalCode.NOT_FOUND),
        (signed.id, "saml", SHO, RefusalCode.PROFILE_NOT_OFFERED),
    ):
        with pytest.raises(RefusalError) as caught:
            desk.result(some_id, profile=profile, reader=reader, at=NOW)
        assert caught.value.code is code
    assert desk.result(signed.id, profile="deployed", reader=Reader(role="auditor", tenant="x"), at=NOW)


@pytest.mark.negative
def test_a_stored_token_that_is_not_ours_is_not_signed_again(world: World) -> None:
    signed = world.validate(world.answer())
    stranger = World()
    forged = stranger.validate(stranger.answer()).token
    world.store.results[signed.request_id] = replace(signed, token=forged)
    for profile in ("ietf", "deployed"):
        with pytest.raises(RefusalError) as caught:
            world.reissue_desk.result(signed.id, profile=profile, reader=SHO, at=NOW)
        assert caught.value.code is RefusalCode.RECORD_ALTERED
