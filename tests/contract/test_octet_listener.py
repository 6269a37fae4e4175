"""The fast listener keeps its limits over real sockets, with friendly and hostile clients."""

import contextlib
import re
import signal
import socket
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from edge.http_server import ListenerError, serve
from edge.octet_server import OctetListener, Reply
from edge.problem_document import Problem
from tests.served import served

ROOT = Path(__file__).parents[2]


class Service:
    """The process under test."""

    def __init__(self, folder: Path) -> None:
        command = [sys.executable, "-m", "tests.contract.octet_process"]
        self.served = served(command, log=folder / "log")
        self.ports = {name: urlsplit(url).port or 0 for name, url in self.served.urls.items()}

    def connect(self, listener: str = "octets") -> socket.socket:
        """A connection."""
        return socket.create_connection(("127.0.0.1", self.ports[listener]), timeout=20)

    def said(self, sent: bytes) -> bytes:
        """All that comes back until the connection is closed."""
        answer = b""
        with self.connect() as tcp:
            tcp.sendall(sent)
            with contextlib.suppress(ConnectionResetError):
                while part := tcp.recv(65_536):
                    answer += part
        return answer


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    running = Service(tmp_path_factory.mktemp("octets"))
    yield running
    assert running.served.stop() == 0


CLOSE = b"Host: a\r\nConnection: close\r\n"
POST = b"POST / HTTP/1.1\r\nHost: a\r\n"


def test_both_servers_of_one_process_answer(service: Service) -> None:
    assert service.said(b"GET /x HTTP/1.1\r\n" + CLOSE + b"\r\n").endswith(b"\r\n\r\nGET /x ")
    with service.connect("asgi") as tcp:
        tcp.sendall(b"GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n")
        assert b"asgi" in tcp.recv(4096) + tcp.recv(4096)


@pytest.mark.check("O19")
@pytest.mark.parametrize(
    ("target", "path"),
    [
        (b"/MFE%2F+a%2b//x=%3D?q=1", b"/MFE/+a+//x=="),
        (b"//MFE", b"//MFE"),
        (b"http://a/MFE%2f", b"/MFE/"),
        (b"/%ff", "/\ufffd".encode()),
    ],
)
def test_a_path_is_decoded_once_and_kept_as_it_is(service: Service, target: bytes, path: bytes) -> None:
    assert service.said(b"GET " + target + b" HTTP/1.1\r\n" + CLOSE + b"\r\n").endswith(b"GET " + path + b" ")


