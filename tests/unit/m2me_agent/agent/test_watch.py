"""Continuous validation at the device: look, answer, go on whatever comes of it."""

from collections.abc import Mapping

import pytest

from m2me_agent.agent.errors import NotReachedError, RefusedError
from m2me_agent.agent.watch import PAUSE_MAX_S, watch
from m2me_agent.tre_protocol import Refusal
from tests.unit.m2me_agent.agent.test_use_cases import Script

NOBODY = RefusedError(Refusal(code="no-validation-pending", subject="device", reason="nobody", remedy="wait"))
BUSY = NotReachedError(Refusal(code="busy", subject="PVA", reason="busy", remedy="wait"))
SPENT = RefusedError(Refusal(code="rate-limit", subject="TRE", reason="spent", remedy="wait"))

pytestmark = pytest.mark.requirement("R24")


class EnoughError(Exception):
    """The test has seen enough."""


class Nights:
    """Pauses between looks, without the pauses inside an exchange; ends after as many as were asked for."""

    def __init__(self, count: int) -> None:
        self.left = count
        self.slept: list[float] = []

    def __call__(self, seconds: float) -> None:
        """Pass at once."""
        self.slept.append(seconds)
        self.left -= 1
        if self.left == 0:
            raise EnoughError


def watched(script: Script, *, looks: int) -> tuple[list[Mapping[str, str]], list[float]]:
    told: list[Mapping[str, str]] = []
    nights = Nights(looks)
    with pytest.raises(EnoughError):
        watch(script, script, pause_s=30.0, sleep=nights, tell=told.append)
    return told, nights.slept


def test_it_answers_whenever_somebody_asks() -> None:
    script = Script(challenge=[NOBODY, NOBODY])
    told, slept = watched(script, looks=4)
    assert [each["outcome"] for each in told] == ["affirming", "affirming"]
    assert slept == [30.0] * 4
    assert [name for name, _ in script.said].count("submit") == 2


@pytest.mark.negative
def test_what_goes_wrong_does_not_end_it_and_makes_it_slower() -> None:
    script = Script(attest=[SPENT, SPENT, SPENT], submit=[BUSY])
    told, slept = watched(script, looks=6)
    assert [each.get("code", each["outcome"]) for each in told] == [
        "rate-limit",
        "rate-limit",
        "rate-limit",
        "busy",
        "affirming",
        "affirming",
    ]
    assert slept == [60.0, 120.0, 240.0, 480.0, 30.0, 30.0]


@pytest.mark.negative
def test_the_pause_has_an_end() -> None:
    _, slept = watched(Script(attest=[SPENT] * 40), looks=40)
    assert max(slept) == PAUSE_MAX_S
