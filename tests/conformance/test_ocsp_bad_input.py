"""What hostile and clumsy clients send to the running responder: nothing stops it, nothing gets a signature by mistake."""

import contextlib
import re
import socket
import time
from base64 import b64encode, urlsafe_b64encode
from collections.abc import Iterator
from urllib.parse import quote, urlsplit

import pytest
from cryptography.x509 import ocsp
from cryptography.x509.ocsp import OCSPResponseStatus

from standards.pki.ocsp_answer import StatusKind
from tests.conformance.test_ocsp_judges import GOOD, World
from tests.tools import need_cryptography_vectors
from tests.unit.ocsp.asking import ask_for_all

UNREADABLE = {"req-duplicate-ext.der", "req-invalid-version.der"}
"""Requests of the vectors that break RFC 6960."""
MALFORMED = b"\x30\x03\x0a\x01\x01"


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    made = World(tmp_path_factory.mktemp("ocsp"))
    yield made
    assert made.status("good") is StatusKind.GOOD  # it is still there, and says what it said
    assert made.service.stop() == 0
    made.ca.stop()


def said(world: World, sent: bytes) -> bytes:
    """All that comes back until the connection is closed."""
    answer = b""
    with connected(world) as tcp:
        tcp.sendall(sent)
        with contextlib.suppress(ConnectionResetError):
            while part := tcp.recv(65_536):
                answer += part
    return answer


def connected(world: World) -> socket.socket:
    return socket.create_connection(("127.0.0.1", urlsplit(world.service.url).port or 0), timeout=20)


def posted(
    world: World, body: bytes, *, content_type: bytes = b"application/ocsp-request"
) -> tuple[int, bytes]:
    """Status and body."""
    head = b"POST / HTTP/1.1\r\nHost: a\r\nConnection: close\r\nContent-Type: " + content_type
    answer = said(world, head + b"\r\nContent-Length: %d\r\n\r\n" % len(body) + body)
    head, _, body = answer.partition(b"\r\n\r\n")
    return int(head.split()[1]), body


def got(world: World, path: str) -> tuple[int, bytes]:
    """Status and body."""
    answer = said(world, f"GET {path} HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n".encode("latin-1"))
    head, _, body = answer.partition(b"\r\n\r\n")
    return int(head.split()[1]), body


def many(world: World, count: int) -> bytes:
    return ask_for_all(*[world.request("good")] * count)


@pytest.mark.negative
@pytest.mark.check("O1")
def test_no_malformed_request_gets_a_signature(world: World) -> None:
    request = world.request("good")
    bad = [b"", b"\x00", b"\x30", b"\x30\x80" + request[2:] + b"\x00\x00", request + b"\x00", request * 2]
    bad += [request[:end] for end in range(0, len(request), 7)]
    bad += [bytes([0x30, 0x84, 0xFF, 0xFF, 0xFF, 0xFF]) + request, b"\x30\x82\x1f\xfc" + b"\x30\x00" * 4094]
    bad += [b"\x30" * 8192, bytes(8192), b"\xff" * 8192]
    for body in bad:
        assert posted(world, body) == (200, MALFORMED), body[:20].hex()


@pytest.mark.negative
def test_no_request_of_the_vectors_gets_a_signature(world: World) -> None:
    """Requests and answers as others wrote them, good and broken: none asks about a certificate of this CA."""
    files = sorted((need_cryptography_vectors() / "ocsp").glob("*.der"))
    requests = {path.name for path in files if "req" in path.stem}
    assert len(files) > len(requests) > 10
    for path in files:
        status, body = posted(world, path.read_bytes())
        is_read = path.name in requests - UNREADABLE
        expected = OCSPResponseStatus.UNAUTHORIZED if is_read else OCSPResponseStatus.MALFORMED_REQUEST
        assert (status, ocsp.load_der_ocsp_response(body).response_status) == (200, expected), path.name


@pytest.mark.negative
def test_one_certificate_too_many_gets_no_signature(world: World) -> None:
    status, body = posted(world, many(world, 64))
    assert status == 200
    assert ocsp.load_der_ocsp_response(body).response_status is OCSPResponseStatus.SUCCESSFUL
    assert posted(world, many(world, 65)) == (200, MALFORMED)


@pytest.mark.negative
def test_too_long_a_body_is_refused_unread(world: World) -> None:
    assert posted(world, bytes(8193))[0] == 413
    endless = b"POST / HTTP/1.1\r\nHost: a\r\nContent-Type: application/ocsp-request\r\n"
    assert said(world, endless + b"Content-Length: 99999999999999\r\n\r\n").startswith(b"HTTP/1.1 413 ")
    assert said(world, endless + b"Transfer-Encoding: chunked\r\n\r\nfff\r\n").startswith(b"HTTP/1.1 411 ")


