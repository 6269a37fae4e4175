"""What a prior operator's listener answers: a refusal is told to the subscriber, silence is tried again."""

from typing import cast

import pytest

from clients.sho import Release, ShoAnswerError, ShoOperatorClient
from edge.http_client import HttpError, UnreachableError
from edge.problem_document import Problem
from operators.sho.changes import PriorAnswer, ReleaseRefusedError
from operators.sho.refusals import PeerError
from operators.sho.upstream import PriorListeners

DENIED = Problem(
    type="release-denied",
    title="Forbidden",
    status=403,
    detail="its subscriber has denied it",
    subject="MID m",
    reason="release-denied",
    remedy="have it approved",
)


class Answering:
    """A prior operator that answers, or raises."""

    def __init__(self, answer: Release | Exception) -> None:
        self._answer = answer

    def release(self, *, device_id: str, mid_id: str) -> Release:
        """See `clients.sho.ShoOperatorClient`."""
        assert (device_id, mid_id) == ("d", "m")
        if isinstance(self._answer, Exception):
            raise self._answer
        return self._answer


def ask(answer: Release | Exception, operator: str = "sho-0") -> PriorAnswer:
    listeners = PriorListeners(clients={"sho-0": cast("ShoOperatorClient", Answering(answer))})
    return listeners.release(operator, device_id="d", mid_id="m")


def test_what_comes_is_handed_on_and_not_believed_here() -> None:
    told = Release(state="erased", release="r", instruction="i", proof=b"p")
    assert ask(told) == PriorAnswer(release="r", instruction="i", proof=b"p")


@pytest.mark.negative
def test_a_refusal_names_operator_subject_and_reason() -> None:
    with pytest.raises(ReleaseRefusedError, match="sho-0: MID m: its subscriber has denied it"):
        ask(HttpError("https://x", status=403, problem=DENIED))


@pytest.mark.negative
def test_an_operator_that_is_not_known_any_more_releases_nothing() -> None:
    with pytest.raises(ReleaseRefusedError, match="sho-9"):
        ask(Release(state="waiting", release=None, instruction=None, proof=None), operator="sho-9")


@pytest.mark.negative
@pytest.mark.parametrize(
    "error",
    [
        UnreachableError("https://x", reason="no route"),
        HttpError("https://x", status=503, problem=DENIED),
        HttpError("https://x", status=404, problem=None),
        ShoAnswerError("state", "a text", "a number"),
    ],
)
def test_silence_and_what_is_no_answer_are_tried_again(error: Exception) -> None:
    with pytest.raises(PeerError, match="operator sho-0"):
        ask(error)
