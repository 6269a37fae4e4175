"""Time as a TRE knows it: signed by a PVA, carried by the TPM clock, never backwards."""

from datetime import UTC, datetime, timedelta

import pytest

from m2me_agent.tre.errors import ChallengeError
from m2me_agent.tre.pva_time import PvaTime, judge_issue_time
from standards.tpm2.structures import ClockInfo

T0 = datetime(2026, 6, 1, 12, 0, tzinfo=UTC)
MINUTE = timedelta(minutes=1)


def clock(clock_ms: int, *, resets: int = 1) -> ClockInfo:
    return ClockInfo(clock=clock_ms, reset_count=resets, restart_count=0, safe=True)


def learned(issued_at: datetime = T0, *, clock_ms: int = 0, resets: int = 1) -> PvaTime:
    return judge_issue_time(issued_at, issued_at + MINUTE, known=None, clock=clock(clock_ms, resets=resets))


def test_the_first_challenge_tells_the_time() -> None:
    assert learned(clock_ms=5) == PvaTime(issued_at=T0, at_least=T0, clock_ms=5, reset_count=1)


def test_the_tpm_clock_carries_it_on_but_is_not_believed_to_the_full() -> None:
    assert learned().carried_to(clock(125_000)) == T0 + timedelta(seconds=100)


@pytest.mark.parametrize("later", [clock(500_000, resets=2), clock(3, resets=1)], ids=["reset", "clock back"])
def test_a_clock_of_another_boot_or_one_that_went_back_carries_nothing(later: ClockInfo) -> None:
    assert learned(clock_ms=9).carried_to(later) == T0


def test_the_same_second_and_later_ones_are_accepted() -> None:
    same = judge_issue_time(T0, T0 + MINUTE, known=learned(), clock=clock(1000))
    later = judge_issue_time(T0 + MINUTE, T0 + 2 * MINUTE, known=same, clock=clock(2000))
    assert later.at_least == T0 + MINUTE


def test_an_older_challenge_that_still_lives_does_not_set_the_time_back() -> None:
    # It was issued 40 s before it arrived: what is known afterwards is still the later time.
    known = learned()
    after = judge_issue_time(T0 + timedelta(seconds=1), T0 + MINUTE, known=known, clock=clock(50_000))
    assert after.at_least == T0 + timedelta(seconds=40)
    assert after.issued_at == T0 + timedelta(seconds=1)


@pytest.mark.negative
@pytest.mark.requirement("R31")
def test_time_running_backwards_is_refused_in_the_same_boot_and_after_a_reset() -> None:
    for resets in (1, 2):
        with pytest.raises(ChallengeError, match="backwards"):
            judge_issue_time(
                T0 - timedelta(seconds=1), T0 + MINUTE, known=learned(), clock=clock(0, resets=resets)
            )


@pytest.mark.negative
def test_a_challenge_that_has_expired_by_the_tpm_clock_is_refused() -> None:
    judge_issue_time(T0, T0 + MINUTE, known=learned(), clock=clock(74_000))
    with pytest.raises(ChallengeError, match="expired"):
        judge_issue_time(T0, T0 + MINUTE, known=learned(), clock=clock(75_000))


@pytest.mark.negative
def test_a_challenge_that_never_lives_is_refused() -> None:
    with pytest.raises(ChallengeError):
        judge_issue_time(T0, T0, known=None, clock=clock(0))
