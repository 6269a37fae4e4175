"""Events that are built when they are asked for: the same as if all had been built at once."""

import pytest

from standards.boot_log.algorithms import SHA1, SHA256
from standards.boot_log.decode import decode_event_log
from standards.boot_log.encode import build_event_log, encode_event_log
from standards.boot_log.event_log import EventLog, LoggedEvents
from standards.boot_log.events import EV_NO_ACTION, Event
from standards.boot_log.replay import replay
from tests.unit.standards.boot_log.logs import MEASUREMENTS

BUILT = build_event_log(MEASUREMENTS, algorithms=(SHA1, SHA256))
DATA = encode_event_log(BUILT)


def turned(log: EventLog, number: int) -> bytes:
    """The log with the digests of one event in another order than the header's."""
    events = list(log.events)
    event = events[number - 1]
    digests = dict(reversed(list(event.digests.items())))
    events[number - 1] = Event(
        number=number, pcr=event.pcr, type=event.type, digests=digests, data=event.data
    )
    return encode_event_log(
        EventLog(algorithms=log.algorithms, events=tuple(events), crypto_agile=True, header=log.header)
    )


@pytest.mark.parametrize("data", [DATA, *(turned(BUILT, number) for number in (1, 2, 7, len(MEASUREMENTS)))])
def test_logged_events_are_a_sequence_of_events(data: bytes) -> None:
    events = decode_event_log(data).events
    assert isinstance(events, LoggedEvents)
    assert events == BUILT.events
    assert BUILT.events == events
    assert (events[-1], events[1:3], len(events)) == (BUILT.events[-1], BUILT.events[1:3], len(BUILT.events))
    assert events[3] is events[3]
    assert repr(events) == repr(tuple(events))
    assert events != BUILT.events[1:]
    assert encode_event_log(decode_event_log(data)) == data
    with pytest.raises(IndexError):
        events[len(events)]


@pytest.mark.parametrize("data", [DATA, turned(BUILT, 5)])
def test_what_is_asked_of_a_log_is_the_same_for_built_events(data: bytes) -> None:
    log = decode_event_log(data)
    for bank in (SHA1, SHA256):
        assert log.measured(bank=bank) == BUILT.measured(bank=bank)
        assert replay(log, bank=bank) == replay(BUILT, bank=bank)
    for pcr in range(24):
        assert log.extended_into(pcr) == BUILT.extended_into(pcr)
    assert log.startup_locality == BUILT.startup_locality == 3
    assert EV_NO_ACTION not in {event.type for event in log.extended_into(0)}


@pytest.mark.parametrize("data", [DATA, turned(BUILT, 9)])
@pytest.mark.parametrize(
    "part",
    [
        b"linux",
        b"e",
        b"\x00",
        b"BootOrder",
        b"B\x00o\x00o\x00t",
        b"nowhere in it",
        SHA1.to_bytes(2, "little"),
    ],
)
def test_events_are_found_by_a_part_of_their_data(data: bytes, part: bytes) -> None:
    found = decode_event_log(data).containing(part)
    assert found == [event for event in BUILT.events if part in event.data]
    assert found == BUILT.containing(part)
