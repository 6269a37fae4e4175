"""Answers that have to be made: they wait in one bounded line, and the line is worked off a few at a time.

The one rule: whoever finds the line full is told so at once. Each time that the event loop has looked at its
connections, the first few of the line are made together: one question to the store, then their signatures. What is at
hand already is never behind the line, so a flood of requests with nonces delays those and nothing else.
"""

import asyncio
from collections import deque
from collections.abc import Callable, Sequence
from concurrent.futures import Executor

from ocsp.at_hand import Kept, Wanted

WAITING_MAX = 512
PER_TURN = 16
"""So many are made together, before the event loop looks at its connections again."""
TURNS_OUTSIDE = 4
"""So many of these turns are with an executor at a time."""

MakeAll = Callable[[Sequence[Wanted]], Sequence[Kept]]
Place = asyncio.Future[Kept]


class LiveQueue:
    """The line of one event loop; `executor` for a store that is asked over a network, which would stop the loop."""

    def __init__(
        self, make_all: MakeAll, *, waiting_max: int = WAITING_MAX, executor: Executor | None = None
    ) -> None:
        """Nothing waits yet; `make_all` gives as many answers as were wanted, in the same order."""
        self._make_all = make_all
        self._max = waiting_max
        self._executor = executor
        self._loop: asyncio.AbstractEventLoop | None = None
        self._turning = False
        self._outside = 0
        self._waiting: deque[tuple[Place, Wanted]] = deque()

    @property
    def waiting(self) -> int:
        """How many wait at this moment, and are not being made yet."""
        return len(self._waiting)

    def submit(self, wanted: Wanted) -> Place | None:
        """Where the answer will be; None when the line is full. Called on the event loop."""
        if len(self._waiting) >= self._max:
            return None
        loop = self._loop = self._loop or asyncio.get_running_loop()
        place: Place = loop.create_future()
        self._waiting.append((place, wanted))
        if not self._turning:
            self._turning = True
            loop.call_soon(self._turn)
        return place

    def _turn(self) -> None:
        """The event loop has looked at its connections: so many may be made."""
        batch: list[tuple[Place, Wanted]] = []
        while self._waiting and len(batch) < PER_TURN:
            entry = self._waiting.popleft()
            if not entry[0].cancelled():  # its client is still there
                batch.append(entry)
        if batch:
            self._make(batch)
        self._turning = bool(self._waiting) and self._outside < TURNS_OUTSIDE
        if self._turning and self._loop is not None:
            self._loop.call_soon(self._turn)

    def _make(self, batch: Sequence[tuple[Place, Wanted]]) -> None:
        wanted = [each for _, each in batch]
        if self._executor is None or self._loop is None:
            try:
                made = self._make_all(wanted)
            except Exception as error:  # noqa: BLE001  # it belongs to those who wait for it
                _fail(batch, error)
            else:
                _give(batch, made)
            return
        self._outside += 1
        outside = self._loop.run_in_executor(self._executor, self._make_all, wanted)
        outside.add_done_callback(lambda done: self._came_back(batch, done))

    def _came_back(self, batch: Sequence[tuple[Place, Wanted]], done: asyncio.Future[Sequence[Kept]]) -> None:
        self._outside -= 1
        if done.cancelled():  # the process ends
            return
        error = done.exception()
        if error is not None:
            _fail(batch, error)
        else:
            _give(batch, done.result())
        if not self._turning:
            self._turn()


def _give(batch: Sequence[tuple[Place, Wanted]], made: Sequence[Kept]) -> None:
    for (place, _), kept in zip(batch, made, strict=True):
        if not place.cancelled():
            place.set_result(kept)


def _fail(batch: Sequence[tuple[Place, Wanted]], error: BaseException) -> None:
    for place, _ in batch:
        if not place.cancelled():
            place.set_exception(error)
