"""Plain HTTP, TLS and mutual TLS in one process, over real sockets, with friendly and hostile clients."""

import contextlib
import http.client
import json
import re
import signal
import socket
import ssl
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlsplit

import pytest
from cryptography.hazmat.primitives.serialization import Encoding

from edge.http_client import ClientTls, HttpClient, HttpError, UnreachableError, client_context
from edge.problem_document import Problem
from tests.contract.certificates import Certificates
from tests.served import served

ROOT = Path(__file__).parents[2]


class Service:
    """The process under test and how to reach it."""

    def __init__(self, folder: Path) -> None:
        self.certificates = Certificates(folder)
        self.certificates.register(
            {
                "alice": ("admin", self.certificates.client("alice")),
                "bob": ("sho", self.certificates.client("bob")),
            }
        )
        self.certificates.client("nobody")
        self.certificates.client("stranger", self.certificates.foreign)
        command = [sys.executable, "-m", "tests.contract.listener_process", str(folder)]
        self.served = served(command, log=folder / "log")
        assert self.served.ready["role"] == "test"
        self.urls = self.served.urls

    def client(self, listener: str, name: str | None = None, *, timeout_s: float = 10.0) -> HttpClient:
        """Client of one listener, as principal `name`."""
        url = self.urls[listener]
        tls = self.certificates.tls(name) if url.startswith("https") else None
        return HttpClient(url, tls=tls, timeout_s=timeout_s)

    def connect(self, listener: str) -> socket.socket:
        """Plain TCP connection to a listener."""
        port = urlsplit(self.urls[listener]).port
        return socket.create_connection(("127.0.0.1", port or 0), timeout=20)


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    running = Service(tmp_path_factory.mktemp("listeners"))
    yield running
    assert running.served.stop() == 0


def test_four_listeners_of_one_process_answer(service: Service) -> None:
    assert service.client("public").post("/echo", b"\x00\xff", content_type="a/b").body == b"\x00\xff"
    assert service.client("asgi").get("/").body == b"asgi"
    assert service.client("device").get_json("/peer") == {"certificate": False}
    assert service.client("operator", "alice").get_json("/who") == {
        "role": "admin",
        "tenant": "t",
        "name": "alice",
        "issued_at_request_of": [],
    }


def test_a_wrong_role_is_refused_with_the_right_one_named(service: Service) -> None:
    with pytest.raises(HttpError) as caught:
        service.client("operator", "bob").get("/who")
    problem = caught.value.problem
    assert caught.value.status == 403
    assert problem is not None
    assert (problem.type, problem.subject, problem.reason) == ("role-not-permitted", "bob", "role")
    assert "admin or es" in problem.remedy
    with pytest.raises(HttpError, match="403"):
        service.client("operator", "alice").get("/sho-only")
    assert service.client("operator", "bob").get("/sho-only").body == b"sho"


def test_a_certificate_without_principal_is_told_what_to_register(service: Service) -> None:
    with pytest.raises(HttpError) as caught:
        service.client("operator", "nobody").get("/who")
    problem = caught.value.problem
    assert caught.value.status == 403
    assert problem is not None
    assert problem.type == "principal-not-registered"
    assert "issuer_sha256" in problem.remedy
    assert "spki_sha256" in problem.remedy


def test_no_certificate_and_a_foreign_one_end_in_the_handshake(service: Service) -> None:
    with pytest.raises(UnreachableError, match="client certificate"):
        service.client("operator").get("/who")
    with pytest.raises(UnreachableError, match="client certificate"):
        service.client("operator", "stranger").get("/who")


def test_a_server_certificate_does_not_open_the_operators_door(service: Service) -> None:
    with pytest.raises(UnreachableError):
        service.client("operator", "server").get("/who")


@pytest.mark.parametrize(
    "name",
    [
        "pva.peer_certificate",
        "Pva-Peer-Certificate",
        "X-Client-Cert",
        "X-SSL-Client-Cert",
        "Client-Cert",
        "SSL_CLIENT_CERT",
    ],
)
def test_no_header_becomes_a_peer_certificate(service: Service, name: str) -> None:
    pem = (service.certificates.folder / "alice.pem").read_text().replace("\n", "")
    for listener, path in (("device", "/peer"), ("operator", "/who")):
        context = client_context(service.certificates.tls("nobody" if listener == "operator" else None))
        port = urlsplit(service.urls[listener]).port
        connection = http.client.HTTPSConnection("127.0.0.1", port, context=context, timeout=10)
        connection.request("GET", path, headers={name: pem})
        answer = connection.getresponse()
        body = answer.read()
        connection.close()
        if listener == "device":
            assert json.loads(body) == {"certificate": False}
        else:
            assert answer.status == 403


