"""A plain HTTP/1.1 listener for octets in, octets out: thousands of small answers a second from one process.

granian parses and writes, on a thread of its own; the application is called on the event loop that the process's
other listeners share, with no framework between. It is for answers that everybody may read: no TLS, no clients'
certificates, no log line a request (`edge.http_server` has all of that).

The one rule: a request reaches the application whole, within its limits, or not at all.

    head        `HEAD_TIMEOUT_S` for a head, and for the next one on an idle connection; 16 KiB at most
    body        Content-Length only, at most `body_bytes_max`, whole within `BODY_TIMEOUT_S`: else 411, 413, 408
    reader      who takes nothing for `READER_TIMEOUT_S` is cut off by the kernel (TCP_USER_TIMEOUT)
    connections `connections_max`; more wait in the kernel's backlog
"""

import asyncio
import logging
import socket
from collections.abc import Awaitable
from dataclasses import dataclass, field
from http import HTTPStatus
from typing import Any, Protocol

from granian._granian import (
    RSGIHTTPProtocol,
    RSGIProtocolClosed,
    SocketHolder,
)  # no public names export these
from granian.constants import HTTPModes, Interfaces
from granian.http import HTTP1Settings
from granian.rsgi import Scope
from granian.server.embed import Server

from edge.problem_document import CONTENT_TYPE, Problem, body_too_large
from edge.process import logger

HEAD_TIMEOUT_S = 10.0
BODY_TIMEOUT_S = 10.0
READER_TIMEOUT_S = 30.0
HEAD_BUFFER_BYTES = 16 * 1024
CONNECTIONS_MAX = 8192
_BACKLOG = 1024
_SWEEP_S = 0.5
_CLOSE = ("connection", "close")


class Headers(Protocol):
    """Header fields of a request, their names in lower case."""

    def get(self, key: str, default: Any = None) -> Any:
        """The first value of the field `key`."""


@dataclass(frozen=True, slots=True)
class Reply:
    """What goes back; the server adds Content-Length and Date."""

    status: int
    headers: list[tuple[str, str]]
    body: bytes = b""


class OctetApp(Protocol):
    """The application; called on the event loop, so it must not wait: what takes time comes as an awaitable."""

    def __call__(self, method: str, path: str, headers: Headers, body: bytes) -> Reply | Awaitable[Reply]:
        """Answer one request; `path` is decoded once."""


@dataclass(frozen=True, slots=True, kw_only=True)
class OctetListener:
    """One address and the application behind it; port 0 takes any free one."""

    name: str
    host: str
    port: int
    app: OctetApp
    body_bytes_max: int
    connections_max: int = CONNECTIONS_MAX
    head_timeout_s: float = HEAD_TIMEOUT_S
    body_timeout_s: float = BODY_TIMEOUT_S
    reader_timeout_s: float = READER_TIMEOUT_S
    scheme: str = field(default="http", init=False)


class OctetServer:
    """A listener while it is served, as `edge.http_server.serve` drives it."""

    def __init__(self, listener: OctetListener, bound: socket.socket) -> None:
        """Take the bound socket; nobody is served yet."""
        self.accepting = asyncio.Event()
        self.force_exit = False
        self._stopping = False
        self._requests = _Requests(listener)
        logging.getLogger("_granian").setLevel(logging.ERROR)
        self._granian = _OnSocket(
            self._requests.serve,
            interface=Interfaces.RSGI,
            http=HTTPModes.http1,
            websockets=False,
            log_enabled=False,
            backlog=_BACKLOG,
            backpressure=listener.connections_max,
            http1_settings=HTTP1Settings(
                header_read_timeout=int(listener.head_timeout_s * 1000), max_buffer_size=HEAD_BUFFER_BYTES
            ),
        )
        self._granian.bound = bound
        bound.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, int(listener.reader_timeout_s * 1000))

    @property
    def should_exit(self) -> bool:
        """Whether it was told to stop; setting it lets the requests at work finish."""
        return self._stopping

    @should_exit.setter
    def should_exit(self, value: bool) -> None:
        if value and not self._stopping:
            self._stopping = True
            self._granian.stop()  # type: ignore[no-untyped-call]

    async def serve(self) -> None:
        """Serve until told to stop."""
        sweeper = asyncio.create_task(self._requests.sweep())
        self._granian.bound.listen(_BACKLOG)
        self.accepting.set()
        try:
            await self._granian.serve()
        finally:
            sweeper.cancel()


