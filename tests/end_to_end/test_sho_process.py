"""The SHO over real sockets: an order from the form to the active subscription, killed wherever it hurts."""

import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from clients.sho import PlacedOrder
from edge.http_client import HttpError
from edge.keys import KeyFileError
from edge.settings import SettingsError, load_settings
from edge.signing_keys import SigningKeyError
from messages.authorization import AUTHORIZATION_KIND, read_claims
from messages.device_code import device_code
from messages.operator_token import verify_operator_token
from operators.sho.app import WiringError, build
from operators.sho.order_states import OrderState
from operators.sho.settings import ShoSettings
from tests.end_to_end.sho_service import ROOT, ShoService
from tests.fakes.sho_peers import PRODUCT
from tests.forked_python import run_module


@pytest.fixture
def sho(tmp_path: Path) -> Iterator[ShoService]:
    service = ShoService(tmp_path)
    service.start()
    yield service
    assert service.stop() == 0
    service.close()


def order(sho: ShoService) -> PlacedOrder:
    """A user orders for the device."""
    return sho.public.order(
        subscriber="Ada Lovelace",
        device_code=device_code(sho.keys.device.device_id),
        product=PRODUCT,
        idempotency_key="an-order-of-a-user",
    )


def soon(condition: Callable[[], object], *, seconds: float = 20.0) -> None:
    """Wait until something holds."""
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "it did not come true in time"
        time.sleep(0.02)


def in_state(sho: ShoService, placed: PlacedOrder, state: OrderState) -> Callable[[], bool]:
    return lambda: sho.public.order_state(placed.order_id, secret=placed.secret).state == state.value


@pytest.mark.requirement("R10")
@pytest.mark.requirement("R12")
@pytest.mark.requirement("R62")
@pytest.mark.requirement("R92")
@pytest.mark.requirement("R96")
@pytest.mark.requirement("R99")
def test_an_order_goes_its_way_over_a_process_that_is_killed_at_every_step(sho: ShoService) -> None:
    placed = order(sho)
    assert set(sho.peers.announced) == {f"/v1/orders/{placed.order_id}"}  # once at least
    sho.kill()
    sho.start()
    assert order(sho) == placed
    token = sho.register()
    sho.kill()
    sho.start()
    assert sho.register() == token
    soon(lambda: sho.pva.requests)
    soon(in_state(sho, placed, OrderState.VALIDATING))
    sho.kill()
    result = sho.pva.answer_all()
    sho.start()
    sho.as_peer("pva").push_result(result)
    soon(in_state(sho, placed, OrderState.AUTHORIZED))
    authorized = sho.peers.authorized[-1]
    signed = verify_operator_token(
        authorized[1], AUTHORIZATION_KIND, anchors=sho.world.anchors, at=sho.pva.at
    )
    assert read_claims(signed.claims).package_digest == sho.world.package(placed.order_id).digest
    with pytest.raises(HttpError, match="not yet shown"):
        sho.as_peer("vno").authentication_vectors(sho.world.imsi(placed.order_id), serving_network="t")
    assert sho.public.order_state(placed.order_id, secret=placed.secret).informed == ()
    sho.kill()
    sho.start()
    _receipt_opens_the_auc(sho, placed)


def _receipt_opens_the_auc(sho: ShoService, placed: PlacedOrder) -> None:
    world = sho.world
    digest = world.order(placed.order_id).digest
    assert digest is not None
    statement = world.statement(placed.order_id, world.receipt(placed.order_id)).encode()
    fresh = world.fresh(placed.order_id)
    answer = sho.as_peer("dpf").receipt(order_digest=digest, statement=statement, result=fresh)
    assert answer.state == "active"
    assert answer.instruction is not None
    sho.kill()
    sho.start()
    again = sho.as_peer("dpf").receipt(order_digest=digest, statement=statement, result=fresh)
    assert again == answer
    shown = sho.public.order_state(placed.order_id, secret=placed.secret)
    assert (shown.state, len(shown.informed)) == ("active", 1)
    batch = sho.as_peer("vno").authentication_vectors(world.imsi(placed.order_id), serving_network="t")
    assert len(batch.vectors) == 2
    assert batch.bearer.destinations == ("10.0.0.1:443",)


@pytest.mark.requirement("R93")
def test_a_relayed_validation_is_polled_and_opened(tmp_path: Path) -> None:
    sho = ShoService(tmp_path, relayed=True)
    sho.start()
    placed = order(sho)
    sho.register()
    soon(lambda: sho.pva.requests)
    sho.pva.answer_all()
    soon(in_state(sho, placed, OrderState.AUTHORIZED))
    assert sho.stop() == 0
    sho.close()


@pytest.mark.negative
def test_a_process_that_does_not_fit_together_does_not_start(tmp_path: Path) -> None:
    sho = ShoService(tmp_path)
    for old, new, named in (
        ('id = "sho-1"', 'id = "sho-2"', "not that of the SHO"),
        ("keys/subscribers", "keys/nobody", "nobody"),
        ("keys/subscribers", "keys/word", "64 hexadecimal digits"),
        ("results.pem", "token.pem", "is not the certificate of"),
        ('key = "keys/results.key"', 'key = "keys/token.key"', "is not the certificate of"),
        ("es-root.pem", "two.pem", "expected one ES root, got 2"),
        ("[result_key]", "[other_key]", "other_key"),
    ):
        sho.configure({old: new})
        with pytest.raises((SettingsError, SigningKeyError, KeyFileError, WiringError), match=named):
            build(load_settings(ShoSettings, path=tmp_path / "sho.toml", environ={}))
    sho.configure({"keys/policy-root.key": "keys/token.key"})
    ended = run_module(sho.command, cwd=ROOT)
    assert ended.returncode == 2
    assert "policy_root and subscription_key are one key" in ended.stderr
    sho.close()