@pytest.mark.negative
def test_a_client_refuses_a_server_of_another_name_or_root(service: Service) -> None:
    port = urlsplit(service.urls["device"]).port
    with pytest.raises(UnreachableError, match="Hostname mismatch"):
        HttpClient(f"https://localhost:{port}", tls=service.certificates.tls()).get("/peer")
    other = service.certificates.folder / "foreign.pem"
    other.write_bytes(service.certificates.foreign.certificate.public_bytes(Encoding.PEM))
    with pytest.raises(UnreachableError, match="certificate verify failed"):
        HttpClient(service.urls["device"], tls=ClientTls(anchors=other)).get("/peer")


def test_old_tls_is_refused(service: Service) -> None:
    context = client_context(service.certificates.tls())
    with pytest.warns(DeprecationWarning, match="TLSv1"):
        context.minimum_version = ssl.TLSVersion.TLSv1
    with pytest.warns(DeprecationWarning, match="TLSv1_1"):
        context.maximum_version = ssl.TLSVersion.TLSv1_1
    context.set_ciphers("ALL:@SECLEVEL=0")
    with service.connect("device") as tcp, pytest.raises(ssl.SSLError):
        context.wrap_socket(tcp, server_hostname="127.0.0.1")


@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3])
def test_both_present_versions_of_tls_are_served(service: Service, version: ssl.TLSVersion) -> None:
    context = client_context(service.certificates.tls("alice"))
    context.minimum_version = context.maximum_version = version
    port = urlsplit(service.urls["operator"]).port
    for _ in range(2):
        connection = http.client.HTTPSConnection("127.0.0.1", port, context=context, timeout=10)
        connection.request("GET", "/who")
        assert connection.getresponse().status == 200
        connection.close()


def test_refusals_of_the_room_carry_subject_reason_and_remedy(service: Service) -> None:
    client = service.client("device")
    assert client.post_json("/orders", {"amount": 3}) == {"amount": 3}
    with pytest.raises(HttpError) as caught:
        client.post_json("/orders", {"amount": 11})
    problem = caught.value.problem
    assert problem is not None
    assert (problem.status, problem.type) == (409, "too-much")
    assert (problem.subject, problem.reason, problem.remedy) == ("amount", "limit", "ask for less")


@pytest.mark.parametrize(
    ("body", "content_type", "status", "word"),
    [
        (b'{"amount": 1, "more": 2}', "application/json", 422, "more"),
        (b"{}", "application/json", 422, "amount"),
        (b'{"amount": 1, "amount": 2}', "application/json", 400, "twice"),
        (b'{"amount": NaN}', "application/json", 400, "NaN"),
        (b"[" * 50_000, "application/json", 400, "JSON"),
        (b"\xff\xfe{", "application/json", 400, "byte 0 is not UTF-8"),
        ('{"amount": 1}'.encode("utf-16"), "application/json", 400, "UTF-8"),
        (b'\xef\xbb\xbf{"amount": 1}', "application/json", 400, "BOM"),
        (b'{"amount": ' + b"9" * 5000 + b"}", "application/json", 400, "more than 40 digits"),
        (b"", "application/json", 400, "empty"),
        (b'{"amount": 1}', "text/plain", 415, "application/json"),
    ],
)
def test_a_bad_body_is_a_problem_that_names_what_was_wrong(
    service: Service, body: bytes, content_type: str, status: int, word: str
) -> None:
    with pytest.raises(HttpError) as caught:
        service.client("device").post("/orders", body, content_type=content_type)
    assert caught.value.status == status
    assert caught.value.problem is not None
    assert word in caught.value.problem.detail