@pytest.mark.check("O19")
def test_every_spelling_of_base64_that_clients_use(world: World) -> None:
    encoded = b64encode(world.request("good")).decode()
    spellings = [
        encoded,
        quote(encoded, safe=""),
        quote(encoded, safe="/"),
        encoded.rstrip("="),
        "/" + encoded,
    ]
    for spelling in (*spellings, "//" + encoded):
        status, body = got(world, "/" + spelling)
        assert status == 200
        assert ocsp.load_der_ocsp_response(body).serial_number == GOOD


@pytest.mark.negative
@pytest.mark.check("O19")
def test_what_is_no_base64_of_a_request_gets_no_signature(world: World) -> None:
    encoded = b64encode(world.request("good")).decode()
    twice = quote(quote(encoded, safe=""), safe="")
    bad = ["", "/", encoded[:-9], encoded + "AAAA", "%00" + encoded, encoded + "%0d%0aX", "..%2f" + encoded]
    bad += [
        encoded.replace("A", "%20"),
        urlsafe_b64encode(b"0\xfb\xff\xfe").decode(),
        "M" * 12_000,
        "%4d" * 4000,
    ]
    for path in bad + ([twice] if "%25" in twice else []):
        assert got(world, "/" + path) == (200, MALFORMED), path[:40]
    assert got(world, "/" + "M" * 20_000)[0] == 431


@pytest.mark.negative
@pytest.mark.parametrize(
    ("content_type", "status"),
    [
        (b"application/ocsp-request", 200),
        (b"APPLICATION/OCSP-REQUEST", 200),
        (b"application/ocsp-request; charset=binary", 200),
        (b"application/ocsp-request ;x", 200),
        (b"", 415),
        (b"application/ocsp-requests", 415),
        (b"application/ocsp-response", 415),
        (b"text/plain, application/ocsp-request", 415),
        (b"multipart/form-data; boundary=x", 415),
        (b"application/ocsp-request\r\nContent-Type: text/plain", 200),
        (b"\xff\xfe", 415),
    ],
)
def test_content_types(world: World, content_type: bytes, status: int) -> None:
    assert posted(world, world.request("good"), content_type=content_type)[0] == status


@pytest.mark.negative
def test_nothing_is_smuggled_behind_a_request(world: World) -> None:
    request = world.request("good")
    path = quote(b64encode(world.request("revoked")).decode(), safe="")
    inner = f"GET /{path} HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n".encode()
    post = b"POST / HTTP/1.1\r\nHost: a\r\nContent-Type: application/ocsp-request\r\n"
    length, chunked = b"Content-Length: %d\r\n" % len(request), b"Transfer-Encoding: chunked\r\n"
    end = b"0\r\n\r\n"
    for sent in (
        post + length + chunked + b"\r\n" + end + inner,
        post + chunked + length + b"\r\n" + end + inner,
        post + b"Transfer-Encoding: identity, chunked\r\n\r\n" + end + inner,
        post + b"Transfer-Encoding:\x0bchunked\r\n" + length + b"\r\n" + request + inner[:0],
        post + b"Content-Length: 0\r\nContent-Length: %d\r\n\r\n" % len(inner) + inner,
        post + b"Content-Length: %d\r\n\r\n" % len(inner) + inner,
    ):
        answer = said(world, sent)
        assert len(re.findall(rb"HTTP/1\.1 \d{3} ", answer)) <= 1
        assert b"ocsp-response" not in answer or answer.endswith(MALFORMED)


@pytest.mark.negative
def test_those_who_say_little_hold_nobody_up(world: World) -> None:
    half = b"POST / HTTP/1.1\r\nHost: a\r\nContent-Type: application/ocsp-request\r\nContent-Length: 100\r\n\r\n0"
    slow = [connected(world) for _ in range(150)]
    for number, each in enumerate(slow):
        each.sendall(half if number % 3 == 0 else b"GET /MFE" if number % 3 == 1 else b"")
    began = time.monotonic()
    status, body = posted(world, world.request("good"))
    assert time.monotonic() - began < 3
    assert (status, ocsp.load_der_ocsp_response(body).serial_number) == (200, GOOD)
    for each in slow[:3]:
        each.settimeout(20)
        with contextlib.suppress(ConnectionResetError):
            while each.recv(4096):
                pass
    assert time.monotonic() - began < 18
    for each in slow:
        each.close()
