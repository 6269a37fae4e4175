"""The SHO's store: in memory, on SQLite and on PostgreSQL the same orders go the same way."""

import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest
import sqlalchemy as sa

from edge.database import engine_for, migrate, transaction
from edge.ledger_leaf import verify_entry
from edge.process import system_random
from messages.device_code import device_code
from operators.sho.advance import Engine, Rounds
from operators.sho.app import MIGRATIONS
from operators.sho.order_states import OrderState
from operators.sho.refusals import RefusalCode, RefusalError
from operators.sho.schema import ledger
from operators.sho.store import Store
from standards.rats.ar4si import Tier
from tests.contract.databases import new_database
from tests.fakes.sho_peers import Keys
from tests.fakes.sho_world import World


class AuditedStore(Store):
    """The real store, with its audit leaves made readable for the tests."""

    def leaves(self, subject: str) -> list[str]:
        """Kinds of the leaves about a subject; each one must match its record."""
        with transaction(self.engine, write=False) as connection:
            entries = ledger.entries(connection)
        return [verify_entry(each)["kind"] for each in entries if each.subject == subject]


@pytest.fixture(scope="module")
def keys() -> Keys:
    return Keys()


def stored(url: str) -> AuditedStore:
    engine = engine_for(url)
    migrate(engine, MIGRATIONS)
    return AuditedStore(engine, random_bytes=system_random)


@pytest.fixture(params=["memory", "sqlite", "postgresql"])
def world(request: pytest.FixtureRequest, keys: Keys) -> Iterator[World]:
    if request.param == "memory":
        yield World(keys)
        return
    store = stored(new_database(request, request.param, MIGRATIONS))
    yield World(keys, store=store)
    store.engine.dispose()


@pytest.fixture
def on_file(tmp_path: Path, keys: Keys) -> Iterator[World]:
    store = stored(f"sqlite:///{tmp_path / 'sho.db'}")
    yield World(keys, store=store)
    store.engine.dispose()


@pytest.mark.requirement("R12")
@pytest.mark.requirement("R62")
def test_an_order_goes_its_whole_way_with_a_leaf_for_each_step(world: World) -> None:
    order = world.authorized()
    assert world.receipts.take(world.message(order.id), at=world.at).state is OrderState.ACTIVE
    assert world.leaves(order.id) == [
        "order-taken",
        "order-announced",
        "order-registered",
        "order-validating",
        "validation-asked",
        "order-packaged",
        "order-authorized",
        "order-installed",
        "order-active",
        "user-informed",
        "receipt-taken",
    ]
    assert world.leaves(world.keys.device.device_id) == ["result-taken"]
    assert len(world.store.informed(order.id)) == 1
    assert world.order(order.id).due_at is None
    assert len(world.authentication.vectors(world.imsi(order.id))) == 2


@pytest.mark.requirement("R92")
def test_repeats_change_nothing(world: World) -> None:
    order = world.place()
    assert world.place().id == order.id
    assert world.register() == world.register()
    world.advance()
    result = world.pva.answer_all()
    assert world.validation.take(result, at=world.at)
    assert world.validation.take(result, at=world.at)
    world.advance()
    message = world.message(order.id)
    assert world.receipts.take(message, at=world.at) == world.receipts.take(message, at=world.at)
    assert len(world.leaves(order.id)) == 11
    with pytest.raises(RefusalError) as caught:
        world.place(product="M2M 100")
    assert caught.value.code == RefusalCode.IDEMPOTENCY_CONFLICT.value


