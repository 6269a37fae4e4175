"""A subscription moves to another device: never two usable MIDs, and one as soon as both sides have been reached; on each database."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import pytest

from messages.device_code import device_code
from messages.instruction import BLOCK, ERASE, LOCK, UNLOCK
from messages.instruction import read_claims as read_instruction
from operators.sho.lives import LEFT, Step, StepKind
from operators.sho.mid_migrations import MOVED, MigrationWish
from operators.sho.mid_updates import UpdateWish
from operators.sho.order_states import MigrationState, OrderRecord, OrderState
from operators.sho.receipts import ReceiptAnswer
from operators.sho.refusals import RefusalCode, RefusalError
from tests.contract.test_sho_store import stored
from tests.fakes.attesting_device import AttestingDevice
from tests.fakes.sho_lives import TreVoice, claims_of, instruction_of
from tests.fakes.sho_memory import MemoryStore
from tests.fakes.sho_peers import Keys
from tests.fakes.sho_world import World

KEY = "a-migration-of-a-mid"


@pytest.fixture(scope="module")
def keys() -> Keys:
    return Keys()


@dataclass
class Move:
    """One operator and two devices of a subscriber; `here` has the MID, and `there` is where it is to go."""

    here: World
    there: World
    source: OrderRecord = field(init=False)
    voice: TreVoice = field(init=False)
    imsi: str = field(init=False)
    state: str = "ACTIVE"
    """Of the MID here, as its TRE has it."""

    def __post_init__(self) -> None:
        self.source = self.here.active()
        self.voice = TreVoice(self.here, self.source)
        self.imsi = self.here.imsi(self.source.id)

    def place(self, **changed: str) -> OrderRecord:
        """The staff orders it."""
        wish = MigrationWish(device_code=device_code(self.there.keys.device.device_id), idempotency_key=KEY)
        return self.here.migrations.place(self.source.id, replace(wish, **changed), at=self.here.at)

    def follow(self) -> Step:
        """The device here asks, and does what it hears; its last step."""
        while True:
            order = self.here.order(self.source.id)
            if order.state is OrderState.ERASED:
                return Step(kind=StepKind.DONE)
            entry = self.voice.entry(state=self.state)
            step = self.voice.ask(self.voice.report(self.voice.ask(), entry=entry))
            if step.kind is StepKind.DONE:
                return step
            said = instruction_of(step)
            if said.action == ERASE:
                self.state = "ERASED"
                return self.voice.ask(self.voice.proof(said))
            self.state = {LOCK: "MIGRATING", UNLOCK: "ACTIVE"}[said.action]

    def register(self) -> None:
        """The device there registers, and the engine takes its turn."""
        self.there.register()
        self.there.advance()

    def authorize(self, order: OrderRecord) -> OrderRecord:
        """The device there is validated, and its package goes to the DPF."""
        self.there.later(seconds=10)  # what waited is looked at again
        self.there.advance()
        self.there.validation.take(self.there.pva.answer_all(), at=self.there.at)
        self.there.advance()
        return self.there.order(order.id)

    def receive(self, order: OrderRecord) -> ReceiptAnswer:
        """The receipt of the TRE there."""
        return self.there.receipts.take(self.there.message(order.id), at=self.there.at)

    def ready(self) -> OrderRecord:
        """Everything up to the commit point."""
        order = self.place()
        self.register()
        self.follow()
        found = self.authorize(order)
        assert found.state is OrderState.AUTHORIZED
        return found

    def usable(self, order: OrderRecord, *, there: str) -> list[str]:
        """Where a MID is ACTIVE in its TRE, which is `there` in the other device, and its key the AuC's."""
        try:
            self.here.authentication.vectors(self.imsi)
        except RefusalError:
            return []
        owner = self.here.store.take_sequence(self.imsi, advance=lambda before: before.sequence).order_id
        states = {self.source.id: ("here", self.state), order.id: ("there", there)}
        return [name for order_id, (name, state) in states.items() if (order_id, state) == (owner, "ACTIVE")]


@pytest.fixture(params=["memory", "sqlite", "postgresql"])
def move(request: pytest.FixtureRequest, tmp_path: Path, keys: Keys) -> Iterator[Move]:
    if request.param == "memory":
        yield moving(keys, MemoryStore())
        return
    url = f"sqlite:///{tmp_path / 'sho.db'}"
    if request.param == "postgresql":
        url = request.getfixturevalue("postgresql").new_database()
    store = stored(url)
    yield moving(keys, store)
    store.engine.dispose()


def moving(keys: Keys, store: Any) -> Move:
    """Two devices of one operator."""
    here = World(keys, store=store)
    there = World(replace(keys, device=AttestingDevice(ek_seed=b"another device")), store=store)
    there.random_bytes._count = 1 << 20  # noqa: SLF001 - two processes of one operator draw no number twice
    return Move(here=here, there=there)


