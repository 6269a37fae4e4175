"""Work that a process repeats beside its listeners: follow a feed, issue a CRL, send what is due."""

import contextlib
import threading
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

from edge.process import logger

STOP_TIMEOUT_S = 10.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Periodic:
    """`work` is called at once and then `interval_s` seconds after each return.

    An exception is one log line and the next try; the work itself must be safe to repeat.
    """

    name: str
    interval_s: float
    work: Callable[[], None]


@contextlib.contextmanager
def run_periodically(tasks: Sequence[Periodic]) -> Iterator[None]:
    """Run each of `tasks` in a thread of its own while the block runs."""
    stop = threading.Event()
    threads = [
        threading.Thread(target=_repeat, args=(task, stop), name=f"periodic-{task.name}", daemon=True)
        for task in tasks
    ]
    for thread in threads:
        thread.start()
    try:
        yield
    finally:
        stop.set()
        for thread in threads:
            thread.join(STOP_TIMEOUT_S)


def _repeat(task: Periodic, stop: threading.Event) -> None:
    while not stop.is_set():
        try:
            task.work()
        except Exception as error:  # noqa: BLE001  # one bad round must not end the rounds
            logger("periodic").error("periodic-work-failed", task=task.name, exc_info=error)
        stop.wait(task.interval_s)
