"""State events: what they say, and whom they are for."""

from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from messages.errors import MessageError
from messages.state_event import STATE_EVENT, PlatformState, StateEvent, check_addressed, read_claims
from tests.unit.messages.operator_samples import DPF
from tests.unit.messages.operator_samples import STATE_EVENT as EVENT

pytestmark = pytest.mark.requirement("R24")


def read_back(event: StateEvent, **told: Any) -> StateEvent:
    claims = {**event.claims(), "iss": event.pva}
    claims["events"] = {STATE_EVENT: {**claims["events"][STATE_EVENT], **told}}
    return read_claims(claims)


@pytest.mark.parametrize("state", list(PlatformState))
def test_what_is_told_is_read(state: PlatformState) -> None:
    shown = None if state is PlatformState.STALE else "result-3"
    event = replace(EVENT, state=state, result_id=shown)
    assert read_back(event) == event


@pytest.mark.negative
@pytest.mark.parametrize(
    "told",
    [
        {"state": "good"},
        {"state": "stale"},
        {"sequence": 0},
        {"sequence": "7"},
        {"operator": ""},
        {"since": -1},
        {"more": 1},
    ],
)
def test_what_no_event_says_is_refused(told: dict[str, Any]) -> None:
    with pytest.raises(MessageError):
        read_back(EVENT, **told)


@pytest.mark.negative
def test_a_state_without_its_result_and_two_events_in_one_are_refused() -> None:
    with pytest.raises(MessageError):
        read_back(replace(EVENT, result_id=None))
    claims = {**EVENT.claims(), "iss": EVENT.pva}
    with pytest.raises(MessageError):
        read_claims({**claims, "events": {**claims["events"], "urn:another": {}}})


@pytest.mark.negative
def test_an_event_for_others_or_of_a_time_to_come_is_refused() -> None:
    check_addressed(EVENT, to=DPF, at=EVENT.issued_at)
    check_addressed(EVENT, to=DPF, at=EVENT.issued_at - timedelta(seconds=5))
    check_addressed(EVENT, to=DPF, at=EVENT.issued_at + timedelta(days=30))
    with pytest.raises(MessageError):
        check_addressed(EVENT, to="dpf.other", at=EVENT.issued_at)
    with pytest.raises(MessageError):
        check_addressed(EVENT, to=DPF, at=EVENT.issued_at - timedelta(seconds=6))
