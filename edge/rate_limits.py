"""How many requests one caller may make: a token bucket each, and 429 with Retry-After when it is empty.

Rule: a limit keeps one caller from taking what is for all; it is no defence against many. Buckets are in memory and of one
process. A refusal by rate is on nobody's record, or a flood of them would cost the storage that it is to spare.
"""

import math
import threading
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass
from ipaddress import ip_address, ip_network
from typing import Final

from flask import Flask, request

from edge.problem_document import Problem, ProblemError
from edge.process import logger, monotonic_ms

RATE_EXCEEDED: Final = "rate-exceeded"
"""Problem type of a request that came too soon."""
CALLERS_MAX: Final = 10_000
_V6_PREFIX: Final = 64
_LOGGED_ONE_IN: Final = 100

Milliseconds = Callable[[], float]


@dataclass(frozen=True, slots=True, kw_only=True)
class Rate:
    """`per_s` requests a second in the long run, and `burst` at once."""

    per_s: float
    burst: int


@dataclass(slots=True)
class _Bucket:
    tokens: float
    at_ms: float


class RateLimit:
    """A bucket for each caller; those who were quiet longest are forgotten, and a full bucket is what they had."""

    def __init__(self, rate: Rate, *, milliseconds: Milliseconds = monotonic_ms) -> None:
        """Full buckets for everybody; `milliseconds` is a clock that never goes back."""
        self._rate = rate
        self._milliseconds = milliseconds
        self._lock = threading.Lock()
        self._buckets: OrderedDict[str, _Bucket] = OrderedDict()
        self._refused = 0

    def spend(self, caller: str) -> None:
        """Take one token of `caller`. Raises ProblemError (429) that says how long to wait."""
        wait_s = self._take(caller)
        if wait_s is None:
            return
        self._refused += 1
        if self._refused % _LOGGED_ONE_IN == 1:
            logger("http").warning("rate-exceeded", total=self._refused)
        raise ProblemError(_exceeded(self._rate), retry_after_s=wait_s)

    def _take(self, caller: str) -> int | None:
        now = self._milliseconds()
        with self._lock:
            bucket = self._buckets.pop(caller, None) or _Bucket(self._rate.burst, now)
            grown = bucket.tokens + (now - bucket.at_ms) / 1000 * self._rate.per_s
            bucket.tokens, bucket.at_ms = min(grown, self._rate.burst), now
            self._buckets[caller] = bucket
            while len(self._buckets) > CALLERS_MAX:
                self._buckets.popitem(last=False)
            if bucket.tokens >= 1:
                bucket.tokens -= 1
                return None
            return max(1, math.ceil((1 - bucket.tokens) / self._rate.per_s))


def limit_addresses(app: Flask, rate: Rate, *, milliseconds: Milliseconds = monotonic_ms) -> None:
    """Limit what each address may send to `app`; reading is free. An IPv6 caller is known by his /64."""
    limit = RateLimit(rate, milliseconds=milliseconds)

    def check() -> None:
        if request.method == "POST":
            limit.spend(_network_of(request.remote_addr or ""))

    app.before_request(check)


def _network_of(text: str) -> str:
    try:
        address = ip_address(text)
    except ValueError:
        return text
    if address.version == 4:  # noqa: PLR2004  # the version's number is its name
        return text
    return str(ip_network((address, _V6_PREFIX), strict=False))


def _exceeded(rate: Rate) -> Problem:
    return Problem(
        status=429,
        type=RATE_EXCEEDED,
        title="Too Many Requests",
        detail=f"a caller may make {rate.per_s:g} requests a second, {rate.burst} at once",
        subject="caller",
        reason=RATE_EXCEEDED,
        remedy="wait as Retry-After says, then send the same request again",
    )
