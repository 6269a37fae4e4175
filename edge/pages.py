"""Lists in pages: how many rows a caller gets at once, and where the next page begins (docs/adr/0054-pages-of-lists.md).

The one rule: a page begins behind a key, never after a count, so what is added or removed meanwhile neither repeats a row
nor leaves one out. A cursor is that key and the name of its list; it permits nothing, because each page is asked for with the
caller's own scope.
"""

import base64
import json
from collections.abc import Callable, Iterable, Sequence
from datetime import UTC, datetime
from typing import Annotated, Any, Final, TypeVar

import pydantic

from edge.operations import AnswerModel, QueryModel, WholeNumber
from edge.problem_document import Problem, ProblemError

PAGE: Final = 100
"""Rows of a page where the caller does not say."""
PAGE_MAX: Final = 500
_CURSOR_CHARACTERS_MAX: Final = 1_024

Key = tuple[str | int | bytes | datetime, ...]
"""What a list is in order of: unique in the list, and the same for as long as the row is there."""
_Written = tuple[str | int, ...]
RowT = TypeVar("RowT")

Cursor = Annotated[
    str,
    pydantic.StringConstraints(pattern=r"^[A-Za-z0-9_-]+$", max_length=_CURSOR_CHARACTERS_MAX),
]


class PageQuery(QueryModel):
    """Which page of a list."""

    limit: Annotated[WholeNumber, pydantic.Field(ge=1, le=PAGE_MAX, description="how many rows at most")] = (
        PAGE
    )
    after: Annotated[
        str,
        pydantic.StringConstraints(pattern=r"^[A-Za-z0-9_-]*$", max_length=_CURSOR_CHARACTERS_MAX),
        pydantic.Field(description="`next` of the page before; without it the list begins"),
    ] = ""


class PageAnswer(AnswerModel):
    """A page of a list."""

    next: Annotated[
        Cursor | None, pydantic.Field(description="`after` of the next page; not there on the last one")
    ] = None


def page_of(
    name: str,
    rows: Iterable[RowT],
    query: PageQuery,
    *,
    key: Callable[[RowT], Key],
    shown: Callable[[RowT], Any],
    newest_first: bool = False,
) -> dict[str, Any]:
    """The members of an answer: a page of `rows` in the order of `key`, each as `shown`, under the list's name.

    `rows` may be all of a list, or, from a store that was asked with `starts_behind`, those from there on, and one more
    than the page holds where there are more. Raises ProblemError (400) for a cursor that is none of this list.
    """
    behind = starts_behind(name, query)
    found = sorted(((_written(key(each)), each) for each in rows), key=_by_key, reverse=newest_first)
    try:
        rest = [
            each
            for each in found
            if behind is None or (each[0] < behind if newest_first else each[0] > behind)
        ]
    except TypeError:  # a number where this list has a text
        raise ProblemError(_unknown_cursor(name)) from None
    page = rest[: query.limit]
    told: dict[str, Any] = {name: [shown(row) for _, row in page]}
    if len(rest) > len(page):
        told["next"] = _cursor(name, page[-1][0])
    return told


def starts_behind(name: str, query: PageQuery) -> _Written | None:
    """The key of the row that the page comes after, None at the beginning. Raises ProblemError (400)."""
    if not query.after:
        return None
    try:
        decoded = json.loads(base64.urlsafe_b64decode(query.after + "=" * (-len(query.after) % 4)))
    except (ValueError, RecursionError):
        raise ProblemError(_unknown_cursor(name)) from None
    is_key = isinstance(decoded, list) and all(_can_be_in_a_key(each) for each in decoded)
    if not is_key or len(decoded) < 2 or decoded[0] != name:  # noqa: PLR2004  # the list's name, and its key
        raise ProblemError(_unknown_cursor(name))
    return tuple(decoded[1:])


def moment_of(name: str, written: str | int) -> datetime:
    """A time of a key, as `starts_behind` gives it. Raises ProblemError (400)."""
    try:
        moment = datetime.fromisoformat(str(written))
    except ValueError:
        raise ProblemError(_unknown_cursor(name)) from None
    if moment.utcoffset() is None:
        raise ProblemError(_unknown_cursor(name))
    return moment


def octets_of(name: str, written: str | int) -> bytes:
    """Octets of a key, as `starts_behind` gives it. Raises ProblemError (400)."""
    try:
        return bytes.fromhex(str(written))
    except ValueError:
        raise ProblemError(_unknown_cursor(name)) from None


def _can_be_in_a_key(part: object) -> bool:
    # what no row can have is not sent to a store, which may not even take it (NUL, half a character)
    return isinstance(part, int) or (isinstance(part, str) and part.isprintable())


def _by_key(pair: tuple[_Written, Any]) -> _Written:
    return pair[0]


def _written(key: Key) -> _Written:
    """A key as a cursor holds it: in the same order as its parts."""
    return tuple(_part(each) for each in key)


def _part(part: str | int | bytes | datetime) -> str | int:
    if isinstance(part, bytes):
        return part.hex()
    if isinstance(part, datetime):
        return part.astimezone(UTC).isoformat(timespec="microseconds")
    return part


def _cursor(name: str, key: Sequence[str | int]) -> str:
    written = json.dumps([name, *key], ensure_ascii=False, separators=(",", ":")).encode()
    return base64.urlsafe_b64encode(written).rstrip(b"=").decode("ascii")


def _unknown_cursor(name: str) -> Problem:
    return Problem(
        status=400,
        type="invalid-query",
        title="Bad Request",
        detail=f"after: no cursor of the list {name}",
        subject="query",
        reason="cursor",
        remedy="send `next` of the page before as it came, or leave `after` out to begin again",
    )
