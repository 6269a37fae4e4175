"""A change of operator at the new one: the same orders, receipts and reports in memory, on SQLite and on PostgreSQL."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric import ec

from messages.authorization import read_claims as read_authorization
from messages.erasure import Erasure
from messages.instruction import ERASE, INSTRUCTION_KIND, Instruction
from messages.operator_token import OperatorSigner
from messages.registry import AWAITS_CONFIRMATION
from messages.release import RELEASE_KIND, Release
from messages.switch import CONFIRM, SWITCH, Switch, read_switch
from operators.sho.app import MIGRATIONS
from operators.sho.changes import CHANGED, PRIOR_ERASED, SWITCHES_MAX, PriorAnswer, ReleaseRefusedError
from operators.sho.lives import Step, StepKind
from operators.sho.order_states import OrderRecord, OrderState, Prior
from operators.sho.refusals import PeerError, RefusalCode, RefusalError
from standards.pki import oids
from tests.contract.databases import new_database
from tests.contract.test_sho_store import stored
from tests.fakes.pki import p256
from tests.fakes.sho_lives import TRE_NONCE, TreVoice, claims_of, instruction_of
from tests.fakes.sho_peers import PRIOR_SHO, SHO, Keys
from tests.fakes.sho_world import World

EVERY_STORE = pytest.mark.parametrize("world", ["memory", "sqlite", "postgresql"], indirect=True)
PRIOR_MID = "mid-of-the-prior-operator"
PRIOR = Prior(operator=PRIOR_SHO, mid_id=PRIOR_MID)
NONCE = b"\x5e" * 32


@pytest.fixture(scope="module")
def keys() -> Keys:
    return Keys()


@pytest.fixture(scope="module")
def prior_key() -> ec.EllipticCurvePrivateKey:
    return p256()


@pytest.fixture
def world(request: pytest.FixtureRequest, keys: Keys) -> Iterator[World]:
    kind = getattr(request, "param", "memory")
    if kind == "memory":
        yield World(keys)
        return
    store = stored(new_database(request, kind, MIGRATIONS))
    yield World(keys, store=store)
    store.engine.dispose()


@pytest.fixture(autouse=True)
def prior(world: World, prior_key: ec.EllipticCurvePrivateKey) -> OperatorSigner:
    """The prior operator, which releases."""
    signer = world.keys.signer(prior_key, oids.EKU_SUBSCRIPTION, role="sho", name=PRIOR_SHO)
    world.priors.answer = lambda *_: PriorAnswer(release=released(world, signer))
    return signer


def released(world: World, signer: OperatorSigner, **changed: Any) -> str:
    """The prior operator's word, each part of which may be another."""
    made = Release(osho=PRIOR_SHO, device_id=world.keys.device.device_id, mid_id=PRIOR_MID, successor=SHO)
    return signer.sign(replace(made, **changed).claims(), typ=RELEASE_KIND.typ)


def ordered(world: World) -> OrderRecord:
    """An order that takes the prior operator's MID over; its device has registered."""
    order = world.place(prior=PRIOR)
    world.register()
    world.advance()
    return world.order(order.id)


def authorized(world: World) -> OrderRecord:
    order = ordered(world)
    world.validation.take(world.pva.answer_all(), at=world.at)
    world.advance()
    return world.order(order.id)


def installed(world: World) -> tuple[OrderRecord, Switch]:
    """The order after its receipt, and what answered the receipt."""
    order = authorized(world)
    answer = world.receipts.take(world.message(order.id), at=world.at)
    assert answer.state is OrderState.INSTALLED
    return world.order(order.id), read_switch(claims_of(answer.instruction))


def switch_of(step: Step) -> Switch:
    assert step.kind is StepKind.INSTRUCT
    return read_switch(claims_of(step.token))


def attach(world: World, order: OrderRecord) -> None:
    world.store.attached(world.imsi(order.id), network="vno-1", at=world.at)


@contextmanager
def refused(code: RefusalCode) -> Iterator[None]:
    with pytest.raises(RefusalError) as caught:
        yield
    assert caught.value.code == code.value


@pytest.mark.requirement("R119", "R120")
def test_nobody_is_validated_before_the_prior_operator_has_let_go(
    world: World, prior: OperatorSigner
) -> None:
    world.priors.answer = lambda *_: PriorAnswer(release=None)
    order = ordered(world)
    assert (order.state, world.pva.asked) == (OrderState.REGISTERED, [])
    world.priors.answer = lambda *_: PriorAnswer(release=released(world, prior))
    world.later(seconds=10)
    world.advance()
    assert world.state(order.id) is OrderState.VALIDATING
    assert world.priors.asked[-1] == (PRIOR_SHO, world.keys.device.device_id, PRIOR_MID)
    assert "prior-released" in world.leaves(order.id)