def test_a_body_within_the_limit_arrives_whole(service: Service) -> None:
    sent = POST + b"Connection: close\r\nContent-Length: 8192\r\n\r\n" + b"x" * 8192
    assert service.said(sent).endswith(b"POST / " + b"x" * 8192)
    continued = service.said(
        POST + b"Connection: close\r\nExpect: 100-continue\r\nContent-Length: 1\r\n\r\nx"
    )
    assert continued.startswith(b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 OK\r\n")


def test_head_and_empty_replies_have_no_body(service: Service) -> None:
    head = service.said(b"HEAD /x HTTP/1.1\r\n" + CLOSE + b"\r\n")
    assert head.endswith(b"\r\n\r\n")
    assert b"content-length: 8\r\n" in head
    empty = service.said(b"GET /empty HTTP/1.1\r\n" + CLOSE + b"\r\n")
    assert empty.startswith(b"HTTP/1.1 304 ")
    assert empty.endswith(b"\r\n\r\n")


@pytest.mark.negative
@pytest.mark.parametrize(
    ("sent", "status"),
    [
        (POST + b"Content-Length: 8193\r\n\r\n", 413),
        (POST + b"Content-Length: 1234567890123456789\r\n\r\n", 413),
        (POST + b"Transfer-Encoding: chunked\r\n\r\n0\r\n\r\n", 411),
        (POST + b"Content-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n" + POST, 411),
        (POST + b"Transfer-Encoding: chunked\r\nContent-Length: 3\r\n\r\n0\r\n\r\n" + POST, 411),
        (POST + b"Transfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n" + POST, 411),
        (b"GET / HTTP/1.1\r\n\r\n", 400),
        (POST + b"Content-Length: 1\r\n\r\n", 408),
    ],
)
def test_what_is_refused_here_is_refused_with_a_problem_and_the_end(
    service: Service, sent: bytes, status: int
) -> None:
    said = service.said(sent)
    head, _, body = said.partition(b"\r\n\r\n")
    assert head.split()[1] == str(status).encode()
    assert len(re.findall(rb"HTTP/1\.1 \d{3} ", said)) == 1  # nothing behind it was taken for a request
    problem = Problem.decode(body)
    assert problem is not None
    assert problem.subject
    assert problem.remedy


@pytest.mark.negative
@pytest.mark.parametrize(
    "sent",
    [
        POST + b"Content-Length: 3\r\nContent-Length: 4\r\n\r\nabcd" + POST,
        POST + b"Content-Length: 3, 3\r\n\r\nabc" + POST,
        POST + b"Content-Length: +3\r\n\r\nabc" + POST,
        POST + b"Content-Length: -1\r\n\r\n",
        POST + b"Content-Length: 18446744073709551615\r\n\r\n",
        POST + b"Content-Length: " + b"9" * 5000 + b"\r\n\r\n",
        POST + b"Content-Length : 3\r\n\r\nabc" + POST,
        POST + b"Transfer-Encoding: xchunked\r\n\r\n0\r\n\r\n" + POST,
        b"GET / HTTP/1.1\r\nHost: a\r\nX: a\r\n b\r\n\r\n",
        b"GET / HTTP/2.0\r\nHost: a\r\n\r\n",
        b"GET /\xff HTTP/1.1\r\nHost: a\r\n\r\n",
        b"\x16\x03\x01\x00\x05hello\r\n\r\n",
        b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: a\r\nX: " + b"y" * 16_400 + b"\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: a\r\nX: " + b"y" * 60_000,
    ],
)
def test_what_is_not_http_ends_the_connection(service: Service, sent: bytes) -> None:
    said = service.said(sent)
    assert not re.findall(rb"HTTP/1\.1 [^4]\d\d ", said)
    assert len(re.findall(rb"HTTP/1\.1 \d{3} ", said)) <= 1


@pytest.mark.negative
def test_a_body_on_a_get_is_not_the_next_request(service: Service) -> None:
    inner = b"GET /smuggled HTTP/1.1\r\n" + CLOSE + b"\r\n"
    said = service.said(b"GET /x HTTP/1.1\r\n" + CLOSE + b"Content-Length: %d\r\n\r\n" % len(inner) + inner)
    assert len(re.findall(rb"HTTP/1\.1 \d{3} ", said)) == 1
    assert said.endswith(b"GET /x " + inner)


@pytest.mark.negative
@pytest.mark.parametrize("sent", [b"", b"GET / HT", b"GET / HTTP/1.1\r\nHost: a\r\n\r\n"])
def test_who_sends_no_more_is_let_go(service: Service, sent: bytes) -> None:
    began = time.monotonic()
    service.said(sent)
    assert 1 < time.monotonic() - began < 10


@pytest.mark.negative
def test_a_head_in_drops_does_not_live_longer(service: Service) -> None:
    with service.connect() as tcp:
        tcp.sendall(b"GET / HTTP/1.1\r\nHost: a\r\n")
        began, cut = time.monotonic(), False
        tcp.settimeout(0.5)
        while not cut and time.monotonic() - began < 15:
            try:
                tcp.sendall(b"X-A: b\r\n")
                cut = tcp.recv(100) == b""
            except TimeoutError:
                continue
            except OSError:
                cut = True
    assert cut
    assert time.monotonic() - began < 10


@pytest.mark.negative
def test_who_does_not_read_is_dropped(service: Service) -> None:
    with socket.socket() as tcp:
        tcp.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        tcp.connect(("127.0.0.1", service.ports["octets"]))
        tcp.setblocking(False)  # noqa: FBT003  # the socket's own interface
        deadline, dropped = time.monotonic() + 30, False
        while not dropped and time.monotonic() < deadline:
            try:
                tcp.send(b"GET /big HTTP/1.1\r\nHost: a\r\n\r\n" * 50)
            except BlockingIOError:
                pass
            except OSError:
                dropped = True
            time.sleep(0.1)
    assert dropped


@pytest.mark.negative
def test_an_unforeseen_error_says_nothing_about_the_inside(service: Service) -> None:
    said = service.said(b"GET /fails HTTP/1.1\r\n" + CLOSE + b"\r\n")
    assert said.startswith(b"HTTP/1.1 500 ")
    assert b"inside" not in said


@pytest.mark.negative
def test_many_who_say_nothing_hold_nobody_up(service: Service) -> None:
    idle = [service.connect() for _ in range(200)]
    began = time.monotonic()
    assert service.said(b"GET /x HTTP/1.1\r\n" + CLOSE + b"\r\n").endswith(b"GET /x ")
    assert time.monotonic() - began < 2
    for each in idle:
        each.close()


def test_a_request_at_work_is_finished_after_sigterm(tmp_path: Path) -> None:
    service = Service(tmp_path)
    with service.connect() as tcp:
        tcp.sendall(b"GET /slow HTTP/1.1\r\nHost: a\r\n\r\n")
        time.sleep(1.0)
        service.served.process.send_signal(signal.SIGTERM)
        answer = b""
        while part := tcp.recv(4096):
            answer += part
    assert answer.endswith(b"done")
    assert service.served.ended() == 0


@pytest.mark.negative
def test_a_reachable_address_is_refused_in_the_lab() -> None:
    listener = OctetListener(
        name="x", host="192.0.2.1", port=0, app=lambda *_: Reply(200, []), body_bytes_max=1
    )
    with pytest.raises(ListenerError, match="reachable from outside"):
        serve([listener], role="test", profile="lab")
