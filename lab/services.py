"""The services of one lab: CA, OCSP responder and PVA, one OS process each, on loopback, with keys of their own.

Rule: each role has its own folder with its own keys, passphrase, store and settings; what one needs of another it
gets over the network, as in the field. The lab only plays the people who stand at the machines on the first day.
"""

import contextlib
import json
import shutil
import socket
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

from ca import bootstrap
from ca.settings import CaSettings
from edge.http_client import ClientTls, HttpClient
from edge.settings import load_settings
from lab.configuration import write_toml
from lab.processes import Processes, python_command
from lab.site import Site
from ocsp import bootstrap as ocsp_bootstrap

LOOPBACK = "127.0.0.1"
PVA_ISSUER = "pva.lab"
LISTENERS = ("ca.public", "ca.device", "ca.operator", "ocsp.public", "pva.device", "pva.operator")
OPERATOR_TENANTS = {
    "sho-1": ("sho", "sho-1"),
    "supplier-1": ("es", "supplier-1"),
    "supplier-2": ("es", "supplier-2"),
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Identity:
    """A TLS client identity: certificate (PEM), encrypted key, and the file that opens it."""

    certificate: Path
    key: Path
    passphrase_file: Path


class Services:
    """Starts and restarts the services, and connects people to their operator listeners."""

    def __init__(self, site: Site, processes: Processes) -> None:
        self.site, self._processes = site, processes
        self.urls: dict[str, dict[str, str]] = {}
        self.first = site.role("ca/first-day")
        self._ports = dict(zip(LISTENERS, _free_ports(len(LISTENERS)), strict=True))

    @property
    def tls_root(self) -> Path:
        """Root of every TLS certificate (PEM)."""
        return self.first / "tls-root.pem"

    @property
    def operators_root(self) -> Path:
        """Root of those who may challenge devices and sign results (PEM)."""
        return self.first / "operators-root.pem"

    @property
    def ocsp_url(self) -> str:
        """Where the responder answers; it stands in every Platform Credential."""
        return f"http://{LOOPBACK}:{self._ports['ocsp.public']}"

    def start_ca(self, *, tpm_maker_roots: Sequence[Path]) -> None:
        """First day: roots, server certificates, the first administrator and the other clients; then the CA."""
        for certificate in tpm_maker_roots:
            shutil.copy(certificate, self.site.role("ca/tpm-makers"))
        ocsp = self.site.role("ocsp")
        key = ocsp_bootstrap.initialise(ocsp / "responder.key", passphrase_file=ocsp / "passphrase")
        settings = load_settings(CaSettings, path=self._ca_toml(key), environ={})
        bootstrap.initialise(settings, out=self.first, addresses=[LOOPBACK])
        bootstrap.issue_tls(
            settings, kind="server", holder="pva", out=self.tls_folder("pva"), addresses=[LOOPBACK]
        )
        self._issue_identities(settings)
        self._start("ca", "ca.app")

    def start_ocsp(self) -> None:
        """The responder: it fetches statuses and its delegate certificates from the CA by itself."""
        self._ocsp_toml()
        self._start("ocsp", "ocsp.app")

    def start_pva(self) -> None:
        """The PVA; its three signing keys and their certificates must lie in its folder."""
        self._pva_toml()
        self._start("pva", "pva.app")

    def restart(self, name: str) -> None:
        """Kill a service without warning, as a power cut would, and start it again."""
        self._processes.kill(name)
        self._start(name, f"{name}.app")

    def http(self, service: str, listener: str, identity: Identity | None = None) -> HttpClient:
        """A client of a listener: with an identity for the operators' ones, without for the devices'."""
        url = self.urls[service][listener]
        if urlsplit(url).scheme == "http":
            return HttpClient(url)
        who = identity
        tls = ClientTls(
            anchors=self.tls_root,
            certificate=who.certificate if who else None,
            key=who.key if who else None,
            passphrase_file=who.passphrase_file if who else None,
        )
        return HttpClient(url, tls=tls)

    def identity(self, name: str) -> Identity:
        """TLS client identity that was made on the first day."""
        folder = self.tls_folder(name)
        return Identity(
            certificate=folder / f"{name}.pem",
            key=folder / f"{name}.key",
            passphrase_file=folder / "passphrase",
        )

    def tls_folder(self, name: str) -> Path:
        """Where the TLS key of a role or person lies; the administrator's is where the first day left it."""
        return self.first if name in {"admin", "ca"} else self.site.role(name) / "tls"

    def people(self) -> tuple[str, ...]:
        """Those with an identity of their own at the operator listeners."""
        return ("admin", *OPERATOR_TENANTS)

    def write_cli_settings(self, name: str) -> Path:
        """Settings with which a person administers the running services: `pva --config FILE ...`."""
        who = self.identity(name)
        return write_toml(
            self.site.role(name) / "cli.toml",
            {
                "ca_url": self.urls["ca"]["operator"],
                "pva_url": self.urls["pva"]["operator"],
                "tls_root": self.tls_root,
                "certificate": who.certificate,
                "key": who.key,
                "passphrase_file": who.passphrase_file,
            },
        )

    def _start(self, role: str, module: str) -> None:
        command = python_command(module, "--config", str(self.site.role(role) / f"{role}.toml"))
        started = self._processes.start_service(
            role, command, image=self.site.image, cwd=self.site.role(role)
        )
        self.urls[role] = dict(started.ready["listeners"])

    def _ca_toml(self, responder_key: str) -> Path:
        folder = self.site.role("ca")
        return write_toml(
            folder / "ca.toml",
            {
                "profile": "lab",
                "database": f"sqlite:///{folder / 'ca.sqlite'}",
                "keys": folder / "keys",
                "passphrase_file": folder / "passphrase",
                "public_url": f"http://{LOOPBACK}:{self._ports['ca.public']}",
                "ocsp_url": self.ocsp_url,
                "tpm_maker_roots": folder / "tpm-makers",
                "responder_keys": [responder_key],
                "public": {"host": LOOPBACK, "port": self._ports["ca.public"]},
                "device": self.server_side("ca", "device"),
                "operator": self.server_side("ca", "operator") | self.clients_of("ca"),
            },
        )

    def _ocsp_toml(self) -> None:
        folder, who = self.site.role("ocsp"), self.identity("ocsp")
        write_toml(
            folder / "ocsp.toml",
            {
                "profile": "lab",
                "database": f"sqlite:///{folder / 'ocsp.sqlite'}",
                "public": {"host": LOOPBACK, "port": self._ports["ocsp.public"]},
                "key": {"key": folder / "responder.key", "passphrase_file": folder / "passphrase"},
                "ca": {
                    "url": self.urls["ca"]["operator"],
                    "anchors": self.tls_root,
                    "certificate": who.certificate,
                    "key": who.key,
                    "passphrase_file": who.passphrase_file,
                },
            },
        )

    def _pva_toml(self) -> None:
        folder = self.site.role("pva")
        signing = {
            name: {
                "key": folder / f"{name}.key",
                "passphrase_file": folder / "passphrase",
                "certificate": folder / f"{name}.pem",
            }
            for name in ("challenge", "attestation-result", "state-approval")
        }
        write_toml(
            folder / "pva.toml",
            {
                "profile": "lab",
                "issuer": PVA_ISSUER,
                "database": f"sqlite:///{folder / 'pva.sqlite'}",
                "operators_root": self.operators_root,
                "device": self.server_side("pva", "device"),
                "operator": self.server_side("pva", "operator") | self.clients_of("pva"),
                "challenge_key": signing["challenge"],
                "result_key": signing["attestation-result"],
                "approval_key": signing["state-approval"],
            },
        )

    def server_side(self, role: str, listener: str) -> dict[str, object]:
        """Settings of a TLS listener of a role."""
        folder = self.tls_folder(role)
        files = {"certificate": "server.pem", "key": "server.key", "passphrase_file": "passphrase"}
        port = self._ports[f"{role}.{listener}"]
        return {"host": LOOPBACK, "port": port} | {name: folder / file for name, file in files.items()}

    def clients_of(self, role: str) -> dict[str, object]:
        """Settings of a mutual-TLS listener: whose certificates are let in, and what each may do."""
        return {"client_anchors": self.tls_root, "principals": self.site.role(role) / "principals.json"}

    def _issue_identities(self, settings: CaSettings) -> None:
        rows = [self._row("admin", "admin", "")]
        for name, (role, tenant) in {**OPERATOR_TENANTS, "ocsp": ("ocsp", "ocsp")}.items():
            bootstrap.issue_tls(settings, kind="client", holder=name, out=self.tls_folder(name))
            rows.append(self._row(name, role, tenant))
        for role in ("ca", "pva"):
            table = self.site.role(role) / "principals.json"
            table.write_text(json.dumps({"principals": rows}, indent=2) + "\n")

    def _row(self, name: str, role: str, tenant: str) -> dict[str, str]:
        certificate = self.tls_folder(name) / f"{name}.pem"
        return bootstrap.principal_row(certificate, root=self.tls_root, role=role, tenant=tenant, name=name)


def _free_ports(count: int) -> list[int]:
    """Ports that are free now; a service keeps its own over a restart."""
    with contextlib.ExitStack() as stack:
        probes = [stack.enter_context(socket.socket()) for _ in range(count)]
        for probe in probes:
            probe.bind((LOOPBACK, 0))
        return [int(probe.getsockname()[1]) for probe in probes]
