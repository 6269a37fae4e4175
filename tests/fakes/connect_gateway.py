"""A gateway of a visited network in threads: tunnels for one bearer, counted, and cut where a test wants."""

import base64
import contextlib
import socket
import ssl
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field

HEAD_BYTES_MAX = 16_384


@dataclass
class ConnectGateway:
    """TLS in front, HTTP CONNECT behind it; `tunnels` are the destinations that were opened, in their order.

    `refusal` (status and reason) is given to everybody; `cut_after_bytes` ends a tunnel when so many bytes came down.
    """

    context: ssl.SSLContext
    secret: str = "bearer-1:a secret"  # noqa: S105 - of a test
    destinations: set[str] = field(default_factory=set)
    refusal: tuple[int, str] | None = None
    cut_after_bytes: int | None = None
    tunnels: list[str] = field(default_factory=list)
    heads: list[str] = field(default_factory=list)
    address: str = ""
    _open: list[socket.socket] = field(default_factory=list)

    @contextlib.contextmanager
    def running(self) -> Iterator["ConnectGateway"]:
        """Serve until the block ends."""
        listening = socket.create_server(("127.0.0.1", 0))
        self.address = f"127.0.0.1:{listening.getsockname()[1]}"
        thread = threading.Thread(target=self._accept, args=(listening,), daemon=True)
        thread.start()
        try:
            yield self
        finally:
            listening.shutdown(socket.SHUT_RDWR)
            listening.close()
            self.cut()
            thread.join(10)

    def cut(self) -> None:
        """End every tunnel, as when a bearer ends or the radio is gone."""
        while self._open:
            _end(self._open.pop())

    def _accept(self, listening: socket.socket) -> None:
        while True:
            try:
                plain, _ = listening.accept()
            except OSError:
                return
            threading.Thread(target=self._serve, args=(plain,), daemon=True).start()

    def _serve(self, plain: socket.socket) -> None:
        plain.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        try:
            with self.context.wrap_socket(plain, server_side=True) as connection:
                self._open.append(connection)
                head = _head(connection)
                self.heads.append(head)
                status, reason = self._judge(head)
                if status != 200:
                    connection.sendall(f"HTTP/1.1 {status} {reason}\r\nContent-Length: 0\r\n\r\n".encode())
                    return
                destination = head.split(" ")[1]
                self.tunnels.append(destination)
                host, port = destination.rsplit(":", 1)
                with socket.create_connection((host, int(port)), timeout=10) as inside:
                    inside.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                    connection.sendall(b"HTTP/1.1 200 Connection established\r\n\r\n")
                    up = threading.Thread(target=_carry, args=(connection, inside, None), daemon=True)
                    up.start()
                    _carry(inside, connection, self.cut_after_bytes)
                    _end(connection)
                    up.join(10)
        except OSError:
            return

    def _judge(self, head: str) -> tuple[int, str]:
        if self.refusal is not None:
            return self.refusal
        lines = head.split("\r\n")
        if f"Proxy-Authorization: Basic {base64.b64encode(self.secret.encode()).decode()}" not in lines:
            return 407, "Proxy Authentication Required"
        method, destination, _ = lines[0].split(" ")
        if method != "CONNECT" or destination not in self.destinations:
            return 403, "Forbidden"
        return 200, "OK"


def _head(connection: ssl.SSLSocket) -> str:
    data = b""
    while b"\r\n\r\n" not in data and len(data) < HEAD_BYTES_MAX:
        received = connection.recv(4096)
        if not received:
            raise ConnectionResetError("no request")
        data += received
    return data.split(b"\r\n\r\n")[0].decode("latin-1")


def _end(connection: socket.socket) -> None:
    """Both ways, below TLS: no goodbye."""
    with contextlib.suppress(OSError):
        socket.socket.shutdown(connection, socket.SHUT_RDWR)


def _carry(source: socket.socket, target: socket.socket, bytes_max: int | None) -> None:
    """What comes, until the source ends or so many bytes were carried; then the target is ended."""
    left = bytes_max
    with contextlib.suppress(OSError, ValueError):
        while data := source.recv(16_384):
            part = data if left is None else data[:left]
            target.sendall(part)
            if left is not None and (left := left - len(part)) <= 0:
                break
    _end(target)