@pytest.mark.requirement("R120")
def test_the_dpf_is_told_whose_mid_is_replaced_with_the_release(world: World) -> None:
    order = authorized(world)
    sent = read_authorization(claims_of(world.network.authorized[0]["authorization"]))
    assert (sent.prior_owner, sent.release) == (PRIOR_SHO, world.store.change(order.id).release)


@pytest.mark.requirement("R120")
def test_a_receipt_is_answered_with_the_switch_and_nobody_is_told_yet(world: World) -> None:
    order, switch = installed(world)
    assert (switch.action, switch.prior_mid_id) == (SWITCH, PRIOR_MID)
    assert switch.window_ms == timedelta(minutes=10) // timedelta(milliseconds=1)
    assert (switch.mid_id, switch.tre_nonce) == (world.package(order.id).mid_id, b"\x7e" * 32)
    assert switch.release == world.store.change(order.id).release
    assert world.store.informed(order.id) == ()
    # the device is to attach with the new IMSI
    assert len(world.authentication.vectors(world.imsi(order.id))) == 2
    # the same receipt again gets the same answer, and is no switch more
    again = world.receipts.take(world.message(order.id), at=world.at)
    assert again.state is OrderState.INSTALLED
    assert world.store.change(order.id).switches == 1


@pytest.mark.requirement("R119", "R120")
@EVERY_STORE
def test_it_confirms_for_a_fresh_report_once_the_device_has_attached(world: World) -> None:
    order, _ = installed(world)
    voice = TreVoice(world, order)
    serves = voice.entry(reason=AWAITS_CONFIRMATION)
    assert voice.ask(voice.report(voice.ask(), entry=serves)).kind is StepKind.DONE
    attach(world, order)
    said = switch_of(voice.ask(voice.report(voice.ask(), entry=serves)))
    assert (said.action, said.tre_nonce, said.window_ms, said.release) == (CONFIRM, TRE_NONCE, None, None)
    assert world.state(order.id) is OrderState.INSTALLED
    assert voice.ask(voice.report(voice.ask())).kind is StepKind.DONE
    assert world.state(order.id) is OrderState.ACTIVE
    assert world.store.informed(order.id) == (CHANGED.format(prior=PRIOR_SHO),)


@pytest.mark.requirement("R120")
@EVERY_STORE
def test_what_was_undone_begins_anew_for_a_report_and_not_for_ever(world: World) -> None:
    order, first = installed(world)
    attach(world, order)
    voice = TreVoice(world, order)
    back = voice.entry(state="INACTIVE")
    for _ in range(1, SWITCHES_MAX):
        again = switch_of(voice.ask(voice.report(voice.ask(), entry=back)))
        assert (again.action, again.tre_nonce, again.release) == (SWITCH, TRE_NONCE, first.release)
        # who attached before the switch counts no more
        assert not world.store.change(order.id).attached
    assert voice.ask(voice.report(voice.ask(), entry=back)).kind is StepKind.DONE
    assert world.leaves(order.id).count("switch-signed") == SWITCHES_MAX


@pytest.mark.requirement("R120")
def test_a_change_may_be_given_up_and_its_mid_is_erased(world: World) -> None:
    order, _ = installed(world)
    voice = TreVoice(world, order)
    with refused(RefusalCode.ORDER_NOT_AUTHORIZED):
        world.lives.want(order.id, "activate", reason="", at=world.at)
    world.lives.want(order.id, ERASE, reason="given up", at=world.at)
    step = voice.ask(voice.report(voice.ask(), entry=voice.entry(state="INACTIVE")))
    assert step.kind is StepKind.ERASE
    assert voice.ask(voice.proof(instruction_of(step))).kind is StepKind.DONE
    assert world.state(order.id) is OrderState.ERASED
    with refused(RefusalCode.SUBSCRIPTION_NOT_ACTIVE):
        world.authentication.vectors(world.imsi(order.id))


@pytest.mark.requirement("R120")
@pytest.mark.negative
def test_a_prior_operator_that_refuses_refuses_the_order_until_the_device_comes_again(
    world: World, prior: OperatorSigner
) -> None:
    def refusing(*_: str) -> PriorAnswer:
        raise ReleaseRefusedError("sho-0: its subscriber has denied it")

    world.priors.answer = refusing
    order = ordered(world)
    assert (order.state, order.reason) == (OrderState.REFUSED, "sho-0: its subscriber has denied it")
    world.priors.answer = lambda *_: PriorAnswer(release=released(world, prior))
    world.register()
    world.advance()
    assert world.state(order.id) is OrderState.VALIDATING