class _OnSocket(Server):
    """granian on a socket that was bound before, so that its port is known and a conflict is an error of ours."""

    bound: socket.socket

    def _init_shared_socket(self) -> None:
        self._ssp = None
        # a copy of its own: whoever bound the socket closes it
        self._shd = SocketHolder(self.bound.dup().detach(), False, _BACKLOG)  # type: ignore[assignment, call-arg]  # noqa: FBT003  # granian types its sockets loosely


class _Requests:
    """From granian's scope and protocol to the application and back."""

    def __init__(self, listener: OctetListener) -> None:
        self._listener = listener
        self._app = listener.app
        # a timer for each body would cost more than the rest of the request
        self._reading: dict[asyncio.Task[Any], float] = {}
        self._log = logger("http")

    async def serve(self, scope: Scope, protocol: RSGIHTTPProtocol) -> None:
        """One request."""
        headers = scope.headers
        try:
            refused = self._refusal(scope, headers)
            if refused is None:
                body = await self._body(protocol) if headers.get("content-length") not in _EMPTY else b""
                reply = self._app(scope.method, scope.path, headers, body)
                if not isinstance(reply, Reply):
                    reply = await reply
            else:
                reply = refused
        except TimeoutError:
            reply = _problem(HTTPStatus.REQUEST_TIMEOUT, "body", "send it again without pauses")
        except (RSGIProtocolClosed, asyncio.CancelledError):
            return  # nobody is there any more
        except Exception as error:  # noqa: BLE001  # one bad request must not end the others
            self._log.error("unexpected", exc_info=error)
            reply = _problem(HTTPStatus.INTERNAL_SERVER_ERROR, "request", "try again later")
        if reply.body:
            protocol.response_bytes(reply.status, reply.headers, reply.body)
        else:
            protocol.response_empty(reply.status, reply.headers)

    async def sweep(self) -> None:
        """End the reading of bodies whose time is up."""
        loop = asyncio.get_running_loop()
        while True:
            await asyncio.sleep(_SWEEP_S)
            now = loop.time()
            for task, began in list(self._reading.items()):
                if now - began > self._listener.body_timeout_s:
                    del self._reading[task]
                    task.cancel()

    def _refusal(self, scope: Scope, headers: Headers) -> Reply | None:
        """What is refused before its body is read."""
        length = headers.get("content-length")
        if length is not None:
            # the parser passed it: digits; a length with a Transfer-Encoding beside it does not come here
            if len(length) > _LENGTH_DIGITS or int(length) > self._listener.body_bytes_max:
                return _reply_of(body_too_large(self._listener.body_bytes_max))
        elif "transfer-encoding" in headers:  # type: ignore[operator]
            return _problem(HTTPStatus.LENGTH_REQUIRED, "Transfer-Encoding", "send Content-Length instead")
        if scope.http_version == "1.1" and headers.get("host") is None and not scope.authority:
            return _problem(HTTPStatus.BAD_REQUEST, "Host", "send one HTTP/1.1 request as RFC 9112 has it")
        return None

    async def _body(self, protocol: RSGIHTTPProtocol) -> bytes:
        task = asyncio.current_task()
        if task is None:  # cannot be: this runs in one
            return await protocol()
        self._reading[task] = task.get_loop().time()
        try:
            return await protocol()
        except asyncio.CancelledError:
            if task in self._reading:
                raise
            task.uncancel()
            raise TimeoutError from None
        finally:
            self._reading.pop(task, None)


_EMPTY = frozenset({None, "0"})
_LENGTH_DIGITS = 9


def _problem(status: HTTPStatus, subject: str, remedy: str) -> Reply:
    return _reply_of(
        Problem(
            status=status,
            type=status.phrase.lower().replace(" ", "-"),
            title=status.phrase,
            detail=f"{subject}: {status.description.lower() or status.phrase.lower()}",
            subject=subject,
            reason="http",
            remedy=remedy,
        )
    )


def _reply_of(problem: Problem) -> Reply:
    headers = [("content-type", CONTENT_TYPE), ("cache-control", "no-store"), _CLOSE]
    return Reply(problem.status, headers, problem.encode())