def test_an_unforeseen_error_says_nothing_about_the_inside(service: Service) -> None:
    with pytest.raises(HttpError) as caught:
        service.client("device").get("/bug")
    assert caught.value.status == 500
    assert "inside" not in str(caught.value)
    with pytest.raises(HttpError) as missing:
        service.client("device").get("/nowhere")
    assert missing.value.status == 404
    assert missing.value.problem is not None
    assert missing.value.problem.remedy
    with pytest.raises(HttpError, match="405") as other:
        service.client("device").post("/peer", b"x", content_type="a/b")
    assert other.value.problem is not None
    assert "GET" in other.value.problem.remedy


def test_forty_connections_idle_before_the_handshake_hold_nobody_up(service: Service) -> None:
    idle = [service.connect(listener) for listener in ("device", "operator") for _ in range(20)]
    try:
        started = time.monotonic()
        assert service.client("device").get_json("/peer") == {"certificate": False}
        assert service.client("operator", "alice").get_json("/who")["name"] == "alice"
        assert service.client("public").post("/echo", b"x", content_type="a/b").body == b"x"
        assert time.monotonic() - started < 3
    finally:
        for connection in idle:
            connection.close()


def test_a_declared_body_over_the_limit_is_refused_before_it_is_read(service: Service) -> None:
    with service.connect("public") as tcp:
        tcp.sendall(b"POST /echo HTTP/1.1\r\nHost: a\r\nContent-Length: 100001\r\n\r\n")
        assert b" 413 " in tcp.recv(4096)


def test_an_undeclared_body_over_the_limit_is_refused_and_the_answer_arrives(service: Service) -> None:
    with service.connect("public") as tcp:
        tcp.sendall(b"POST /echo HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n")
        for _ in range(60):
            tcp.sendall(b"1000\r\n" + b"x" * 0x1000 + b"\r\n")
        answer = http.client.HTTPResponse(tcp)
        answer.begin()
        assert answer.status == 413
        assert b"100000 bytes" in answer.read()


def test_a_chunked_body_within_the_limit_is_served(service: Service) -> None:
    with service.connect("public") as tcp:
        tcp.sendall(
            b"POST /echo HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\nConnection: close\r\n\r\n"
        )
        tcp.sendall(b"3\r\nabc\r\n2\r\nde\r\n0\r\n\r\n")
        answer = b""
        while part := tcp.recv(4096):
            answer += part
    assert answer.endswith(b"abcde")


def answers(service: Service, sent: bytes) -> bytes:
    """All that the public listener says to these octets until it closes the connection."""
    said = b""
    with service.connect("public") as tcp:
        tcp.sendall(sent)
        with contextlib.suppress(ConnectionResetError):
            while part := tcp.recv(65_536):
                said += part
    return said


POST = b"POST /echo HTTP/1.1\r\nHost: a\r\n"
CHUNKED = POST + b"Transfer-Encoding: chunked\r\n\r\n"


@pytest.mark.parametrize(
    ("sent", "status", "word"),
    [
        (POST + b"Content-Length: 3\r\nContent-Length: 4\r\n\r\nabc", 400, "Content-Length"),
        (POST + b"Content-Length: -1\r\n\r\n", 400, "Content-Length"),
        (POST + b"Content-Length: " + b"9" * 5000 + b"\r\n\r\n", 400, "Content-Length"),
        (POST + b"Content-Length : 3\r\n\r\nabc", 400, "header line"),
        (POST + b"Transfer-Encoding: gzip, chunked\r\n\r\n", 501, "chunked"),
        (POST + b"Content-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n" + POST, 400, "both"),
        (CHUNKED + b"zz\r\n", 400, "chunk header"),
        (CHUNKED + b"3\r\nabc\r\n-1\r\n", 400, "chunk header"),
        (b"GET /echo HTTP/1.1\r\n\r\n", 400, "Host"),
        (b"GET /echo HTTP/2.0\r\nHost: a\r\n\r\n", 505, "HTTP/1.1"),
        (b"\x16\x03\x01\x00\x05hello\r\n\r\n", 400, "request line"),
        (b"GET / FTP/1.1\r\n\r\n", 400, "request line"),
        (b"GET /a%00b HTTP/1.1\r\nHost: a\r\n\r\n", 400, "control characters"),
        (b"GET /a%0d%0ab HTTP/1.1\r\nHost: a\r\n\r\n", 400, "control characters"),
        (b"GET /\xff HTTP/1.1\r\nHost: a\r\n\r\n", 400, "request line"),
        (b"GET /slow HTTP/1.1\r\nHost: a\r\nX: " + b"y" * 16_400 + b"\r\n\r\n", 431, ""),
        (b"GET /slow HTTP/1.1\r\nHost: a\r\nX: " + b"y" * 60_000, 431, ""),
    ],
)
def test_what_is_not_http_is_refused_with_a_problem(
    service: Service, sent: bytes, status: int, word: str
) -> None:
    said = answers(service, sent)
    head, _, body = said.partition(b"\r\n\r\n")
    assert head.split()[1] == str(status).encode()
    assert (
        len(re.findall(rb"HTTP/1\.1 \d{3} ", said)) == 1
    )  # and nothing behind it was taken for a second request
    assert b"application/problem+json" in head
    problem = Problem.decode(body)
    assert problem is not None
    assert word in problem.detail
    assert problem.subject
    assert problem.reason
    assert problem.remedy
    assert "bytearray" not in problem.detail


