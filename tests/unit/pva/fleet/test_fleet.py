"""A fleet over time: parts of a span that end with the present one, and pages of a list."""

import itertools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from pva.fleet.fleet import PAGE, SPANS, Filter, FleetDesk, Outcome
from pva.fleet.journey import seen_credential, seen_status
from pva.refusals import RefusalCode, RefusalError
from pva.results.explanation import Reader

AT = datetime(2026, 6, 1, 12, 34, 56, 789, tzinfo=UTC)
READER = Reader(role="sho", tenant="sho-1")


@dataclass
class Records:
    """Answers with numbers, and remembers what was asked."""

    lines: int = 0
    edges: Sequence[datetime] = field(default_factory=tuple)

    def counts(self, reader: Reader, *, edges: Sequence[datetime]) -> Sequence[Mapping[Outcome, int]]:
        """A number of its own for each part."""
        del reader
        self.edges = edges
        return [{Outcome.AFFIRMING: place} for place in range(len(edges) - 1)]

    def devices(
        self, reader: Reader, wanted: Filter, *, skip: int, count_max: int, at: datetime
    ) -> Sequence[Any]:
        """Numbers in the place of lines."""
        del reader, wanted, at
        return tuple(range(self.lines))[skip : skip + count_max]

    def validations(self, device_id: str, reader: Reader, **asked: Any) -> Sequence[Any]:
        """Nothing."""
        del device_id, reader, asked
        return ()

    def standing(self, reader: Reader, *, at: datetime) -> Mapping[Outcome, int]:
        """One device."""
        del reader, at
        return {Outcome.AFFIRMING: 1}

    def supplied(self, supplier: str, **asked: Any) -> Sequence[Any]:
        """Nothing."""
        del supplier, asked
        return ()


@pytest.mark.parametrize("span", SPANS)
def test_a_span_ends_with_the_part_that_is_now(span: str) -> None:
    records = Records()
    counts = FleetDesk(records=records).over_time(READER, span=span, at=AT)
    step = SPANS[span].step
    assert len(counts) == SPANS[span].steps
    assert counts[-1].since <= AT < counts[-1].until
    assert all(part.until - part.since == step for part in counts)
    assert all(before.until == after.since for before, after in itertools.pairwise(counts))
    assert [part.of[Outcome.AFFIRMING] for part in counts] == list(range(len(counts)))
    assert int(counts[0].since.timestamp()) % int(step.total_seconds()) == 0
    assert counts[0].since.microsecond == 0


def test_an_edge_belongs_to_the_part_that_it_begins() -> None:
    at = datetime(2026, 6, 1, 12, tzinfo=UTC)
    last = FleetDesk(records=Records()).over_time(READER, span="day", at=at)[-1]
    assert (last.since, last.until) == (at, at + timedelta(hours=1))


@pytest.mark.parametrize(("lines", "pages"), [(0, 1), (PAGE, 1), (PAGE + 1, 2), (3 * PAGE, 3)])
def test_another_page_is_promised_where_there_is_one(lines: int, pages: int) -> None:
    desk = FleetDesk(records=Records(lines=lines))
    seen: list[Any] = []
    for number in range(1, pages + 1):
        found, page = desk.devices(READER, Filter(), page=number, at=AT)
        seen += found
        assert (page.number, page.has_next) == (number, number < pages)
    assert seen == list(range(lines))


@pytest.mark.negative
def test_a_device_that_the_reader_may_not_see_is_not_there() -> None:
    desk = FleetDesk(records=Records())
    with pytest.raises(RefusalError) as caught:
        desk.validations("00" * 32, reader=READER, page=1, at=AT)
    assert caught.value.code is RefusalCode.NOT_FOUND
    with pytest.raises(RefusalError) as caught:
        desk.supplied_device("00" * 32, reader=Reader(role="es", tenant="Acme"))
    assert caught.value.code is RefusalCode.NOT_FOUND
    assert desk.standing(Reader(role="es", tenant="Acme"), at=AT) == {}


@pytest.mark.negative
@pytest.mark.parametrize("octets", [b"", b"good", b"\x30\x03\x0a\x01\x06", b"\xff" * 40])
def test_what_cannot_be_read_is_not_told(octets: bytes) -> None:
    assert seen_status(octets) is None
    assert seen_credential(octets) is None
