"""What a PVA tells of a watched device denies its deliveries, and permits none."""

from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from messages.operator_token import OperatorSigner
from messages.reliance import RESULT_KIND
from messages.state_event import STATE_EVENT_KIND, PlatformState, StateEvent
from operators.dpf.refusals import RefusalCode, RefusalError
from standards.pki import oids
from tests.fakes.dpf_counterparts import DpfRoom
from tests.fakes.dpf_world import DPF, PVA, SHO, signer_of
from tests.fakes.pki import NOW, Authority
from tests.unit.operators.dpf.room import SECOND, WORLD, answer, authorize, come, granted, new_room

EVENT = StateEvent(
    pva=PVA,
    jti="event-1",
    audience=(SHO, DPF),
    operator=SHO,
    device_id=WORLD.device.device_id,
    state=PlatformState.CONTRAINDICATED,
    sequence=5,
    result_id="result-9",
    since=NOW,
    issued_at=NOW,
)

pytestmark = pytest.mark.requirement("R24")


@pytest.fixture
def room() -> DpfRoom:
    return new_room()


def told(
    room: DpfRoom, *, by: OperatorSigner | None = None, typ: str = STATE_EVENT_KIND.typ, **changed: Any
) -> bool:
    """Bring an event; whether it was news."""
    event = replace(EVENT, **changed)
    if event.state is PlatformState.STALE:
        event = replace(event, result_id=None)
    return room.watched.take((by or WORLD.pva).sign(event.claims(), typ=typ), at=NOW)


def refused(caught: pytest.ExceptionInfo[RefusalError]) -> str:
    return caught.value.code


@pytest.mark.negative
@pytest.mark.requirement("R68")
@pytest.mark.parametrize("state", [PlatformState.CONTRAINDICATED, PlatformState.STALE])
def test_while_the_newest_event_is_bad_nothing_is_delivered(room: DpfRoom, state: PlatformState) -> None:
    authorize(room)
    assert told(room, state=state)
    with pytest.raises(RefusalError) as caught:
        come(room)
    assert refused(caught) == RefusalCode.WATCHED_STATE
    assert room.pva.asked == {}
    assert told(room, state=PlatformState.AFFIRMING, sequence=6)
    delivery = come(room)
    answer(room, delivery)
    assert room.releases.progress(delivery.id, at=NOW) is not None


@pytest.mark.negative
@pytest.mark.requirement("R68")
def test_an_event_between_the_validation_and_the_grant_stops_the_grant(room: DpfRoom) -> None:
    authorize(room)
    delivery = come(room)
    answer(room, delivery)
    assert told(room)
    with pytest.raises(RefusalError) as caught:
        room.releases.progress(delivery.id, at=NOW)
    assert refused(caught) == RefusalCode.WATCHED_STATE


@pytest.mark.negative
@pytest.mark.requirement("R68")
def test_an_event_during_a_transfer_stops_the_transfer(room: DpfRoom) -> None:
    authorize(room)
    delivery, _ = granted(room)
    room.releases.content(delivery.id, offset=0, at=NOW)
    assert told(room)
    with pytest.raises(RefusalError) as caught:
        room.releases.content(delivery.id, offset=1000, at=NOW)
    assert refused(caught) == RefusalCode.WATCHED_STATE


@pytest.mark.negative
@pytest.mark.parametrize("changed", [{"state": PlatformState.AFFIRMING}, {"state": PlatformState.WARNING}])
def test_no_event_permits_anything(room: DpfRoom, changed: dict[str, Any]) -> None:
    authorize(room)
    assert told(room, **changed)
    delivery = come(room)
    assert room.releases.progress(delivery.id, at=NOW) is None


def test_events_that_come_late_or_twice_change_nothing(room: DpfRoom) -> None:
    authorize(room)
    assert told(room, state=PlatformState.AFFIRMING, sequence=6)
    assert not told(room, state=PlatformState.AFFIRMING, sequence=6)
    assert not told(room)
    come(room)


@pytest.mark.parametrize("changed", [{"operator": "sho-2"}, {"device_id": "ee" * 32}])
def test_another_operators_watch_and_another_device_deny_nothing_here(
    room: DpfRoom, changed: dict[str, Any]
) -> None:
    authorize(room)
    assert told(room, **changed)
    come(room)


@pytest.mark.negative
@pytest.mark.parametrize("wrong", ["root", "role", "purpose", "type", "audience", "pva", "time"])
def test_an_event_that_is_right_in_all_but_one_changes_nothing(room: DpfRoom, wrong: str) -> None:
    """Who can forge an event could keep every device from its subscription."""
    eku = oids.EKU_ATTESTATION_RESULT
    signers = {
        "root": lambda: signer_of(Authority.root("another root"), "pva", PVA, eku),
        "role": lambda: signer_of(WORLD.operators, "sho", PVA, eku),
        "purpose": lambda: signer_of(WORLD.operators, "pva", PVA, oids.EKU_CHALLENGE),
        "pva": lambda: signer_of(WORLD.operators, "pva", "pva-9", eku),
    }
    altered: dict[str, dict[str, Any]] = {
        "audience": {"audience": (SHO,)},
        "time": {"issued_at": NOW + timedelta(seconds=6)},
    }
    changed = altered.get(wrong, {})
    typ = RESULT_KIND.typ if wrong == "type" else STATE_EVENT_KIND.typ
    by = signers[wrong]() if wrong in signers else None
    authorize(room)
    with pytest.raises(RefusalError) as caught:
        told(room, by=by, typ=typ, **changed)
    assert refused(caught) == RefusalCode.EVENT_INVALID
    come(room, at=NOW + SECOND)
