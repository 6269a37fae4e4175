"""What owners want of MIDs that are installed: their words to the TRE, and the TRE's signed words back (R37, R56-R59).

Rule: the agent carries both and decides nothing. It can hold a word back, and nothing else: what it carries is signed by one
side for the other, and good once.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from m2me_agent.agent.errors import AgentError, RefusedError
from m2me_agent.agent.installation import INSTALLED
from m2me_agent.agent.ports import Device, Pace, Sleep, Tre, ask_for_signature, repeat
from m2me_agent.tre_protocol import Operation, Refusal

REPORT, INSTRUCT, ERASE, UPDATE, DONE = "report", "instruct", "erase", "update", "done"
STEPS_MAX = 8
"""Steps of one conversation with an owner: ask, report, instruct, report again, and room for what a cut has left."""


@dataclass(frozen=True, slots=True, kw_only=True)
class NextStep:
    """An owner's answer: what the TRE is to be asked, and the token for it."""

    step: str
    token: str | None


class OwnersDoor(Protocol):
    """The device part of a DPF, behind the bearer; raises AgentError."""

    def mid_step(self, device: Device, *, order_digest: bytes, statement: bytes | None) -> NextStep:
        """What the owner of an order's MID wants next; may be repeated."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Followed:
    """What came of one owner's words: its last step, or the code of the refusal that ended it."""

    sho: str
    order_digest: bytes
    outcome: str
    steps: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Following:
    """The parties; `update` carries the order of an update to its end, and gives the outcome of its receipt."""

    tre: Tre
    dpf: OwnersDoor
    device: Device
    pace: Pace
    update: Callable[[str], str]


def follow_all(parties: Following) -> tuple[Followed, ...]:
    """Ask every owner of a MID what it wants, and do it; an owner that refuses keeps no other from it.

    Raises AgentError: nobody was reached.
    """
    rows: Sequence[Any] = parties.tre.ask(Operation.MIDS)["mids"]
    return tuple(follow(parties, sho=row["owner"], order_digest=row["order_digest"]) for row in rows)


def follow(parties: Following, *, sho: str, order_digest: bytes) -> Followed:
    """One conversation: until its owner wants nothing more, or has brought another version of its MID."""
    dpf, device, pace = parties.dpf, parties.device, parties.pace
    steps: list[str] = []
    statement: bytes | None = None
    try:
        for _ in range(STEPS_MAX):
            said = statement
            answer = repeat(
                lambda said=said: dpf.mid_step(device, order_digest=order_digest, statement=said),  # type: ignore[misc]
                sleep=pace.sleep,
            )
            if answer.step == DONE:
                return Followed(sho=sho, order_digest=order_digest, outcome=DONE, steps=tuple(steps))
            if answer.step == UPDATE:
                outcome = parties.update(answer.token or "")
                done = DONE if outcome == INSTALLED else outcome
                return Followed(sho=sho, order_digest=order_digest, outcome=done, steps=(*steps, UPDATE))
            statement = _done(parties.tre, answer, pace=pace)
            steps.append(answer.step)
    except RefusedError as refused:
        return Followed(sho=sho, order_digest=order_digest, outcome=refused.code, steps=tuple(steps))
    return Followed(sho=sho, order_digest=order_digest, outcome="not done", steps=tuple(steps))


def go_on(
    once: Callable[[], object], *, every_s: float, sleep: Sleep, tell: Callable[[Refusal], None]
) -> None:
    """Follow again and again, so that what an owner orders comes by itself; ends with what `sleep` raises, and with nothing else."""
    while True:
        try:
            once()
        except AgentError as error:
            tell(error.refusal)
        sleep(every_s)


def _done(tre: Tre, answer: NextStep, *, pace: Pace) -> bytes | None:
    """What the TRE said, signed; None where the next question is to be asked anew."""
    token = answer.token or ""
    if answer.step == REPORT:
        return bytes(ask_for_signature(tre, Operation.REPORT, {"query": token}, pace=pace)["statement"])
    if answer.step == ERASE:
        return bytes(ask_for_signature(tre, Operation.ERASE, {"instruction": token}, pace=pace)["statement"])
    if answer.step == INSTRUCT:
        instructed = tre.ask(Operation.INSTRUCT, {"instruction": token})
        pace.tell(14, "instructed", mid_id=instructed["mid_id"], state=instructed["state"])
        return None
    raise RefusedError(
        Refusal(
            code="answer",
            subject="owner of the MID",
            reason="wants a step that this agent does not know",
            remedy="install a newer agent",
        )
    )
