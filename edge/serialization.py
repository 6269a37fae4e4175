"""Repeats a transaction that lost against a concurrent one on PostgreSQL (SERIALIZABLE).

Rule: only a whole transaction is repeated, only after a serialization failure or a deadlock; every decision inside
it is then made anew. Of those that conflict one always wins, so with a growing pause each gets its turn well within
`TRIES`, which exceeds the threads that write. SQLite writers wait for each other and never come here.
"""

import time
from collections.abc import Callable
from functools import wraps
from typing import ParamSpec, TypeVar

from sqlalchemy.exc import OperationalError

TRIES = 24
PAUSE_S = 0.004
"""Pause after the first loss; after the n-th it is n times as long."""
_LOST = frozenset({"40001", "40P01"})
"""SQLSTATE: serialization_failure, deadlock_detected."""

_P = ParamSpec("_P")
_T = TypeVar("_T")


def repeated(transaction: Callable[_P, _T]) -> Callable[_P, _T]:
    """Run a function that is one transaction again, up to `TRIES` times, while it loses."""

    @wraps(transaction)
    def run(*args: _P.args, **kwargs: _P.kwargs) -> _T:
        for loss in range(1, TRIES):
            try:
                return transaction(*args, **kwargs)
            except OperationalError as error:
                if getattr(error.orig, "sqlstate", None) not in _LOST:
                    raise
            time.sleep(PAUSE_S * loss)
        return transaction(*args, **kwargs)

    return run
