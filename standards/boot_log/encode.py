"""`EventLog` -> bytes of a log, and logs from measurements: what the lab and the tests boot from.

Rule: what is encoded decodes to the same value; a log that contradicts itself is refused, so that a bad log has
to be made on purpose, from bytes.
"""

import struct
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Final

from standards.boot_log.algorithms import BANKS, SHA1
from standards.boot_log.errors import BootLogError
from standards.boot_log.event_log import EventLog
from standards.boot_log.events import EV_NO_ACTION, Event

_U32_MAX: Final = (1 << 32) - 1


@dataclass(frozen=True, slots=True, kw_only=True)
class Measurement:
    """Something to be measured: `measured` is what is hashed, or None where it is the logged data itself."""

    pcr: int
    type: int
    data: bytes
    measured: bytes | None = None


def build_event_log(measurements: Iterable[Measurement], *, algorithms: Sequence[int]) -> EventLog:
    """A crypto-agile log of these measurements, with digests of all these banks.

    Raises:
        BootLogError: an unknown or repeated bank.
    """
    events = tuple(
        _event(measurement, number=number, algorithms=algorithms)
        for number, measurement in enumerate(measurements, start=1)
    )
    header = _header(algorithms)
    return EventLog(algorithms=tuple(algorithms), events=events, crypto_agile=True, header=header)


def encode_event_log(log: EventLog) -> bytes:
    """The bytes of a log in its own format.

    Raises:
        BootLogError: an event lacks a digest of a listed bank, or a number does not fit its field.
    """
    if not log.crypto_agile:
        return b"".join(_legacy_record(event, event.digests.get(SHA1)) for event in log.events)
    header = Event(number=0, pcr=0, type=EV_NO_ACTION, digests={}, data=log.header)
    records = [_legacy_record(header, bytes(BANKS[SHA1].size))]
    records += [_record(event, log.algorithms) for event in log.events]
    return b"".join(records)


def _event(measurement: Measurement, *, number: int, algorithms: Sequence[int]) -> Event:
    measured = measurement.data if measurement.measured is None else measurement.measured
    banks = [_known(bank) for bank in algorithms]
    not_extended = measurement.type == EV_NO_ACTION
    return Event(
        number=number,
        pcr=measurement.pcr,
        type=measurement.type,
        digests={
            bank: bytes(BANKS[bank].size) if not_extended else BANKS[bank].digest(measured) for bank in banks
        },
        data=measurement.data,
    )


def _header(algorithms: Sequence[int]) -> bytes:
    """Data of the Specification ID event: platform class client, version 2.0, 64-bit."""
    if not algorithms or len(set(algorithms)) != len(algorithms):
        raise BootLogError(
            what="algorithm list", expected="at least one, each once", got=str(list(algorithms))
        )
    sizes = b"".join(struct.pack("<HH", bank, BANKS[_known(bank)].size) for bank in algorithms)
    fixed = struct.pack("<16sIBBBBI", b"Spec ID Event03\x00", 0, 0, 2, 0, 2, len(algorithms))
    return fixed + sizes + b"\x00"


def _known(bank: int) -> int:
    if bank not in BANKS:
        raise BootLogError(what="algorithm list", expected="known hash algorithms", got=f"0x{bank:04x}")
    return bank


def _record(event: Event, algorithms: Sequence[int]) -> bytes:
    if set(event.digests) != set(algorithms):
        raise BootLogError(
            what="digests", expected="one for each listed algorithm", got="others", event=event.number
        )
    digests = b"".join(struct.pack("<H", bank) + digest for bank, digest in event.digests.items())
    return _place(event) + struct.pack("<I", len(event.digests)) + digests + _counted(event)


def _legacy_record(event: Event, digest: bytes | None) -> bytes:
    if digest is None or len(digest) != BANKS[SHA1].size:
        raise BootLogError(what="digest", expected="20 bytes of SHA-1", got="none", event=event.number)
    return _place(event) + digest + _counted(event)


def _place(event: Event) -> bytes:
    if not 0 <= event.pcr <= _U32_MAX or not 0 <= event.type <= _U32_MAX:
        raise BootLogError(
            what="pcrIndex and eventType", expected="32-bit numbers", got="others", event=event.number
        )
    return struct.pack("<II", event.pcr, event.type)


def _counted(event: Event) -> bytes:
    return struct.pack("<I", len(event.data)) + event.data
