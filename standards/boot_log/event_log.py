"""A decoded log: its events in their order, and what it says about itself.

Rule: nothing is interpreted here but what a replay begins with; what an event's data mean is in `measured` and `describe`.
Source: TCG PC Client Platform Firmware Profile 1.06, section 10.2.
"""

from bisect import bisect_left
from collections.abc import Container, Sequence
from dataclasses import dataclass
from enum import StrEnum, unique
from typing import Any, Final, overload

from standards.boot_log.errors import BootLogError
from standards.boot_log.events import EV_EFI_HCRTM_EVENT, EV_NO_ACTION, Event

_STARTUP_LOCALITY: Final = b"StartupLocality\x00"
_LOCALITIES: Final = frozenset({0, 3, 4})
_LOCALITY_OF_HCRTM: Final = 4
_SPEAK_OF_LOCALITY: Final = frozenset({EV_NO_ACTION, EV_EFI_HCRTM_EVENT})


@unique
class LogFormat(StrEnum):
    """The two formats of a log (sections 10.2.1 and 10.2.2)."""

    CRYPTO_AGILE = "crypto-agile"
    SHA1_LEGACY = "sha1-legacy"


_PCR, _TYPE, _FIRST_DIGEST, _DATA_SIZE = 0, 1, 4, -1
"""In a head of `LoggedEvents`."""


