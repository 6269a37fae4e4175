"""Time as a TRE knows it: signed by PVAs, carried by the TPM clock, backwards for none and held back by none."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from annotated_types import Le

from m2me_agent.tre.errors import ChallengeError
from m2me_agent.tre.pva_time import (
    LEAP_MAX,
    LIFE_MAX,
    PVAS_MAX,
    STEP_MAX,
    Heard,
    PvaTime,
    Told,
    judge_issue_time,
)
from pva.settings import PvaSettings
from standards.tpm2.structures import ClockInfo

T0 = datetime(2026, 6, 1, 12, 0, tzinfo=UTC)
SECOND, MINUTE, DAY = timedelta(seconds=1), timedelta(minutes=1), timedelta(days=1)
YEARS = timedelta(days=3650)


def clock(clock_ms: int = 0, *, resets: int = 1, restarts: int = 0) -> ClockInfo:
    return ClockInfo(clock=clock_ms, reset_count=resets, restart_count=restarts, safe=True)


def hear(
    known: PvaTime | None,
    issued_at: datetime = T0,
    *,
    pva: str = "pva-1",
    at: ClockInfo | None = None,
    life: timedelta = MINUTE,
) -> PvaTime:
    told = Told(pva=pva, issued_at=issued_at, expires_at=issued_at + life)
    return judge_issue_time(told, known=known, clock=at or clock(), begun_at=T0)


def test_the_first_challenge_tells_the_time() -> None:
    assert hear(None, at=clock(5, restarts=2)) == PvaTime(
        at_least=T0,
        alone_max=T0 + STEP_MAX,
        leapt=False,
        clock_ms=5,
        reset_count=1,
        restart_count=2,
        heard=(Heard(pva="pva-1", issued_at=T0),),
        floor=None,
    )


def test_the_tpm_clock_carries_it_on_but_is_not_believed_to_the_full() -> None:
    assert hear(None).carried_to(clock(125_000)) == T0 + timedelta(seconds=100)


@pytest.mark.parametrize("later", [clock(500_000, resets=2), clock(3, resets=1)], ids=["reset", "clock back"])
def test_a_clock_of_another_boot_or_one_that_went_back_carries_nothing(later: ClockInfo) -> None:
    assert hear(None, at=clock(9)).carried_to(later) == T0


def test_a_clock_that_cannot_be_true_ends_at_the_last_date() -> None:
    assert hear(None).carried_to(clock((1 << 64) - 1)).year == 9999


def test_the_same_second_and_later_ones_are_accepted() -> None:
    same = hear(hear(None), at=clock(1000))
    assert hear(same, T0 + MINUTE, at=clock(2000)).at_least == T0 + MINUTE


def test_an_older_challenge_that_still_lives_does_not_set_the_time_back() -> None:
    # It was issued 40 s before it arrived: what is known afterwards is still the later time.
    after = hear(hear(None), T0 + SECOND, at=clock(50_000))
    assert after.at_least == T0 + timedelta(seconds=40)
    assert after.newest_of("pva-1") == T0 + SECOND


@pytest.mark.negative
@pytest.mark.requirement("R31")
def test_time_running_backwards_is_refused_in_the_same_boot_and_after_a_reset() -> None:
    for resets in (1, 2):
        with pytest.raises(ChallengeError, match="backwards"):
            hear(hear(None), T0 - SECOND, at=clock(resets=resets), life=2 * MINUTE)


def test_one_pva_may_be_behind_another() -> None:
    known = hear(hear(None), T0 - SECOND, pva="pva-2")
    assert known.newest_of("pva-1") == T0
    assert known.newest_of("pva-2") == T0 - SECOND


@pytest.mark.negative
def test_a_challenge_that_has_expired_by_the_tpm_clock_is_refused() -> None:
    hear(hear(None), at=clock(74_000))
    for pva in ("pva-1", "pva-2"):
        with pytest.raises(ChallengeError, match="expired"):
            hear(hear(None), at=clock(75_000), pva=pva)


@pytest.mark.negative
@pytest.mark.parametrize("life", [timedelta(0), -SECOND, LIFE_MAX + SECOND])
def test_a_challenge_that_never_lives_or_lives_too_long_is_refused(life: timedelta) -> None:
    with pytest.raises(ChallengeError, match=r"expires|life"):
        hear(None, life=life)


def test_the_longest_life_that_the_settings_of_a_pva_allow_is_accepted() -> None:
    (longest,) = [
        each.le for each in PvaSettings.model_fields["challenge_life_s"].metadata if isinstance(each, Le)
    ]
    assert hear(None, life=timedelta(seconds=float(str(longest)))).at_least == T0


@pytest.mark.negative
@pytest.mark.requirement("R31")
def test_a_pva_from_the_far_future_leads_by_one_leap_and_one_step_a_boot_however_often_it_signs() -> None:
    known = None
    for second in range(50):
        known = hear(known, T0 + YEARS + second * SECOND)
    assert known is not None
    assert known.at_least <= T0 + LEAP_MAX + STEP_MAX
    assert known.leapt


def test_within_a_step_no_leap_is_taken() -> None:
    known = hear(hear(None), T0 + STEP_MAX)
    assert (known.at_least, known.leapt) == (T0 + STEP_MAX, False)
    leaping = hear(known, T0 + STEP_MAX + SECOND)
    assert (leaping.at_least, leaping.leapt) == (T0 + STEP_MAX + SECOND, True)
    assert hear(leaping, T0 + STEP_MAX + DAY).at_least == leaping.at_least


@pytest.mark.parametrize(
    "later", [clock(resets=2), clock(restarts=1)], ids=["after a reset", "after a suspension"]
)
def test_a_machine_that_was_off_for_weeks_learns_the_time_from_one_challenge(later: ClockInfo) -> None:
    known = replace(hear(None), leapt=True)
    after = hear(known, T0 + 20 * DAY, at=later)
    assert (after.at_least, after.leapt) == (T0 + 20 * DAY, True)


def test_a_machine_that_was_off_for_a_year_learns_the_time_from_two_pvas() -> None:
    known = hear(hear(None), T0 + 365 * DAY, at=clock(resets=2))
    assert known.at_least == T0 + LEAP_MAX
    confirmed = hear(known, T0 + 365 * DAY + SECOND, pva="pva-2", at=clock(resets=2))
    assert confirmed.at_least == T0 + 365 * DAY


def test_a_slow_tpm_clock_does_not_take_the_time_from_a_single_pva() -> None:
    known = replace(hear(None), leapt=True)
    day_ms = DAY // timedelta(milliseconds=1)
    for day in range(1, 400):
        known = hear(known, T0 + day * DAY, at=clock(day * day_ms * 85 // 100))
        assert known.at_least == T0 + day * DAY


@pytest.mark.negative
@pytest.mark.requirement("R31")
def test_a_pva_from_the_far_future_keeps_no_other_from_being_answered() -> None:
    known = hear(None, T0 + YEARS, pva="rogue")
    in_time = T0 + LEAP_MAX + MINUTE
    after = hear(known, in_time, pva="honest")
    assert after.at_least == in_time
    with pytest.raises(ChallengeError, match="backwards"):
        hear(after, in_time, pva="rogue")


def test_the_pva_heard_longest_ago_makes_room_and_its_time_is_the_floor_for_those_not_remembered() -> None:
    known = None
    for number in range(PVAS_MAX):
        known = hear(known, T0 + number * SECOND, pva=f"pva-{number}")
    known = hear(known, T0 + 9 * SECOND, pva="pva-0")  # heard again: pva-1 is the oldest now
    known = hear(known, T0 + 10 * SECOND, pva="one more")
    assert [each.pva for each in known.heard] == [
        *(f"pva-{number}" for number in range(2, PVAS_MAX)),
        "pva-0",
        "one more",
    ]
    assert known.floor == T0 + SECOND
    for pva in ("pva-1", "never heard"):
        hear(known, T0 + SECOND, pva=pva)
        with pytest.raises(ChallengeError, match="backwards"):
            hear(known, T0, pva=pva)


@pytest.mark.negative
def test_the_floor_never_sinks() -> None:
    known = hear(None, T0 + MINUTE, pva="ahead", life=2 * MINUTE)
    known = hear(known, T0, pva="behind", life=2 * MINUTE)
    for number in range(PVAS_MAX):
        known = hear(known, T0 + MINUTE + number * SECOND, pva=f"pva-{number}")
    assert {"ahead", "behind"}.isdisjoint(each.pva for each in known.heard)
    assert known.floor == T0 + MINUTE


@pytest.mark.negative
def test_a_pva_from_the_far_future_is_never_forgotten_so_that_its_time_is_no_floor() -> None:
    known = hear(None, T0 + YEARS, pva="rogue")
    start = T0 + LEAP_MAX + MINUTE
    for number in range(2 * PVAS_MAX):
        known = hear(known, start + number * SECOND, pva=f"pva-{number}")
    assert known.newest_of("rogue") == T0 + YEARS
    assert known.floor is not None
    assert known.floor <= known.at_least


def test_a_credential_that_begins_later_than_the_first_challenge_makes_nothing_expire() -> None:
    told = Told(pva="pva-1", issued_at=T0, expires_at=T0 + MINUTE)
    known = judge_issue_time(told, known=None, clock=clock(), begun_at=T0 + DAY)
    assert known.at_least == T0
