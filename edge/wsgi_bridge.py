"""From ASGI to a WSGI application, for requests that are whole before they come here.

The one rule: one hand-over to a thread and one back a request. Behind `edge.request_guard` a request's body is in memory,
and an answer of ours is made whole before it is sent; a bridge that streams both hands over six times, which costs more than
most of our views do. A slow reader keeps memory, and no worker.

To be given up for a library that does the same.
"""

import asyncio
import io
import sys
from collections.abc import Awaitable, Callable, Iterable, MutableMapping
from concurrent.futures import ThreadPoolExecutor
from contextvars import copy_context
from dataclasses import dataclass, field
from typing import Any

Environ = dict[str, Any]
WsgiApp = Callable[[Environ, Callable[..., Any]], Iterable[bytes]]
Scope = MutableMapping[str, Any]
Message = MutableMapping[str, Any]
_NAMED_ALONE = {"content-length": "CONTENT_LENGTH", "content-type": "CONTENT_TYPE"}


@dataclass(slots=True)
class _Answer:
    """What an application has said so far."""

    status: int = 0
    headers: list[tuple[bytes, bytes]] = field(default_factory=list)
    body: list[bytes] = field(default_factory=list)

    def start(
        self, status: str, headers: list[tuple[str, str]], exc_info: object = None
    ) -> Callable[[bytes], object]:
        """Take status and header fields (PEP 3333); nothing was sent yet, so they may be said anew after an exception."""
        if self.status and exc_info is None:
            raise ValueError("start_response was called twice")
        self.status = int(status.partition(" ")[0])
        self.headers = [(name.lower().encode("latin1"), value.encode("latin1")) for name, value in headers]
        return self.body.append


class WsgiBridge:
    """ASGI application around the WSGI application `app`; `workers` threads serve it."""

    def __init__(self, app: WsgiApp, *, workers: int) -> None:
        """Start no thread yet."""
        self._app = app
        self._executor = ThreadPoolExecutor(workers, thread_name_prefix="wsgi")

    async def __call__(
        self,
        scope: Scope,
        receive: Callable[[], Awaitable[Message]],
        send: Callable[[Message], Awaitable[None]],
    ) -> None:
        """Serve one request, whose whole body the first message must bring."""
        message = await receive()
        if message.get("more_body", False):
            raise ValueError("expected the whole body of a request in one message")
        environ = environ_of(scope, message.get("body", b""))
        # the context has the request's id, which every log line of the worker is to show
        answer = await asyncio.get_running_loop().run_in_executor(
            self._executor, copy_context().run, self._answer, environ
        )
        await send({"type": "http.response.start", "status": answer.status, "headers": answer.headers})
        await send({"type": "http.response.body", "body": b"".join(answer.body)})

    def _answer(self, environ: Environ) -> _Answer:
        answer = _Answer()
        parts = self._app(environ, answer.start)
        try:
            answer.body.extend(parts)
        finally:
            close = getattr(parts, "close", None)
            if close is not None:
                close()
        return answer


def environ_of(scope: Scope, body: bytes) -> Environ:
    """A WSGI environment (PEP 3333); a header field can become `CONTENT_*` or `HTTP_*` and nothing else."""
    address, port = scope.get("server") or ("localhost", 80)
    environ: Environ = {
        "asgi.scope": scope,
        "REQUEST_METHOD": scope["method"],
        "SCRIPT_NAME": "",
        "PATH_INFO": scope["path"].encode().decode("latin1"),
        "QUERY_STRING": scope["query_string"].decode("latin1"),
        "SERVER_PROTOCOL": f"HTTP/{scope['http_version']}",
        "SERVER_NAME": address,
        "SERVER_PORT": str(port or 0),
        "wsgi.version": (1, 0),
        "wsgi.url_scheme": scope.get("scheme", "http"),
        "wsgi.input": io.BytesIO(body),
        "wsgi.errors": sys.stderr,
        "wsgi.multithread": True,
        "wsgi.multiprocess": False,
        "wsgi.run_once": False,
    }
    if scope.get("client") is not None:
        environ["REMOTE_ADDR"], port = scope["client"]
        environ["REMOTE_PORT"] = str(port)
    for name, value in scope["headers"]:
        text = name.decode("latin1").lower()
        key = _NAMED_ALONE.get(text) or f"HTTP_{text.upper().replace('-', '_')}"
        said = value.decode("latin1")
        environ[key] = f"{environ[key]},{said}" if key in environ else said
    return environ
