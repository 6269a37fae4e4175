"""Orders: for this device, named by the DRF, agreed to by a person or by the supplier's record of ownership."""

from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from m2me_agent.tre.errors import AnchorError, MalformedError, OrderError, StateError, TreError
from m2me_agent.tre.orders import ORDERS_MAX, AcceptedOrder
from m2me_agent.tre_protocol import (
    AGENT_OPERATIONS,
    Operation,
    Refusal,
    Request,
    decode_response,
    encode_request,
)
from messages.ownership import OWNERSHIP_TYPE, Ownership
from standards.pki import oids
from standards.pki.jws import sign_jws
from tests.fakes.network import operator
from tests.fakes.pki import LEAF_USAGE, NOW, Authority, p256
from tests.unit.m2me_agent.tre.subscriptions import ES_ROOT, NETWORK, OPERATORS_ROOT, World


@pytest.fixture
def world(tmp_path: Path) -> World:
    return World(folder=tmp_path)


def accept(world: World, **changed: Any) -> AcceptedOrder:
    parameters = world.network.accepting(world.target, **changed)
    return world.device.operations.orders.accept(**parameters)  # type: ignore[arg-type]


def refused(world: World, error: type[TreError], parameters: dict[str, Any], *, match: str) -> None:
    before = dict(world.storage.records)
    with pytest.raises(error, match=match):
        world.device.operations.orders.accept(**parameters)
    assert world.storage.records == before


@pytest.mark.requirement("R13")
@pytest.mark.requirement("R63")
def test_an_order_waits_for_consent_and_the_same_order_again_is_the_same(world: World) -> None:
    accepted = accept(world)
    assert accepted.consent == "awaited"
    assert accept(world) == accepted
    assert [each.order_code for each in world.device.operations.orders.pending()] == ["12345671"]
    world.restart()
    world.device.operations.orders.consent(accepted.digest)
    assert accept(world).consent == "given"


@pytest.mark.requirement("R63")
@pytest.mark.requirement("R64")
@pytest.mark.negative
@pytest.mark.parametrize("changed", [{"device_id": "00" * 32}, {"ak_name": b"\x00\x0b" + bytes(32)}])
def test_an_order_for_another_device_or_ak_is_refused(world: World, changed: dict[str, Any]) -> None:
    order = replace(world.network.order(world.target), **changed)
    parameters = world.network.accepting(world.target, order=order)
    refused(world, OrderError, parameters, match="another device or AK")


@pytest.mark.requirement("R06")
@pytest.mark.negative
@pytest.mark.parametrize(
    ("changed", "match"),
    [
        ({"device_id": "00" * 32}, "another device"),
        ({"nonce": b"x" * 32}, "another question"),
        ({"sho": "sho-2"}, "names the operator"),
        ({"sho_name": "Somebody Else"}, "knows the operator as"),
    ],
)
def test_a_discovery_that_is_not_the_answer_is_refused(
    world: World, changed: dict[str, Any], match: str
) -> None:
    discovery = replace(world.network.discovery(world.target), **changed)
    refused(world, OrderError, world.network.accepting(world.target, discovery=discovery), match=match)


@pytest.mark.requirement("R06")
@pytest.mark.negative
@pytest.mark.parametrize("role", ["sho", "drf"])
@pytest.mark.parametrize("kind", ["foreign root", "another role"])
def test_tokens_of_others_are_refused(world: World, role: str, kind: str) -> None:
    ekus = {"sho": oids.EKU_SUBSCRIPTION, "drf": oids.EKU_DISCOVERY}
    root = OPERATORS_ROOT if kind == "another role" else Authority.root("operators' root")
    signer = operator(root, role if kind == "foreign root" else "dpf", ekus[role], issuer=f"{role}-1")
    setattr(world.network, role, signer)
    refused(world, AnchorError, world.network.accepting(world.target), match="root")


