"""How an application answers a refusal of its room (`edge/refused.py`): a problem document, on record first."""

from flask import Flask, Response

from edge.problems import OnRefusal, answered, register_problems
from edge.refused import RefusedError, problem_of_refusal

RETRY_AFTER_DEFAULT_S = 5


def register_refusals(app: Flask, *, on_refusal: OnRefusal) -> None:
    """Answer every exception of `app` with a problem document; a RefusedError by its own code."""
    register_problems(app, {}, on_refusal=on_refusal)

    def refused(refusal: RefusedError) -> Response:
        headers = {}
        if refusal.waiting_helps:
            headers["Retry-After"] = str(refusal.retry_after_s or RETRY_AFTER_DEFAULT_S)
        return answered(problem_of_refusal(refusal), headers, on_refusal=on_refusal)

    app.register_error_handler(RefusedError, refused)
