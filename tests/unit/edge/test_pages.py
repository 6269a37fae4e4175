"""Pages of a list: every row once, in order, whatever comes and goes between two pages; and no cursor but one's own."""

import base64
import json
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from edge.pages import PAGE, PAGE_MAX, Key, PageQuery, moment_of, octets_of, page_of, starts_behind
from edge.problem_document import ProblemError

START = datetime(2026, 6, 1, tzinfo=UTC)


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """A row of a list that is in order of a time and a digest."""

    at: datetime
    digest: bytes


def rows(*numbers: int) -> list[Row]:
    return [Row(at=START + timedelta(microseconds=number // 2), digest=bytes([number])) for number in numbers]


def key(row: Row) -> Key:
    return (row.at, row.digest)


def shown(row: Row) -> int:
    return row.digest[0]


def page(found: list[Row], query: PageQuery, *, newest_first: bool = False) -> tuple[list[int], str | None]:
    told = page_of("things", found, query, key=key, shown=shown, newest_first=newest_first)
    return told["things"], told.get("next")


def read(found: list[Row], *, limit: int, newest_first: bool = False) -> list[list[int]]:
    """All pages of a list."""
    pages, query = [], PageQuery(limit=limit)
    while True:
        told, after = page(found, query, newest_first=newest_first)
        pages.append(told)
        if after is None:
            return pages
        query = PageQuery(limit=limit, after=after)


def cursor(*parts: object) -> str:
    return base64.urlsafe_b64encode(json.dumps(parts).encode()).rstrip(b"=").decode()


@given(st.sets(st.integers(0, 255)), st.integers(1, 40))
def test_pages_hold_every_row_once_in_order(numbers: set[int], limit: int) -> None:
    for newest_first in (False, True):
        pages = read(rows(*numbers), limit=limit, newest_first=newest_first)
        assert [each for told in pages for each in told] == sorted(numbers, reverse=newest_first)
        assert all(len(told) == limit for told in pages[:-1])


def test_what_comes_and_goes_between_two_pages_moves_no_other_row() -> None:
    told, after = page(rows(10, 20, 30, 40, 50), PageQuery(limit=2))
    assert (told, after is None) == ([10, 20], False)
    later = rows(5, 10, 30, 35, 40, 50)  # 5 and 35 came, 20, which the page ended with, went
    assert page(later, PageQuery(limit=9, after=after or "")) == ([30, 35, 40, 50], None)


def test_a_full_last_page_has_no_next() -> None:
    assert page(rows(1, 2), PageQuery(limit=2)) == ([1, 2], None)
    assert page([], PageQuery()) == ([], None)


@pytest.mark.negative
@pytest.mark.parametrize(
    "given",
    [{"limit": "0"}, {"limit": str(PAGE_MAX + 1)}, {"limit": "-1"}, {"limit": "1.5"}, {"after": "a/b"}],
)
def test_a_page_is_bounded(given: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        PageQuery.model_validate(given)
    assert PageQuery().limit == PAGE


@pytest.mark.negative
@pytest.mark.parametrize(
    "after",
    [
        "AAAA",
        "A",
        cursor(),
        cursor("things"),
        cursor("others", START.isoformat(), "00"),
        cursor("things", 1.5),
        cursor("things", None),
        cursor("things", ["00"]),
        cursor("things", "a\x00b"),
        cursor("things", "\ud800"),
        cursor("things", 7, 7),
    ],
)
def test_a_cursor_of_nothing_or_of_another_list_is_refused(after: str) -> None:
    with pytest.raises(ProblemError) as caught:
        page(rows(1, 2, 3), PageQuery(after=after))
    assert (caught.value.problem.status, caught.value.problem.reason) == (400, "cursor")


def test_a_store_reads_the_parts_of_a_key_again() -> None:
    _, after = page(rows(7, 8), PageQuery(limit=1))
    behind = starts_behind("things", PageQuery(after=after or ""))
    assert behind is not None
    assert (moment_of("things", behind[0]), octets_of("things", behind[1])) == key(rows(7)[0])
    assert starts_behind("things", PageQuery()) is None


@pytest.mark.negative
@pytest.mark.parametrize("written", ["", "yesterday", "2026-06-01T00:00:00", 7])
def test_what_is_no_time_or_no_octets_is_refused(written: str | int) -> None:
    with pytest.raises(ProblemError):
        moment_of("things", written)
    with pytest.raises(ProblemError):
        octets_of("things", f"x{written}")
