"""Updates of MIDs at an SHO: the AuC has one key at any moment, and which one the TRE's receipt says; on every store."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import pytest

from messages.instruction import BLOCK, DEACTIVATE, ERASE
from messages.instruction import read_claims as read_instruction
from messages.order import read_claims as read_order
from operators.sho.bundles import Bundle
from operators.sho.lives import StepKind
from operators.sho.mid_updates import UpdateWish
from operators.sho.order_states import OrderRecord, OrderState, Prior
from operators.sho.receipts import ReceiptAnswer
from operators.sho.refusals import RefusalCode, RefusalError
from standards.aka.vectors import make_vector
from tests.contract.test_sho_store import stored
from tests.fakes.sho_lives import TreVoice, claims_of
from tests.fakes.sho_peers import PRIOR_SHO, Keys
from tests.fakes.sho_world import World

RAND = bytes(16)


@pytest.fixture(scope="module")
def keys() -> Keys:
    return Keys()


@pytest.fixture(params=["memory", "sqlite", "postgresql"])
def world(request: pytest.FixtureRequest, tmp_path: Path, keys: Keys) -> Iterator[World]:
    if request.param == "memory":
        yield World(keys)
        return
    url = f"sqlite:///{tmp_path / 'sho.db'}"
    if request.param == "postgresql":
        url = request.getfixturevalue("postgresql").new_database()
    store = stored(url)
    yield World(keys, store=store)
    store.engine.dispose()


@contextmanager
def refused(code: RefusalCode, *, match: str | None = None) -> Iterator[None]:
    """What is inside is refused with this code."""
    with pytest.raises(RefusalError, match=match) as caught:
        yield
    assert caught.value.code == code.value


def place(
    world: World,
    order: OrderRecord,
    *,
    product: str | None = None,
    fresh_keys: bool = True,
    key: str = "an-update-of-a-mid",
) -> OrderRecord:
    """The staff orders an update."""
    wish = UpdateWish(product=product, has_fresh_keys=fresh_keys, idempotency_key=key)
    return world.mid_updates.place(order.id, wish, at=world.at)


def offered(world: World, order: OrderRecord) -> str:
    """The device asks, its TRE reports, and hears of the update: the order token."""
    voice = TreVoice(world, order)
    step = voice.ask(voice.report(voice.ask()))
    assert step.kind is StepKind.UPDATE
    assert step.token is not None
    return step.token


def authorized(world: World, update: OrderRecord) -> OrderRecord:
    """The update, from its registration to the DPF."""
    world.advance()
    world.validation.take(world.pva.answer_all(), at=world.at)
    world.advance()
    found = world.order(update.id)
    assert found.state is OrderState.AUTHORIZED
    return found


def receive(world: World, update: OrderRecord, **changed: object) -> ReceiptAnswer:
    """The TRE's receipt of the update's package."""
    said = world.statement(update.id, world.receipt(update.id, **changed))
    return world.receipts.take(world.message(update.id, said), at=world.at)


def updated(
    world: World, order: OrderRecord, *, key: str = "an-update-of-a-mid", fresh_keys: bool = True
) -> OrderRecord:
    """One update, whole."""
    update = place(world, order, key=key, fresh_keys=fresh_keys)
    offered(world, order)
    authorized(world, update)
    receive(world, update)
    return world.order(update.id)


def packed_xres(world: World, order: OrderRecord) -> bytes:
    """What the content that an order has, or is to have, answers to RAND."""
    (subscription,) = world.store.subscriptions_of(order.id)
    key = world.maker.open(subscription.imsi, subscription.sealed).functions
    return make_vector(key, rand=RAND, sqn=1, amf=bytes(2)).xres


def auc_xres(world: World, imsi: str) -> bytes:
    """What the AuC expects in answer to RAND, from whoever has this IMSI; the AuC serves it."""
    world.authentication.vectors(imsi)
    subscriber = world.store.take_sequence(imsi, advance=lambda before: before.sequence)
    key = world.maker.open(imsi, subscriber.sealed).functions
    return make_vector(key, rand=RAND, sqn=1, amf=bytes(2)).xres


@pytest.mark.requirement("R46", "R56", "R57", "R99")
def test_the_auc_takes_the_new_key_with_the_receipt_and_has_one_key_at_any_moment(world: World) -> None:
    order = world.active()
    imsi, old, first = world.imsi(order.id), packed_xres(world, order), world.package(order.id)
    update = place(world, order)
    assert update.state is OrderState.ORDERED
    ordered = read_order(claims_of(offered(world, order)))
    assert (ordered.updates, ordered.device_id) == (first.mid_id, order.device_id)
    update = authorized(world, update)
    new, package = packed_xres(world, update), world.package(update.id)
    assert (package.mid_id, package.version) == (first.mid_id, first.version + 1)
    assert new != old
    assert auc_xres(world, imsi) == old
    message = world.message(update.id)
    answer = world.receipts.take(message, at=world.at)
    said = read_instruction(claims_of(answer.instruction))
    assert (answer.state, said.action, said.mid_id) == (OrderState.ACTIVE, "activate", first.mid_id)
    assert auc_xres(world, imsi) == new
    assert (world.imsi(update.id), world.store.subscriptions_of(order.id)) == (imsi, ())
    assert (world.state(order.id), world.state(update.id)) == (OrderState.SUPERSEDED, OrderState.ACTIVE)
    assert "subscription-taken-over" in world.leaves(update.id)
    assert world.receipts.take(message, at=world.at) == answer


@pytest.mark.requirement("R46")
def test_keys_stay_where_nobody_wants_others(world: World) -> None:
    order = world.active()
    old = packed_xres(world, order)
    update = updated(world, order, fresh_keys=False)
    assert (packed_xres(world, update), auc_xres(world, world.imsi(update.id))) == (old, old)


@pytest.mark.requirement("R46", "R47")
@pytest.mark.negative
def test_no_other_receipt_is_one_of_this_version(world: World) -> None:
    order = world.active()
    imsi, old = world.imsi(order.id), packed_xres(world, order)
    update = place(world, order)
    offered(world, order)
    update = authorized(world, update)
    for wrong in ({"version": 1}, {"mid_id": "mid-of-another"}, {"package_digest": bytes(32)}):
        with refused(RefusalCode.RECEIPT_MISMATCH):
            receive(world, update, **wrong)
    assert auc_xres(world, imsi) == old
    answer = receive(world, update, outcome="rollback")
    assert (answer.state, answer.instruction) == (OrderState.FAILED, None)
    assert (world.state(order.id), auc_xres(world, imsi)) == (OrderState.ACTIVE, old)


@pytest.mark.requirement("R46", "R97")
def test_a_receipt_that_was_lost_is_made_up_for_by_the_next_version_under_the_same_order(
    world: World,
) -> None:
    order = world.active()
    update = place(world, order)
    token = offered(world, order)
    update = authorized(world, update)
    before = world.package(update.id)
    world.later(minutes=16)  # the authorisation has lapsed, and the TRE has the new version
    step = world.lives.next_step(update.digest or b"", None, at=world.at)
    assert (step.kind, step.token) == (StepKind.UPDATE, token)
    assert world.state(update.id) is OrderState.REGISTERED
    authorized(world, update)
    package = world.package(update.id)
    assert (package.mid_id, package.version) == (before.mid_id, before.version + 1)
    assert receive(world, update).state is OrderState.ACTIVE


@pytest.mark.requirement("R46")
def test_an_update_that_lapsed_with_its_receipt_lost_is_made_up_for_by_another_one(world: World) -> None:
    order = world.active()
    lost = place(world, order)
    offered(world, order)
    lost = authorized(world, lost)
    version = world.package(lost.id).version
    world.later(days=2, minutes=1)
    world.advance()
    assert world.state(lost.id) is OrderState.EXPIRED
    with refused(RefusalCode.ORDER_NOT_AUTHORIZED):
        world.lives.next_step(lost.digest or b"", None, at=world.at)
    following = place(world, order, key="an-update-of-a-mid-2", fresh_keys=False)
    step = world.lives.next_step(lost.digest or b"", None, at=world.at)
    assert step.kind is StepKind.UPDATE
    authorized(world, following)
    assert world.package(following.id).version == version + 1
    assert receive(world, following).state is OrderState.ACTIVE
    assert packed_xres(world, world.order(following.id)) == auc_xres(world, world.imsi(following.id))


@pytest.mark.requirement("R46")
def test_an_update_of_an_update_and_the_names_that_people_know_it_by(world: World) -> None:
    order = world.active()
    first = updated(world, order)
    second = place(world, order, key="an-update-of-a-mid-2")  # by the id that was ordered first
    offered(world, first)
    authorized(world, second)
    receive(world, second)
    assert world.package(second.id).version == world.package(order.id).version + 2
    assert [each.id for each in world.mid_updates.about(order.id)] == [first.id, second.id]
    shown, informed = world.registrar.state(order.id, secret=world.secrets.order_secret(order.id))
    assert (shown.id, shown.state) == (order.id, OrderState.ACTIVE)
    assert informed[-1].endswith("updated to version 3.")
    world.lives.want(order.id, DEACTIVATE, reason="season", at=world.at)
    assert world.lives.about(order.id).wish == DEACTIVATE
    assert world.lives.about(order.id).order_id == second.id
    with refused(RefusalCode.ORDER_NOT_AUTHORIZED, match="superseded"):
        world.lives.next_step(order.digest or b"", None, at=world.at)


@pytest.mark.requirement("R34", "R46")
def test_what_is_on_record_about_a_mid_goes_over_with_it(world: World) -> None:
    order = world.active()
    asked = world.releases.ask(
        "none", device_id=order.device_id or "", mid_id=world.package(order.id).mid_id, at=world.at
    )
    update = place(world, order)
    offered(world, order)
    authorized(world, update)
    world.lives.want(order.id, BLOCK, reason="stolen", at=world.at)
    receive(world, update)
    with refused(RefusalCode.SUBSCRIPTION_SUSPENDED):
        world.authentication.vectors(world.imsi(update.id))
    assert world.lives.about(update.id).wish == BLOCK
    assert [each.token for each in world.releases.about(update.id)] == [asked.token]
    voice = TreVoice(world, world.order(update.id))
    step = voice.ask(voice.report(voice.ask(), entry=replace(voice.entry(), version=2)))
    assert step.kind is StepKind.INSTRUCT


@pytest.mark.requirement("R46")
def test_only_a_mid_that_serves_hears_of_its_update_and_an_older_wish_goes_first(world: World) -> None:
    order = world.active()
    place(world, order)
    voice = TreVoice(world, order)
    for state in ("INACTIVE", "BLOCKED"):
        answered = voice.ask(voice.report(voice.ask(), entry=voice.entry(state=state)))
        assert answered.kind is StepKind.DONE
    world.lives.want(order.id, DEACTIVATE, reason="season", at=world.at)
    assert voice.ask(voice.report(voice.ask())).kind is StepKind.INSTRUCT


@pytest.mark.requirement("R47")
@pytest.mark.negative
def test_an_update_is_of_a_mid_that_serves_one_at_a_time_and_in_its_own_kinds_of_access(world: World) -> None:
    waiting = world.place()
    with refused(RefusalCode.ORDER_NOT_AUTHORIZED, match="ordered"):
        place(world, waiting)
    with refused(RefusalCode.ORDER_UNKNOWN):
        place(world, replace(waiting, id="unknown"))
    with refused(RefusalCode.ORDER_UNKNOWN):
        world.mid_updates.about(waiting.id)
    world.register()
    world.advance()
    world.validation.take(world.pva.answer_all(), at=world.at)
    world.advance()
    world.receipts.take(world.message(waiting.id), at=world.at)
    order = world.order(waiting.id)
    with refused(RefusalCode.PRODUCT_UNKNOWN):
        place(world, order, product="nothing that is offered")
    world.maker.bundles["M2M 100"] = Bundle(accesses=("cellular", "wlan"))  # type: ignore[index] # a dict here
    with refused(RefusalCode.PRODUCT_UNFIT, match="expected USIMs for cellular"):
        place(world, order, product="M2M 100")
    first = place(world, order)
    assert place(world, order) == first
    with refused(RefusalCode.IDEMPOTENCY_CONFLICT):
        place(world, order, fresh_keys=False)
    second = place(world, order, key="an-update-of-a-mid-2")
    assert world.state(first.id) is OrderState.EXPIRED
    offered(world, order)
    authorized(world, second)
    with refused(RefusalCode.UPDATE_UNDER_WAY, match="may be at the device|under way"):
        place(world, order, key="an-update-of-a-mid-3")


@pytest.mark.requirement("R46", "R120")
@pytest.mark.negative
def test_a_change_of_operator_comes_to_its_end_before_its_mid_is_updated(world: World) -> None:
    order = world.active()
    change = world.place(key="a-change-of-operator", prior=Prior(operator=PRIOR_SHO, mid_id="mid-of-before"))
    with refused(RefusalCode.ORDER_NOT_AUTHORIZED):
        place(world, change)
    assert place(world, order).state is OrderState.ORDERED


@pytest.mark.requirement("R46")
def test_a_product_with_another_algorithm_has_fresh_keys_whether_asked_for_or_not(world: World) -> None:
    order = world.active()
    world.maker.bundles["M2M 100"] = Bundle(algorithm="tuak", res_bytes=16)  # type: ignore[index] # a dict here
    update = place(world, order, product="M2M 100", fresh_keys=False)
    offered(world, order)
    authorized(world, update)
    receive(world, update)
    (subscription,) = world.store.subscriptions_of(update.id)
    assert world.maker.open(subscription.imsi, subscription.sealed).algorithm == "tuak"


@pytest.mark.requirement("R46", "R56")
def test_a_device_registers_for_no_update_and_an_erased_mid_has_none(world: World) -> None:
    order = world.active()
    place(world, order)
    assert world.register() == order.token
    world.lives.want(order.id, ERASE, reason="end", at=world.at)
    voice = TreVoice(world, order)
    assert voice.ask(voice.report(voice.ask())).kind is StepKind.ERASE
