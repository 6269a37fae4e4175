"""Watches on every store: deadlines, events, leases; silence changes no status (R24, D6)."""

import threading
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from typing import Any

import pytest

from edge.process import system_random
from messages.operator_token import OperatorSigner, verify_operator_token
from messages.state_event import STATE_EVENT_KIND, PlatformState, StateEvent, check_addressed, read_claims
from pva.pushing import Courier
from pva.refusals import RefusalCode, RefusalError
from pva.store.watches import EventOutbox, PostedEvent, WatchStore
from pva.watching.status_asks import CA
from pva.watching.watches import LEASE_LIFE, WatchDesk, WatchKeeper
from pva.watching.watching import WatchTerms
from tests.contract.test_pva_store import CALLBACKS, world
from tests.fakes.attesting_device import measurements
from tests.fakes.pki import NOW
from tests.fakes.pva_watch_memory import MemoryWatches
from tests.fakes.pva_world import ISSUER, TENANT, World

__all__ = ["world"]

pytestmark = pytest.mark.requirement("R24")

HOUR = timedelta(hours=1)
GRACE = timedelta(minutes=5)
EVENT_LIFE = timedelta(days=7)
FIRST = int(NOW.timestamp()) + 1
BAD = tuple(measurements(kernel=b"another kernel"))
GOOD = tuple(measurements())


@dataclass
class Watching:
    """One operator that has one device watched; the time is moved by hand."""

    world: World
    now: datetime = NOW
    taken: list[StateEvent] = field(default_factory=list)

    def __post_init__(self) -> None:
        """Validate the device once, and begin to watch it."""
        if hasattr(self.world.store, "engine"):
            engine = self.world.store.engine
            self.store: Any = WatchStore(
                engine, random_bytes=system_random, callbacks=CALLBACKS, event_life=EVENT_LIFE
            )
            self.outbox: Any = EventOutbox(engine)
        else:
            self.store = self.outbox = MemoryWatches(
                store=self.world.store, callbacks=CALLBACKS, event_life=EVENT_LIFE
            )
        self.chain = self.world.chain()
        self.device_id = self.world.device.device_id

    @property
    def terms(self) -> WatchTerms:
        """What is asked for."""
        return WatchTerms(
            device_id=self.device_id, interval=HOUR, grace=GRACE, audience=("sho-1", "dpf-1", "nobody")
        )

    @property
    def desk(self) -> WatchDesk:
        """What operators ask for."""
        return WatchDesk(
            store=self.store, requests=self.world.desk, random_bytes=self.world.random_bytes, watches_max=2
        )

    def add(self, terms: WatchTerms | None = None, *, operator: str = TENANT) -> Any:
        """Begin to watch."""
        return self.desk.add(terms or self.terms, operator=operator, requester="sho", at=self.now)

    def keeper(self, holder: str = "one") -> WatchKeeper:
        """The loop of one process."""
        return WatchKeeper(
            store=self.store,
            requests=self.world.desk,
            signer=OperatorSigner(
                key=self.world.result_key, chain=(self.world.result_certificate,), issuer=ISSUER
            ),
            clock=lambda: self.now,
            random_bytes=self.world.random_bytes,
            holder=holder,
        )

    def rounds(self) -> None:
        """Everything that is due."""
        while self.keeper().round():
            pass

    def validated(self, boot: Any = GOOD) -> str:
        """The device answers whoever waits; the tier."""
        powered = int((self.now - NOW).total_seconds() * 1000) + 1000
        clock_info = replace(self.world.device.clock_info, clock=60_000 + powered)
        self.world.device = replace(self.world.device, boot=boot, clock_info=clock_info)
        token, challenge = self.world.challenge(at=self.now)
        message = self.world.device.evidence(challenge, token=token, chain=self.chain)
        return self.world.validate(message, at=self.now).status

    def waits(self) -> bool:
        """Whether the device would be asked now."""
        return bool(self.world.store.oldest_of_each(self.device_id, at=self.now))

    def events(self, audience: str = "sho-1") -> list[StateEvent]:
        """What a callback is told now, verified as its operator does."""
        told: list[StateEvent] = []

        def push(posted: PostedEvent) -> None:
            signed = verify_operator_token(
                posted.token, STATE_EVENT_KIND, anchors=[self.world.operators.certificate], at=self.now
            )
            event = read_claims(signed.claims)
            check_addressed(event, to=audience, at=self.now)
            told.append(event)

        Courier(
            audience=audience,
            outbox=self.outbox,
            push=push,
            clock=lambda: self.now,
            claim_life=timedelta(seconds=20),
        ).deliver()
        return told