class LoggedEvents(Sequence[Event]):
    """The events of a crypto-agile log as they stand in it; each becomes an `Event` when it is first asked for.

    A replay needs PCR, type and digest of each. Most logs lead to the values that are expected, and nobody asks more of them.
    """

    __slots__ = ("_algorithms", "_built", "_ends", "_heads", "_log")

    def __init__(self, log: bytes, *, algorithms: tuple[int, ...]) -> None:
        """No event yet; `algorithms` are the banks of every event, in the order of the log's header."""
        self._log = log
        self._algorithms = algorithms
        self._heads: list[tuple[Any, ...]] = []
        self._ends: list[int] = []
        self._built: dict[int, Event] = {}

    def extend(self, heads: Sequence[tuple[Any, ...]], *, ends: Sequence[int]) -> None:
        """Add the next events: PCR, type, count, algorithm and digest in turns, size of the data, and where in the log these end."""
        self._heads += heads
        self._ends += ends

    def add(self, event: Event, *, end: int) -> None:
        """Add the next event, whose digests stand in another order, or whose PCR is out of range as EV_NO_ACTION's may be."""
        self._built[len(self._heads)] = event
        in_turns = [part for bank in self._algorithms for part in (bank, event.digests[bank])]
        head = (event.pcr, event.type, len(self._algorithms), *in_turns, len(event.data))
        self.extend([head], ends=[end])

    def measured(self, bank: int) -> dict[int, list[bytes]]:
        """The digests that were extended into each PCR, in their order."""
        digest = _FIRST_DIGEST + 2 * self._algorithms.index(bank)
        into: dict[int, list[bytes]] = {}
        for head in self._heads:
            if head[_TYPE] != EV_NO_ACTION:
                of_pcr = into.get(head[_PCR])
                if of_pcr is None:
                    into[head[_PCR]] = [head[digest]]
                else:
                    of_pcr.append(head[digest])
        return into

    def naming(self, pcr: int, *, types: Container[int] | None = None) -> list[Event]:
        """The events that name one PCR, of these types."""
        return [
            self[place]
            for place, head in enumerate(self._heads)
            if head[_PCR] == pcr and (types is None or head[_TYPE] in types)
        ]

    def containing(self, part: bytes) -> list[Event]:
        """The events with this somewhere in their data."""
        places = []
        begin = self._log.find(part)
        while begin >= 0:
            place = bisect_left(self._ends, begin + len(part))
            if place == len(self._ends):
                break
            end = self._ends[place]
            if begin >= end - self._heads[place][_DATA_SIZE]:
                places.append(place)
                begin = self._log.find(part, end)
            else:  # in the head, or across events
                begin = self._log.find(part, begin + 1)
        return [self[place] for place in places]

    def __len__(self) -> int:
        return len(self._heads)

    @overload
    def __getitem__(self, index: int) -> Event: ...

    @overload
    def __getitem__(self, index: slice) -> tuple[Event, ...]: ...

    def __getitem__(self, index: int | slice) -> Event | tuple[Event, ...]:
        if isinstance(index, slice):
            return tuple([self[each] for each in range(*index.indices(len(self)))])
        place = range(len(self._heads))[index]
        event = self._built.get(place)
        if event is None:
            event = self._built[place] = self._event(place)
        return event

    def __eq__(self, other: object) -> bool:
        return isinstance(other, (LoggedEvents, tuple)) and tuple(self) == tuple(other)

    __hash__ = None  # type: ignore[assignment]  # as an `Event`, which has a mapping

    def __repr__(self) -> str:
        return repr(tuple(self))

    def _event(self, place: int) -> Event:
        head, end = self._heads[place], self._ends[place]
        digests = head[_FIRST_DIGEST:_DATA_SIZE:2]
        return Event(
            number=place + 1,
            pcr=head[_PCR],
            type=head[_TYPE],
            digests=dict(zip(self._algorithms, digests, strict=True)),
            data=self._log[end - head[_DATA_SIZE] : end],
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class EventLog:
    """A decoded log: `algorithms` are the banks that it lists, in its order.

    `crypto_agile` is False for the SHA-1 format of TPM 1.2, which can only speak for the SHA-1 bank. `header` is
    the data of the Specification ID event (empty without one); that event itself is not among `events`.
    """

    algorithms: tuple[int, ...]
    events: Sequence[Event]
    crypto_agile: bool
    header: bytes

    @property
    def format(self) -> LogFormat:
        """The format, for people and refusals: a legacy log never leads to an affirming result."""
        return LogFormat.CRYPTO_AGILE if self.crypto_agile else LogFormat.SHA1_LEGACY

    @property
    def startup_locality(self) -> int:
        """Locality that PCR 0 starts from: 4 after an H-CRTM, else what StartupLocality says, else 0.

        Raises:
            BootLogError: StartupLocality is malformed, or said twice and differently.
        """
        speaking = self._naming(0, types=_SPEAK_OF_LOCALITY)
        if any(event.type == EV_EFI_HCRTM_EVENT for event in speaking):
            return _LOCALITY_OF_HCRTM
        said = {_locality(event) for event in speaking if event.data.startswith(_STARTUP_LOCALITY)}
        if len(said) > 1:
            raise BootLogError(what="StartupLocality", expected="one value", got=f"{sorted(said)}")
        return said.pop() if said else 0

    def extended_into(self, pcr: int) -> tuple[Event, ...]:
        """The events that went into one PCR, in order."""
        return tuple([event for event in self._naming(pcr) if event.extended])

    def containing(self, part: bytes) -> list[Event]:
        """The events with this somewhere in their data, in order."""
        if isinstance(self.events, LoggedEvents):
            return self.events.containing(part)
        return [event for event in self.events if part in event.data]

    def measured(self, *, bank: int) -> dict[int, list[bytes]]:
        """The digests that were extended into each PCR, in their order; `bank` is one that is listed."""
        if isinstance(self.events, LoggedEvents):
            return self.events.measured(bank)
        into: dict[int, list[bytes]] = {}
        for event in self.events:
            if event.extended:
                into.setdefault(event.pcr, []).append(event.digests[bank])
        return into

    def _naming(self, pcr: int, *, types: Container[int] | None = None) -> list[Event]:
        """The events that name one PCR, of these types."""
        if isinstance(self.events, LoggedEvents):
            return self.events.naming(pcr, types=types)
        return [event for event in self.events if event.pcr == pcr and (types is None or event.type in types)]


def startup_locality_data(locality: int) -> bytes:
    """Data of the StartupLocality event (section 10.4.5)."""
    return _STARTUP_LOCALITY + locality.to_bytes(1, "little")


def _locality(event: Event) -> int:
    value = event.data[len(_STARTUP_LOCALITY) :]
    if len(value) != 1 or value[0] not in _LOCALITIES:
        raise BootLogError(
            what="StartupLocality", expected="one byte: 0, 3 or 4", got=value.hex()[:16], event=event.number
        )
    return value[0]
