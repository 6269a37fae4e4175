"""OCSP over HTTP (RFC 6960 appendix A, RFC 9919 section 6): a WSGI callable at the root of its listener.

    GET  /{url-encoding of base64 of the DER request}
    POST /   with Content-Type application/ocsp-request

The one rule: whatever was asked, an OCSP answer is a 200, or a 304 to whoever holds it already; caches may
keep an answer exactly as long as it is true, and an answer with a nonce or without a status not at all.
"""

import binascii
from base64 import b64decode
from collections.abc import Callable, Iterable
from datetime import datetime
from email.utils import format_datetime
from hashlib import sha256
from http import HTTPStatus
from typing import Any, Protocol

from edge.problem_document import CONTENT_TYPE, Problem
from edge.process import Clock, logger
from ocsp.responses import Answer
from standards.pki.ocsp import REQUEST_BYTES_MAX, ResponseStatus

REQUEST_TYPE = "application/ocsp-request"
RESPONSE_TYPE = "application/ocsp-response"
TRY_LATER_S = 5
_BASE64_GROUP = 4

Headers = list[tuple[str, str]]
StartResponse = Callable[..., Any]
WsgiApp = Callable[[dict[str, Any], StartResponse], Iterable[bytes]]


class Respond(Protocol):
    """The responder with its store and delegates at hand."""

    def __call__(self, request: bytes, *, now: datetime) -> Answer:
        """Answer any bytes."""


def public_app(respond: Respond, *, clock: Clock) -> WsgiApp:
    """The application of the public listener."""
    log = logger("ocsp")

    def app(environ: dict[str, Any], start_response: StartResponse) -> Iterable[bytes]:
        method = environ["REQUEST_METHOD"]
        if method in {"GET", "HEAD"}:
            request = _from_path(environ.get("PATH_INFO", ""))
        elif method == "POST":
            refused = _refusal_of_post(environ)
            if refused is not None:
                return _problem(start_response, refused)
            request = _body(environ)
        else:
            return _problem(start_response, HTTPStatus.METHOD_NOT_ALLOWED, [("Allow", "GET, HEAD, POST")])
        now = clock()
        answer = respond(request, now=now)
        if answer.status is ResponseStatus.INTERNAL_ERROR:
            log.error("ocsp-internal-error", exc_info=answer.error)
        caching = _cache_headers(answer, now=now)
        if method != "POST" and _is_held(environ.get("HTTP_IF_NONE_MATCH", ""), caching):
            start_response("304 Not Modified", caching)
            return []
        headers = [("Content-Type", RESPONSE_TYPE), ("Content-Length", str(len(answer.der)))]
        start_response("200 OK", headers + caching)
        return [] if method == "HEAD" else [answer.der]

    return app


def _from_path(path: str) -> bytes:
    """The request in a GET, octets of no sense where it holds none: the responder calls them malformed."""
    # A URL that ends in a slash gives two; a DER SEQUENCE in base64 begins with M, other slashes are its own.
    bare = path.lstrip("/")
    encoded = bare if bare.startswith("M") else path.removeprefix("/")
    # Some clients leave the padding out.
    padded = encoded + "=" * (-len(encoded) % _BASE64_GROUP)
    if len(padded) > REQUEST_BYTES_MAX * 2:
        return b""
    try:
        return b64decode(padded.encode("ascii"), validate=True)
    except (binascii.Error, UnicodeEncodeError):
        return b""


def _refusal_of_post(environ: dict[str, Any]) -> HTTPStatus | None:
    if environ.get("PATH_INFO", "") not in {"", "/"}:
        return HTTPStatus.NOT_FOUND
    if environ.get("CONTENT_TYPE", "").partition(";")[0].strip().lower() != REQUEST_TYPE:
        return HTTPStatus.UNSUPPORTED_MEDIA_TYPE
    length = environ.get("CONTENT_LENGTH") or "0"
    if length.isascii() and length.isdigit() and int(length) > REQUEST_BYTES_MAX:
        return HTTPStatus.REQUEST_ENTITY_TOO_LARGE
    return None


def _body(environ: dict[str, Any]) -> bytes:
    body: bytes = environ["wsgi.input"].read(REQUEST_BYTES_MAX + 1)
    return body


def _cache_headers(answer: Answer, *, now: datetime) -> Headers:
    if answer.status is ResponseStatus.TRY_LATER:
        return [("Cache-Control", "no-store"), ("Retry-After", str(TRY_LATER_S))]
    if answer.nonce or answer.this_update is None or answer.next_update is None:
        return [("Cache-Control", "no-store")]
    left_s = max(0, int((answer.next_update - now).total_seconds()))
    return [
        ("Last-Modified", format_datetime(answer.this_update, usegmt=True)),
        ("Expires", format_datetime(answer.next_update, usegmt=True)),
        ("ETag", f'"{sha256(answer.der).hexdigest()}"'),
        ("Cache-Control", f"max-age={left_s}, public, no-transform, must-revalidate"),
    ]


def _is_held(if_none_match: str, caching: Headers) -> bool:
    """Whether the client holds this very answer (RFC 9110 section 13.1.2); an answer without a tag never is."""
    tag = dict(caching).get("ETag")
    held = {each.strip().removeprefix("W/") for each in if_none_match.split(",")}
    return tag is not None and not held.isdisjoint({tag, "*"})


def _problem(
    start_response: StartResponse, status: HTTPStatus, headers: Headers | None = None
) -> list[bytes]:
    body = Problem(
        status=status,
        type=status.phrase.lower().replace(" ", "-"),
        title=status.phrase,
        detail="this is an OCSP responder, see RFC 6960 appendix A",
        subject="request",
        reason="http",
        remedy=f"GET /<base64 of the request>, or POST it to / as {REQUEST_TYPE}, at most {REQUEST_BYTES_MAX} bytes",
    ).encode()
    usual = [("Content-Type", CONTENT_TYPE), ("Content-Length", str(len(body)))]
    start_response(f"{status.value} {status.phrase}", usual + (headers or []))
    return [body]
