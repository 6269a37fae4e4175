"""The AuC: whom it answers, and with which numbers."""

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from operators.sho.order_states import OrderRecord, OrderState
from operators.sho.refusals import RefusalCode, RefusalError
from operators.sho.subscriber_secrets import SecretError, SubscriberSecrets
from operators.sho.subscriptions import (
    AuthenticationCentre,
    NumberPlan,
    Resynchronisation,
    StoredSubscription,
)
from standards.aka.sequence import SEQ_MAX, HomeSequence, UsimSequence
from standards.aka.vectors import Authenticated, authenticate, make_auts
from tests.fakes.sho_peers import KEY_FILE
from tests.fakes.sho_world import World


def refused(code: RefusalCode, act: Callable[[], Any]) -> None:
    with pytest.raises(RefusalError) as caught:
        act()
    assert caught.value.code == code.value


def active(world: World) -> tuple[OrderRecord, str]:
    order = world.authorized()
    world.receipts.take(world.message(order.id), at=world.at)
    return order, world.imsi(order.id)


def key_of(world: World, order: OrderRecord) -> Any:
    (subscription,) = world.store.subscriptions_of(order.id)
    return world.maker.open(subscription.imsi, subscription.sealed).functions


@pytest.mark.requirement("R62")
def test_a_usim_with_the_subscription_takes_the_vectors_in_their_order(world: World) -> None:
    order, imsi = active(world)
    key, sequence = key_of(world, order), UsimSequence()
    for vector in (*world.authentication.vectors(imsi), *world.authentication.vectors(imsi)):
        answer = authenticate(key, rand=vector.rand, autn=vector.autn, sequence=sequence)
        assert isinstance(answer, Authenticated)
        assert (answer.res, answer.ck, answer.ik) == (vector.xres, vector.ck, vector.ik)
        sequence = answer.sequence


@pytest.mark.negative
@pytest.mark.requirement("R62")
@pytest.mark.requirement("R104")
def test_the_auc_knows_nobody_before_the_device_has_declared_its_operator(world: World) -> None:
    order = world.place()
    assert world.store.subscriptions_of(order.id) == ()
    refused(RefusalCode.SUBSCRIPTION_UNKNOWN, lambda: world.authentication.vectors("262070000000001"))
    assert world.leaves(order.id) == ["order-taken", "order-announced"]


@pytest.mark.negative
@pytest.mark.requirement("R62")
@pytest.mark.requirement("R104")
def test_the_auc_refuses_until_the_order_is_active(world: World) -> None:
    order = world.place()
    world.register()

    def ask() -> None:
        refused(
            RefusalCode.SUBSCRIPTION_NOT_ACTIVE, lambda: world.authentication.vectors(world.imsi(order.id))
        )

    ask()
    world.advance()
    ask()
    world.validation.take(world.pva.answer_all(), at=world.at)
    ask()
    world.advance()
    assert world.state(order.id) is OrderState.AUTHORIZED
    ask()


def test_resynchronisation_goes_on_after_the_usim_s_number(world: World) -> None:
    order, imsi = active(world)
    key, rand = key_of(world, order), b"\x11" * 16
    auts = make_auts(key, rand=rand, sqn_ms=5_000 << 5)
    (first, *_) = world.authentication.vectors(
        imsi, resynchronisation=Resynchronisation(rand=rand, auts=auts)
    )
    sequence = UsimSequence(highest=(5_000, *(0,) * 31))
    answer = authenticate(key, rand=first.rand, autn=first.autn, sequence=sequence)
    assert isinstance(answer, Authenticated)


@pytest.mark.negative
def test_a_forged_resynchronisation_is_refused_and_changes_nothing(world: World) -> None:
    order, imsi = active(world)
    before = world.store.subscriptions_of(order.id)
    forged = Resynchronisation(rand=b"\x11" * 16, auts=bytes(14))
    refused(
        RefusalCode.RESYNCHRONISATION_INVALID,
        lambda: world.authentication.vectors(imsi, resynchronisation=forged),
    )
    assert world.store.subscriptions_of(order.id) == before


@pytest.mark.negative
def test_numbers_that_are_used_up_are_not_given_again() -> None:
    secrets = SubscriberSecrets(key=KEY_FILE, random_bytes=bytes)

    class Used:
        def take_sequence(
            self, imsi: str, *, advance: Callable[[StoredSubscription], HomeSequence]
        ) -> StoredSubscription | None:
            subscriber = StoredSubscription(
                imsi=imsi,
                order_id="o",
                access="cellular",
                active=True,
                sequence=HomeSequence(seq=SEQ_MAX - 1, ind=0),
                sealed=secrets.seal(bytes(32), bound_to=imsi),
            )
            advance(subscriber)
            return subscriber

    centre = AuthenticationCentre(store=Used(), maker=_maker(secrets), random_bytes=bytes)
    refused(RefusalCode.SEQUENCE_USED_UP, lambda: centre.vectors("262070000000001"))


def _maker(secrets: SubscriberSecrets) -> Any:
    from operators.sho.subscriptions import SubscriptionMaker  # noqa: PLC0415 - one use

    return SubscriptionMaker(numbers=NumberPlan(mcc="262", mnc="07"), secrets=secrets, random_bytes=bytes)


def test_imsis_have_fifteen_digits_and_end() -> None:
    plan = NumberPlan(mcc="001", mnc="001")
    assert plan.imsi(7) == "001001000000007"
    for number in (0, 10**9):
        with pytest.raises(ValueError, match="999999999 IMSIs"):
            plan.imsi(number)


@pytest.mark.negative
def test_what_is_sealed_opens_for_its_subscriber_and_key_alone(world: World) -> None:
    secrets = world.secrets
    sealed = secrets.seal(b"K and OPc", bound_to="262070000000001")
    assert secrets.open(sealed, bound_to="262070000000001") == b"K and OPc"
    other = replace(secrets, key=b"\x01" * 32)
    for opener, subscriber, data in (
        (secrets, "262070000000002", sealed),
        (other, "262070000000001", sealed),
        (secrets, "262070000000001", sealed[:-1] + bytes([sealed[-1] ^ 1])),
        (secrets, "262070000000001", b""),
    ):
        with pytest.raises(SecretError):
            opener.open(data, bound_to=subscriber)
    with pytest.raises(SecretError, match="32 bytes"):
        SubscriberSecrets(key=b"short", random_bytes=bytes)
    assert KEY_FILE.hex() not in repr(secrets)
    assert str(KEY_FILE) not in repr(secrets)
