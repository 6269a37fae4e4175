"""The release of a MID at the prior operator: who may ask, who must agree, and what follows, on every store."""

from collections.abc import Iterator
from typing import Any

import pytest

from messages.instruction import BLOCK
from messages.operator_token import verify_operator_token
from messages.registry import HAND_OVER, HANDED_OVER, Transition
from messages.release import RELEASE_KIND, Release, read_release
from operators.sho.app import MIGRATIONS
from operators.sho.lives import StepKind
from operators.sho.order_states import OrderState
from operators.sho.refusals import RefusalCode
from operators.sho.releases import ReleaseAnswer, ReleaseState
from tests.contract.databases import new_database
from tests.contract.test_sho_changes import refused
from tests.contract.test_sho_lives import is_served, voice_of, want
from tests.contract.test_sho_store import stored
from tests.fakes.sho_lives import TreVoice, instruction_of
from tests.fakes.sho_peers import SHO, Keys
from tests.fakes.sho_world import World

EVERY_STORE = pytest.mark.parametrize("voice", ["memory", "sqlite", "postgresql"], indirect=True)


@pytest.fixture(scope="module")
def keys() -> Keys:
    return Keys()


@pytest.fixture
def voice(request: pytest.FixtureRequest, keys: Keys) -> Iterator[TreVoice]:
    kind = getattr(request, "param", "memory")
    if kind == "memory":
        yield voice_of(World(keys))
        return
    store = stored(new_database(request, kind, MIGRATIONS))
    yield voice_of(World(keys, store=store))
    store.engine.dispose()


def ask(voice: TreVoice, successor: str, **changed: Any) -> ReleaseAnswer:
    world = voice.world
    named = {"device_id": world.keys.device.device_id, "mid_id": world.package(voice.order.id).mid_id}
    return world.releases.ask(successor, **{**named, **changed}, at=world.at)


def read(voice: TreVoice, token: str | None) -> Release:
    signed = verify_operator_token(token or "", RELEASE_KIND, anchors=voice.world.anchors, at=voice.world.at)
    return read_release(signed.claims)


def told(voice: TreVoice) -> str:
    return str(voice.world.store.informed(voice.order.id)[-1])


@pytest.mark.requirement("R22", "R120")
def test_by_its_policy_a_successor_gets_the_release_of_one_mid_in_one_device(voice: TreVoice) -> None:
    texts = len(voice.world.store.informed(voice.order.id))
    for successor in ("none", "notice"):
        answer = ask(voice, successor)
        assert answer.state is ReleaseState.RELEASED
        assert read(voice, answer.token) == Release(
            osho=SHO,
            device_id=voice.world.keys.device.device_id,
            mid_id=voice.world.package(voice.order.id).mid_id,
            successor=successor,
        )
        # the same question again: the same token
        assert ask(voice, successor) == answer
    assert len(voice.world.store.informed(voice.order.id)) == texts + 1
    assert "notice" in told(voice)
    assert voice.world.leaves(voice.order.id).count("release-asked") == 2


@pytest.mark.requirement("R22", "R120")
@pytest.mark.parametrize("by", ["subscriber", "administrator"])
@EVERY_STORE
def test_where_consent_is_needed_it_waits_for_the_subscriber_or_an_administrator(
    voice: TreVoice, by: str
) -> None:
    world, order_id = voice.world, voice.order.id
    assert ask(voice, "consent") == ReleaseAnswer(state=ReleaseState.WAITING)
    assert "approve or deny" in told(voice)

    def decide(*, approves: bool) -> None:
        if by == "administrator":
            world.releases.decide(order_id, "consent", approves=approves, at=world.at)
            return
        secret = world.secrets.order_secret(order_id)
        world.releases.decide_as_subscriber(
            order_id, "consent", secret=secret, approves=approves, at=world.at
        )

    decide(approves=False)
    with refused(RefusalCode.RELEASE_DENIED):
        ask(voice, "consent")
    decide(approves=True)
    answer = ask(voice, "consent")
    assert read(voice, answer.token).successor == "consent"
    (kept,) = world.releases.about(order_id)
    assert (kept.state, kept.decided_by) == (ReleaseState.RELEASED, by)
    # what was given stands
    decide(approves=True)
    assert ask(voice, "consent") == answer
    with refused(RefusalCode.RELEASE_GIVEN):
        decide(approves=False)
    assert world.leaves(order_id).count("release-decided") == 2


