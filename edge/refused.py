"""Refusals that a service makes by its own table of codes: one shape, and one place to count.

Rule: a room lists its codes once, each with a status and a remedy; whoever raises one adds whom it is about and what
was wrong, never a secret. What a refusal of an authenticated subject leaves on record is the room's to write;
refusals of nobody in particular cost no storage: they are counted, and one line in a hundred is logged.
"""

import threading
from collections import Counter
from dataclasses import dataclass
from http import HTTPStatus

from edge.problem_document import Problem
from edge.process import logger

LOGGED_ONE_IN = 100
_WAITING_HELPS = frozenset({HTTPStatus.SERVICE_UNAVAILABLE, HTTPStatus.TOO_MANY_REQUESTS})


@dataclass(frozen=True, slots=True, kw_only=True)
class RefusalRule:
    """What belongs to a code whatever the occasion: HTTP status and the next thing to do."""

    status: HTTPStatus
    remedy: str


class RefusedError(Exception):
    """A service refuses. Fields: code, subject, reason, remedy, status; `retry_after_s` where waiting helps.

    `reason` says what was wrong, what was expected and what came, never a secret.
    """

    def __init__(
        self, code: str, rule: RefusalRule, *, subject: str, reason: str, retry_after_s: int | None = None
    ) -> None:
        """Take status and remedy from the room's rule, so that one code always advises the same."""
        super().__init__(f"{code}: {subject}: {reason}")
        self.code = code
        self.subject = subject
        self.reason = reason
        self.remedy = rule.remedy
        self.status = rule.status
        self.retry_after_s = retry_after_s

    @property
    def waiting_helps(self) -> bool:
        """Whether nothing is wrong but the moment."""
        return self.status in _WAITING_HELPS


class AnonymousRefusals:
    """Counters of refusals that belong to no authenticated subject, by stable reason."""

    def __init__(self) -> None:
        """Start at zero."""
        self._lock = threading.Lock()
        self._counts: Counter[str] = Counter()

    def count(self, problem: Problem) -> None:
        """Count one refusal; log the first of its kind and every hundredth after it."""
        with self._lock:
            self._counts[problem.type] += 1
            total = self._counts[problem.type]
        if total % LOGGED_ONE_IN == 1:
            logger("refusals").warning("anonymous-refusal", problem=problem.type, total=total)

    def totals(self) -> dict[str, int]:
        """Counts so far, by problem type."""
        with self._lock:
            return dict(self._counts)


def problem_of_refusal(refusal: RefusedError) -> Problem:
    """The problem document of a refusal."""
    return Problem(
        status=int(refusal.status),
        type=refusal.code,
        title=refusal.status.phrase,
        detail=refusal.reason,
        subject=refusal.subject,
        reason=refusal.code,
        remedy=refusal.remedy,
    )
