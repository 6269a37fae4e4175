"""Bytes of a log -> `EventLog`.

Rule: a raising cursor reads every field; sizes are judged against what is left before anything is taken; the
same bytes give the same value or `BootLogError`, and no other error.
Checks here (A17): the Specification ID event is sane, its algorithms are unique and of the right size, every
event has exactly one digest for each of them. What is NOT checked here: that the log belongs to any PCR.
Formats: TCG_PCR_EVENT2 after a TCG_PCR_EVENT header ("crypto-agile"), and TCG_PCR_EVENT throughout (the SHA-1
format of TPM 1.2), which is marked in the result. After the last event, bytes that are all 0x00, or all 0xFF (erased
flash), are the unused rest of the log area and are passed over: neither can be the start of an event. Anything else
there is refused. An extended event without a digest for a listed algorithm is refused too, though some readers
tolerate it: such a log could not speak for that bank, and A17 demands all.
Source: TCG PC Client Platform Firmware Profile 1.06, sections 10.2.1, 10.2.2 and 10.4.5.
"""

import struct
from collections.abc import Sequence
from typing import Any, Final

from standards.boot_log.algorithms import BANKS, SHA1
from standards.boot_log.errors import BootLogError
from standards.boot_log.event_log import EventLog, LoggedEvents
from standards.boot_log.events import EV_NO_ACTION, PCR_INDEX_MAX, Event

LOG_BYTES_MAX: Final = 1 << 22
EVENTS_MAX: Final = 20_000

_SIGNATURE: Final = b"Spec ID Event03\x00"
_ALGORITHMS_MAX: Final = 16
_DIGEST_SIZE_MAX: Final = 128
_SPEC_MAJOR: Final = 2
_UINTN_SIZES: Final = frozenset({1, 2})  # in units of 32 bits
_PCR_OF_NO_ACTION_MAX: Final = (1 << 32) - 1
_UNUSED: Final = (b"\x00", b"\xff")


def decode_event_log(
    data: bytes, *, bytes_max: int = LOG_BYTES_MAX, events_max: int = EVENTS_MAX
) -> EventLog:
    """Decode a whole log of at most `bytes_max` bytes and `events_max` events.

    Raises:
        BootLogError: for any other bytes.
    """
    if len(data) > bytes_max:
        raise BootLogError(what="size", expected=f"at most {bytes_max} bytes", got=str(len(data)))
    cursor = _Cursor(data)
    if cursor.at_end:
        raise BootLogError(what="content", expected="at least one event", got="nothing")
    first = _legacy_event(cursor, number=0)
    if first.type == EV_NO_ACTION and first.data.startswith(_SIGNATURE):
        sizes = _decode_header(first)
        events = _decode_events(cursor, sizes=sizes, events_max=events_max)
        log = EventLog(algorithms=tuple(sizes), events=events, crypto_agile=True, header=first.data)
    else:
        legacy = (first, *_decode_legacy_events(cursor, events_max=events_max))
        log = EventLog(algorithms=(SHA1,), events=legacy, crypto_agile=False, header=b"")
    _ = log.startup_locality  # a log that contradicts itself there is refused as a whole
    return log


def _decode_events(cursor: "_Cursor", *, sizes: dict[int, int], events_max: int) -> LoggedEvents:
    layout = _Layout(sizes)
    events = LoggedEvents(cursor.data, algorithms=layout.algorithms)
    while not cursor.at_end:
        cursor.take_usual(layout, events, events_max=events_max)
        if not cursor.at_end:
            event = _event(cursor, sizes, number=_next_number(events, events_max=events_max))
            events.add(event, end=cursor.position)
    return events


def _decode_legacy_events(cursor: "_Cursor", *, events_max: int) -> list[Event]:
    events: list[Event] = []
    while not cursor.at_end:
        events.append(_legacy_event(cursor, number=_next_number(events, events_max=events_max)))
    return events


def _next_number(events: Sequence[Event], *, events_max: int) -> int:
    number = len(events) + 1
    if number > events_max:
        raise BootLogError(what="length", expected=f"at most {events_max} events", got="more")
    return number


class _Layout:
    """The fixed part of a TCG_PCR_EVENT2 whose digests stand in the order of the header, as firmware writes them."""

    def __init__(self, sizes: dict[int, int]) -> None:
        self.algorithms = tuple(sizes)
        self.structure = struct.Struct("<III" + "".join(f"H{size}s" for size in sizes.values()) + "I")


def _decode_header(event: Event) -> dict[int, int]:
    """The Specification ID event: digest size by algorithm, in the order of the log."""
    if event.pcr != 0 or any(event.digests[SHA1]):
        raise BootLogError(
            what="Specification ID event", expected="PCR 0 and a digest of zeros", got="another"
        )
    cursor = _Cursor(event.data, number=0)
    cursor.take(len(_SIGNATURE), "signature")
    cursor.u32("platformClass")
    minor, major, _errata, uintn = cursor.take(4, "specification version")
    if major != _SPEC_MAJOR or uintn not in _UINTN_SIZES:
        got = f"version {major}.{minor}, uintnSize {uintn}"
        raise BootLogError(what="Specification ID event", expected="version 2, uintnSize 1 or 2", got=got)
    sizes = _decode_algorithms(cursor)
    cursor.take(cursor.u8("vendorInfoSize"), "vendorInfo")
    cursor.end()
    return sizes


