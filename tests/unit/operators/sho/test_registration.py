"""Orders and registrations: one order, one device, one token."""

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from messages.device_code import device_code
from messages.operator_token import verify_operator_token
from messages.order import ORDER_KIND, read_claims
from operators.sho.order_states import OrderState
from operators.sho.refusals import RefusalCode, RefusalError
from standards.pki import oids
from standards.tpm2.constants import ObjectAttributes
from tests.fakes.attesting_device import AttestingDevice
from tests.fakes.credentials import CredentialPlan, FakeSupplier, hw_type
from tests.fakes.pki import EXPIRED
from tests.fakes.sho_peers import DPF, SHO
from tests.fakes.sho_world import World


def refused(code: RefusalCode, act: Callable[[], Any]) -> RefusalError:
    with pytest.raises(RefusalError) as caught:
        act()
    assert caught.value.code == code.value
    assert caught.value.subject
    assert caught.value.remedy
    return caught.value


def chain_of(world: World, plan: CredentialPlan, *, supplier: FakeSupplier | None = None) -> Any:
    device, maker = world.keys.device, supplier or world.keys.supplier
    return maker.chain(maker.credential(device.device_id, device.ak_key.public_key(), plan=plan))


# --- a user orders ---------------------------------------------------------------------------------------


@pytest.mark.requirement("R10")
@pytest.mark.requirement("R50")
def test_an_order_is_taken_and_announced(world: World) -> None:
    order = world.place()
    assert order.state is OrderState.ORDERED
    assert len(order.order_code) == 8
    assert world.network.announced == [(order.id, order.device_code)]
    assert world.order(order.id).announced
    assert world.leaves(order.id) == ["order-taken", "order-announced"]


@pytest.mark.requirement("R92")
def test_the_same_request_under_the_same_key_is_the_same_order(world: World) -> None:
    first = world.place()
    assert world.place(device_code=first.device_code.lower().replace("-", " ")).id == first.id
    assert world.place(key="another-order-of-a-user").id != first.id


@pytest.mark.negative
def test_another_request_under_the_same_key_is_refused(world: World) -> None:
    world.place()
    refused(RefusalCode.IDEMPOTENCY_CONFLICT, lambda: world.place(subscriber="Charles Babbage"))


@pytest.mark.negative
def test_a_mistyped_code_and_an_unknown_product_are_refused(world: World) -> None:
    code = device_code(world.keys.device.device_id)
    swapped = code.replace(code[0], "0" if code[0] != "0" else "1")
    refused(RefusalCode.DEVICE_CODE_INVALID, lambda: world.place(device_code=swapped))
    refused(RefusalCode.PRODUCT_UNKNOWN, lambda: world.place(product="M2M 1000"))
    assert world.network.announced == []


def test_an_order_stands_while_the_drf_is_down_and_is_announced_later(world: World) -> None:
    world.network.drf_reachable = False
    order = world.place()
    world.advance()
    assert (world.network.announced, world.wakes) == ([], 1)
    world.network.drf_reachable = True
    world.later(seconds=2)
    world.advance()
    assert world.network.announced == [(order.id, order.device_code)]


@pytest.mark.negative
def test_the_state_of_an_order_is_for_whoever_has_its_secret(world: World) -> None:
    order = world.place()
    secret = world.secrets.order_secret(order.id)
    assert world.registrar.state(order.id, secret=secret) == (world.order(order.id), ())
    refused(RefusalCode.ORDER_UNKNOWN, lambda: world.registrar.state(order.id, secret="0" * 64))
    refused(RefusalCode.ORDER_UNKNOWN, lambda: world.registrar.state("other", secret=secret))


def test_the_name_of_a_subscriber_is_stored_sealed_and_known_by_a_pseudonym(world: World) -> None:
    order = world.place()
    assert "Ada" not in repr(world.order(order.id))
    assert order.subscriber == world.secrets.pseudonym("Ada Lovelace") != world.secrets.pseudonym("Ada")


# --- a device registers ----------------------------------------------------------------------------------


@pytest.mark.requirement("R53")
@pytest.mark.requirement("R64")
@pytest.mark.requirement("R65")
def test_the_order_token_binds_order_device_and_ak(world: World) -> None:
    placed = world.place()
    token = world.register()
    signed = verify_operator_token(token, ORDER_KIND, anchors=world.anchors, at=world.at)
    order = read_claims(signed.claims)
    assert (order.order_id, order.order_code, order.sho, order.audience) == (
        placed.id,
        placed.order_code,
        SHO,
        DPF,
    )
    assert (order.device_id, order.ak_name) == (world.keys.device.device_id, world.keys.device.ak.name)
    assert order.digest == world.order(placed.id).digest
    assert order.subscriber == placed.subscriber
    assert world.state(placed.id) is OrderState.REGISTERED


@pytest.mark.requirement("R92")
def test_the_same_device_gets_the_same_token_and_one_subscription(world: World) -> None:
    order = world.place()
    assert world.register() == world.register()
    assert world.imsi(order.id) == "262070000000001"
    assert world.leaves(order.id).count("order-registered") == 1


@pytest.mark.negative
@pytest.mark.requirement("R63")
def test_a_device_for_which_nothing_was_ordered_is_refused(world: World) -> None:
    refused(RefusalCode.NO_ORDER, world.register)
    world.place(device_code=device_code("d1" * 32))
    refused(RefusalCode.NO_ORDER, world.register)


