"""What a command prints: JSON for programs, lines for people, tables where people look at a terminal.

Rule: the members are the same in every form. Text from elsewhere is shown without anything that a terminal would
act on; JSON carries it escaped. Nothing secret ever comes here.
"""

import json
import re
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, TextIO

from rich import box
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from cli.failures import Failure

Row = Mapping[str, Any]
_ID = re.compile(r"[0-9a-f]{32,64}")


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """What came of a command.

    `outcome` is one word; `members` hold texts, numbers, lists of them, or rows (mappings with the same keys);
    `pem` is printed for people as it is; `next_step` tells a person what to do now and is not in the JSON.
    `text` are lines for people, `data` is what stands for them in the JSON.
    """

    outcome: str
    members: Mapping[str, Any] = field(default_factory=dict)
    pem: Mapping[str, str] = field(default_factory=dict)
    text: str = ""
    data: Mapping[str, Any] = field(default_factory=dict)
    next_step: str = ""
    exit_code: int = 0


def print_answer(answer: Answer, *, output: str, stream: TextIO | None = None) -> None:
    """Print an answer as `output` says: "json" or "text"."""
    out = stream or sys.stdout
    if output == "json":
        _line(
            out,
            json.dumps(
                {"outcome": answer.outcome, **answer.members, **answer.data, **answer.pem}, ensure_ascii=True
            ),
        )
        return
    _line(out, answer.outcome)
    for name, value in answer.members.items():
        if _is_rows(value):
            if len(answer.members) > 1:
                _line(out, f"{_words(name)}:")
            _rows(out, value)
        elif value not in (None, [], ()):
            _line(out, f"{_words(name)}: {_shown(value)}")
    for line in answer.text.splitlines():
        _line(out, harmless(line))
    for text in answer.pem.values():
        out.write(text)
    if answer.next_step:
        _line(out, f"next: {answer.next_step}")


def print_failure(failure: Failure, *, output: str) -> None:
    """Print a failure: JSON to standard output as every answer, text to standard error."""
    parts = {name: getattr(failure, name) for name in ("code", "subject", "reason", "remedy")}
    if output == "json":
        outcome = "unreachable" if failure.code == "unreachable" else "refused"
        _line(sys.stdout, json.dumps({"outcome": outcome, "error": parts}, ensure_ascii=True))
        return
    _line(sys.stderr, f"{harmless(failure.subject)}: {harmless(failure.reason)} [{harmless(failure.code)}]")
    _line(sys.stderr, f"what to do: {harmless(failure.remedy)}")


def harmless(text: str) -> str:
    """The text with every character that a terminal would act on replaced by a mark."""
    return "".join(
        character if character.isprintable() else "\N{REPLACEMENT CHARACTER}" for character in text
    )


def _is_rows(value: Any) -> bool:
    return isinstance(value, list) and bool(value) and all(isinstance(each, Mapping) for each in value)


def _rows(out: TextIO, rows: Sequence[Row]) -> None:
    columns = list(rows[0])
    cells = [[_shown(row[column]) for column in columns] for row in rows]
    if not out.isatty():
        _line(out, "\t".join(columns))
        for row in cells:
            _line(out, "\t".join(row))
        return
    table = Table(box=box.SIMPLE_HEAD)
    for number, column in enumerate(columns):
        whole = any(_ID.fullmatch(row[number]) for row in cells)  # to be marked and pasted in one piece
        table.add_column(_words(column), overflow="fold", no_wrap=whole)
    for row in cells:
        table.add_row(*(escape(cell) for cell in row))
    Console(file=out).print(table)


def _shown(value: Any) -> str:
    if value is None:
        return "-"
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, list | tuple):
        return ", ".join(_shown(each) for each in value) or "-"
    return harmless(str(value))


def _words(name: str) -> str:
    return name.replace("_", " ")


def _line(out: TextIO, text: str) -> None:
    out.write(text + "\n")
