"""A service on a real mutual-TLS socket that answers what a test tells it to."""

import json
import ssl
import threading
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

from edge.keys import read_passphrase

Answer = Callable[[str, str, bytes], tuple[int, dict[str, Any]]]
"""(method, path, body) -> (status, JSON members)."""


class TlsCounterpart:
    """Listens with the server certificate of `tests.contract.certificates`; every client must prove one."""

    def __init__(self, folder: Path, answer: Answer) -> None:
        """Serve at once."""
        self.requests: list[tuple[str, str]] = []
        counterpart = self

        class Handler(BaseHTTPRequestHandler):
            def handle_any(self) -> None:
                body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
                counterpart.requests.append((self.command, self.path))
                status, members = answer(self.command, self.path, body)
                data = json.dumps(members).encode()
                self.send_response(status)
                self.send_header("Content-Type", "application/json")
                self.send_header("Content-Length", str(len(data)))
                self.end_headers()
                self.wfile.write(data)

            do_GET = do_POST = do_PUT = handle_any  # http.server's names  # noqa: N815

            def log_message(self, format: str, *args: object) -> None:  # noqa: A002  # http.server's parameter
                """Say nothing."""

        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        passphrase = read_passphrase(folder / "keys" / "passphrase")
        context.load_cert_chain(folder / "server.pem", folder / "keys" / "server.key", password=passphrase)
        context.load_verify_locations(folder / "anchors.pem")
        context.verify_mode = ssl.CERT_REQUIRED
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.socket = context.wrap_socket(self._server.socket, server_side=True)
        self._thread = threading.Thread(target=self._server.serve_forever, daemon=True)
        self._thread.start()

    @property
    def url(self) -> str:
        """Where it listens."""
        return f"https://127.0.0.1:{self._server.server_address[1]}"

    def close(self) -> None:
        """Stop listening."""
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()
