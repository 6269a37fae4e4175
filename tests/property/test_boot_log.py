"""Any bytes give a log or `BootLogError`, and never another error."""

from hypothesis import given
from hypothesis import strategies as st

from standards.boot_log.algorithms import BANKS, SHA1, SHA256
from standards.boot_log.decode import decode_event_log
from standards.boot_log.describe import describe
from standards.boot_log.encode import Measurement, build_event_log, encode_event_log
from standards.boot_log.errors import BootLogError
from standards.boot_log.events import EV_NO_ACTION, EVENT_TYPES
from standards.boot_log.measured import kernel_command_line, measured_payload
from standards.boot_log.replay import replay
from tests.unit.standards.boot_log.logs import LOG

ENCODED = encode_event_log(LOG)
MEASUREMENT = st.builds(
    Measurement,
    pcr=st.integers(0, 23),
    type=st.sampled_from(sorted(EVENT_TYPES)) | st.integers(0, 2**32 - 1),
    data=st.binary(max_size=80).filter(lambda data: not data.startswith(b"StartupLocality")),
    measured=st.none() | st.binary(max_size=20),
)


def use_everything(data: bytes) -> None:
    """Decode, and if that succeeds ask everything of the log that can be asked."""
    try:
        log = decode_event_log(data)
        for bank in log.algorithms:
            if bank in BANKS:
                replay(log, bank=bank)
                kernel_command_line(log, bank=bank)
    except BootLogError:
        return
    for event in log.events:
        describe(event)
        assert measured_payload(event, bank=SHA256) is None or event.type != EV_NO_ACTION


@given(st.lists(MEASUREMENT, max_size=8), st.sets(st.sampled_from([SHA1, SHA256]), min_size=1))
def test_what_was_encoded_is_decoded(measurements: list[Measurement], banks: set[int]) -> None:
    log = build_event_log(measurements, algorithms=sorted(banks))
    assert decode_event_log(encode_event_log(log)) == log


@given(st.binary(max_size=400))
def test_random_bytes(data: bytes) -> None:
    use_everything(data)


@given(st.binary(max_size=400))
def test_random_bytes_after_a_good_header(data: bytes) -> None:
    use_everything(ENCODED[:73] + data)


@given(st.lists(st.tuples(st.integers(0, len(ENCODED) - 1), st.integers(0, 255)), min_size=1, max_size=4))
def test_a_good_log_with_changed_bytes(changes: list[tuple[int, int]]) -> None:
    changed = bytearray(ENCODED)
    for place, value in changes:
        changed[place] = value
    use_everything(bytes(changed))


def test_every_prefix_is_another_log_or_refused() -> None:
    whole = {event.number: event for event in LOG.events}
    for length in range(len(ENCODED)):
        try:
            log = decode_event_log(ENCODED[:length])
        except BootLogError:
            continue
        assert len(log.events) < len(whole) or not any(ENCODED[length:])
        assert all(event == whole[event.number] for event in log.events)


@given(st.integers(1, 254))
def test_every_byte_after_a_good_log_but_unused_area_is_refused(surplus: int) -> None:
    try:
        decode_event_log(ENCODED + bytes([surplus]))
    except BootLogError:
        return
    message = "a byte after the log was accepted"
    raise AssertionError(message)
