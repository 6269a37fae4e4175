"""Bytes of a log, good and bad (A17)."""

import struct

import pytest

from standards.boot_log.algorithms import SHA1, SHA256
from standards.boot_log.decode import decode_event_log
from standards.boot_log.encode import Measurement, build_event_log, encode_event_log
from standards.boot_log.errors import BootLogError
from standards.boot_log.event_log import LogFormat, startup_locality_data
from standards.boot_log.events import EV_NO_ACTION, EV_SEPARATOR
from tests.unit.standards.boot_log.logs import LOG, MEASUREMENTS, header, record

ENCODED = encode_event_log(LOG)


def test_a_log_decodes_to_what_was_encoded() -> None:
    assert decode_event_log(ENCODED) == LOG


def test_a_log_of_the_header_alone_has_no_events() -> None:
    log = decode_event_log(header())
    assert (log.algorithms, log.events, log.crypto_agile) == ((SHA256,), (), True)


def test_vendor_info_and_unknown_algorithms_of_a_stated_size_are_read_over() -> None:
    algorithms = struct.pack("<IHHHH", 2, 0x7001, 48, SHA256, 32)
    digests = struct.pack("<IH", 2, SHA256) + bytes(32) + struct.pack("<H", 0x7001) + bytes(48)
    log = decode_event_log(header(algorithms=algorithms, vendor=b"\x02ab") + record(digests=digests))
    assert log.algorithms == (0x7001, SHA256)
    assert set(log.events[0].digests) == {0x7001, SHA256}


def test_the_format_of_tpm_1_2_is_marked() -> None:
    records = struct.pack("<II", 4, EV_SEPARATOR) + b"\x11" * 20 + struct.pack("<I", 4) + bytes(4)
    log = decode_event_log(records * 2)
    assert (log.crypto_agile, log.algorithms, [event.number for event in log.events]) == (
        False,
        (SHA1,),
        [0, 1],
    )
    assert (log.format, LOG.format) == (LogFormat.SHA1_LEGACY, LogFormat.CRYPTO_AGILE)
    assert encode_event_log(log) == records * 2


def test_an_older_specification_event_begins_a_log_of_tpm_1_2() -> None:
    data = b"Spec ID Event02\x00" + bytes(9)
    first = struct.pack("<II", 0, EV_NO_ACTION) + bytes(20) + struct.pack("<I", len(data)) + data
    second = struct.pack("<II", 4, EV_SEPARATOR) + b"\x11" * 20 + struct.pack("<I", 4) + bytes(4)
    log = decode_event_log(first + second)
    assert log.format is LogFormat.SHA1_LEGACY
    assert [event.extended for event in log.events] == [False, True]


@pytest.mark.parametrize("unused", [b"\x00", b"\xff"], ids=["zeros", "erased flash"])
def test_the_unused_rest_of_the_log_area_is_passed_over(unused: bytes) -> None:
    for size in (1, 7, 4096):
        assert decode_event_log(ENCODED + unused * size) == LOG


def test_data_that_ends_like_the_unused_rest_stays_whole() -> None:
    for end in (b"\x00" * 9, b"\xff" * 9):
        log = decode_event_log(header() + record(data=end))
        assert [event.data for event in log.events] == [end]


@pytest.mark.check("A17")
@pytest.mark.negative
@pytest.mark.parametrize("rest", [b"\x00\xff" * 8, b"\xff" * 8 + b"\x00" * 8, b"\x00" * 32 + b"\x01"])
def test_a_rest_of_another_kind_is_refused(rest: bytes) -> None:
    with pytest.raises(BootLogError):
        decode_event_log(ENCODED + rest)


def test_an_event_that_reaches_no_pcr_may_name_any() -> None:
    log = decode_event_log(header() + record(pcr=0xFFFFFFFF, event_type=EV_NO_ACTION))
    assert log.events[0].pcr == 0xFFFFFFFF


