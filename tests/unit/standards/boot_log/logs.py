"""Logs for the tests of this room: one event of every kind that is interpreted."""

import struct
import uuid

from standards.boot_log import events as ev
from standards.boot_log import payloads
from standards.boot_log.algorithms import SHA1, SHA256
from standards.boot_log.encode import Measurement, build_event_log
from standards.boot_log.event_log import EventLog, startup_locality_data

COMMAND_LINE = "/vmlinuz root=/dev/vda1 ro pva.tre=" + "7e" * 32
DISK = uuid.UUID("5e5e5e5e-0000-4000-8000-000000000001")

MEASUREMENTS = (
    Measurement(pcr=0, type=ev.EV_NO_ACTION, data=startup_locality_data(3)),
    Measurement(pcr=0, type=ev.EV_S_CRTM_VERSION, data="Firmware 1.0\x00".encode("utf-16-le")),
    Measurement(
        pcr=0,
        type=ev.EV_EFI_PLATFORM_FIRMWARE_BLOB,
        data=payloads.firmware_blob(0xFF000000, 0x10000),
        measured=b"firmware volume",
    ),
    Measurement(
        pcr=0,
        type=ev.EV_EFI_PLATFORM_FIRMWARE_BLOB2,
        data=payloads.described("Fv(main)", payloads.firmware_blob(0xFF000000, 0x10000)),
        measured=b"firmware volume",
    ),
    Measurement(
        pcr=7,
        type=ev.EV_EFI_VARIABLE_DRIVER_CONFIG,
        data=payloads.variable(payloads.EFI_GLOBAL_VARIABLE, "SecureBoot", b"\x01"),
    ),
    Measurement(
        pcr=1,
        type=ev.EV_EFI_VARIABLE_BOOT,
        data=payloads.variable(payloads.EFI_GLOBAL_VARIABLE, "BootOrder", b"\x00\x00\x01\x00"),
        measured=b"\x00\x00\x01\x00",
    ),
    Measurement(
        pcr=7,
        type=ev.EV_EFI_VARIABLE_AUTHORITY,
        data=payloads.variable(payloads.EFI_IMAGE_SECURITY_DATABASE, "db", b"certificate"),
    ),
    Measurement(pcr=1, type=ev.EV_EFI_HANDOFF_TABLES2, data=payloads.described("SMBIOS", b"")),
    Measurement(pcr=4, type=ev.EV_EFI_ACTION, data=b"Calling EFI Application from Boot Option"),
    Measurement(pcr=4, type=ev.EV_SEPARATOR, data=payloads.SEPARATOR),
    Measurement(pcr=5, type=ev.EV_EFI_GPT_EVENT, data=payloads.partition_table(DISK)),
    Measurement(
        pcr=4,
        type=ev.EV_EFI_BOOT_SERVICES_APPLICATION,
        data=payloads.loaded_image("\\EFI\\BOOT\\BOOTX64.EFI", size=4096),
        measured=b"image",
    ),
    Measurement(
        pcr=8,
        type=ev.EV_IPL,
        data=payloads.boot_loader("grub_cmd", "linux /vmlinuz"),
        measured=b"linux /vmlinuz",
    ),
    Measurement(
        pcr=8,
        type=ev.EV_IPL,
        data=payloads.boot_loader("kernel_cmdline", COMMAND_LINE),
        measured=COMMAND_LINE.encode(),
    ),
    Measurement(
        pcr=9, type=ev.EV_EVENT_TAG, data=payloads.tagged(0x8F3B22EC, b"Linux initrd"), measured=b"initrd"
    ),
    Measurement(pcr=14, type=ev.EV_IPL, data=b"MokList\x00", measured=b"the list"),
    Measurement(pcr=5, type=0x80001234, data=b"\x00\x01", measured=b"a type of the platform's own"),
)

LOG: EventLog = build_event_log(MEASUREMENTS, algorithms=(SHA1, SHA256))
"""One event of every kind that `describe` reads; event n is MEASUREMENTS[n - 1]."""


def header(
    *,
    pcr: int = 0,
    digest: bytes = bytes(20),
    version: bytes = b"\x00\x02\x00\x02",
    algorithms: bytes = struct.pack("<IHH", 1, SHA256, 32),
    vendor: bytes = b"\x00",
) -> bytes:
    """A Specification ID event that is right but for what is named."""
    data = b"Spec ID Event03\x00" + bytes(4) + version + algorithms + vendor
    return struct.pack("<II", pcr, ev.EV_NO_ACTION) + digest + struct.pack("<I", len(data)) + data


def record(
    *, pcr: int = 0, event_type: int = ev.EV_SEPARATOR, digests: bytes | None = None, data: bytes = b"data"
) -> bytes:
    """A record of a SHA-256 log that is right but for what is named."""
    if digests is None:
        digests = struct.pack("<IH", 1, SHA256) + bytes(32)
    return struct.pack("<II", pcr, event_type) + digests + struct.pack("<I", len(data)) + data