def test_garbage_behind_an_answer_under_way_just_ends_the_connection(service: Service) -> None:
    said = answers(service, CHUNKED + b"20000\r\n" + b"x" * 0x20000 + b"\r\nzz\r\n")
    assert said.startswith(b"HTTP/1.1 413 ")
    assert len(re.findall(rb"HTTP/1\.1 \d{3} ", said)) == 1


def test_a_target_with_scheme_and_host_is_served(service: Service) -> None:
    said = answers(service, b"GET http://a/slow HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n")
    assert said.endswith(b"done")


def test_a_head_that_never_ends_is_cut_off(service: Service) -> None:
    with service.connect("public") as tcp:
        tcp.sendall(b"GET /echo HTTP/1.1\r\nHost: a\r\n")
        started = time.monotonic()
        cut = False
        while not cut and time.monotonic() - started < 15:
            try:
                tcp.settimeout(1.0)
                tcp.sendall(b"X-A: b\r\n")
                cut = tcp.recv(100) == b""
            except TimeoutError:
                continue
            except OSError:
                cut = True
        assert cut


def test_a_reader_that_stops_reading_is_dropped(service: Service) -> None:
    with service.connect("public") as tcp:
        tcp.sendall(b"GET /big HTTP/1.1\r\nHost: a\r\n\r\n")
        _wait_until_given_up(tcp)
        received = 0
        with contextlib.suppress(ConnectionError):
            while part := tcp.recv(1 << 20):
                received += len(part)
    assert 0 < received < 64 << 20
    assert service.client("public").post("/echo", b"x", content_type="a/b").body == b"x"


def _wait_until_given_up(tcp: socket.socket) -> None:
    """Until the service has closed its end, as the kernel's table of sockets has it: to read would be to go on."""
    (_, theirs), (_, ours) = tcp.getpeername(), tcp.getsockname()
    their_end = re.compile(rf":{theirs:04X} [0-9A-F]{{8}}:{ours:04X} 01 ")
    deadline = time.monotonic() + 20
    while their_end.search(Path("/proc/net/tcp").read_text()):
        assert time.monotonic() < deadline, "the service still waits for a reader that stopped"
        time.sleep(0.1)


def test_an_idle_kept_connection_still_serves_within_its_time(service: Service) -> None:
    connection = http.client.HTTPConnection("127.0.0.1", urlsplit(service.urls["public"]).port, timeout=10)
    for pause in (0.0, 2.5):  # longer than the deadline of a head that has begun
        time.sleep(pause)
        connection.request("POST", "/echo", body=b"again")
        assert connection.getresponse().read() == b"again"
    connection.close()


def test_a_request_at_work_is_finished_after_sigterm(tmp_path: Path) -> None:
    service = Service(tmp_path)
    with service.connect("public") as tcp, service.connect("operator"):
        tcp.sendall(b"GET /slow HTTP/1.1\r\nHost: a\r\n\r\n")
        time.sleep(0.3)
        service.served.process.send_signal(signal.SIGTERM)
        answer = b""
        while part := tcp.recv(4096):
            answer += part
    assert answer.endswith(b"done")
    assert service.served.ended() == 0
    lines = [json.loads(line) for line in (tmp_path / "log").read_bytes().splitlines()]
    assert any(line.get("route") == "/slow" and line["status"] == 200 for line in lines)
