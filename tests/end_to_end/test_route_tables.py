"""Every route of every listener over real TLS sockets: with no, foreign, unregistered and wrong-role certificates.

The tables below are the whole of what the services offer: a route that is in no table fails the first test.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from ca import bootstrap
from ca.composition import compose
from ca.settings import CaSettings
from edge.http_client import ClientTls, HttpClient, HttpError, UnreachableError
from edge.keys import load_private_key
from edge.principals import ROLES, routes_of
from edge.settings import load_settings
from lab.scene import Scene
from lab.services import Services
from pva.app import build_listeners
from pva.settings import PvaSettings
from standards.pki.fingerprints import spki_sha256
from tests.contract.certificates import Certificates
from tests.end_to_end.lab_services import running_lab

Routes = dict[tuple[str, str], tuple[str, ...]]
EVERYBODY = tuple(sorted(ROLES))

TABLES: dict[tuple[str, str], Routes] = {
    ("ca", "public"): {
        ("GET", "/ca/<ca_id>.cer"): ("public",),
        ("GET", "/crl/<ca_id>.crl"): ("public",),
    },
    ("ca", "device"): {
        ("POST", "/v1/enrolments"): ("device",),
        ("POST", "/v1/enrolments/activation"): ("device",),
    },
    ("ca", "operator"): {
        ("GET", "/v1/es-roots"): EVERYBODY,
        ("GET", "/v1/issuing-cas"): ("admin", "es", "ocsp", "pva"),
        ("GET", "/v1/platform-credentials/<ca_id>/<serial>"): ("admin", "es"),
        ("GET", "/v1/status-changes"): ("ocsp",),
        ("POST", "/v1/batches"): ("es",),
        ("POST", "/v1/certificates/<serial>/revocation"): ("admin", "es"),
        ("POST", "/v1/devices/<device_id>/reopening"): ("es",),
        ("POST", "/v1/es-roots"): ("admin",),
        ("POST", "/v1/issuing-cas"): ("admin",),
        ("POST", "/v1/issuing-cas/<ca_id>/certificate"): ("admin",),
        ("POST", "/v1/manifests"): ("es",),
        ("POST", "/v1/ocsp-delegates"): ("ocsp",),
        ("POST", "/v1/operator-certificates"): ("admin",),
        ("POST", "/v1/platform-credentials/<serial>/revocation"): ("admin", "es"),
        ("POST", "/v1/supplier-certificates"): ("admin", "es"),
        ("POST", "/v1/tls-certificates"): ("admin",),
    },
    ("pva", "device"): {
        ("POST", "/v1/challenges"): ("device",),
        ("POST", "/v1/evidence"): ("device",),
    },
    ("pva", "operator"): {
        ("GET", "/v1/manifests"): ("admin", "auditor", "dpf", "es", "sho"),
        ("GET", "/v1/suppliers"): ("admin", "auditor", "dpf", "es", "sho"),
        ("GET", "/v1/validation-requests/<request_id>"): ("dpf", "ro-relay", "sho"),
        ("GET", "/v1/validations/<request_id>"): ("sho",),
        ("POST", "/v1/approvals"): ("sho",),
        ("POST", "/v1/manifests"): ("admin", "es"),
        ("POST", "/v1/suppliers"): ("admin",),
        ("POST", "/v1/validation-requests"): ("dpf", "ro-relay", "sho"),
        ("POST", "/v1/validations"): ("sho",),
    },
}
OPERATOR_ROUTES = [
    pytest.param(service, method, rule, roles, id=f"{service}-{method}-{rule}")
    for (service, listener), routes in TABLES.items()
    if listener == "operator"
    for (method, rule), roles in routes.items()
]
KNOWN = {"admin": "admin", "sho-1": "sho", "supplier-1": "es", "ocsp": "ocsp"}
REFUSED_HANDSHAKE = (UnreachableError,)


@dataclass(frozen=True, kw_only=True)
class Doors:
    """The running services, and one client identity of each kind."""

    services: Services
    strangers: Certificates

    def anchored(self, tls: ClientTls) -> ClientTls:
        """The same identity, trusting the services' own root."""
        return ClientTls(
            anchors=self.services.tls_root,
            certificate=tls.certificate,
            key=tls.key,
            passphrase_file=tls.passphrase_file,
        )

    def call(self, service: str, listener: str, tls: ClientTls | None, *, method: str, rule: str) -> int:
        """Status of one request with an empty or senseless body."""
        path = rule
        for name in ("ca_id", "serial", "device_id", "request_id"):
            path = path.replace(f"<{name}>", "0" * 32)
        client = HttpClient(self.services.urls[service][listener], tls=tls)
        try:
            if method == "GET":
                return client.get(path).status
            return client.post(path, b"{}", content_type="application/json").status
        except HttpError as error:
            return error.status
        finally:
            client.close()

    def known(self, name: str) -> ClientTls:
        """Identity of a registered party."""
        who = self.services.identity(name)
        return ClientTls(
            anchors=self.services.tls_root,
            certificate=who.certificate,
            key=who.key,
            passphrase_file=who.passphrase_file,
        )


