"""OCSP over HTTP: both methods, their spellings, and what caches may keep."""

import asyncio
from base64 import b64encode
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any
from urllib.parse import quote, unquote

import pytest

from edge.octet_server import Reply
from edge.problem_document import Problem
from ocsp.at_hand import Kept, Wanted
from ocsp.responses import Answer
from ocsp.web import PublicApp
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


@dataclass
class Answers:
    """Satisfies `ocsp.web.Answers`: has nothing at hand, unless told to, and notes what it was asked."""

    answer: Answer
    at_hand: bool = False
    asked: bytes | None = None

    def find(self, wire: str | bytes, *, now: datetime) -> Kept | None:
        assert (type(wire), now) in {(str, NOW), (bytes, NOW)}
        return Kept(self.answer) if self.at_hand else None

    def make(self, wanted: Wanted) -> Kept:
        assert type(wanted.wire) in {str, bytes}
        self.asked = wanted.request
        return Kept(self.answer)


class AtOnce:
    """Satisfies `ocsp.web.Queue`: nobody waits, or everybody is sent away."""

    def __init__(self, answers: Answers, *, full: bool) -> None:
        self.answers, self.full = answers, full

    @property
    def waiting(self) -> int:
        return 0

    def submit(self, wanted: Wanted) -> "asyncio.Future[Kept] | None":
        if self.full:
            return None
        place: asyncio.Future[Kept] = asyncio.get_running_loop().create_future()
        place.set_result(self.answers.make(wanted))
        return place


class Exchange:
    """One request through the application, with what the responder was asked and what came back."""

    def __init__(
        self,
        method: str,
        path: str,
        *,
        body: bytes = b"",
        answer: Answer = TRUE,
        at_hand: bool = False,
        full: bool = False,
        **fields: str,
    ) -> None:
        answers = Answers(answer, at_hand=at_hand)
        self.app = PublicApp(answers, AtOnce(answers, full=full), clock=lambda: NOW)
        named = {name.replace("_", "-"): value for name, value in fields.items()}

        async def asked() -> Reply:
            reply = self.app(method, path, named, body)
            return reply if isinstance(reply, Reply) else await reply

        reply = asyncio.run(asked())
        self.asked, self.status, self.body = answers.asked, reply.status, reply.body
        self.headers = dict(reply.headers)


def get(path: str, **more: Any) -> Exchange:
    return Exchange("GET", path, **more)


def post(
    body: bytes, content_type: str = "application/ocsp-request", path: str = "/", **more: Any
) -> Exchange:
    return Exchange("POST", path, body=body, content_type=content_type, **more)


@pytest.mark.check("O19")
@pytest.mark.parametrize("request_bytes", [b"\xff\xff\xff\xfb\xef\xbe", b"\x00\x0f\xff\xff\xff", b"0", b"01"])
def test_get_in_every_spelling(request_bytes: bytes) -> None:
    encoded = b64encode(request_bytes).decode()
    for path in (encoded, unquote(quote(encoded, safe="")), encoded.rstrip("=")):
        exchange = get("/" + path)
        assert exchange.asked == request_bytes
        assert exchange.status == 200
        assert exchange.headers["content-type"] == "application/ocsp-response"


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
    assert exchange.status == 200


@pytest.mark.check("O19")
@pytest.mark.parametrize("content_type", ["application/ocsp-request", "Application/OCSP-Request; x=y"])
def test_post(content_type: str) -> None:
    exchange = post(b"request", content_type)
    assert exchange.asked == b"request"
    assert exchange.body == TRUE.der


@pytest.mark.negative
def test_requests_that_are_not_ocsp() -> None:
    for exchange, status in [
        (post(b"x", "text/plain"), 415),
        (post(b"x", ""), 415),
        (post(b"x", "application/ocsp-response"), 415),
        (post(b"x", path="/other"), 404),
        (Exchange("DELETE", "/"), 405),
    ]:
        assert exchange.status == status
        assert exchange.asked is None
        assert exchange.headers["content-type"] == "application/problem+json"
        assert exchange.app.counts == {"refused": 1}
        problem = Problem.decode(exchange.body)
        assert problem is not None
        assert "application/ocsp-request" in problem.remedy


