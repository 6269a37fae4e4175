"""The first page: how the fleet stands, and how verdicts went over time."""

from http import HTTPStatus

from flask import Flask, redirect, render_template, request
from werkzeug.wrappers import Response as AnyResponse

from edge.principals import current_principal, require
from edge.process import Clock
from pva.fleet.fleet import COUNTED, SPANS, FleetDesk, Outcome
from pva.web.dashboard.page import PEOPLE, reader

SPAN = "week"
"""The span that is shown where none is asked for."""


def add_overview(app: Flask, fleet: FleetDesk, *, clock: Clock) -> None:
    """Add the first page; an administrator, who sees no devices, is sent to what waits for him."""

    @app.get("/")
    @require(*PEOPLE)
    def overview() -> str | AnyResponse:
        if current_principal().role == "admin":
            return redirect("/approvals", code=HTTPStatus.SEE_OTHER)
        at = clock()
        asked = request.args.get("span", SPAN)
        span = asked if asked in SPANS else SPAN
        counts = fleet.over_time(reader(), span=span, at=at)
        totals = {each: sum(part.of.get(each, 0) for part in counts) for each in COUNTED}
        shown = [each for each in COUNTED if totals[each] or each is not Outcome.NONE]
        return render_template(
            "overview.html",
            at=at,
            span=span,
            spans=SPANS,
            counts=counts,
            counted=shown,
            totals=totals,
            standing=fleet.standing(reader(), at=at),
            outcomes=tuple(Outcome),
        )
