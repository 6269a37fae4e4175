"""Repeats a transaction that lost against a concurrent one on PostgreSQL (SERIALIZABLE).

Rule: only a whole transaction is repeated, only after a serialization failure or a deadlock, a few times; every
decision inside it is then made anew. SQLite writers wait for each other and never come here.
"""

from collections.abc import Callable
from functools import wraps
from typing import ParamSpec, TypeVar

from sqlalchemy.exc import OperationalError

TRIES = 5
_LOST = frozenset({"40001", "40P01"})
"""SQLSTATE: serialization_failure, deadlock_detected."""

_P = ParamSpec("_P")
_T = TypeVar("_T")


def repeated(transaction: Callable[_P, _T]) -> Callable[_P, _T]:
    """Run a function that is one transaction again, up to `TRIES` times, while it loses."""

    @wraps(transaction)
    def run(*args: _P.args, **kwargs: _P.kwargs) -> _T:
        for _ in range(TRIES - 1):
            try:
                return transaction(*args, **kwargs)
            except OperationalError as error:
                if getattr(error.orig, "sqlstate", None) not in _LOST:
                    raise
        return transaction(*args, **kwargs)

    return run