def test_what_is_at_hand_is_given_without_asking() -> None:
    exchange = get("/AAAA", at_hand=True, full=True)
    assert (exchange.asked, exchange.body) == (None, TRUE.der)
    assert exchange.app.counts == {"at_hand": 1}


@pytest.mark.parametrize("later", [False, True])
def test_what_has_to_be_made_is_given_when_it_is(later: bool) -> None:  # noqa: FBT001  # a parameter of the test
    exchange = get("/AAAA", later=later)
    assert (exchange.asked, exchange.body) == (b"\0\0\0", TRUE.der)
    assert exchange.app.counts == {"SUCCESSFUL": 1}


@pytest.mark.negative
@pytest.mark.parametrize("method", ["GET", "POST"])
def test_who_finds_the_line_full_is_told_to_come_later(method: str) -> None:
    exchange = Exchange(method, "/", full=True, content_type="application/ocsp-request")
    assert (exchange.status, exchange.asked) == (200, None)
    assert exchange.body == LATER.der
    assert exchange.headers["retry-after"] == "5"
    assert exchange.headers["cache-control"] == "no-store"
    assert exchange.app.counts == {"shed": 1}


@pytest.mark.check("L8")
@pytest.mark.check("L9")
def test_what_caches_are_told() -> None:
    headers = get("/AAAA").headers
    assert headers["last-modified"] == "Mon, 01 Jun 2026 11:59:50 GMT"
    assert headers["expires"] == "Mon, 01 Jun 2026 12:04:50 GMT"
    assert headers["cache-control"] == "max-age=290, public, no-transform, must-revalidate"
    assert headers["etag"].startswith('"')
    assert not headers["etag"].startswith("W/")


@pytest.mark.check("N5")
@pytest.mark.parametrize("answer", [WITH_NONCE, LATER, BROKEN])
def test_what_caches_must_not_keep(answer: Answer) -> None:
    headers = get("/AAAA", answer=answer).headers
    assert headers["cache-control"] == "no-store"
    assert "etag" not in headers
    assert ("retry-after" in headers) == (answer is LATER)


@pytest.mark.check("L10")
@pytest.mark.parametrize("spelling", ["{}", 'W/"other", {}', "W/{}", "*"])
def test_a_client_that_holds_the_answer_is_told_so(spelling: str) -> None:
    first = get("/AAAA").headers
    for method in ("GET", "HEAD"):
        for at_hand in (False, True):
            again = Exchange(method, "/AAAA", if_none_match=spelling.format(first["etag"]), at_hand=at_hand)
            assert again.status == 304
            assert again.body == b""
            assert {name: first[name] for name in again.headers} == again.headers
            assert set(again.headers) == {"last-modified", "expires", "etag", "cache-control"}


@pytest.mark.check("L10")
@pytest.mark.parametrize(
    ("since", "status"),
    [
        ("Mon, 01 Jun 2026 11:59:50 GMT", 304),
        ("Mon, 01 Jun 2026 11:59:51 GMT", 304),
        ("Mon, 01 Jun 2026 11:59:49 GMT", 200),
        ("yesterday", 200),
        ("", 200),
    ],
)
def test_a_client_that_tells_its_date(since: str, status: int) -> None:
    assert get("/AAAA", if_modified_since=since).status == status
    # a tag says more than a date, and is judged alone
    assert get("/AAAA", if_modified_since=since, if_none_match='"other"').status == 200


@pytest.mark.negative
@pytest.mark.check("L10")
def test_a_client_that_holds_another_answer_gets_this_one() -> None:
    tag = get("/AAAA").headers["etag"]
    for held in ('"other"', tag.strip('"'), f'"{"0" * 64}"', "", tag[:-2]):
        exchange = get("/AAAA", if_none_match=held)
        assert (exchange.status, exchange.body) == (200, TRUE.der)
    assert post(b"request", if_none_match=tag).status == 200


@pytest.mark.negative
@pytest.mark.check("L10")
@pytest.mark.parametrize("answer", [WITH_NONCE, LATER, BROKEN])
def test_what_may_not_be_kept_is_never_held(answer: Answer) -> None:
    assert get("/AAAA", if_none_match="*", answer=answer).status == 200
    assert get("/AAAA", if_modified_since="Mon, 01 Jun 2037 11:59:50 GMT", answer=answer).status == 200
