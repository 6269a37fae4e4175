"""What stands between a listener and its application: limits first, one log line after.

The one rule: an application sees a request only when its whole body is in memory, within the listener's
limit and deadline, so a slow or endless sender costs a little memory for a while and never a worker.

The line says which route was taken, by its template, and for which tenant; not which device it was about (D21), and
nothing that the request brought.
"""

import asyncio
from collections.abc import Awaitable, Callable, MutableMapping
from dataclasses import dataclass
from secrets import token_hex
from typing import Any
from urllib.parse import unquote

from structlog.contextvars import bound_contextvars

from edge.metrics import ListenerLoad, ProcessMetrics
from edge.problem_document import CONTENT_TYPE, Problem, body_too_large
from edge.process import logger, monotonic_ms
from edge.request_notes import NOTES, RequestNotes

Scope = MutableMapping[str, Any]
Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
AsgiApp = Callable[[Scope, Receive, Send], Awaitable[None]]

DRAIN_TIMEOUT_S = 2.0
DRAIN_BYTES_MAX = 4 << 20
HEAD_BYTES_MAX = 16 * 1024
REQUEST_ID = b"x-request-id"
"""Header field of every answer, and member of every log line that its request causes."""
_ID_BYTES = 8


class _RefusedError(Exception):
    """The request is answered here; `unread` when more of its body is still coming."""

    def __init__(self, problem: Problem, *, unread: bool = False) -> None:
        self.problem = problem
        self.unread = unread
        super().__init__(problem.title)


class _GoneError(Exception):
    """The client closed the connection before its request was complete."""


@dataclass(frozen=True, slots=True, kw_only=True)
class GuardLimits:
    """Limits of one listener.

    `body_bytes_max` octets a body, all within `body_timeout_s`; at most `requests_max` requests at work or
    waiting for a worker, and `buffered_bytes_max` octets of all their bodies together.
    """

    body_bytes_max: int
    requests_max: int
    body_timeout_s: float = 20.0
    buffered_bytes_max: int = 64 << 20


