"""What foreign OCSP clients and linters say about the running responder."""

import json
import signal
import subprocess
import sys
import time
from base64 import b64encode
from collections.abc import Callable, Iterator
from pathlib import Path
from urllib.parse import quote

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509 import ocsp

from clients.ocsp import OcspClient
from edge.http_client import HttpClient, HttpError, UnreachableError
from edge.process import system_clock, system_random
from standards.pki.crl import RevocationReason
from standards.pki.errors import PkiError
from standards.pki.ocsp_answer import StatusKind
from tests.conformance.ocsp_service import LONG, OcspService, StandInCa, pem
from tests.contract.certificates import Certificates
from tests.fakes.pki import Authority, p256
from tests.tools import need, need_pkilint

GOOD, REVOKED, HELD, NEVER = 0x51, 0x52, 0x53, 0x54
KINDS = {"good": GOOD, "revoked": REVOKED, "held": HELD, "unknown": NEVER}


class World:
    """A CA, a responder and the files that judges want."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.root = Authority.root("supplier root", validity=LONG)
        self.line = self.root.subordinate("product line", validity=LONG)
        self.other = self.root.subordinate("other line", validity=LONG)
        self.ca = StandInCa(Certificates(folder), [self.line, self.other])
        self.ca.start()
        self.certificates = {name: self.ca.issue(self.line, serial=serial) for name, serial in KINDS.items()}
        self.ca.changes.pop()  # the last of them was never issued
        self.elsewhere = self.ca.issue(self.other, serial=GOOD)
        self.ca.tell(self.line, serial=REVOKED, reason="keyCompromise")
        self.ca.tell(self.line, serial=HELD, reason="certificateHold")
        for name, certificate in {**self.certificates, "line": self.line.certificate}.items():
            (folder / f"{name}.pem").write_text(pem(certificate))
        (folder / "chain.pem").write_text(pem(self.line.certificate) + pem(self.root.certificate))
        self.service = OcspService(folder, self.ca)
        assert self.service.bootstrap() == self.service.bootstrap()
        self.service.start()
        self.until(lambda: self.status("good") is StatusKind.GOOD)

    def status(self, name: str) -> StatusKind | None:
        """The present status by our own client; None without an answer."""
        client = OcspClient(self.service.url, random_bytes=system_random, clock=system_clock)
        try:
            return client.ask(self.certificates[name], issuer=self.line.certificate).kind
        except (PkiError, UnreachableError, HttpError):
            return None
        finally:
            client.close()

    def until(self, holds: Callable[[], bool], *, seconds: float = 10) -> None:
        """Wait until it holds."""
        deadline = time.monotonic() + seconds
        while not holds():
            assert time.monotonic() < deadline, (self.folder / "stderr").read_text()
            time.sleep(0.05)

    def request(self, name: str, *, algorithm: hashes.HashAlgorithm | None = None) -> bytes:
        """A request without nonce."""
        builder = ocsp.OCSPRequestBuilder().add_certificate(
            self.certificates[name], self.line.certificate, algorithm or hashes.SHA256()
        )
        return builder.build().public_bytes(Encoding.DER)


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    made = World(tmp_path_factory.mktemp("ocsp"))
    yield made
    assert made.service.stop() == 0
    lines = [json.loads(line) for line in (made.folder / "stderr").read_text().splitlines()]
    counted = [line for line in lines if line["event"] == "requests"]
    assert sum(line.get("successful", 0) for line in counted) > 0
    made.ca.stop()


def run(command: list[str], folder: Path) -> str:
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False, timeout=60)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout + done.stderr


@pytest.mark.requirement("R101")
@pytest.mark.check("O2")
@pytest.mark.check("N5")
@pytest.mark.parametrize("digest", ["-sha1", "-sha256"])
@pytest.mark.parametrize("nonce", ["-nonce", "-no_nonce"])
def test_openssl_accepts_every_status(world: World, digest: str, nonce: str) -> None:
    command = [need("openssl"), "ocsp", "-issuer", "line.pem", digest, nonce]
    for name in KINDS:
        command += ["-cert", f"{name}.pem"]
    said = run([*command, "-CAfile", "chain.pem", "-url", world.service.url], world.folder)
    assert "Response verify OK" in said
    assert "WARNING" not in said
    assert "good.pem: good" in said
    assert "revoked.pem: revoked" in said
    assert "Reason: keyCompromise" in said
    assert "held.pem: revoked" in said
    assert "Reason: certificateHold" in said
    assert "unknown.pem: unknown" in said


@pytest.mark.requirement("R101")
@pytest.mark.parametrize("nonce", ["--nonce", "--no-nonce"])
@pytest.mark.parametrize(("name", "words"), [("good", "Certificate Status: good"), ("revoked", "revoked")])
def test_ocsptool_accepts(world: World, nonce: str, name: str, words: str) -> None:
    command = [need("ocsptool"), f"--ask={world.service.url}", "--load-issuer=line.pem"]
    command += [f"--load-cert={name}.pem", "--load-trust=chain.pem"] + ([nonce] if nonce == "--nonce" else [])
    done = subprocess.run(command, cwd=world.folder, capture_output=True, text=True, check=False, timeout=60)
    said = done.stdout + done.stderr
    assert "Verifying OCSP Response: Success" in said, said
    assert words in said


def test_pkilint_finds_nothing(world: World) -> None:
    linter = Path(sys.executable).parent / "lint_ocsp_response"
    need_pkilint()
    client = HttpClient(world.service.url)
    sha1 = hashes.SHA1()  # noqa: S303  # a name, not protection
    for name, algorithm in [("good", sha1), ("revoked", None), ("unknown", None)]:
        request = world.request(name, algorithm=algorithm)
        response = client.post("/", request, content_type="application/ocsp-request")
        (world.folder / "response.der").write_bytes(response.body)
        run([str(linter), "lint", "-s", "NOTICE", "response.der"], world.folder)


@pytest.mark.check("O19")
def test_get_with_every_escape(world: World) -> None:
    client = HttpClient(world.service.url)
    for attempt in range(20):
        serial = x509.random_serial_number()
        certificate = world.line.issue("x", key=p256().public_key(), serial=serial, validity=LONG)
        builder = ocsp.OCSPRequestBuilder().add_certificate(
            certificate, world.line.certificate, hashes.SHA256()
        )
        request = builder.build().public_bytes(Encoding.DER)
        encoded = b64encode(request).decode()
        path = quote(encoded, safe="" if attempt % 2 else "/+=")
        response = client.get("/" + path)
        assert response.content_type == "application/ocsp-response"
        single = next(iter(ocsp.load_der_ocsp_response(response.body).responses))
        assert single.serial_number == serial
        assert "max-age=" in response.headers["cache-control"]
        assert encoded[:40] not in (world.folder / "stderr").read_text()


@pytest.mark.check("L10")
def test_curl_is_told_that_what_it_holds_has_not_changed(world: World) -> None:
    curl = need("curl")
    url = f"{world.service.url}/{quote(b64encode(world.request('good')).decode(), safe='')}"
    told = [curl, "--silent", "--show-error", "--write-out", "%{http_code}"]
    assert run([*told, "--etag-save", "tag", "--output", "first", url], world.folder) == "200"
    assert run([*told, "--etag-compare", "tag", "--output", "second", url], world.folder) == "304"
    assert ocsp.load_der_ocsp_response((world.folder / "first").read_bytes()).serial_number == GOOD
    assert not (world.folder / "second").exists() or not (world.folder / "second").read_bytes()


def test_our_client_reads_reason_and_refuses_a_foreign_issuer(world: World) -> None:
    client = OcspClient(world.service.url, random_bytes=system_random, clock=system_clock)
    revoked = client.ask(world.certificates["revoked"], issuer=world.line.certificate)
    assert revoked.kind is StatusKind.REVOKED
    assert revoked.revocation is not None
    assert revoked.revocation.reason is RevocationReason.KEY_COMPROMISE
    assert client.ask(world.elsewhere, issuer=world.other.certificate).kind is StatusKind.GOOD
    assert client.ask(world.certificates["unknown"], issuer=world.line.certificate).kind is StatusKind.UNKNOWN
    with pytest.raises(PkiError, match="unauthorized"):
        client.ask(world.certificates["good"], issuer=world.root.certificate)


@pytest.mark.negative
def test_rubbish_over_http(world: World) -> None:
    client = HttpClient(world.service.url)
    assert (
        client.post("/", b"rubbish", content_type="application/ocsp-request").body == b"\x30\x03\x0a\x01\x01"
    )
    assert client.get("/favicon.ico").body == b"\x30\x03\x0a\x01\x01"
    with pytest.raises(HttpError, match="413"):
        client.post("/", b"x" * 9000, content_type="application/ocsp-request")
    with pytest.raises(HttpError, match="415"):
        client.post("/", world.request("good"), content_type="text/plain")


@pytest.mark.requirement("R101")
def test_a_revocation_is_answered_within_a_second(world: World) -> None:
    world.certificates["late"] = world.ca.issue(world.line, serial=0x60)
    world.until(lambda: world.status("late") is StatusKind.GOOD, seconds=1)
    world.ca.tell(world.line, serial=0x60, reason="superseded")
    world.until(lambda: world.status("late") is StatusKind.REVOKED, seconds=1)


def test_the_responder_outlives_its_ca_and_its_own_death(world: World) -> None:
    world.ca.stop()
    assert world.status("good") is StatusKind.GOOD
    world.service.stop(signal.SIGKILL)
    world.service.start()
    assert world.status("good") is StatusKind.GOOD
    assert world.status("revoked") is StatusKind.REVOKED
    world.ca.tell(world.line, serial=HELD, reason=None)
    assert world.status("held") is StatusKind.REVOKED
    world.ca.start()
    world.until(lambda: world.status("held") is StatusKind.GOOD, seconds=15)
