"""OCSP over HTTP (RFC 6960 appendix A, RFC 9919 section 6): octets in, octets out, at the root of its listener.

    GET  /{url-encoding of base64 of the DER request}
    POST /   with Content-Type application/ocsp-request

The one rule: whatever was asked, an OCSP answer is a 200, or a 304 to whoever holds it already; caches may
keep an answer exactly as long as it is true, and an answer with a nonce or without a status not at all.
"""

import binascii
import threading
from asyncio import Future
from base64 import b64decode
from collections import Counter
from collections.abc import Awaitable
from datetime import UTC, datetime
from email.utils import format_datetime, parsedate_to_datetime
from hashlib import sha256
from http import HTTPStatus
from typing import Protocol

from edge.octet_server import Headers, Reply
from edge.problem_document import CONTENT_TYPE, Problem
from edge.process import Clock, logger
from ocsp.at_hand import Kept, Wanted
from ocsp.responses import Answer, error_response
from standards.pki.ocsp import REQUEST_BYTES_MAX, ResponseStatus

REQUEST_TYPE = "application/ocsp-request"
RESPONSE_TYPE = "application/ocsp-response"
TRY_LATER_S = 5
_BASE64_GROUP = 4
_NO_STORE = ("cache-control", "no-store")
_TYPE = ("content-type", RESPONSE_TYPE)
_FOR_ONE = [_TYPE, _NO_STORE]


class Answers(Protocol):
    """What the responder has at hand."""

    def find(self, wire: str | bytes, *, now: datetime) -> Kept | None:
        """The answer to what came as `wire`, None where one has to be made."""


class Queue(Protocol):
    """Where answers wait to be made."""

    @property
    def waiting(self) -> int:
        """How many answers wait at this moment."""

    def submit(self, wanted: Wanted) -> Future[Kept] | None:
        """Where the answer will be; None when too many wait."""


class PublicApp:
    """The application of the public listener; `counts` says what it did since somebody last took it."""

    def __init__(self, answers: Answers, queue: Queue, *, clock: Clock) -> None:
        """Answer from `answers`; what has to be made goes through `queue`."""
        self._answers = answers
        self._queue = queue
        self._clock = clock
        self._log = logger("ocsp")
        self.counts: Counter[str] = Counter()
        self._logged: Counter[str] = Counter()
        self._reading = threading.Lock()

    def __call__(self, method: str, path: str, headers: Headers, body: bytes) -> Reply | Awaitable[Reply]:
        """Answer one HTTP request."""
        wire: str | bytes
        if method == "GET" or method == "HEAD":  # noqa: PLR1714  # a set of two is slower, and this is asked always
            wire = path
        elif method == "POST":
            refused = _refusal_of_post(path, headers)
            if refused is not None:
                return self._refuse(refused)
            wire = body
        else:
            return self._refuse(HTTPStatus.METHOD_NOT_ALLOWED, ("allow", "GET, HEAD, POST"))
        now = self._clock()
        kept = self._answers.find(wire, now=now)
        if kept is not None:
            self.counts["at_hand"] += 1
            return _reply(kept, method, headers, now=now)
        request = wire if isinstance(wire, bytes) else _from_path(wire)
        place = self._queue.submit(Wanted(request, wire))
        if place is None:
            self.counts["shed"] += 1
            return _TRY_LATER
        return self._made(place, method, headers)

    def log_counts(self) -> None:
        """One log line about the requests since the last one; nothing where there were none."""
        with self._reading:
            counts, self.counts = self.counts, Counter()
            self._logged.update(counts)
        if counts:
            self._log.info("requests", **{name.lower(): number for name, number in counts.items()})

    def waiting(self) -> int:
        """How many answers wait to be made."""
        return self._queue.waiting

    def totals(self) -> Counter[str]:
        """The requests since the process started."""
        with self._reading:
            return self._logged + self.counts

    async def _made(self, place: Future[Kept], method: str, headers: Headers) -> Reply:
        kept = await place
        self.counts[kept.answer.status.name] += 1
        if kept.answer.status is ResponseStatus.INTERNAL_ERROR:
            self._log.error("ocsp-internal-error", exc_info=kept.answer.error)
        return _reply(kept, method, headers, now=self._clock())

    def _refuse(self, status: HTTPStatus, *headers: tuple[str, str]) -> Reply:
        self.counts["refused"] += 1
        body = Problem(
            status=status,
            type=status.phrase.lower().replace(" ", "-"),
            title=status.phrase,
            detail="this is an OCSP responder, see RFC 6960 appendix A",
            subject="request",
            reason="http",
            remedy=f"GET /<base64 of the request>, or POST it to / as {REQUEST_TYPE}, at most {REQUEST_BYTES_MAX} bytes",
        ).encode()
        return Reply(status, [("content-type", CONTENT_TYPE), _NO_STORE, *headers], body)


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


