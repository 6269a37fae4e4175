"""Which part of an event's data its digest covers (A19).

Rule: a part counts as measured only if its hash is the event's digest in the bank that was quoted. Everything
else in the data, names and prefixes included, was written by whoever wrote the log, and is a hint.
Theory: what the digest covers depends on the type: the whole data (separators, actions, most variables), the
content of a variable without its name (boot variables), the text after a label (boot loader), or something that
is not in the log at all (images, firmware volumes).
"""

import re
from collections.abc import Iterator
from typing import Final

from standards.boot_log.algorithms import BANKS
from standards.boot_log.event_log import EventLog
from standards.boot_log.events import (
    EV_EFI_VARIABLE_AUTHORITY,
    EV_EFI_VARIABLE_BOOT,
    EV_EFI_VARIABLE_BOOT2,
    EV_EFI_VARIABLE_DRIVER_CONFIG,
    EV_EVENT_TAG,
    EV_IPL,
    EV_NO_ACTION,
    Event,
)
from standards.boot_log.uefi import read_variable

KERNEL_COMMAND_LINE_PCR: Final = 8
_VARIABLES: Final = frozenset(
    {
        EV_EFI_VARIABLE_DRIVER_CONFIG,
        EV_EFI_VARIABLE_BOOT,
        EV_EFI_VARIABLE_BOOT2,
        EV_EFI_VARIABLE_AUTHORITY,
    }
)
_LABEL: Final = re.compile(rb"(grub_cmd|kernel_cmdline|grub_kernel_cmdline|module_cmdline)(?:: | )")
_COMMAND_LINE: Final = b"kernel_cmdline"
"""In every label of `COMMAND_LINE_LABELS`."""
COMMAND_LINE_LABELS: Final = frozenset({"kernel_cmdline", "grub_kernel_cmdline"})
_TAG_HEADER_SIZE: Final = 8  # taggedEventID and taggedEventDataSize


def measured_payload(event: Event, *, bank: int) -> bytes | None:
    """The part of the data that the digest covers, or None where it covers nothing of it.

    None also where the log has no digest of this bank, and for EV_NO_ACTION, which is measured nowhere.
    """
    digest = event.digests.get(bank)
    if digest is None or bank not in BANKS or event.type == EV_NO_ACTION:
        return None
    for part in _parts(event):
        if BANKS[bank].digest(part) == digest:
            return part
    return None


def boot_loader_text(event: Event) -> tuple[str, bytes] | None:
    """Label and text of a boot loader's EV_IPL event, without the NUL at the end; a hint until it is measured."""
    match = _LABEL.match(event.data) if event.type == EV_IPL else None
    if match is None:
        return None
    return match[1].decode("ascii"), event.data[match.end() :].removesuffix(b"\x00")


def kernel_command_line(log: EventLog, *, bank: int) -> str | None:
    """The measured kernel command line, or None where the log has none, several, or an unreadable one.

    The text is covered by a digest of PCR 8, but the label that calls it a command line is not: that this event
    is the command line follows only from the reference values for the sequence of PCR 8. What is NOT checked
    here: that the log reaches the quoted value of PCR 8.
    """
    found = []
    for event in log.containing(_COMMAND_LINE):
        if event.pcr != KERNEL_COMMAND_LINE_PCR or not event.extended:
            continue
        labelled = boot_loader_text(event)
        if labelled and labelled[0] in COMMAND_LINE_LABELS:
            found.append((labelled[1], measured_payload(event, bank=bank)))
    if len(found) != 1 or found[0][0] != found[0][1]:
        return None
    try:
        return found[0][0].decode("utf-8")
    except UnicodeDecodeError:
        return None


def _parts(event: Event) -> Iterator[bytes]:
    """The parts of the data that firmware and boot loaders are known to measure."""
    yield event.data
    if event.type in _VARIABLES:
        variable = read_variable(event.data)
        if variable is not None:
            yield variable.content
    elif event.type == EV_IPL:
        labelled = boot_loader_text(event)
        if labelled is not None:
            yield labelled[1]
            yield labelled[1] + b"\x00"
        yield event.data.removesuffix(b"\x00")
        yield event.data.removesuffix(b"\x00\x00")  # UTF-16 text
    elif event.type == EV_EVENT_TAG:
        yield event.data[_TAG_HEADER_SIZE:]
