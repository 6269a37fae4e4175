"""Validation: whom the SHO asks, what it believes, and what it makes of a verdict."""

from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from messages.errors import MessageError
from messages.operator_token import OperatorSigner
from messages.reliance import RESULT_KIND
from operators.sho.order_states import OrderState
from operators.sho.refusals import RefusalCode, RefusalError
from operators.sho.validation import Pva
from standards.pki import oids
from standards.pki.fingerprints import certificate_der
from standards.rats.ar4si import Tier
from tests.fakes.pki import Authority, p256
from tests.fakes.sho_peers import DPF, OTHER_PVA, PVA, SHO, Keys, seal, submodule
from tests.fakes.sho_world import World


def refused(code: RefusalCode, act: Callable[[], Any]) -> RefusalError:
    with pytest.raises(RefusalError) as caught:
        act()
    assert caught.value.code == code.value
    return caught.value


@pytest.mark.requirement("R93")
def test_the_pva_is_asked_with_a_signed_question_about_this_order(world: World) -> None:
    order = world.validating()
    (request,) = world.pva.requests.values()
    assert (request.requester, request.pva, request.purpose) == (SHO, PVA, "validation")
    assert (request.device_id, request.order_digest) == (world.keys.device.device_id, order.digest)
    assert request.audience == (SHO, DPF)
    assert request.encrypt_to is None
    assert order.state is OrderState.VALIDATING


@pytest.mark.requirement("R95")
def test_a_pushed_result_is_acted_on_at_once(world: World) -> None:
    order = world.validating()
    wakes = world.wakes
    assert world.validation.take(world.pva.answer_all(), at=world.at)
    assert world.wakes == wakes + 1
    world.advance()
    assert world.state(order.id) is OrderState.AUTHORIZED


def test_without_a_push_the_result_is_fetched(world: World) -> None:
    order = world.validating()
    world.pva.answer_all()
    world.later(seconds=1)
    world.advance()
    assert world.state(order.id) is OrderState.AUTHORIZED


@pytest.mark.requirement("R93")
def test_a_relayed_result_comes_sealed_and_is_judged_like_any_other(keys: Keys) -> None:
    world = World(keys, relayed=True)
    order = world.validating()
    (request,) = world.pva.requests.values()
    assert request.encrypt_to is not None
    world.pva.answer_all()
    world.later(seconds=1)
    world.advance()
    assert world.state(order.id) is OrderState.AUTHORIZED


@pytest.mark.negative
@pytest.mark.requirement("R93")
def test_what_a_relay_makes_up_is_noted_and_changes_nothing(keys: Keys) -> None:
    world = World(keys, relayed=True)
    order = world.validating()
    (request,) = world.pva.requests.values()
    assert request.encrypt_to is not None
    world.pva.answers[request.jti] = "not a result"
    world.later(seconds=1)
    world.advance()
    assert world.state(order.id) is OrderState.VALIDATING
    assert world.leaves(order.id)[-1] == "peer-refused"


@pytest.mark.negative
def test_a_sealed_result_for_another_key_or_of_a_request_without_a_result_is_none(keys: Keys) -> None:
    opener = World(keys, relayed=True).validation.opener
    assert opener is not None
    other = keys.certificate(p256(), oids.EKU_RESULT_ENCRYPTION, role="sho", name="sho-2")
    assert opener.open(seal("a result", opener.encrypt_to)) == "a result"
    assert opener.open(seal(None, opener.encrypt_to)) is None
    with pytest.raises(MessageError, match="for this key"):
        opener.open(seal("a result", certificate_der(other)))
    assert "key=" not in repr(opener)


# --- several PVAs ----------------------------------------------------------------------------------------


@pytest.mark.requirement("R76")
def test_the_next_pva_is_asked_where_the_first_cannot_be_reached(world: World) -> None:
    world.pva.reachable = False
    order = world.validating()
    assert world.other_pva.asked == []
    world.later(seconds=2)
    world.advance()
    (request,) = world.other_pva.requests.values()
    assert request.pva == OTHER_PVA
    world.validation.take(world.other_pva.answer_all(), at=world.at)
    accepted = world.store.accepted_request(order.id)
    assert accepted is not None
    assert accepted.pva == OTHER_PVA


@pytest.mark.requirement("R76")
def test_a_pva_that_goes_down_after_it_took_the_request_is_replaced_too(world: World) -> None:
    order = world.validating()
    world.pva.reachable = False
    for _ in range(3):
        world.later(seconds=5)
        world.advance()
    assert len(world.other_pva.requests) == 1
    assert world.state(order.id) is OrderState.VALIDATING


def test_with_one_pva_the_same_question_is_asked_again_later(world: World) -> None:
    world.validation = replace(world.validation, pvas=[Pva(id=PVA, route=world.pva, relayed=False)])
    world.motor = replace(world.motor, validation=world.validation)
    world.pva.reachable = False
    order = world.validating()
    request = world.store.latest_request(order.id)
    world.pva.reachable = True
    world.later(seconds=2)
    world.advance()
    assert request is not None
    assert world.pva.asked == [request.token]


# --- what is believed ------------------------------------------------------------------------------------