@pytest.fixture(scope="module")
def scene(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Scene]:
    with running_lab(tmp_path_factory.mktemp("doors"), devices=("device-1",)) as scene:
        yield scene


@pytest.fixture(scope="module")
def doors(scene: Scene, tmp_path_factory: pytest.TempPathFactory) -> Doors:
    folder = tmp_path_factory.mktemp("strangers")
    strangers = Certificates(folder)
    strangers.client("foreigner", strangers.foreign)
    return Doors(services=scene.services, strangers=strangers)


def test_no_route_is_outside_the_tables(scene: Scene) -> None:
    ca = compose(load_settings(CaSettings, path=scene.site.role("ca") / "ca.toml", environ={}))
    apps = {("ca", name): getattr(ca, name) for name in ("public", "device", "operator")}
    pva = load_settings(PvaSettings, path=scene.site.role("pva") / "pva.toml", environ={})
    apps |= {("pva", listener.name): listener.app for listener in build_listeners(pva)}
    found = {
        door: {(method, rule): tuple(sorted(roles)) for method, rule, roles in routes_of(app)}
        for door, app in apps.items()
    }
    assert found == TABLES


@pytest.mark.requirement("R102")
def test_listeners_of_a_service_share_no_route(doors: Doors) -> None:
    for (service, listener), routes in TABLES.items():
        for (other_service, other), foreign_routes in TABLES.items():
            if service == other_service and listener != other:
                assert not {rule for _, rule in routes} & {rule for _, rule in foreign_routes}
    # and over the wire: an operator's route does not exist where devices and the public are let in
    anyone = ClientTls(anchors=doors.services.tls_root)
    for service in ("ca", "pva"):
        for method, rule in TABLES[service, "operator"]:
            assert doors.call(service, "device", anyone, method=method, rule=rule) == 404


@pytest.mark.negative
@pytest.mark.parametrize(("service", "method", "rule", "roles"), OPERATOR_ROUTES)
def test_an_operators_route_needs_its_own_certificate(
    doors: Doors, service: str, method: str, rule: str, roles: tuple[str, ...]
) -> None:
    nobody = ClientTls(anchors=doors.services.tls_root)
    with pytest.raises(REFUSED_HANDSHAKE):
        doors.call(service, "operator", nobody, method=method, rule=rule)
    foreigner = doors.anchored(doors.strangers.tls("foreigner"))
    with pytest.raises(REFUSED_HANDSHAKE):
        doors.call(service, "operator", foreigner, method=method, rule=rule)
    for name, role in KNOWN.items():
        status = doors.call(service, "operator", doors.known(name), method=method, rule=rule)
        if role in roles:
            assert status not in {401, 500}, (name, status)
        else:
            assert status == 403, (name, status)


@pytest.mark.negative
def test_a_certificate_of_the_right_root_that_is_not_registered_opens_nothing(
    doors: Doors, scene: Scene, tmp_path: Path
) -> None:
    settings = load_settings(CaSettings, path=scene.site.role("ca") / "ca.toml", environ={})
    made = bootstrap.issue_tls(settings, kind="client", holder="newcomer", out=tmp_path / "newcomer")
    newcomer = ClientTls(
        anchors=doors.services.tls_root,
        certificate=made.certificate,
        key=made.key,
        passphrase_file=made.passphrase_file,
    )
    for (service, listener), routes in TABLES.items():
        if listener == "operator":
            for method, rule in routes:
                assert doors.call(service, "operator", newcomer, method=method, rule=rule) == 403


@pytest.mark.requirement("R75")
def test_no_two_roles_share_a_key(scene: Scene) -> None:
    owners: dict[str, set[str]] = {}
    for file in scene.site.state.rglob("*.key"):
        role = file.relative_to(scene.site.state).parts[0]
        if role == "tpm-maker":
            continue  # not a role of the network; its key format is its own
        passphrase = next(
            folder / "passphrase" for folder in file.parents if (folder / "passphrase").exists()
        )
        key = load_private_key(file, passphrase_file=passphrase)
        owners.setdefault(spki_sha256(key.public_key()), set()).add(role)
    assert {"ca", "ocsp", "pva", "supplier-1", "sho-1"} <= set().union(*owners.values())
    assert all(len(roles) == 1 for roles in owners.values())
