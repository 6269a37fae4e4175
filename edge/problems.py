"""Refusals that a caller can act on: every exception of an application becomes a problem document.

The one rule: a room's `web.py` owns one table, exception -> (status, problem type); an exception that is
not in it is a 500 without detail and one log line, so that nothing internal leaves by accident. The room's
exceptions carry `subject`, `reason` and `remedy` as attributes; their sentence is the detail.
"""

from collections.abc import Callable, Mapping
from http import HTTPStatus

from flask import Flask, Response
from werkzeug.exceptions import HTTPException, MethodNotAllowed, NotFound

from edge.database_faults import RETRY_AFTER_S, DatabaseUnavailableError
from edge.problem_document import CONTENT_TYPE, TYPE_PREFIX, Problem, ProblemError
from edge.process import logger
from edge.request_notes import request_notes

__all__ = [
    "CONTENT_TYPE",
    "TYPE_PREFIX",
    "OnRefusal",
    "Problem",
    "ProblemError",
    "ProblemTable",
    "answered",
    "problem_of",
    "register_problems",
]

ProblemTable = Mapping[type[Exception], tuple[int, str]]
OnRefusal = Callable[[Problem], None]


def register_problems(app: Flask, table: ProblemTable, *, on_refusal: OnRefusal | None = None) -> None:
    """Answer every exception of `app` with a problem document.

    `table` maps the room's exceptions (subclasses included, nearest first) to (status, problem type).
    `on_refusal` is called with each 4xx problem, but for one by rate, before it is sent: the place for the audit record; the
    principal, if any, is `edge.principals.principal_or_none()`.
    """

    def answer(error: Exception) -> Response:
        if isinstance(error, DatabaseUnavailableError):
            return _unavailable(error)
        problem = problem_of(error, table)
        is_fault = problem.status >= HTTPStatus.INTERNAL_SERVER_ERROR and not isinstance(error, ProblemError)
        if is_fault:
            logger("http").error("unexpected", exc_info=error)
        headers = {}
        if isinstance(error, ProblemError) and error.retry_after_s is not None:
            headers["Retry-After"] = str(error.retry_after_s)
        if isinstance(error, MethodNotAllowed) and error.valid_methods:
            headers["Allow"] = ", ".join(sorted(error.valid_methods))
        recorder = None if is_fault or _only_waits(error) else on_refusal
        return answered(problem, headers, on_refusal=recorder)

    # a redirect would be an HTML page that repeats the caller's Host; another path is simply not there
    app.url_map.merge_slashes = False
    app.register_error_handler(Exception, answer)
    app.register_error_handler(HTTPException, answer)


def answered(
    problem: Problem, headers: Mapping[str, str], *, on_refusal: OnRefusal | None = None
) -> Response:
    """The answer that a problem is, with more headers, once `on_refusal` has it on record; 503 where it cannot be recorded."""
    request_notes().problem = problem.type
    if on_refusal is not None:
        try:
            on_refusal(problem)
        except DatabaseUnavailableError as away:  # a refusal that cannot go on record is not given
            return _unavailable(away)
    response = Response(problem.encode(), status=problem.status, content_type=CONTENT_TYPE)
    response.headers["Cache-Control"] = "no-store"
    response.headers.update(headers)
    return response


def _unavailable(error: DatabaseUnavailableError) -> Response:
    """503 with Retry-After: the store is away for a moment."""
    logger("http").warning("store-unavailable", cause=type(error.__cause__).__name__)
    problem = _from_attributes(error, HTTPStatus.SERVICE_UNAVAILABLE, error.reason)
    return answered(problem, {"Retry-After": str(RETRY_AFTER_S)})


def problem_of(error: Exception, table: ProblemTable) -> Problem:
    """Problem document of one exception; what the table does not name says nothing about the inside."""
    if isinstance(error, ProblemError):
        return error.problem
    for kind in type(error).__mro__:
        if kind in table:
            status, name = table[kind]
            return _from_attributes(error, status, name)
    if isinstance(error, HTTPException) and error.code is not None:
        return _from_http_exception(error, error.code)
    return Problem(status=500, type="internal", title="Internal Server Error", remedy="try again later")


def _only_waits(error: Exception) -> bool:
    """Whether a refusal says nothing about the request but that it came too soon: it goes on no record."""
    return isinstance(error, ProblemError) and error.problem.status == HTTPStatus.TOO_MANY_REQUESTS


def _from_attributes(error: Exception, status: int, name: str) -> Problem:
    return Problem(
        status=status,
        type=name,
        title=HTTPStatus(status).phrase,
        detail=str(error),
        subject=str(getattr(error, "subject", "")),
        reason=str(getattr(error, "reason", "") or name),
        remedy=str(getattr(error, "remedy", "")),
    )


def _from_http_exception(error: HTTPException, status: int) -> Problem:
    if isinstance(error, NotFound):
        return _from_status(
            status, "nothing is served at this path", remedy="check the path and the listener"
        )
    if isinstance(error, MethodNotAllowed) and error.valid_methods:
        allowed = ", ".join(sorted(error.valid_methods))
        return _from_status(status, f"this path takes {allowed}", remedy=f"use {allowed}")
    return _from_status(status, error.description or "")


def _from_status(status: int, detail: str, *, remedy: str = "") -> Problem:
    try:
        title = HTTPStatus(status).phrase
    except ValueError:
        title = "Error"
    name = title.lower().replace(" ", "-")
    return Problem(
        status=status, type=name, title=title, detail=detail, subject="request", reason=name, remedy=remedy
    )
