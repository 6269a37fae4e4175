"""The client against servers that misbehave: endless, slow, redirecting, lying, silent."""

import re
import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import pytest

from edge.http_client import ClientTls, HttpClient, HttpError, UnreachableError
from edge.process import system_clock
from edge.repeating import Repeating
from tests.contract.certificates import Certificates

LENGTH = re.compile(rb"\r\ncontent-length: ([0-9]+)\r\n", re.IGNORECASE)


def read_request(connection: socket.socket) -> None:
    """Read a whole request, which comes in as many parts as the client sends: what is left unread resets the connection."""
    came = b""
    while part := connection.recv(65536):
        came += part
        head, end, body = came.partition(b"\r\n\r\n")
        length = LENGTH.search(head + b"\r\n")
        if end and len(body) >= (int(length[1]) if length else 0):
            return


@contextmanager
def server(behave: Callable[[socket.socket], None]) -> Iterator[str]:
    """A server that reads one request and then does what `behave` does."""
    listening = socket.create_server(("127.0.0.1", 0))

    def run() -> None:
        try:
            connection, _ = listening.accept()
        except OSError:
            return
        with connection:
            try:
                read_request(connection)
                behave(connection)
            except OSError:
                return

    thread = threading.Thread(target=run)
    thread.start()
    try:
        yield f"http://127.0.0.1:{listening.getsockname()[1]}"
    finally:
        listening.close()
        thread.join(10)


def answering(data: bytes) -> Callable[[socket.socket], None]:
    return lambda connection: connection.sendall(data)


def test_an_answer_is_status_type_and_body() -> None:
    with server(
        answering(b"HTTP/1.1 201 Created\r\nContent-Type: a/b\r\nContent-Length: 2\r\n\r\nhi")
    ) as url:
        answer = HttpClient(url).post("/x", b"body", content_type="c/d")
    assert (answer.status, answer.content_type, answer.body) == (201, "a/b", b"hi")


@pytest.mark.negative
@pytest.mark.requirement("R97")
def test_an_answer_that_was_cut_anywhere_is_no_answer() -> None:
    whole = b"HTTP/1.1 200 OK\r\nContent-Type: a/b\r\nServer: x\r\nContent-Length: 12\r\n\r\nhello, world"
    for size in range(len(whole)):
        with server(answering(whole[:size])) as url, pytest.raises(UnreachableError):
            HttpClient(url).get("/x")
    with server(answering(whole)) as url:
        assert HttpClient(url).get("/x").body == b"hello, world"


def put_off(*seconds: int) -> Callable[[socket.socket], None]:
    """Put a request off as often as there are numbers, then answer it, all on one connection."""

    def behave(connection: socket.socket) -> None:
        for each in seconds:
            head = f"HTTP/1.1 503 X\r\nRetry-After: {each}\r\nContent-Length: 0\r\n\r\n"
            connection.sendall(head.encode())
            read_request(connection)
        connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nhi")

    return behave


def patient(url: str, slept: list[float]) -> HttpClient:
    return HttpClient(url).repeating(Repeating(sleep=slept.append, clock=system_clock, times_max=2))


def test_a_request_that_is_put_off_is_sent_again_when_the_service_says() -> None:
    slept: list[float] = []
    with server(put_off(2, 1)) as url:
        assert patient(url, slept).get("/").body == b"hi"
    key = {"Idempotency-Key": "k" * 16}
    with server(put_off(3)) as url:
        assert patient(url, slept).post("/", b"{}", content_type="a/b", headers=key).body == b"hi"
    assert slept == [2.0, 1.0, 3.0]


@pytest.mark.negative
def test_what_might_be_made_twice_and_what_waits_too_long_is_not_sent_again() -> None:
    slept: list[float] = []
    asks: list[Callable[[HttpClient], object]] = [
        lambda client: client.post("/", b"{}", content_type="a/b"),
        lambda client: client.put_json("/", {}),
    ]
    for ask in asks:
        with server(put_off(1)) as url, pytest.raises(HttpError, match="503"):
            ask(patient(url, slept))
    with server(put_off(3_600)) as url, pytest.raises(HttpError) as caught:
        patient(url, slept).get("/")
    assert caught.value.retry_after == "3600"
    with server(put_off(1)) as url, pytest.raises(HttpError):
        HttpClient(url).get("/")  # for a caller whom somebody waits for
    assert slept == []
    with server(put_off(1, 1, 1, 1)) as url, pytest.raises(HttpError):
        patient(url, slept).get("/")
    assert slept == [1.0, 1.0]


