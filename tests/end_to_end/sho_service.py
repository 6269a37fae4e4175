"""The SHO as its operator runs it: its own process, TLS listeners, real keys, and peers that answer over mutual TLS."""

import json
import ssl
import sys
import threading
from collections.abc import Mapping
from datetime import timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding

from clients.sho import ShoOperatorClient, ShoPublicClient
from edge.database import engine_for
from edge.http_client import HttpClient
from edge.keys import read_passphrase, write_private_file, write_private_key
from edge.process import system_clock, system_random
from messages.encoding import decode_deterministic
from operators.sho.store import Store
from standards.pki import oids
from standards.rats.fields import encode_base64url
from tests.contract.certificates import Certificates
from tests.fakes.credentials import CredentialPlan, FakeSupplier
from tests.fakes.pki import Authority, Validity
from tests.fakes.sho_peers import DPF, KEY_FILE, PRODUCT, PVA, SHO, FakePva, Keys
from tests.fakes.sho_world import World
from tests.served import served

ROOT = Path(__file__).parents[2]
LIFE = Validity(before=timedelta(days=1), after=timedelta(days=365 * 50))
"""From the fixed time of the fakes until long after today."""

CONFIG = """
profile = "lab"
id = "{sho}"
name = "Example Mobile"
dpf_id = "{dpf}"
products = ["{product}"]
database = "sqlite:///{folder}/sho.db"
operators_root = "operators-root.pem"

[public]
certificate = "server.pem"
key = "keys/server.key"
passphrase_file = "keys/passphrase"

[operator]
certificate = "server.pem"
key = "keys/server.key"
passphrase_file = "keys/passphrase"
client_anchors = "anchors.pem"
principals = "principals.json"

[subscription_key]
key = "keys/token.key"
passphrase_file = "keys/passphrase"
certificate = "token.pem"

[policy_root]
key = "keys/policy-root.key"
passphrase_file = "keys/passphrase"

[result_key]
key = "keys/results.key"
passphrase_file = "keys/passphrase"
certificate = "results.pem"

[subscribers]
mcc = "262"
mnc = "07"
key_file = "keys/subscribers"
ims_domain = "ims.mnc007.mcc262.3gppnetwork.org"
destinations = ["10.0.0.1:443"]

[[suppliers]]
name = "Acme"
root = "es-root.pem"

[[pvas]]
id = "{pva}"
route = "{route}"
operator = {{ url = "{peers}", {caller} }}

[drf]
url = "{peers}"
{caller_lines}

[dpf]
url = "{peers}"
{caller_lines}
"""
CALLER = {
    "anchors": "anchors.pem",
    "certificate": "sho.pem",
    "key": "keys/sho.key",
    "passphrase_file": "keys/passphrase",
}


class Peers:
    """DRF, PVA and DPF in one server of the test; each asks for a certificate of the installation."""

    def __init__(self, pva: FakePva, certificates: Certificates) -> None:
        """Serve in a thread."""
        self.pva = pva
        self.announced: list[str] = []
        self.authorized: list[dict[int, Any]] = []
        peers = self

        class Handler(BaseHTTPRequestHandler):
            """One request."""

            def do_PUT(self) -> None:
                self._read()
                peers.announced.append(self.path)
                self._answer(204, None)

            def do_GET(self) -> None:
                found = peers.pva.progress(self.path.rsplit("/", 1)[1])
                members = {"request_id": self.path.rsplit("/", 1)[1], "state": found.state}
                if found.result is not None:
                    members["result"] = found.result
                if found.sealed is not None:
                    members |= {"outcome": "pass", "sealed": found.sealed}
                self._answer(200, members)

            def do_POST(self) -> None:
                self._answer(*peers.answer(self.path, self._read()))

            def log_message(self, *_: object) -> None:
                """Say nothing."""

            def _read(self) -> bytes:
                return self.rfile.read(int(self.headers["Content-Length"]))

            def _answer(self, status: int, members: dict[str, Any] | None) -> None:
                body = b"" if members is None else json.dumps(members).encode()
                self.send_response(status)
                self.send_header("Content-Type", "application/json")
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        folder = certificates.folder
        passphrase = read_passphrase(certificates.passphrase)
        context.load_cert_chain(folder / "server.pem", folder / "keys" / "server.key", password=passphrase)
        context.load_verify_locations(folder / "anchors.pem")
        context.verify_mode = ssl.CERT_REQUIRED
        self._server.socket = context.wrap_socket(self._server.socket, server_side=True)
        self._thread = threading.Thread(target=self._server.serve_forever, daemon=True)
        self._thread.start()

    @property
    def url(self) -> str:
        """Where all of them are."""
        return f"https://127.0.0.1:{self._server.server_address[1]}"

    def answer(self, path: str, body: bytes) -> tuple[int, dict[str, Any]]:
        """What the peers answer to a POST."""
        if path == "/v1/authorizations":
            self.authorized.append(decode_deterministic(body, bytes_max=1 << 20))
            return 201, {"authorization_id": "a-1", "state": "open"}
        asked = json.loads(body)
        if path == "/v1/approvals":
            digest = bytes.fromhex(asked["order_digest"])
            offered = self.pva.approvals(PVA, result_id=asked["result_id"], order_digest=digest)
            return 200, {
                "approvals": [encode_base64url(each) for each in offered.approvals],
                "day_key_chain": [encode_base64url(each) for each in offered.day_key_chain],
                "storage_public": encode_base64url(offered.storage_public),
            }
        request_id = self.pva.submit(asked["request"])
        return 201, {"request_id": request_id, "expires_at": "2099-01-01T00:00:00Z"}

    def close(self) -> None:
        """Stop serving."""
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()


