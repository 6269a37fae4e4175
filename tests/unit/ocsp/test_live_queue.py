"""The line of answers to be made: bounded, a few at a time, and nobody who left is waited for."""

import asyncio
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor

import pytest

from ocsp.at_hand import Kept, Wanted
from ocsp.live_queue import PER_TURN, TURNS_OUTSIDE, LiveQueue
from ocsp.responses import Answer, error_response
from standards.pki.ocsp import ResponseStatus


class Maker:
    """Makes an answer that knows whose it is, and notes who was answered together."""

    def __init__(self) -> None:
        self.batches: list[list[bytes]] = []

    def make_all(self, wanted: Sequence[Wanted]) -> list[Kept]:
        self.batches.append([each.request for each in wanted])
        status = ResponseStatus.TRY_LATER
        return [Kept(Answer(der=error_response(status) + each.request, status=status)) for each in wanted]


def want(number: int) -> Wanted:
    return Wanted(b"%03d" % number, "")


def named(kept: Kept) -> bytes:
    return kept.answer.der[-3:]


@pytest.mark.parametrize("outside", [False, True])
def test_everybody_gets_his_own_in_the_order_of_asking_and_a_few_at_a_time(
    outside: bool,  # noqa: FBT001  # a parameter of the test
) -> None:
    maker, count = Maker(), 2 * PER_TURN + 1

    async def scenario(threads: ThreadPoolExecutor) -> list[bytes]:
        queue = LiveQueue(maker.make_all, executor=threads if outside else None)
        places = [queue.submit(want(number)) for number in range(count)]
        assert maker.batches == []
        return [named(await place) for place in places if place is not None]

    with ThreadPoolExecutor(1) as threads:
        assert asyncio.run(scenario(threads)) == [b"%03d" % number for number in range(count)]
    assert [len(each) for each in maker.batches] == [PER_TURN, PER_TURN, 1]


def test_the_event_loop_looks_at_its_connections_between_two_turns() -> None:
    maker, seen = Maker(), list[int]()

    async def scenario() -> None:
        queue, loop = LiveQueue(maker.make_all), asyncio.get_running_loop()
        places = [queue.submit(want(number)) for number in range(2 * PER_TURN)]
        loop.call_soon(lambda: seen.append(len(maker.batches)))
        assert places[-1] is not None
        await places[-1]

    asyncio.run(scenario())
    assert seen == [1]


@pytest.mark.negative
@pytest.mark.parametrize("outside", [False, True])
def test_a_full_line_takes_nobody(outside: bool) -> None:  # noqa: FBT001  # a parameter of the test
    maker = Maker()

    async def scenario(threads: ThreadPoolExecutor) -> None:
        queue = LiveQueue(maker.make_all, waiting_max=2, executor=threads if outside else None)
        first, second, third = (queue.submit(want(number)) for number in range(3))
        assert third is None
        assert first is not None
        assert second is not None
        assert [named(await first), named(await second)] == [b"000", b"001"]
        again = queue.submit(want(3))
        assert again is not None
        assert named(await again) == b"003"

    with ThreadPoolExecutor(1) as threads:
        asyncio.run(scenario(threads))


def test_only_so_many_turns_are_outside_at_a_time() -> None:
    maker = Maker()

    async def scenario(threads: ThreadPoolExecutor) -> int:
        gate = asyncio.Event()
        loop = asyncio.get_running_loop()

        def held(wanted: Sequence[Wanted]) -> list[Kept]:
            asyncio.run_coroutine_threadsafe(gate.wait(), loop).result(10)
            return maker.make_all(wanted)

        queue = LiveQueue(held, waiting_max=1000, executor=threads)
        places = [queue.submit(want(number)) for number in range(PER_TURN * (TURNS_OUTSIDE + 1))]
        for _ in range(3 * TURNS_OUTSIDE):
            await asyncio.sleep(0)
        waiting = queue.waiting
        gate.set()
        assert [named(await place) for place in places if place is not None][-1] == b"%03d" % (
            len(places) - 1
        )
        return waiting

    with ThreadPoolExecutor(TURNS_OUTSIDE + 1) as threads:
        assert asyncio.run(scenario(threads)) == PER_TURN


@pytest.mark.negative
@pytest.mark.parametrize("outside", [False, True])
def test_a_failure_reaches_those_who_wait_and_the_line_goes_on(
    outside: bool,  # noqa: FBT001  # a parameter of the test
) -> None:
    maker, failures = Maker(), [OSError("disk")]

    def make_all(wanted: Sequence[Wanted]) -> list[Kept]:
        if failures:
            raise failures.pop()
        return maker.make_all(wanted)

    async def scenario(threads: ThreadPoolExecutor) -> None:
        queue = LiveQueue(make_all, executor=threads if outside else None)
        gone, failing = queue.submit(want(0)), queue.submit(want(1))
        assert gone is not None
        assert failing is not None
        gone.cancel()
        with pytest.raises(OSError, match="disk"):
            await failing
        gone, fine = queue.submit(want(2)), queue.submit(want(3))
        assert gone is not None
        assert fine is not None
        gone.cancel()
        assert named(await fine) == b"003"

    with ThreadPoolExecutor(1) as threads:
        asyncio.run(scenario(threads))
    assert maker.batches == [[b"003"]]
