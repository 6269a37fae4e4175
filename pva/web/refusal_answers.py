"""Refusals as problem documents (RFC 9457), and where the nameless ones are counted.

Rule: the problem type is the refusal's stable code; a refusal that waiting can cure carries Retry-After. Refusals
of nobody in particular cost no storage: they are counted, and one line in a hundred is logged.
"""

import threading
from collections import Counter
from http import HTTPStatus

from flask import Flask, Response

from edge.problem_document import CONTENT_TYPE, Problem
from edge.problems import OnRefusal, register_problems
from edge.process import logger
from pva.refusals import RefusalError

LOGGED_ONE_IN = 100
_RETRY_AFTER_DEFAULT_S = 5


class AnonymousRefusals:
    """Counters of refusals that belong to no authenticated subject, by stable reason."""

    def __init__(self) -> None:
        """Start at zero."""
        self._lock = threading.Lock()
        self._counts: Counter[str] = Counter()

    def count(self, problem: Problem) -> None:
        """Count one refusal; log the first of its kind and every hundredth after it."""
        with self._lock:
            self._counts[problem.type] += 1
            total = self._counts[problem.type]
        if total % LOGGED_ONE_IN == 1:
            logger("refusals").warning("anonymous-refusal", problem=problem.type, total=total)

    def totals(self) -> dict[str, int]:
        """Counts so far, by problem type."""
        with self._lock:
            return dict(self._counts)


def register_refusals(app: Flask, *, on_refusal: OnRefusal) -> None:
    """Answer every exception of `app` with a problem document; refusals by their own table."""
    register_problems(app, {}, on_refusal=on_refusal)

    def refused(refusal: RefusalError) -> Response:
        problem = problem_of_refusal(refusal)
        on_refusal(problem)
        response = Response(problem.encode(), status=problem.status, content_type=CONTENT_TYPE)
        response.headers["Cache-Control"] = "no-store"
        if refusal.status in {HTTPStatus.SERVICE_UNAVAILABLE, HTTPStatus.TOO_MANY_REQUESTS}:
            response.headers["Retry-After"] = str(refusal.retry_after_s or _RETRY_AFTER_DEFAULT_S)
        return response

    app.register_error_handler(RefusalError, refused)


def problem_of_refusal(refusal: RefusalError) -> Problem:
    """The problem document of a refusal."""
    return Problem(
        status=int(refusal.status),
        type=refusal.code.value,
        title=refusal.status.phrase,
        detail=refusal.reason,
        subject=refusal.subject,
        reason=refusal.code.value,
        remedy=refusal.remedy,
    )
