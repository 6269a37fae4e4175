"""What the lab's devices boot: a release, the log its firmware and loaders would write, and the TRE's image.

Rule: the log's TRE digest is measured over the very files that the device's TRE then runs from. A device "boots"
when the events of this log are extended into its TPM, in order, before its TRE starts.

The log has the form that the TCG PC Client Platform Firmware Profile gives it, Secure Boot on, shim and GRUB;
contents are the lab's own: an image's digest is that of its name, certificate lists hold digests of names.
"""

import hashlib
import struct
import uuid
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from standards.boot_log import payloads
from standards.boot_log.algorithms import SHA256
from standards.boot_log.encode import Measurement, build_event_log
from standards.boot_log.event_log import EventLog
from standards.boot_log.events import (
    EV_EFI_ACTION,
    EV_EFI_BOOT_SERVICES_APPLICATION,
    EV_EFI_GPT_EVENT,
    EV_EFI_PLATFORM_FIRMWARE_BLOB2,
    EV_EFI_VARIABLE_AUTHORITY,
    EV_EFI_VARIABLE_BOOT2,
    EV_EFI_VARIABLE_DRIVER_CONFIG,
    EV_IPL,
    EV_NO_ACTION,
    EV_S_CRTM_VERSION,
    EV_SEPARATOR,
)
from standards.tpm2.connection import TpmConnection

BANK = SHA256
TRE_PARAMETER = "pva.tre"
TRE_PARTS = ("m2me_agent/tre", "m2me_agent/tre_protocol.py", "messages", "standards", "edge")

SHIM_LOCK = uuid.UUID("605dab50-e046-4300-abb6-3dd810dd8b23")
EFI_CERT_SHA256 = uuid.UUID("c1c41626-504c-4092-aca9-41f936934328")
LAB_DISK = uuid.UUID("5b0f2c1e-6d1b-4d4e-9a53-0c2f6f0a7d11")
FIRMWARE_PCRS = range(8)
KERNEL_PATH, INITRD_PATH = "/boot/vmlinuz", "/boot/initrd"


@dataclass(frozen=True, slots=True, kw_only=True)
class Release:
    """The software of one product release; a part's digest is that of its name here."""

    version: str
    svn: int
    firmware: str = "lab-firmware-1.0"
    kernel: str = "vmlinuz-6.1.0"
    initrd: str = "initrd-6.1.0"
    tre_image: bytes


def measure_tre_image(image: Path) -> bytes:
    """SHA-256 over path, length and content of every file that the TRE runs from, in path order."""
    digest = hashlib.sha256()
    for relative in sorted(tre_files(image)):
        content = (image / relative).read_bytes()
        digest.update(f"{relative}\0{len(content)}\0".encode() + content)
    return digest.digest()


def tre_files(image: Path) -> Iterator[str]:
    """Paths, relative to the folder `image`, of the code that makes up the TRE."""
    for name in TRE_PARTS:
        part = image / name
        files = [part] if part.is_file() else part.rglob("*.py")
        yield from (str(file.relative_to(image)) for file in files)


def boot_log(release: Release) -> EventLog:
    """The log of a boot of `release`."""
    return build_event_log(_measurements(release), algorithms=(BANK,))


def extend(log: EventLog, tpm: TpmConnection, *, progress: Callable[[], None] = lambda: None) -> None:
    """Play the firmware's and loaders' part: extend every event of the log into the TPM, in order."""
    for event in log.events:
        if event.type != EV_NO_ACTION:
            tpm.pcr_extend(event.pcr, digests=event.digests)
        progress()


def _measurements(release: Release) -> Iterator[Measurement]:
    yield from _firmware(release)
    yield from _loaders(release)


