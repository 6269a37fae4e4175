"""Forms: a request that changes something comes from a page that this dashboard gave to this very person (CSRF).

Rule: two locks, each of which suffices. The browser must say that the request comes from this origin; silence, which
the API takes for a program, is refused here. And the form carries a token, made from a random cookie of this origin, the
key of the person's client certificate and the path that the form leads to. The cookie proves nobody: who it is says the
certificate alone. Nothing is stored, so any process of a PVA takes a form that another one gave.
"""

import hashlib
import hmac
import re
from typing import Final

from flask import Flask, Response, g, request

from edge.browser_requests import SAFE_METHODS, comes_from_here, other_origin
from edge.principals import current_key_sha256
from edge.problem_document import Problem, ProblemError
from edge.process import RandomBytes

TOKEN: Final = "form_token"  # noqa: S105  # the name of a field
COOKIE: Final = "__Host-pva-forms"
"""A cookie of this prefix comes from this host over TLS alone, and is sent to no other."""
NOT_OURS: Final = "form-not-from-here"
_LABEL: Final = b"pva/form/1"
_COOKIE_BYTES: Final = 32
_COOKIE_FORM: Final = re.compile(r"[0-9a-f]{64}")


def guard_forms(app: Flask, *, random_bytes: RandomBytes) -> None:
    """Refuse what no form of ours sent; call it after `enforce_access`, so that a refusal names the caller."""

    def check() -> None:
        if request.method in SAFE_METHODS or request.endpoint is None:
            return
        if comes_from_here() is not True:
            raise ProblemError(other_origin("nothing says that a page of this dashboard sent it"))
        given, cookie = request.form.get(TOKEN, ""), _cookie()
        if cookie is None or not hmac.compare_digest(given.encode(), _token(cookie, request.path).encode()):
            raise ProblemError(_not_ours())

    def give_cookie(response: Response) -> Response:
        fresh: str | None = g.get("pva_form_cookie")
        if fresh is not None:
            response.set_cookie(COOKIE, fresh, secure=True, httponly=True, samesite="Strict", path="/")
        return response

    def token_for(path: str) -> str:
        """The token of a form that leads to `path`."""
        cookie = _cookie() or g.get("pva_form_cookie")
        if cookie is None:
            cookie = g.pva_form_cookie = random_bytes(_COOKIE_BYTES).hex()
        return _token(cookie, path)

    app.before_request(check)
    app.after_request(give_cookie)
    app.jinja_env.globals["token_for"] = token_for


def _cookie() -> str | None:
    value = request.cookies.get(COOKIE, "")
    return value if _COOKIE_FORM.fullmatch(value) else None


def _token(cookie: str, path: str) -> str:
    spoken = b"\x00".join((_LABEL, current_key_sha256().encode(), path.encode()))
    return hmac.new(bytes.fromhex(cookie), spoken, hashlib.sha256).hexdigest()


def _not_ours() -> Problem:
    return Problem(
        status=403,
        type=NOT_OURS,
        title="Forbidden",
        detail="this form was not given to this browser and this certificate",
        subject="form",
        reason=NOT_OURS,
        remedy="open the page again and send the form from there",
    )
