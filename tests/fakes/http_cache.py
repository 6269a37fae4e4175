"""A shared HTTP cache on a real socket (RFC 9111): keeps what a GET was answered while it is fresh, passes on the rest."""

import threading
import time
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Self

from edge.http_client import HttpClient

POST_TYPE = "application/ocsp-request"


@dataclass(frozen=True, kw_only=True)
class Stored:
    """An answer with the moment until which it is fresh, and how long it was when it came."""

    body: bytes
    content_type: str
    max_age_s: int
    stored_at: float

    @property
    def age_s(self) -> int:
        """How old it is, in whole seconds."""
        return int(time.monotonic() - self.stored_at)


class HttpCache:
    """A cache before `upstream`; `hits` counts what it answered by itself."""

    def __init__(self, upstream: str) -> None:
        """Listen on a free port of loopback."""
        self._http = HttpClient(upstream)
        self._stored: dict[str, Stored] = {}
        self.hits = 0
        cache = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:  # http.server's name for it
                found = cache.fresh(self.path) or cache.fetch(self.path)
                self._answer(found, caching=True)

            def do_POST(self) -> None:  # http.server's name for it
                body = self.rfile.read(int(self.headers["Content-Length"]))
                self._answer(cache.passed_on(self.path, body), caching=False)

            def _answer(self, found: Stored, *, caching: bool) -> None:
                self.send_response(200)
                self.send_header("Content-Type", found.content_type)
                self.send_header("Content-Length", str(len(found.body)))
                if caching:
                    self.send_header("Cache-Control", f"max-age={found.max_age_s}")
                    self.send_header("Age", str(found.age_s))
                else:
                    self.send_header("Cache-Control", "no-store")
                self.end_headers()
                self.wfile.write(found.body)

            def log_message(self, format: str, *args: object) -> None:  # noqa: A002  # http.server's parameter
                """Say nothing."""

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._thread = threading.Thread(target=self._server.serve_forever, daemon=True)
        self._thread.start()

    def __enter__(self) -> Self:
        """For a block."""
        return self

    def __exit__(self, *_: object) -> None:
        """Stop listening."""
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()
        self._http.close()

    @property
    def url(self) -> str:
        """Where it listens."""
        return f"http://127.0.0.1:{self._server.server_address[1]}"

    def fresh(self, path: str) -> Stored | None:
        """What is kept for a path and still fresh."""
        found = self._stored.get(path)
        if found is None or found.age_s >= found.max_age_s:
            return None
        self.hits += 1
        return found

    def fetch(self, path: str) -> Stored:
        """Ask upstream, and keep the answer as long as it says."""
        answer = self._http.get(path)
        headers = {name.lower(): value for name, value in answer.headers.items()}
        control = dict(
            each.strip().partition("=")[::2] for each in headers.get("cache-control", "").split(",")
        )
        made = Stored(
            body=answer.body,
            content_type=answer.content_type,
            max_age_s=0 if "no-store" in control else int(control.get("max-age", "0")),
            stored_at=time.monotonic() - int(headers.get("age", "0")),
        )
        self._stored[path] = made
        return made

    def passed_on(self, path: str, body: bytes) -> Stored:
        """What upstream answers to a POST; it is not kept."""
        answer = self._http.post(path, body, content_type=POST_TYPE)
        return Stored(
            body=answer.body, content_type=answer.content_type, max_age_s=0, stored_at=time.monotonic()
        )