def _firmware(release: Release) -> Iterator[Measurement]:
    blob = payloads.described(release.firmware, payloads.firmware_blob(0xFF00_0000, 0x0100_0000))
    yield Measurement(pcr=0, type=EV_S_CRTM_VERSION, data="LAB CRTM 1\0".encode("utf-16-le"))
    yield _named(0, EV_EFI_PLATFORM_FIRMWARE_BLOB2, release.firmware, blob)
    for name, vendor, content in _secure_boot():
        data = payloads.variable(vendor, name, content)
        yield Measurement(pcr=7, type=EV_EFI_VARIABLE_DRIVER_CONFIG, data=data)
    order = payloads.variable(payloads.EFI_GLOBAL_VARIABLE, "BootOrder", bytes(2))
    yield Measurement(pcr=1, type=EV_EFI_VARIABLE_BOOT2, data=order)
    yield Measurement(pcr=4, type=EV_EFI_ACTION, data=b"Calling EFI Application from Boot Option")
    for pcr in FIRMWARE_PCRS:
        yield Measurement(pcr=pcr, type=EV_SEPARATOR, data=payloads.SEPARATOR)


def _loaders(release: Release) -> Iterator[Measurement]:
    command_line = f"{KERNEL_PATH} root=/dev/mapper/root ro {TRE_PARAMETER}={release.tre_image.hex()}"
    yield Measurement(pcr=5, type=EV_EFI_GPT_EVENT, data=payloads.partition_table(LAB_DISK))
    yield _authority(payloads.EFI_IMAGE_SECURITY_DATABASE, "db", "lab db key")
    yield _image("shimx64.efi", "shim 15.8")
    yield _named(14, EV_IPL, "lab MokList", b"MokList\0")
    yield _authority(SHIM_LOCK, "Shim", "lab vendor key")
    yield _image("grubx64.efi", "grub 2.12")
    yield _loader_text("grub_cmd", f"linux {KERNEL_PATH}")
    yield _named(9, EV_IPL, release.kernel, f"{KERNEL_PATH}\0".encode())
    yield _loader_text("kernel_cmdline", command_line)
    yield _loader_text("grub_cmd", f"initrd {INITRD_PATH}")
    yield _named(9, EV_IPL, release.initrd, f"{INITRD_PATH}\0".encode())
    for action in (b"Exit Boot Services Invocation", b"Exit Boot Services Returned with Success"):
        yield Measurement(pcr=5, type=EV_EFI_ACTION, data=action)


def _named(pcr: int, kind: int, measured: str, data: bytes) -> Measurement:
    """An event whose digest covers something else (an image, a file); its data only names it."""
    return Measurement(pcr=pcr, type=kind, data=data, measured=measured.encode())


def _image(file: str, measured: str) -> Measurement:
    data = payloads.loaded_image(f"\\EFI\\lab\\{file}", size=0x10_0000)
    return _named(4, EV_EFI_BOOT_SERVICES_APPLICATION, measured, data)


def _loader_text(label: str, text: str) -> Measurement:
    return Measurement(pcr=8, type=EV_IPL, data=payloads.boot_loader(label, text), measured=text.encode())


def _authority(vendor: uuid.UUID, name: str, key: str) -> Measurement:
    data = payloads.variable(vendor, name, _signature(key))
    return Measurement(pcr=7, type=EV_EFI_VARIABLE_AUTHORITY, data=data)


def _secure_boot() -> Iterator[tuple[str, uuid.UUID, bytes]]:
    yield "SecureBoot", payloads.EFI_GLOBAL_VARIABLE, b"\x01"
    yield "PK", payloads.EFI_GLOBAL_VARIABLE, _signature_list("lab platform key")
    yield "KEK", payloads.EFI_GLOBAL_VARIABLE, _signature_list("lab key exchange key")
    yield "db", payloads.EFI_IMAGE_SECURITY_DATABASE, _signature_list("lab db key")
    yield "dbx", payloads.EFI_IMAGE_SECURITY_DATABASE, _signature_list("a withdrawn loader")


def _signature(name: str) -> bytes:
    """EFI_SIGNATURE_DATA (UEFI 2.10, 32.4.1): an owner and a digest."""
    return SHIM_LOCK.bytes_le + hashlib.sha256(name.encode()).digest()


def _signature_list(name: str) -> bytes:
    """EFI_SIGNATURE_LIST (UEFI 2.10, 32.4.1) with one SHA-256 entry."""
    entry = _signature(name)
    return EFI_CERT_SHA256.bytes_le + struct.pack("<III", 28 + len(entry), 0, len(entry)) + entry
