"""When a watched device is to be looked at again, and what its answer or its silence means. Pure (R24, D6).

Rule: every decision about a watch is in this table; the loop outside (`pva.watch_keeping`) only carries them out.

    resting --due_at--> asked --a result--> resting, due one interval after it
                        asked --the request has lapsed--> asked again
                        asked --grace after the first request--> asked, and the state is stale: once, until there
                                                                 is a result

A state that differs from the one before is an event, with the next number; so is the first that is known. Silence says nothing about
a platform: it makes what was known stale, and changes no status of a credential, whatever comes of it.
"""

from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from enum import StrEnum, unique
from typing import Final

from messages.state_event import PlatformState

INTERVAL_MIN: Final = timedelta(minutes=1)
INTERVAL_MAX: Final = timedelta(days=90)
GRACE_MIN: Final = timedelta(seconds=1)


@dataclass(frozen=True, slots=True, kw_only=True)
class WatchTerms:
    """What an operator asks for: which device, how often, how late an answer may come, and who is told."""

    device_id: str
    interval: timedelta
    grace: timedelta
    audience: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Watch:
    """A watch on record.

    `state` is the last that was told, None before the first; `sequence` the number of that event, which begins with the
    second of the watch's creation, so that a later watch is above an earlier one; `request_id` the request that waits
    for the device, `asked_until` when it lapses; `revision` counts changes.
    """

    id: str
    operator: str
    requester: str
    terms: WatchTerms
    created_at: datetime
    due_at: datetime
    state: PlatformState | None
    sequence: int
    revision: int
    request_id: str | None = None
    asked_until: datetime | None = None

    @property
    def deadline(self) -> datetime:
        """When silence makes its state stale."""
        return self.due_at + self.terms.grace

    @property
    def look_at(self) -> datetime:
        """When something is to be done about it if no result comes before."""
        if self.asked_until is None:
            return self.due_at
        if self.state is PlatformState.STALE:
            return self.asked_until
        return min(self.asked_until, self.deadline)


@dataclass(frozen=True, slots=True, kw_only=True)
class WatchAnswer:
    """The result of a watch's request; `status` is its tier by name."""

    result_id: str
    status: str
    at: datetime


@unique
class Step(StrEnum):
    """What is to be done about a watch now."""

    WAIT = "wait"
    ASK = "ask"
    REST = "rest"
    GO_STALE = "go stale"


def next_step(watch: Watch, *, answer: WatchAnswer | None, at: datetime) -> Step:
    """What is to be done about a watch, given the answer to its request (None: there is none)."""
    if answer is not None:
        return Step.REST
    if watch.asked_until is None:
        return Step.ASK if at >= watch.due_at else Step.WAIT
    if watch.state is not PlatformState.STALE and at >= watch.deadline:
        return Step.GO_STALE
    if at >= watch.asked_until:
        return Step.ASK
    return Step.WAIT


def asked(watch: Watch, *, request_id: str, until: datetime, at: datetime) -> Watch:
    """The watch once a request waits for its device until then; the grace counts from the first request."""
    due_at = at if watch.asked_until is None else watch.due_at
    return replace(
        watch, request_id=request_id, asked_until=until, due_at=due_at, revision=watch.revision + 1
    )


def answered(watch: Watch, answer: WatchAnswer) -> Watch:
    """The watch after a result; it rests for an interval."""
    rested = replace(watch, request_id=None, asked_until=None, due_at=answer.at + watch.terms.interval)
    return _in_state(rested, state_of(answer.status))


def gone_stale(watch: Watch) -> Watch:
    """The watch after its deadline; its request still waits."""
    return _in_state(watch, PlatformState.STALE)


def state_of(status: str) -> PlatformState:
    """The state that a result's tier shows; what claims nothing affirms nothing."""
    if status in {PlatformState.AFFIRMING, PlatformState.CONTRAINDICATED}:
        return PlatformState(status)
    return PlatformState.WARNING


def is_event(before: Watch, after: Watch) -> bool:
    """Whether a change of a watch is to be told."""
    return after.sequence != before.sequence


def _in_state(watch: Watch, state: PlatformState) -> Watch:
    told = watch.sequence if state is watch.state else watch.sequence + 1
    return replace(watch, state=state, sequence=told, revision=watch.revision + 1)
