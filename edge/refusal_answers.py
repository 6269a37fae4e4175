"""How an application answers a refusal of its room (`edge/refused.py`): a problem document, on record first."""

from flask import Flask, Response

from edge.database_faults import DatabaseUnavailableError
from edge.problem_document import CONTENT_TYPE
from edge.problems import OnRefusal, register_problems, unavailable
from edge.refused import RefusedError, problem_of_refusal
from edge.request_notes import request_notes

RETRY_AFTER_DEFAULT_S = 5


def register_refusals(app: Flask, *, on_refusal: OnRefusal) -> None:
    """Answer every exception of `app` with a problem document; a RefusedError by its own code."""
    register_problems(app, {}, on_refusal=on_refusal)

    def refused(refusal: RefusedError) -> Response:
        problem = problem_of_refusal(refusal)
        request_notes().problem = problem.type
        try:
            on_refusal(problem)
        except DatabaseUnavailableError as away:  # a refusal that cannot go on record is not given
            return unavailable(away)
        response = Response(problem.encode(), status=problem.status, content_type=CONTENT_TYPE)
        response.headers["Cache-Control"] = "no-store"
        if refusal.waiting_helps:
            response.headers["Retry-After"] = str(refusal.retry_after_s or RETRY_AFTER_DEFAULT_S)
        return response

    app.register_error_handler(RefusedError, refused)
