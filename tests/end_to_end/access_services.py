"""VNO, ICF and CCIF as their operators run them: processes, mutual TLS, and a DRF that takes what it is told."""

import base64
import http.server
import json
import socket
import ssl
import sys
import threading
from datetime import timedelta
from pathlib import Path
from typing import Any

from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding

from clients.audit_log import AuditLogClient
from clients.ccif import CcifClient
from clients.icf import IcfClient
from clients.vno import VnoClient
from edge.http_client import HttpClient, client_context
from edge.keys import create_passphrase, load_private_key, write_private_key
from edge.principals import certificate_digests
from edge.process import system_random
from lab.keyring import make_log_key
from messages.bearer import Bearer
from standards.merkle.checkpoint import VerifierKey
from standards.pki import oids
from standards.pki.extensions import OperatorRole
from tests.contract.certificates import Certificates
from tests.fakes.pki import LEAF_USAGE, Authority, Validity, p256
from tests.served import Served, served

ROOT = Path(__file__).parents[2]
LIFE = Validity(before=timedelta(days=1), after=timedelta(days=365 * 50))
NETWORK = "vno-1"
MCC, MNC = "999", "70"
LOGS = ("vno", "icf", "ccif")
OP = "cdc202d5123e20f62b6d676ac72cb318"
PARTIES = {
    "vno-1": ("vno", NETWORK),
    "vno-2": ("vno", "vno-2"),
    "ccif-1": ("ccif", "ccif-1"),
    "factory": ("es", "supplier-1"),
    "rival": ("es", "supplier-2"),
    "auditor": ("auditor", ""),
}

_LISTENER = """
certificate = "{folder}/server.pem"
key = "{folder}/keys/server.key"
passphrase_file = "{folder}/keys/passphrase"
"""
_OPERATOR = f"""
[operator]
port = {{port}}{_LISTENER}client_anchors = "{{folder}}/anchors.pem"
principals = "{{folder}}/principals.json"
"""
_LOG = """
[audit_log]
name = "{role}.example.net/log"
key = "{folder}/{role}-log/log.key"
passphrase_file = "{folder}/{role}-log/passphrase"
interval_s = 0.05
"""
_UPSTREAM = """
url = "{url}"
anchors = "{folder}/anchors.pem"
certificate = "{folder}/{caller}.pem"
key = "{folder}/keys/{caller}.key"
passphrase_file = "{folder}/keys/passphrase"
"""


class Drf:
    """A listener with mutual TLS that keeps what the ICF says."""

    def __init__(self, certificates: Certificates) -> None:
        told: list[dict[str, Any]] = []
        self.told = told
        self.up = True
        self.asked: set[str] = set()
        outer = self

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["Content-Length"]))
                outer.asked.add(f"{self.command} {self.path}")
                status = 204 if outer.up and self.path == "/v1/attachments" else 503
                if status == 204:
                    told.append(json.loads(body))
                self.send_response(status)
                self.send_header("Content-Length", "0")
                self.end_headers()

            def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the parent's signature
                pass

        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        passphrase = certificates.passphrase.read_bytes().strip()
        folder = certificates.folder
        context.load_cert_chain(folder / "server.pem", folder / "keys" / "server.key", password=passphrase)
        context.load_verify_locations(folder / "anchors.pem")
        context.verify_mode = ssl.CERT_REQUIRED
        self._server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.socket = context.wrap_socket(self._server.socket, server_side=True)
        self.url = f"https://127.0.0.1:{self._server.server_port}"
        threading.Thread(target=self._server.serve_forever, daemon=True).start()

    def close(self) -> None:
        """Stop listening."""
        self._server.shutdown()
        self._server.server_close()