@pytest.mark.requirement("R63")
@pytest.mark.negative
@pytest.mark.parametrize("token", ["", "a.b.c", "a.b", "\u00e9.b.c", "e30.e30.e30", "x" * 40_000])
def test_what_is_no_token_is_refused(world: World, token: str) -> None:
    parameters = {**world.network.accepting(world.target), "order": token}
    refused(world, MalformedError, parameters, match="token")


@pytest.mark.requirement("R63")
@pytest.mark.negative
def test_an_order_that_ended_before_the_known_time_is_refused(world: World) -> None:
    order = world.network.order(world.target)
    over = replace(order, issued_at=NOW - timedelta(hours=2), expires_at=NOW)
    refused(world, AnchorError, world.network.accepting(world.target, order=over), match="not over")


def test_an_order_that_is_not_known_to_be_over_is_taken(world: World) -> None:
    order = world.network.order(world.target)
    later = replace(order, issued_at=NOW + timedelta(days=1), expires_at=NOW + timedelta(days=2))
    assert accept(world, order=later).consent == "awaited"


# --- consent ----------------------------------------------------------------------------------------------


def ask_mmi(world: World, operation: Operation, **parameters: bytes) -> Any:
    payload = world.mmi.answer(encode_request(Request(operation=operation, parameters=parameters)))
    return decode_response(payload, operation=operation)


@pytest.mark.requirement("R13")
def test_a_person_sees_name_and_code_and_consents_or_refuses(world: World) -> None:
    digest = accept(world).digest
    assert ask_mmi(world, Operation.PENDING) == {
        "orders": [
            {
                "order_digest": digest,
                "sho": "sho-1",
                "sho_name": "Example Mobile",
                "order_code": "12345671",
                "consent": "awaited",
            }
        ]
    }
    assert ask_mmi(world, Operation.CONSENT, order_digest=digest) == {"order_digest": digest}
    assert accept(world).consent == "given"
    assert ask_mmi(world, Operation.REFUSE, order_digest=digest) == {"order_digest": digest}
    assert ask_mmi(world, Operation.PENDING) == {"orders": []}


@pytest.mark.requirement("R13")
@pytest.mark.requirement("R31")
@pytest.mark.negative
def test_an_order_that_was_refused_is_not_shown_again_and_installs_nothing(world: World) -> None:
    digest = accept(world).digest
    world.device.operations.orders.refuse(digest)
    refused(world, OrderError, world.network.accepting(world.target), match="was refused by a person")
    assert isinstance(ask_mmi(world, Operation.CONSENT, order_digest=digest), Refusal)
    assert world.install(world.network.good_parcel(world.target)).outcome == "order-refused"


@pytest.mark.requirement("R13")
@pytest.mark.requirement("R31")
@pytest.mark.negative
def test_the_agent_cannot_consent_and_the_mmi_cannot_do_anything_else(world: World) -> None:
    digest = accept(world).digest
    request = Request(operation=Operation.CONSENT, parameters={"order_digest": digest})
    answer = decode_response(
        world.device.operations.answer(encode_request(request)), operation=Operation.CONSENT
    )
    assert isinstance(answer, Refusal)
    assert accept(world).consent == "awaited"
    status = world.mmi.answer(encode_request(Request(operation=Operation.STATUS, parameters={})))
    assert isinstance(decode_response(status, operation=Operation.STATUS), Refusal)
    assert Operation.CONSENT not in AGENT_OPERATIONS


@pytest.mark.requirement("R13")
@pytest.mark.negative
@pytest.mark.parametrize("operation", [Operation.CONSENT, Operation.REFUSE])
def test_an_order_that_does_not_wait_cannot_be_decided(world: World, operation: Operation) -> None:
    answer = ask_mmi(world, operation, order_digest=bytes(32))
    assert isinstance(answer, Refusal)
    assert answer.code == "order-refused"


