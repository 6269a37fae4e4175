"""Results are pushed until they are taken or out of time, one try a claim, each callback for itself."""

from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta

import pytest

from edge.http_client import HttpError, UnreachableError
from pva.pushing import PAUSE_MAX, Courier, PostedResult, PostRoom, pause_after
from pva.results.result import SignedResult
from tests.fakes.pki import NOW
from tests.fakes.pva_memory import MemoryStore
from tests.fakes.pva_world import World

LIFE = timedelta(seconds=30)


@dataclass
class Callback:
    """A relying party's listener: fails as often as told, then takes results."""

    failures: list[Exception] = field(default_factory=list)
    taken: list[str] = field(default_factory=list)
    calls: int = 0

    def push(self, posted: PostedResult) -> None:
        """See `pva.pushing.Courier`."""
        self.calls += 1
        if self.failures:
            raise self.failures.pop(0)
        self.taken.append(posted.token)


@dataclass
class Bench:
    """One recorded result, on its way to two relying parties."""

    world: World
    result: SignedResult
    outbox: MemoryStore
    now: datetime = NOW

    def courier(self, callback: Callback, audience: str = "sho-1") -> Courier[PostedResult]:
        """A courier to one of them."""
        return Courier(
            audience=audience,
            outbox=self.outbox,
            push=callback.push,
            clock=lambda: self.now,
            claim_life=LIFE,
        )


@pytest.fixture(scope="module")
def recorded() -> Bench:
    world = World(store=MemoryStore(callbacks=frozenset({"sho-1", "dpf-1", "elsewhere"})))
    return Bench(world=world, result=world.validate(world.answer()), outbox=world.store)


@pytest.fixture
def bench(recorded: Bench) -> Bench:
    """The same result with an outbox as it was recorded."""
    return replace(recorded, outbox=MemoryStore(posted=dict(recorded.outbox.posted)))


@pytest.mark.requirement("R81")
@pytest.mark.requirement("R95")
def test_each_member_of_the_audience_gets_the_result_once(bench: Bench) -> None:
    sho, dpf = Callback(), Callback()
    for _ in range(2):
        bench.courier(sho).deliver()
        bench.courier(dpf, "dpf-1").deliver()
    assert sho.taken == dpf.taken == [bench.result.token]
    assert not bench.outbox.posted


@pytest.mark.negative
def test_a_failing_callback_is_called_again_after_growing_pauses(bench: Bench) -> None:
    failures = [UnreachableError("u", reason="silence"), HttpError("u", status=503, problem=None)]
    callback = Callback(failures=failures)
    courier = bench.courier(callback)
    for seconds, calls in ((0, 1), (0.5, 1), (1, 2), (2, 2), (3, 3), (9, 3)):
        bench.now = NOW + timedelta(seconds=seconds)
        courier.deliver()
        assert callback.calls == calls, seconds
    assert callback.taken == [bench.result.token]
    assert [pause_after(tries).total_seconds() for tries in range(3)] == [1, 2, 4]
    assert pause_after(40) == PAUSE_MAX


@pytest.mark.negative
def test_a_result_out_of_time_is_not_pushed_any_more(bench: Bench) -> None:
    callback = Callback(failures=[UnreachableError("u", reason="silence")])
    courier = bench.courier(callback)
    courier.deliver()
    bench.now = bench.result.result.expires_at
    courier.deliver()
    assert callback.calls == 1
    assert [audience for _, audience in bench.outbox.posted] == ["dpf-1"]


@pytest.mark.negative
def test_one_claim_is_one_try_and_a_claim_of_the_dead_lapses(bench: Bench) -> None:
    (posted,) = bench.outbox.due("sho-1", at=NOW, count_max=8)
    assert bench.outbox.claim(posted, until=NOW + LIFE)
    assert not bench.outbox.claim(posted, until=NOW + LIFE)
    callback = Callback()
    courier = bench.courier(callback)
    courier.deliver()
    assert callback.calls == 0
    bench.now = NOW + LIFE
    courier.deliver()
    assert callback.taken == [bench.result.token]


def test_an_announcement_wakes_the_couriers_of_the_audience_alone(bench: Bench) -> None:
    sho, elsewhere = Callback(), Callback()
    couriers = {"sho-1": bench.courier(sho), "elsewhere": bench.courier(elsewhere, "elsewhere")}
    PostRoom(couriers=couriers).announce(bench.result)
    assert couriers["sho-1"].announced.is_set()
    assert not couriers["elsewhere"].announced.is_set()
    couriers["sho-1"].wait_and_deliver()
    assert sho.taken == [bench.result.token]
    assert not couriers["sho-1"].announced.is_set()


def test_a_result_is_announced_when_it_is_on_record(bench: Bench) -> None:
    assert [each.id for each in bench.world.announced] == [bench.result.id]