@pytest.mark.check("A17")
@pytest.mark.negative
@pytest.mark.parametrize(
    ("data", "what"),
    [
        (b"", "content"),
        (bytes(100), "content"),
        (header(pcr=1), "Specification ID event"),
        (header(digest=b"\x01" * 20), "Specification ID event"),
        (header(version=b"\x00\x01\x00\x02"), "Specification ID event"),
        (header(version=b"\x00\x02\x00\x03"), "Specification ID event"),
        (header(algorithms=struct.pack("<I", 0)), "numberOfAlgorithms"),
        (header(algorithms=struct.pack("<I", 17)), "numberOfAlgorithms"),
        (header(algorithms=struct.pack("<IHHHH", 2, SHA256, 32, SHA256, 32)), "algorithm list"),
        (header(algorithms=struct.pack("<IHH", 1, SHA256, 20)), "digestSize of 0x000b"),
        (header(algorithms=struct.pack("<IHH", 1, 0x7001, 0)), "digestSize of 0x7001"),
        (header(algorithms=struct.pack("<IHH", 2, SHA256, 32)), "algorithm list|digestSize|algorithmId"),
        (header(vendor=b""), "vendorInfoSize"),
        (header(vendor=b"\x02a"), "vendorInfo"),
        (header(vendor=b"\x00a"), "structure"),
        (header() + record(digests=struct.pack("<I", 0)), "digest count"),
        (header() + record(digests=(struct.pack("<IH", 2, SHA256) + bytes(32)) * 2), "digest count"),
        (header() + record(digests=struct.pack("<IH", 1, SHA1) + bytes(32)), "digests"),
        (header() + record(pcr=24), "pcrIndex"),
        (header() + record()[:-1], "event data"),
        (header() + record() + b"\x01", "pcrIndex"),
        (header()[:-1], "event data"),
    ],
)
def test_a_log_that_is_wrong_in_one_respect_is_refused(data: bytes, what: str) -> None:
    with pytest.raises(BootLogError, match=what):
        decode_event_log(data)


@pytest.mark.check("A17")
@pytest.mark.negative
def test_an_event_with_two_digests_of_one_bank_is_refused() -> None:
    algorithms = struct.pack("<IHHHH", 2, SHA1, 20, SHA256, 32)
    twice = struct.pack("<IH", 2, SHA256) + bytes(32) + struct.pack("<H", SHA256) + bytes(32)
    with pytest.raises(BootLogError, match="digests of event 1"):
        decode_event_log(header(algorithms=algorithms) + record(digests=twice))


@pytest.mark.negative
def test_size_and_number_of_events_are_bounded() -> None:
    with pytest.raises(BootLogError, match="at most 10 bytes"):
        decode_event_log(ENCODED, bytes_max=10)
    with pytest.raises(BootLogError, match="at most 3 events"):
        decode_event_log(ENCODED, events_max=3)
    assert len(decode_event_log(ENCODED, events_max=len(MEASUREMENTS)).events) == len(MEASUREMENTS)


@pytest.mark.check("A18")
@pytest.mark.negative
@pytest.mark.parametrize("said", [(5,), (0, 3)])
def test_a_startup_locality_that_cannot_be_is_refused(said: tuple[int, ...]) -> None:
    events = [Measurement(pcr=0, type=EV_NO_ACTION, data=startup_locality_data(value)) for value in said]
    with pytest.raises(BootLogError, match="StartupLocality"):
        decode_event_log(encode_event_log(build_event_log(events, algorithms=(SHA256,))))


@pytest.mark.negative
def test_a_log_without_a_listed_digest_is_not_encoded() -> None:
    with pytest.raises(BootLogError, match="each once"):
        build_event_log((), algorithms=(SHA256, SHA256))
    with pytest.raises(BootLogError, match="known hash algorithms"):
        build_event_log((), algorithms=(0x7001,))
