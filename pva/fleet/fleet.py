"""Use case: somebody watches a fleet: how verdicts went over time, how each device stands, what was asked about one.

Rule: a relying party sees what it asked for itself, an auditor all. A supplier sees which devices of its own this PVA knows
and, of their verdicts, numbers alone: which device was asked about, when and by whom is the operators' to know
(docs/adr/0030-policies.md). Every query is scoped by the reader.

    how a device stands = its last request that something came of: a verdict, refused tries, or silence
                          (no answer in time); where nothing came of any yet: pending
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum, unique
from types import MappingProxyType
from typing import Final, Protocol

from pva.refusals import RefusalCode, RefusalError
from pva.requests import RequestState
from pva.results.explanation import Reader

SUPPLIER: Final = "es"
PAGE: Final = 25


@unique
class Outcome(StrEnum):
    """What came of a request; the first four are the tiers of a result."""

    AFFIRMING = "affirming"
    WARNING = "warning"
    CONTRAINDICATED = "contraindicated"
    NONE = "none"
    REFUSED = "refused"
    SILENT = "silent"
    PENDING = "pending"


COUNTED: Final = (
    Outcome.AFFIRMING,
    Outcome.WARNING,
    Outcome.CONTRAINDICATED,
    Outcome.NONE,
    Outcome.REFUSED,
)
"""What is counted over time: results by tier, and refused tries."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Span:
    """A time to look back over, in `steps` parts of one length."""

    step: timedelta
    steps: int


SPANS: Final[Mapping[str, Span]] = MappingProxyType(
    {
        "day": Span(step=timedelta(hours=1), steps=24),
        "week": Span(step=timedelta(hours=6), steps=28),
        "month": Span(step=timedelta(days=1), steps=30),
    }
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Counts:
    """What came of requests between `since` and `until`; what is not there is zero."""

    since: datetime
    until: datetime
    of: Mapping[Outcome, int]


@dataclass(frozen=True, slots=True, kw_only=True)
class Filter:
    """Which devices of a fleet: `device_id` begins with these hex digits; None and "" ask for all."""

    outcome: Outcome | None = None
    device_id: str = ""
    supplier: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class DeviceLine:
    """How a device stands for one reader: its last request that something came of, with the id of that.

    `supplier` and `hw_type` are None of a device that never proved a credential; `watched` is the state that a watch of
    the reader has told last, None where it has no watch or nothing was told.
    """

    device_id: str
    supplier: str | None
    hw_type: str | None
    outcome: Outcome
    asked_at: datetime
    request_id: str
    watched: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class SuppliedDevice:
    """What a supplier sees of a device of its own: `seen_on` is a day, and says nothing of an hour."""

    device_id: str
    hw_type: str
    svn_highest: int | None
    credential_not_before: datetime
    seen_on: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class ValidationLine:
    """One validation of a device; `outcome` as of the whole list."""

    request_id: str
    role: str
    tenant: str
    purpose: str
    outcome: Outcome
    state: RequestState
    asked_at: datetime
    result_id: str | None


class FleetRecords(Protocol):
    """What this use case needs of a store: reads alone."""

    def counts(self, reader: Reader, *, edges: Sequence[datetime]) -> Sequence[Mapping[Outcome, int]]:
        """Results by tier and refused tries, between each edge and the next."""

    def standing(self, reader: Reader, *, at: datetime) -> Mapping[Outcome, int]:
        """How many devices stand how."""

    def devices(
        self, reader: Reader, wanted: Filter, *, skip: int, count_max: int, at: datetime
    ) -> Sequence[DeviceLine]:
        """Devices that the reader has asked about, the last asked first."""

    def supplied(
        self, supplier: str, *, device_id: str, skip: int, count_max: int
    ) -> Sequence[SuppliedDevice]:
        """Devices of a supplier that this PVA knows, by their ids."""

    def validations(
        self, device_id: str, reader: Reader, *, skip: int, count_max: int, at: datetime
    ) -> Sequence[ValidationLine]:
        """What the reader may see of one device, newest first."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Page:
    """A part of a list: `number` from 1 on, and whether another one follows."""

    number: int
    has_next: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class FleetDesk:
    """The use case and what it works with."""

    records: FleetRecords

    def over_time(self, reader: Reader, *, span: str, at: datetime) -> Sequence[Counts]:
        """What came of requests in the parts of a span of `SPANS` that ends with the present one, oldest first."""
        step, steps = SPANS[span].step, SPANS[span].steps
        whole = timedelta(
            seconds=int(at.timestamp()) % int(step.total_seconds()), microseconds=at.microsecond
        )
        end = at - whole + step
        edges = [end - step * back for back in range(steps, -1, -1)]
        counted = self.records.counts(reader, edges=edges)
        return [
            Counts(since=since, until=until, of=of)
            for since, until, of in zip(edges[:-1], edges[1:], counted, strict=True)
        ]

    def standing(self, reader: Reader, *, at: datetime) -> Mapping[Outcome, int]:
        """How many devices stand how; nothing for a supplier, who is told of no device how it stands."""
        return {} if reader.role == SUPPLIER else self.records.standing(reader, at=at)

    def devices(
        self, reader: Reader, wanted: Filter, *, page: int, at: datetime
    ) -> tuple[Sequence[DeviceLine], Page]:
        """A page of the fleet of a relying party or of an auditor."""
        skip = (page - 1) * PAGE
        found = self.records.devices(reader, wanted, skip=skip, count_max=PAGE + 1, at=at)
        return found[:PAGE], Page(number=page, has_next=len(found) > PAGE)

    def supplied(self, reader: Reader, wanted: Filter, *, page: int) -> tuple[Sequence[SuppliedDevice], Page]:
        """A page of the devices of a supplier."""
        found = self.records.supplied(
            reader.tenant, device_id=wanted.device_id, skip=(page - 1) * PAGE, count_max=PAGE + 1
        )
        return found[:PAGE], Page(number=page, has_next=len(found) > PAGE)

    def supplied_device(self, device_id: str, *, reader: Reader) -> SuppliedDevice:
        """One device of a supplier. Raises RefusalError: it has no such device, as far as this PVA knows."""
        found = self.records.supplied(reader.tenant, device_id=device_id, skip=0, count_max=1)
        if not found or found[0].device_id != device_id:
            raise _no_such_device(device_id)
        return found[0]

    def validations(
        self, device_id: str, *, reader: Reader, page: int, at: datetime
    ) -> tuple[Sequence[ValidationLine], Page]:
        """A page of what the reader may see of a device. Raises RefusalError: nothing."""
        found = self.records.validations(device_id, reader, skip=(page - 1) * PAGE, count_max=PAGE + 1, at=at)
        if not found:
            raise _no_such_device(device_id)
        return found[:PAGE], Page(number=page, has_next=len(found) > PAGE)


def _no_such_device(device_id: str) -> RefusalError:
    return RefusalError(
        RefusalCode.NOT_FOUND,
        subject=f"device {device_id}",
        reason="nothing is on record of this device that the caller may see",
    )
