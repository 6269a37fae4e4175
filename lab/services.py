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
from edge.keys import load_private_key
from edge.settings import load_settings
from lab.configuration import write_toml
from lab.identities import ADMITTED, CLIENTS, DPF, PEOPLE, PVA_ISSUER, RECOGNISED, SHO, SHO_2
from lab.keyring import BrowserIdentity, make_log_key, write_browser_identity
from lab.processes import Processes, python_command
from lab.site import Site
from ocsp import bootstrap as ocsp_bootstrap

LOOPBACK = "127.0.0.1"
LISTENERS = (
    *(
        "ca.public",
        "ca.device",
        "ca.operator",
        "ca.est",
        "ocsp.public",
        "ocsp.operator",
        "pva.device",
        "pva.operator",
    ),
    "pva.dashboard",
    *(
        "vno-1.device",
        "vno-1.gateway",
        "vno-1.operator",
        "icf-1.operator",
        "ccif-1.operator",
        "drf-1.device",
        "drf-1.operator",
    ),
    *("sho-1.public", "sho-1.operator", "dpf-1.device", "dpf-1.operator", "recorder.device"),
    *("sho-2.public", "sho-2.operator"),
)
SERVERS = ("ocsp", "pva", "vno-1", "icf-1", "ccif-1", "drf-1", "sho-1", "sho-2", "dpf-1", "recorder")
"""Those with a TLS server certificate of their own, besides the CA."""


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
        self._ports = dict(zip(LISTENERS, free_ports(len(LISTENERS)), strict=True))

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
        for holder in SERVERS:
            bootstrap.issue_tls(
                settings, kind="server", holder=holder, out=self.tls_folder(holder), addresses=[LOOPBACK]
            )
        self._issue_identities(settings)
        self.start("ca", "ca.app")

    def start_ocsp(self) -> None:
        """The responder: it fetches statuses and its delegate certificates from the CA by itself."""
        write_toml(self.site.role("ocsp") / "ocsp.toml", self.ocsp_settings())
        self.start("ocsp", "ocsp.app")

    def start_pva(self) -> None:
        """The PVA; its three signing keys and their certificates must lie in its folder."""
        write_toml(self.site.role("pva") / "pva.toml", self.pva_settings())
        self.start("pva", "pva.app")

    def restart(self, name: str, module: str = "") -> None:
        """Kill a service without warning, as a power cut would, and start it again."""
        self._processes.kill(name)
        self.start(name, module or f"{name}.app")

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
        return PEOPLE

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

    def write_browser_identity(self, name: str) -> BrowserIdentity:
        """A person's certificate and key for a browser, under a password that is made for it."""
        who = self.identity(name)
        return write_browser_identity(
            self.site.role(name) / "browser",
            name,
            certificate=who.certificate,
            key=load_private_key(who.key, passphrase_file=who.passphrase_file),
        )

    def start(self, role: str, module: str) -> None:
        """Start the process of a role from its settings file, and keep the addresses that it says."""
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
                "est": self.server_side("ca", "est") | {"client_anchors": self.tls_root},
                "audit_log": self.audit_log("ca"),
            },
        )

    def ocsp_settings(self) -> dict[str, object]:
        """Settings of the responder."""
        folder = self.site.role("ocsp")
        return {
            "profile": "lab",
            "database": f"sqlite:///{folder / 'ocsp.sqlite'}",
            "public": {"host": LOOPBACK, "port": self._ports["ocsp.public"]},
            "operator": self.server_side("ocsp", "operator")
            | self.clients_of("ocsp")
            | {"operators_root": self.operators_root},
            "key": {"key": folder / "responder.key", "passphrase_file": folder / "passphrase"},
            "ca": self.upstream("ca", as_whom="ocsp"),
        }

    def pva_settings(self) -> dict[str, object]:
        """Settings of the PVA; its signing keys and their certificates lie in its folder."""
        folder = self.site.role("pva")
        signing = {
            name: {
                "key": folder / f"{name}.key",
                "passphrase_file": folder / "passphrase",
                "certificate": folder / f"{name}.pem",
            }
            for name in ("challenge", "attestation-result", "state-approval")
        }
        return {
            "profile": "lab",
            "issuer": PVA_ISSUER,
            "database": f"sqlite:///{folder / 'pva.sqlite'}",
            "operators_root": self.operators_root,
            "device": self.server_side("pva", "device"),
            "operator": self.server_side("pva", "operator") | self.clients_of("pva"),
            "dashboard": self.server_side("pva", "dashboard") | self.clients_of("pva"),
            "audit_log": self.audit_log("pva"),
            "challenge_key": signing["challenge"],
            "result_key": signing["attestation-result"],
            "approval_key": signing["state-approval"],
            "ca": self.upstream("ca", as_whom="pva"),
            "callbacks": {name: self.upstream(name, as_whom="pva") for name in (SHO, SHO_2, DPF)},
            "status_responders": {"ocsp": self.upstream("ocsp", as_whom="pva")},
            "authorities": {RECOGNISED: self.upstream("ca", as_whom="pva")},
        }

    def address(self, listener: str) -> str:
        """host:port of a listener, known before its service runs."""
        return f"{LOOPBACK}:{self._ports[listener]}"

    def upstream(self, service: str, *, as_whom: str) -> dict[str, object]:
        """Settings with which a service calls the operator listener of another, as one of the lab's identities."""
        who = self.identity(as_whom)
        return {
            "url": f"https://{self.address(f'{service}.operator')}",
            "anchors": self.tls_root,
            "certificate": who.certificate,
            "key": who.key,
            "passphrase_file": who.passphrase_file,
        }

    def server_side(self, role: str, listener: str) -> dict[str, object]:
        """Settings of a TLS listener of a role."""
        folder = self.tls_folder(role)
        files = {"certificate": "server.pem", "key": "server.key", "passphrase_file": "passphrase"}
        port = self._ports[f"{role}.{listener}"]
        return {"host": LOOPBACK, "port": port} | {name: folder / file for name, file in files.items()}

    def clients_of(self, role: str) -> dict[str, object]:
        """Settings of a mutual-TLS listener: whose certificates are let in, and what each may do."""
        return {"client_anchors": self.tls_root, "principals": self.site.role(role) / "principals.json"}

    def audit_log(self, role: str) -> dict[str, object]:
        """Settings of the audit log of a role, its key made where there is none."""
        folder = self.site.role(role) / "log"
        if not folder.exists():
            make_log_key(folder, f"{role}.lab/log")
        return {
            "name": f"{role}.lab/log",
            "key": folder / "log.key",
            "passphrase_file": folder / "passphrase",
        }

    def _issue_identities(self, settings: CaSettings) -> None:
        for name in CLIENTS:
            bootstrap.issue_tls(settings, kind="client", holder=name, out=self.tls_folder(name))
        rows = {name: self._row(name, role, tenant) for name, (role, tenant) in CLIENTS.items()}
        rows["admin"] = self._row("admin", "admin", "")
        for service, admitted in ADMITTED.items():
            table = self.site.role(service) / "principals.json"
            table.write_text(json.dumps({"principals": [rows[each] for each in admitted]}, indent=2) + "\n")

    def _row(self, name: str, role: str, tenant: str) -> dict[str, str]:
        certificate = self.tls_folder(name) / f"{name}.pem"
        return bootstrap.principal_row(certificate, root=self.tls_root, role=role, tenant=tenant, name=name)


def free_ports(count: int) -> list[int]:
    """Ports that are free now; a service keeps its own over a restart."""
    with contextlib.ExitStack() as stack:
        probes = [stack.enter_context(socket.socket()) for _ in range(count)]
        for probe in probes:
            probe.bind((LOOPBACK, 0))
        return [int(probe.getsockname()[1]) for probe in probes]
