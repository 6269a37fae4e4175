"""A load generator of raw sockets: kept connections, one request at a time on each, no pipelining.

It knows as much HTTP as it takes to find the end of an answer, and costs far less a request than any server under
test. The one rule: an answer that is not a 200 ends the measurement, so nobody measures refusals.
"""

import os
import select
import socket
import time
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass

_HEAD_END = b"\r\n\r\n"
_LENGTH = b"content-length: "
_OK = b"HTTP/1.1 200 "
_CHUNK = 65_536


class LoadError(Exception):
    """The server said something else than 200, or nothing."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Load:
    """What was measured: answers a second, and the times of single answers in milliseconds."""

    per_second: float
    median_ms: float
    p99_ms: float
    answers: int


def pin(core: int) -> None:
    """Stay on this core, where the machine has it, and wherever who started this process stays."""
    with suppress(OSError):
        os.sched_setaffinity(0, {core})


def get(path: str) -> bytes:
    """A GET request."""
    return f"GET {path} HTTP/1.1\r\nHost: bench\r\n\r\n".encode("ascii")


def post(body: bytes) -> bytes:
    """A POST of an OCSP request."""
    head = f"POST / HTTP/1.1\r\nHost: bench\r\nContent-Type: application/ocsp-request\r\nContent-Length: {len(body)}\r\n\r\n"
    return head.encode("ascii") + body


class _Connection:
    """One kept connection; `due` is when its present request was meant to be sent."""

    __slots__ = ("due", "got", "socket")

    def __init__(self, port: int) -> None:
        self.socket = socket.create_connection(("127.0.0.1", port), timeout=10)
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.socket.settimeout(0)
        self.due = 0.0
        self.got = b""

    def send(self, request: bytes, *, due: float) -> None:
        self.due, self.got = due, b""
        self.socket.send(request)

    def received(self) -> bool:
        """Take what came; whether the answer is whole."""
        part = self.socket.recv(_CHUNK)
        if not part:
            raise LoadError("the server closed the connection")
        self.got += part
        head = self.got.find(_HEAD_END)
        if head < 0:
            return False
        if not self.got.startswith(_OK):
            raise LoadError(f"the server said {self.got[:100]!r}")
        at = self.got.find(_LENGTH, 0, head)
        length = int(self.got[at + len(_LENGTH) : self.got.index(b"\r", at)])
        return len(self.got) >= head + len(_HEAD_END) + length

    def ended(self) -> bool:
        """Take what came; whether the server has closed, after a whole answer."""
        part = self.socket.recv(_CHUNK)
        self.got += part
        if not part and b" 200 " not in self.got[:20]:
            raise LoadError(f"the server said {self.got[:100]!r}")
        return not part


def saturate(port: int, requests: Sequence[bytes], *, seconds: float, connections: int = 32) -> Load:
    """Send on every connection as soon as its answer has come."""
    return _run(port, requests, seconds=seconds, connections=connections, pace=None)


def each_once(port: int, requests: Sequence[bytes]) -> None:
    """Send every request once, one after the other."""
    connection = socket.create_connection(("127.0.0.1", port), timeout=10)
    with connection:
        for request in requests:
            connection.sendall(request)
            if not connection.recv(_CHUNK).startswith(_OK):
                raise LoadError("the server did not say 200")


def paced(
    port: int, requests: Sequence[bytes], *, seconds: float, per_second: float, connections: int = 64
) -> Load:
    """Send at a steady rate whatever comes back; times count from when a request was due."""
    return _run(port, requests, seconds=seconds, connections=connections, pace=1 / per_second)


def _run(
    port: int, requests: Sequence[bytes], *, seconds: float, connections: int, pace: float | None
) -> Load:
    poll = select.epoll()
    opened = {each.socket.fileno(): each for each in (_Connection(port) for _ in range(connections))}
    for number in opened:
        poll.register(number, select.EPOLLIN)
    supply, times = _endless(requests), []
    began = time.perf_counter()
    idle, due = list(opened.values()), began
    now = began
    try:
        while now < began + seconds:
            while idle and (pace is None or due <= now):
                idle.pop().send(next(supply), due=now if pace is None else due)
                due += pace or 0
            for number, _ in poll.poll(1.0 if pace is None else 0):
                connection = opened[number]
                if connection.received():
                    times.append(time.perf_counter() - connection.due)
                    idle.append(connection)
            now = time.perf_counter()
    finally:
        poll.close()
        for each in opened.values():
            each.socket.close()
    return _load(times, seconds=now - began)


def reconnecting(port: int, request: bytes, *, seconds: float, connections: int = 8) -> Load:
    """A connection for each request, for servers that close after each answer."""
    poll = select.epoll()
    opened: dict[int, _Connection] = {}
    times: list[float] = []
    began = now = time.perf_counter()
    try:
        while now < began + seconds:
            while len(opened) < connections:
                made = _Connection(port)
                made.send(request, due=time.perf_counter())
                opened[made.socket.fileno()] = made
                poll.register(made.socket.fileno(), select.EPOLLIN)
            for number, _ in poll.poll(1.0):
                if opened[number].ended():
                    times.append(time.perf_counter() - opened[number].due)
                    opened.pop(number).socket.close()
            now = time.perf_counter()
    finally:
        poll.close()
        for each in opened.values():
            each.socket.close()
    return _load(times, seconds=now - began)


def _endless(requests: Sequence[bytes]) -> Iterator[bytes]:
    while True:
        yield from requests


def _load(times: list[float], *, seconds: float) -> Load:
    if not times:
        raise LoadError("nothing was answered")
    times.sort()
    return Load(
        per_second=len(times) / seconds,
        median_ms=times[len(times) // 2] * 1e3,
        p99_ms=times[min(len(times) - 1, len(times) * 99 // 100)] * 1e3,
        answers=len(times),
    )
