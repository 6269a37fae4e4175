"""Event data, written: what the lab and the tests measure instead of real firmware.

Rule: each function writes the structure that `uefi` and `measured` read; nothing here decides what is measured.
Source: TCG PC Client Platform Firmware Profile 1.06, section 10.2; UEFI Specification 2.10, sections 10.3 and 32.4.1.
"""

import struct
import uuid
from collections.abc import Sequence
from typing import Final

EFI_GLOBAL_VARIABLE: Final = uuid.UUID("8be4df61-93ca-11d2-aa0d-00e098032b8c")
EFI_IMAGE_SECURITY_DATABASE: Final = uuid.UUID("d719b2cb-3d3a-4596-a3bc-dad00e67656f")
SEPARATOR: Final = bytes(4)

_FILE_PATH: Final = (4, 4)
_END_OF_PATH: Final = struct.pack("<BBH", 0x7F, 0xFF, 4)


def variable(vendor: uuid.UUID, name: str, content: bytes) -> bytes:
    """UEFI_VARIABLE_DATA."""
    encoded = name.encode("utf-16-le")
    header = struct.pack("<16sQQ", vendor.bytes_le, len(encoded) // 2, len(content))
    return header + encoded + content


def signature_data(owner: uuid.UUID, data: bytes) -> bytes:
    """EFI_SIGNATURE_DATA: an entry of db, as an authority names it."""
    return owner.bytes_le + data


def signature_list(kind: uuid.UUID, entries: Sequence[bytes]) -> bytes:
    """EFI_SIGNATURE_LIST of entries (EFI_SIGNATURE_DATA) of one size."""
    size = len(entries[0]) if entries else 0
    return struct.pack("<16sIII", kind.bytes_le, 28 + size * len(entries), 0, size) + b"".join(entries)


def loaded_image(file_path: str, *, size: int) -> bytes:
    r"""UEFI_IMAGE_LOAD_EVENT of a file such as "\EFI\BOOT\BOOTX64.EFI"; `size` in bytes."""
    encoded = (file_path + "\x00").encode("utf-16-le")
    path = struct.pack("<BBH", *_FILE_PATH, 4 + len(encoded)) + encoded + _END_OF_PATH
    return struct.pack("<QQQQ", 0, size, 0, len(path)) + path


def partition_table(disk: uuid.UUID) -> bytes:
    """UEFI_GPT_DATA of a disk without partitions."""
    header = b"EFI PART" + bytes(48) + disk.bytes_le + bytes(20)
    return header + struct.pack("<Q", 0)


def firmware_blob(base: int, length: int) -> bytes:
    """UEFI_PLATFORM_FIRMWARE_BLOB."""
    return struct.pack("<QQ", base, length)


def described(description: str, rest: bytes) -> bytes:
    """The head of UEFI_PLATFORM_FIRMWARE_BLOB2 and UEFI_HANDOFF_TABLE_POINTERS2: a counted ASCII description."""
    encoded = description.encode("ascii")
    return len(encoded).to_bytes(1, "little") + encoded + rest


def tagged(tag: int, content: bytes) -> bytes:
    """TCG_PCClientTaggedEvent."""
    return struct.pack("<II", tag, len(content)) + content


def boot_loader(label: str, text: str) -> bytes:
    """EV_IPL data as a boot loader logs it; it measures the text alone."""
    return f"{label}: {text}".encode() + b"\x00"


def wide(text: str) -> bytes:
    """EV_IPL data as systemd-boot and systemd-stub log it: UTF-16 with its NUL."""
    return (text + "\x00").encode("utf-16-le")
