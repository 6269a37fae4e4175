"""Requests through the gateway of a visited network: two layers of TLS, one tunnel for many requests, clear refusals."""

import socket
import ssl
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from edge.http_client import (
    ClientTls,
    Gateway,
    GatewayRefusedError,
    HttpClient,
    UnreachableError,
    client_context,
)
from edge.keys import read_passphrase
from tests.contract.certificates import Certificates
from tests.fakes.connect_gateway import ConnectGateway

BIG = 300_000
SECRET = "a secret"  # noqa: S105 - of a test


class Inside(BaseHTTPRequestHandler):
    """The service that only the tunnel reaches; says what it heard."""

    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    heard: list[str]

    def do_GET(self) -> None:
        """A short answer, or a long one."""
        self._answer(b"x" * BIG if self.path == "/big" else self.path.encode())

    def do_POST(self) -> None:
        """An echo."""
        self._answer(self.rfile.read(int(self.headers["Content-Length"])))

    def log_message(self, *_: object) -> None:
        """Keep quiet."""

    def _answer(self, body: bytes) -> None:
        self.heard.append(f"{self.path} {dict(self.headers.items())}")
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)


@pytest.fixture(scope="module")
def certificates(tmp_path_factory: pytest.TempPathFactory) -> Certificates:
    return Certificates(tmp_path_factory.mktemp("gateway"))


@pytest.fixture(scope="module")
def server_context(certificates: Certificates) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    folder = certificates.folder
    passphrase = read_passphrase(certificates.passphrase)
    context.load_cert_chain(folder / "server.pem", folder / "keys" / "server.key", password=passphrase)
    return context


@pytest.fixture
def service(server_context: ssl.SSLContext) -> Iterator[str]:
    handler = type("Handler", (Inside,), {"heard": []})
    server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
    server.daemon_threads = True
    server.socket = server_context.wrap_socket(server.socket, server_side=True)
    server.heard = handler.heard  # type: ignore[attr-defined]  # read by the tests below
    thread = threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True)
    thread.start()
    try:
        yield f"127.0.0.1:{server.server_address[1]}"
    finally:
        server.shutdown()
        server.server_close()
        thread.join(10)


@pytest.fixture
def gateway(server_context: ssl.SSLContext, service: str) -> Iterator[ConnectGateway]:
    with ConnectGateway(context=server_context, destinations={service}).running() as running:
        yield running


def client(
    gateway: ConnectGateway, service: str, certificates: Certificates, *, secret: str = SECRET
) -> HttpClient:
    tls = client_context(certificates.tls())
    way = Gateway(address=gateway.address, bearer_id="bearer-1", secret=secret, tls=tls)
    return HttpClient(f"https://{service}", tls=tls, gateway=way, timeout_s=5)


@pytest.mark.requirement("R09")
def test_many_requests_go_through_one_tunnel(
    gateway: ConnectGateway, service: str, certificates: Certificates
) -> None:
    http = client(gateway, service, certificates)
    assert [http.get(f"/{number}").body for number in range(5)] == [b"/0", b"/1", b"/2", b"/3", b"/4"]
    assert http.post("/echo", b"a body", content_type="a/b").body == b"a body"
    assert len(http.get("/big").body) == BIG
    assert gateway.tunnels == [service]
    http.close()


def test_small_requests_are_sent_at_once(
    gateway: ConnectGateway, service: str, certificates: Certificates
) -> None:
    """Nagle's algorithm and delayed acknowledgements would make every request with a body wait 40 ms."""
    http = client(gateway, service, certificates)
    http.post("/echo", b"a body", content_type="a/b")
    options = http._pool.connection_pool_kw["socket_options"]  # noqa: SLF001 - no other way to see it
    assert (socket.IPPROTO_TCP, socket.TCP_NODELAY, 1) in options
    http.close()


def test_the_gateway_hears_where_and_for_whom_and_nothing_else(
    gateway: ConnectGateway, service: str, certificates: Certificates
) -> None:
    http = client(gateway, service, certificates)
    http.post("/secret-path", b"a secret body", content_type="a/b")
    (head,) = gateway.heads
    assert head.startswith(f"CONNECT {service} HTTP/1.")
    assert "secret-path" not in head
    assert "a secret body" not in head
    http.close()


