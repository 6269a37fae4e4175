"""What came of each attack, counted by message type and kind; what must not be is kept word for word.

Rule: every attack ends in exactly one of these: a refusal with a code, an answer that changes nothing, or a violation.
"""

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field

from rich.console import Console
from rich.table import Table

from lab.hostile_agent.messages import Cell, cells

WORDS_SHOWN, VIOLATIONS_SHOWN = 6, 40


@dataclass(slots=True)
class Tally:
    """Counts of endings, and the violations."""

    endings: dict[Cell, Counter[str]] = field(default_factory=dict)
    other: dict[str, Counter[str]] = field(default_factory=dict)
    violations: list[str] = field(default_factory=list)

    def count(self, cell: Cell | str, ending: str) -> None:
        """One attack ended so; a name stands for what is no message type, such as a flood."""
        counter = (
            self.other.setdefault(cell, Counter())
            if isinstance(cell, str)
            else self.endings.setdefault(cell, Counter())
        )
        counter[ending] += 1

    def violated(self, where: Cell | str, what: str) -> None:
        """An attack that ended otherwise than it must."""
        place = where if isinstance(where, str) else f"{where[0]}, {where[1]}"
        self.violations.append(f"{place}: {what}")

    @property
    def attacks(self) -> int:
        """How many were played."""
        return sum(sum(counter.values()) for counter in (*self.endings.values(), *self.other.values()))

    def missing(self) -> tuple[str, ...]:
        """Attacks that were due and were not played."""
        return tuple(
            f"{message}, {kind}: not played" for message, kind in sorted(cells() - set(self.endings))
        )

    def all_refused(self) -> bool:
        """Whether everything was played, and nothing ended otherwise than it must."""
        return bool(self.endings) and not self.violations and not self.missing()

    def print(self, console: Console) -> None:
        """Message type x attack -> how it ended."""
        table = Table(title="Message type x attack: how it ended", title_justify="left")
        for column in ("message", "attack", "tries", "how they ended"):
            table.add_column(column, overflow="fold", justify="right" if column == "tries" else "left")
        for (message, kind), counter in sorted(self.endings.items()):
            table.add_row(str(message), kind.value, str(sum(counter.values())), _words(counter))
        for name, counter in self.other.items():
            table.add_row(name, "", str(sum(counter.values())), _words(counter))
        console.print(table)
        wrong = (*self.violations, *self.missing())
        for each in wrong[:VIOLATIONS_SHOWN]:
            console.print(f"NOT AS IT MUST: {each}", markup=False, highlight=False, soft_wrap=True)
        console.print(
            f"{self.attacks} attacks on {len({message for message, _ in self.endings})} message types; "
            f"{len(wrong)} ended otherwise than they must",
            highlight=False,
        )


def _words(counter: Counter[str]) -> str:
    shown: Iterable[tuple[str, int]] = counter.most_common(WORDS_SHOWN)
    more = len(counter) - WORDS_SHOWN
    return ", ".join(f"{word} {count}" for word, count in shown) + (f", {more} other" if more > 0 else "")
