"""Which refused requests a client sends again, when, and how often.

The one rule: only what a service itself puts off (429 and 503 with Retry-After, RFC 9110 section 10.2.3), only what makes
nothing twice (GET, and whatever carries an idempotency key), and never sooner than the service says. A service that wants
more time than the client has is not asked again: its refusal stands. What never came to an answer is not sent again here.
"""

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC
from email.utils import parsedate_to_datetime
from http import HTTPStatus
from typing import Final

from edge.process import Clock

IDEMPOTENCY_KEY: Final = "Idempotency-Key"
_PUT_OFF: Final = frozenset({HTTPStatus.TOO_MANY_REQUESTS, HTTPStatus.SERVICE_UNAVAILABLE})
_SECONDS: Final = re.compile(r"[0-9]{1,9}")


@dataclass(frozen=True, slots=True, kw_only=True)
class Repeating:
    """A request is sent at most `times_max` times more, and each wait is at most `wait_max_s`."""

    sleep: Callable[[float], None]
    clock: Clock
    times_max: int = 3
    wait_max_s: float = 10.0

    def wait_s(self, status: int, retry_after: str | None, *, repeated: int) -> float | None:
        """Seconds to wait before the request is sent once more, after `repeated` times; None: the refusal stands."""
        if status not in _PUT_OFF or retry_after is None or repeated >= self.times_max:
            return None
        wanted_s = self._wanted_s(retry_after.strip())
        return wanted_s if wanted_s is not None and wanted_s <= self.wait_max_s else None

    def _wanted_s(self, retry_after: str) -> float | None:
        """Seconds from now on: a number of them or a date; None for anything else."""
        if _SECONDS.fullmatch(retry_after):
            return float(retry_after)
        try:
            until = parsedate_to_datetime(retry_after)
        except ValueError:
            return None
        if until.tzinfo is None:  # "-0000": a time in UTC that says nothing of its place
            until = until.replace(tzinfo=UTC)
        return max(0.0, (until - self.clock()).total_seconds())


def makes_nothing_twice(method: str, headers: Mapping[str, str]) -> bool:
    """Whether a request may be sent again though the first may have been carried out."""
    return method == "GET" or any(name.lower() == IDEMPOTENCY_KEY.lower() for name in headers)


def named(key: str | None) -> dict[str, str]:
    """The header fields of a request that has an idempotency key, or none."""
    return {} if key is None else {IDEMPOTENCY_KEY: key}
