"""The PVA's process with a CRL of its TLS root: a revoked client is refused over real TLS, at any request."""

import threading
import time
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from edge.client_revocation import STATUS_UNKNOWN
from edge.http_client import HttpClient, HttpError
from edge.principals import CERTIFICATE_REVOKED
from tests.end_to_end.pva_service import PvaService

WAIT_S = 20.0


class Publisher:
    """Plain HTTP, as the CA publishes its lists; `der` None: it has none."""

    def __init__(self) -> None:
        self.der: bytes | None = None
        publisher = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                found = publisher.der if self.path == "/crl/root.crl" else None
                self.send_response(404 if found is None else 200)
                self.send_header("Content-Length", str(len(found or b"")))
                self.end_headers()
                self.wfile.write(found or b"")

            def log_message(self, *_arguments: object) -> None:
                """Say nothing."""

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.thread = threading.Thread(target=self.server.serve_forever)
        self.thread.start()
        self.url = f"http://127.0.0.1:{self.server.server_port}/crl/root.crl"

    def close(self) -> None:
        """End."""
        self.server.shutdown()
        self.thread.join()
        self.server.server_close()


class Site:
    """A PVA that follows the list of its TLS root."""

    def __init__(self, folder: Path, publisher: Publisher) -> None:
        self.publisher = publisher
        self.pva = PvaService(folder)
        settings = folder / "pva.toml"
        follow = f'[operator]\nclient_crl = ["{publisher.url}"]\nclient_crl_interval_s = 1\n'
        settings.write_text(settings.read_text().replace("[operator]\n", follow))
        self.clients: dict[str, HttpClient] = {}

    def start(self) -> None:
        """Start the PVA; its clients keep their connections from then on."""
        self.pva.start()
        url = self.pva.urls["operator"]
        self.clients = {
            name: HttpClient(url, tls=self.pva.certificates.tls(name)) for name in ("admin", "sho")
        }

    def publish(self, *revoked: str, number: int) -> None:
        """The next list."""
        certificates = [self.pva.certificates.certificate(name) for name in revoked]
        self.publisher.der = self.pva.certificates.crl(*certificates, number=number)

    def answer(self, name: str) -> str:
        """What a client is told: "ok", or the type of the problem."""
        try:
            self.clients[name].get("/v1/suppliers")
        except HttpError as error:
            return str(error) if error.problem is None else error.problem.type
        return "ok"

    def wait_for(self, name: str, answer: str) -> None:
        """Until the list has been followed."""
        until = time.monotonic() + WAIT_S
        while self.answer(name) != answer:
            assert time.monotonic() < until, (self.answer(name), (self.pva.folder / "log").read_text())
            time.sleep(0.05)


@pytest.fixture
def site(tmp_path: Path) -> Iterator[Site]:
    publisher = Publisher()
    made = Site(tmp_path, publisher)
    made.start()
    yield made
    for client in made.clients.values():
        client.close()
    assert made.pva.stop() == 0
    made.pva.close()
    publisher.close()


@pytest.mark.negative
@pytest.mark.requirement("R102")
def test_a_client_that_is_revoked_is_refused_at_its_next_request_and_the_others_are_not(site: Site) -> None:
    # 1 no list yet: nobody is let in
    assert site.answer("admin") == STATUS_UNKNOWN
    # 2 a list without them
    site.publish(number=1)
    site.wait_for("admin", "ok")
    assert site.answer("sho") == "ok"
    # 3 one of them is revoked, and stays so when lists stop coming
    site.publish("sho", number=2)
    site.wait_for("sho", CERTIFICATE_REVOKED)
    site.publisher.der = None
    assert site.answer("sho") == CERTIFICATE_REVOKED
    assert site.answer("admin") == "ok"
