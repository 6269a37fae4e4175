"""The line of answers to be made: bounded, a few at a time, and nobody's failure is another's."""

import asyncio
from concurrent.futures import ThreadPoolExecutor
from functools import partial

import pytest

from ocsp.at_hand import Kept
from ocsp.live_queue import PER_TURN, LiveQueue
from ocsp.responses import Answer, error_response
from standards.pki.ocsp import ResponseStatus

MADE = Kept(Answer(der=error_response(ResponseStatus.TRY_LATER), status=ResponseStatus.TRY_LATER))


def test_work_is_done_in_its_order_and_a_few_at_a_time() -> None:
    async def scenario() -> list[str]:
        queue, seen = LiveQueue(), list[str]()

        def work(number: int) -> Kept:
            seen.append(str(number))
            return MADE

        places = [queue.submit(partial(work, number)) for number in range(2 * PER_TURN + 1)]
        assert places[:PER_TURN] == [MADE] * PER_TURN
        seen.append("turn")
        loop = asyncio.get_running_loop()
        loop.call_soon(seen.append, "turn")
        for place in places[PER_TURN:]:
            assert isinstance(place, asyncio.Future)
            assert await place is MADE
        await asyncio.sleep(0)
        assert queue.submit(partial(work, 99)) is MADE
        return seen

    expected = [*map(str, range(2 * PER_TURN + 1)), "99"]
    seen = asyncio.run(scenario())
    assert [each for each in seen if each != "turn"] == expected
    assert seen[PER_TURN] == "turn"
    assert seen[2 * PER_TURN + 1] == "turn"


@pytest.mark.negative
@pytest.mark.parametrize("outside", [False, True])
def test_a_full_line_takes_nobody(outside: bool) -> None:  # noqa: FBT001  # a parameter of the test
    async def scenario() -> None:
        with ThreadPoolExecutor(1) as threads:
            queue = LiveQueue(waiting_max=2, executor=threads if outside else None)
            for _ in range(0 if outside else PER_TURN):
                assert queue.submit(lambda: MADE) is MADE
            first, second, third = (queue.submit(lambda: MADE) for _ in range(3))
            assert isinstance(first, asyncio.Future)
            assert isinstance(second, asyncio.Future)
            assert third is None
            assert await first is await second is MADE
            await asyncio.sleep(0)  # those who came back are counted out
            again = queue.submit(lambda: MADE)
            assert again is not None
            assert again is MADE or await again is MADE  # type: ignore[misc]  # it is one of the two

    asyncio.run(scenario())


@pytest.mark.negative
def test_a_failure_reaches_its_own_client_alone() -> None:
    def fail() -> Kept:
        raise OSError("disk")

    async def scenario() -> None:
        queue = LiveQueue()
        for _ in range(PER_TURN):
            queue.submit(lambda: MADE)
        gone, failing, fine = queue.submit(fail), queue.submit(fail), queue.submit(lambda: MADE)
        assert isinstance(gone, asyncio.Future)
        assert isinstance(failing, asyncio.Future)
        assert isinstance(fine, asyncio.Future)
        gone.cancel()
        with pytest.raises(OSError, match="disk"):
            await failing
        assert await fine is MADE

    asyncio.run(scenario())