@pytest.fixture
def watching(world: World) -> Watching:
    made = Watching(world=world)
    assert made.validated() == "affirming"
    made.add()
    return made


def test_a_device_is_asked_when_it_is_due_and_its_answer_rests_an_interval(watching: Watching) -> None:
    watching.rounds()
    assert not watching.waits()
    for _ in range(3):
        watching.now += HOUR
        watching.rounds()
        assert watching.waits()
        watching.rounds()
        assert watching.validated() == "affirming"
        watching.rounds()
        assert not watching.waits()
        (watch,) = watching.desk.watches(operator=TENANT)
        assert (watch.state, watch.due_at) == (PlatformState.AFFIRMING, watching.now + HOUR)
    (event,) = watching.events()
    assert (event.state, event.sequence) == (PlatformState.AFFIRMING, FIRST)
    assert watching.world.store.audit_kinds().count("watch-asked") == 3


@pytest.mark.negative
@pytest.mark.requirement("R101")
def test_silence_is_one_event_and_changes_no_status(watching: Watching) -> None:
    watching.now += HOUR
    watching.rounds()
    watching.now += GRACE - timedelta(seconds=1)
    watching.rounds()
    assert watching.events() == []
    watching.now += timedelta(seconds=1)
    watching.rounds()
    told = {audience: watching.events(audience) for audience in ("sho-1", "dpf-1", "nobody")}
    assert told["sho-1"] == told["dpf-1"]
    assert told["nobody"] == []
    (event,) = told["sho-1"]
    assert (event.state, event.sequence, event.result_id) == (PlatformState.STALE, FIRST, None)
    assert (event.operator, event.device_id, event.since) == (TENANT, watching.device_id, watching.now)
    for _ in range(8):
        watching.now += HOUR
        watching.rounds()
        assert watching.waits()
    assert watching.events() == []
    asks = watching.world.asks or watching.world.store.asks
    assert asks.due(CA, at=watching.now, count_max=8) == ()
    assert watching.world.store.audit_kinds().count("state-event") == 1
    assert watching.validated() == "affirming"
    watching.rounds()
    (event,) = watching.events()
    assert (event.state, event.sequence) == (PlatformState.AFFIRMING, FIRST + 1)


def test_a_bad_state_is_told_when_it_begins_and_when_it_ends(watching: Watching) -> None:
    seen = []
    for boot in (BAD, BAD, GOOD, GOOD):
        watching.now += HOUR
        watching.rounds()
        watching.validated(boot)
        watching.rounds()
        seen.append([(each.state.value, each.sequence - FIRST) for each in watching.events()])
    assert seen == [[("contraindicated", 0)], [], [("affirming", 1)], []]


@pytest.mark.negative
def test_of_several_processes_one_keeps_the_watches_until_its_lease_ends(watching: Watching) -> None:
    watching.now += HOUR
    assert watching.store.take_lease("watches", holder="one", at=watching.now, lasting=LEASE_LIFE)
    assert watching.keeper("two").round() == 0
    watching.now += LEASE_LIFE - timedelta(seconds=1)
    assert watching.keeper("two").round() == 0
    assert not watching.waits()
    watching.now += timedelta(seconds=1)
    assert watching.keeper("two").round() == 1
    assert watching.waits()
    assert watching.keeper("one").round() == 0


