"""What the agent carries, in which order, and what it tries again."""

from collections.abc import Mapping, Sequence
from typing import Any

import pytest

from m2me_agent.agent.attestation import Verdict, attest
from m2me_agent.agent.enrollment import enroll
from m2me_agent.agent.errors import AgentError, NotReachedError, RefusedError
from m2me_agent.tre_protocol import Operation, Refusal

ABSENT = NotReachedError(Refusal(code="unreachable", subject="PVA", reason="no route", remedy="wait"))
NO = RefusedError(Refusal(code="no", subject="PVA", reason="no", remedy="ask"))


class Script:
    """TRE, CA and PVA in one: answers by name, after as many failures as a test wants; writes down what came."""

    def __init__(self, **failures: Sequence[AgentError]) -> None:
        self.failures = {name: list(errors) for name, errors in failures.items()}
        self.said: list[tuple[str, Any]] = []
        self.device_id = "ab" * 32

    def _hear(self, name: str, what: Any) -> None:
        self.said.append((name, what))
        if self.failures.get(name):
            raise self.failures[name].pop(0)

    def ask(self, operation: Operation, parameters: Mapping[str, Any] | None = None) -> Mapping[str, Any]:
        self._hear(operation.value, parameters)
        results: dict[Operation, Mapping[str, Any]] = {
            Operation.STATUS: {"status": {"device_id": self.device_id, "credential": {}}},
            Operation.BEGIN_ENROLLMENT: {"request": b"request"},
            Operation.ACTIVATE: {"activation": b"activation"},
            Operation.INSTALL_CREDENTIAL: {"credential": {"serial": "01"}},
            Operation.ATTEST: {"evidence": b"evidence"},
        }
        return results[operation]

    def begin_enrollment(self, request: bytes) -> bytes:
        self._hear("begin", request)
        return b"challenge"

    def activate(self, activation: bytes) -> bytes:
        self._hear("issue", activation)
        return b"result"

    def challenge(self, device_id: str) -> str:
        self._hear("challenge", device_id)
        return "token"

    def submit(self, evidence: bytes) -> Verdict:
        self._hear("submit", evidence)
        return Verdict(result_id="r1", status="affirming")


def no_wait(_: float) -> None:
    """Time flies."""


def test_enrolment_carries_each_message_to_the_next_party() -> None:
    script = Script()
    assert enroll(script, script, sleep=no_wait) == {"serial": "01"}
    assert script.said == [
        ("begin_enrollment", None),
        ("begin", b"request"),
        ("activate", {"challenge": b"challenge"}),
        ("issue", b"activation"),
        ("install_credential", {"result": b"result"}),
    ]


def test_attestation_carries_the_token_in_and_the_evidence_out() -> None:
    script = Script()
    assert attest(script, script, sleep=no_wait) == Verdict(result_id="r1", status="affirming")
    assert script.said == [
        ("status", None),
        ("challenge", "ab" * 32),
        ("attest", {"challenge_token": "token"}),
        ("submit", b"evidence"),
    ]


@pytest.mark.parametrize("step", ["begin", "issue", "challenge"])
def test_what_may_be_repeated_is_tried_three_times_with_growing_waits(step: str) -> None:
    waits: list[float] = []
    script = Script(**{step: [ABSENT, ABSENT]})
    if step == "challenge":
        attest(script, script, sleep=waits.append)
    else:
        enroll(script, script, sleep=waits.append)
    sent = [what for name, what in script.said if name == step]
    assert len(sent) == 3
    assert len(set(sent)) == 1
    assert waits == [0.5, 1.0]


@pytest.mark.negative
def test_evidence_is_handed_in_once_because_its_challenge_is_used_up() -> None:
    script = Script(submit=[ABSENT])
    with pytest.raises(NotReachedError):
        attest(script, script, sleep=no_wait)
    assert [name for name, _ in script.said].count("submit") == 1


@pytest.mark.negative
@pytest.mark.parametrize("step", ["begin", "issue", "activate", "install_credential"])
def test_a_refusal_ends_the_enrolment_at_once(step: str) -> None:
    script = Script(**{step: [NO]})
    with pytest.raises(RefusedError):
        enroll(script, script, sleep=no_wait)
    assert script.said[-1][0] == step
    assert [name for name, _ in script.said].count(step) == 1


@pytest.mark.negative
def test_a_service_that_stays_away_is_reported() -> None:
    script = Script(challenge=[ABSENT] * 3)
    with pytest.raises(NotReachedError):
        attest(script, script, sleep=no_wait)


@pytest.mark.negative
def test_a_device_without_keys_asks_nobody() -> None:
    script = Script()
    script.device_id = ""
    with pytest.raises(RefusedError, match="m2me enroll"):
        attest(script, script, sleep=no_wait)
    assert [name for name, _ in script.said] == ["status"]
