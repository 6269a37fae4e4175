"""A list of any length from a service that gives it in pages: all pages, as one answer.

The one rule: a page that does not lead on ends the reading with an error, never with half a list that looks whole. An answer
without `next` is the last page; so is that of a service that knows no pages.
"""

from typing import Any, Final
from urllib.parse import urlencode

from edge.http_client import HttpClient, UnreachableError

PAGES_MAX: Final = 1_000


def every_page(http: HttpClient, path: str, member: str) -> Any:
    """The members of the first page's answer, `member` holding the rows of all pages.

    An answer of another shape is given as it is: whoever decodes it refuses it. Raises what `get_json` raises, and
    UnreachableError where pages do not come to an end.
    """
    answer = http.get_json(path)
    first = _rows(answer, member)
    if first is None:
        return answer
    rows, asked_after, page = list(first), {""}, answer
    while (after := page.get("next")) is not None:
        if not isinstance(after, str) or after in asked_after or len(asked_after) > PAGES_MAX:
            raise UnreachableError(http.base_url + path, reason="its pages do not come to an end")
        asked_after.add(after)
        page = http.get_json(f"{path}?{urlencode({'after': after})}")
        more = _rows(page, member)
        if more is None:
            return page
        rows += more
    return {**answer, member: rows}


def _rows(answer: Any, member: str) -> list[Any] | None:
    rows = answer.get(member) if isinstance(answer, dict) else None
    return rows if isinstance(rows, list) else None
