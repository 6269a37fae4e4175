"""Refusals of use cases: raised with a stable code, answered as problem documents, put on record.

Rule: one code always has one status and one remedy, from the room's own table. A refusal of somebody known becomes an
audit leaf; one of nobody in particular costs no storage: it is counted, and one line in a hundred is logged.
"""

import threading
from collections import Counter
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from http import HTTPStatus

import sqlalchemy as sa
from flask import Flask, Response, request

from edge.database import transaction
from edge.ledger import SALT_BYTES, LedgerTable
from edge.principals import principal_or_none
from edge.problem_document import CONTENT_TYPE, Problem
from edge.problems import OnRefusal, register_problems
from edge.process import Clock, RandomBytes, logger

LOGGED_ONE_IN = 100
_RETRY_AFTER_DEFAULT_S = 5


@dataclass(frozen=True, slots=True, kw_only=True)
class RefusalRule:
    """What belongs to a code whatever the occasion: HTTP status and the next thing to do."""

    status: HTTPStatus
    remedy: str


class RefusedError(Exception):
    """A use case refuses. Fields: code, subject, reason, remedy, status; `retry_after_s` where waiting helps.

    `reason` says what was wrong, what was expected and what came, never a secret.
    """

    def __init__(
        self,
        code: StrEnum,
        *,
        rule: RefusalRule,
        subject: str,
        reason: str,
        retry_after_s: int | None = None,
    ) -> None:
        """Keep them; a room makes these by a function that knows its table."""
        super().__init__(f"{code}: {subject}: {reason}")
        self.code = code
        self.subject = subject
        self.reason = reason
        self.remedy = rule.remedy
        self.status = rule.status
        self.retry_after_s = retry_after_s

    def problem(self) -> Problem:
        """The problem document of this refusal."""
        return Problem(
            status=int(self.status),
            type=self.code.value,
            title=self.status.phrase,
            detail=self.reason,
            subject=self.subject,
            reason=self.code.value,
            remedy=self.remedy,
        )


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


class CallerRefusals:
    """Puts refusals of authenticated callers on record, and only counts those of others."""

    def __init__(
        self,
        engine: sa.Engine,
        ledger: LedgerTable,
        *,
        random_bytes: RandomBytes,
        clock: Clock,
        anonymous: AnonymousRefusals,
    ) -> None:
        """Append to `ledger` in the store behind `engine`."""
        self._engine = engine
        self._ledger = ledger
        self._random_bytes = random_bytes
        self._clock = clock
        self._anonymous = anonymous

    def record(self, problem: Problem) -> None:
        """Record one refusal of the present request."""
        caller = principal_or_none()
        if caller is None:
            self._anonymous.count(problem)
            return
        self.append(
            caller=f"{caller.role}:{caller.tenant}:{caller.name}",
            route=f"{request.method} {request.path}",
            problem=problem,
            at=self._clock(),
        )

    def append(self, *, caller: str, route: str, problem: Problem, at: datetime) -> None:
        """One audit leaf, in a transaction of its own: what was refused has changed nothing else."""
        with transaction(self._engine) as connection:
            self._ledger.append(
                connection,
                kind="request-refused",
                subject=caller[:200],
                record={
                    "route": route[:200],
                    "code": problem.reason or problem.type,
                    "detail": f"{problem.subject}: {problem.detail}"[:2000],
                },
                at=at,
                salt=self._random_bytes(SALT_BYTES),
            )


def register_refusals(app: Flask, *, on_refusal: OnRefusal) -> None:
    """Answer every exception of `app` with a problem document; refusals with their own status and code.

    A refusal that waiting can cure carries Retry-After.
    """
    register_problems(app, {}, on_refusal=on_refusal)

    def refused(refusal: RefusedError) -> Response:
        problem = refusal.problem()
        on_refusal(problem)
        response = Response(problem.encode(), status=problem.status, content_type=CONTENT_TYPE)
        response.headers["Cache-Control"] = "no-store"
        if refusal.status in {HTTPStatus.SERVICE_UNAVAILABLE, HTTPStatus.TOO_MANY_REQUESTS}:
            response.headers["Retry-After"] = str(refusal.retry_after_s or _RETRY_AFTER_DEFAULT_S)
        return response

    app.register_error_handler(RefusedError, refused)