class ShoService:
    """A running SHO with its peers; `world` looks into its store and speaks for its device."""

    def __init__(self, folder: Path, *, relayed: bool = False) -> None:
        """Write keys, certificates and settings below `folder`; `start` starts the process."""
        self.folder, self.relayed = folder, relayed
        self.certificates = Certificates(folder)
        self.certificates.client("sho")
        roles = ("drf", "pva", "dpf", "vno")
        self.certificates.register(
            {name: (name, self.certificates.client(name)) for name in roles}, tenants={"dpf": DPF}
        )
        self.keys = Keys(
            validity=LIFE,
            operators=Authority.root("operators' root", validity=LIFE),
            supplier=FakeSupplier.make("Acme", validity=LIFE),
        )
        self.pva = FakePva(keys=self.keys, at=system_clock().replace(microsecond=0), sealed=relayed)
        self.peers = Peers(self.pva, self.certificates)
        self._write_pem("operators-root", self.keys.operators.certificate)
        self._write_pem("es-root", self.keys.supplier.root.certificate)
        self._write_key("token", self.keys.token_key, oids.EKU_SUBSCRIPTION)
        self._write_key("results", self.keys.opener_key, oids.EKU_RESULT_ENCRYPTION)
        self._write_key("policy-root", self.keys.policy_root, None)
        write_private_file(folder / "keys" / "subscribers", KEY_FILE.hex().encode() + b"\n")
        write_private_file(folder / "keys" / "word", b"a passphrase is no key\n")
        roots = (self.keys.operators, self.keys.supplier.root)
        pem = b"".join(each.certificate.public_bytes(Encoding.PEM) for each in roots)
        (folder / "two.pem").write_bytes(pem)
        self.configure()

    def configure(self, changed: Mapping[str, str] | None = None) -> None:
        """Write the settings, with some texts replaced."""
        caller = [f'{name} = "{value}"' for name, value in CALLER.items()]
        text = CONFIG.format(
            folder=self.folder,
            sho=SHO,
            dpf=DPF,
            pva=PVA,
            product=PRODUCT,
            peers=self.peers.url,
            route="relay" if self.relayed else "direct",
            caller=", ".join(caller),
            caller_lines="\n".join(caller),
        )
        for old, new in (changed or {}).items():
            text = text.replace(old, new)
        (self.folder / "sho.toml").write_text(text)

    @property
    def command(self) -> list[str]:
        """How the process is started."""
        return [sys.executable, "-m", "operators.sho.app", "--config", str(self.folder / "sho.toml")]

    def start(self) -> None:
        """Start the process and wait until it is ready."""
        self.served = served(self.command, log=self.folder / "log")
        engine = engine_for(f"sqlite:///{self.folder}/sho.db")
        self.world = World(self.keys, store=Store(engine, random_bytes=system_random))
        self.world.pva, self.world.at = self.pva, self.pva.at

    def kill(self) -> None:
        """End the process as a power cut would."""
        self.served.kill()

    def stop(self) -> int:
        """Ask the process to end; its exit status."""
        return self.served.stop()

    def close(self) -> None:
        """Close what this side holds open."""
        self.peers.close()

    def as_peer(self, name: str) -> ShoOperatorClient:
        """The operator listener as somebody."""
        return ShoOperatorClient(HttpClient(self.served.urls["operator"], tls=self.certificates.tls(name)))

    @property
    def public(self) -> ShoPublicClient:
        """The public listener."""
        return ShoPublicClient(HttpClient(self.served.urls["public"], tls=self.certificates.tls()))

    def register(self) -> str:
        """The device registers through the DRF."""
        device = self.keys.device
        return self.as_peer("drf").register(
            device_id=device.device_id, pfc_chain=self.chain(), ak_public=device.ak.encode()
        )

    def chain(self) -> tuple[bytes, ...]:
        """The device's Platform Credential."""
        device, supplier = self.keys.device, self.keys.supplier
        plan = CredentialPlan(validity=LIFE)
        return supplier.chain(supplier.credential(device.device_id, device.ak_key.public_key(), plan=plan))

    def _write_pem(self, name: str, certificate: x509.Certificate) -> None:
        (self.folder / f"{name}.pem").write_bytes(certificate.public_bytes(Encoding.PEM))

    def _write_key(
        self, name: str, key: ec.EllipticCurvePrivateKey, eku: x509.ObjectIdentifier | None
    ) -> None:
        if eku is not None:
            self._write_pem(name, self.keys.certificate(key, eku, role="sho", name=SHO))
        path = self.folder / "keys" / f"{name}.key"
        write_private_key(path, key, passphrase_file=self.certificates.passphrase)
