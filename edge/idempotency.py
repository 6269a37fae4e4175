"""Idempotency keys (draft-ietf-httpapi-idempotency-key-header): the same request again gets the first answer, and makes nothing.

Rule: a key is claimed by one statement under a unique key before the view runs, so of two requests at once one runs. A key
belongs to a tenant and a route, and is kept for a day. What was refused changed nothing, and gives its key back. Where it
is not known whether something was made (the process or the store ended in between), the key stays taken: at most once.
"""

import functools
import hashlib
import json
import re
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from http import HTTPStatus
from typing import Final, ParamSpec, Protocol

import sqlalchemy as sa
from flask import Flask, Response, current_app, request
from sqlalchemy.exc import IntegrityError

from edge.database import UtcTime, transaction
from edge.database_faults import DatabaseUnavailableError
from edge.operations import takes_header
from edge.principals import current_principal
from edge.problem_document import Problem, ProblemError
from edge.process import Clock
from edge.repeating import IDEMPOTENCY_KEY
from edge.serialization import repeated

KEPT: Final = timedelta(days=1)
PATTERN: Final = r'^"?[A-Za-z0-9_-]{16,128}"?$'
_KEY: Final = re.compile(PATTERN)
_EXTENSION: Final = "pva_idempotency"
P = ParamSpec("P")


@dataclass(frozen=True, slots=True, kw_only=True)
class Claim:
    """Who uses a key for what: digests of (role, tenant, route, key) and of the request."""

    key_sha256: bytes
    request_sha256: bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class KeptAnswer:
    """What a key was used for, and the answer; `status` is None while there is none."""

    request_sha256: bytes
    status: int | None
    body: bytes | None


class AnswerStore(Protocol):
    """Where answers are kept."""

    def claim(self, claim: Claim, *, at: datetime) -> KeptAnswer | None:
        """Take a key; None when it is the caller's now, else what is known of its first use."""

    def settle(self, claim: Claim, *, status: int, body: bytes) -> None:
        """Keep the answer to a claim."""

    def release(self, claim: Claim) -> None:
        """Give a key back: nothing was made under it."""


def answer_table(metadata: sa.MetaData) -> sa.Table:
    """The table of a room that keeps answers; the room's migrations create it."""
    return sa.Table(
        "kept_answers",
        metadata,
        sa.Column("key_sha256", sa.LargeBinary(32), primary_key=True),
        sa.Column("request_sha256", sa.LargeBinary(32), nullable=False),
        sa.Column("claimed_at", UtcTime, nullable=False, index=True),
        sa.Column("status", sa.Integer, nullable=True),
        sa.Column("body", sa.LargeBinary, nullable=True),
    )


class SqlAnswers:
    """Satisfies AnswerStore on a table of `answer_table`."""

    def __init__(self, engine: sa.Engine, table: sa.Table) -> None:
        """Work on an engine whose schema is migrated."""
        self._engine = engine
        self._table = table

    def claim(self, claim: Claim, *, at: datetime) -> KeptAnswer | None:
        """See AnswerStore; what is older than a day is forgotten here."""
        try:
            self._insert(claim, at=at)
        except IntegrityError:
            return self._known(claim)
        return None

    @repeated
    def settle(self, claim: Claim, *, status: int, body: bytes) -> None:
        """See AnswerStore."""
        table = self._table
        with transaction(self._engine) as connection:
            connection.execute(
                sa.update(table)
                .where(table.c.key_sha256 == claim.key_sha256)
                .values(status=status, body=body)
            )

    @repeated
    def release(self, claim: Claim) -> None:
        """See AnswerStore."""
        table = self._table
        with transaction(self._engine) as connection:
            connection.execute(sa.delete(table).where(table.c.key_sha256 == claim.key_sha256))

    @repeated
    def _insert(self, claim: Claim, *, at: datetime) -> None:
        table = self._table
        with transaction(self._engine) as connection:
            connection.execute(sa.delete(table).where(table.c.claimed_at <= at - KEPT))
            connection.execute(
                sa.insert(table).values(
                    key_sha256=claim.key_sha256, request_sha256=claim.request_sha256, claimed_at=at
                )
            )

    def _known(self, claim: Claim) -> KeptAnswer:
        table = self._table
        query = sa.select(table).where(table.c.key_sha256 == claim.key_sha256)
        with transaction(self._engine, write=False) as connection:
            row = connection.execute(query).mappings().first()
        if row is None:  # given back in this very moment
            return KeptAnswer(request_sha256=claim.request_sha256, status=None, body=None)
        return KeptAnswer(
            request_sha256=bytes(row["request_sha256"]),
            status=row["status"],
            body=None if row["body"] is None else bytes(row["body"]),
        )


