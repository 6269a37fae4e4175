"""The PVA as its operator runs it: its own process, TLS listeners, real keys and certificates, a responder."""

import sys
from collections.abc import Callable
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding

from clients.pva import PvaDeviceClient, PvaOperatorClient
from clients.pva_suppliers import PvaSupplierClient
from edge.http_client import HttpClient
from edge.keys import write_private_key
from edge.process import system_clock
from lab.processes import RunningProcess
from messages.challenge import CHALLENGE_TYPE, Challenge, read_claims
from messages.evidence import EvidenceMessage
from standards.pki import oids
from standards.pki.extensions import ExpectedSystemState, OperatorRole
from standards.pki.jws import verify_jws
from standards.rats.corim import Manifest, sign_manifest
from tests.contract.certificates import Certificates
from tests.fakes.attesting_device import AttestingDevice
from tests.fakes.credentials import CredentialPlan, FakeSupplier
from tests.fakes.ocsp_responder import FakeResponder
from tests.fakes.pki import LEAF_USAGE, Authority, Validity, p256
from tests.forked_python import start_module
from tests.served import served

PARTIES = {"sho-1": "sho", "dpf-1": "dpf", "ro-1": "ro-relay"}
"""Relying parties and a relay, each its own tenant."""
ROOT = Path(__file__).parents[2]
LIFE = Validity(before=timedelta(days=1), after=timedelta(days=365 * 50))
"""From the fixed time of the fakes until long after today."""

CONFIG = """
profile = "lab"
issuer = "pva-1"
database = "sqlite:///{folder}/pva.db"
operators_root = "operators-root.pem"

[device]
certificate = "server.pem"
key = "keys/server.key"
passphrase_file = "keys/passphrase"

[operator]
certificate = "server.pem"
key = "keys/server.key"
passphrase_file = "keys/passphrase"
client_anchors = "anchors.pem"
principals = "principals.json"

[challenge_key]
key = "keys/challenge.key"
passphrase_file = "keys/passphrase"
certificate = "challenge.pem"

[result_key]
key = "keys/result.key"
passphrase_file = "keys/passphrase"
certificate = "result.pem"

[approval_key]
key = "keys/approval.key"
passphrase_file = "keys/passphrase"
certificate = "approval.pem"
"""