@contextmanager
def refused(code: RefusalCode, *, match: str | None = None) -> Iterator[None]:
    """What is inside is refused with this code."""
    with pytest.raises(RefusalError, match=match) as caught:
        yield
    assert caught.value.code == code.value


@pytest.mark.requirement("R56", "R59", "R99")
def test_the_aucs_switch_is_the_moment_in_which_one_mid_is_usable_and_not_the_other(move: Move) -> None:
    order = move.place()
    assert move.usable(order, there="") == ["here"]
    assert move.follow().kind is StepKind.DONE  # nothing is locked before the other device has come
    assert move.state == "ACTIVE"
    move.register()
    assert (
        move.there.state(order.id) is OrderState.REGISTERED
    )  # and nobody validated before the TRE here has said so
    assert not move.there.pva.requests
    move.follow()
    assert (move.state, move.usable(order, there="")) == ("MIGRATING", [])
    order = move.authorize(order)
    old = move.here.package(move.source.id)
    assert move.there.package(order.id).mid_id != old.mid_id
    sealed_before = move.here.store.subscriptions_of(move.source.id)[0].sealed
    assert move.usable(order, there="INACTIVE") == []
    answer = move.receive(order)
    said = read_instruction(claims_of(answer.instruction))
    assert (answer.state, said.action, said.device_id) == (
        OrderState.ACTIVE,
        "activate",
        move.there.keys.device.device_id,
    )
    assert move.usable(order, there="ACTIVE") == ["there"]
    (subscription,) = move.there.store.subscriptions_of(order.id)
    assert subscription.sealed != sealed_before
    assert move.here.state(move.source.id) is OrderState.MOVED
    assert move.here.store.subscriptions_of(move.source.id) == ()
    assert move.follow().kind is StepKind.DONE
    assert (move.state, move.here.state(move.source.id)) == ("ERASED", OrderState.ERASED)
    assert move.usable(order, there="ACTIVE") == ["there"]
    assert move.here.store.informed(move.source.id)[-2:] == (MOVED, LEFT)
    (told,) = move.here.migrations.about(move.source.id)
    assert (told[0].state, told[1].id) == (MigrationState.COMMITTED, order.id)


@pytest.mark.requirement("R59")
def test_a_migration_that_is_given_up_leaves_the_mid_where_it_was_and_no_receipt_counts_after_it(
    move: Move,
) -> None:
    order = move.ready()
    message = move.there.message(order.id)  # the TRE there has installed it, and its receipt is on its way
    move.here.migrations.abort(order.id, at=move.here.at)
    move.here.migrations.abort(order.id, at=move.here.at)
    assert move.there.state(order.id) is OrderState.EXPIRED
    with refused(RefusalCode.ORDER_NOT_AUTHORIZED, match="expired"):
        move.there.receipts.take(message, at=move.there.at)
    assert move.usable(order, there="INACTIVE") == []
    move.follow()
    assert (move.state, move.usable(order, there="INACTIVE")) == ("ACTIVE", ["here"])
    # what came all the same is erased from the other device, and nothing else is touched by its proof
    other = TreVoice(move.there, move.there.order(order.id))
    step = other.ask(other.report(other.ask(), entry=other.entry(state="INACTIVE")))
    assert step.kind is StepKind.ERASE
    assert other.ask(other.proof(instruction_of(step))).kind is StepKind.DONE
    assert move.there.state(order.id) is OrderState.ERASED
    assert move.usable(order, there="ERASED") == ["here"]
    assert [each.state for each, _ in move.here.migrations.about(move.source.id)] == [MigrationState.ABORTED]


@pytest.mark.requirement("R59")
@pytest.mark.negative
def test_after_the_commit_point_there_is_only_forward(move: Move) -> None:
    order = move.ready()
    answer = move.receive(order)
    with refused(RefusalCode.MIGRATION_COMMITTED):
        move.here.migrations.abort(order.id, at=move.here.at)
    assert move.usable(order, there="ACTIVE") == ["there"]
    assert answer.instruction is not None
    step = move.voice.ask(move.voice.report(move.voice.ask(), entry=move.voice.entry(state="MIGRATING")))
    assert (step.kind, instruction_of(step).reason) == (StepKind.ERASE, "migration")
    with refused(RefusalCode.ORDER_UNKNOWN):
        move.here.migrations.abort("unknown", at=move.here.at)


@pytest.mark.requirement("R59")
@pytest.mark.parametrize("step", ["ordered", "registered", "locked", "refused"])
def test_it_can_be_given_up_at_every_step_and_another_one_begun(move: Move, step: str) -> None:
    order = move.place()
    if step != "ordered":
        move.register()
    if step in {"locked", "refused"}:
        move.follow()
    if step == "refused":
        move.there.later(seconds=10)
        move.there.advance()
        move.there.store.refuse(order.id, before=OrderState.VALIDATING, reason="its state", at=move.there.at)
    move.here.migrations.abort(order.id, at=move.here.at)
    move.follow()
    assert (move.state, move.usable(order, there="")) == ("ACTIVE", ["here"])
    again = move.place(idempotency_key="another-migration")
    move.register()
    move.follow()
    again = move.authorize(again)
    move.receive(again)
    assert move.usable(again, there="ACTIVE") == ["there"]


