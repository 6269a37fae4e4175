"""What the TRE says, on its way to the network: altered, mixed, kept and told again; the real services judge it.

Rule: for each try a genuine answer is had from the TRE, for a genuine question of the service; what is then handed in differs in
one respect. A service that takes it has believed the agent: a violation.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from lab.hostile_agent.alterations import Alteration, altered, spliced
from lab.hostile_agent.hands import AS_IT_IS, Judge
from lab.hostile_agent.messages import Direction, Kind, MessageType
from lab.hostile_agent.tally import Tally
from lab.hostile_agent.watch import Watch
from m2me_agent.tre_protocol import Operation

Said = Mapping[str, Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class Exchange:
    """A genuine answer of the TRE, and how it is handed in: the code of the refusal, or empty where it was taken.

    `means` is what counts in it: what is altered elsewhere says nothing new.
    """

    said: Said
    submit: Judge
    means: Callable[[Said], object] = lambda said: said


@dataclass(slots=True, kw_only=True)
class Outward:
    """The attacks on one type of answer.

    `fresh` makes a genuine exchange, good for one try. `names_its_question` tells of an answer that says itself which
    question it answers; any other is handed in to an open question, and must not answer another one. `foreign` are genuine
    answers of before, or of another device.
    """

    operation: Operation
    fresh: Callable[[], Exchange]
    tally: Tally
    watch: Watch
    names_its_question: bool = False
    foreign: list[Said] = field(default_factory=list)

    def play(self) -> None:
        """All kinds; in between, a genuine answer is taken."""
        sample = self.fresh().said
        self.watch.look_again()
        for alteration in altered(sample, grows=False):
            self._try(Kind.ALTER, self.fresh(), alteration)
        for other in [sample, *self.foreign]:
            for alteration in spliced(self.fresh().said, other):
                self._try(Kind.SPLICE, self.fresh(), alteration)
        if (self._cell(Kind.SPLICE)) not in self.tally.endings:
            self.tally.count(self._cell(Kind.SPLICE), "no part of another differs")
        self._out_of_order()

    def _out_of_order(self) -> None:
        """One question is never answered or late, one is answered with the answer to another, one as it must be."""
        first, second = self.fresh(), self.fresh()
        self.tally.count(self._cell(Kind.DROP), "nothing happened")
        if self.names_its_question:
            taken = second
            self._genuine(taken, Kind.REORDER)
        else:
            other = self.foreign[0] if self.foreign else first.said
            self._try(Kind.REORDER, second, AS_IT_IS, said=other)
            taken = self.fresh()
            self._genuine(taken, Kind.DROP)
        self._try(Kind.REPLAY, taken, AS_IT_IS)
        self._try(Kind.DELAY, first, AS_IT_IS)

    def _genuine(self, exchange: Exchange, kind: Kind) -> None:
        """What is not altered is taken: a denial ends with the attack."""
        code = exchange.submit(exchange.said)
        self.watch.look_again()
        if kind is Kind.REORDER:
            self.tally.count(self._cell(kind), "answers its own question")
        if code:
            self.tally.violated(self._cell(kind), f"the genuine one was refused: {code}")

    def _try(
        self, kind: Kind, exchange: Exchange, alteration: Alteration, *, said: Said | None = None
    ) -> None:
        handed = alteration.change(exchange.said if said is None else said)
        code = exchange.submit(handed)
        self.tally.count(self._cell(kind), f"refused: {code}" if code else "no effect")
        is_other = kind in (Kind.ALTER, Kind.SPLICE, Kind.REORDER)
        if not code and is_other and exchange.means(handed) != exchange.means(exchange.said):
            self.tally.violated(self._cell(kind), f"{alteration.what}: was taken")
        for fault in self.watch.faults(is_answered=not code):
            self.tally.violated(self._cell(kind), f"{alteration.what}: {fault}")
            self.watch.look_again()

    def _cell(self, kind: Kind) -> tuple[MessageType, Kind]:
        return MessageType(self.operation, Direction.OUTWARD), kind
