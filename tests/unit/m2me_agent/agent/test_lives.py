"""What the agent carries between owners and their TRE: word for word, until an owner wants nothing more."""

from collections.abc import Mapping
from typing import Any

import pytest

from m2me_agent.agent.errors import NotReachedError, RefusedError
from m2me_agent.agent.lives import STEPS_MAX, Followed, Following, NextStep, go_on
from m2me_agent.agent.lives import follow_all as carry
from m2me_agent.agent.ports import Device, Pace, Patience
from m2me_agent.tre_protocol import Operation, Refusal

DEVICE = Device(device_id="ab" * 32, ak_public=b"ak", pfc_chain=(b"pfc",), pcid="1", identity="0")


class Script:
    """TRE and DPF in one: each owner has a list of steps; writes down what came."""

    def __init__(self, owners: Mapping[str, list[str]], *, cuts: int = 0, busy: int = 0) -> None:
        self.owners = owners
        self.cuts = cuts
        self.busy = busy
        self.outcome = "installed"
        self.said: list[Any] = []

    def ask(self, operation: Operation, parameters: Mapping[str, Any] | None = None) -> Mapping[str, Any]:
        if operation is Operation.MIDS:
            return {"mids": [{"owner": each, "order_digest": each.encode()} for each in self.owners]}
        self.said.append((operation.value, *(parameters or {}).values()))
        if operation is Operation.INSTRUCT:
            return {"mid_id": "mid-1", "state": "BLOCKED"}
        if self.busy:
            self.busy -= 1
            raise refused("rate-limited")
        return {"statement": operation.value.encode()}

    def update(self, order: str) -> str:
        self.said.append(("update", order))
        return self.outcome

    def mid_step(self, device: Device, *, order_digest: bytes, statement: bytes | None) -> NextStep:
        assert device == DEVICE
        if self.cuts:
            self.cuts -= 1
            raise NotReachedError(Refusal(code="unreachable", subject="DPF", reason="cut", remedy="wait"))
        self.said.append(("dpf", order_digest, statement))
        step = self.owners[order_digest.decode()].pop(0)
        if step == "no":
            raise refused("step-refused")
        return NextStep(step=step, token=None if step == "done" else f"token to {step}")


def refused(code: str) -> RefusedError:
    return RefusedError(Refusal(code=code, subject="s", reason="r", remedy="m"))


def untold(step: int, event: str, **details: str | int) -> None:
    """Nobody listens."""
    del step, event, details


def follow_all(script: Script) -> tuple[Followed, ...]:
    pace = Pace(patience=Patience(total_s=1), sleep=lambda _seconds: None, tell=untold)
    parties = Following(tre=script, dpf=script, device=DEVICE, pace=pace, update=script.update)
    return carry(parties)


@pytest.mark.requirement("R57")
def test_question_report_instruction_and_report_again() -> None:
    script = Script({"sho-1": ["report", "instruct", "report", "done"]})
    (followed,) = follow_all(script)
    assert (followed.outcome, followed.steps) == ("done", ("report", "instruct", "report"))
    assert script.said == [
        ("dpf", b"sho-1", None),
        ("report", "token to report"),
        ("dpf", b"sho-1", b"report"),
        ("instruct", "token to instruct"),
        ("dpf", b"sho-1", None),
        ("report", "token to report"),
        ("dpf", b"sho-1", b"report"),
    ]


@pytest.mark.requirement("R59")
def test_a_proof_goes_to_the_owner_as_the_tre_signed_it() -> None:
    script = Script({"sho-1": ["report", "erase", "done"]}, cuts=2, busy=1)
    (followed,) = follow_all(script)
    assert followed.outcome == "done"
    assert script.said[-1] == ("dpf", b"sho-1", b"erase")


@pytest.mark.negative
def test_an_owner_that_refuses_keeps_no_other_from_its_mid() -> None:
    script = Script({"sho-1": ["report", "no"], "sho-2": ["fly"], "sho-3": ["done"]})
    outcomes = [each.outcome for each in follow_all(script)]
    assert outcomes == ["step-refused", "answer", "done"]


@pytest.mark.negative
def test_a_conversation_without_end_ends() -> None:
    script = Script({"sho-1": ["report"] * (STEPS_MAX + 1)})
    (followed,) = follow_all(script)
    assert followed.outcome == "not done"


@pytest.mark.negative
def test_where_nobody_is_reached_the_agent_says_so() -> None:
    script = Script({"sho-1": []}, cuts=9)
    with pytest.raises(NotReachedError):
        follow_all(script)


@pytest.mark.requirement("R46", "R57")
def test_an_update_is_carried_to_its_receipt_and_ends_the_conversation() -> None:
    script = Script({"sho-1": ["report", "instruct", "report", "update"], "sho-2": ["update"]})
    followed = follow_all(script)
    assert [(each.outcome, each.steps[-1]) for each in followed] == [("done", "update"), ("done", "update")]
    assert script.said[-3:] == [
        ("update", "token to update"),
        ("dpf", b"sho-2", None),
        ("update", "token to update"),
    ]


@pytest.mark.requirement("R46")
@pytest.mark.negative
def test_an_update_that_the_tre_refused_is_told() -> None:
    script = Script({"sho-1": ["update"]})
    script.outcome = "rollback"
    (followed,) = follow_all(script)
    assert followed.outcome == "rollback"


@pytest.mark.requirement("R57")
def test_what_an_owner_orders_comes_by_itself_to_a_device_that_goes_on_asking() -> None:
    script = Script({"sho-1": ["done", "update", "done"]})
    followed: list[str] = []
    told: list[str] = []
    slept: list[float] = []

    def once() -> None:
        if len(slept) == 1:
            raise NotReachedError(Refusal(code="unreachable", subject="VNO", reason="cut", remedy="wait"))
        followed.extend(step for each in follow_all(script) for step in each.steps)

    def sleep(seconds: float) -> None:
        slept.append(seconds)
        if len(slept) == 4:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        go_on(once, every_s=30.0, sleep=sleep, tell=lambda refusal: told.append(refusal.code))
    assert (followed, told, slept) == (["update"], ["unreachable"], [30.0] * 4)
