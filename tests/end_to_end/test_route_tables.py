"""Every route of every listener over real TLS sockets: with no, foreign, unregistered and wrong-role certificates.

Expired and revoked certificates and other tenants are asked about in `test_authorization_matrix`. What there is stands in `route_tables`: a route that is in no table fails the first test.
"""

import json
import re
import socket
import ssl
import tomllib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
from flask import Flask

import ocsp.app
import operators.ccif.app
import operators.dpf.app
import operators.drf.app
import operators.icf.app
import operators.sho.app
import operators.vno.app
import pva.app
from ca import bootstrap
from ca.composition import compose
from ca.settings import CaSettings
from edge.database import engine_for
from edge.http_client import ClientTls, HttpClient, HttpError, UnreachableError, client_context
from edge.http_server import Listener
from edge.keys import load_any_private_key
from edge.principals import NOT_REGISTERED, ROLES, routes_of
from edge.process import system_random
from edge.refused import AnonymousRefusals
from edge.settings import load_settings
from lab.scene import Scene
from lab.services import Services
from ocsp.settings import OcspSettings
from operators.ccif.settings import CcifSettings
from operators.dpf.settings import DpfSettings
from operators.drf.settings import DrfSettings
from operators.icf.settings import IcfSettings
from operators.sho.settings import ShoSettings
from operators.vno.settings import VnoSettings
from operators.vno.store import Store as VnoStore
from pva.settings import PvaSettings
from standards.pki.fingerprints import spki_sha256
from tests.applications import Nobody
from tests.contract.certificates import Certificates
from tests.end_to_end.route_tables import EVERYBODY, ROUTES, TABLES, Route

MUTUAL_TLS = ("operator", "dashboard")
BEHIND_MUTUAL_TLS = [route for route in ROUTES if route.listener in MUTUAL_TLS]
OPEN = [route for route in ROUTES if route.listener not in MUTUAL_TLS]
"""Where whoever comes proves himself by what he sends, or needs no proof."""
NETWORK = ("vno-1", "icf-1", "ccif-1", "drf-1", "sho-1", "dpf-1")
NOTHING_HERE = "nothing is served at this path"
REFUSED_HANDSHAKE = (UnreachableError,)


@dataclass(frozen=True, kw_only=True)
class Said:
    """How a service answered: status and, of a refusal, its stable type and what it says."""

    status: int
    kind: str = ""
    detail: str = ""


@dataclass(frozen=True, kw_only=True)
class Doors:
    """The running services, and one client identity of each kind."""

    services: Services
    strangers: Certificates
    of_role: Mapping[str, ClientTls]
    newcomer: ClientTls

    @property
    def nobody(self) -> ClientTls:
        """No certificate, but the right root."""
        return ClientTls(anchors=self.services.tls_root)

    @property
    def foreigner(self) -> ClientTls:
        """A certificate of a CA that nobody here knows."""
        tls = self.strangers.tls("foreigner")
        return ClientTls(
            anchors=self.services.tls_root,
            certificate=tls.certificate,
            key=tls.key,
            passphrase_file=tls.passphrase_file,
        )

    def call(self, route: Route, tls: ClientTls) -> Said:
        """What one request with an empty or senseless body is answered."""
        path = re.sub("<[^>]+>", "0" * 32, route.rule)
        url = self.services.urls[route.service][route.listener]
        client = HttpClient(url, tls=tls if url.startswith("https") else None)
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
        finally:
            client.close()


@pytest.fixture(scope="module")
def scene(network: Scene) -> Scene:
    return network


@pytest.fixture(scope="module")
def doors(scene: Scene, tmp_path_factory: pytest.TempPathFactory) -> Doors:
    folder = tmp_path_factory.mktemp("strangers")
    strangers = Certificates(folder)
    strangers.client("foreigner", strangers.foreign)
    settings = load_settings(CaSettings, path=scene.site.role("ca") / "ca.toml", environ={})
    made = {role: client_of_the_root(settings, f"any-{role}", folder) for role in (*EVERYBODY, "newcomer")}
    rows = [
        bootstrap.principal_row(
            tls.certificate, root=scene.services.tls_root, role=role, tenant=f"any-{role}", name=f"any-{role}"
        )
        for role, tls in made.items()
        if role in ROLES and tls.certificate is not None
    ]
    for table in scene.site.state.glob("*/principals.json"):
        known = json.loads(table.read_text())["principals"]
        table.write_text(json.dumps({"principals": [*known, *rows]}))
    newcomer = made.pop("newcomer")
    return Doors(services=scene.services, strangers=strangers, of_role=made, newcomer=newcomer)


