"""What an SHO wants of a MID and what its TRE says: the same conversation in memory, on SQLite and on PostgreSQL."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest

from messages.instruction import ACTIVATE, BLOCK, DEACTIVATE, ERASE, UNBLOCK
from messages.registry import AWAITS_CONFIRMATION, HANDED_OVER
from operators.sho.app import MIGRATIONS
from operators.sho.lives import ENDED, StepKind
from operators.sho.order_states import OrderState
from operators.sho.refusals import RefusalCode, RefusalError
from operators.sho.subscriptions import StoredSubscription
from operators.sho.updates import UpdateQuestion
from tests.contract.databases import new_database
from tests.contract.test_sho_store import stored
from tests.fakes.sho_lives import TRE_NONCE, TreVoice, instruction_of
from tests.fakes.sho_peers import NEXT_PCR_DIGEST, Keys
from tests.fakes.sho_world import World


@pytest.fixture(scope="module")
def keys() -> Keys:
    return Keys()


@pytest.fixture(params=["memory", "sqlite", "postgresql"])
def voice(request: pytest.FixtureRequest, keys: Keys) -> Iterator[TreVoice]:
    if request.param == "memory":
        yield voice_of(World(keys))
        return
    store = stored(new_database(request, request.param, MIGRATIONS))
    yield voice_of(World(keys, store=store))
    store.engine.dispose()


def voice_of(world: World) -> TreVoice:
    return TreVoice(world, world.active())


def want(voice: TreVoice, action: str, reason: str = "") -> None:
    voice.world.lives.want(voice.order.id, action, reason=reason, at=voice.world.at)


def is_served(voice: TreVoice) -> bool:
    """Whether the AuC gives vectors."""
    try:
        voice.world.authentication.vectors(voice.world.imsi(voice.order.id))
    except RefusalError:
        return False
    return True


@contextmanager
def refused(code: RefusalCode) -> Iterator[None]:
    """What is inside is refused with this code."""
    with pytest.raises(RefusalError) as caught:
        yield
    assert caught.value.code == code.value


@pytest.mark.requirement("R38", "R40")
def test_without_a_wish_the_state_is_asked_and_kept(voice: TreVoice) -> None:
    step = voice.ask()
    assert step.kind is StepKind.REPORT
    assert voice.ask(voice.report(step)).kind is StepKind.DONE
    life = voice.world.lives.about(voice.order.id)
    assert (life.state, life.sequence, life.wish) == ("ACTIVE", 42, None)
    assert voice.world.leaves(voice.order.id)[-2:] == ["mid-asked", "mid-told"]


@pytest.mark.requirement("R34", "R37")
@pytest.mark.parametrize(
    ("action", "before", "after"),
    [
        (DEACTIVATE, "ACTIVE", "INACTIVE"),
        (ACTIVATE, "INACTIVE", "ACTIVE"),
        (BLOCK, "ACTIVE", "BLOCKED"),
        (UNBLOCK, "BLOCKED", "INACTIVE"),
    ],
)
def test_a_wish_becomes_an_instruction_for_the_nonce_of_the_report_and_ends_when_it_is_so(
    voice: TreVoice, action: str, before: str, after: str
) -> None:
    want(voice, action, "stolen")
    step = voice.ask(voice.report(voice.ask(), entry=voice.entry(state=before)))
    assert step.kind is StepKind.INSTRUCT
    made = instruction_of(step)
    assert (made.action, made.tre_nonce, made.reason) == (action, TRE_NONCE, "stolen")
    assert made.mid_id == voice.entry().mid_id
    assert voice.world.lives.about(voice.order.id).wish == action
    reason = "stolen" if after == "BLOCKED" else "-"
    again = voice.ask(voice.report(voice.ask(), entry=voice.entry(state=after, reason=reason)))
    assert again.kind is StepKind.DONE
    life = voice.world.lives.about(voice.order.id)
    assert (life.wish, life.state) == (None, after)


@pytest.mark.requirement("R58")
@pytest.mark.negative
@pytest.mark.parametrize(
    ("action", "state", "reason"),
    [(DEACTIVATE, "INACTIVE", HANDED_OVER), (ACTIVATE, "ACTIVE", AWAITS_CONFIRMATION)],
)
def test_what_a_change_of_operator_shows_until_it_is_confirmed_is_not_what_was_wanted(
    voice: TreVoice, action: str, state: str, reason: str
) -> None:
    want(voice, action)
    entry = voice.entry(state=state, reason=reason)
    assert voice.ask(voice.report(voice.ask(), entry=entry)).kind is StepKind.INSTRUCT
    assert voice.world.lives.about(voice.order.id).wish == action
    entry = voice.entry(state=state)
    assert voice.ask(voice.report(voice.ask(), entry=entry)).kind is StepKind.DONE


@pytest.mark.requirement("R34")
def test_a_block_bars_the_subscription_at_once_and_only_a_done_unblock_opens_it(voice: TreVoice) -> None:
    assert is_served(voice)
    want(voice, BLOCK)
    assert not is_served(voice)
    entry = voice.entry(state="BLOCKED", reason="state-refused")  # closed, and not yet blocked by its owner
    assert voice.ask(voice.report(voice.ask(), entry=entry)).kind is StepKind.INSTRUCT
    entry = voice.entry(state="BLOCKED", reason="owner")
    assert voice.ask(voice.report(voice.ask(), entry=entry)).kind is StepKind.DONE
    want(voice, UNBLOCK)
    assert not is_served(voice)
    assert voice.ask(voice.report(voice.ask(), entry=entry)).kind is StepKind.INSTRUCT
    assert not is_served(voice)
    voice.ask(voice.report(voice.ask(), entry=voice.entry(state="INACTIVE")))
    assert is_served(voice)


@pytest.mark.requirement("R59", "R98")
def test_the_auc_closes_with_the_proof_and_not_before(voice: TreVoice) -> None:
    want(voice, ERASE, "end of contract")
    step = voice.ask(voice.report(voice.ask()))
    made = instruction_of(step)
    assert (step.kind, made.action, made.reason) == (StepKind.ERASE, ERASE, "end of contract")
    assert is_served(voice)
    assert voice.ask(voice.proof(made)).kind is StepKind.DONE
    assert not is_served(voice)
    assert voice.world.state(voice.order.id) is OrderState.ERASED
    subscriptions: tuple[StoredSubscription, ...] = voice.world.store.subscriptions_of(voice.order.id)
    assert [each.active for each in subscriptions] == [False]
    assert voice.world.store.informed(voice.order.id)[-1] == ENDED
    # whatever comes again changes nothing
    assert voice.ask(voice.proof(made)).kind is StepKind.DONE
    assert voice.ask().kind is StepKind.DONE
    assert voice.world.leaves(voice.order.id).count("order-erased") == 1


@pytest.mark.requirement("R59")
def test_a_proof_that_was_lost_is_asked_for_by_the_same_instruction(voice: TreVoice) -> None:
    want(voice, ERASE)
    first = voice.ask(voice.report(voice.ask()))
    gone = voice.entry(state="ERASED", reason="owner")
    again = voice.ask(voice.report(voice.ask(), entry=gone))
    assert (again.kind, again.token) == (StepKind.ERASE, first.token)
    voice.ask(voice.proof(instruction_of(again)))
    assert voice.world.state(voice.order.id) is OrderState.ERASED


@pytest.mark.requirement("R39", "R40")
@pytest.mark.negative
@pytest.mark.parametrize(
    ("changed", "code"),
    [
        ({"nonce": b"x" * 32}, RefusalCode.RECEIPT_INVALID),
        ({"pcr_digest": b"x" * 32}, RefusalCode.STATE_CHANGED),
        ({"sho": "sho-9"}, RefusalCode.RECEIPT_MISMATCH),
        ({"device_id": "00" * 32}, RefusalCode.RECEIPT_MISMATCH),
        ({"entries": ()}, RefusalCode.RECEIPT_MISMATCH),
    ],
)
def test_a_report_that_is_not_this_tres_about_this_mid_changes_nothing(
    voice: TreVoice, changed: dict[str, Any], code: RefusalCode
) -> None:
    want(voice, BLOCK)
    step = voice.ask()
    with refused(code):
        voice.ask(voice.report(step, **changed))
    assert voice.world.lives.about(voice.order.id).state is None
    assert voice.ask(voice.report(step)).kind is StepKind.INSTRUCT


@pytest.mark.requirement("R37")
@pytest.mark.negative
def test_a_report_is_good_once_and_only_for_the_newest_question(voice: TreVoice) -> None:
    first = voice.ask()
    second = voice.ask()
    with refused(RefusalCode.RECEIPT_INVALID):
        voice.ask(voice.report(first))
    report = voice.report(second)
    assert voice.ask(report).kind is StepKind.DONE
    with refused(RefusalCode.RECEIPT_MISMATCH):
        voice.ask(report)


@pytest.mark.requirement("R37")
@pytest.mark.negative
def test_a_journal_that_went_back_is_refused(voice: TreVoice) -> None:
    voice.ask(voice.report(voice.ask()))
    voice.sequence -= 1
    with refused(RefusalCode.RECEIPT_MISMATCH):
        voice.ask(voice.report(voice.ask()))


def approve_update(voice: TreVoice) -> None:
    """The device asks for approvals of the next state, and gets them."""
    question = UpdateQuestion(
        order_digest=voice.order.digest or b"", manifest_digest=b"m" * 32, tre_nonce=TRE_NONCE
    )
    voice.world.updates.approve(question, at=voice.world.at)


@pytest.mark.requirement("R82", "R38", "R39")
def test_a_tre_is_heard_in_the_state_of_an_update_that_was_approved_and_then_in_no_other(
    voice: TreVoice,
) -> None:
    with refused(RefusalCode.STATE_CHANGED):
        voice.ask(voice.report(voice.ask(), pcr_digest=NEXT_PCR_DIGEST))
    approve_update(voice)
    assert voice.ask(voice.report(voice.ask())).kind is StepKind.DONE  # it has not restarted yet
    want(voice, BLOCK)
    step = voice.ask(voice.report(voice.ask(), pcr_digest=NEXT_PCR_DIGEST))
    assert step.kind is StepKind.INSTRUCT
    assert voice.world.leaves(voice.world.keys.device.device_id)[-1] == "update-shown"
    with refused(RefusalCode.STATE_CHANGED):
        voice.ask(voice.report(voice.ask()))
    entry = voice.entry(state="BLOCKED", reason="owner")
    assert voice.ask(voice.report(voice.ask(), entry=entry, pcr_digest=NEXT_PCR_DIGEST)).kind is StepKind.DONE


@pytest.mark.requirement("R82", "R59")
@pytest.mark.negative
def test_a_proof_from_the_software_before_the_update_ends_nothing_once_the_update_has_spoken(
    voice: TreVoice,
) -> None:
    approve_update(voice)
    want(voice, ERASE)
    made = instruction_of(voice.ask(voice.report(voice.ask(), pcr_digest=NEXT_PCR_DIGEST)))
    with refused(RefusalCode.STATE_CHANGED):
        voice.ask(voice.proof(made))
    assert is_served(voice)
    voice.ask(voice.proof(made, pcr_digest=NEXT_PCR_DIGEST))
    assert voice.world.state(voice.order.id) is OrderState.ERASED


@pytest.mark.requirement("R82")
def test_a_later_announcement_takes_the_place_of_one_that_was_not_followed(voice: TreVoice) -> None:
    approve_update(voice)
    voice.world.pva.next_pcr_digest = b"n" * 32
    approve_update(voice)
    with refused(RefusalCode.STATE_CHANGED):
        voice.ask(voice.report(voice.ask(), pcr_digest=NEXT_PCR_DIGEST))
    assert voice.ask(voice.report(voice.ask(), pcr_digest=b"n" * 32)).kind is StepKind.DONE


@pytest.mark.requirement("R82")
def test_a_validation_that_is_newer_than_an_update_is_what_counts(voice: TreVoice) -> None:
    """The next order of the device rests on its own result, whatever was approved before it."""
    approve_update(voice)
    voice.ask(voice.report(voice.ask(), pcr_digest=NEXT_PCR_DIGEST))
    voice.world.later(minutes=1)
    newer = TreVoice(voice.world, voice.world.active(key="the-next-order"))
    assert newer.ask(newer.report(newer.ask())).kind is StepKind.DONE
    with refused(RefusalCode.STATE_CHANGED):
        newer.ask(newer.report(newer.ask(), pcr_digest=NEXT_PCR_DIGEST))


@pytest.mark.requirement("R59")
@pytest.mark.negative
@pytest.mark.parametrize(
    ("changed", "code"),
    [
        ({"nonce": b"x" * 32}, RefusalCode.RECEIPT_INVALID),
        ({"pcr_digest": b"x" * 32}, RefusalCode.STATE_CHANGED),
        ({"mid_id": "mid-9"}, RefusalCode.RECEIPT_MISMATCH),
        ({"sho": "sho-9"}, RefusalCode.RECEIPT_MISMATCH),
        ({"order_digest": bytes(32)}, RefusalCode.RECEIPT_MISMATCH),
    ],
)
def test_a_proof_of_something_else_ends_nothing(
    voice: TreVoice, changed: dict[str, Any], code: RefusalCode
) -> None:
    want(voice, ERASE)
    made = instruction_of(voice.ask(voice.report(voice.ask())))
    with refused(code):
        voice.ask(voice.proof(made, **changed))
    assert voice.world.state(voice.order.id) is OrderState.ACTIVE
    assert is_served(voice)


@pytest.mark.requirement("R59")
def test_a_mid_that_went_while_its_operator_thought_better_of_it_is_gone(voice: TreVoice) -> None:
    want(voice, ERASE)
    voice.ask(voice.report(voice.ask()))
    want(voice, DEACTIVATE)
    voice.ask(voice.report(voice.ask()))  # the answer to the erasing instruction is on its way
    gone = voice.entry(state="ERASED", reason="owner")
    assert voice.ask(voice.report(voice.ask(), entry=gone)).kind is StepKind.DONE
    assert voice.world.state(voice.order.id) is OrderState.ERASED
    assert not is_served(voice)


@pytest.mark.negative
def test_a_proof_that_nobody_asked_for_ends_nothing(voice: TreVoice) -> None:
    want(voice, ERASE)
    made = instruction_of(voice.ask(voice.report(voice.ask())))
    want(voice, DEACTIVATE)
    voice.ask(voice.report(voice.ask()))
    with refused(RefusalCode.RECEIPT_MISMATCH):
        voice.ask(voice.proof(made))
    assert is_served(voice)


@pytest.mark.negative
def test_what_is_no_statement_and_of_no_order_is_refused(voice: TreVoice) -> None:
    with refused(RefusalCode.RECEIPT_MALFORMED):
        voice.ask(b"\xa0")
    receipt = voice.world.statement(voice.order.id, voice.world.receipt(voice.order.id)).encode()
    with refused(RefusalCode.RECEIPT_MISMATCH):
        voice.ask(receipt)
    with refused(RefusalCode.ORDER_UNKNOWN):
        voice.world.lives.next_step(bytes(32), None, at=voice.world.at)
    with refused(RefusalCode.ORDER_UNKNOWN):
        voice.world.lives.want("nobody", BLOCK, reason="", at=voice.world.at)
    with refused(RefusalCode.ORDER_UNKNOWN):
        voice.world.lives.want(voice.order.id, "fly", reason="", at=voice.world.at)
    with refused(RefusalCode.ORDER_UNKNOWN):
        voice.world.lives.about("nobody")


@pytest.mark.negative
def test_of_an_order_that_is_not_active_nothing_is_wanted(keys: Keys) -> None:
    world = World(keys)
    order = world.authorized()
    with refused(RefusalCode.ORDER_NOT_AUTHORIZED):
        world.lives.want(order.id, BLOCK, reason="", at=world.at)
    with refused(RefusalCode.ORDER_NOT_AUTHORIZED):
        world.lives.next_step(order.digest or b"", None, at=world.at)