class RequestGuard:
    """ASGI wrapper of one listener's application; past its limits 413, 408, 431, or 503 with Retry-After."""

    def __init__(
        self,
        app: AsgiApp,
        *,
        listener: str,
        limits: GuardLimits,
        metrics: ProcessMetrics | None = None,
        logged: bool = True,
    ) -> None:
        """Wrap `app`, counting in `metrics`; nothing is started."""
        self._app = app
        self._listener = listener
        self._limits = limits
        self._logged = logged
        self._metrics = metrics or ProcessMetrics()
        self._load: ListenerLoad = self._metrics.load_of(listener, requests_max=limits.requests_max)
        self._buffered_bytes = 0
        self._log = logger("http").bind()  # bound once, not at each line

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request."""
        if scope["type"] != "http":
            return
        notes, request_id = RequestNotes(), token_hex(_ID_BYTES)
        scope = {**_in_origin_form(scope), NOTES: notes}
        started, status = monotonic_ms(), 0

        async def noting_send(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                named = [*message.get("headers", ()), (REQUEST_ID, request_id.encode())]
                message = {**message, "headers": named}
            await send(message)

        try:
            with bound_contextvars(request_id=request_id):
                await self._serve(scope, receive, noting_send)
        except _RefusedError as refusal:
            notes.problem = refusal.problem.type
            await _refuse(refusal, receive, noting_send)
        except _GoneError:
            pass
        finally:
            self._account(notes, scope["method"], request_id, status=status, ms=monotonic_ms() - started)

    def _account(self, notes: RequestNotes, method: str, request_id: str, *, status: int, ms: float) -> None:
        """Count a request that is over, and log its one line."""
        route = None if notes.route is None else f"{method} {notes.route}"
        self._metrics.answered(listener=self._listener, route=route, status=status, seconds=ms / 1000)
        if notes.problem is not None:
            self._metrics.refused(listener=self._listener, code=notes.problem)
        if self._logged:
            self._log.info(
                "request",
                request_id=request_id,
                listener=self._listener,
                method=method,
                route=notes.route,
                status=status,
                ms=round(ms, 1),
                caller=notes.role,
                tenant=notes.tenant,
                problem=notes.problem,
            )

    async def _serve(self, scope: Scope, receive: Receive, send: Send) -> None:
        _check_head(scope)
        self._refuse_declared(scope)
        body = bytearray()
        try:
            await self._read_into(body, receive)
            if self._load.at_work >= self._limits.requests_max:
                raise _RefusedError(_overloaded())
            self._load.at_work += 1
            try:
                await self._app(_with_length(scope, len(body)), _once(bytes(body), receive), send)
            finally:
                self._load.at_work -= 1
        finally:
            self._buffered_bytes -= len(body)

    def _refuse_declared(self, scope: Scope) -> None:
        declared = [value for name, value in scope["headers"] if name == b"content-length"]
        if declared and int(declared[0]) > self._limits.body_bytes_max:
            raise _RefusedError(body_too_large(self._limits.body_bytes_max), unread=True)

    async def _read_into(self, body: bytearray, receive: Receive) -> None:
        """Read the body; what is in `body` is counted as buffered, also when this raises."""
        try:
            async with asyncio.timeout(self._limits.body_timeout_s):
                more = True
                while more:
                    message = await receive()
                    if message["type"] == "http.disconnect":
                        raise _GoneError
                    part = message.get("body", b"")
                    more = message.get("more_body", False)
                    body += part
                    self._buffered_bytes += len(part)
                    if len(body) > self._limits.body_bytes_max:
                        raise _RefusedError(body_too_large(self._limits.body_bytes_max), unread=more)
                    if self._buffered_bytes > self._limits.buffered_bytes_max:
                        raise _RefusedError(_overloaded(), unread=more)
        except TimeoutError:
            raise _RefusedError(_too_slow(self._limits.body_timeout_s)) from None


def _in_origin_form(scope: Scope) -> Scope:
    """The scope of a request whose target has a scheme and a host, without these (RFC 9112 section 3.2.2)."""
    target: bytes = scope["raw_path"]
    if not target.lower().startswith((b"http://", b"https://")):
        return scope
    _, slash, path = target.partition(b"://")[2].partition(b"/")
    raw_path = slash + path or b"/"
    return {**scope, "raw_path": raw_path, "path": unquote(raw_path.decode("ascii"))}


def _check_head(scope: Scope) -> None:
    """Refuse two lengths, another version, a path that no store can look up; limit the head also when it came in one piece.

    Length and Transfer-Encoding together are how a request is smuggled past a proxy that believes the other
    (RFC 9112 section 6.1); the parser limits only heads that are incomplete.
    """
    if scope.get("http_version", "1.1") not in {"1.0", "1.1"}:
        raise _RefusedError(_version_not_served(), unread=True)
    if any(character < " " or character == "\x7f" for character in scope["path"]):
        raise _RefusedError(_control_characters(), unread=True)
    if {b"content-length", b"transfer-encoding"} <= {name for name, _ in scope["headers"]}:
        raise _RefusedError(_two_lengths(), unread=True)
    size = len(scope["raw_path"]) + len(scope["query_string"])
    size += sum(len(name) + len(value) + 4 for name, value in scope["headers"])
    if size > HEAD_BYTES_MAX:
        raise _RefusedError(
            Problem(
                status=431,
                type="head-too-large",
                title="Request Header Fields Too Large",
                detail=f"the request line and header fields may have {HEAD_BYTES_MAX} bytes together",
                subject="header fields",
                reason="size",
                remedy="send less",
            )
        )


def _with_length(scope: Scope, length: int) -> Scope:
    headers = [
        (name, value)
        for name, value in scope["headers"]
        if name not in {b"content-length", b"transfer-encoding"}
    ]
    if length or len(headers) != len(scope["headers"]):
        headers.append((b"content-length", str(length).encode()))
    return {**scope, "headers": headers}


def _once(body: bytes, receive: Receive) -> Receive:
    given = False

    async def receive_body() -> Message:
        nonlocal given
        if given:
            return await receive()
        given = True
        return {"type": "http.request", "body": body, "more_body": False}

    return receive_body


async def _refuse(refusal: _RefusedError, receive: Receive, send: Send) -> None:
    """Send the refusal, then swallow what is still coming for a moment.

    Closing at once with unread bytes makes the kernel reset the connection, and the client would lose
    the answer that tells it what was wrong.
    """
    problem = refusal.problem
    document = problem.encode()
    headers = [
        (b"content-type", CONTENT_TYPE.encode()),
        (b"content-length", str(len(document)).encode()),
        (b"connection", b"close"),
    ]
    if problem.status == 503:  # noqa: PLR2004  # the one status with a Retry-After here
        headers.append((b"retry-after", b"2"))
    await send({"type": "http.response.start", "status": problem.status, "headers": headers})
    await send({"type": "http.response.body", "body": document, "more_body": True})
    swallowed = 0
    try:
        async with asyncio.timeout(DRAIN_TIMEOUT_S):
            more = refusal.unread
            while more and swallowed < DRAIN_BYTES_MAX:
                message = await receive()
                swallowed += len(message.get("body", b""))
                more = message.get("more_body", False)
    except TimeoutError:
        pass
    await send({"type": "http.response.body", "body": b"", "more_body": False})


def _two_lengths() -> Problem:
    return Problem(
        status=400,
        type="malformed-http",
        title="Bad Request",
        detail="the request has both Content-Length and Transfer-Encoding",
        subject="header fields",
        reason="http",
        remedy="send one of the two",
    )


def _control_characters() -> Problem:
    return Problem(
        status=400,
        type="malformed-http",
        title="Bad Request",
        detail="the path holds control characters",
        subject="request line",
        reason="http",
        remedy="leave them out",
    )


def _version_not_served() -> Problem:
    return Problem(
        status=505,
        type="malformed-http",
        title="HTTP Version Not Supported",
        detail="expected HTTP/1.1 or HTTP/1.0",
        subject="request line",
        reason="http",
        remedy="send HTTP/1.1",
    )


def _overloaded() -> Problem:
    return Problem(
        status=503,
        type="overloaded",
        title="Service Unavailable",
        detail="too many requests are waiting",
        reason="overload",
        remedy="try again after the time in Retry-After",
    )


def _too_slow(seconds: float) -> Problem:
    return Problem(
        status=408,
        type="body-too-slow",
        title="Request Timeout",
        detail=f"the body did not arrive within {seconds:g} s",
        subject="body",
        reason="timeout",
        remedy="send it again without pauses",
    )
