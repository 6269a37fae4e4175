"""Listeners of one process: plain HTTP, TLS and mutual TLS side by side on one event loop.

A `Listener` is served by uvicorn; an `OctetListener`, plain and fast, by granian (`edge.octet_server`).

One OS process, because each database file has one writer process (D13); the applications run in a small
pool of threads a listener, so a flood on the public listener leaves the operators' listener its own.
Each listener has its own application with its own route table; which clients may do what is decided by
`edge.principals` from the certificate that the handshake proved, never by "TLS passed".
"""

import asyncio
import contextlib
import gc
import inspect
import ipaddress
import resource
import signal
import socket
import ssl
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import uvicorn

from edge.http_protocol import PEER_CERTIFICATE, PeerCertificateProtocol
from edge.keys import check_private_file, read_passphrase
from edge.metrics import ProcessMetrics
from edge.octet_server import OctetListener, OctetServer
from edge.periodic import Periodic, run_periodically
from edge.process import logger, print_ready
from edge.request_guard import HEAD_BYTES_MAX, AsgiApp, GuardLimits, RequestGuard
from edge.wsgi_bridge import WsgiBridge

TLS12_CIPHERS = "ECDHE+AESGCM:ECDHE+CHACHA20"
HANDSHAKE_TIMEOUT_S = 10.0
SHUTDOWN_TIMEOUT_S = 1.0  # idle clients do not answer a close: they must not hold up the end of the process
GRACE_S = 10
BACKLOG = 1024


BODY_BYTES_MAX = 64 * 1024
"""Of a request's body, where a listener says nothing else."""


class ListenerError(Exception):
    """A listener cannot be opened as configured: which one, why, and what to do."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ServerTls:
    """TLS side of a listener; with `client_anchors` (PEM file) every client must prove a certificate.

    `is_client_optional` lets those in who show none; what is shown must still be proven.
    """

    certificate: Path
    key: Path
    passphrase_file: Path | None = None
    client_anchors: Path | None = None
    is_client_optional: bool = False


class Address(Protocol):
    """Where a listener listens."""

    @property
    def name(self) -> str:
        """Name of the listener, for people."""

    @property
    def host(self) -> str:
        """Host name or address."""

    @property
    def port(self) -> int:
        """TCP port; 0 takes any free one."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Listener:
    """One address and the application behind it.

    `app` is a WSGI or an ASGI callable; port 0 takes any free one. `workers` threads serve a WSGI
    application; `requests_max` may be at work or wait for one. `beside` is work that the listener needs while it is
    served. A `unix_socket` stands in place of host and port, for its owner and group. `logged` False spares the log
    a line for each time that this machine looks whether the process lives.
    """

    name: str
    host: str
    port: int
    app: Callable[..., Any]
    tls: ServerTls | None = None
    body_bytes_max: int = BODY_BYTES_MAX
    workers: int = 8
    requests_max: int = 256
    logged: bool = True
    unix_socket: Path | None = None
    beside: tuple[Periodic, ...] = ()

    @property
    def scheme(self) -> str:
        """Scheme of the listener's URL."""
        return "http" if self.tls is None else "https"


Ready = Callable[[str, Mapping[str, str]], None]


class Attended(Protocol):
    """What is counted and told of a process while it serves (`edge.management`)."""

    @property
    def metrics(self) -> ProcessMetrics:
        """Where requests are counted."""

    def watched(self, tasks: Iterable[Periodic]) -> tuple[Periodic, ...]:
        """The same work, watched."""

    def listeners(self) -> tuple[Listener, ...]:
        """Where it is told."""


def serve(
    listeners: Sequence[Listener | OctetListener],
    *,
    role: str,
    profile: str = "production",
    ready: Ready = print_ready,
    periodic: Sequence[Periodic] = (),
    management: Attended | None = None,
) -> None:
    """Serve `listeners` until SIGTERM or SIGINT, then let the requests at work finish and return.

    `ready(role, {name: url})` is called once all of them accept. In the profile `lab`, whose anchors
    are known to everybody, every host must be a loopback address. `periodic` work runs in threads
    beside, watched by `management`, which has a listener of its own where it is configured. Raises ListenerError
    before anything is served.
    """
    metrics = ProcessMetrics() if management is None else management.metrics
    listeners = [*listeners, *(() if management is None else management.listeners())]
    if profile == "lab":
        for listener in listeners:
            refuse_reachable_host(listener)
    _raise_file_limit()
    contexts = [_context(listener) for listener in listeners]
    with contextlib.ExitStack() as stack:
        sockets = [stack.enter_context(bound_socket(listener)) for listener in listeners]
        urls = {
            listener.name: _url(listener, bound) for listener, bound in zip(listeners, sockets, strict=True)
        }
        beside = [
            each for listener in listeners if isinstance(listener, Listener) for each in listener.beside
        ]
        work = [*periodic, *beside]
        stack.enter_context(run_periodically(work if management is None else management.watched(work)))

        async def serve_all() -> None:
            # granian's embedded server belongs to the loop in which it is made
            servers = [
                OctetServer(listener, bound)
                if isinstance(listener, OctetListener)
                else _Server(_config(listener, metrics), bound, context)
                for listener, bound, context in zip(listeners, sockets, contexts, strict=True)
            ]
            await _serve_all(servers, lambda: ready(role, urls))

        # what was made until now stays: looking through it again and again would halt everybody for tens of milliseconds
        gc.collect()
        gc.freeze()
        asyncio.run(serve_all())


