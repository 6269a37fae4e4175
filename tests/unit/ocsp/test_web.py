"""OCSP over HTTP: both methods, their spellings, and what caches may keep."""

from base64 import b64encode
from collections.abc import Mapping
from datetime import datetime, timedelta
from io import BytesIO
from typing import Any
from urllib.parse import quote, unquote

import pytest

from edge.problem_document import Problem
from ocsp.responses import Answer
from ocsp.web import public_app
from standards.pki.ocsp import ResponseStatus
from tests.fakes.pki import NOW

TRUE = Answer(
    der=b"\x30\x03\x0a\x01\x00",
    status=ResponseStatus.SUCCESSFUL,
    this_update=NOW - timedelta(seconds=10),
    next_update=NOW + timedelta(seconds=290),
)
WITH_NONCE = Answer(
    der=TRUE.der, status=TRUE.status, nonce=True, this_update=TRUE.this_update, next_update=TRUE.next_update
)
LATER = Answer(der=b"\x30\x03\x0a\x01\x03", status=ResponseStatus.TRY_LATER)
BROKEN = Answer(der=b"\x30\x03\x0a\x01\x02", status=ResponseStatus.INTERNAL_ERROR, error=OSError("x"))


class Exchange:
    """One request through the application, with what the responder was asked and what came back."""

    def __init__(self, environ: Mapping[str, Any], *, answer: Answer = TRUE) -> None:
        self.asked: bytes | None = None
        self.answer = answer
        self.status = ""
        self.headers: dict[str, str] = {}
        complete = {"PATH_INFO": "/", "wsgi.input": BytesIO(), **environ}
        self.body = b"".join(public_app(self.respond, clock=lambda: NOW)(complete, self.start))

    def respond(self, request: bytes, *, now: datetime) -> Answer:
        assert now == NOW
        self.asked = request
        return self.answer

    def start(self, status: str, headers: list[tuple[str, str]]) -> None:
        self.status, self.headers = status, dict(headers)


def get(path: str, **more: Any) -> Exchange:
    return Exchange({"REQUEST_METHOD": "GET", "PATH_INFO": path}, **more)


def post(body: bytes, content_type: str = "application/ocsp-request", **changed: Any) -> Exchange:
    environ = {
        "REQUEST_METHOD": "POST",
        "CONTENT_TYPE": content_type,
        "CONTENT_LENGTH": str(len(body)),
        "wsgi.input": BytesIO(body),
        **changed,
    }
    return Exchange(environ)


@pytest.mark.check("O19")
@pytest.mark.parametrize("request_bytes", [b"\xff\xff\xff\xfb\xef\xbe", b"\x00\x0f\xff\xff\xff", b"0", b"01"])
def test_get_in_every_spelling(request_bytes: bytes) -> None:
    encoded = b64encode(request_bytes).decode()
    for path in (encoded, unquote(quote(encoded, safe="")), encoded.rstrip("=")):
        exchange = get("/" + path)
        assert exchange.asked == request_bytes
        assert exchange.status == "200 OK"
        assert exchange.headers["Content-Type"] == "application/ocsp-response"
        assert exchange.headers["Content-Length"] == str(len(exchange.body))


def test_slashes_that_belong_to_the_request_stay() -> None:
    assert get("/////").asked == b"\xff\xff\xff"  # four slashes are three octets of ones


def test_a_slash_too_many_is_no_part_of_the_request() -> None:
    request_bytes = b"0\x03\xff\xff\xff"
    assert get("//" + b64encode(request_bytes).decode()).asked == request_bytes


@pytest.mark.negative
@pytest.mark.parametrize("path", ["", "/", "/healthz.", "/a b", "/ä", "/AAAA=AAA", "/A", "/" + "A" * 20000])
def test_a_path_that_holds_no_request_reaches_the_responder_as_nothing(path: str) -> None:
    exchange = get(path)
    assert exchange.asked == b""
    assert exchange.status == "200 OK"


@pytest.mark.check("O19")
@pytest.mark.parametrize("content_type", ["application/ocsp-request", "Application/OCSP-Request; x=y"])
def test_post(content_type: str) -> None:
    exchange = post(b"request", content_type)
    assert exchange.asked == b"request"
    assert exchange.body == TRUE.der


