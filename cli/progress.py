"""A progress bar for people at a terminal, on standard error; it is no part of an answer."""

import sys
from collections.abc import Iterable, Iterator
from typing import TypeVar

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

T = TypeVar("T")


def watched(parts: Iterable[T], *, total: int, named: str) -> Iterator[T]:
    """The parts one after the other, with a bar of `total` that counts them by their name."""
    if not sys.stderr.isatty():
        yield from parts
        return
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(*columns, console=Console(stderr=True), transient=True) as progress:
        yield from progress.track(parts, total=total, description=named)