@pytest.mark.negative
@pytest.mark.requirement("R81")
def test_a_result_that_the_sho_or_a_stranger_signed_is_refused(world: World) -> None:
    order = world.validating()
    (request,) = world.pva.requests.values()
    claims = world.pva.result(request).claims()
    forged = world.signer.sign({**claims, "iss": SHO}, typ=RESULT_KIND.typ)
    refused(RefusalCode.RESULT_INVALID, lambda: world.validation.take(forged, at=world.at))
    strange = Authority.root("operators' root")
    key = p256()
    certificate = strange.issue(PVA, key=key.public_key(), eku=oids.EKU_ATTESTATION_RESULT)
    stranger = OperatorSigner(key=key, chain=(certificate,), issuer=PVA)
    token = stranger.sign(claims, typ=RESULT_KIND.typ)
    refused(RefusalCode.RESULT_INVALID, lambda: world.validation.take(token, at=world.at))
    refused(RefusalCode.RESULT_INVALID, lambda: world.validation.take("no token", at=world.at))
    assert world.state(order.id) is OrderState.VALIDATING


@pytest.mark.negative
@pytest.mark.requirement("R81")
def test_a_stale_result_is_refused(world: World) -> None:
    order = world.validating()
    token = world.pva.answer_all()
    later = world.at + timedelta(minutes=6)
    refused(RefusalCode.RESULT_INVALID, lambda: world.validation.take(token, at=later))
    assert world.state(order.id) is OrderState.VALIDATING


@pytest.mark.negative
@pytest.mark.requirement("R95")
@pytest.mark.parametrize(
    ("changed", "names"),
    [
        ({"device_id": "d1" * 32}, "another device"),
        ({"order_digest": b"\x01" * 32}, "another order"),
        ({"ak_name": b"\x00\x0b" + b"\x01" * 32}, "another AK"),
        ({"audience": (DPF,)}, "another audience"),
    ],
)
def test_a_result_about_something_else_is_refused(world: World, changed: dict[str, Any], names: str) -> None:
    order = world.validating()
    token = world.pva.answer_all(**changed)
    refusal = refused(RefusalCode.RESULT_MISMATCH, lambda: world.validation.take(token, at=world.at))
    assert names in refusal.reason
    assert world.state(order.id) is OrderState.VALIDATING


@pytest.mark.negative
def test_a_result_of_another_pva_than_was_asked_is_refused(world: World) -> None:
    world.validating()
    (request,) = world.pva.requests.values()
    token = world.other_pva.sign(world.other_pva.result(request))
    refusal = refused(RefusalCode.RESULT_MISMATCH, lambda: world.validation.take(token, at=world.at))
    assert OTHER_PVA in refusal.reason


@pytest.mark.negative
def test_a_result_that_answers_no_question_of_this_operator_changes_nothing(world: World) -> None:
    order = world.validating()
    assert not world.validation.take(world.fresh(order.id), at=world.at)
    assert world.state(order.id) is OrderState.VALIDATING
    assert world.store.accepted_request(order.id) is None


# --- what is made of it ----------------------------------------------------------------------------------


@pytest.mark.negative
@pytest.mark.requirement("R95")
@pytest.mark.requirement("R96")
@pytest.mark.parametrize("status", [Tier.WARNING, Tier.CONTRAINDICATED])
def test_a_platform_in_another_state_gets_nothing_and_the_reason_is_kept(world: World, status: Tier) -> None:
    order = world.validating()
    world.pva.status = status
    world.validation.take(world.pva.answer_all(), at=world.at)
    world.advance()
    assert world.state(order.id) is OrderState.REFUSED
    assert world.order(order.id).reason == f"{status.value}: pcr-mismatch"
    assert world.network.authorized == []
    assert world.store.informed(order.id) == ()


@pytest.mark.negative
@pytest.mark.requirement("R96")
@pytest.mark.parametrize(
    "changed",
    [
        {"purpose": "recovery"},
        {"submodules": {"platform": submodule(Tier.AFFIRMING, scope="platform")}},
        {"submodules": {"tre": submodule(Tier.AFFIRMING, scope="tre")}},
    ],
)
def test_a_verdict_for_another_purpose_or_on_one_scope_alone_permits_nothing(
    world: World, changed: dict[str, Any]
) -> None:
    order = world.validating()
    world.validation.take(world.pva.answer_all(**changed), at=world.at)
    assert world.state(order.id) is OrderState.REFUSED


def test_a_device_that_registers_again_is_validated_again(world: World) -> None:
    order = world.validating()
    world.pva.status = Tier.CONTRAINDICATED
    world.validation.take(world.pva.answer_all(), at=world.at)
    token = world.register()
    world.pva.status = Tier.AFFIRMING
    world.advance()
    assert token == world.order(order.id).token
    assert len(world.pva.requests) == 2
    world.validation.take(world.pva.answer_all(), at=world.at)
    assert world.store.accepted_request(order.id) is not None


def test_a_second_result_to_the_same_question_changes_nothing(world: World) -> None:
    order = world.validating()
    first = world.pva.answer_all()
    assert world.validation.take(first, at=world.at)
    assert world.validation.take(world.pva.answer_all(result_id="another"), at=world.at)
    accepted = world.store.accepted_request(order.id)
    assert accepted is not None
    assert accepted.result == first


def test_a_request_that_lapsed_is_asked_anew(world: World) -> None:
    order = world.validating()
    world.later(minutes=16)
    world.advance()
    assert len(world.pva.requests) == 2
    first = next(iter(world.pva.requests))
    world.pva.refused |= set(world.pva.requests) - {first}
    world.later(seconds=10)
    world.advance()
    assert len(world.pva.requests) > 2
    assert world.state(order.id) is OrderState.VALIDATING


def test_an_order_whose_token_lapsed_is_not_pursued(world: World) -> None:
    order = world.validating()
    world.later(days=1, seconds=1)
    world.advance()
    assert world.state(order.id) is OrderState.EXPIRED
