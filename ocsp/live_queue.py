"""Answers that have to be made: they wait in one bounded line, and the line is worked off a little at a time.

The one rule: whoever finds the line full is told so at once. A few are made at once each time that the event loop
has looked at its connections, the others wait. What is at hand already is never behind the line, so a flood of
requests with nonces delays those and nothing else.
"""

import asyncio
from collections import deque
from collections.abc import Callable
from concurrent.futures import Executor

from ocsp.at_hand import Kept

WAITING_MAX = 512
PER_TURN = 8
"""So many are made before the event loop looks at its connections again."""

Work = Callable[[], Kept]


class LiveQueue:
    """The line of one event loop; `executor` for a store that is asked over a network, which would stop the loop."""

    def __init__(self, *, waiting_max: int = WAITING_MAX, executor: Executor | None = None) -> None:
        """Nothing waits yet."""
        self._max = waiting_max
        self._executor = executor
        self._outside = 0
        self._loop: asyncio.AbstractEventLoop | None = None
        self._turning = False
        self._left = 0
        self._waiting: deque[tuple[asyncio.Future[Kept], Work]] = deque()

    @property
    def waiting(self) -> int:
        """How many wait or are made outside of the loop."""
        return len(self._waiting) + self._outside

    def submit(self, work: Work) -> Kept | asyncio.Future[Kept] | None:
        """What came of `work`, or where it will be; None when the line is full. Called on the event loop."""
        loop = self._loop or asyncio.get_running_loop()
        if self._executor is not None:
            return self._submit_outside(loop, self._executor, work)
        if not self._turning:
            self._loop, self._turning, self._left = loop, True, PER_TURN
            loop.call_soon(self._turn)
        if self._left and not self._waiting:
            self._left -= 1
            return work()
        if len(self._waiting) >= self._max:
            return None
        place: asyncio.Future[Kept] = loop.create_future()
        self._waiting.append((place, work))
        return place

    def _turn(self) -> None:
        """The event loop has looked at its connections: so many may be made again."""
        self._left = PER_TURN
        while self._waiting and self._left:
            self._left -= 1
            place, work = self._waiting.popleft()
            if place.cancelled():
                continue  # its client has gone
            try:
                place.set_result(work())
            except Exception as error:  # noqa: BLE001  # it belongs to the one who waits for it
                place.set_exception(error)
        self._turning = bool(self._waiting)
        if self._turning and self._loop is not None:
            self._loop.call_soon(self._turn)

    def _submit_outside(
        self, loop: asyncio.AbstractEventLoop, executor: Executor, work: Work
    ) -> asyncio.Future[Kept] | None:
        if self._outside >= self._max:
            return None
        self._outside += 1
        place = loop.run_in_executor(executor, work)
        place.add_done_callback(self._came_back)
        return place

    def _came_back(self, _: asyncio.Future[Kept]) -> None:
        self._outside -= 1
