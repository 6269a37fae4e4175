"""The UEFI structures inside event data: variables, loaded images, device paths, partition tables.

Rule: reading is total: bytes that are not the structure give None, never an error, since event data is written
by whoever wrote the log. What is read is a hint unless `measured` says otherwise.
Source: TCG PC Client Platform Firmware Profile 1.06 section 10.2 (UEFI_VARIABLE_DATA, UEFI_IMAGE_LOAD_EVENT,
UEFI_GPT_DATA); UEFI Specification 2.10 section 10.3 (device path nodes), section 5.3 (GPT header).
"""

import struct
import uuid
from dataclasses import dataclass
from typing import Final

_VARIABLE_HEADER: Final = struct.Struct("<16sQQ")
_IMAGE_HEADER: Final = struct.Struct("<QQQQ")
_NODE_HEADER: Final = struct.Struct("<BBH")
_NODES_MAX: Final = 64
_GPT_SIGNATURE: Final = b"EFI PART"
_GPT_HEADER_SIZE: Final = 92
_GPT_DISK_GUID: Final = 56
_END_OF_PATH: Final = 0x7F
_HARDWARE, _ACPI, _MESSAGING, _MEDIA = 1, 2, 3, 4
_GUID_SIGNATURE: Final = 2


@dataclass(frozen=True, slots=True, kw_only=True)
class UefiVariable:
    """UEFI_VARIABLE_DATA: vendor GUID, name, content."""

    vendor: uuid.UUID
    name: str
    content: bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class LoadedImage:
    """UEFI_IMAGE_LOAD_EVENT: size in memory, and the device path as text (empty where there is none)."""

    size: int
    path: str


def read_variable(data: bytes) -> UefiVariable | None:
    """Read UEFI_VARIABLE_DATA; the lengths must fill the data exactly."""
    if len(data) < _VARIABLE_HEADER.size:
        return None
    vendor, name_length, content_length = _VARIABLE_HEADER.unpack_from(data)
    name_end = _VARIABLE_HEADER.size + 2 * name_length
    if name_end + content_length != len(data):
        return None
    name = read_utf16(data[_VARIABLE_HEADER.size : name_end])
    if name is None:
        return None
    return UefiVariable(vendor=uuid.UUID(bytes_le=vendor), name=name, content=data[name_end:])


def read_loaded_image(data: bytes) -> LoadedImage | None:
    """Read UEFI_IMAGE_LOAD_EVENT; zero bytes after its path are room that old shims did not fill."""
    if len(data) < _IMAGE_HEADER.size:
        return None
    _location, size, _link_time_address, path_length = _IMAGE_HEADER.unpack_from(data)
    end = _IMAGE_HEADER.size + path_length
    if end > len(data) or any(data[end:]):
        return None
    return LoadedImage(size=size, path=device_path_text(data[_IMAGE_HEADER.size : end]))


def read_disk_guid(data: bytes) -> uuid.UUID | None:
    """Disk GUID of UEFI_GPT_DATA."""
    if len(data) < _GPT_HEADER_SIZE or not data.startswith(_GPT_SIGNATURE):
        return None
    return uuid.UUID(bytes_le=data[_GPT_DISK_GUID : _GPT_DISK_GUID + 16])


def read_utf16(data: bytes) -> str | None:
    """UTF-16LE text up to its NUL characters at the end."""
    try:
        return data.decode("utf-16-le").rstrip("\x00")
    except UnicodeDecodeError:
        return None


def device_path_text(data: bytes) -> str:
    """A device path as text, nodes joined by "/"; what is no node any more ends it with "..."."""
    nodes: list[str] = []
    position = 0
    while position + _NODE_HEADER.size <= len(data):
        kind, subtype, length = _NODE_HEADER.unpack_from(data, position)
        if kind == _END_OF_PATH:
            return "/".join(nodes)
        if not _NODE_HEADER.size <= length <= len(data) - position or len(nodes) >= _NODES_MAX:
            break
        nodes.append(_node_text(kind, subtype, data[position + _NODE_HEADER.size : position + length]))
        position += length
    return "/".join([*nodes, "..."] if data else nodes)


def _node_text(kind: int, subtype: int, body: bytes) -> str:
    """One node; the kinds that say where an image came from are spelt out, others keep their numbers."""
    read = {
        (_HARDWARE, 1): _pci,
        (_ACPI, 1): _acpi,
        (_MESSAGING, 24): _uri,
        (_MEDIA, 1): _hard_drive,
        (_MEDIA, 4): read_utf16,
        (_MEDIA, 6): _firmware_file,
        (_MEDIA, 7): _firmware_volume,
    }.get((kind, subtype))
    text = read(body) if read else None
    return text if text is not None else f"Path({kind},{subtype})"


def _pci(body: bytes) -> str | None:
    return f"Pci({body[1]:#x},{body[0]:#x})" if body[2:] == b"" and body[1:] else None


def _acpi(body: bytes) -> str | None:
    return f"Acpi({body[:4].hex()},{int.from_bytes(body[4:], 'little'):#x})" if body[7:] else None


def _uri(body: bytes) -> str | None:
    return f"Uri({body.decode('ascii', 'backslashreplace')})"


def _hard_drive(body: bytes) -> str | None:
    if len(body) != struct.calcsize("<IQQ16sBB"):
        return None
    number, _start, _size, signature, _format, signature_type = struct.unpack("<IQQ16sBB", body)
    guid = uuid.UUID(bytes_le=signature) if signature_type == _GUID_SIGNATURE else signature.hex()
    return f"HD({number},{guid})"


def _firmware_file(body: bytes) -> str | None:
    return f"FvFile({uuid.UUID(bytes_le=body)})" if len(body) == len(uuid.NAMESPACE_DNS.bytes) else None


def _firmware_volume(body: bytes) -> str | None:
    return f"Fv({uuid.UUID(bytes_le=body)})" if len(body) == len(uuid.NAMESPACE_DNS.bytes) else None
