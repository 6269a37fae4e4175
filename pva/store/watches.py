"""Watches and their events on SQLAlchemy: satisfies `pva.watching.watches.WatchStore` and, for events, `pva.pushing.Outbox`.

Rule: a change of a watch names the revision that it was decided on, so that of many who decide one wins; the request
or the event that belongs to it, its deliveries and the audit leaf are in the same transaction.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

import sqlalchemy as sa
from sqlalchemy.exc import IntegrityError

from edge.database import behind, transaction
from edge.direct_statements import DirectStatement
from edge.ledger_leaf import SALT_BYTES
from edge.process import RandomBytes
from edge.serialization import repeated
from messages.state_event import PlatformState
from pva.refusals import RefusalCode, RefusalError
from pva.requests import ValidationRequest
from pva.store import tables
from pva.store.rows import Row, row_of_request
from pva.watching.watches import WATCHER_ROLE, SignedEvent, WatchPlace
from pva.watching.watching import Watch, WatchAnswer, WatchTerms


class WatchStore:
    """Watches, their standing requests and events."""

    def __init__(
        self,
        engine: sa.Engine,
        *,
        random_bytes: RandomBytes,
        callbacks: frozenset[str],
        event_life: timedelta,
    ) -> None:
        """Work on an engine whose schema is migrated; events go to the audience members in `callbacks`."""
        self._engine = engine
        self._take, self._due = _statements(engine)
        self._random_bytes = random_bytes
        self._callbacks = callbacks
        self._event_life = event_life

    def add_watch(self, watch: Watch, *, watches_max: int) -> Watch:
        """See `pva.watching.watches.WatchStore`."""
        try:
            return self._add(watch, watches_max=watches_max)
        except IntegrityError:  # the same one came twice at once: now it is on record
            return self._add(watch, watches_max=watches_max)

    @repeated
    def _add(self, watch: Watch, *, watches_max: int) -> Watch:
        table = tables.watches
        with transaction(self._engine) as connection:
            row = (
                connection.execute(
                    sa.select(table).where(
                        table.c.operator == watch.operator, table.c.device_id == watch.terms.device_id
                    )
                )
                .mappings()
                .first()
            )
            if row is not None:
                known = _watch_of(row)
                if known.terms != watch.terms:
                    raise _conflict(watch)
                return known
            self._refuse_unknown(connection, watch)
            count = sa.select(sa.func.count()).select_from(table).where(table.c.operator == watch.operator)
            if (connection.scalar(count) or 0) >= watches_max:
                raise RefusalError(
                    RefusalCode.TOO_MANY_WATCHES,
                    subject=f"device {watch.terms.device_id}",
                    reason=f"the caller watches {watches_max} devices already",
                )
            connection.execute(sa.insert(table).values(**_row_of(watch)))
            self._audit(connection, "watch-added", watch, {"requester": watch.requester}, at=watch.created_at)
            return watch

    def _refuse_unknown(self, connection: sa.Connection, watch: Watch) -> None:
        """An operator watches a device that it has a passing result of."""
        requests, results = tables.validation_requests, tables.results
        passing = (
            sa.select(results.c.id)
            .join(requests, requests.c.id == results.c.request_id)
            .where(
                requests.c.role == WATCHER_ROLE,
                requests.c.tenant == watch.operator,
                results.c.device_id == watch.terms.device_id,
                results.c.passes,
            )
            .limit(1)
        )
        if connection.scalar(passing) is None:
            raise RefusalError(
                RefusalCode.WATCH_WITHOUT_RESULT,
                subject=f"device {watch.terms.device_id}",
                reason="the caller has no passing result about it",
            )

    def watches(
        self, operator: str, *, after: WatchPlace | None = None, count_max: int | None = None
    ) -> Sequence[Watch]:
        """See `pva.watching.watches.WatchStore`."""
        table = tables.watches
        order = (table.c.created_at, table.c.id)
        query = sa.select(table).where(table.c.operator == operator).order_by(*order).limit(count_max)
        if after is not None:
            query = query.where(behind(order, after))
        with transaction(self._engine, write=False) as connection:
            return tuple(_watch_of(row) for row in connection.execute(query).mappings())

    @repeated
    def end_watch(self, watch_id: str, *, operator: str, by: str, at: datetime) -> bool:
        """See `pva.watching.watches.WatchStore`."""
        table = tables.watches
        own = sa.and_(table.c.id == watch_id, table.c.operator == operator)
        with transaction(self._engine) as connection:
            row = connection.execute(sa.select(table).where(own)).mappings().first()
            if row is None:
                return False
            connection.execute(sa.delete(table).where(own))
            self._audit(connection, "watch-ended", _watch_of(row), {"by": by}, at=at)
            return True

    @repeated
    def take_lease(self, name: str, *, holder: str, at: datetime, lasting: timedelta) -> bool:
        """See `pva.watching.watches.WatchStore`."""
        wanted = {"holder": holder, "until": at + lasting}
        if self._take.alone({**wanted, "of_name": name, "of_holder": holder, "at": at}) == 1:
            return True
        table = tables.leases
        try:
            with transaction(self._engine) as connection:
                if connection.scalar(sa.select(table.c.name).where(table.c.name == name)) is not None:
                    return False
                connection.execute(sa.insert(table).values(name=name, **wanted))
        except IntegrityError:  # another process was the first to take it
            return False
        return True

    def watches_to_look_at(self, *, at: datetime, limit: int) -> Sequence[tuple[Watch, WatchAnswer | None]]:
        """See `pva.watching.watches.WatchStore`."""
        rows = self._due.rows_alone({"at": at, "count_max": limit})
        return tuple((_watch_of(row), _answer_of(row)) for row in rows)

    @repeated
    def change_watch(
        self,
        after: Watch,
        *,
        revision: int,
        request: ValidationRequest | None,
        event: SignedEvent | None,
        at: datetime,
    ) -> bool:
        """See `pva.watching.watches.WatchStore`."""
        table = tables.watches
        with transaction(self._engine) as connection:
            changed = connection.execute(
                sa.update(table)
                .where(table.c.id == after.id, table.c.revision == revision)
                .values(**_row_of(after))
            )
            if changed.rowcount != 1:
                return False
            if request is not None:
                connection.execute(sa.insert(tables.validation_requests).values(**row_of_request(request)))
                self._audit(connection, "watch-asked", after, {"request_id": request.id}, at=at)
            if event is not None:
                self._post(connection, event, at=at)
                told = {"state": event.event.state.value, "sequence": after.sequence, "token": event.token}
                self._audit(connection, "state-event", after, told, at=at)
            return True

    def _post(self, connection: sa.Connection, signed: SignedEvent, *, at: datetime) -> None:
        """Put an event into the outbox of every member of its audience that has a callback."""
        for audience in sorted(self._callbacks & set(signed.event.audience)):
            connection.execute(
                sa.insert(tables.event_deliveries).values(
                    event_id=signed.event.jti,
                    audience=audience,
                    token=signed.token,
                    next_at=at,
                    tries=0,
                    expires_at=at + self._event_life,
                )
            )

    def _audit(
        self, connection: sa.Connection, kind: str, watch: Watch, record: Mapping[str, Any], *, at: datetime
    ) -> None:
        named = {"watch_id": watch.id, "operator": watch.operator}
        tables.ledger.append(
            connection,
            kind=kind,
            subject=watch.terms.device_id,
            record={**named, **record},
            at=at,
            salt=self._random_bytes(SALT_BYTES),
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class PostedEvent:
    """An event on its way to one audience member; `tries` so far."""

    event_id: str
    audience: str
    token: str
    tries: int
    expires_at: datetime


class EventOutbox:
    """Deliveries of events; their rows are written with the changes of watches that they tell of."""

    def __init__(self, engine: sa.Engine) -> None:
        """Work on an engine whose schema is migrated."""
        self._engine = engine

    def due(self, audience: str, *, at: datetime, count_max: int) -> Sequence[PostedEvent]:
        """See `pva.pushing.Outbox`."""
        table = tables.event_deliveries
        query = (
            sa.select(table.c.event_id, table.c.audience, table.c.token, table.c.tries, table.c.expires_at)
            .where(table.c.audience == audience, table.c.next_at <= at)
            .order_by(table.c.next_at, table.c.event_id)
            .limit(count_max)
        )
        with transaction(self._engine, write=False) as connection:
            return tuple(PostedEvent(**row) for row in connection.execute(query).mappings())

    @repeated
    def claim(self, posted: PostedEvent, *, until: datetime) -> bool:
        """See `pva.pushing.Outbox`."""
        return self._change(posted, tries=posted.tries, values={"tries": posted.tries + 1, "next_at": until})

    @repeated
    def postpone(self, posted: PostedEvent, *, until: datetime) -> None:
        """See `pva.pushing.Outbox`."""
        self._change(posted, tries=posted.tries + 1, values={"next_at": until})

    @repeated
    def remove(self, posted: PostedEvent) -> None:
        """See `pva.pushing.Outbox`."""
        with transaction(self._engine) as connection:
            connection.execute(sa.delete(tables.event_deliveries).where(_is(posted)))

    def _change(self, posted: PostedEvent, *, tries: int, values: dict[str, Any]) -> bool:
        table = tables.event_deliveries
        here = sa.and_(_is(posted), table.c.tries == tries)
        with transaction(self._engine) as connection:
            return connection.execute(sa.update(table).where(here).values(**values)).rowcount == 1


def _is(posted: PostedEvent) -> sa.ColumnElement[bool]:
    table = tables.event_deliveries
    return sa.and_(table.c.event_id == posted.event_id, table.c.audience == posted.audience)


def _conflict(watch: Watch) -> RefusalError:
    return RefusalError(
        RefusalCode.WATCH_CONFLICT,
        subject=f"device {watch.terms.device_id}",
        reason="the caller watches it already, on other terms",
    )


def _statements(engine: sa.Engine) -> tuple[DirectStatement, DirectStatement]:
    """Those of every round: to take the lease again, and what is to be looked at."""
    leases, table, results = tables.leases, tables.watches, tables.results
    free = sa.or_(leases.c.holder == sa.bindparam("of_holder"), leases.c.until <= sa.bindparam("at"))
    take = sa.update(leases).where(leases.c.name == sa.bindparam("of_name"), free)
    due = (
        sa.select(table, results.c.id.label("result_id"), results.c.status, results.c.issued_at)
        .outerjoin(results, results.c.request_id == table.c.request_id)
        .where(table.c.look_at <= sa.bindparam("at"))
        .order_by(table.c.look_at, table.c.id)
        .limit(sa.bindparam("count_max", type_=sa.Integer))
    )
    return DirectStatement(engine, take, sets=("holder", "until")), DirectStatement(engine, due)


def _watch_of(row: Row) -> Watch:
    return Watch(
        id=row["id"],
        operator=row["operator"],
        requester=row["requester"],
        terms=WatchTerms(
            device_id=row["device_id"],
            interval=timedelta(seconds=row["interval_s"]),
            grace=timedelta(seconds=row["grace_s"]),
            audience=tuple(row["audience"]),
        ),
        created_at=row["created_at"],
        due_at=row["due_at"],
        state=None if row["state"] is None else PlatformState(row["state"]),
        sequence=row["sequence"],
        revision=row["revision"],
        request_id=row["request_id"],
        asked_until=row["asked_until"],
    )


def _answer_of(row: Row) -> WatchAnswer | None:
    if row["result_id"] is None:
        return None
    return WatchAnswer(result_id=row["result_id"], status=row["status"], at=row["issued_at"])


def _row_of(watch: Watch) -> dict[str, Any]:
    return {
        "id": watch.id,
        "operator": watch.operator,
        "requester": watch.requester,
        "device_id": watch.terms.device_id,
        "interval_s": int(watch.terms.interval.total_seconds()),
        "grace_s": int(watch.terms.grace.total_seconds()),
        "audience": list(watch.terms.audience),
        "created_at": watch.created_at,
        "due_at": watch.due_at,
        "look_at": watch.look_at,
        "state": None if watch.state is None else watch.state.value,
        "sequence": watch.sequence,
        "revision": watch.revision,
        "request_id": watch.request_id,
        "asked_until": watch.asked_until,
    }
