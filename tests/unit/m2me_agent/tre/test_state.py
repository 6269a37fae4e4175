"""What past exchanges left, read back: also from records of before order in time was kept per PVA."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from m2me_agent.tre.errors import ChallengeError, StateError
from m2me_agent.tre.pva_time import PVAS_MAX, Heard, PvaTime, Told, judge_issue_time
from m2me_agent.tre.rate_limit import Allowance
from m2me_agent.tre.state import Exchanges, TreState
from messages.encoding import encode_deterministic
from standards.tpm2.structures import ClockInfo
from tests.fakes.tre import MemoryStorage

T0 = datetime(2026, 6, 1, 12, 0, tzinfo=UTC)
T0_MS = int(T0.timestamp()) * 1000
MINUTE = timedelta(minutes=1)
CLOCK = ClockInfo(clock=7, reset_count=3, restart_count=1, safe=True)
KNOWN = PvaTime(
    at_least=T0,
    alone_max=T0 + MINUTE,
    leapt=True,
    clock_ms=7,
    reset_count=3,
    restart_count=1,
    heard=(Heard(pva="pva-1", issued_at=T0), Heard(pva="\u00fc\n\x00", issued_at=T0 - MINUTE)),
    floor=T0 - 2 * MINUTE,
)
OLD = {1: {1: T0_MS - 1000, 2: T0_MS, 3: 7, 4: 3}, 2: {1: 5, 2: 6}}


def state_with(record: object) -> TreState:
    storage = MemoryStorage()
    storage.write("exchanges", encode_deterministic(record))
    return TreState(storage)


@pytest.mark.parametrize("known", [KNOWN, replace(KNOWN, floor=None, heard=(), leapt=False)])
def test_what_pvas_told_comes_back(known: PvaTime) -> None:
    state = TreState(MemoryStorage())
    state.remember_exchanges(Exchanges(pva_time=known))
    assert state.exchanges().pva_time == known


def test_an_old_record_is_read_with_no_pva_known_and_its_issue_time_under_them_all() -> None:
    exchanges = state_with(OLD).exchanges()
    assert exchanges.allowance == Allowance(credit_ms=5, clock_ms=6)
    assert exchanges.pva_time == PvaTime(
        at_least=T0,
        alone_max=T0,
        leapt=False,
        clock_ms=7,
        reset_count=3,
        restart_count=0,
        heard=(),
        floor=T0 - timedelta(seconds=1),
    )


@pytest.mark.negative
def test_an_old_record_still_refuses_what_was_answered_before_it() -> None:
    known = state_with(OLD).exchanges().pva_time
    told = Told(pva="pva-1", issued_at=T0 - 2 * MINUTE, expires_at=T0 + MINUTE)
    with pytest.raises(ChallengeError, match="backwards"):
        judge_issue_time(told, known=known, clock=CLOCK, begun_at=T0)
    after = judge_issue_time(replace(told, issued_at=T0), known=known, clock=CLOCK, begun_at=T0)
    assert after.heard == (Heard(pva="pva-1", issued_at=T0),)


@pytest.mark.negative
@pytest.mark.parametrize(
    "times",
    [
        {2: T0_MS, 3: 7, 4: 3},
        {2: T0_MS, 3: 7, 4: 3, 5: 0, 6: T0_MS, 7: 2, 8: []},
        {2: T0_MS, 3: 7, 4: 3, 5: 0, 6: T0_MS, 7: 0, 8: [{1: b"\xff", 2: T0_MS}]},
        {2: T0_MS, 3: 7, 4: 3, 5: 0, 6: T0_MS, 7: 0, 8: [{1: b"", 2: T0_MS}]},
        {2: T0_MS, 3: 7, 4: 3, 5: 0, 6: T0_MS, 7: 0, 8: [{1: b"p", 2: T0_MS, 3: 0}]},
        {2: T0_MS, 3: 7, 4: 3, 5: 0, 6: T0_MS, 7: 0, 8: [{1: b"p", 2: T0_MS}] * (PVAS_MAX + 1)},
        {1: 1 << 62, 2: T0_MS, 3: 7, 4: 3},
    ],
    ids=["neither old nor new", "leapt", "no UTF-8", "no id", "another field", "too many", "no date"],
)
def test_a_record_that_means_nothing_is_refused(times: object) -> None:
    with pytest.raises(StateError):
        state_with({1: times}).exchanges()