def keep_answers(app: Flask, store: AnswerStore, *, clock: Clock) -> None:
    """Where the views of `app` that are `repeatable` keep their answers."""
    app.extensions[_EXTENSION] = (store, clock)


def repeatable(view: Callable[P, Response]) -> Callable[P, Response]:
    """Declare that a view makes something, and that a caller may name his request, to send it again without fear.

    It stands between the declared access and the body; without the header the view runs as ever.
    """

    @functools.wraps(view)
    def once(*args: P.args, **kwargs: P.kwargs) -> Response:
        key = request.headers.get(IDEMPOTENCY_KEY)
        if key is None:
            return view(*args, **kwargs)
        store, clock = current_app.extensions[_EXTENSION]
        claim = _claim(key)
        known: KeptAnswer | None = store.claim(claim, at=clock())
        if known is not None:
            return _again(known, claim)
        return _run(store, claim, functools.partial(view, *args, **kwargs))

    declare = takes_header(
        IDEMPOTENCY_KEY,
        description="names this request for a day: the same request again gets the same answer, and makes nothing",
        pattern=PATTERN,
        is_required=False,
    )
    return declare(once)


def _run(store: AnswerStore, claim: Claim, view: Callable[[], Response]) -> Response:
    try:
        answer = view()
    except DatabaseUnavailableError:
        raise  # a commit that was cut off may stand
    except Exception:
        store.release(claim)
        raise
    store.settle(claim, status=answer.status_code, body=answer.get_data())
    return answer


def _again(known: KeptAnswer, claim: Claim) -> Response:
    if known.request_sha256 != claim.request_sha256:
        raise ProblemError(
            _problem(
                HTTPStatus.UNPROCESSABLE_ENTITY,
                "idempotency-key-reused",
                detail="the key was used for another request",
                remedy="use a key of its own for each request",
            )
        )
    if known.status is None:
        raise ProblemError(
            _problem(
                HTTPStatus.CONFLICT,
                "idempotency-key-in-use",
                detail="the first request with this key has no answer yet, or its process ended before there was one",
                remedy="send it again in a moment; if it stays so, look whether it was made, and use another key",
            )
        )
    answer = Response(known.body, status=known.status, content_type="application/json")
    answer.headers["Cache-Control"] = "no-store"
    return answer


def _claim(key: str) -> Claim:
    if not _KEY.fullmatch(key):
        raise ProblemError(
            _problem(
                HTTPStatus.BAD_REQUEST,
                "idempotency-key-invalid",
                detail="expected 16 to 128 letters, digits, - or _",
                remedy="use a random value, as a UUID",
            )
        )
    caller = current_principal()
    scope = [caller.role, caller.tenant, request.method, request.path, key.strip('"')]
    sent = hashlib.sha256(
        f"{request.query_string!r} {request.mimetype}\n".encode() + request.get_data(cache=True)
    )
    return Claim(key_sha256=hashlib.sha256(json.dumps(scope).encode()).digest(), request_sha256=sent.digest())


def _problem(status: HTTPStatus, code: str, *, detail: str, remedy: str) -> Problem:
    return Problem(
        status=status,
        type=code,
        title=status.phrase,
        detail=detail,
        subject=IDEMPOTENCY_KEY,
        reason=code,
        remedy=remedy,
    )