@pytest.mark.negative
@pytest.mark.requirement("R53")
@pytest.mark.requirement("R63")
def test_another_device_is_refused_even_with_the_same_code(world: World) -> None:
    order = world.place()
    world.register()
    device = world.keys.device
    twin_id = device.device_id[:20] + "0" * 44
    twin = AttestingDevice(storage=device.storage)
    supplier = world.keys.supplier
    chain = supplier.chain(supplier.credential(twin_id, twin.ak_key.public_key()))
    refusal = refused(
        RefusalCode.ORDER_TAKEN,
        lambda: world.register(device_id=twin_id, pfc_chain=chain, ak_public=twin.ak.encode()),
    )
    assert "another device" in refusal.reason
    chain = supplier.chain(supplier.credential(device.device_id, twin.ak_key.public_key()))
    refusal = refused(
        RefusalCode.ORDER_TAKEN, lambda: world.register(pfc_chain=chain, ak_public=twin.ak.encode())
    )
    assert "another AK" in refusal.reason
    assert world.order(order.id).device_id == device.device_id


@pytest.mark.negative
def test_an_ak_that_is_none_is_refused(world: World) -> None:
    world.place()
    refused(RefusalCode.AK_UNACCEPTABLE, lambda: world.register(ak_public=b"\x00\x23"))
    ak = world.keys.device.ak
    decrypting = replace(ak, attributes=ak.attributes | ObjectAttributes.DECRYPT)
    refused(RefusalCode.AK_UNACCEPTABLE, lambda: world.register(ak_public=decrypting.encode()))


@pytest.mark.negative
def test_a_credential_over_another_key_or_for_another_device_is_refused(world: World) -> None:
    world.place()
    supplier, device = world.keys.supplier, world.keys.device
    other_key = supplier.chain(supplier.credential(device.device_id, AttestingDevice().ak_key.public_key()))
    refused(RefusalCode.AK_MISMATCH, lambda: world.register(pfc_chain=other_key))
    other_device = supplier.chain(supplier.credential("d1" * 32, device.ak_key.public_key()))
    refused(RefusalCode.DEVICE_MISMATCH, lambda: world.register(pfc_chain=other_device))


@pytest.mark.negative
@pytest.mark.parametrize(
    ("plan", "code"),
    [
        (CredentialPlan(purposes=(oids.EKU_TPM_AIK,)), RefusalCode.PFC_WRONG_PURPOSE),
        (CredentialPlan(purposes=(oids.EKU_PLATFORM_CREDENTIAL,)), RefusalCode.PFC_WRONG_PURPOSE),
        (CredentialPlan(named_device=False), RefusalCode.PFC_INVALID),
        (CredentialPlan(validity=EXPIRED), RefusalCode.PFC_INVALID),
    ],
)
def test_a_credential_that_is_wrong_in_one_respect_is_refused(
    world: World, plan: CredentialPlan, code: RefusalCode
) -> None:
    world.place()
    refused(code, lambda: world.register(pfc_chain=chain_of(world, plan)))
    refused(RefusalCode.PFC_INVALID, lambda: world.register(pfc_chain=[b"\x30\x00"]))


@pytest.mark.negative
@pytest.mark.requirement("R19")
def test_a_supplier_or_model_that_this_operator_does_not_recognise_is_refused(world: World) -> None:
    world.place()
    foreign = FakeSupplier.make("Unknown")
    chain = chain_of(world, CredentialPlan(), supplier=foreign)
    refused(RefusalCode.SUPPLIER_NOT_RECOGNISED, lambda: world.register(pfc_chain=chain))
    impostor = FakeSupplier.make(world.keys.supplier.name)
    chain = chain_of(world, CredentialPlan(), supplier=impostor)
    refused(RefusalCode.PFC_INVALID, lambda: world.register(pfc_chain=chain))
    world.suppliers[0] = replace(world.suppliers[0], models=frozenset({hw_type(2)}))
    refused(RefusalCode.MODEL_NOT_RECOGNISED, world.register)
    world.suppliers[0] = replace(world.suppliers[0], models=frozenset({hw_type(1)}))
    assert world.register()


# --- several orders for one device -----------------------------------------------------------------------


@pytest.mark.negative
@pytest.mark.parametrize("registered", [False, True])
def test_a_newer_order_takes_the_place_of_one_that_released_nothing(world: World, registered: bool) -> None:  # noqa: FBT001 - a parameter of the test
    older = world.place()
    if registered:
        world.register()
    newer = world.place(key="a-second-order-here")
    world.register()
    assert (world.state(older.id), world.state(newer.id)) == (OrderState.EXPIRED, OrderState.REGISTERED)
    assert newer.id in (world.order(older.id).reason or "")


def test_an_order_whose_package_is_under_way_is_finished_first(world: World) -> None:
    older = world.authorized()
    newer = world.place(key="a-second-order-here")
    assert world.register() == world.order(older.id).token
    assert world.state(newer.id) is OrderState.ORDERED
    world.receipts.take(world.message(older.id), at=world.at)
    assert world.register() == world.order(newer.id).token
    assert world.state(older.id) is OrderState.ACTIVE


@pytest.mark.negative
def test_an_order_that_nobody_came_for_lapses(world: World) -> None:
    order = world.place()
    world.later(days=8)
    refused(RefusalCode.NO_ORDER, world.register)
    world.advance()
    assert world.state(order.id) is OrderState.EXPIRED