@pytest.mark.requirement("R59")
def test_an_order_that_lapses_or_fails_there_calls_the_mid_back_by_itself(move: Move) -> None:
    order = move.place()
    move.register()
    move.follow()
    assert move.state == "MIGRATING"
    move.here.later(days=1, minutes=1)
    move.there.later(days=1, minutes=1)
    move.there.advance()
    assert move.there.state(order.id) is OrderState.EXPIRED
    move.follow()
    assert move.state == "ACTIVE"
    again = move.place(idempotency_key="another-migration")
    move.register()
    move.follow()
    again = move.authorize(again)
    said = move.there.statement(again.id, move.there.receipt(again.id, outcome="policy-refused"))
    move.there.receipts.take(move.there.message(again.id, said), at=move.there.at)
    assert move.there.state(again.id) is OrderState.FAILED
    move.follow()
    assert move.state == "ACTIVE"
    other = TreVoice(
        move.there, move.there.order(again.id)
    )  # where a receipt of before was lost, its TRE has the MID
    step = other.ask(other.report(other.ask(), entry=other.entry(state="INACTIVE")))
    assert other.ask(other.proof(instruction_of(step))).kind is StepKind.DONE
    assert move.there.state(again.id) is OrderState.ERASED
    assert [each.state for each, _ in move.here.migrations.about(move.source.id)] == [
        MigrationState.ABORTED,
        MigrationState.ABORTED,
    ]


@pytest.mark.requirement("R59")
@pytest.mark.negative
def test_an_older_word_that_the_mid_is_locked_is_none(move: Move) -> None:
    first = move.place()
    move.register()
    move.follow()
    move.here.migrations.abort(
        first.id, at=move.here.at
    )  # the device has not asked since: it is to be unlocked
    second = move.place(idempotency_key="another-migration")
    move.register()
    move.there.later(seconds=10)
    move.there.advance()
    assert move.there.state(second.id) is OrderState.REGISTERED
    move.follow()
    assert move.state == "MIGRATING"
    assert move.authorize(second).state is OrderState.AUTHORIZED


@pytest.mark.requirement("R59", "R60")
@pytest.mark.negative
def test_what_moves_serves_and_goes_to_another_device_and_nothing_else_happens_to_it_meanwhile(
    move: Move,
) -> None:
    with refused(RefusalCode.DEVICE_CODE_INVALID, match="that the MID is in"):
        move.place(device_code=move.source.device_code)
    with refused(RefusalCode.DEVICE_CODE_INVALID):
        move.place(device_code="none")
    with refused(RefusalCode.ORDER_UNKNOWN):
        move.here.migrations.about("unknown")
    update = UpdateWish(product=None, has_fresh_keys=True, idempotency_key="an-update-of-a-mid")
    placed = move.here.mid_updates.place(move.source.id, update, at=move.here.at)
    with refused(RefusalCode.UPDATE_UNDER_WAY):
        move.place()
    move.here.store.expire(placed.id, before=OrderState.ORDERED, at=move.here.at)
    order = move.place()
    assert move.place().id == order.id
    with refused(RefusalCode.UPDATE_UNDER_WAY):
        move.place(idempotency_key="another-migration")
    with refused(RefusalCode.UPDATE_UNDER_WAY):
        wish = replace(update, idempotency_key="another-update-of-a-mid")
        move.here.mid_updates.place(move.source.id, wish, at=move.here.at)
    with refused(RefusalCode.MIGRATION_UNDER_WAY):
        move.here.lives.want(move.source.id, BLOCK, reason="", at=move.here.at)
    for action in (LOCK, UNLOCK):
        with refused(RefusalCode.ORDER_UNKNOWN, match="expected activate"):
            move.here.lives.want(move.source.id, action, reason="", at=move.here.at)
    move.here.migrations.abort(order.id, at=move.here.at)
    move.here.lives.want(move.source.id, BLOCK, reason="stolen", at=move.here.at)
    with refused(RefusalCode.ORDER_NOT_AUTHORIZED, match="blocked"):
        move.place(idempotency_key="another-migration")


@pytest.mark.requirement("R59")
@pytest.mark.negative
def test_only_the_device_that_is_named_registers_for_it(move: Move) -> None:
    order = move.place()
    with refused(RefusalCode.NO_ORDER):
        World(
            replace(move.here.keys, device=AttestingDevice(ek_seed=b"a third device")), store=move.here.store
        ).register()
    assert move.here.register() == move.source.token
    move.register()
    assert move.there.order(order.id).device_id == move.there.keys.device.device_id
