"""A role of the network as its operator runs it: its own process, its settings and keys in a folder."""

import json
import sys
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding

from edge.http_client import HttpClient
from edge.keys import write_private_key
from edge.principals import certificate_digests
from messages.operator_token import OperatorSigner
from tests.contract.certificates import Certificates
from tests.served import served

ROOT = Path(__file__).parents[2]
LISTENERS = """
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
"""


def upstream(url: str, name: str) -> str:
    """The table of a service that the process calls as `name`."""
    return (
        f'url = "{url}"\nanchors = "anchors.pem"\ncertificate = "{name}.pem"\n'
        f'key = "keys/{name}.key"\npassphrase_file = "keys/passphrase"\n'
    )


class RoleProcess:
    """`python -m operators.<role>.app` in a folder with certificates of its own."""

    def __init__(self, folder: Path, role: str) -> None:
        """Make the TLS hierarchy; `write` writes the settings, `start` starts the process."""
        self.folder, self.role = folder, role
        self.certificates = Certificates(folder)

    def register(self, rows: dict[str, tuple[str, str]]) -> None:
        """Write principals.json: name -> (role, tenant), each with a new client certificate."""
        principals = []
        for name, (role, tenant) in rows.items():
            issuer, spki = certificate_digests(
                self.certificates.client(name), self.certificates.root.certificate
            )
            row = {"role": role, "tenant": tenant, "name": name}
            principals.append({**row, "issuer_sha256": issuer, "spki_sha256": spki})
        (self.folder / "principals.json").write_text(json.dumps({"principals": principals}))

    def write(self, config: str, *, signer: OperatorSigner, root: x509.Certificate) -> None:
        """Write the settings, the signing key `signing` and the operators' root."""
        (self.folder / "settings.toml").write_text(config + LISTENERS)
        (self.folder / "operators-root.pem").write_bytes(root.public_bytes(Encoding.PEM))
        (self.folder / "signing.pem").write_bytes(signer.chain[0].public_bytes(Encoding.PEM))
        write_private_key(
            self.folder / "keys" / "signing.key", signer.key, passphrase_file=self.certificates.passphrase
        )

    def start(self) -> None:
        """Start the process and wait until it is ready."""
        config = str(self.folder / "settings.toml")
        command = [sys.executable, "-m", f"operators.{self.role}.app", "--config", config]
        self.served = served(command, log=self.folder / "log")

    def kill(self) -> None:
        """End the process as a power cut would."""
        self.served.kill()

    def stop(self) -> int:
        """Ask the process to end; its exit status."""
        return self.served.stop()

    def device_http(self) -> HttpClient:
        """The device listener."""
        return HttpClient(self.served.urls["device"], tls=self.certificates.tls())

    def operator_http(self, name: str) -> HttpClient:
        """The operator listener as somebody."""
        return HttpClient(self.served.urls["operator"], tls=self.certificates.tls(name))
