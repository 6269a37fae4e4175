"""Receipts: what opens the AuC, and what never does."""

from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta
from functools import partial
from typing import Any

import pytest

from messages.encoding import encode_deterministic
from messages.instruction import ACTIVATE, INSTRUCTION_KIND, read_claims
from messages.operator_token import verify_operator_token
from messages.reliance import verify_result
from operators.sho.order_states import OrderRecord, OrderState
from operators.sho.receipts import ReceiptAnswer
from operators.sho.refusals import RefusalCode, RefusalError
from standards.rats.ar4si import Tier
from tests.fakes.attesting_device import AttestingDevice
from tests.fakes.sho_peers import DPF, OTHER_PVA, SHO, submodule
from tests.fakes.sho_world import World

Delivered = tuple[World, OrderRecord]


def refused(code: RefusalCode, act: Callable[[], Any]) -> RefusalError:
    with pytest.raises(RefusalError) as caught:
        act()
    assert caught.value.code == code.value
    return caught.value


def take(world: World, message: bytes) -> ReceiptAnswer:
    return world.receipts.take(message, at=world.at)


def assert_closed(world: World, order: OrderRecord) -> None:
    """The AuC and the user know nothing."""
    assert world.state(order.id) is OrderState.AUTHORIZED
    refused(RefusalCode.SUBSCRIPTION_NOT_ACTIVE, lambda: world.authentication.vectors(world.imsi(order.id)))
    assert world.store.informed(order.id) == ()


# --- installed -------------------------------------------------------------------------------------------


@pytest.mark.requirement("R12")
@pytest.mark.requirement("R62")
@pytest.mark.requirement("R98")
@pytest.mark.requirement("R99")
def test_a_receipt_opens_the_auc_and_only_then_the_user_is_told(world: World) -> None:
    order = world.authorized()
    assert_closed(world, order)
    answer = take(world, world.message(order.id))
    assert answer.state is OrderState.ACTIVE
    assert world.state(order.id) is OrderState.ACTIVE
    assert len(world.authentication.vectors(world.imsi(order.id))) == 2
    assert len(world.store.informed(order.id)) == 1
    assert world.leaves(order.id)[-4:] == [
        "order-installed",
        "order-active",
        "user-informed",
        "receipt-taken",
    ]


def test_the_answer_is_an_instruction_to_this_tre_about_this_mid(world: World) -> None:
    order = world.authorized()
    answer = take(world, world.message(order.id))
    assert answer.instruction is not None
    signed = verify_operator_token(answer.instruction, INSTRUCTION_KIND, anchors=world.anchors, at=world.at)
    said = read_claims(signed.claims)
    assert (said.sho, said.action, said.device_id) == (SHO, ACTIVATE, world.keys.device.device_id)
    assert (said.mid_id, said.tre_nonce) == (world.package(order.id).mid_id, b"\x7e" * 32)


@pytest.mark.requirement("R99")
def test_a_repeated_receipt_gets_the_same_answer_and_a_new_one_a_new_instruction(world: World) -> None:
    order = world.authorized()
    message = world.message(order.id)
    first = take(world, message)
    world.later(hours=1)
    assert take(world, message) == first
    receipt = world.receipt(order.id, tre_nonce=b"\x7f" * 32)
    second = take(world, world.message(order.id, world.statement(order.id, receipt)))
    assert second.state is OrderState.ACTIVE
    assert second.instruction not in {None, first.instruction}
    assert len(world.store.informed(order.id)) == 1


@pytest.mark.requirement("R99")
def test_an_order_whose_package_may_be_at_the_device_outlives_its_token_for_the_receipt(world: World) -> None:
    order = world.authorized()
    message = world.message(order.id)
    world.later(days=1)
    world.advance()
    assert world.state(order.id) is OrderState.AUTHORIZED
    assert take(world, message).state is OrderState.ACTIVE


@pytest.mark.negative
def test_an_order_whose_receipt_never_came_lapses_and_makes_room_for_another(world: World) -> None:
    order = world.authorized()
    world.later(days=1)
    newer = world.place(key="a-second-order-here")
    world.register()
    assert world.state(newer.id) is OrderState.REGISTERED
    world.later(days=1)
    world.advance()
    assert world.state(order.id) is OrderState.EXPIRED


# --- what never opens it ---------------------------------------------------------------------------------


