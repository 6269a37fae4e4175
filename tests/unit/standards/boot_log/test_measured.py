"""What of an event's data its digest covers (A19), and what a person reads about it."""

import dataclasses

import pytest

from standards.boot_log import payloads
from standards.boot_log.algorithms import SHA1, SHA256, SHA384
from standards.boot_log.describe import LINE_MAX, NOT_MEASURED, describe
from standards.boot_log.encode import Measurement, build_event_log
from standards.boot_log.events import EV_IPL, EVENT_TYPES, Event
from standards.boot_log.measured import kernel_command_line, measured_payload
from tests.unit.standards.boot_log.logs import COMMAND_LINE, LOG, MEASUREMENTS

TITLES = [
    "EV_NO_ACTION StartupLocality 03",
    "EV_S_CRTM_VERSION Firmware 1.0",
    f"EV_EFI_PLATFORM_FIRMWARE_BLOB 65536 bytes at 0xff000000 {NOT_MEASURED}",
    f"EV_EFI_PLATFORM_FIRMWARE_BLOB2 Fv(main) {NOT_MEASURED}",
    "EV_EFI_VARIABLE_DRIVER_CONFIG SecureBoot (8be4df61-93ca-11d2-aa0d-00e098032b8c), 1 bytes 01",
    "EV_EFI_VARIABLE_BOOT BootOrder (8be4df61-93ca-11d2-aa0d-00e098032b8c), 4 bytes 00000100",
    "EV_EFI_VARIABLE_AUTHORITY db (d719b2cb-3d3a-4596-a3bc-dad00e67656f), 11 bytes 6365727469666963617465",
    "EV_EFI_HANDOFF_TABLES2 SMBIOS",
    "EV_EFI_ACTION Calling EFI Application from Boot Option",
    "EV_SEPARATOR success",
    "EV_EFI_GPT_EVENT disk 5e5e5e5e-0000-4000-8000-000000000001",
    f"EV_EFI_BOOT_SERVICES_APPLICATION \\EFI\\BOOT\\BOOTX64.EFI, 4096 bytes in memory {NOT_MEASURED}",
    "EV_IPL grub_cmd: linux /vmlinuz",
    f"EV_IPL kernel_cmdline: {COMMAND_LINE}",
    f"EV_EVENT_TAG tag 0x8f3b22ec Linux initrd {NOT_MEASURED}",
    f"EV_IPL MokList {NOT_MEASURED}",
    f"event type 0x80001234 2 bytes {NOT_MEASURED}",
]


@pytest.mark.check("A19")
@pytest.mark.parametrize(("event", "title"), list(zip(LOG.events, TITLES, strict=True)))
def test_an_event_is_described_and_hints_are_labelled(event: Event, title: str) -> None:
    assert describe(event) == title


@pytest.mark.check("A19")
@pytest.mark.parametrize("bank", [SHA1, SHA256])
def test_the_payload_is_the_part_that_was_hashed(bank: int) -> None:
    covered = {event.number: measured_payload(event, bank=bank) for event in LOG.events}
    assert covered[2] == MEASUREMENTS[1].data
    assert covered[6] == b"\x00\x00\x01\x00"
    assert covered[14] == COMMAND_LINE.encode()
    assert [number for number, payload in covered.items() if payload is None] == [1, 3, 4, 12, 15, 16, 17]


@pytest.mark.check("A19")
@pytest.mark.negative
def test_a_payload_that_was_edited_covers_nothing() -> None:
    for event in LOG.events:
        edited = dataclasses.replace(event, data=event.data + b"!")
        assert measured_payload(edited, bank=SHA256) is None
    assert measured_payload(LOG.events[1], bank=SHA384) is None


@pytest.mark.check("A19")
@pytest.mark.negative
def test_data_that_is_measured_in_one_bank_only_is_a_hint() -> None:
    event = LOG.events[8]
    other_bank = {**event.digests, SHA1: b"\x01" * 20}
    assert describe(dataclasses.replace(event, digests=other_bank)).endswith(NOT_MEASURED)


@pytest.mark.check("A19")
def test_the_kernel_command_line_is_the_measured_text() -> None:
    assert kernel_command_line(LOG, bank=SHA256) == COMMAND_LINE


def _command_line(text: str, *, measured: bytes | None = None, label: str = "kernel_cmdline") -> Measurement:
    data = payloads.boot_loader(label, text)
    return Measurement(
        pcr=8, type=EV_IPL, data=data, measured=text.encode() if measured is None else measured
    )


@pytest.mark.check("A19")
@pytest.mark.negative
@pytest.mark.parametrize(
    "measurements",
    [
        [],
        [_command_line("good", measured=b"evil")],
        [_command_line("good"), _command_line("evil")],
        [_command_line("good"), _command_line("good")],
        [dataclasses.replace(_command_line("good"), pcr=9)],
        [_command_line("good", label="grub_cmd")],
        [Measurement(pcr=8, type=EV_IPL, data=b"kernel_cmdline: \xff\x00", measured=b"\xff")],
    ],
)
def test_without_exactly_one_measured_command_line_there_is_none(measurements: list[Measurement]) -> None:
    assert kernel_command_line(build_event_log(measurements, algorithms=(SHA256,)), bank=SHA256) is None


@pytest.mark.negative
@pytest.mark.parametrize("event_type", [*EVENT_TYPES, 0xDEADBEEF])
@pytest.mark.parametrize("data", [b"", b"\x00", b"\xff" * 33, b"\x1b[2J\x00\n" * 400, bytes(200)])
def test_any_data_gives_one_printable_line(event_type: int, data: bytes) -> None:
    event = Event(number=1, pcr=0, type=event_type, digests={SHA256: bytes(32)}, data=data)
    line = describe(event)
    assert line.isprintable()
    assert len(line) <= LINE_MAX + len(f"... {NOT_MEASURED}")


def test_a_device_path_tells_where_an_image_came_from() -> None:
    image = payloads.loaded_image("\\EFI\\debian\\shimx64.efi", size=1)
    hard_drive = bytes([4, 1, 42, 0]) + bytes(4) + bytes(16) + bytes(16) + b"\x02\x02"
    pci = bytes([1, 1, 6, 0, 2, 3])
    path = pci + hard_drive + image[32:]
    event_data = image[:24] + len(path).to_bytes(8, "little") + path
    event = Event(number=1, pcr=4, type=0x80000003, digests={}, data=event_data)
    where = "Pci(0x3,0x2)/HD(0,00000000-0000-0000-0000-000000000000)/\\EFI\\debian\\shimx64.efi"
    assert where in describe(event)