def test_watches_are_read_from_a_place_on(watching: Watching) -> None:
    (first,) = watching.desk.watches(operator=TENANT)
    place = (first.created_at, first.id)
    assert watching.desk.watches(operator=TENANT, after=place) == ()
    for before in ((first.created_at - HOUR, "f" * 32), (first.created_at, "")):
        assert watching.desk.watches(operator=TENANT, after=before, count_max=1) == (first,)
    assert watching.desk.watches(operator="sho-2", after=before) == ()
    assert watching.desk.watches(operator=TENANT, count_max=0) == ()


@pytest.mark.negative
def test_what_an_operator_may_not_watch(watching: Watching) -> None:
    unknown = replace(watching.terms, device_id="ee" * 32)
    refusals: dict[RefusalCode, Callable[[], Any]] = {
        RefusalCode.WATCH_WITHOUT_RESULT: lambda: watching.add(unknown),
        RefusalCode.WATCH_CONFLICT: lambda: watching.add(replace(watching.terms, interval=2 * HOUR)),
        RefusalCode.WATCH_TERMS: lambda: watching.add(
            replace(watching.terms, interval=timedelta(seconds=59))
        ),
        RefusalCode.AUDIENCE_WITHOUT_CALLER: lambda: watching.add(
            replace(watching.terms, audience=("dpf-1",))
        ),
    }
    for code, ask in refusals.items():
        with pytest.raises(RefusalError) as caught:
            ask()
        assert caught.value.code is code
    with pytest.raises(RefusalError) as caught:
        watching.add(replace(watching.terms, audience=("sho-2",)), operator="sho-2")
    assert caught.value.code is RefusalCode.WATCH_WITHOUT_RESULT
    (watch,) = watching.desk.watches(operator=TENANT)
    assert watching.add() == watch


@pytest.mark.negative
def test_a_bad_result_is_no_ground_for_a_watch(world: World) -> None:
    fresh = Watching(world=world)
    assert fresh.validated(BAD) == "contraindicated"
    with pytest.raises(RefusalError) as caught:
        fresh.add()
    assert caught.value.code is RefusalCode.WATCH_WITHOUT_RESULT


@pytest.mark.negative
def test_watches_are_ended_by_their_operator_alone_and_bounded(watching: Watching) -> None:
    (watch,) = watching.desk.watches(operator=TENANT)
    with pytest.raises(RefusalError) as caught:
        watching.desk.end(watch.id, operator="sho-2", by="sho-2", at=watching.now)
    assert caught.value.code is RefusalCode.NOT_FOUND
    watching.desk.end(watch.id, operator=TENANT, by="sho", at=watching.now)
    assert watching.desk.watches(operator=TENANT) == ()
    watching.now += HOUR
    watching.rounds()
    assert not watching.waits()
    none = replace(watching.desk, watches_max=0)
    with pytest.raises(RefusalError) as caught:
        none.add(watching.terms, operator=TENANT, requester="sho", at=watching.now)
    assert caught.value.code is RefusalCode.TOO_MANY_WATCHES


@pytest.mark.negative
@pytest.mark.parametrize("world", ["sqlite", "postgresql"], indirect=True)
def test_processes_that_decide_at_once_tell_it_once(watching: Watching) -> None:
    """Without the lease, too: the revision of the watch lets one of them win."""
    watching.now += HOUR
    watching.rounds()
    watching.now += GRACE
    ((watch, answer),) = watching.store.watches_to_look_at(at=watching.now, limit=8)
    changed: list[bool] = []

    def decide() -> None:
        changed.append(watching.keeper()._look(watch, answer=answer, at=watching.now))  # noqa: SLF001

    threads = [threading.Thread(target=decide) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(changed) == [False] * 7 + [True]
    assert len(watching.events()) == 1
