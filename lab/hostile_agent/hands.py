"""The agent's own code with its line to the TRE in hostile hands: each genuine message is attacked before it is delivered.

Rule: the moment before a genuine message is delivered is the best one for an attacker: the TRE waits for just that. What
was genuine once, of this device and of another, is kept and used again. Afterwards the genuine message is delivered, and must
still do what it was made for.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from lab.hostile_agent.alterations import Alteration, altered, forged, rewritten, spliced
from lab.hostile_agent.line import CLOSED, Answer, HostileLine
from lab.hostile_agent.messages import WITH_TOKENS, Direction, Kind, MessageType
from lab.hostile_agent.tally import Tally
from lab.hostile_agent.watch import Watch
from m2me_agent.agent.errors import NotReachedError, RefusedError
from m2me_agent.tre_protocol import AGENT_OPERATIONS, Operation, Refusal

Parameters = Mapping[str, Any]
Judge = Callable[[Mapping[str, Any]], str]
"""Hands the TRE's answer to the network: the code of the refusal, or empty if it was taken."""

ANSWERED_ALIKE = frozenset(
    {
        Operation.STATUS,
        Operation.MIDS,
        Operation.BEGIN_ENROLLMENT,
        Operation.ACTIVATE,
        Operation.INSTALL_CREDENTIAL,
        Operation.INSTALL_CONNECTIVITY,
        Operation.ACCEPT_ORDER,
    }
)
"""What may be answered though it was altered: it says nothing new, or somebody else refuses what it leads to."""
AS_IT_IS = Alteration(what="the whole", change=lambda message: message)
KEPT = 3
"""Genuine requests of one kind that are remembered."""
UNKNOWN_FAULTS = ("internal", CLOSED.code)
"""Refusals that say that the TRE met something that it does not know."""


@dataclass(slots=True, kw_only=True)
class Lost:
    """A message that does not arrive, however often it is sent: the request, or its answer."""

    operation: Operation
    is_answer: bool