def test_a_cut_tunnel_is_opened_again_for_the_next_request(
    gateway: ConnectGateway, service: str, certificates: Certificates
) -> None:
    http = client(gateway, service, certificates)
    http.get("/1")
    gateway.cut()
    try:
        http.get("/2")
    except UnreachableError:
        assert http.get("/2").body == b"/2"
    assert gateway.tunnels == [service, service]
    http.close()


@pytest.mark.negative
@pytest.mark.parametrize("status", [403, 407, 410])
def test_a_refusal_of_the_gateway_is_told_with_its_status_and_reason(
    gateway: ConnectGateway, service: str, certificates: Certificates, status: int
) -> None:
    gateway.refusal = (status, "the bearer has ended")
    with pytest.raises(GatewayRefusedError, match=f"refuses with {status}: the bearer has ended") as caught:
        client(gateway, service, certificates).get("/")
    assert caught.value.status == status
    assert gateway.address in caught.value.reason


@pytest.mark.negative
def test_a_wrong_bearer_and_another_destination_are_refused(
    gateway: ConnectGateway, service: str, certificates: Certificates
) -> None:
    with pytest.raises(GatewayRefusedError) as caught:
        client(gateway, service, certificates, secret="guessed").get("/")  # noqa: S106 - of a test
    assert caught.value.status == 407
    assert "guessed" not in str(caught.value)
    with pytest.raises(GatewayRefusedError) as caught:
        client(gateway, "127.0.0.1:1", certificates).get("/")
    assert caught.value.status == 403
    assert gateway.tunnels == []


@pytest.mark.negative
def test_a_gateway_that_is_not_there_is_named(
    gateway: ConnectGateway, service: str, certificates: Certificates
) -> None:
    gateway.address = "127.0.0.1:1"
    with pytest.raises(UnreachableError, match=r"gateway 127\.0\.0\.1:1: .*refused"):
        client(gateway, service, certificates).get("/")


@pytest.mark.negative
def test_a_gateway_and_a_service_of_a_foreign_root_are_not_trusted(
    gateway: ConnectGateway,
    service: str,
    certificates: Certificates,
    tmp_path_factory: pytest.TempPathFactory,
) -> None:
    foreign = client_context(Certificates(tmp_path_factory.mktemp("foreign")).tls())
    own = client_context(certificates.tls())
    for gateway_tls, service_tls in ((foreign, own), (own, foreign)):
        way = Gateway(address=gateway.address, bearer_id="bearer-1", secret=SECRET, tls=gateway_tls)
        http = HttpClient(f"https://{service}", tls=service_tls, gateway=way, timeout_s=5)
        with pytest.raises(UnreachableError, match="certificate"):
            http.get("/")
    assert gateway.tunnels in ([], [service])


@pytest.mark.negative
@pytest.mark.requirement("R97")
@pytest.mark.parametrize("cut_after_bytes", [10, 2_000, 100_000])
def test_a_link_that_is_cut_in_an_answer_gives_no_half_answer(
    gateway: ConnectGateway, service: str, certificates: Certificates, cut_after_bytes: int
) -> None:
    gateway.cut_after_bytes = cut_after_bytes
    http = client(gateway, service, certificates)
    with pytest.raises(UnreachableError):
        http.get("/big")
    gateway.cut_after_bytes = None
    assert len(http.get("/big").body) == BIG
    http.close()


@pytest.mark.negative
def test_behind_a_gateway_only_tls_is_spoken(certificates: Certificates) -> None:
    way = Gateway(address="127.0.0.1:1", bearer_id="b", secret="s", tls=certificates.tls())  # noqa: S106 - of a test
    with pytest.raises(ValueError, match="https URL behind a gateway"):
        HttpClient("http://127.0.0.1:1", gateway=way)
    assert "secret" not in repr(way)


def test_anchors_are_read_once(certificates: Certificates) -> None:
    context = client_context(ClientTls(anchors=certificates.folder / "anchors.pem"))
    assert client_context(context) is context