@pytest.mark.negative
def test_a_prior_operator_that_is_silent_is_asked_again(world: World, prior: OperatorSigner) -> None:
    def silent(*_: str) -> PriorAnswer:
        raise PeerError("operator sho-0", reason="it is down")

    world.priors.answer = silent
    order = ordered(world)
    assert order.state is OrderState.REGISTERED
    world.priors.answer = lambda *_: PriorAnswer(release=released(world, prior))
    world.later(seconds=60)
    world.advance()
    assert world.state(order.id) is OrderState.VALIDATING


@pytest.mark.requirement("R22", "R120")
@pytest.mark.negative
@pytest.mark.parametrize(
    "changed",
    [{"mid_id": "mid-9"}, {"device_id": "00" * 32}, {"successor": "sho-9"}, {"other": True}],
    ids=["MID", "device", "successor", "signer"],
)
def test_a_release_of_something_else_is_none(
    world: World, prior: OperatorSigner, changed: dict[str, Any]
) -> None:
    signer = world.signer if "other" in changed else prior
    changed = {name: value for name, value in changed.items() if name != "other"}
    world.priors.answer = lambda *_: PriorAnswer(release=released(world, signer, **changed))
    order = ordered(world)
    assert order.state is OrderState.REGISTERED
    assert world.store.change(order.id).release is None
    assert "peer-refused" in world.leaves(order.id)


@pytest.mark.negative
def test_from_an_operator_that_is_not_known_nothing_is_taken_over(world: World) -> None:
    with refused(RefusalCode.PRIOR_UNKNOWN):
        world.place(prior=Prior(operator="sho-9", mid_id=PRIOR_MID))


@pytest.mark.negative
def test_a_network_that_tells_of_anybody_else_changes_nothing(world: World) -> None:
    order = authorized(world)
    attach(world, order)  # before the receipt
    world.store.attached("262070000000999", network="vno-1", at=world.at)
    assert not world.store.change(order.id).attached


def changed(world: World) -> OrderRecord:
    order, _ = installed(world)
    voice = TreVoice(world, order)
    voice.ask(voice.report(voice.ask()))
    return world.order(order.id)


def erased(world: World, prior: OperatorSigner, **other: Any) -> PriorAnswer:
    """What the prior operator tells when its MID is gone, each part of which may be another."""
    device_id = world.keys.device.device_id
    action = other.pop("action", ERASE)
    said = Instruction(
        sho=prior.issuer,
        action=action,
        device_id=device_id,
        mid_id=PRIOR_MID,
        tre_nonce=TRE_NONCE,
        proof_nonce=NONCE if action == ERASE else None,
    )
    proof = Erasure(
        device_id=device_id,
        sho=PRIOR_SHO,
        mid_id=PRIOR_MID,
        order_digest=bytes(32),
        version=1,
        reason="change of operator",
        clock_ms=1,
        reset_count=1,
        known_at=0,
    )
    nonce, signer = other.pop("nonce", NONCE), other.pop("signer", prior)
    return PriorAnswer(
        release=released(world, prior),
        instruction=signer.sign(said.claims(), typ=INSTRUCTION_KIND.typ),
        proof=world.said(replace(proof, **other).encode(), nonce=nonce).encode(),
    )


@pytest.mark.requirement("R59", "R119", "R120")
@EVERY_STORE
def test_the_proof_that_the_prior_mid_is_gone_reaches_the_new_operator(
    world: World, prior: OperatorSigner
) -> None:
    order = changed(world)
    assert order.state is OrderState.ACTIVE
    world.advance()
    assert world.store.change(order.id).proof is None
    told = erased(world, prior)
    world.priors.answer = lambda *_: told
    world.later(minutes=5)
    world.advance()
    assert world.store.change(order.id).proof == told.proof
    assert world.order(order.id).due_at is None
    assert world.leaves(order.id).count("prior-erased") == 1
    assert world.store.informed(order.id)[-1] == PRIOR_ERASED.format(prior=PRIOR_SHO)


@pytest.mark.requirement("R59", "R120")
@pytest.mark.negative
@pytest.mark.parametrize(
    "other",
    [
        {"mid_id": "mid-9"},
        {"sho": "sho-9"},
        {"device_id": "00" * 32},
        {"nonce": bytes(32)},
        {"action": "block"},
        {"signer": "own"},
    ],
    ids=["MID", "owner", "device", "nonce", "instruction", "signer"],
)
def test_a_proof_of_something_else_is_none(
    world: World, prior: OperatorSigner, other: dict[str, Any]
) -> None:
    order = changed(world)
    if "signer" in other:
        other = {"signer": world.signer}
    told = erased(world, prior, **other)
    world.priors.answer = lambda *_: told
    world.later(minutes=5)
    world.advance()
    assert world.store.change(order.id).proof is None
    assert "peer-refused" in world.leaves(order.id)
