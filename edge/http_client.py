"""Calls to other services: bounded in time and size, TLS verified, refusals as problem documents.

The one rule: what comes back is foreign until a caller has decoded it; this file limits it and nothing
else. No redirects; a refused request is sent again only for a caller that has the time, as `edge.repeating` says. Proxies
of the environment are not used. A device whose network is a visited one goes through that network's gateway: a tunnel
(HTTP CONNECT) inside TLS to the gateway, and inside the tunnel TLS to the service, which the gateway cannot read.
"""

import encodings.idna  # noqa: F401 - looked up at the first connection, when a device's agent can no longer reach it
import json
import re
import socket
import ssl
from base64 import b64encode
from collections.abc import Mapping
from dataclasses import dataclass, field
from http import HTTPStatus
from pathlib import Path
from typing import Any, Self
from urllib.parse import urlsplit

import urllib3

from edge.keys import check_private_file, read_passphrase
from edge.problem_document import CONTENT_TYPE, Problem
from edge.process import monotonic_ms
from edge.repeating import Repeating, makes_nothing_twice

IDLE_MAX_S = 7.0
"""How long a connection is kept unused; well below what `edge.http_server` allows (15 s)."""
_CHUNK = 16 * 1024
_NO_TUNNEL = re.compile(r"Tunnel connection failed: ([1-5][0-9]{2})(?: ([ -~]{0,200}))?")


class UnreachableError(Exception):
    """The service did not answer, or not within limits: the URL, and why."""

    def __init__(self, url: str, *, reason: str) -> None:
        """Keep both; `reason` is for people."""
        self.url = url
        self.reason = reason
        super().__init__(f"{url} cannot be reached: {reason}")


class GatewayRefusedError(UnreachableError):
    """The gateway opens no tunnel: the status that it gave (407 no bearer, 403 not there, 410 ended), and its reason."""

    def __init__(self, url: str, *, status: int, reason: str) -> None:
        """Keep them; `reason` is for people."""
        super().__init__(url, reason=reason)
        self.status = status


class HttpError(Exception):
    """The service refused: its status, and its problem document if it sent one."""

    def __init__(
        self, url: str, *, status: int, problem: Problem | None, retry_after: str | None = None
    ) -> None:
        """Keep them, and the field Retry-After as it came."""
        self.url = url
        self.status = status
        self.problem = problem
        self.retry_after = retry_after
        sentence = "" if problem is None else f": {problem.detail or problem.title}"
        remedy = "" if problem is None or not problem.remedy else f" ({problem.remedy})"
        super().__init__(f"{url} answered {status}{sentence}{remedy}")


@dataclass(frozen=True, slots=True, kw_only=True)
class ClientTls:
    """TLS side of a client: `anchors` (PEM file) for the server, certificate and key to prove itself."""

    anchors: Path
    certificate: Path | None = None
    key: Path | None = None
    passphrase_file: Path | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Gateway:
    """Way through a visited network: `address` ("host:port") of its gateway, and the bearer that it opens tunnels for.

    `tls` verifies the gateway's certificate, by its name in `address`.
    """

    address: str
    bearer_id: str
    secret: str = field(repr=False)
    tls: ClientTls | ssl.SSLContext

    @property
    def headers(self) -> dict[str, str]:
        """What the gateway knows the bearer by (RFC 7617)."""
        credentials = b64encode(f"{self.bearer_id}:{self.secret}".encode()).decode("ascii")
        return {"Proxy-Authorization": f"Basic {credentials}"}


@dataclass(frozen=True, slots=True, kw_only=True)
class HttpResponse:
    """An answer with a status below 400."""

    status: int
    content_type: str
    body: bytes
    headers: Mapping[str, str]


