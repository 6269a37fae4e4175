"""Requests that a browser sends for a page of another origin: they must change nothing (CSRF).

Rule: a client certificate proves who is at the browser, and never that he wanted this request: the browser shows it
for every page that sends one. Browsers say where a request comes from (`Sec-Fetch-Site`, before that `Origin`), and no
page can make them say otherwise; programs say nothing. So what changes something is refused where it names another origin.
"""

from typing import Final
from urllib.parse import urlsplit

from flask import request

from edge.problem_document import Problem, ProblemError

OTHER_ORIGIN: Final = "request-of-another-origin"
"""Problem type for a request that a foreign page sent, or may have sent."""
SAFE_METHODS: Final = frozenset({"GET", "HEAD", "OPTIONS"})
_OURS: Final = frozenset({"same-origin", "none"})


def refuse_other_origins() -> None:
    """Let the present request pass where it changes nothing, or where no page of another origin sent it.

    One without a word about its origin passes: no browser sent it. Raises ProblemError (403).
    """
    if request.method not in SAFE_METHODS and comes_from_here() is False:
        raise ProblemError(other_origin("it was sent by a page of another origin"))


def comes_from_here() -> bool | None:
    """Whether the present request came from a page of this very origin; None where nothing is said of it."""
    site = request.headers.get("Sec-Fetch-Site")
    if site is not None:
        return site in _OURS
    origin = request.headers.get("Origin")
    if origin is None:
        return None
    parts = urlsplit(origin)
    return (parts.scheme, parts.netloc) == (request.scheme, request.host)


def other_origin(detail: str) -> Problem:
    """403 for a request that was not sent by a page from here."""
    return Problem(
        status=403,
        type=OTHER_ORIGIN,
        title="Forbidden",
        detail=detail,
        subject="request",
        reason=OTHER_ORIGIN,
        remedy="open the page at its own address and send the form from there",
    )
