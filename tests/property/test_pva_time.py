"""Whatever PVAs sign, in whatever order: nothing answered is answered again, and no PVA alone holds back another."""

import contextlib
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from hypothesis import given
from hypothesis import strategies as st

from m2me_agent.tre.errors import ChallengeError
from m2me_agent.tre.pva_time import (
    CLOCK_SLOW_PERCENT,
    LEAP_MAX,
    PVAS_MAX,
    STEP_MAX,
    PvaTime,
    Told,
    judge_issue_time,
)
from m2me_agent.tre.state import Exchanges, TreState
from standards.tpm2.structures import ClockInfo
from tests.fakes.tre import MemoryStorage

T0 = datetime(2026, 6, 1, tzinfo=UTC)
SECOND, MINUTE = timedelta(seconds=1), timedelta(minutes=1)
YEAR_S = 365 * 86_400


@dataclass(frozen=True, slots=True, kw_only=True)
class Step:
    """Time passes, powered or not, then a PVA speaks; `lie_s` None: it is an honest one."""

    passed_s: int
    is_off: bool
    lie_s: int | None
    pva: int


STEPS = st.builds(
    Step,
    passed_s=st.integers(0, 600) | st.integers(0, 90 * 86_400),
    is_off=st.booleans(),
    lie_s=st.none() | st.integers(-YEAR_S, 20 * YEAR_S) | st.just(20 * YEAR_S),
    pva=st.integers(0, 2 * PVAS_MAX),
)


class World:
    """The real time, a true TPM clock, and what the TRE reads back from its file after every exchange."""

    def __init__(self) -> None:
        self.now = T0
        self.powered = timedelta(0)
        self.boots = 1
        self.state = TreState(MemoryStorage())

    @property
    def known(self) -> PvaTime | None:
        """What the file says."""
        return self.state.exchanges().pva_time

    @property
    def clock(self) -> ClockInfo:
        """The TPM clock."""
        powered_ms = self.powered // timedelta(milliseconds=1)
        return ClockInfo(clock=powered_ms, reset_count=self.boots, restart_count=0, safe=True)

    def passes(self, step: Step) -> None:
        """Time goes by."""
        self.now += step.passed_s * SECOND
        if step.is_off:
            self.boots += 1
        else:
            self.powered += step.passed_s * SECOND

    def hears(self, pva: str, issued_at: datetime) -> None:
        """A challenge comes; ChallengeError if it is refused."""
        told = Told(pva=pva, issued_at=issued_at, expires_at=issued_at + MINUTE)
        known = judge_issue_time(told, known=self.known, clock=self.clock, begun_at=T0)
        self.state.remember_exchanges(Exchanges(pva_time=known))
        assert self.known == known

    def lead(self) -> timedelta:
        """By how much the TRE believes that it is later than it is."""
        return timedelta(0) if self.known is None else self.known.carried_to(self.clock) - self.now

    def lead_max(self) -> timedelta:
        """The bound of one PVA alone: a step and a leap a boot, and how slow the clock might be."""
        return (
            self.boots * (STEP_MAX + LEAP_MAX)
            + self.powered * (100 - CLOCK_SLOW_PERCENT) / CLOCK_SLOW_PERCENT
        )


@given(st.lists(STEPS, max_size=40))
def test_one_lying_pva_leads_by_bounded_steps_and_makes_a_tre_refuse_nobody_else_beyond_them(
    steps: list[Step],
) -> None:
    world = World()
    for step in steps:
        world.passes(step)
        if step.lie_s is not None:
            with contextlib.suppress(ChallengeError):
                world.hears("liar", world.now + step.lie_s * SECOND)
        elif world.lead() <= timedelta(0):
            world.hears(f"honest-{step.pva}", world.now)  # raises where it is refused
        assert world.lead() <= world.lead_max()


@given(st.lists(STEPS, max_size=40))
def test_no_pva_is_ever_answered_for_a_time_before_one_that_it_was_answered_for(steps: list[Step]) -> None:
    world = World()
    newest: dict[str, datetime] = {}
    for step in steps:
        world.passes(step)
        pva, issued_at = f"pva-{step.pva}", world.now + (step.lie_s or 0) * SECOND
        try:
            world.hears(pva, issued_at)
        except ChallengeError:
            continue
        assert issued_at >= newest.get(pva, issued_at)
        newest[pva] = issued_at
        assert world.known is not None
        assert len(world.known.heard) <= PVAS_MAX
        assert sum(each.issued_at > world.known.at_least for each in world.known.heard) <= 1
        assert world.known.floor is None or world.known.floor <= world.known.at_least