class HttpClient:
    """Client of one service at `base_url`; may be shared by threads.

    `timeout_s` bounds the connection and the whole answer each; `response_bytes_max` the answer's body.
    An https URL needs `tls`; http is for what needs no secrecy (CRL, OCSP, certificates). With a `gateway`, which
    takes https URLs only, every connection is a tunnel through it; tunnels are kept and used again.
    """

    def __init__(
        self,
        base_url: str,
        *,
        tls: ClientTls | ssl.SSLContext | None = None,
        gateway: Gateway | None = None,
        timeout_s: float = 10.0,
        response_bytes_max: int = 1 << 20,
        idle_max_s: float = IDLE_MAX_S,
    ) -> None:
        """Prepare the client; connects to nothing."""
        scheme = urlsplit(base_url).scheme
        if gateway is not None and scheme != "https":
            raise ValueError(f"expected an https URL behind a gateway, got {base_url}")
        if scheme not in {"http", "https"} or (scheme == "https") != (tls is not None):
            raise ValueError(f"expected an https URL with anchors or an http URL without, got {base_url}")
        self.base_url = base_url.rstrip("/")
        self._timeout_s = timeout_s
        self._bytes_max = response_bytes_max
        self._gateway = gateway
        self._repeating: Repeating | None = None
        self._idle_max_ms = idle_max_s * 1000
        self._used_at_ms = monotonic_ms()
        options: dict[str, Any] = {} if tls is None else {"ssl_context": client_context(tls)}
        options |= {"num_pools": 2, "maxsize": 8, "retries": False}
        options["timeout"] = urllib3.Timeout(connect=timeout_s, read=timeout_s)
        self._pool = _tunnels(gateway, options) if gateway is not None else urllib3.PoolManager(**options)

    def repeating(self, how: Repeating) -> Self:
        """This client, which from now on sends again what a service puts off, where that makes nothing twice.

        For callers whom nobody waits for: a view that waits holds a worker.
        """
        self._repeating = how
        return self

    def get(
        self, path: str, *, accept: str = "*/*", headers: Mapping[str, str] | None = None
    ) -> HttpResponse:
        """GET `path`. Raises HttpError for a status of 400 and above, UnreachableError without answer."""
        return self._request("GET", path, body=None, headers={"Accept": accept, **(headers or {})})

    def post(
        self,
        path: str,
        body: bytes,
        *,
        content_type: str,
        accept: str = "*/*",
        headers: Mapping[str, str] | None = None,
    ) -> HttpResponse:
        """POST the octets `body` to `path`; errors as with `get`."""
        sent = {"Content-Type": content_type, "Accept": accept, **(headers or {})}
        return self._request("POST", path, body=body, headers=sent)

    def put_json(self, path: str, value: object) -> HttpResponse:
        """PUT `value` as JSON to `path`; errors as with `get`."""
        body = json.dumps(value, ensure_ascii=False).encode()
        sent = {"Content-Type": "application/json", "Accept": "application/json"}
        return self._request("PUT", path, body=body, headers=sent)

    def get_json(self, path: str) -> Any:
        """GET `path` and decode its JSON; an answer that is no JSON is an UnreachableError."""
        return self._json(path, self.get(path, accept="application/json"))

    def post_json(self, path: str, value: object, *, headers: Mapping[str, str] | None = None) -> Any:
        """POST `value` as JSON and decode the JSON answer; None when the answer is empty."""
        body, kind = json.dumps(value, ensure_ascii=False).encode(), "application/json"
        return self._json(path, self.post(path, body, content_type=kind, accept=kind, headers=headers))

    def close(self) -> None:
        """Close the kept connections."""
        self._pool.clear()

    def _json(self, path: str, response: HttpResponse) -> Any:
        if not response.body:
            return None
        try:
            return json.loads(response.body)
        except (ValueError, RecursionError):
            raise UnreachableError(self.base_url + path, reason="its answer is not JSON") from None

    def _request(
        self, method: str, path: str, *, body: bytes | None, headers: dict[str, str]
    ) -> HttpResponse:
        repeating = self._repeating if makes_nothing_twice(method, headers) else None
        repeated = 0
        while True:
            try:
                return self._send(method, path, body=body, headers=headers)
            except HttpError as error:
                if repeating is None:
                    raise
                wait_s = repeating.wait_s(error.status, error.retry_after, repeated=repeated)
                if wait_s is None:
                    raise
                repeating.sleep(wait_s)
            repeated += 1

    def _send(self, method: str, path: str, *, body: bytes | None, headers: dict[str, str]) -> HttpResponse:
        url = self.base_url + path
        self._drop_old_connections()
        try:
            answer = self._pool.request(
                method,
                url,
                body=body,
                headers=headers,
                preload_content=False,
                redirect=False,
                decode_content=False,
            )
            try:
                data = self._read(url, answer)
                _refuse_cut_head(url, answer)
            except UnreachableError:
                answer.close()  # never back to the pool with half an answer in it
                raise
            answer.release_conn()
        except (urllib3.exceptions.HTTPError, OSError) as error:
            raise self._unreachable(url, error) from error
        content_type = answer.headers.get("Content-Type", "")
        if answer.status >= HTTPStatus.BAD_REQUEST:
            problem = Problem.decode(data) if content_type.startswith(CONTENT_TYPE) else None
            retry_after = answer.headers.get("Retry-After")
            raise HttpError(url, status=answer.status, problem=problem, retry_after=retry_after)
        return HttpResponse(
            status=answer.status, content_type=content_type, body=data, headers=dict(answer.headers.items())
        )

    def _drop_old_connections(self) -> None:
        """A connection that was idle for long is closed by its server at any moment: also at this one."""
        now_ms = monotonic_ms()
        if now_ms - self._used_at_ms > self._idle_max_ms:
            self._pool.clear()
        self._used_at_ms = now_ms

    def _unreachable(self, url: str, error: Exception) -> UnreachableError:
        if self._gateway is None or not isinstance(error, urllib3.exceptions.ProxyError):
            return UnreachableError(url, reason=_why(url, error))
        place, why = f"gateway {self._gateway.address}", _why(url, error)
        refused = _NO_TUNNEL.match(why)
        if refused is None:
            return UnreachableError(url, reason=f"{place}: {why}")
        status, sentence = int(refused[1]), refused[2] or "no reason given"
        return GatewayRefusedError(url, status=status, reason=f"{place} refuses with {status}: {sentence}")

    def _read(self, url: str, answer: urllib3.BaseHTTPResponse) -> bytes:
        deadline = monotonic_ms() + self._timeout_s * 1000
        data = bytearray()
        while chunk := answer.read1(_CHUNK):  # what is there, so that a trickle meets the deadline
            data += chunk
            if len(data) > self._bytes_max:
                raise UnreachableError(url, reason=f"its answer has more than {self._bytes_max} bytes")
            if monotonic_ms() > deadline:
                raise UnreachableError(url, reason=f"its answer took more than {self._timeout_s:g} s")
        return bytes(data)


