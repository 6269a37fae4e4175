"""EST as others speak it: curl and openssl against the real process over real TLS (E1-E7)."""

import json
import re
import signal
import subprocess
from base64 import b64encode
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from clients.ca import CaOperatorClient
from tests.conformance.ca_service import Installation
from tests.fakes.enrolling_device import TpmMaker
from tests.tools import need

EST_TOML = """
[est]
certificate = "first/server.pem"
key = "first/server.key"
passphrase_file = "first/passphrase"
client_anchors = "first/tls-root.pem"
"""
PKCS10 = "Content-Type: application/pkcs10"


@dataclass(frozen=True, kw_only=True)
class Answered:
    """What curl saw."""

    status: int
    head: str
    body: bytes


@dataclass(frozen=True, kw_only=True)
class Caller:
    """A service with openssl and curl, in a folder of its own."""

    installation: Installation
    folder: Path

    def openssl(self, *arguments: str, data: bytes = b"") -> bytes:
        """Standard output of openssl; anything but 0 is a failure."""
        command = [need("openssl"), *arguments]
        done = subprocess.run(command, cwd=self.folder, input=data, capture_output=True, check=False)
        assert done.returncode == 0, done.stderr
        return done.stdout

    def request(self, name: str, *, subject: str = "/CN=anybody", extensions: tuple[str, ...] = ()) -> bytes:
        """A key `<name>.key`, if there is none, and a base64 PKCS#10 request for it."""
        key = f"{name}.key"
        if not (self.folder / key).exists():
            self.openssl("genpkey", "-algorithm", "EC", "-pkeyopt", "ec_paramgen_curve:P-256", "-out", key)
        added = [part for each in extensions for part in ("-addext", each)]
        der = self.openssl("req", "-new", "-key", key, "-subj", subject, "-outform", "DER", *added)
        return self.openssl("base64", data=der)

    def digest(self, name: str) -> str:
        """SPKI digest of a key, as openssl has it."""
        der = self.openssl("pkey", "-in", f"{name}.key", "-pubout", "-outform", "DER")
        return re.sub(r"^.*= ?", "", self.openssl("dgst", "-sha256", data=der).decode()).strip()

    def curl(self, path: str, *, data: bytes | None = None, shown: str | None = None) -> Answered:
        """One request; `shown` is the name of a client certificate and its key."""
        assert self.installation.urls is not None
        root = self.installation.folder / "first" / "tls-root.pem"
        command = [need("curl"), "-s", "-S", "-D", "head", "-o", "body", "--cacert", str(root)]
        if data is not None:
            (self.folder / "request").write_bytes(data)
            command += ["--data-binary", "@request", "-H", PKCS10]
        if shown is not None:
            command += ["--cert", f"{shown}.pem", "--key", f"{shown}.key"]
        url = f"{self.installation.urls['est']}/.well-known/est/{path}"
        done = subprocess.run([*command, url], cwd=self.folder, capture_output=True, check=False)
        assert done.returncode == 0, done.stderr
        head = (self.folder / "head").read_text()
        return Answered(
            status=int(head.split()[1]), head=head.lower(), body=(self.folder / "body").read_bytes()
        )

    def certificate(self, answer: Answered, name: str) -> str:
        """Keep the certificate of an answer as `<name>.pem`; its text, as openssl prints it."""
        assert answer.status == 200, answer
        assert "content-type: application/pkcs7-mime; smime-type=certs-only" in answer.head
        der = self.openssl("base64", "-d", data=answer.body)
        pem = self.openssl("pkcs7", "-inform", "DER", "-print_certs", data=der)
        (self.folder / f"{name}.pem").write_bytes(pem)
        return self.openssl("x509", "-in", f"{name}.pem", "-noout", "-text").decode()


@pytest.fixture(scope="module")
def installation(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Installation]:
    made = Installation(folder=tmp_path_factory.mktemp("ca"), maker=TpmMaker(), more=EST_TOML)
    made.set_up()
    made.start()
    try:
        yield made
    finally:
        if made.served is not None:
            assert made.stop(signal.SIGTERM) == 0


@pytest.fixture
def caller(installation: Installation, tmp_path: Path) -> Caller:
    return Caller(installation=installation, folder=tmp_path)


@pytest.fixture
def desk(installation: Installation) -> Iterator[CaOperatorClient]:
    http = installation.client("operator", who="admin")
    yield CaOperatorClient(http)
    http.close()


def verified(caller: Caller, name: str, *, root: str = "first/tls-root.pem") -> bool:
    anchor = str(caller.installation.folder / root)
    said = caller.openssl("verify", "-x509_strict", "-CAfile", anchor, f"{name}.pem")
    return said.endswith(b"OK\n")


@pytest.mark.check("E1")
@pytest.mark.check("E2")
@pytest.mark.check("E3")
def test_ca_certificates_are_the_roots_of_the_label(caller: Caller) -> None:
    for path, root in (("cacerts", "tls-root.pem"), ("challenge/cacerts", "operators-root.pem")):
        caller.certificate(caller.curl(path), "anchor")
        fingerprint = ("x509", "-noout", "-fingerprint", "-sha256", "-in")
        kept = caller.openssl(*fingerprint, str(caller.installation.folder / "first" / root))
        assert caller.openssl(*fingerprint, "anchor.pem") == kept