def _context(listener: Listener | OctetListener) -> ssl.SSLContext | None:
    if isinstance(listener, OctetListener) or listener.tls is None:
        return None
    return server_context(listener.tls, name=listener.name)


def server_context(tls: ServerTls, *, name: str) -> ssl.SSLContext:
    """TLS 1.2 or better with forward secrecy; mutual where client anchors are named. `name` is for errors."""
    check_private_file(tls.key)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.set_ciphers(TLS12_CIPHERS)
    context.options |= ssl.OP_NO_RENEGOTIATION | ssl.OP_NO_COMPRESSION | ssl.OP_CIPHER_SERVER_PREFERENCE
    context.set_alpn_protocols(["http/1.1"])
    passphrase = b"" if tls.passphrase_file is None else read_passphrase(tls.passphrase_file)
    try:
        context.load_cert_chain(tls.certificate, tls.key, password=passphrase)
        if tls.client_anchors is not None:
            context.load_verify_locations(tls.client_anchors)
    except OSError as error:  # ssl.SSLError is one
        raise ListenerError(
            f"listener {name}: certificate {tls.certificate}, key {tls.key} or client anchors "
            f"{tls.client_anchors} cannot be used: {error}"
        ) from error
    if tls.client_anchors is not None:
        context.verify_mode = ssl.CERT_OPTIONAL if tls.is_client_optional else ssl.CERT_REQUIRED
        context.verify_flags |= ssl.VERIFY_X509_STRICT
        # every connection proves its certificate anew: a session ticket would outlive the anchors
        context.options |= ssl.OP_NO_TICKET
        context.num_tickets = 0
    return context


_TICKS_A_SECOND = 10
"""As uvicorn counts: it renews the date when ten have passed."""


class _Server(uvicorn.Server):
    """uvicorn's server with our socket, our handshake deadline, and signals handled once for all."""

    def __init__(self, config: uvicorn.Config, bound: socket.socket, context: ssl.SSLContext | None) -> None:
        self._told_to_stop = asyncio.Event()
        super().__init__(config)
        self._bound = bound
        self._context = context
        self.accepting = asyncio.Event()

    @property
    def should_exit(self) -> bool:
        """Whether it was told to stop."""
        return self._told_to_stop.is_set()

    @should_exit.setter
    def should_exit(self, value: bool) -> None:
        if value:
            self._told_to_stop.set()

    async def main_loop(self) -> None:
        """Wait until told to stop, and renew the date in answers each second.

        uvicorn's own looks ten times a second, for each listener; a process at rest did little else.
        """
        tick = 0
        while not await self.on_tick(tick):
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._told_to_stop.wait(), timeout=1)
            tick += _TICKS_A_SECOND

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:  # noqa: ARG002  # uvicorn's signature
        await self.lifespan.startup()

        def connection() -> asyncio.Protocol:
            return PeerCertificateProtocol(
                config=self.config, server_state=self.server_state, app_state=self.lifespan.state
            )

        tls: dict[str, Any] = {}
        if self._context is not None:
            tls = {
                "ssl": self._context,
                "ssl_handshake_timeout": HANDSHAKE_TIMEOUT_S,
                "ssl_shutdown_timeout": SHUTDOWN_TIMEOUT_S,
            }
        server = await asyncio.get_running_loop().create_server(
            connection, sock=self._bound, backlog=BACKLOG, **tls
        )
        self.servers = [server]
        self.started = True
        self.accepting.set()

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield


async def _serve_all(servers: Sequence[_Server | OctetServer], announce: Callable[[], None]) -> None:
    loop = asyncio.get_running_loop()

    def stop() -> None:
        for server in servers:
            server.force_exit = server.should_exit  # a second signal does not wait
            server.should_exit = True

    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop)
    async with asyncio.TaskGroup() as group:
        for server in servers:
            group.create_task(server.serve())
        for server in servers:
            await server.accepting.wait()
        announce()