@pytest.mark.requirement("R13")
@pytest.mark.negative
def test_a_flood_of_orders_drops_the_oldest_that_nobody_agreed_to(world: World) -> None:
    first = accept(world)
    world.device.operations.orders.consent(first.digest)
    digests = []
    for number in range(2, ORDERS_MAX + 3):
        order = replace(world.network.order(world.target), order_id=f"order-{number}")
        digests.append(accept(world, order=order).digest)
    left = [each.digest for each in world.device.operations.orders.pending()]
    assert left == [first.digest, *digests[-(ORDERS_MAX - 1) :]]


@pytest.mark.requirement("R13")
@pytest.mark.negative
def test_what_was_agreed_to_is_never_dropped(world: World) -> None:
    signers = [
        operator(OPERATORS_ROOT, "sho", oids.EKU_SUBSCRIPTION, issuer=f"sho-{number}")
        for number in range(2, ORDERS_MAX + 3)
    ]
    try:
        for signer in signers[:ORDERS_MAX]:
            world.network.sho = signer
            world.device.operations.orders.consent(accept(world).digest)
        world.network.sho = signers[-1]
        refused(world, OrderError, world.network.accepting(world.target), match="wait already")
    finally:
        world.network.sho = NETWORK.sho


@pytest.mark.requirement("R13")
def test_one_order_of_an_operator_is_agreed_to_at_a_time(world: World) -> None:
    orders = world.device.operations.orders
    first = accept(world)
    second = accept(world, order=replace(world.network.order(world.target), order_id="order-2"))
    orders.consent(first.digest)
    orders.consent(second.digest)
    assert [(each.digest, each.consent) for each in orders.pending()] == [(second.digest, "given")]


@pytest.mark.requirement("R53")
def test_the_same_registration_after_the_installation_needs_no_second_consent(world: World) -> None:
    world.installed()
    assert accept(world).consent == "given"


def ownership(*, device_id: str, root: Authority = ES_ROOT, eku: Any = oids.EKU_BATCH_SIGNING) -> str:
    key = p256()
    leaf = root.issue("supplier", key=key.public_key(), eku=eku, extensions=[(LEAF_USAGE, True)])
    record = Ownership(
        supplier="acme", device_id=device_id, owner="owner-1", operators=("sho-1",), issued_at=NOW
    )
    return sign_jws(record.claims(), key=key, chain=(leaf,), typ=OWNERSHIP_TYPE)


@pytest.mark.requirement("R13")
def test_the_suppliers_record_stands_for_the_consent_to_the_operators_that_it_names(world: World) -> None:
    world.device.ownership = ownership(device_id=world.target.device_id)
    world.restart()
    assert accept(world).consent == "given"
    try:
        world.network.sho = operator(OPERATORS_ROOT, "sho", oids.EKU_SUBSCRIPTION, issuer="sho-2")
        assert accept(world).consent == "awaited"
    finally:
        world.network.sho = NETWORK.sho


@pytest.mark.requirement("R13")
@pytest.mark.negative
@pytest.mark.parametrize("kind", ["another device", "operators' root", "another purpose", "nonsense"])
def test_a_record_that_is_not_the_suppliers_word_on_this_device_is_not_used(world: World, kind: str) -> None:
    own = world.target.device_id
    world.device.ownership = {
        "another device": ownership(device_id="00" * 32),
        "operators' root": ownership(device_id=own, root=OPERATORS_ROOT),
        "another purpose": ownership(device_id=own, eku=oids.EKU_MANIFEST_SIGNING),
        "nonsense": "nonsense",
    }[kind]
    world.restart()
    assert accept(world).consent == "awaited"


@pytest.mark.negative
@pytest.mark.parametrize("content", [b"", b"\xa0", b"\xa1\x01\x81\xa0"])
def test_a_record_that_is_none_is_told(world: World, content: bytes) -> None:
    world.storage.records["orders"] = content
    with pytest.raises(StateError):
        world.device.operations.orders.pending()
