"""What an event is about, in a line for people.

Rule: total and harmless: any event gives one line of printable characters of bounded length, and what the digest
does not cover is marked "as logged, not measured". The line explains a finding; nothing is decided from it.
"""

from collections.abc import Callable
from types import MappingProxyType
from typing import Final

from standards.boot_log import events as ev
from standards.boot_log.events import Event
from standards.boot_log.measured import boot_loader_text, measured_payload
from standards.boot_log.uefi import read_disk_guid, read_loaded_image, read_utf16, read_variable

LINE_MAX: Final = 400
NOT_MEASURED: Final = "(as logged, not measured)"
_TEXT_CHARACTERS_MIN: Final = 3
_SEPARATORS: Final = MappingProxyType(
    {b"\x00" * 4: "success", b"\xff" * 4: "success", b"\x01\x00\x00\x00": "error"}
)
_SIGNATURE_SIZE: Final = 16
_CONTENT_BYTES_SHOWN: Final = 16


def describe(event: Event) -> str:
    """Type, subject, and whether the subject was measured in every bank that the log lists."""
    subject = _READERS.get(event.type, _text_or_size)(event)
    line = _printable(f"{event.type_name} {subject}".rstrip())
    if event.extended and not _measured(event):
        return f"{line} {NOT_MEASURED}"
    return line


def _measured(event: Event) -> bool:
    """Data that is measured in one bank only says nothing about the other: all banks must agree."""
    payloads = [measured_payload(event, bank=bank) for bank in event.digests]
    return bool(payloads) and None not in payloads


def _image(event: Event) -> str:
    image = read_loaded_image(event.data)
    return (
        _size(event) if image is None else f"{image.path or 'without a path'}, {image.size} bytes in memory"
    )


def _variable(event: Event) -> str:
    variable = read_variable(event.data)
    if variable is None:
        return _size(event)
    shown = variable.content[:_CONTENT_BYTES_SHOWN].hex()
    more = "..." if len(variable.content) > _CONTENT_BYTES_SHOWN else ""
    return f"{variable.name} ({variable.vendor}), {len(variable.content)} bytes {shown}{more}".rstrip()


def _boot_loader(event: Event) -> str:
    labelled = boot_loader_text(event)
    if labelled is None:
        return _text_or_size(event)
    return f"{labelled[0]}: {labelled[1].decode('utf-8', 'backslashreplace')}"


def _separator(event: Event) -> str:
    return _SEPARATORS.get(event.data, event.data[:_CONTENT_BYTES_SHOWN].hex())


def _partition_table(event: Event) -> str:
    disk = read_disk_guid(event.data)
    return _size(event) if disk is None else f"disk {disk}"


def _firmware_blob(event: Event) -> str:
    if len(event.data) != 2 * 8:
        return _text_or_size(event)
    base, length = (int.from_bytes(event.data[i : i + 8], "little") for i in (0, 8))
    return f"{length} bytes at 0x{base:x}"


def _described(event: Event) -> str:
    """Structures that begin with a counted ASCII description."""
    length = event.data[0] if event.data else 0
    description = event.data[1 : 1 + length]
    if not 0 < length == len(description):
        return _size(event)
    return description.rstrip(b"\x00").decode("ascii", "backslashreplace")


def _tagged(event: Event) -> str:
    tag = int.from_bytes(event.data[:4], "little")
    text = _text(event.data[8:])
    return f"tag 0x{tag:08x} {text if text is not None else _size(event)}"


def _no_action(event: Event) -> str:
    name = event.data[:_SIGNATURE_SIZE].split(b"\x00")[0].decode("ascii", "backslashreplace")
    if name == "StartupLocality":
        return f"{name} {event.data[_SIGNATURE_SIZE:].hex()}"
    return name or _size(event)


def _text_or_size(event: Event) -> str:
    text = _text(event.data)
    return text if text is not None else _size(event)


def _text(data: bytes) -> str | None:
    """ASCII or UTF-16 text, or None for anything else."""
    stripped = data.rstrip(b"\x00")
    if (
        len(stripped) >= _TEXT_CHARACTERS_MIN
        and stripped.isascii()
        and stripped.decode("ascii").isprintable()
    ):
        return stripped.decode("ascii")
    wide = read_utf16(data[: len(data) & ~1])  # some boot loaders log an odd byte after their text
    if wide is not None and len(wide) >= _TEXT_CHARACTERS_MIN and wide.isprintable() and wide.isascii():
        return wide
    return None


def _size(event: Event) -> str:
    return f"{len(event.data)} bytes"


def _printable(text: str) -> str:
    """Escape what a terminal, a log or a page would act on, and bound the length."""
    safe = "".join(
        character if character.isprintable() else character.encode("unicode_escape").decode("ascii")
        for character in text[:LINE_MAX]
    )
    return safe if len(safe) <= LINE_MAX and len(text) <= LINE_MAX else safe[:LINE_MAX] + "..."


_READERS: Final[MappingProxyType[int, Callable[[Event], str]]] = MappingProxyType(
    {
        ev.EV_NO_ACTION: _no_action,
        ev.EV_SEPARATOR: _separator,
        ev.EV_EVENT_TAG: _tagged,
        ev.EV_IPL: _boot_loader,
        ev.EV_EFI_VARIABLE_DRIVER_CONFIG: _variable,
        ev.EV_EFI_VARIABLE_BOOT: _variable,
        ev.EV_EFI_VARIABLE_BOOT2: _variable,
        ev.EV_EFI_VARIABLE_AUTHORITY: _variable,
        ev.EV_EFI_BOOT_SERVICES_APPLICATION: _image,
        ev.EV_EFI_BOOT_SERVICES_DRIVER: _image,
        ev.EV_EFI_RUNTIME_SERVICES_DRIVER: _image,
        ev.EV_EFI_GPT_EVENT: _partition_table,
        ev.EV_EFI_GPT_EVENT2: _partition_table,
        ev.EV_EFI_PLATFORM_FIRMWARE_BLOB: _firmware_blob,
        ev.EV_EFI_PLATFORM_FIRMWARE_BLOB2: _described,
        ev.EV_EFI_HANDOFF_TABLES2: _described,
    }
)
