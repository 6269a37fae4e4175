"""The PCR values that a log leads to (A18)."""

import dataclasses
import hashlib

import pytest

from standards.boot_log.algorithms import SHA1, SHA256, SHA384
from standards.boot_log.encode import Measurement, build_event_log
from standards.boot_log.errors import BootLogError
from standards.boot_log.event_log import startup_locality_data
from standards.boot_log.events import EV_EFI_HCRTM_EVENT, EV_NO_ACTION, EV_SEPARATOR
from standards.boot_log.replay import replay, reset_value, start_value

SEPARATOR = Measurement(pcr=0, type=EV_SEPARATOR, data=bytes(4))


def extended(start: bytes, *contents: bytes) -> bytes:
    """A PCR by hand."""
    for content in contents:
        start = hashlib.sha256(start + hashlib.sha256(content).digest()).digest()
    return start


@pytest.mark.check("A18")
def test_events_are_extended_in_order() -> None:
    events = [SEPARATOR, dataclasses.replace(SEPARATOR, data=b"b"), dataclasses.replace(SEPARATOR, pcr=4)]
    log = build_event_log(events, algorithms=(SHA1, SHA256))
    assert replay(log, bank=SHA256) == {
        0: extended(bytes(32), bytes(4), b"b"),
        4: extended(bytes(32), bytes(4)),
    }
    assert {len(value) for value in replay(log, bank=SHA1).values()} == {20}


@pytest.mark.check("A18")
def test_what_is_logged_with_no_action_is_not_extended() -> None:
    note = Measurement(pcr=4, type=EV_NO_ACTION, data=b"a note")
    log = build_event_log([note, SEPARATOR], algorithms=(SHA256,))
    forged = dataclasses.replace(
        log, events=(dataclasses.replace(log.events[0], digests={SHA256: b"\x01" * 32}), log.events[1])
    )
    assert replay(forged, bank=SHA256) == {0: extended(bytes(32), bytes(4))}


@pytest.mark.check("A18")
def test_pcr_0_starts_from_the_startup_locality() -> None:
    locality = Measurement(pcr=0, type=EV_NO_ACTION, data=startup_locality_data(3))
    start = bytes(31) + b"\x03"
    assert replay(build_event_log([locality, SEPARATOR], algorithms=(SHA256,)), bank=SHA256) == {
        0: extended(start, bytes(4))
    }
    assert replay(build_event_log([locality], algorithms=(SHA256,)), bank=SHA256) == {0: start}


@pytest.mark.check("A18")
def test_pcr_0_starts_from_locality_4_after_an_h_crtm() -> None:
    h_crtm = Measurement(pcr=0, type=EV_EFI_HCRTM_EVENT, data=b"HCRTM", measured=b"code")
    log = build_event_log([h_crtm], algorithms=(SHA256,))
    assert replay(log, bank=SHA256) == {0: extended(bytes(31) + b"\x04", b"code")}


def test_reset_values_are_ones_only_where_a_dynamic_launch_resets() -> None:
    ones = {pcr for pcr in range(24) if reset_value(pcr, SHA256) == b"\xff" * 32}
    zeros = {pcr for pcr in range(24) if reset_value(pcr, SHA256) == bytes(32)}
    assert ones == set(range(17, 23))
    assert zeros == set(range(24)) - ones


def test_a_dynamic_launch_starts_from_zeros() -> None:
    launch = dataclasses.replace(SEPARATOR, pcr=17)
    log = build_event_log([launch], algorithms=(SHA256,))
    assert start_value(log, pcr=17, bank=SHA256) == bytes(32)
    assert start_value(log, pcr=18, bank=SHA256) == b"\xff" * 32


@pytest.mark.check("A17")
@pytest.mark.negative
def test_a_bank_that_the_log_does_not_list_is_refused() -> None:
    log = build_event_log([SEPARATOR], algorithms=(SHA1, SHA384))
    with pytest.raises(BootLogError, match="expected sha256 among them, got sha1, sha384"):
        replay(log, bank=SHA256)


@pytest.mark.negative
def test_unknown_banks_and_pcrs_are_refused() -> None:
    with pytest.raises(BootLogError, match="PCR bank"):
        replay(build_event_log([SEPARATOR], algorithms=(SHA256,)), bank=0x7001)
    with pytest.raises(BootLogError, match="0 to 23"):
        reset_value(24, SHA256)