@dataclass(slots=True, kw_only=True)
class Hands:
    """The TRE as the agent's code sees it.

    `pool` holds genuine requests by operation, of this device; `foreign` those of another. `judges` stand for the network.
    `told` are answers that the attacker makes up for the agent.
    """

    line: HostileLine
    watch: Watch
    tally: Tally
    judges: Mapping[Operation, Judge] = field(default_factory=dict)
    foreign: Mapping[Operation, list[Parameters]] = field(default_factory=dict)
    pool: dict[Operation, list[Parameters]] = field(default_factory=dict)
    told: dict[Operation, Mapping[str, Any]] = field(default_factory=dict)
    attacked: set[Operation] = field(default_factory=set)
    is_attacking: bool = False
    lost: Lost | None = None

    def ask(self, operation: Operation, parameters: Parameters | None = None) -> Mapping[str, Any]:
        """As `m2me_agent.agent.ports.Tre`. Raises RefusedError, and NotReachedError for what is lost."""
        given = dict(parameters or {})
        if self.is_attacking and operation not in self.attacked:
            self.attacked.add(operation)
            self.attack(operation, given)
        if self.lost is not None and self.lost.operation is operation:
            self._lose(operation, given)
        answer = self.deliver(operation, given)
        if self.is_attacking and operation not in self.judges:
            self.again(operation, given, kind=Kind.REPLAY)
            for alteration in rewritten(given):
                self._try(operation, Kind.REPLAY, alteration, given)
        if isinstance(answer, Refusal):
            raise RefusedError(answer)
        return self.told.get(operation, answer)

    def deliver(self, operation: Operation, parameters: Parameters) -> Answer:
        """The genuine message, as it is."""
        answer = self.line.ask(operation, parameters)
        if not isinstance(answer, Refusal):
            kept = self.pool.setdefault(operation, [])
            kept[:] = [*kept[1 - KEPT :], parameters]
            if operation is Operation.INSTALL and self.watch.receipt(answer["statement"])[0] == "installed":
                self.watch.took(parameters["package"])
        self.watch.look_again()
        return answer

    def attack(self, operation: Operation, parameters: Parameters) -> None:
        """Everything that can be done with this message before it is delivered."""
        self._withhold(operation)
        for alteration in altered(parameters):
            self._try(operation, Kind.ALTER, alteration, parameters)
        others = [*self.pool.get(operation, ()), *self.foreign.get(operation, ())]
        self._splice(operation, parameters, others)
        if operation in WITH_TOKENS:
            for alteration in forged(parameters):
                self._try(operation, Kind.FORGE, alteration, parameters)
        self.out_of_order(operation)
        for fault in self.watch.answer_faults():
            self.tally.violated((MessageType(operation, Direction.INWARD), Kind.REORDER), fault)

    def again(self, operation: Operation, parameters: Parameters, *, kind: Kind) -> None:
        """A genuine message once more; what it is answered must lead to nothing new."""
        self._try(operation, kind, AS_IT_IS, parameters)

    def replay_judged(self) -> None:
        """Once more what the network judges, now that it has had its answer."""
        for operation in self.judges:
            for parameters in self.pool.get(operation, ()):
                self.again(operation, parameters, kind=Kind.REPLAY)

    def late(self) -> None:
        """Everything that was genuine once, much later."""
        for operation, messages in self.pool.items():
            for parameters in messages:
                self.again(operation, parameters, kind=Kind.DELAY)

    def _withhold(self, operation: Operation) -> None:
        """While it does not come, nothing happens."""
        cell = MessageType(operation, Direction.INWARD), Kind.DROP
        for fault in self.watch.faults(is_answered=True):
            self.tally.violated(cell, fault)
        self.tally.count(cell, "nothing happened")

    def _splice(self, operation: Operation, parameters: Parameters, others: list[Parameters]) -> None:
        cell = MessageType(operation, Direction.INWARD), Kind.SPLICE
        tried = False
        for other in others:
            for alteration in spliced(parameters, other):
                tried = True
                self._try(operation, Kind.SPLICE, alteration, parameters)
        for other in self.foreign.get(operation, ()):
            if other != parameters:
                tried = True
                self._try(operation, Kind.SPLICE, AS_IT_IS, other)
        if not tried and parameters:
            self.tally.count(cell, "no part of another differs")

    def out_of_order(self, due: Operation) -> None:
        """While one message is due, every other one that was genuine before."""
        for operation in sorted(AGENT_OPERATIONS):
            if operation is not due:
                for parameters in self.pool.get(operation, ())[-1:]:
                    self.again(operation, parameters, kind=Kind.REORDER)

    def _lose(self, operation: Operation, parameters: Parameters) -> None:
        """Drop the request, or deliver it and drop the answer."""
        is_answer = self.lost is not None and self.lost.is_answer
        direction = Direction.OUTWARD if is_answer else Direction.INWARD
        cell = MessageType(operation, direction), Kind.DROP
        if is_answer:
            self.deliver(operation, parameters)
        for fault in self.watch.faults(is_answered=True):
            self.tally.violated(cell, fault)
        self.tally.count(cell, "nothing happened" if not is_answer else "done once, asked again")
        raise NotReachedError(
            Refusal(code="lost", subject=operation, reason="was lost on the way", remedy="try again")
        )

    def _try(self, operation: Operation, kind: Kind, alteration: Alteration, parameters: Parameters) -> None:
        cell = MessageType(operation, Direction.INWARD), kind
        answer = self.line.ask(operation, alteration.change(parameters))
        ending, wrong = self._judged(operation, kind, answer)
        self.tally.count(cell, ending)
        faults = self.watch.faults(is_answered=not isinstance(answer, Refusal))
        for fault in [*([wrong] if wrong else []), *faults]:
            self.tally.violated(cell, f"{alteration.what}: {fault}")
        if faults:
            self.watch.look_again()  # each fault is told once

    def _judged(self, operation: Operation, kind: Kind, answer: Answer) -> tuple[str, str]:
        """How it ended, and what is wrong with that."""
        if isinstance(answer, Refusal):
            is_wrong = answer.code in UNKNOWN_FAULTS
            return f"refused: {answer.code}", f"refused as {answer.code}" if is_wrong else ""
        if operation is Operation.INSTALL:
            outcome, wrong = self.watch.receipt(answer["statement"])
            return f"receipt: {outcome}", wrong
        judge = self.judges.get(operation)
        if judge is not None and kind is not Kind.DROP:
            code = judge(answer)
            return f"answered; then refused: {code}", "" if code else "the network took the answer"
        if "auts" in answer:
            return "resynchronisation asked for", ""
        is_new = kind in (Kind.ALTER, Kind.SPLICE, Kind.FORGE) and operation not in ANSWERED_ALIKE
        return "no effect", "was answered" if is_new else ""
