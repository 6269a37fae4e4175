"""Repeats a transaction that lost against a concurrent one on PostgreSQL (SERIALIZABLE).

Rule: only a whole transaction is repeated, only after a serialization failure or a deadlock; every decision inside
it is then made anew. Of those that conflict one always wins, so with a growing pause each gets its turn well within
`TRIES`, which exceeds the threads that write. SQLite writers wait for each other and never come here.
"""

import time
from collections.abc import Callable
from functools import wraps
from typing import ParamSpec, TypeVar

from sqlalchemy.exc import DBAPIError, OperationalError

TRIES = 24
PAUSE_S = 0.004
"""Pause after the first loss; after the n-th it is n times as long."""
_LOST = frozenset({"40001", "40P01"})
"""SQLSTATE: serialization_failure, deadlock_detected."""
_UNIQUE = "23505"

_P = ParamSpec("_P")
_T = TypeVar("_T")


def lost(error: Exception) -> bool:
    """Whether `error` is a conflict that another transaction won."""
    return isinstance(error, OperationalError) and getattr(error.orig, "sqlstate", None) in _LOST


def lost_behind(error: Exception) -> bool:
    """Whether a room's own `error` was raised from such a conflict, or from a key that another one took meanwhile.

    A key that was taken before the transaction began is no race: it is taken at the last try too.
    """
    return error.__cause__ is not None and lost_on_key(error.__cause__)


def lost_on_key(error: BaseException) -> bool:
    """Whether `error` is such a conflict, or a key that another transaction took meanwhile."""
    return isinstance(error, DBAPIError) and getattr(error.orig, "sqlstate", None) in _LOST | {_UNIQUE}


def repeated_while(is_lost: Callable[[Exception], bool]) -> Callable[[Callable[_P, _T]], Callable[_P, _T]]:
    """Decorator: run a function that is one transaction again, up to `TRIES` times, while `is_lost` says so."""

    def decorate(transaction: Callable[_P, _T]) -> Callable[_P, _T]:
        @wraps(transaction)
        def run(*args: _P.args, **kwargs: _P.kwargs) -> _T:
            for loss in range(1, TRIES):
                try:
                    return transaction(*args, **kwargs)
                except Exception as error:
                    if not is_lost(error):
                        raise
                time.sleep(PAUSE_S * loss)
            return transaction(*args, **kwargs)

        return run

    return decorate


def repeated(transaction: Callable[_P, _T]) -> Callable[_P, _T]:
    """Run a function that is one transaction again, up to `TRIES` times, while it loses."""
    return repeated_while(lost)(transaction)
