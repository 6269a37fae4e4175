"""The responder's process as its user runs it, beside a CA that tests can stop, start and speak through."""

import json
import signal
import ssl
import sys
import threading
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding

from edge.keys import read_passphrase
from standards.pki import oids
from standards.pki.fingerprints import ca_id
from tests.contract.certificates import Certificates
from tests.fakes.ocsp import DELEGATE_EXTENSIONS
from tests.fakes.pki import Authority, Validity, p256
from tests.forked_python import run_module
from tests.served import Served, served

ROOT = Path(__file__).parents[2]
# The hierarchy of the tests is made around a fixed time; the processes here live in the present.
LONG = Validity(before=timedelta(days=3650), after=timedelta(days=3650))


class StandInCa:
    """A CA's operator listener, over mutual TLS, with as much API as the responder uses."""

    def __init__(self, certificates: Certificates, authorities: list[Authority]) -> None:
        self.certificates = certificates
        self.authorities = {ca_id(each.certificate): each for each in authorities}
        self.changes: list[dict[str, Any]] = []
        self.port = 0
        self._server: ThreadingHTTPServer | None = None

    @property
    def url(self) -> str:
        """Where it listens; the port stays over a restart."""
        return f"https://127.0.0.1:{self.port}"

    def issue(self, authority: Authority, *, serial: int) -> x509.Certificate:
        """Issue a certificate and tell the feed."""
        certificate = authority.issue("device", key=p256().public_key(), serial=serial, validity=LONG)
        self.tell(authority, serial=serial)
        return certificate

    def tell(self, authority: Authority, *, serial: int, reason: str | None = None) -> None:
        """Append a change to the feed."""
        at = datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
        earlier = [each for each in self.changes if each["serial"] == f"{serial:040x}"]
        self.changes.append(
            {
                "seq": len(self.changes) + 1,
                "issuer": ca_id(authority.certificate),
                "serial": f"{serial:040x}",
                "status": "good" if reason is None else "revoked",
                "reason": reason,
                "revoked_at": None if reason is None else at,
                "not_after": "2040-01-01T00:00:00Z",
                "version": len(earlier) + 1,
            }
        )

    def start(self) -> None:
        """Listen."""
        folder = self.certificates.folder
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        passphrase = read_passphrase(self.certificates.passphrase)
        context.load_cert_chain(folder / "server.pem", folder / "keys" / "server.key", passphrase)
        context.load_verify_locations(folder / "anchors.pem")
        context.verify_mode = ssl.CERT_REQUIRED
        self._server = ThreadingHTTPServer(("127.0.0.1", self.port), self._handler())
        self._server.daemon_threads = True
        self._server.socket = context.wrap_socket(self._server.socket, server_side=True)
        self.port = self._server.server_address[1]
        threading.Thread(target=self._server.serve_forever, daemon=True).start()

    def stop(self) -> None:
        """Go away."""
        if self._server is not None:
            self._server.shutdown()
            self._server.server_close()
            self._server = None

    def answer(self, path: str, body: Any) -> Any:
        """The JSON of one route."""
        parts = urlsplit(path)
        if parts.path == "/v1/issuing-cas":
            return {
                "issuing_cas": [
                    {"ca_id": name, "state": "active", "certificate": pem(each.certificate), "name": "x"}
                    for name, each in self.authorities.items()
                ]
            }
        if parts.path == "/v1/status-changes":
            asked = {name: int(values[0]) for name, values in parse_qs(parts.query).items()}
            later = self.changes[asked["after"] :]
            page = later[: asked["limit"]]
            return {
                "previous": self.changes[asked["after"] - 1] if asked["after"] else None,
                "changes": page,
                "next": asked["after"] + len(page),
                "complete": len(page) == len(later),
                "suspensions": {"version": 0, "in_force": []},
            }
        csr = x509.load_pem_x509_csr(body["csr"].encode())
        delegate = self.authorities[body["issuer"]].issue(
            "OCSP delegate",
            key=csr.public_key(),  # type: ignore[arg-type]  # an EC key, the CSR is ours
            eku=oids.EKU_OCSP_SIGNING,
            extensions=DELEGATE_EXTENSIONS,
            validity=LONG,
        )
        return {"certificate": pem(delegate)}

    def _handler(self) -> type[BaseHTTPRequestHandler]:
        ca = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_GET(self) -> None:
                self._send(ca.answer(self.path, None))

            def do_POST(self) -> None:
                length = int(self.headers["Content-Length"])
                self._send(ca.answer(self.path, json.loads(self.rfile.read(length))))

            def _send(self, value: Any) -> None:
                data = json.dumps(value).encode()
                self.send_response(200)
                self.send_header("Content-Type", "application/json")
                self.send_header("Content-Length", str(len(data)))
                self.end_headers()
                self.wfile.write(data)

            def log_message(self, *_: object) -> None:
                """Say nothing."""

        return Handler


class OcspService:
    """One responder with its files in `folder`; may be stopped and started again."""

    def __init__(self, folder: Path, ca: StandInCa) -> None:
        self.folder = folder
        self.config = folder / "ocsp.toml"
        ca.certificates.client("ocsp")
        tls = ca.certificates.tls("ocsp")
        self.config.write_text(
            f"""
            profile = "lab"
            database = "sqlite:///{folder / "ocsp.db"}"
            feed_interval_s = 0.1
            [public]
            host = "127.0.0.1"
            port = 0
            [key]
            key = "private/ocsp.key"
            passphrase_file = "private/passphrase"
            [ca]
            url = "{ca.url}"
            anchors = "{tls.anchors}"
            certificate = "{tls.certificate}"
            key = "{tls.key}"
            passphrase_file = "{tls.passphrase_file}"
            """
        )
        self.url = ""
        self.served: Served | None = None

    def bootstrap(self) -> str:
        """Make the key; its digest."""
        command = [sys.executable, "-m", "ocsp.bootstrap", "--config", str(self.config)]
        made = run_module(command, cwd=ROOT)
        assert made.returncode == 0, made.stderr
        return str(json.loads(made.stdout)["responder_key"])

    def start(self) -> None:
        """Run until it accepts."""
        command = [sys.executable, "-m", "ocsp.app", "--config", str(self.config)]
        self.served = served(command, log=self.folder / "stderr")
        assert self.served.ready["role"] == "ocsp"
        self.url = self.served.urls["public"]

    def stop(self, how: signal.Signals = signal.SIGTERM) -> int:
        """End it; its exit status."""
        assert self.served is not None
        return self.served.stop(how)


def pem(certificate: x509.Certificate) -> str:
    """A certificate in PEM."""
    return certificate.public_bytes(Encoding.PEM).decode("ascii")
