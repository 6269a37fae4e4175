"""The dashboard's application, mutual TLS: pages on the use cases that the operator listener has too, and on `pva.fleet`.

Rule: a page decides nothing: it asks a use case as its caller, and what the API refuses to a role or a tenant is refused
here. It is a listener of its own, so that no script in a page can reach the API (docs/adr/0043-dashboard.md).
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Final

from flask import Flask, Response, send_from_directory

from edge.principals import PrincipalTable, enforce_access, require
from edge.problems import OnRefusal
from edge.process import Clock, RandomBytes
from edge.refusal_answers import register_refusals
from pva.refusals import RefusalCode, RefusalError
from pva.web.dashboard.approvals import add_approvals
from pva.web.dashboard.desks import DashboardDesks
from pva.web.dashboard.devices import add_devices
from pva.web.dashboard.forms import guard_forms
from pva.web.dashboard.log import add_log
from pva.web.dashboard.manifests import add_manifests
from pva.web.dashboard.overview import add_overview
from pva.web.dashboard.page import PEOPLE, frame_pages, make_app
from pva.web.dashboard.policies import add_policies
from pva.web.dashboard.suppliers import add_suppliers
from pva.web.dashboard.updates import add_updates

STATIC: Final = Path(__file__).parents[1] / "static"


@dataclass(frozen=True, slots=True, kw_only=True)
class DashboardSurroundings:
    """What the application is given beside its use cases; `issuer` is the PVA's name, for the pages' heads."""

    issuer: str
    principals: PrincipalTable
    clock: Clock
    random_bytes: RandomBytes
    on_refusal: OnRefusal


def dashboard_app(desks: DashboardDesks, around: DashboardSurroundings) -> Flask:
    """Application of the dashboard's listener; each request is judged at one time of the clock."""
    app = make_app()
    add_overview(app, desks.fleet, clock=around.clock)
    add_devices(app, desks, clock=around.clock)
    add_manifests(
        app, recognition=desks.recognition, desk=desks.manifests, rollouts=desks.rollouts, clock=around.clock
    )
    add_approvals(app, desks, clock=around.clock)
    add_updates(app, recognition=desks.recognition, desk=desks.rollouts, clock=around.clock)
    add_suppliers(app, desks.recognition)
    add_policies(app, desks.policies, clock=around.clock)
    add_log(app, desks.log)
    _add_assets(app)
    frame_pages(app, issuer=around.issuer)
    register_refusals(app, on_refusal=around.on_refusal)
    enforce_access(app, principals=around.principals)
    guard_forms(app, random_bytes=around.random_bytes)
    return app


def _add_assets(app: Flask) -> None:
    """Scripts, styles and licences: the files that are there when the process starts, and no other path."""
    known = frozenset(path.relative_to(STATIC).as_posix() for path in STATIC.rglob("*") if path.is_file())

    @app.get("/assets/<path:name>")
    @require(*PEOPLE)
    def asset(name: str) -> Response:
        if name not in known:
            raise RefusalError(
                RefusalCode.NOT_FOUND, subject="file of the pages", reason="there is none of this name"
            )
        return send_from_directory(STATIC, name)
