"""Routes of the operator listener for watches: an operator's own, and nobody else's (R24)."""

from datetime import datetime, timedelta
from http import HTTPStatus
from typing import Any

from flask import Flask

from edge.idempotency import repeatable
from edge.operations import Told, answers, answers_nothing, takes, takes_query
from edge.pages import PageQuery, moment_of, page_of, starts_behind
from edge.principals import current_principal, require
from edge.process import Clock
from pva.watching.watches import WatchDesk
from pva.watching.watching import Watch, WatchTerms
from pva.web.answers import WatchAnswer, WatchesAnswer
from pva.web.bodies import WatchBody


def add_watches(app: Flask, desk: WatchDesk, clock: Clock) -> None:
    """Have a device watched, see one's watches, end one."""

    @app.post("/v1/watches")
    @require("sho")
    @repeatable
    @takes(WatchBody)
    @answers(WatchAnswer, HTTPStatus.CREATED)
    def add_watch(body: WatchBody) -> Told:
        """Have a device watched that one has a passing result of."""
        caller = current_principal()
        terms = WatchTerms(
            device_id=body.device_id,
            interval=timedelta(seconds=body.interval_s),
            grace=timedelta(seconds=body.grace_s),
            audience=tuple(body.audience),
        )
        return _shown(desk.add(terms, operator=caller.tenant, requester=caller.name, at=clock()))

    @app.get("/v1/watches")
    @require("sho")
    @takes_query(PageQuery)
    @answers(WatchesAnswer)
    def list_watches(query: PageQuery) -> Told:
        """List one's watches, oldest first, with the state of each device."""
        behind = starts_behind("watches", query)
        found = desk.watches(
            operator=current_principal().tenant,
            after=None if behind is None else (moment_of("watches", behind[0]), str(behind[-1])),
            count_max=query.limit + 1,
        )
        return page_of("watches", found, query, key=lambda each: (each.created_at, each.id), shown=_shown)

    @app.post("/v1/watches/<watch_id>/end")
    @require("sho")
    @answers_nothing
    def end_watch(watch_id: str) -> None:
        """End a watch."""
        caller = current_principal()
        desk.end(watch_id, operator=caller.tenant, by=caller.name, at=clock())


def _shown(watch: Watch) -> dict[str, Any]:
    return {
        "watch_id": watch.id,
        "device_id": watch.terms.device_id,
        "interval_s": int(watch.terms.interval.total_seconds()),
        "grace_s": int(watch.terms.grace.total_seconds()),
        "audience": list(watch.terms.audience),
        "state": None if watch.state is None else watch.state.value,
        "due_at": _moment(watch.due_at),
        "deadline": _moment(watch.deadline),
    }


def _moment(at: datetime) -> str:
    return f"{at:%Y-%m-%dT%H:%M:%SZ}"