@pytest.mark.requirement("R22")
@pytest.mark.negative
@pytest.mark.parametrize(
    ("successor", "changed", "code"),
    [
        ("stranger", {}, RefusalCode.SUCCESSOR_UNKNOWN),
        (SHO, {}, RefusalCode.SUCCESSOR_UNKNOWN),
        ("none", {"mid_id": "mid-9"}, RefusalCode.MID_UNKNOWN),
        ("none", {"device_id": "00" * 32}, RefusalCode.MID_UNKNOWN),
    ],
)
def test_nobody_else_gets_a_release_and_nobody_one_of_something_else(
    voice: TreVoice, successor: str, changed: dict[str, Any], code: RefusalCode
) -> None:
    with refused(code):
        ask(voice, successor, **changed)
    assert voice.world.releases.about(voice.order.id) == ()


@pytest.mark.negative
def test_a_mid_that_is_blocked_is_not_released(voice: TreVoice) -> None:
    ask(voice, "consent")
    want(voice, BLOCK, "stolen")
    for successor in ("none", "consent"):
        with refused(RefusalCode.MID_BLOCKED):
            ask(voice, successor)
    with refused(RefusalCode.MID_BLOCKED):
        voice.world.releases.decide(voice.order.id, "consent", approves=True, at=voice.world.at)


@pytest.mark.negative
def test_who_has_not_the_orders_secret_decides_nothing_and_nobody_about_what_was_not_asked(
    voice: TreVoice,
) -> None:
    world, order_id = voice.world, voice.order.id
    ask(voice, "consent")
    with refused(RefusalCode.ORDER_UNKNOWN):
        world.releases.decide_as_subscriber(order_id, "consent", secret=order_id, approves=True, at=world.at)
    with refused(RefusalCode.RELEASE_UNKNOWN):
        world.releases.decide(order_id, "none", approves=True, at=world.at)
    with refused(RefusalCode.RELEASE_UNKNOWN):
        world.releases.decide("nobody", "consent", approves=True, at=world.at)
    with refused(RefusalCode.ORDER_UNKNOWN):
        world.releases.about("nobody")
    assert ask(voice, "consent").state is ReleaseState.WAITING


def handed_over(voice: TreVoice, *, event: str = HAND_OVER, reason: str = "-") -> bytes:
    """A report of the MID that another operator's serves in place of."""
    step, entry = voice.ask(), voice.entry(state="INACTIVE", reason=reason)
    made = Transition(
        number=voice.sequence,
        mid_id=entry.mid_id,
        event=event,
        state="INACTIVE",
        clock_ms=1,
        reset_count=1,
    )
    return voice.report(step, entry=entry, transitions=(made,))


@pytest.mark.requirement("R59", "R118", "R120")
@EVERY_STORE
def test_a_released_mid_that_was_handed_over_is_erased_and_the_successor_gets_the_proof(
    voice: TreVoice,
) -> None:
    released = ask(voice, "none")
    # until the change is confirmed, it may be undone
    assert voice.ask(handed_over(voice, reason=HANDED_OVER)).kind is StepKind.DONE
    step = voice.ask(handed_over(voice))
    made = instruction_of(step)
    assert (step.kind, made.reason) == (StepKind.ERASE, "change of operator")
    assert is_served(voice)
    proof = voice.proof(made)
    assert voice.ask(proof).kind is StepKind.DONE
    assert (voice.world.state(voice.order.id), is_served(voice)) == (OrderState.ERASED, False)
    assert ask(voice, "none") == ReleaseAnswer(
        state=ReleaseState.ERASED, token=released.token, instruction=step.token, proof=proof
    )
    with refused(RefusalCode.MID_UNKNOWN):
        ask(voice, "notice")


@pytest.mark.requirement("R58")
@pytest.mark.negative
def test_a_mid_is_not_erased_that_nobody_released_or_that_its_owner_made_inactive(voice: TreVoice) -> None:
    assert voice.ask(handed_over(voice)).kind is StepKind.DONE
    ask(voice, "consent")
    assert voice.ask(handed_over(voice)).kind is StepKind.DONE
    ask(voice, "none")
    assert voice.ask(handed_over(voice, event="deactivate")).kind is StepKind.DONE
    assert voice.world.lives.about(voice.order.id).wish is None
