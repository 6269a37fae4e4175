"""The table of watches: when a device is asked, and what answers and silence mean."""

from dataclasses import replace
from datetime import timedelta

import pytest

from messages.state_event import PlatformState
from pva.watching.watching import (
    Step,
    Watch,
    WatchAnswer,
    WatchTerms,
    answered,
    asked,
    gone_stale,
    is_event,
    next_step,
    state_of,
)
from tests.fakes.pki import NOW

TERMS = WatchTerms(
    device_id="d1" * 32, interval=timedelta(hours=1), grace=timedelta(minutes=5), audience=("sho-1",)
)
WATCH = Watch(
    id="w",
    operator="sho-1",
    requester="somebody",
    terms=TERMS,
    created_at=NOW,
    due_at=NOW + TERMS.interval,
    state=None,
    sequence=100,
    revision=1,
)
DUE = WATCH.due_at
ASKED = asked(WATCH, request_id="r1", until=DUE + timedelta(minutes=15), at=DUE)
STALE = gone_stale(ASKED)
GOOD = WatchAnswer(result_id="x", status="affirming", at=DUE + timedelta(minutes=1))

pytestmark = pytest.mark.requirement("R24")


@pytest.mark.parametrize(
    ("watch", "after", "step"),
    [
        (WATCH, timedelta(0), Step.WAIT),
        (WATCH, timedelta(minutes=59, seconds=59), Step.WAIT),
        (WATCH, timedelta(hours=1), Step.ASK),
        # whoever was not asked was not silent, however late it is
        (WATCH, timedelta(days=9), Step.ASK),
        (ASKED, timedelta(hours=1), Step.WAIT),
        (ASKED, timedelta(hours=1, minutes=4, seconds=59), Step.WAIT),
        (ASKED, timedelta(hours=1, minutes=5), Step.GO_STALE),
        (STALE, timedelta(hours=1, minutes=6), Step.WAIT),
        (STALE, timedelta(hours=1, minutes=15), Step.ASK),
    ],
)
def test_the_table(watch: Watch, after: timedelta, step: Step) -> None:
    at = NOW + after
    assert next_step(watch, answer=None, at=at) is step
    assert next_step(watch, answer=GOOD, at=at) is Step.REST
    if step is Step.WAIT:
        assert watch.look_at > at
    else:
        assert watch.look_at <= at


def test_the_grace_counts_from_the_first_request_and_no_later_one_moves_it() -> None:
    late = asked(WATCH, request_id="r1", until=DUE + timedelta(hours=3), at=DUE + timedelta(hours=2))
    assert late.deadline == DUE + timedelta(hours=2, minutes=5)
    again = asked(late, request_id="r2", until=DUE + timedelta(hours=4), at=DUE + timedelta(hours=3))
    assert again.deadline == late.deadline


def test_an_answer_rests_for_an_interval() -> None:
    rested = answered(ASKED, GOOD)
    assert (rested.request_id, rested.asked_until) == (None, None)
    assert rested.due_at == GOOD.at + TERMS.interval
    assert is_event(ASKED, rested)
    assert not is_event(rested, answered(rested, GOOD))


@pytest.mark.negative
def test_a_state_is_told_once_when_it_begins() -> None:
    assert is_event(ASKED, STALE)
    assert STALE.sequence == 101
    bad = answered(STALE, replace(GOOD, status="contraindicated"))
    assert (bad.state, bad.sequence) == (PlatformState.CONTRAINDICATED, 102)
    still_bad = answered(bad, replace(GOOD, status="contraindicated"))
    assert not is_event(bad, still_bad)
    good = answered(still_bad, GOOD)
    assert (good.state, good.sequence) == (PlatformState.AFFIRMING, 103)
    assert good.revision > still_bad.revision


def test_what_claims_nothing_affirms_nothing() -> None:
    states = {each: state_of(each) for each in ("affirming", "warning", "contraindicated", "none", "stale")}
    assert states["none"] is states["stale"] is states["warning"] is PlatformState.WARNING
    assert states["affirming"] is PlatformState.AFFIRMING
    assert states["contraindicated"] is PlatformState.CONTRAINDICATED
