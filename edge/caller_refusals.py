"""Refusals of authenticated callers on record: one audit leaf each, in a transaction of its own.

Rule: what was refused has changed nothing else, so its leaf stands alone; refusals of nobody in particular are only
counted.
"""

from collections.abc import Callable
from datetime import datetime
from typing import Protocol

import sqlalchemy as sa
from flask import request

from edge.database import transaction
from edge.ledger import LedgerTable
from edge.ledger_leaf import SALT_BYTES
from edge.principals import principal_or_none
from edge.problem_document import Problem
from edge.process import Clock, RandomBytes
from edge.refused import AnonymousRefusals
from edge.serialization import repeated


class CallerRecords(Protocol):
    """Takes the audit record of a refused caller that is known."""

    def record_caller_refusal(self, *, caller: str, route: str, code: str, detail: str, at: datetime) -> None:
        """Append an audit leaf."""


def recording(
    callers: CallerRecords, *, anonymous: AnonymousRefusals, clock: Clock
) -> Callable[[Problem], None]:
    """The `on_refusal` of an application: who is known goes on record, others are counted."""

    def on_refusal(problem: Problem) -> None:
        caller = principal_or_none()
        if caller is None:
            anonymous.count(problem)
            return
        callers.record_caller_refusal(
            caller=f"{caller.role}:{caller.tenant}:{caller.name}",
            route=f"{request.method} {request.path}",
            code=problem.reason or problem.type,
            detail=f"{problem.subject}: {problem.detail}",
            at=clock(),
        )

    return on_refusal


class CallerRefusals:
    """Puts refusals of one listener on record."""

    def __init__(
        self,
        engine: sa.Engine,
        ledger: LedgerTable,
        *,
        random_bytes: RandomBytes,
        clock: Clock,
        anonymous: AnonymousRefusals,
    ) -> None:
        """Append to `ledger` in the store behind `engine`; count in `anonymous`."""
        self._engine = engine
        self._ledger = ledger
        self._random_bytes = random_bytes
        self._clock = clock
        self._anonymous = anonymous

    def record(self, problem: Problem) -> None:
        """Record the refusal of the present request; the `on_refusal` of an application."""
        recording(self, anonymous=self._anonymous, clock=self._clock)(problem)

    @repeated
    def record_caller_refusal(self, *, caller: str, route: str, code: str, detail: str, at: datetime) -> None:
        """Append an audit leaf."""
        with transaction(self._engine) as connection:
            self._ledger.append(
                connection,
                kind="request-refused",
                subject=caller[:200],
                record={"route": route[:200], "code": code, "detail": detail[:2000]},
                at=at,
                salt=self._random_bytes(SALT_BYTES),
            )