def _config(listener: Listener, metrics: ProcessMetrics) -> uvicorn.Config:
    config = uvicorn.Config(
        _guarded(listener, metrics),
        http=PeerCertificateProtocol,
        ws="none",
        lifespan="off",
        interface="asgi3",
        log_config=None,
        access_log=False,
        proxy_headers=False,
        server_header=False,
        timeout_keep_alive=15,
        timeout_graceful_shutdown=GRACE_S,
        h11_max_incomplete_event_size=HEAD_BYTES_MAX,
    )
    config.load()
    return config


def _guarded(listener: Listener, metrics: ProcessMetrics) -> AsgiApp:
    app = listener.app if _is_asgi(listener.app) else _from_wsgi(listener.app, listener.workers)
    return RequestGuard(
        app,
        listener=listener.name,
        limits=GuardLimits(body_bytes_max=listener.body_bytes_max, requests_max=listener.requests_max),
        metrics=metrics,
        logged=listener.logged,
    )


def _is_asgi(app: Callable[..., Any]) -> bool:
    return inspect.iscoroutinefunction(app) or inspect.iscoroutinefunction(getattr(app, "__call__", None))  # noqa: B004  # not asking whether it is callable


def _from_wsgi(app: Callable[..., Any], workers: int) -> AsgiApp:
    def with_certificate(environ: dict[str, Any], start_response: Callable[..., Any]) -> Any:
        # a header becomes HTTP_<NAME>: no client can write this key
        environ[PEER_CERTIFICATE] = environ["asgi.scope"].get(PEER_CERTIFICATE)
        return app(environ, start_response)

    return WsgiBridge(with_certificate, workers=workers)


@contextlib.contextmanager
def bound_socket(listener: Address) -> Iterator[socket.socket]:
    """Socket bound to a listener's address, closed after the block. Raises ListenerError."""
    unix_socket: Path | None = getattr(listener, "unix_socket", None)
    if unix_socket is not None:
        with _bound_unix(listener.name, unix_socket) as made:
            yield made
        return
    try:
        family, kind, protocol, _, address = socket.getaddrinfo(
            listener.host, listener.port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
        )[0]
        bound = socket.socket(family, kind, protocol)
    except OSError as error:
        raise ListenerError(f"listener {listener.name}: {listener.host}: {error.strerror}") from error
    with bound:
        bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            bound.bind(address)
        except OSError as error:
            where = f"{listener.host}:{listener.port}"
            raise ListenerError(
                f"listener {listener.name}: cannot listen on {where}: {error.strerror}"
            ) from error
        yield bound


@contextlib.contextmanager
def _bound_unix(name: str, path: Path) -> Iterator[socket.socket]:
    """A UNIX socket for its owner and group; one that a process left behind is taken over, a living one is not."""
    made = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    with made:
        try:
            if path.is_socket() and not _is_answered(path):
                path.unlink()
            made.bind(str(path))
            path.chmod(0o660)
        except OSError as error:
            raise ListenerError(
                f"listener {name}: cannot listen on {path}: {error.strerror or error}"
            ) from error
        try:
            yield made
        finally:
            path.unlink(missing_ok=True)


def _is_answered(path: Path) -> bool:
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as probe:
        return probe.connect_ex(str(path)) == 0


def _url(listener: Listener | OctetListener, bound: socket.socket) -> str:
    if bound.family == socket.AF_UNIX:
        return f"unix:{bound.getsockname()}"
    host = f"[{listener.host}]" if ":" in listener.host else listener.host
    return f"{listener.scheme}://{host}:{bound.getsockname()[1]}"


def refuse_reachable_host(listener: Address) -> None:
    """Raise ListenerError unless only this machine reaches the listener: for the profile `lab`."""
    loopback = listener.host == "localhost" or getattr(listener, "unix_socket", None) is not None
    with contextlib.suppress(ValueError):
        loopback = loopback or ipaddress.ip_address(listener.host).is_loopback
    if not loopback:
        raise ListenerError(
            f"listener {listener.name}: host {listener.host} is reachable from outside, and the lab "
            "profile trusts keys that everybody has: use 127.0.0.1, or another profile with your own keys"
        )


def _raise_file_limit() -> None:
    """Take the file descriptors that this user may have: idle connections must not exhaust them first."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = 65_536 if hard == resource.RLIM_INFINITY else min(hard, 65_536)
    try:
        resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))
    except (OSError, ValueError):
        logger("http").warning("file-limit-unchanged", wanted=wanted)
