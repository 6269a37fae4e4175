"""The running services, and a client of each kind that may stand before them: right, wrong, foreign, expired, revoked."""

import json
import re
import sys
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import timedelta
from pathlib import Path
from typing import Final

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.serialization import Encoding

from ca import bootstrap
from ca.composition import keys_of
from ca.settings import CaSettings
from clients.ca import CaOperatorClient
from edge.http_client import ClientTls, HttpClient, HttpError, UnreachableError
from edge.principals import ROLES
from edge.process import system_clock
from edge.settings import load_settings
from lab.scene import Scene
from standards.pki.fingerprints import ca_id
from tests.contract.certificates import Certificates
from tests.end_to_end.route_tables import EVERYBODY, Route
from tests.served import served

REFUSED_AT_THE_DOOR: Final = "handshake"
ROOT: Final = Path(__file__).parents[2]


@dataclass(frozen=True, kw_only=True)
class Said:
    """How a service answered: status and, of a refusal, its stable type and what it says."""

    status: int
    kind: str = ""
    detail: str = ""


@dataclass(frozen=True, kw_only=True)
class Doors:
    """Where the services listen, and the TLS identity of each kind of caller; connections are kept."""

    urls: Mapping[str, Mapping[str, str]]
    callers: Mapping[str, ClientTls]
    kept: dict[tuple[str, str, str], HttpClient] = field(default_factory=dict)

    def call(self, route: Route, who: str) -> Said:
        """What one request with an empty or senseless body is answered; UnreachableError where no connection is made."""
        path, client = re.sub("<[^>]+>", "0" * 32, route.rule), self._client(route, who)
        try:
            if route.method == "GET":
                return Said(status=client.get(path).status)
            if route.method == "PUT":
                return Said(status=client.put_json(path, {}).status)
            return Said(status=client.post(path, b"{}", content_type="application/json").status)
        except HttpError as error:
            if error.problem is None:
                return Said(status=error.status)
            return Said(status=error.status, kind=error.problem.type, detail=error.problem.detail)

    def verdict(self, route: Route, who: str) -> str:
        """The same in a word: "handshake", the status, or status and type of the refusal."""
        try:
            said = self.call(route, who)
        except UnreachableError:
            return REFUSED_AT_THE_DOOR
        return f"{said.status} {said.kind}".strip()

    def close(self) -> None:
        """Close the connections."""
        for client in self.kept.values():
            client.close()

    def _client(self, route: Route, who: str) -> HttpClient:
        key = (route.service, route.listener, who)
        if key not in self.kept:
            url = self.urls[route.service][route.listener]
            self.kept[key] = HttpClient(url, tls=self.callers[who] if url.startswith("https") else None)
        return self.kept[key]


def open_doors(scene: Scene, folder: Path) -> Doors:
    """Identities of all kinds, registered at every service: one `any-ROLE` each, and those whom nobody may let in."""
    settings = load_settings(CaSettings, path=scene.site.role("ca") / "ca.toml", environ={})
    root = scene.services.tls_root
    strangers = Certificates(folder)
    strangers.client("foreigner", strangers.foreign)
    made = {f"any-{role}": _client_of_the_root(settings, f"any-{role}", folder) for role in EVERYBODY}
    made["revoked"] = _client_of_the_root(settings, "revoked", folder)
    rows = [
        bootstrap.principal_row(
            tls.certificate,
            root=root,
            role=name.removeprefix("any-") if name.removeprefix("any-") in ROLES else "admin",
            tenant=name,
            name=name,
        )
        for name, tls in made.items()
        if tls.certificate is not None
    ]
    for table in scene.site.state.glob("*/principals.json"):
        known = json.loads(table.read_text())["principals"]
        table.write_text(json.dumps({"principals": [*known, *rows]}))
    callers = {
        **made,
        "expired": _expired(settings, made["any-admin"], folder),  # the very key of an administrator
        "newcomer": _client_of_the_root(settings, "newcomer", folder),
        "nobody": ClientTls(anchors=root),
        "foreigner": replace(strangers.tls("foreigner"), anchors=root),
    }
    return Doors(urls=scene.services.urls, callers=callers)


def revoke(scene: Scene, tls: ClientTls) -> str:
    """Have the CA revoke a TLS certificate; the URL of the list that says so."""
    assert tls.certificate is not None
    certificate = x509.load_pem_x509_certificate(tls.certificate.read_bytes())
    issuer = ca_id(x509.load_pem_x509_certificate(scene.services.tls_root.read_bytes()))
    ca = CaOperatorClient(scene.services.http("ca", "operator", scene.services.identity("admin")))
    ca.revoke_certificate(issuer, certificate.serial_number, reason="keyCompromise")
    return f"{scene.services.urls['ca']['public']}/crl/{issuer}.crl"


class FollowingServices:
    """The services that follow the CRL of the TLS root, in a process of their own beside the lab's."""

    def __init__(self, scene: Scene, *, crl: str) -> None:
        """Start it, and wait until all accept."""
        command = [sys.executable, "-m", "tests.end_to_end.built_listeners", str(scene.site.state), crl]
        self._served = served(command, log=scene.site.logs / "following.log")
        self.urls: dict[str, dict[str, str]] = {}
        for name, url in self._served.urls.items():
            service, _, listener = name.partition(" ")
            self.urls.setdefault(service, {})[listener] = url

    def stop(self) -> int:
        """Ask it to end; its exit status."""
        return self._served.stop()


def _client_of_the_root(settings: CaSettings, name: str, folder: Path) -> ClientTls:
    made = bootstrap.issue_tls(settings, kind="client", holder=name, out=folder / name)
    return ClientTls(
        anchors=settings.operator.client_anchors,
        certificate=made.certificate,
        key=made.key,
        passphrase_file=made.passphrase_file,
    )


def _expired(settings: CaSettings, good: ClientTls, folder: Path) -> ClientTls:
    """The same key and name under the same root, until yesterday."""
    assert good.certificate is not None
    root = x509.load_pem_x509_certificate(good.anchors.read_bytes())
    before = x509.load_pem_x509_certificate(good.certificate.read_bytes())
    now = system_clock()
    builder = (
        x509.CertificateBuilder()
        .subject_name(before.subject)
        .issuer_name(before.issuer)
        .public_key(before.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(days=2))
        .not_valid_after(now - timedelta(days=1))
    )
    for extension in before.extensions:
        builder = builder.add_extension(extension.value, critical=extension.critical)
    made = builder.sign(keys_of(settings).load(ca_id(root)), hashes.SHA256())
    path = folder / "expired.pem"
    path.write_bytes(made.public_bytes(Encoding.PEM))
    return replace(good, certificate=path)
