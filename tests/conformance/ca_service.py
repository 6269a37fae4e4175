"""The CA's process as its people run it: settings in a folder, first steps, start and stop."""

import json
import signal
import subprocess
import sys
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from cryptography.hazmat.primitives.asymmetric import ec

from ca.bootstrap import principal_row
from edge.http_client import ClientTls, HttpClient
from standards.pki.fingerprints import spki_sha256
from tests.fakes.enrolling_device import TpmMaker
from tests.forked_python import run_module
from tests.served import Served, served

ROOT = Path(__file__).parents[2]
TOML = """
profile = "production"
database = "{database}"
keys = "keys"
passphrase_file = "secrets/passphrase"
public_url = "http://ca.example.net"
ocsp_url = "http://ocsp.example.net/"
tpm_maker_roots = "makers"
responder_keys = {responders}
[device]
certificate = "first/server.pem"
key = "first/server.key"
passphrase_file = "first/passphrase"
[operator]
certificate = "first/server.pem"
key = "first/server.key"
passphrase_file = "first/passphrase"
client_anchors = "first/tls-root.pem"
principals = "principals.json"
"""


@dataclass(kw_only=True)
class Installation:
    """A CA in a folder of its own; `more` are settings beside those that each needs, as TOML."""

    folder: Path
    maker: TpmMaker
    responder: ec.EllipticCurvePrivateKey | None = None
    responders: tuple[str, ...] = ()
    database: str | None = None
    more: str = ""
    served: Served | None = None
    urls: dict[str, str] | None = None

    @property
    def config(self) -> Path:
        """The settings file."""
        return self.folder / "ca.toml"

    def set_up(self) -> None:
        """Write the settings, and make what the first steps make."""
        self.folder.chmod(0o700)
        (self.folder / "makers").mkdir()
        (self.folder / "makers" / "maker.der").write_bytes(self.maker.root)
        own = () if self.responder is None else (spki_sha256(self.responder.public_key()),)
        self.config.write_text(
            TOML.format(
                database=self.database or f"sqlite:///{self.folder}/ca.db",
                responders=json.dumps([*own, *self.responders]),
            )
            + self.more
        )
        first = self.bootstrap("init", "--out", str(self.folder / "first"), "--ip", "127.0.0.1")
        assert first.returncode == 0, first.stderr

    def bootstrap(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        """Run a first step as an administrator does."""
        command = [sys.executable, "-m", "ca.bootstrap", arguments[0], "--config", str(self.config)]
        return run_module([*command, *arguments[1:]], cwd=ROOT)

    def start(self) -> None:
        """Start the process and wait for its ready line."""
        command = [sys.executable, "-m", "ca.app", "--config", str(self.config)]
        self.served = served(command, log=self.folder / "log")
        self.urls = self.served.urls

    def stop(self, how: signal.Signals = signal.SIGTERM) -> int:
        """End the process; its exit status."""
        assert self.served is not None
        status = self.served.stop(how, within_s=30)
        self.served = None
        return status

    def client(self, listener: str, *, who: str | None = None) -> HttpClient:
        """A client of a listener, as the holder of `<who>/<who>.pem` or as nobody."""
        assert self.urls is not None
        folder = self.folder / ("first" if who == "admin" else who or "")
        tls = ClientTls(anchors=self.folder / "first" / "tls-root.pem")
        if who is not None:
            tls = replace(
                tls,
                certificate=folder / f"{who}.pem",
                key=folder / f"{who}.key",
                passphrase_file=folder / "passphrase",
            )
        url = self.urls[listener]
        return HttpClient(url, tls=tls if url.startswith("https") else None)

    def admit(self, who: str, *, role: str, tenant: str) -> None:
        """Make a client certificate and register it, as an administrator does."""
        made = self.bootstrap("tls", "--kind", "client", "--name", who, "--out", str(self.folder / who))
        assert made.returncode == 0, made.stderr
        row = principal_row(
            self.folder / who / f"{who}.pem",
            root=self.folder / "first" / "tls-root.pem",
            role=role,
            tenant=tenant,
            name=who,
        )
        table = self.folder / "principals.json"
        rows: list[Any] = json.loads(table.read_text())["principals"]
        table.write_text(json.dumps({"principals": [*rows, row]}))
