"""A page: its frame, who is at the browser, which pages are his, and the headers that every answer carries.

Rule: a private page is kept by nobody, is shown in no frame and runs nothing that is written into it (CSP without inline
scripts and styles). A refusal is a page too: subject, reason and remedy, with the status that the API would give.
"""

from http import HTTPStatus
from typing import Any, Final

from flask import Flask, Response, redirect, render_template, request
from werkzeug.wrappers import Response as AnyResponse

from edge.principals import current_principal, principal_or_none
from edge.problem_document import CONTENT_TYPE, Problem
from pva.results.explanation import Reader
from pva.web.dashboard.shown import day, differing, digest, indented, moment, visible

FLEET: Final = ("sho", "dpf", "es", "auditor")
"""Who sees devices."""
PEOPLE: Final = ("admin", *FLEET)
"""Whoever has pages here; the other roles are services."""
NAVIGATION: Final = (
    ("/", "Overview", FLEET),
    ("/devices", "Devices", FLEET),
    ("/approvals", "Approvals", ("admin",)),
    ("/manifests", "Manifests", PEOPLE),
    ("/updates", "Updates", PEOPLE),
    ("/policies", "Policies", ("sho", "es", "auditor")),
    ("/suppliers", "Suppliers", PEOPLE),
    ("/log", "Audit log", PEOPLE),
)
CONTENT_SECURITY_POLICY: Final = (
    "default-src 'self'; img-src 'self' data:; object-src 'none'; base-uri 'none'; form-action 'self'; "
    "frame-ancestors 'none'"
)
"""Everything from here; pico.css has its icons as data: images."""
HEADERS: Final = {
    "Content-Security-Policy": CONTENT_SECURITY_POLICY,
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "same-origin",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Permissions-Policy": "camera=(), geolocation=(), microphone=()",
}
SAID: Final = {
    "manifest-approved": "Your approval is on record.",
    "proposal-approved": "Your approval is on record; what it was the last one for is done.",
    "proposal-withdrawn": "It is taken back, with its approvals; whoever still wants it proposes it anew.",
    "administrator-approved": "Your approval is on record; with the second one the key is an administrator's.",
    "manifest-retired": "The manifest is retired: from now on it affirms nobody.",
    "update-announced": "The update is announced.",
    "update-changed": "The update is changed.",
    "policy-changed": "The policy is changed; it counts from now on.",
}
"""What a page says after a form was taken: words of ours, chosen by the address."""
PAGE_MAX_DIGITS: Final = 3


def frame_pages(app: Flask, *, issuer: str) -> None:
    """Give every answer its headers, every template its frame, and every refusal a page."""
    app.jinja_env.filters.update(moment=moment, day=day, digest=digest, indented=indented)
    app.jinja_env.globals["differing"] = differing

    @app.context_processor
    def frame() -> dict[str, Any]:
        caller = principal_or_none()
        role = None if caller is None else caller.role
        pages = [(path, title) for path, title, roles in NAVIGATION if role in roles]
        said = SAID.get(request.args.get("said", ""))
        return {"issuer": issuer, "caller": caller, "pages": pages, "said": said, "here": request.path}

    @app.after_request
    def guard(response: Response) -> Response:
        if response.content_type == CONTENT_TYPE and _wants_page():
            response = _as_page(response)
        response.headers.update(HEADERS)
        response.headers.setdefault("Cache-Control", "no-store")
        return response


def make_app() -> Flask:
    """An application whose templates make every text visible before they escape it."""
    app = Flask("pva.web", static_folder=None)
    app.jinja_options = {"finalize": visible, "trim_blocks": True, "lstrip_blocks": True}
    return app


def reader() -> Reader:
    """Who looks, as the use cases know readers."""
    caller = current_principal()
    return Reader(role=caller.role, tenant=caller.tenant)


def own_supplier() -> str | None:
    """The supplier whose things alone the caller may see; None is all."""
    caller = current_principal()
    return caller.tenant if caller.role == "es" else None


def page_number() -> int:
    """The page of a list that is asked for; what is no number is the first."""
    text = request.args.get("page", "1")
    plain = text.isascii() and text.isdigit() and len(text) <= PAGE_MAX_DIGITS
    return max(1, int(text)) if plain else 1


def back_to(path: str, *, said: str) -> AnyResponse:
    """After a form: the page again, by GET, so that a reload sends nothing twice."""
    return redirect(f"{path}?said={said}", code=HTTPStatus.SEE_OTHER)


def _wants_page() -> bool:
    """Whether a refusal is for a browser; a program is answered as at the API."""
    return request.accept_mimetypes.best_match([CONTENT_TYPE, "text/html"]) == "text/html"


def _as_page(response: Response) -> Response:
    problem = Problem.decode(response.get_data())
    if problem is None:
        return response
    page = Response(
        render_template("refused.html", problem=problem), status=response.status_code, mimetype="text/html"
    )
    for name in ("Retry-After", "Allow", "Cache-Control"):
        if name in response.headers:
            page.headers[name] = response.headers[name]
    return page