def client_of_the_root(settings: CaSettings, name: str, folder: Path) -> ClientTls:
    made = bootstrap.issue_tls(settings, kind="client", holder=name, out=folder / name)
    return ClientTls(
        anchors=settings.operator.client_anchors,
        certificate=made.certificate,
        key=made.key,
        passphrase_file=made.passphrase_file,
    )


def listeners_of(scene: Scene) -> dict[tuple[str, str], Flask]:
    """The applications that the processes serve, built here from the same settings."""

    def file(name: str) -> Path:
        return scene.site.role(name) / f"{name}.toml"

    ca = compose(load_settings(CaSettings, path=file("ca"), environ={}))
    vno = load_settings(VnoSettings, path=file("vno-1"), environ={})
    device_of_vno = operators.vno.app.build_listener(
        vno,
        store=VnoStore(engine_for(vno.database), random_bytes=system_random),
        gateway="",
        anonymous=AnonymousRefusals(),
    )
    sho = operators.sho.app.build(load_settings(ShoSettings, path=file("sho-1"), environ={}))
    responder = load_settings(OcspSettings, path=file("ocsp"), environ={}).operator
    assert responder is not None
    desk: Any = Nobody()  # nobody asks: what counts is the routes
    dpf = operators.dpf.app.build(load_settings(DpfSettings, path=file("dpf-1"), environ={}))
    built: dict[str, tuple[Listener, ...]] = {
        "pva": pva.app.build_listeners(load_settings(PvaSettings, path=file("pva"), environ={})),
        "ocsp": (ocsp.app.operator_listener(responder, desk),),
        "vno-1": (device_of_vno,),
        "icf-1": operators.icf.app.build_listeners(
            load_settings(IcfSettings, path=file("icf-1"), environ={})
        ),
        "ccif-1": operators.ccif.app.build_listeners(
            load_settings(CcifSettings, path=file("ccif-1"), environ={})
        ),
        "drf-1": operators.drf.app.build_listeners(
            load_settings(DrfSettings, path=file("drf-1"), environ={})
        ),
        "sho-1": sho[0],
        "dpf-1": dpf[0],
    }
    apps = {("ca", name): getattr(ca, name) for name in ("public", "device", "operator")}
    return apps | {(name, each.name): each.app for name, listeners in built.items() for each in listeners}


@pytest.mark.requirement("R01", "R102")
def test_no_route_is_outside_the_tables(scene: Scene) -> None:
    found = {
        door: {(method, rule): tuple(sorted(roles)) for method, rule, roles in routes_of(app)}
        for door, app in listeners_of(scene).items()
    }
    assert found == TABLES


@pytest.mark.requirement("R102")
def test_listeners_of_a_process_share_no_route(doors: Doors) -> None:
    for (service, listener), routes in TABLES.items():
        for (other_service, other), foreign_routes in TABLES.items():
            if service == other_service and listener != other:
                assert not {rule for _, rule in routes} & {rule for _, rule in foreign_routes}
    # and over the wire: an operator's route does not exist where devices and the public are let in
    for route in BEHIND_MUTUAL_TLS:
        for listener in {"device", "public"} & set(doors.services.urls[route.service]):
            if (route.service, listener, route.method) == ("ocsp", "public", "GET"):
                continue  # whatever its path, it is an OCSP request there, and answered as one
            assert doors.call(replace(route, listener=listener), doors.nobody).status == 404


@pytest.mark.requirement("R01")
@pytest.mark.negative
def test_the_drf_has_no_way_to_vectors(doors: Doors) -> None:
    vectors = "/v1/authentication-vectors"
    offered = {service for (service, _), routes in TABLES.items() if ("POST", vectors) in routes}
    assert offered == {"icf-1", "sho-1"}
    asked = Route(service="drf-1", listener="device", method="POST", rule=vectors)
    assert doors.call(asked, doors.nobody).detail == NOTHING_HERE
    for tls in doors.of_role.values():
        said = doors.call(replace(asked, listener="operator"), tls)
        assert (said.status, said.detail) == (404, NOTHING_HERE)


@pytest.mark.requirement("R102")
@pytest.mark.negative
@pytest.mark.parametrize("route", BEHIND_MUTUAL_TLS, ids=str)
def test_an_operators_route_needs_a_certificate_of_its_role(doors: Doors, route: Route) -> None:
    for stranger in (doors.nobody, doors.foreigner):
        with pytest.raises(REFUSED_HANDSHAKE):
            doors.call(route, stranger)
    unregistered = doors.call(route, doors.newcomer)
    assert (unregistered.status, unregistered.kind) == (403, NOT_REGISTERED)
    for role, tls in doors.of_role.items():
        said = doors.call(route, tls)
        if role in route.roles:
            assert said.status not in {401, 500}, (role, said)
            assert said.kind not in {NOT_REGISTERED, "role-not-permitted"}, (role, said)
            assert said.detail != NOTHING_HERE
        else:
            assert (said.status, said.kind) == (403, "role-not-permitted"), (role, said)