@pytest.mark.negative
@pytest.mark.requirement("R98")
@pytest.mark.requirement("R99")
def test_a_statement_that_the_tre_did_not_make_is_refused(delivered: Delivered) -> None:
    world, order = delivered
    receipt = world.receipt(order.id)
    forged = AttestingDevice(storage=world.keys.device.storage)
    statements = {
        "another AK": world.statement(order.id, receipt, device=forged),
        "another nonce": world.statement(order.id, receipt, nonce=bytes(32)),
    }
    for statement in statements.values():
        message = world.message(order.id, statement)
        refused(RefusalCode.RECEIPT_INVALID, partial(take, world, message))
    failed = world.statement(order.id, world.receipt(order.id, outcome="storage"))
    spliced = type(failed)(
        body=receipt.encode(),
        attest=failed.attest,
        signature=failed.signature,
        ak_public=failed.ak_public,
    )
    refused(RefusalCode.RECEIPT_INVALID, lambda: take(world, world.message(order.id, spliced)))
    assert_closed(world, order)


@pytest.mark.negative
def test_a_genuine_statement_in_another_state_wants_a_fresh_validation(delivered: Delivered) -> None:
    world, order = delivered
    moved = world.statement(order.id, world.receipt(order.id), pcr_digest=bytes(32))
    refused(RefusalCode.STATE_CHANGED, lambda: take(world, world.message(order.id, moved)))
    assert_closed(world, order)


@pytest.mark.negative
@pytest.mark.requirement("R64")
@pytest.mark.parametrize(
    ("changed", "named"),
    [
        ({"device_id": "d1" * 32}, "device"),
        ({"order_digest": b"\x01" * 32}, "order"),
        ({"package_digest": b"\x01" * 32}, "package"),
        ({"mid_id": "another"}, "MID"),
    ],
)
def test_a_receipt_of_another_phase_or_order_is_refused(
    delivered: Delivered, changed: dict[str, Any], named: str
) -> None:
    world, order = delivered
    statement = world.statement(order.id, world.receipt(order.id, **changed))
    refusal = refused(RefusalCode.RECEIPT_MISMATCH, lambda: take(world, world.message(order.id, statement)))
    assert named in refusal.reason
    assert_closed(world, order)


@pytest.mark.negative
@pytest.mark.requirement("R81")
@pytest.mark.parametrize(
    ("changed", "code"),
    [
        ({"audience": (DPF,)}, RefusalCode.RESULT_MISMATCH),
        ({"device_id": "d1" * 32}, RefusalCode.RESULT_MISMATCH),
        ({"order_digest": b"\x01" * 32}, RefusalCode.RESULT_MISMATCH),
        ({"ak_name": b"\x00\x0b" + b"\x01" * 32}, RefusalCode.RESULT_MISMATCH),
        ({"storage_key_name": b"\x00\x0b" + b"\x01" * 32}, RefusalCode.RESULT_MISMATCH),
        (
            {
                "submodules": {
                    name: submodule(Tier.CONTRAINDICATED, scope=name) for name in ("tre", "platform")
                }
            },
            RefusalCode.RESULT_NOT_AFFIRMING,
        ),
        ({"purpose": "recovery"}, RefusalCode.RESULT_NOT_AFFIRMING),
    ],
)
def test_a_fresh_result_that_is_wrong_in_one_respect_is_refused(
    delivered: Delivered, changed: dict[str, Any], code: RefusalCode
) -> None:
    world, order = delivered
    message = world.message(order.id, result=world.fresh(order.id, **changed))
    refused(code, lambda: take(world, message))
    assert_closed(world, order)


@pytest.mark.negative
@pytest.mark.requirement("R76")
def test_a_fresh_result_of_another_pva_than_this_operator_chose_is_refused(delivered: Delivered) -> None:
    world, order = delivered
    result = verify_result(world.fresh(order.id), anchors=world.anchors, at=world.at)
    foreign = world.other_pva.sign(replace(result, issuer=OTHER_PVA))
    refused(RefusalCode.RESULT_MISMATCH, lambda: take(world, world.message(order.id, result=foreign)))
    assert_closed(world, order)


