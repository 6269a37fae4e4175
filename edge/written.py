"""Waiting until a store is written: who follows it asks once, and is answered when there may be something new.

The one rule: being woken says nothing; what there is, is read from the store. What another process writes wakes nobody here,
so nobody waits long.
"""

import threading


class Written:
    """Counts what this process has written, and wakes those who wait for more; used by many threads."""

    def __init__(self, *, waiting_max: int) -> None:
        """No more than `waiting_max` wait at a time: whoever waits holds a worker."""
        self._changed = threading.Condition()
        self._waiting_max = waiting_max
        self._count = self._waiting = 0

    @property
    def count(self) -> int:
        """How often something was written; to be noted before the store is read."""
        with self._changed:
            return self._count

    def note(self) -> None:
        """Something was written, and is committed."""
        with self._changed:
            self._count += 1
            self._changed.notify_all()

    def wait(self, count: int, *, timeout_s: float) -> None:
        """Until something was written after that count, or the time is over; not at all where enough others wait."""
        with self._changed:
            if self._waiting >= self._waiting_max:
                return
            self._waiting += 1
            try:
                self._changed.wait_for(lambda: self._count != count, timeout=timeout_s)
            finally:
                self._waiting -= 1
