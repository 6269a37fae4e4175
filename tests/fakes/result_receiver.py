"""A relying party's operator listener for pushed results: mutual TLS on a real socket, fails when told to."""

import json
import ssl
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path


class ResultReceiver:
    """Keeps the tokens that it takes; `refusing` answers 503 instead. `came` is set by every call."""

    def __init__(self, *, certificate: Path, key: Path, passphrase: str, anchors: Path) -> None:
        """Listen on a free port of this machine for clients under `anchors`."""
        self.refusing = False
        self.taken: list[str] = []
        self.events: list[str] = []
        self.paths: list[str] = []
        self.came = threading.Event()
        receiver = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:  # http.server's name for it
                body = self.rfile.read(int(self.headers["Content-Length"]))
                status = receiver.take(self.path, body)
                self.send_response(status)
                self.send_header("Content-Length", "0")
                self.end_headers()

            def log_message(self, format: str, *args: object) -> None:  # noqa: A002  # http.server's parameter
                """Say nothing."""

        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(certificate, key, password=passphrase)
        context.load_verify_locations(anchors)
        context.verify_mode = ssl.CERT_REQUIRED
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.socket = context.wrap_socket(self._server.socket, server_side=True)
        self._thread = threading.Thread(target=self._server.serve_forever, daemon=True)
        self._thread.start()

    @property
    def url(self) -> str:
        """Where it listens."""
        return f"https://127.0.0.1:{self._server.server_address[1]}"

    def take(self, path: str, body: bytes) -> int:
        """Status of the answer to a pushed result."""
        self.paths.append(path)
        ((kind, token),) = json.loads(body).items()
        if not self.refusing:
            {"result": self.taken, "event": self.events}[kind].append(token)
        self.came.set()
        return 503 if self.refusing else 204

    def close(self) -> None:
        """End it."""
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()