@pytest.mark.requirement("R102")
@pytest.mark.parametrize("route", OPEN, ids=str)
def test_an_open_route_answers_whoever_comes_and_no_certificate_helps(doors: Doors, route: Route) -> None:
    assert len(route.roles) == 1
    expected = doors.call(route, doors.nobody)
    assert expected.status < 500
    assert expected.detail != NOTHING_HERE
    for tls in (doors.foreigner, doors.newcomer, doors.of_role["admin"]):
        said = doors.call(route, tls)
        assert (said.status, said.kind) == (expected.status, expected.kind)


@pytest.mark.requirement("R88", "R102")
@pytest.mark.negative
@pytest.mark.parametrize("head", ["CONNECT {drf} HTTP/1.1", "CONNECT {drf} HTTP/1.1\r\n{forged}"])
def test_the_gateway_opens_nothing_without_a_bearer(doors: Doors, head: str) -> None:
    drf = urlsplit(doors.services.urls["drf-1"]["device"]).netloc
    forged = "Proxy-Authorization: Basic YmVhcmVyOnNlY3JldA=="
    answer = at_the_gateway(doors, head.format(drf=drf, forged=forged))
    assert answer.startswith(b"HTTP/1.1 407 ")


@pytest.mark.negative
def test_the_gateway_serves_no_page(doors: Doors) -> None:
    answer = at_the_gateway(doors, "GET /v1/attach HTTP/1.1")
    assert answer.split(b" ")[1][:1] == b"4"


def at_the_gateway(doors: Doors, head: str) -> bytes:
    """What the gateway answers to a request without a body."""
    gateway = urlsplit(doors.services.urls["vno-1"]["gateway"])
    context: ssl.SSLContext = client_context(doors.nobody)
    with (
        socket.create_connection((gateway.hostname, gateway.port), timeout=10) as plain,
        context.wrap_socket(plain, server_hostname=gateway.hostname) as link,
    ):
        link.sendall(f"{head}\r\nHost: {gateway.netloc}\r\n\r\n".encode())
        return link.recv(1024)


@pytest.mark.requirement("R75", "R103")
def test_no_two_roles_share_a_key(scene: Scene) -> None:
    owners: dict[str, set[str]] = {}
    for file in scene.site.state.rglob("*.key"):
        role = file.relative_to(scene.site.state).parts[0]
        if role == "tpm-maker":
            continue  # not a role of the network; its key format is its own
        passphrase = next(
            folder / "passphrase" for folder in file.parents if (folder / "passphrase").exists()
        )
        key = load_any_private_key(file, passphrase_file=passphrase)
        owners.setdefault(spki_sha256(key.public_key()), set()).add(role)
    for name in ("passphrase", "subscriber-key"):  # what opens keys and stores
        for file in scene.site.state.rglob(name):
            owners.setdefault(file.read_text(), set()).add(file.relative_to(scene.site.state).parts[0])
    assert {"ca", "ocsp", "pva", "supplier-1", *NETWORK} <= set().union(*owners.values())
    assert all(len(roles) == 1 for roles in owners.values())


@pytest.mark.requirement("R103")
def test_roles_of_one_host_have_processes_stores_and_secrets_of_their_own(scene: Scene) -> None:
    roles = ("ca", "ocsp", "pva", *NETWORK)
    assert len({scene.processes.started[role].process.pid for role in roles}) == len(roles)
    for role in roles:
        folder = scene.site.role(role)
        named = set(paths_in(tomllib.loads((folder / f"{role}.toml").read_text())))
        assert named
        for path in named:
            # another's folder is named for public certificates only, or for the TLS identity of its own relay
            own = path.is_relative_to(folder) or (
                role == "drf-1" and path.is_relative_to(folder.parent / "ro-1")
            )
            assert own or path.suffix == ".pem", (role, path)


def paths_in(value: object) -> Iterator[Path]:
    """Every absolute path in a table of settings."""
    if isinstance(value, dict):
        for each in value.values():
            yield from paths_in(each)
    elif isinstance(value, list):
        for each in value:
            yield from paths_in(each)
    elif isinstance(value, str):
        text = value.removeprefix("sqlite:///")
        if text.startswith("/"):
            yield Path(text)
