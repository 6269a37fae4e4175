"""How the failure of a call reads: whom to ask, what to do, and whether to try again."""

from collections.abc import Callable

import pytest

from edge.http_client import GatewayRefusedError, HttpError, UnreachableError
from edge.problem_document import Problem
from m2me_agent.agent.errors import AgentError, BearerEndedError, NotReachedError, RefusedError
from m2me_agent.agent.reports import reported

URL = "https://dpf.example/v1/deliveries"
PROBLEM = Problem(
    status=403,
    type="fresh-result-not-affirming",
    title="Forbidden",
    detail="the platform is not in its approved state",
    subject="device",
    reason="not-affirming",
    remedy="boot an approved image",
)

NOT_ATTACHED = Problem(
    status=401, type="not-attached", title="Unauthorized", detail="no attachment", reason="not-attached"
)


class OddAnswerError(Exception):
    """A client's error for an answer of another shape."""


def failing(error: Exception) -> Callable[[], str]:
    def call() -> str:
        raise error

    return call


def test_what_a_call_gives_is_passed_on() -> None:
    assert reported("DPF", lambda: "granted", answers=()) == "granted"


@pytest.mark.negative
@pytest.mark.parametrize(
    ("error", "kind", "code", "said"),
    [
        (UnreachableError(URL, reason="no route"), NotReachedError, "unreachable", "no route"),
        (
            HttpError(URL, status=403, problem=PROBLEM),
            RefusedError,
            "not-affirming",
            "boot an approved image",
        ),
        (HttpError(URL, status=404, problem=None), RefusedError, "http-404", "ask the operator of the DPF"),
        (HttpError(URL, status=429, problem=None), NotReachedError, "http-429", "answered 429"),
        (HttpError(URL, status=502, problem=None), NotReachedError, "http-502", "answered 502"),
        (HttpError(URL, status=503, problem=PROBLEM), NotReachedError, "not-affirming", "approved state"),
        (HttpError(URL, status=500, problem=None), RefusedError, "http-500", "answered 500"),
        (HttpError(URL, status=410, problem=PROBLEM), RefusedError, "not-affirming", "approved state"),
        (OddAnswerError("no token"), RefusedError, "answer", "no token"),
        (
            GatewayRefusedError(URL, status=407, reason="no bearer"),
            BearerEndedError,
            "bearer-ended",
            "no bearer",
        ),
        (
            GatewayRefusedError(URL, status=410, reason="quota"),
            BearerEndedError,
            "bearer-ended",
            "attach anew",
        ),
        (GatewayRefusedError(URL, status=502, reason="silent"), NotReachedError, "gateway-refused", "silent"),
        (HttpError(URL, status=401, problem=NOT_ATTACHED), NotReachedError, "not-attached", "no attachment"),
        (GatewayRefusedError(URL, status=403, reason="no"), RefusedError, "gateway-refused", "destinations"),
    ],
)
def test_every_failure_is_a_report(error: Exception, kind: type[AgentError], code: str, said: str) -> None:
    with pytest.raises(AgentError, match=said) as caught:
        reported("DPF", failing(error), answers=(OddAnswerError,))
    assert type(caught.value) is kind
    assert caught.value.code == code
    refusal = caught.value.refusal
    assert all((refusal.subject, refusal.reason, refusal.remedy))


@pytest.mark.negative
def test_a_bug_is_no_report() -> None:
    with pytest.raises(OddAnswerError):
        reported("DPF", failing(OddAnswerError()), answers=())