@pytest.mark.negative
def test_requests_that_are_not_ocsp() -> None:
    for exchange, status in [
        (post(b"x", "text/plain"), "415"),
        (post(b"x", ""), "415"),
        (post(b"x", PATH_INFO="/other"), "404"),
        (post(b"x" * 8193), "413"),
        (Exchange({"REQUEST_METHOD": "DELETE"}), "405"),
    ]:
        assert exchange.status.startswith(status)
        assert exchange.asked is None
        assert exchange.headers["Content-Type"] == "application/problem+json"
        problem = Problem.decode(exchange.body)
        assert problem is not None
        assert "application/ocsp-request" in problem.remedy


def test_a_longer_body_than_announced_is_cut_where_the_responder_refuses_it() -> None:
    exchange = post(b"x" * 9000, CONTENT_LENGTH="")
    assert exchange.asked is not None
    assert len(exchange.asked) == 8193


def test_head_has_headers_only() -> None:
    exchange = Exchange({"REQUEST_METHOD": "HEAD", "PATH_INFO": "/AAAA"})
    assert exchange.body == b""
    assert exchange.headers["Content-Length"] == str(len(TRUE.der))


@pytest.mark.check("L8")
@pytest.mark.check("L9")
def test_what_caches_are_told() -> None:
    headers = get("/AAAA").headers
    assert headers["Last-Modified"] == "Mon, 01 Jun 2026 11:59:50 GMT"
    assert headers["Expires"] == "Mon, 01 Jun 2026 12:04:50 GMT"
    assert headers["Cache-Control"] == "max-age=290, public, no-transform, must-revalidate"
    assert headers["ETag"].startswith('"')
    assert not headers["ETag"].startswith("W/")


@pytest.mark.check("N5")
@pytest.mark.parametrize("answer", [WITH_NONCE, LATER, BROKEN])
def test_what_caches_must_not_keep(answer: Answer) -> None:
    headers = get("/AAAA", answer=answer).headers
    assert headers["Cache-Control"] == "no-store"
    assert "ETag" not in headers
    assert ("Retry-After" in headers) == (answer is LATER)


@pytest.mark.check("L10")
@pytest.mark.parametrize("spelling", ["{}", 'W/"other", {}', "W/{}", "*"])
def test_a_client_that_holds_the_answer_is_told_so(spelling: str) -> None:
    first = get("/AAAA").headers
    for method in ("GET", "HEAD"):
        condition = {"REQUEST_METHOD": method, "PATH_INFO": "/AAAA"}
        again = Exchange({**condition, "HTTP_IF_NONE_MATCH": spelling.format(first["ETag"])})
        assert again.status == "304 Not Modified"
        assert again.body == b""
        assert {name: first[name] for name in again.headers} == again.headers
        assert set(again.headers) == {"Last-Modified", "Expires", "ETag", "Cache-Control"}


@pytest.mark.negative
@pytest.mark.check("L10")
def test_a_client_that_holds_another_answer_gets_this_one() -> None:
    tag = get("/AAAA").headers["ETag"]
    for held in ('"other"', tag.strip('"'), f'"{"0" * 64}"', "", tag[:-2]):
        asked = {"REQUEST_METHOD": "GET", "PATH_INFO": "/AAAA", "HTTP_IF_NONE_MATCH": held}
        exchange = Exchange(asked)
        assert (exchange.status, exchange.body) == ("200 OK", TRUE.der)
    assert post(b"request", HTTP_IF_NONE_MATCH=tag).status == "200 OK"


@pytest.mark.negative
@pytest.mark.check("L10")
@pytest.mark.parametrize("answer", [WITH_NONCE, LATER, BROKEN])
def test_what_may_not_be_kept_is_never_held(answer: Answer) -> None:
    asked = {"REQUEST_METHOD": "GET", "PATH_INFO": "/AAAA", "HTTP_IF_NONE_MATCH": "*"}
    assert Exchange(asked, answer=answer).status == "200 OK"