@pytest.mark.negative
@pytest.mark.requirement("R81")
def test_a_fresh_result_that_is_forged_or_too_old_is_refused(delivered: Delivered) -> None:
    world, order = delivered
    message = world.message(order.id, result="forged")
    refused(RefusalCode.RESULT_INVALID, lambda: take(world, message))
    genuine = world.message(order.id)
    desk = replace(world.receipts, late=timedelta(minutes=10))
    for at in (world.at + timedelta(minutes=15), world.at - timedelta(minutes=1)):
        refused(RefusalCode.RESULT_INVALID, partial(desk.take, genuine, at=at))
    desk = replace(world.receipts, late=timedelta())
    refused(RefusalCode.RESULT_INVALID, lambda: desk.take(genuine, at=world.at + timedelta(minutes=5)))
    assert_closed(world, order)


@pytest.mark.requirement("R99")
def test_a_receipt_that_was_kept_while_this_operator_was_down_is_taken(world: World) -> None:
    order = world.authorized()
    message = world.message(order.id)
    desk = replace(world.receipts, late=timedelta(minutes=10))
    assert desk.take(message, at=world.at + timedelta(minutes=14)).state is OrderState.ACTIVE


@pytest.mark.negative
def test_a_message_that_is_none_and_an_order_of_others_are_refused(delivered: Delivered) -> None:
    world, order = delivered
    statement = world.statement(order.id, world.receipt(order.id)).encode()
    parts = {1: order.digest, 2: statement, 3: "token"}
    for wrong in (
        b"",
        b"\xa0",
        encode_deterministic({**parts, 4: 0}),
        encode_deterministic({**parts, 2: b"x"}),
    ):
        refused(RefusalCode.RECEIPT_MALFORMED, partial(take, world, wrong))
    message = encode_deterministic({**parts, 1: bytes(32)})
    refused(RefusalCode.ORDER_UNKNOWN, lambda: take(world, message))


@pytest.mark.negative
@pytest.mark.requirement("R96")
def test_a_receipt_before_anything_was_released_is_refused(world: World) -> None:
    order = world.validating()
    statement = AttestingDevice().ak.encode()
    message = encode_deterministic(
        {
            1: order.digest,
            2: encode_deterministic({1: b"b", 2: b"a", 3: b"s", 4: statement}),
            3: "token",
        }
    )
    refused(RefusalCode.ORDER_NOT_AUTHORIZED, lambda: take(world, message))


# --- failures --------------------------------------------------------------------------------------------


@pytest.mark.negative
@pytest.mark.requirement("R12")
@pytest.mark.requirement("R98")
@pytest.mark.parametrize("outcome", ["state-refused", "storage"])
def test_a_failure_that_a_new_try_can_mend_leaves_the_order_authorised(world: World, outcome: str) -> None:
    order = world.authorized()
    failed = world.statement(order.id, world.receipt(order.id, outcome=outcome))
    answer = take(world, world.message(order.id, failed))
    assert answer == ReceiptAnswer(state=OrderState.AUTHORIZED, instruction=None)
    assert_closed(world, order)
    assert take(world, world.message(order.id)).state is OrderState.ACTIVE


@pytest.mark.negative
@pytest.mark.requirement("R12")
@pytest.mark.requirement("R98")
def test_any_other_failure_ends_the_order_and_never_opens_the_auc(world: World) -> None:
    order = world.authorized()
    failed = world.statement(order.id, world.receipt(order.id, outcome="content-refused"))
    message = world.message(order.id, failed)
    assert take(world, message) == ReceiptAnswer(state=OrderState.FAILED, instruction=None)
    assert take(world, message).state is OrderState.FAILED
    refused(RefusalCode.ORDER_NOT_AUTHORIZED, lambda: take(world, world.message(order.id)))
    refused(RefusalCode.SUBSCRIPTION_NOT_ACTIVE, lambda: world.authentication.vectors(world.imsi(order.id)))
    assert world.store.informed(order.id) == ()
    assert "content-refused" in (world.order(order.id).reason or "")


@pytest.mark.negative
def test_a_failure_that_comes_after_success_takes_nothing_away(world: World) -> None:
    order = world.authorized()
    take(world, world.message(order.id))
    failed = world.statement(order.id, world.receipt(order.id, outcome="replayed"))
    answer = take(world, world.message(order.id, failed))
    assert answer == ReceiptAnswer(state=OrderState.ACTIVE, instruction=None)
    assert world.authentication.vectors(world.imsi(order.id))