def _decode_algorithms(cursor: "_Cursor") -> dict[int, int]:
    count = cursor.u32("numberOfAlgorithms")
    if not 1 <= count <= _ALGORITHMS_MAX:
        raise BootLogError(what="numberOfAlgorithms", expected=f"1 to {_ALGORITHMS_MAX}", got=str(count))
    sizes: dict[int, int] = {}
    for _ in range(count):
        algorithm, size = cursor.u16("algorithmId"), cursor.u16("digestSize")
        if algorithm in sizes:
            raise BootLogError(what="algorithm list", expected="each once", got=f"0x{algorithm:04x} twice")
        known = BANKS.get(algorithm)
        if not 1 <= size <= _DIGEST_SIZE_MAX or (known and known.size != size):
            expected = f"{known.size} bytes for {known.name}" if known else f"1 to {_DIGEST_SIZE_MAX} bytes"
            raise BootLogError(what=f"digestSize of 0x{algorithm:04x}", expected=expected, got=str(size))
        sizes[algorithm] = size
    return sizes


def _event(cursor: "_Cursor", sizes: dict[int, int], *, number: int) -> Event:
    """One TCG_PCR_EVENT2."""
    cursor.number = number
    pcr, event_type = _place(cursor)
    count = cursor.u32("digest count")
    if count != len(sizes):
        raise BootLogError(
            what="digest count", expected=f"{len(sizes)}, as listed", got=str(count), event=number
        )
    digests: dict[int, bytes] = {}
    for _ in range(count):
        algorithm = cursor.u16("digest algorithm")
        if algorithm not in sizes or algorithm in digests:
            got = f"0x{algorithm:04x} {'twice' if algorithm in digests else 'which is not listed'}"
            raise BootLogError(what="digests", expected="each listed algorithm once", got=got, event=number)
        digests[algorithm] = cursor.take(sizes[algorithm], "digest")
    data = cursor.take(cursor.u32("eventSize"), "event data")
    return Event(number=number, pcr=pcr, type=event_type, digests=digests, data=data)


def _legacy_event(cursor: "_Cursor", *, number: int) -> Event:
    """One TCG_PCR_EVENT."""
    cursor.number = number
    pcr, event_type = _place(cursor)
    digest = cursor.take(BANKS[SHA1].size, "digest")
    data = cursor.take(cursor.u32("eventSize"), "event data")
    return Event(number=number, pcr=pcr, type=event_type, digests={SHA1: digest}, data=data)


def _place(cursor: "_Cursor") -> tuple[int, int]:
    """PCR and type; EV_NO_ACTION may name any PCR, for it reaches none."""
    pcr, event_type = cursor.u32("pcrIndex"), cursor.u32("eventType")
    highest = _PCR_OF_NO_ACTION_MAX if event_type == EV_NO_ACTION else PCR_INDEX_MAX
    if pcr > highest:
        raise BootLogError(
            what="pcrIndex", expected=f"0 to {PCR_INDEX_MAX}", got=str(pcr), event=cursor.number
        )
    return pcr, event_type


class _Cursor:
    """Reads little-endian fields; raises where the bytes end too early."""

    def __init__(self, data: bytes, *, number: int = 0) -> None:
        self.data = data
        self.position = 0
        self._content = min(len(data.rstrip(unused)) for unused in _UNUSED)
        self.number = number

    @property
    def at_end(self) -> bool:
        """Whether nothing is left but the unused rest of the log area."""
        return self.position >= self._content

    def take_usual(self, layout: _Layout, events: LoggedEvents, *, events_max: int) -> None:
        """Add events as firmware usually writes them, up to the first that is anything else: `_event` judges that one.

        One step an event: a log of a hundred events comes with a quote.
        """
        data, size, algorithms = self.data, len(self.data), layout.algorithms
        unpack, fixed, banks = layout.structure.unpack_from, layout.structure.size, len(algorithms)
        position, content, left = self.position, self._content, events_max - len(events)
        heads: list[tuple[Any, ...]] = []
        ends: list[int] = []
        while position < content and position + fixed <= size and len(heads) < left:
            head = unpack(data, position)
            end = position + fixed + head[-1]
            usual = head[2] == banks and head[0] <= PCR_INDEX_MAX and end <= size
            if not usual or head[3:-1:2] != algorithms:
                break
            heads.append(head)
            ends.append(end)
            position = end
        events.extend(heads, ends=ends)
        self.position = position

    def take(self, size: int, what: str) -> bytes:
        """The next bytes."""
        end = self.position + size
        if end > len(self.data):
            left = len(self.data) - self.position
            raise BootLogError(what=what, expected=f"{size} bytes", got=f"{left} left", event=self.number)
        taken = self.data[self.position : end]
        self.position = end
        return taken

    def end(self) -> None:
        """Refuse bytes that are left."""
        left = len(self.data) - self.position
        if left:
            raise BootLogError(
                what="structure", expected="its end", got=f"{left} more bytes", event=self.number
            )

    def u8(self, what: str) -> int:
        """An 8-bit number."""
        return self.take(1, what)[0]

    def u16(self, what: str) -> int:
        """A 16-bit number."""
        return int.from_bytes(self.take(2, what), "little")

    def u32(self, what: str) -> int:
        """A 32-bit number."""
        return int.from_bytes(self.take(4, what), "little")