def _refusal_of_post(path: str, headers: Headers) -> HTTPStatus | None:
    if path not in {"", "/"}:
        return HTTPStatus.NOT_FOUND
    content_type = headers.get("content-type", "")
    if content_type != REQUEST_TYPE and content_type.partition(";")[0].strip().lower() != REQUEST_TYPE:
        return HTTPStatus.UNSUPPORTED_MEDIA_TYPE
    return None


def _reply(kept: Kept, method: str, headers: Headers, *, now: datetime) -> Reply:
    if kept.answer.nonce:
        return Reply(200, _FOR_ONE, kept.answer.der)
    caching = _headers(kept, now=now)
    if method != "POST" and _is_held(headers, caching, kept.answer):
        return Reply(HTTPStatus.NOT_MODIFIED, [each for each in caching if each is not _TYPE])
    return Reply(200, caching, kept.answer.der)


def _headers(kept: Kept, *, now: datetime) -> list[tuple[str, str]]:
    """Header fields of an answer at `now`; they change once a second."""
    second = int(now.timestamp())
    if kept.headers_second != second:
        kept.headers, kept.headers_second = [_TYPE, *_cache_headers(kept.answer, now=now)], second
    return kept.headers


def _cache_headers(answer: Answer, *, now: datetime) -> list[tuple[str, str]]:
    if answer.status is ResponseStatus.TRY_LATER:
        return [_NO_STORE, ("retry-after", str(TRY_LATER_S))]
    if answer.this_update is None or answer.next_update is None:
        return [_NO_STORE]
    left_s = max(0, int((answer.next_update - now).total_seconds()))
    return [
        ("last-modified", format_datetime(answer.this_update, usegmt=True)),
        ("expires", format_datetime(answer.next_update, usegmt=True)),
        ("etag", f'"{sha256(answer.der).hexdigest()}"'),
        ("cache-control", f"max-age={left_s}, public, no-transform, must-revalidate"),
    ]


def _is_held(headers: Headers, caching: list[tuple[str, str]], answer: Answer) -> bool:
    """Whether the client holds this very answer (RFC 9110 sections 13.1.2 and 13.1.3)."""
    if_none_match: str | None = headers.get("if-none-match")
    since: str | None = headers.get("if-modified-since")
    if if_none_match is None and since is None:
        return False
    tag = dict(caching).get("etag")
    if tag is None or answer.this_update is None:
        return False
    if if_none_match is not None:
        held = {each.strip().removeprefix("W/") for each in if_none_match.split(",")}
        return not held.isdisjoint({tag, "*"})
    try:
        at = parsedate_to_datetime(since or "")
    except (ValueError, TypeError):
        return False
    return answer.this_update <= (at if at.tzinfo is not None else at.replace(tzinfo=UTC))


_TRY_LATER = Reply(
    200,
    [_TYPE, _NO_STORE, ("retry-after", str(TRY_LATER_S))],
    error_response(ResponseStatus.TRY_LATER),
)