class Destination:
    """A service behind the gateway: a plain HTTP answer for whoever reaches it."""

    def __init__(self) -> None:
        self.asked = 0
        outer = self

        class Handler(http.server.BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_GET(self) -> None:
                outer.asked += 1
                body = b"x" * int(self.path.rpartition("/")[2] or 0)
                self.send_response(200)
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the parent's signature
                pass

        self._server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.handle_error = lambda *_: None  # type: ignore[method-assign]  # tunnels end in mid-answer
        self.address = f"127.0.0.1:{self._server.server_port}"
        threading.Thread(target=self._server.serve_forever, daemon=True).start()

    def close(self) -> None:
        """Stop listening."""
        self._server.shutdown()
        self._server.server_close()


class AccessServices:
    """Everything of steps 0 to 4."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.certificates = Certificates(folder)
        rows = []
        for name, (role, tenant) in PARTIES.items():
            issuer, spki = certificate_digests(
                self.certificates.client(name), self.certificates.root.certificate
            )
            rows.append(
                {"role": role, "tenant": tenant, "name": name, "issuer_sha256": issuer, "spki_sha256": spki}
            )
        (folder / "principals.json").write_text(json.dumps({"principals": rows}))
        self.certificates.client("icf-1")
        for role in ("icf", "ccif"):
            create_passphrase(folder / "keys" / f"{role}-subscribers", random_bytes=system_random)
        for role in LOGS:
            make_log_key(folder / f"{role}-log", f"{role}.example.net/log")
        self.operators = Authority.root("operators' root", validity=LIFE)
        self._write_signing_key()
        self.drf = Drf(self.certificates)
        self.destination, self.other_destination = Destination(), Destination()
        self.running: dict[str, Served] = {}

    def start_icf(self, *, port: int = 0) -> None:
        """Start the ICF."""
        text = f'profile = "lab"\ndatabase = "sqlite:///{self.folder}/icf.db"\n'
        text += 'subscriber_key_file = "keys/icf-subscribers"\n'
        text += _OPERATOR.format(folder=self.folder, port=port)
        text += "[drf]" + _UPSTREAM.format(folder=self.folder, url=self.drf.url, caller="icf-1")
        self._start("icf", text)

    def start_ccif(self, *, quota_bytes: int = 400_000, life_s: int = 600) -> None:
        """Start the CCIF; the terms are those of every PCID from now on."""
        text = f'profile = "lab"\nissuer = "ccif-1"\ndatabase = "sqlite:///{self.folder}/ccif.db"\n'
        text += 'subscriber_key_file = "keys/ccif-subscribers"\noperators_root = "operators-root.pem"\n'
        text += f'op = "{OP}"\n'
        text += _OPERATOR.format(folder=self.folder, port=0)
        icf = self.running["icf"].urls["operator"]
        text += "[icf]" + _UPSTREAM.format(folder=self.folder, url=icf, caller="ccif-1")
        text += '[connectivity_key]\nkey = "keys/connectivity.key"\npassphrase_file = "keys/passphrase"\n'
        text += 'certificate = "connectivity.pem"\n'
        text += f'[numbers]\nmcc = "{MCC}"\nmnc = "{MNC}"\n'
        text += f'[bearer]\napn = "provisioning"\ndestinations = ["{self.destination.address}"]\n'
        text += f"quota_bytes = {quota_bytes}\nlife_s = {life_s}\n"
        self._start("ccif", text)

    def start_vno(self) -> None:
        """Start the VNO."""
        text = (
            f'profile = "lab"\nserving_network = "{NETWORK}"\ndatabase = "sqlite:///{self.folder}/vno.db"\n'
        )
        text += "[device]\n[gateway]" + _LISTENER.format(folder=self.folder)
        text += 'reachable_networks = ["127.0.0.1/32"]\n'
        text += _OPERATOR.format(folder=self.folder, port=0)
        icf = self.running["icf"].urls["operator"]
        text += f'[routes."{MCC}-{MNC}"]' + _UPSTREAM.format(folder=self.folder, url=icf, caller="vno-1")
        self._start("vno", text)

    def close(self) -> None:
        """Stop everything; each process must end well."""
        codes = {name: running.stop() for name, running in self.running.items()}
        self.drf.close()
        self.destination.close()
        self.other_destination.close()
        assert set(codes.values()) <= {0}, codes

    def icf(self, name: str) -> IcfClient:
        """The ICF as somebody."""
        return IcfClient(self.http("icf", name))

    def ccif(self, name: str) -> CcifClient:
        """The CCIF as somebody."""
        return CcifClient(self.http("ccif", name))

    def log(self, role: str, name: str = "auditor") -> tuple[AuditLogClient, VerifierKey]:
        """The audit log of a role as somebody, and what it is verified with."""
        key = VerifierKey.parse((self.folder / f"{role}-log" / "log.vkey").read_text())
        return AuditLogClient(self.http(role, name)), key

    @property
    def vno(self) -> VnoClient:
        """The radio side."""
        return VnoClient(HttpClient(self.running["vno"].urls["device"]))

    def connect(
        self,
        target: str,
        bearer: Bearer | None,
        *,
        secret: str | None = None,
        method: str = "CONNECT",
    ) -> tuple[int, ssl.SSLSocket]:
        """Status of one request at the gateway, and the connection, which is a tunnel after a 200."""
        host, _, port = self.running["vno"].urls["gateway"].removeprefix("https://").partition(":")
        raw = socket.create_connection((host, int(port)), timeout=20)
        tls = client_context(self.certificates.tls()).wrap_socket(raw, server_hostname=host)
        head = f"{method} {target} HTTP/1.1\r\nHost: {target}\r\n"
        if bearer is not None:
            proof = base64.b64encode(f"{bearer.id}:{secret or bearer.secret}".encode()).decode()
            head += f"Proxy-Authorization: Basic {proof}\r\n"
        tls.sendall(head.encode() + b"\r\n")
        answer = b""
        while b"\r\n\r\n" not in answer:
            data = tls.recv(4096)
            if not data:
                break
            answer += data
        return int(answer.split(b" ", 2)[1]) if answer else 0, tls

    def http(self, role: str, name: str) -> HttpClient:
        """A role's operator listener as somebody."""
        return HttpClient(self.running[role].urls["operator"], tls=self.certificates.tls(name))

    def _start(self, role: str, text: str) -> None:
        config = self.folder / f"{role}.toml"
        config.write_text(text + _LOG.format(folder=self.folder, role=role))
        command = [sys.executable, "-m", f"operators.{role}.app", "--config", str(config)]
        self.running[role] = served(command, log=self.folder / "log")
        assert self.running[role].ready["role"] == role

    def _write_signing_key(self) -> None:
        key = p256()
        role = (OperatorRole(role="ccif", id="ccif-1").to_extension(), False)
        certificate: x509.Certificate = self.operators.issue(
            "ccif-1",
            key=key.public_key(),
            eku=oids.EKU_CONNECTIVITY,
            extensions=[(LEAF_USAGE, True), role],
            validity=LIFE,
        )
        (self.folder / "operators-root.pem").write_bytes(
            self.operators.certificate.public_bytes(Encoding.PEM)
        )
        (self.folder / "connectivity.pem").write_bytes(certificate.public_bytes(Encoding.PEM))
        path = self.folder / "keys" / "connectivity.key"
        write_private_key(path, key, passphrase_file=self.certificates.passphrase)
        assert load_private_key(path, passphrase_file=self.certificates.passphrase)
