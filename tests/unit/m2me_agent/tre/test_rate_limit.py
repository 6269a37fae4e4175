"""A flood of triggers gets a bounded number of signatures."""

import pytest

from m2me_agent.tre.errors import RateLimitError
from m2me_agent.tre.rate_limit import Allowance, RatePolicy, spend
from standards.tpm2.structures import ClockInfo

POLICY = RatePolicy(burst=3, interval_ms=1000)


def clock(clock_ms: int, *, resets: int = 1) -> ClockInfo:
    return ClockInfo(clock=clock_ms, reset_count=resets, restart_count=0, safe=True)


def spent(times: int, *, at_ms: int = 0) -> Allowance:
    allowance: Allowance | None = None
    for _ in range(times):
        allowance = spend(allowance, policy=POLICY, clock=clock(at_ms))
    assert allowance is not None
    return allowance


@pytest.mark.negative
@pytest.mark.requirement("R70")
def test_after_the_burst_there_is_one_an_interval() -> None:
    empty = spent(3)
    with pytest.raises(RateLimitError) as refused:
        spend(empty, policy=POLICY, clock=clock(999))
    assert "wait 1 s" in refused.value.remedy
    assert spend(empty, policy=POLICY, clock=clock(1000)).credit_ms == 0


@pytest.mark.requirement("R70")
def test_a_flood_of_ten_minutes_gets_the_burst_and_one_an_interval() -> None:
    allowance, given = None, 0
    for at_ms in range(0, 600_000, 50):
        try:
            allowance = spend(allowance, policy=POLICY, clock=clock(at_ms))
        except RateLimitError:
            continue
        given += 1
    assert given == 3 + 599


@pytest.mark.parametrize("waited_ms", [3000, 10**9])
def test_waiting_never_fills_it_above_the_burst(waited_ms: int) -> None:
    assert spend(spent(3), policy=POLICY, clock=clock(waited_ms)).credit_ms == 2000


@pytest.mark.negative
@pytest.mark.requirement("R70")
def test_neither_a_reset_nor_a_clock_that_went_back_fills_it() -> None:
    empty = spent(3, at_ms=5000)
    for later in (clock(5000, resets=2), clock(10, resets=2)):
        with pytest.raises(RateLimitError):
            spend(empty, policy=POLICY, clock=later)