@pytest.mark.requirement("R99")
@pytest.mark.parametrize("outcome", ["installed", "package-refused"])
def test_a_receipt_that_is_brought_twice_at_once_is_kept_once(
    world: World, outcome: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    order = world.authorized()
    said = world.statement(order.id, world.receipt(order.id, outcome=outcome))
    message = world.message(order.id, said)
    before = world.order(order.id)
    first = world.receipts.take(message, at=world.at)
    monkeypatch.setattr(world.store, "answer_to", lambda _: None)
    monkeypatch.setattr(world.store, "order_of_digest", lambda _: before)
    assert world.receipts.take(message, at=world.at).state is first.state
    assert world.leaves(order.id).count("receipt-taken") == 1


@pytest.mark.negative
def test_an_order_under_way_is_found_among_any_number_of_newer_ones(world: World) -> None:
    order = world.authorized()
    for number in range(60):
        world.place(key=f"a-flood-of-orders-{number:03d}")
    assert world.register() == order.token
    assert world.state(order.id) is OrderState.AUTHORIZED


@pytest.mark.negative
def test_orders_of_strangers_hold_up_no_device(world: World) -> None:
    world.network.drf_reachable = False
    other = device_code("e2" * 32)
    for number in range(20):
        world.place(key=f"a-flood-of-orders-{number:03d}", device_code=other)
    order = world.place()
    world.register()
    world.later(minutes=1)
    assert next(each.id for each in world.store.due(at=world.at, limit=10)) == order.id
    advanced: list[str] = []
    engine = SimpleNamespace(
        store=world.store,
        clock=lambda: world.at,
        poll_s=0.0,
        advance=lambda each: advanced.append(each.id),
    )
    Rounds(cast("Engine", engine), woken=threading.Event(), workers=2).run_once()
    assert len(advanced) == 3
    assert order.id in advanced


@pytest.mark.negative
def test_a_refused_order_is_tried_again_and_an_older_one_is_replaced(world: World) -> None:
    older = world.validating()
    world.pva.status = Tier.CONTRAINDICATED
    world.validation.take(world.pva.answer_all(), at=world.at)
    refused = world.order(older.id)
    assert (refused.state, refused.due_at) == (OrderState.REFUSED, refused.expires_at)
    world.register()
    assert world.state(older.id) is OrderState.REGISTERED
    newer = world.place(key="a-second-order-here")
    world.register()
    assert (world.state(older.id), world.state(newer.id)) == (OrderState.EXPIRED, OrderState.REGISTERED)
    assert world.order(older.id).due_at is None
    assert world.imsi(older.id) != world.imsi(newer.id)


def test_a_failed_receipt_is_kept_with_its_reason(world: World) -> None:
    order = world.authorized()
    failed = world.statement(order.id, world.receipt(order.id, outcome="package-refused", detail="why"))
    world.receipts.take(world.message(order.id, failed), at=world.at)
    assert (world.state(order.id), world.order(order.id).reason) == (
        OrderState.FAILED,
        "package-refused: why",
    )


@pytest.mark.negative
def test_what_has_changed_meanwhile_is_not_overwritten(world: World) -> None:
    order = world.validating()
    seen = world.order(order.id)
    world.later(seconds=1)
    world.validation.take(world.pva.answer_all(), at=world.at)
    world.store.postpone(seen, due_at=world.at + timedelta(hours=1))
    assert world.order(order.id).due_at == world.at
    for change in (world.store.expire, world.store.restart):
        change(order.id, before=OrderState.REFUSED, at=world.at)
    request = world.store.accepted_request(order.id)
    assert request is not None
    late = replace(request, jti="late", rp_nonce=b"\x01" * 32, attempt=9)
    assert not world.store.add_request(late, before=OrderState.REGISTERED, at=world.at)
    assert world.state(order.id) is OrderState.VALIDATING
    assert [each.id for each in world.store.due(at=world.at, limit=5)] == [order.id]


@pytest.mark.negative
def test_no_secret_is_stored_in_clear(on_file: World) -> None:
    world = on_file
    order = world.authorized()
    (subscription,) = world.store.subscriptions_of(order.id)
    key = world.maker.open(subscription.imsi, subscription.sealed)
    connection: Any = world.store.engine.raw_connection()
    dump = "\n".join(connection.driver_connection.iterdump())
    connection.close()
    assert subscription.imsi in dump
    for secret in (key.k, key.opc, b"Ada Lovelace", world.secrets.order_secret(order.id).encode()):
        assert secret.hex().upper() not in dump.upper()
        assert secret.decode("latin-1") not in dump
    assert key.k.hex() not in repr(subscription)


def test_vectors_that_are_asked_at_once_share_no_sequence_number(on_file: World) -> None:
    world = on_file
    order = world.authorized()
    world.receipts.take(world.message(order.id), at=world.at)
    imsi = world.imsi(order.id)
    with ThreadPoolExecutor(max_workers=4) as pool:
        batches = list(pool.map(lambda _: world.authentication.vectors(imsi), range(12)))
    autns = {vector.autn for batch in batches for vector in batch}
    assert len(autns) == 24
    assert world.store.subscriptions_of(order.id)[0].sequence.seq == 24


def test_registrations_at_once_give_one_token_and_one_subscription(on_file: World) -> None:
    world = on_file
    world.place()
    with ThreadPoolExecutor(max_workers=4) as pool:
        tokens = set(pool.map(lambda _: world.register(), range(8)))
    assert len(tokens) == 1
    with transaction(world.store.engine, write=False) as connection:
        assert connection.scalar(sa.text("SELECT count(*) FROM subscriptions")) == 1
