"""A TCP listener with TLS that speaks something else than request and answer: a tunnel, beside the HTTP listeners.

Rule: it has a thread and an event loop of its own, so that neither side can hold up the other; every connection is
bounded in number and has ended when the block ends. What is spoken on a connection is the caller's matter.
"""

import asyncio
import contextlib
import socket
import ssl
import threading
from collections.abc import Awaitable, Callable, Iterator
from dataclasses import dataclass

from edge.http_server import (
    BACKLOG,
    HANDSHAKE_TIMEOUT_S,
    SHUTDOWN_TIMEOUT_S,
    ListenerError,
    ServerTls,
    bound_socket,
    refuse_reachable_host,
    server_context,
)
from edge.process import logger

STOP_TIMEOUT_S = 5.0
BUFFER_BYTES_MAX = 16 * 1024

StreamHandler = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]


@dataclass(frozen=True, slots=True, kw_only=True)
class StreamListener:
    """Address and TLS side; port 0 takes any free one. More than `connections_max` are closed unheard."""

    name: str
    host: str
    port: int
    tls: ServerTls
    connections_max: int = 512


class BoundStream:
    """A listener that has its address and serves nobody yet."""

    def __init__(self, listener: StreamListener, bound: socket.socket) -> None:
        """Keep both; `bound_stream` makes these."""
        self.listener = listener
        self._bound = bound
        self._context = server_context(listener.tls, name=listener.name)

    @property
    def address(self) -> str:
        """`host:port` as bound."""
        return f"{self.listener.host}:{self._bound.getsockname()[1]}"

    @contextlib.contextmanager
    def serving(self, handler: StreamHandler) -> Iterator[None]:
        """Serve connections while the block runs; `handler` runs once a connection, in this listener's loop."""
        running = _Running(handler, connections_max=self.listener.connections_max)
        thread = threading.Thread(
            target=lambda: asyncio.run(running.serve(self._bound, self._context)),
            name=f"stream-{self.listener.name}",
            daemon=True,
        )
        thread.start()
        running.accepting.wait(HANDSHAKE_TIMEOUT_S)
        if not running.accepting.is_set():
            raise ListenerError(f"listener {self.listener.name}: does not come up")
        try:
            yield
        finally:
            running.stop()
            thread.join(STOP_TIMEOUT_S + SHUTDOWN_TIMEOUT_S)


@contextlib.contextmanager
def bound_stream(listener: StreamListener, *, profile: str) -> Iterator[BoundStream]:
    """Take a listener's address; in the profile `lab` it must be a loopback address. Raises ListenerError."""
    if profile == "lab":
        refuse_reachable_host(listener)
    with bound_socket(listener) as bound:
        yield BoundStream(listener, bound)


class _Running:
    """The event loop's side: accepts, counts, and ends what is open."""

    def __init__(self, handler: StreamHandler, *, connections_max: int) -> None:
        self.accepting = threading.Event()
        self._handler = handler
        self._connections_max = connections_max
        self._tasks: set[asyncio.Task[None]] = set()
        self._ended: asyncio.Event | None = None
        self._loop: asyncio.AbstractEventLoop | None = None

    async def serve(self, bound: socket.socket, context: ssl.SSLContext) -> None:
        self._loop, self._ended = asyncio.get_running_loop(), asyncio.Event()
        server = await asyncio.start_server(
            self._connected,
            sock=bound,
            backlog=BACKLOG,
            limit=BUFFER_BYTES_MAX,
            ssl=context,
            ssl_handshake_timeout=HANDSHAKE_TIMEOUT_S,
            ssl_shutdown_timeout=SHUTDOWN_TIMEOUT_S,
        )
        self.accepting.set()
        await self._ended.wait()
        server.close()
        for task in self._tasks:
            task.cancel()
        if self._tasks:
            await asyncio.wait(self._tasks, timeout=STOP_TIMEOUT_S)

    def stop(self) -> None:
        if self._loop is not None and self._ended is not None:
            self._loop.call_soon_threadsafe(self._ended.set)

    async def _connected(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        if task is None or len(self._tasks) >= self._connections_max:
            writer.transport.abort()
            return
        self._tasks.add(task)
        try:
            await self._handler(reader, writer)
        except (ConnectionError, TimeoutError, asyncio.IncompleteReadError):
            pass  # the peer went away
        except Exception as error:  # noqa: BLE001 - one bad connection must not end the others
            logger("stream").error("unexpected", exc_info=error)
        finally:
            self._tasks.discard(task)
            writer.close()