def _refuse_cut_head(url: str, answer: urllib3.BaseHTTPResponse) -> None:
    """An answer without a length ends where its link does: nobody can tell whether it is whole (RFC 9112, 8)."""
    if answer.status in {HTTPStatus.NO_CONTENT, HTTPStatus.NOT_MODIFIED}:
        return
    said = answer.headers.get("Content-Length", "")
    chunked = answer.headers.get("Transfer-Encoding", "").lower() == "chunked"
    if not (chunked or (said.isascii() and said.isdigit())):
        raise UnreachableError(url, reason="its answer ended before it said how long it is")


def _tunnels(gateway: Gateway, options: Mapping[str, Any]) -> urllib3.ProxyManager:
    return urllib3.ProxyManager(
        f"https://{gateway.address}",
        proxy_headers=gateway.headers,
        proxy_ssl_context=client_context(gateway.tls),
        use_forwarding_for_https=False,
        socket_options=[
            (socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        ],  # which the library leaves out for proxies
        **options,
    )


def client_context(tls: ClientTls | ssl.SSLContext) -> ssl.SSLContext:
    """TLS 1.2 or better, server's chain and name verified against `tls.anchors` and nothing else.

    A context that was made here before is taken as it is: files are read once, while they can be.
    """
    if isinstance(tls, ssl.SSLContext):
        return tls
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.verify_flags |= ssl.VERIFY_X509_STRICT
    context.load_verify_locations(tls.anchors)
    if tls.certificate is not None and tls.key is not None:
        check_private_file(tls.key)
        passphrase = b"" if tls.passphrase_file is None else read_passphrase(tls.passphrase_file)
        context.load_cert_chain(tls.certificate, tls.key, password=passphrase)
    return context


def _why(url: str, error: Exception) -> str:
    """Sentence for people out of a chain of library errors."""
    cause: BaseException = error
    while cause.__cause__ is not None or cause.__context__ is not None:
        cause = cause.__cause__ or cause.__context__ or cause
    sentence = str(getattr(cause, "strerror", None) or cause) or type(cause).__name__
    if url.startswith("https:") and isinstance(cause, ConnectionResetError | BrokenPipeError | ssl.SSLError):
        # a listener that does not accept the certificate often just closes the connection
        sentence += "; if it asks for a client certificate: yours is missing, expired or of a foreign root"
    return sentence