class PvaService:
    """A running PVA, its people, one supplier with its responder."""

    def __init__(
        self,
        folder: Path,
        *,
        more: str = "",
        start_module: Callable[..., RunningProcess] = start_module,
    ) -> None:
        """Write keys, certificates and settings (and `more` of them) below `folder`; `start` starts the process."""
        self.folder = folder
        self._start_module = start_module
        self.certificates = Certificates(folder)
        roles = {"admin": "admin", "admin-2": "admin", "supplier": "es", "sho": "sho"} | PARTIES
        self.certificates.register(
            {name: (role, self.certificates.client(name)) for name, role in roles.items()},
            tenants={name: name for name in PARTIES},
        )
        self.operators = Authority.root("operators' root", validity=LIFE)
        (folder / "operators-root.pem").write_bytes(self.operators.certificate.public_bytes(Encoding.PEM))
        self.write_signing_key("challenge", p256(), oids.EKU_CHALLENGE)
        self.write_signing_key("result", p256(), oids.EKU_ATTESTATION_RESULT)
        self.write_signing_key("approval", p256(), oids.EKU_STATE_APPROVAL)
        self.supplier = FakeSupplier.make("t", validity=LIFE)
        self._issued: dict[int, x509.Certificate] = {}
        self.responder = FakeResponder(self.supplier.issuing, issued=self._issued)
        (folder / "pva.toml").write_text(CONFIG.format(folder=folder) + more)

    def start(self) -> None:
        """Start the process and wait until it is ready."""
        command = [sys.executable, "-m", "pva.app", "--config", str(self.folder / "pva.toml")]
        self.served = served(command, log=self.folder / "log", start=self._start_module)

    def kill(self) -> None:
        """End the process as a power cut would."""
        self.served.kill()

    def stop(self) -> int:
        """Ask the process to end; its exit status."""
        return self.served.stop()

    @property
    def urls(self) -> dict[str, str]:
        """Where its listeners are, by their names."""
        return self.served.urls

    def close(self) -> None:
        """Close what this side holds open."""
        self.responder.close()

    def operator(self, name: str) -> PvaOperatorClient:
        """The operator listener as somebody."""
        return PvaOperatorClient(HttpClient(self.served.urls["operator"], tls=self.certificates.tls(name)))

    def suppliers(self, name: str) -> PvaSupplierClient:
        """The operator listener as somebody, for what is about suppliers."""
        return PvaSupplierClient(HttpClient(self.served.urls["operator"], tls=self.certificates.tls(name)))

    @property
    def device_http(self) -> HttpClient:
        """The device listener."""
        return HttpClient(self.served.urls["device"], tls=self.certificates.tls())

    @property
    def device(self) -> PvaDeviceClient:
        """The device listener, typed."""
        return PvaDeviceClient(self.device_http)

    def sign(self, manifest: Manifest) -> bytes:
        """A manifest signed under the supplier's root."""
        key = p256()
        certificate = self.supplier.root.issue(
            "manifests",
            key=key.public_key(),
            eku=oids.EKU_MANIFEST_SIGNING,
            extensions=[(LEAF_USAGE, True)],
            validity=LIFE,
        )
        return sign_manifest(manifest, key=key, chain=[certificate])

    def credential(self, device: AttestingDevice, state: ExpectedSystemState) -> x509.Certificate:
        """A Platform Credential of a device, known to the responder."""
        plan = CredentialPlan(state=state, validity=LIFE)
        credential = self.supplier.credential(device.device_id, device.ak_key.public_key(), plan=plan)
        self._issued[credential.serial_number] = credential
        return credential

    def challenge(self, device: AttestingDevice) -> tuple[str, Challenge]:
        """A fresh challenge, verified as a TRE does."""
        token = self.device.challenge(device.device_id)
        return token, read_claims(self.verified(token, eku=oids.EKU_CHALLENGE, typ=CHALLENGE_TYPE))

    def verified(self, token: str, *, eku: x509.ObjectIdentifier, typ: str) -> dict[str, object]:
        """Claims of a token under the operators' root."""
        anchors = [self.operators.certificate]
        return verify_jws(token, anchors=anchors, eku=eku, typ=typ, at=self.now()).claims

    def evidence(self, device: AttestingDevice, credential: x509.Certificate) -> EvidenceMessage:
        """The answer of a device to a fresh challenge."""
        token, _ = self.challenge(device)
        return self.answer(device, token, credential)

    def answer(self, device: AttestingDevice, token: str, credential: x509.Certificate) -> EvidenceMessage:
        """The answer of a device to a challenge that it verifies."""
        challenge = read_claims(self.verified(token, eku=oids.EKU_CHALLENGE, typ=CHALLENGE_TYPE))
        return device.evidence(challenge, token=token, chain=self.supplier.chain(credential))

    def now(self) -> datetime:
        """The present moment."""
        return system_clock()

    def certified(
        self,
        key: ec.EllipticCurvePrivateKey,
        eku: x509.ObjectIdentifier,
        *,
        role: str,
        name: str,
        **options: Any,
    ) -> x509.Certificate:
        """A certificate of an operator's service under the operators' root."""
        extensions = [(LEAF_USAGE, True), (OperatorRole(role=role, id=name).to_extension(), False)]
        return self.operators.issue(
            f"{role} {name}",
            key=key.public_key(),
            eku=eku,
            validity=LIFE,
            **{"extensions": extensions, **options},
        )

    def write_signing_key(
        self, name: str, key: ec.EllipticCurvePrivateKey, eku: x509.ObjectIdentifier
    ) -> None:
        """Put one of the PVA's signing keys and its certificate where the settings name them."""
        certificate = self.certified(key, eku, role="pva", name="pva-1")
        (self.folder / f"{name}.pem").write_bytes(certificate.public_bytes(Encoding.PEM))
        path = self.folder / "keys" / f"{name}.key"
        path.unlink(missing_ok=True)
        write_private_key(path, key, passphrase_file=self.certificates.passphrase)
