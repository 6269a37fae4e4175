"""A link to a TLS listener that a test holds in its hand: sees each request and answer whole, and cuts where it is told.

Rule: it changes nothing. What it lets through, the other end gets byte for byte; what it cuts, ends in the middle, and
both connections with it. It speaks as much HTTP/1.1 as is needed to know where an answer ends.
"""

import contextlib
import re
import socket
import ssl
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

HEAD_END = b"\r\n\r\n"
LOOPBACK = "127.0.0.1"
TIMEOUT_S = 30.0

Watch = Callable[[str], None]
"""Hears of a request line (`POST /v1/...`) when it passes."""


class CutError(Exception):
    """One of the ends is gone."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Cut:
    """Where to cut, once: in the answer to the first request whose line has `request` (a pattern) in it.

    `status` is that of the answer; `part` is how much of the answer's bytes still passes, 0 (nothing) to 1.
    """

    request: str
    part: float
    status: int = 200


@dataclass(slots=True, kw_only=True)
class TappedLink:
    """Listens at `port` of the loopback, ends TLS there, and opens TLS anew to `target` (host:port)."""

    port: int
    target: str
    server: ssl.SSLContext
    client: ssl.SSLContext
    cuts: list[Cut] = field(default_factory=list)
    made: list[Cut] = field(default_factory=list)
    passed: list[str] = field(default_factory=list)
    before: Watch = lambda _: None
    after: Watch = lambda _: None

    @contextlib.contextmanager
    def running(self) -> Iterator["TappedLink"]:
        """Carry connections while the block runs."""
        listening = socket.create_server((LOOPBACK, self.port))
        thread = threading.Thread(target=self._accept, args=(listening,), daemon=True)
        thread.start()
        try:
            yield self
        finally:
            listening.shutdown(socket.SHUT_RDWR)
            listening.close()
            thread.join(TIMEOUT_S)

    def _accept(self, listening: socket.socket) -> None:
        while True:
            try:
                plain, _ = listening.accept()
            except OSError:
                return
            threading.Thread(target=self._serve, args=(plain,), daemon=True).start()

    def _serve(self, plain: socket.socket) -> None:
        host, _, port = self.target.rpartition(":")
        with contextlib.suppress(OSError, CutError), contextlib.ExitStack() as stack:
            stack.callback(plain.close)
            plain.settimeout(TIMEOUT_S)
            near = stack.enter_context(self.server.wrap_socket(plain, server_side=True))
            wire = stack.enter_context(socket.create_connection((host, int(port)), timeout=TIMEOUT_S))
            far = stack.enter_context(self.client.wrap_socket(wire, server_hostname=host))
            while self._exchange(near, far):
                pass

    def _exchange(self, near: ssl.SSLSocket, far: ssl.SSLSocket) -> bool:
        """One request and its answer; whether there may be another."""
        asked = _message(near)
        line = asked.split(b" HTTP/", 1)[0].decode()
        self.before(line)
        far.sendall(asked)
        answer = _message(far)
        self.after(line)
        cut = self._due(line, status=int(answer.split(b" ", 2)[1]))
        if cut is not None:
            near.sendall(answer[: int(len(answer) * cut.part)])
            return False
        self.passed.append(line)
        near.sendall(answer)
        return True

    def _due(self, line: str, *, status: int) -> Cut | None:
        for cut in self.cuts:
            if cut.status == status and re.search(cut.request, line):
                self.cuts.remove(cut)
                self.made.append(cut)
                return cut
        return None


def _message(link: ssl.SSLSocket) -> bytes:
    """A whole message: its head, and as many bytes as it says."""
    data = b""
    while HEAD_END not in data:
        data += _some(link)
    head, _, body = data.partition(HEAD_END)
    length = re.search(rb"(?im)^content-length: *(\d+)\r?$", head)
    while length is not None and len(body) < int(length[1]):
        body += _some(link)
    return head + HEAD_END + body


def _some(link: ssl.SSLSocket) -> bytes:
    data = link.recv(1 << 16)
    if not data:
        raise CutError
    return data
