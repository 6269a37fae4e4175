"""How the lab tells what happens: a line a message while it runs, a table of the stories at the end.

Rule: what is printed is what was measured or answered; a story's outcome is compared with the expected one
here, in one place, and a difference makes the whole run fail.
"""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

from rich.console import Console
from rich.table import Table


@dataclass(slots=True, kw_only=True)
class Line:
    """One message between two parties; `outcome` is filled in by whoever receives the answer."""

    step: str
    sender: str
    receiver: str
    message: str
    outcome: str = "ok"


@dataclass(frozen=True, slots=True, kw_only=True)
class Story:
    """One hostile (or good) story: what must happen, what did, and what the refused party is told."""

    name: str
    told: str
    expected: str
    happened: str
    subject: str = ""
    reason: str = ""
    remedy: str = ""
    expected_value: str = ""
    measured_value: str = ""
    event: str = ""

    @property
    def as_expected(self) -> bool:
        """Whether it ended as it must."""
        return self.expected == self.happened


@dataclass(slots=True)
class Narrator:
    """Prints lines as they happen and keeps the stories for the table."""

    console: Console
    stories: list[Story] = field(default_factory=list)

    def heading(self, text: str) -> None:
        """Print a heading."""
        self.console.print(f"\n[bold]{text}[/bold]", highlight=False)

    def remark(self, text: str) -> None:
        """Print a sentence for the reader."""
        self.console.print(text, highlight=False, soft_wrap=True)

    @contextmanager
    def line(self, step: str, sender: str, receiver: str, message: str) -> Iterator[Line]:
        """Time one exchange and print its line, also when it raises."""
        line = Line(step=step, sender=sender, receiver=receiver, message=message)
        start = time.perf_counter()
        try:
            yield line
        except BaseException as error:
            line.outcome = f"FAILED ({type(error).__name__})"
            raise
        finally:
            self.told(line, elapsed_ms=(time.perf_counter() - start) * 1000)

    def told(self, line: Line, *, elapsed_ms: float) -> None:
        """Print the line of an exchange that somebody else timed."""
        arrow = f"{line.sender} -> {line.receiver}"
        self.console.print(
            f"{line.step:>5}  {arrow:<28} {line.message:<52} {line.outcome:<34} {elapsed_ms:7.0f} ms",
            highlight=False,
            markup=False,
            soft_wrap=True,
        )

    def tell(self, story: Story) -> None:
        """Keep a story for the table, and say at once what the refused party would read."""
        self.stories.append(story)
        for label, text in _explained(story):
            if text:
                self.console.print(
                    f"         {label + ':':<9} {text}", highlight=False, markup=False, soft_wrap=True
                )

    def table(self) -> None:
        """Print the table of the stories."""
        table = Table(title="How the stories ended", title_justify="left", show_lines=False)
        for column in ("story", "expected", "happened", "as it must"):
            table.add_column(column, overflow="fold")
        for story in self.stories:
            verdict = "yes" if story.as_expected else "NO"
            table.add_row(f"{story.name} {story.told}", story.expected, story.happened, verdict)
        self.console.print(table)

    @property
    def all_as_expected(self) -> bool:
        """Whether every story ended as it must (and at least one was told)."""
        return bool(self.stories) and all(story.as_expected for story in self.stories)


def _explained(story: Story) -> tuple[tuple[str, str], ...]:
    return (
        ("subject", story.subject),
        ("event", story.event),
        ("expected", story.expected_value),
        ("measured", story.measured_value),
        ("reason", story.reason),
        ("remedy", story.remedy),
    )
