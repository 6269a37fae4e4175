"""One CA and several responders as processes, each over the store that it is given."""

import json
import sys
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec

from clients.ca import CaDeviceClient, CaOperatorClient
from tests.conformance.ca_service import ROOT, Installation
from tests.fakes.ca import SupplierSigner, batch_of, csr_for, manifest_of
from tests.fakes.enrolling_device import EnrollingDevice, TpmMaker
from tests.forked_python import run_module
from tests.served import Served, served

RESPONDER = """
profile = "production"
database = "{database}"
feed_interval_s = 0.1
[public]
host = "127.0.0.1"
port = 0
[key]
key = "private/ocsp.key"
passphrase_file = "private/passphrase"
[ca]
url = "{url}"
anchors = "{ca}/first/tls-root.pem"
certificate = "{ca}/{name}/{name}.pem"
key = "{ca}/{name}/{name}.key"
passphrase_file = "{ca}/{name}/passphrase"
"""


@dataclass(kw_only=True)
class Responder:
    """One responder's process with a key of its own."""

    name: str
    folder: Path
    database: str
    url: str = ""
    served: Served | None = None

    def write(self, *, ca: Path, url: str) -> None:
        """Its settings, for a CA in the folder `ca` that is reached at `url`."""
        self.folder.mkdir(mode=0o700, exist_ok=True)
        text = RESPONDER.format(database=self.database, url=url, ca=ca, name=self.name)
        (self.folder / "ocsp.toml").write_text(text)

    def make_key(self) -> str:
        """The digest of its key."""
        command = [sys.executable, "-m", "ocsp.bootstrap", "--config", str(self.folder / "ocsp.toml")]
        made = run_module(command, cwd=ROOT)
        assert made.returncode == 0, made.stderr
        return str(json.loads(made.stdout)["responder_key"])

    def start(self) -> None:
        """Run until it accepts."""
        command = [sys.executable, "-m", "ocsp.app", "--config", str(self.folder / "ocsp.toml")]
        self.served = served(command, log=self.folder / "log")
        self.url = self.served.urls["public"]

    def stop(self) -> None:
        """End it."""
        if self.served is not None:
            self.served.stop()


@dataclass(kw_only=True)
class StatusServices:
    """The CA, its responders, and a supplier with a product line."""

    ca: Installation
    responders: list[Responder]
    line: x509.Certificate = field(init=False)
    line_id: str = field(init=False)

    @classmethod
    def set_up(cls, folder: Path, *, ca_database: str, responders: dict[str, str]) -> "StatusServices":
        """Everything written, nothing started; `responders` are names with their databases."""
        made = [
            Responder(name=name, folder=folder / f"of-{name}", database=database)
            for name, database in responders.items()
        ]
        home = folder / "ca"
        home.mkdir(mode=0o700)
        for each in made:
            each.write(ca=home, url="https://127.0.0.1:1")
        keys = tuple(each.make_key() for each in made)
        ca = Installation(folder=home, maker=TpmMaker(), database=ca_database, responders=keys)
        ca.set_up()
        ca.admit("acme-desk", role="es", tenant="acme")
        for each in made:
            ca.admit(each.name, role="ocsp", tenant="")
        return cls(ca=ca, responders=made)

    def start(self) -> None:
        """Start them all; a supplier gets a product line."""
        self.ca.start()
        assert self.ca.urls is not None
        admin = CaOperatorClient(self.ca.client("operator", who="admin"))
        admin.create_es_root("acme")
        issuing = admin.create_issuing_ca("acme", name="gateways", models=["gw-1"], tre_level=2)
        assert issuing.certificate is not None
        self.line, self.line_id = issuing.certificate, issuing.ca_id
        manifest = replace(manifest_of(), valid_from=None, valid_to=None)
        self.desk().accept_manifest(self._signer("manifest-signing").sign_manifest(manifest))
        for each in self.responders:
            each.write(ca=self.ca.folder, url=self.ca.urls["operator"])
            each.start()

    def stop(self) -> None:
        """End them all."""
        for each in self.responders:
            each.stop()
        if self.ca.served is not None:
            self.ca.stop()

    def desk(self) -> CaOperatorClient:
        """The supplier at the CA."""
        return CaOperatorClient(self.ca.client("operator", who="acme-desk"))

    def enrol(self, batch: str) -> x509.Certificate:
        """The Platform Credential of a new device."""
        device = EnrollingDevice(maker=self.ca.maker)
        now = datetime.now(UTC).replace(microsecond=0)
        listed = batch_of("acme", device.device_id, batch=batch, at=now)
        self.desk().import_batch(self._signer("batch-signing").sign_batch(listed))
        devices = CaDeviceClient(self.ca.client("device"))
        result = devices.activate(device.activation(devices.begin(device.request())))
        return x509.load_der_x509_certificate(result.pfc_chain[0])

    def _signer(self, purpose: str) -> SupplierSigner:
        key = ec.generate_private_key(ec.SECP256R1())
        csr = x509.load_pem_x509_csr(csr_for(key).encode())
        return SupplierSigner(
            key=key, certificate=self.desk().certify_supplier("acme", purpose=purpose, csr=csr)
        )