@pytest.mark.negative
def test_a_problem_document_is_read_and_other_errors_are_kept_short() -> None:
    document = (
        b'{"status": 404, "type": "urn:pva:problem:no-validation-pending", "title": "t", "remedy": "wait"}'
    )
    head = b"HTTP/1.1 404 X\r\nContent-Type: application/problem+json\r\nContent-Length: %d\r\n\r\n" % len(
        document
    )
    with server(answering(head + document)) as url, pytest.raises(HttpError, match="wait") as caught:
        HttpClient(url).get("/")
    assert caught.value.problem is not None
    assert caught.value.problem.type == "no-validation-pending"
    with (
        server(answering(b"HTTP/1.1 502 X\r\nContent-Length: 4\r\n\r\nhtml")) as url,
        pytest.raises(HttpError) as other,
    ):
        HttpClient(url).get("/")
    assert (other.value.status, other.value.problem) == (502, None)


@pytest.mark.negative
def test_an_endless_answer_ends_at_the_limit() -> None:
    def endless(connection: socket.socket) -> None:
        connection.sendall(b"HTTP/1.1 200 OK\r\n\r\n")
        while True:
            connection.sendall(b"x" * 65536)

    with server(endless) as url, pytest.raises(UnreachableError, match="more than 1000 bytes"):
        HttpClient(url, response_bytes_max=1000).get("/")


@pytest.mark.negative
def test_a_trickling_answer_ends_at_the_deadline() -> None:
    stop = threading.Event()

    def trickle(connection: socket.socket) -> None:
        connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 100000\r\n\r\n")
        while not stop.wait(0.05):
            connection.sendall(b"x")

    with server(trickle) as url:
        with pytest.raises(UnreachableError, match="took more than"):
            HttpClient(url, timeout_s=0.5).get("/")
        stop.set()


@pytest.mark.negative
def test_silence_and_a_closed_door_are_unreachable() -> None:
    stop = threading.Event()

    def silent(_: socket.socket) -> None:
        stop.wait(5)

    with server(silent) as url:
        with pytest.raises(UnreachableError, match="timed out"):
            HttpClient(url, timeout_s=0.2).get("/")
        stop.set()
    with pytest.raises(UnreachableError, match="refused"):
        HttpClient(url).get("/")


@pytest.mark.negative
def test_a_redirect_is_not_followed() -> None:
    with server(
        answering(b"HTTP/1.1 302 X\r\nLocation: http://127.0.0.1:1/\r\nContent-Length: 0\r\n\r\n")
    ) as url:
        assert HttpClient(url).get("/").status == 302


@pytest.mark.negative
def test_what_is_not_json_and_what_is_not_http_are_named() -> None:
    with (
        server(answering(b"HTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\n{")) as url,
        pytest.raises(UnreachableError, match="not JSON"),
    ):
        HttpClient(url).get_json("/")
    with server(answering(b"SSH-2.0-x\r\n")) as url, pytest.raises(UnreachableError):
        HttpClient(url).get("/")


@pytest.mark.negative
def test_the_kind_of_url_must_fit_the_trust(tmp_path_factory: pytest.TempPathFactory) -> None:
    certificates = Certificates(tmp_path_factory.mktemp("client"))
    tls = ClientTls(anchors=certificates.folder / "anchors.pem")
    for url, trust in (("https://127.0.0.1", None), ("http://127.0.0.1", tls), ("ftp://127.0.0.1", None)):
        with pytest.raises(ValueError, match="https URL with anchors"):
            HttpClient(url, tls=trust)


def test_a_connection_that_was_idle_for_long_is_not_used_again() -> None:
    accepted: list[int] = []
    listening = socket.create_server(("127.0.0.1", 0))

    def serve() -> None:
        while True:
            try:
                connection, _ = listening.accept()
            except OSError:
                return
            number = len(accepted)
            accepted.append(number)
            threading.Thread(target=answer_all, args=(connection,)).start()

    def answer_all(connection: socket.socket) -> None:
        with connection:
            while connection.recv(65536):
                connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nhi")

    thread = threading.Thread(target=serve)
    thread.start()
    url = f"http://127.0.0.1:{listening.getsockname()[1]}"
    patient, hasty = HttpClient(url), HttpClient(url, idle_max_s=0.01)
    try:
        for client, connections in ((patient, 1), (hasty, 3)):
            client.get("/")
            time.sleep(0.05)
            client.get("/")
            assert len(accepted) == connections
    finally:
        patient.close()
        hasty.close()
        listening.shutdown(socket.SHUT_RDWR)
        listening.close()
        thread.join(10)
