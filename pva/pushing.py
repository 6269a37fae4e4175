"""Use case: what was posted goes to its addressee, until it is taken or out of time (R81, R95).

Results go to the relying parties that the settings have a callback for, asks about status to the CA (`pva.watching.status_asks`).

Rule: a message is posted in the transaction that records what it tells, and carried beside: no addressee delays a
device's answer, nor another addressee. A delivery is claimed by one statement before it is tried, so that of several processes on one
store one sends it; a claim that nobody ends (its process died) lapses. Who is called stands in the settings alone.

    posted --(claim)--> tried --(2xx)--> gone
                        tried --(anything else)--> posted, due after a pause that doubles
    posted --(its expiry, where it has one)--> gone
"""

import threading
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Final, Generic, Protocol, TypeVar

from edge.http_client import HttpError, UnreachableError
from edge.process import Clock, logger
from pva.results.result import SignedResult

PAUSE_FIRST: Final = timedelta(seconds=1)
PAUSE_MAX: Final = timedelta(seconds=60)
LOOK_INTERVAL_S: Final = 1.0
"""How often a callback's deliveries are looked through when nothing is announced."""
_BATCH = 32
_DOUBLINGS_MAX = 6


@dataclass(frozen=True, slots=True, kw_only=True)
class PostedResult:
    """A result on its way to one audience member; `tries` so far."""

    result_id: str
    audience: str
    token: str
    tries: int
    expires_at: datetime


class Posted(Protocol):
    """A message on its way: `tries` so far, `expires_at` None where it is carried until it is taken."""

    @property
    def tries(self) -> int:
        """How often it was tried."""

    @property
    def expires_at(self) -> datetime | None:
        """When nobody waits for it any more."""


PostedT = TypeVar("PostedT", bound=Posted)


class Outbox(Protocol[PostedT]):
    """What this use case needs of a store; each call is one transaction."""

    def due(self, audience: str, *, at: datetime, count_max: int) -> Sequence[PostedT]:
        """Messages that are to be sent to this addressee now, or are out of time; oldest first."""

    def claim(self, posted: PostedT, *, until: datetime) -> bool:
        """Take one try of a delivery for oneself until then; False where another took it."""

    def postpone(self, posted: PostedT, *, until: datetime) -> None:
        """Give a claimed delivery back, due then."""

    def remove(self, posted: PostedT) -> None:
        """The delivery is over."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Courier(Generic[PostedT]):
    """Everything on its way to one addressee.

    `push` sends one message and raises HttpError or UnreachableError where it was not taken; `claim_life` is longer
    than a call can take.
    """

    audience: str
    outbox: Outbox[PostedT]
    push: Callable[[PostedT], None]
    clock: Clock
    claim_life: timedelta
    announced: threading.Event = field(default_factory=threading.Event)

    def wait_and_deliver(self) -> None:
        """Wait for an announcement, a moment at most, then send what is due."""
        self.announced.wait(LOOK_INTERVAL_S)
        self.announced.clear()
        self.deliver()

    def deliver(self) -> None:
        """Try every due delivery once."""
        while batch := self.outbox.due(self.audience, at=self.clock(), count_max=_BATCH):
            for posted in batch:
                self._try(posted)

    def _try(self, posted: PostedT) -> None:
        at = self.clock()
        if posted.expires_at is not None and at >= posted.expires_at:
            self.outbox.remove(posted)
            logger("push").warning("not-delivered", audience=self.audience, tries=posted.tries)
            return
        if not self.outbox.claim(posted, until=at + self.claim_life):
            return
        try:
            self.push(posted)
        except (HttpError, UnreachableError) as error:
            until = self.clock() + pause_after(posted.tries)
            self.outbox.postpone(posted, until=until)
            logger("push").warning("callback-failed", audience=self.audience, reason=str(error)[:500])
            return
        self.outbox.remove(posted)


@dataclass(frozen=True, slots=True, kw_only=True)
class PostRoom:
    """The couriers of results by audience member, and those that may have work after any result; hears of every one."""

    couriers: Mapping[str, Courier[PostedResult]]
    others: tuple[threading.Event, ...] = ()

    def announce(self, result: SignedResult) -> None:
        """Wake the couriers of a result's audience, and the others; waits for nothing."""
        for audience in result.result.audience:
            courier = self.couriers.get(audience)
            if courier is not None:
                courier.announced.set()
        for announced in self.others:
            announced.set()


def pause_after(tries: int) -> timedelta:
    """How long to wait after the next failed try when there were `tries` before it."""
    doubled: timedelta = PAUSE_FIRST * (2 ** min(tries, _DOUBLINGS_MAX))
    return min(PAUSE_MAX, doubled)