@pytest.mark.check("E4")
@pytest.mark.check("E7")
def test_a_service_waits_is_approved_enrols_and_renews_with_its_certificate(
    caller: Caller, desk: CaOperatorClient
) -> None:
    request = caller.request("sho")
    waiting = caller.curl("tls-client/simpleenroll", data=request)
    assert waiting.status == 202
    assert "retry-after: 300" in waiting.head
    digest = caller.digest("sho")
    assert digest in {each["spki_sha256"] for each in desk.est_enrollments() if each["state"] == "pending"}
    desk.register_est_key({"label": "tls-client", "spki_sha256": digest, "name": "sho-7"})
    text = caller.certificate(caller.curl("tls-client/simpleenroll", data=request), "sho")
    assert "Subject: CN = sho-7" in text
    assert "TLS Web Client Authentication" in text
    assert verified(caller, "sho")
    # E6: another key, the same names, shown in the handshake; without it, nothing
    next_request = caller.request("next", subject="/CN=sho-7")
    assert caller.curl("tls-client/simplereenroll", data=next_request).status == 403
    renewed = caller.curl("tls-client/simplereenroll", data=next_request, shown="sho")
    assert "Subject: CN = sho-7" in caller.certificate(renewed, "next")
    assert verified(caller, "next")
    other = caller.request("other", subject="/CN=sho-8")
    assert caller.curl("tls-client/simplereenroll", data=other, shown="next").status == 422


@pytest.mark.check("E6")
def test_a_server_and_a_pva_enrol_by_registered_keys(caller: Caller, desk: CaOperatorClient) -> None:
    server, challenge = caller.request("server"), caller.request("challenge")
    names = {"dns": ["pva.example.net"], "ip": ["192.0.2.1"]}
    desk.register_est_key(
        {"label": "tls-server", "spki_sha256": caller.digest("server"), "name": "pva-7", **names}
    )
    desk.register_est_key(
        {"label": "challenge", "spki_sha256": caller.digest("challenge"), "name": "pva-7", "role": "pva"}
    )
    text = caller.certificate(caller.curl("tls-server/simpleenroll", data=server), "server")
    assert "DNS:pva.example.net, IP Address:192.0.2.1" in text
    assert verified(caller, "server")
    caller.certificate(caller.curl("challenge/simpleenroll", data=challenge), "challenge")
    assert verified(caller, "challenge", root="first/operators-root.pem")
    # a renewal keeps both names; early, it is the certificate that there is
    again = caller.request(
        "server", subject="/CN=pva-7", extensions=("subjectAltName=DNS:pva.example.net,IP:192.0.2.1",)
    )
    before = (caller.folder / "server.pem").read_bytes()
    caller.certificate(caller.curl("tls-server/simplereenroll", data=again), "server")
    assert (caller.folder / "server.pem").read_bytes() == before


@pytest.mark.negative
@pytest.mark.requirement("R77")
def test_no_label_gives_what_devices_cas_and_suppliers_have(caller: Caller) -> None:
    request = caller.request("greedy")
    for label in ("platform-credential", "issuing-ca", "es-root", "manifest-signing", "ocsp-delegate"):
        for operation in ("simpleenroll", "simplereenroll"):
            assert caller.curl(f"{label}/{operation}", data=request).status == 404


@pytest.mark.check("E5")
def test_openssl_reads_the_attributes_and_requests_may_be_spaced(caller: Caller) -> None:
    answer = caller.curl("csrattrs")
    assert answer.status == 200
    der = caller.openssl("base64", "-d", data=answer.body)
    printed = caller.openssl("asn1parse", "-inform", "DER", data=der).decode()
    assert ":id-ecPublicKey" in printed
    assert ":prime256v1" in printed
    spaced = b" \r\n".join(caller.request("spaced").split()) + b"\t\n"
    assert caller.curl("simpleenroll", data=spaced).status == 202


@pytest.mark.negative
@pytest.mark.check("E1")
def test_a_certificate_of_another_ca_is_refused_in_the_handshake(caller: Caller) -> None:
    caller.request("stranger")
    caller.openssl(
        *("req", "-x509", "-key", "stranger.key", "-subj", "/CN=stranger", "-days", "2"),
        *("-out", "stranger.pem"),
    )
    assert caller.installation.urls is not None
    root = caller.installation.folder / "first" / "tls-root.pem"
    url = f"{caller.installation.urls['est']}/.well-known/est/cacerts"
    shown = ("--cert", "stranger.pem", "--key", "stranger.key")
    command = [need("curl"), "-s", "-S", "--cacert", str(root), *shown, url]
    done = subprocess.run(command, cwd=caller.folder, capture_output=True, check=False)
    assert done.returncode != 0
    assert done.stdout == b""


@pytest.mark.negative
def test_what_is_no_request_is_refused_with_a_remedy(caller: Caller) -> None:
    answer = caller.curl("simpleenroll", data=b64encode(b"no request"))
    problem = json.loads(answer.body)
    assert (answer.status, problem["reason"]) == (422, "csr-malformed")
    assert problem["remedy"]
