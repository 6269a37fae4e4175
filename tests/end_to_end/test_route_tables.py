"""Every route of every listener over real TLS sockets: no, foreign, expired, revoked, unregistered, wrong-role certificates.

What there is stands in `route_tables`: a route that is in no table fails the first test. What the caller's tenant decides
stands in `tenant_rules`, with the test that shows it; some of these are here, where all services run.
"""

import socket
import ssl
import tomllib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from http import HTTPStatus
from pathlib import Path
from typing import cast
from urllib.parse import urlsplit

import pytest
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding
from flask import Flask

from clients.ca import CaOperatorClient
from edge.http_client import HttpClient, HttpError, client_context
from edge.keys import load_any_private_key
from edge.principals import CERTIFICATE_REVOKED, NOT_REGISTERED, routes_of
from edge.problem_document import Problem
from lab.keyring import request_for
from lab.scene import MODEL, Scene
from lab.story import APPROVED
from standards.pki.fingerprints import ca_id, spki_sha256
from tests.end_to_end.built_listeners import built_listeners, ca_applications
from tests.end_to_end.doors import REFUSED_AT_THE_DOOR, Doors, FollowingServices, open_doors, revoke
from tests.end_to_end.lab_services import FIRST_DEVICE
from tests.end_to_end.route_tables import EVERYBODY, ROUTES, TABLES, Route

MUTUAL_TLS = ("operator", "dashboard")
BEHIND_MUTUAL_TLS = [route for route in ROUTES if route.listener in MUTUAL_TLS]
OPEN = [route for route in ROUTES if route.listener not in {*MUTUAL_TLS, "est"}]
"""Where whoever comes proves himself by what he sends, or needs no proof."""
OF_EST = [route for route in ROUTES if route.listener == "est"]
"""Where a certificate may be shown, to be renewed."""
NETWORK = ("vno-1", "icf-1", "ccif-1", "drf-1", "sho-1", "dpf-1")
NOTHING_HERE = "nothing is served at this path"


@pytest.fixture(scope="module")
def scene(network: Scene) -> Scene:
    return network


@pytest.fixture(scope="module")
def doors(scene: Scene, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Doors]:
    made = open_doors(scene, tmp_path_factory.mktemp("strangers"))
    yield made
    made.close()


@pytest.fixture(scope="module")
def following(scene: Scene, doors: Doors) -> Iterator[Doors]:
    """The same services where they judge revocation: the CA by its books, the others by its list."""
    services = FollowingServices(scene, crl=revoke(scene, doors.callers["revoked"]))
    made = replace(doors, urls={**services.urls, "ca": doors.urls["ca"]}, kept={})
    yield made
    made.close()
    assert services.stop() == 0


@pytest.mark.requirement("R01", "R102")
def test_no_route_is_outside_the_tables(scene: Scene) -> None:
    apps = {door: each.app for door, each in built_listeners(scene.site.role).items()}
    found = {
        door: {(method, rule): tuple(sorted(roles)) for method, rule, roles in routes_of(cast("Flask", app))}
        for door, app in {**ca_applications(scene.site.role), **apps}.items()
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
        for listener in {"device", "public"} & set(doors.urls[route.service]):
            if (route.service, listener, route.method) == ("ocsp", "public", "GET"):
                continue  # whatever its path, it is an OCSP request there, and answered as one
            assert doors.call(replace(route, listener=listener), "nobody").status == 404


@pytest.mark.requirement("R01")
@pytest.mark.negative
def test_the_drf_has_no_way_to_vectors(doors: Doors) -> None:
    vectors = "/v1/authentication-vectors"
    offered = {service for (service, _), routes in TABLES.items() if ("POST", vectors) in routes}
    assert offered == {"icf-1", "sho-1"}
    asked = Route(service="drf-1", listener="device", method="POST", rule=vectors)
    assert doors.call(asked, "nobody").detail == NOTHING_HERE
    for role in EVERYBODY:
        said = doors.call(replace(asked, listener="operator"), f"any-{role}")
        assert (said.status, said.detail) == (404, NOTHING_HERE)


@pytest.mark.requirement("R102")
@pytest.mark.negative
@pytest.mark.parametrize("route", BEHIND_MUTUAL_TLS, ids=str)
def test_an_operators_route_needs_a_certificate_of_its_role(doors: Doors, route: Route) -> None:
    for stranger in ("nobody", "foreigner", "expired"):
        assert doors.verdict(route, stranger) == REFUSED_AT_THE_DOOR, stranger
    assert doors.verdict(route, "newcomer") == f"403 {NOT_REGISTERED}"
    for role in EVERYBODY:
        said = doors.call(route, f"any-{role}")
        if role in route.roles:
            assert said.status not in {401, 500}, (role, said)
            assert said.kind not in {NOT_REGISTERED, "role-not-permitted"}, (role, said)
            assert said.detail != NOTHING_HERE
        else:
            assert (said.status, said.kind) == (403, "role-not-permitted"), (role, said)


@pytest.mark.requirement("R102")
@pytest.mark.negative
@pytest.mark.parametrize("route", BEHIND_MUTUAL_TLS, ids=str)
def test_an_operators_route_is_closed_to_a_revoked_certificate(following: Doors, route: Route) -> None:
    assert following.verdict(route, "revoked") == f"403 {CERTIFICATE_REVOKED}"
    # and it is that certificate that is refused, not everybody
    assert CERTIFICATE_REVOKED not in following.verdict(route, "any-admin")
    for stranger in ("nobody", "foreigner", "expired"):
        assert following.verdict(route, stranger) == REFUSED_AT_THE_DOOR, stranger


@pytest.mark.requirement("R102")
@pytest.mark.negative
def test_another_supplier_gets_nothing_at_the_ca(scene: Scene, doors: Doors) -> None:
    stranger = HttpClient(doors.urls["ca"]["operator"], tls=doors.callers["any-es"])
    owner = CaOperatorClient(scene.services.http("ca", "operator", scene.services.identity(APPROVED)))
    assert owner.issuing_cas()
    assert stranger.get_json("/v1/issuing-cas")["issuing_cas"] == []
    assert stranger.get_json("/v1/suspensions")["suspensions"] == []
    request = request_for(ec.generate_private_key(ec.SECP256R1()))
    signer = owner.certify_supplier(APPROVED, purpose="batch-signing", csr=request)
    device, root = scene.ids[FIRST_DEVICE], ca_id(scene.roots[APPROVED])
    csr = request.public_bytes(Encoding.PEM).decode()
    model = {"supplier": APPROVED, "model": MODEL[APPROVED]}
    asked: Sequence[tuple[str, dict[str, str]]] = (
        (f"/v1/devices/{device}/reopening", {}),
        (
            f"/v1/certificates/{signer.serial_number:040x}/revocation",
            {"issuer": root, "reason": "superseded"},
        ),
        ("/v1/suspensions", {"supplier": APPROVED, "reason": "of a stranger"}),
        (
            "/v1/supplier-certificates",
            {"supplier": APPROVED, "purpose": "batch-signing", "csr": csr},
        ),
        ("/v1/reissues", {**model, "manifest": "of-a-stranger"}),
    )
    for path, body in asked:
        assert refused(stranger, path, body).reason == "another-supplier", path
    stranger.close()


@pytest.mark.requirement("R102")
@pytest.mark.negative
def test_the_dpf_of_another_operator_learns_nothing(doors: Doors) -> None:
    stranger = HttpClient(doors.urls["sho-1"]["operator"], tls=doors.callers["any-dpf"])
    digest = "00" * 32
    update = {"order_digest": digest, "manifest_digest": digest, "tre_nonce": digest}
    for path, body in (("/v1/mid-steps", {"order_digest": digest}), ("/v1/update-approvals", update)):
        assert refused(stranger, path, body).type == "foreign-dpf"
    stranger.close()


@pytest.mark.requirement("R102")
@pytest.mark.negative
@pytest.mark.parametrize("service", ["sho-1", "icf-1"])
def test_a_network_gets_vectors_of_an_operator_for_itself(doors: Doors, service: str) -> None:
    stranger = HttpClient(doors.urls[service]["operator"], tls=doors.callers["any-vno"])
    asked = {"pcid": "999700000000001", "serving_network": "vno-1"}
    assert refused(stranger, "/v1/authentication-vectors", asked).type == "foreign-serving-network"
    stranger.close()


def refused(client: HttpClient, path: str, body: Mapping[str, str]) -> Problem:
    """What a caller of another tenant is told."""
    with pytest.raises(HttpError) as caught:
        client.post_json(path, dict(body))
    assert caught.value.problem is not None
    assert caught.value.status == HTTPStatus.FORBIDDEN
    return caught.value.problem


@pytest.mark.requirement("R102")
@pytest.mark.parametrize("route", OPEN, ids=str)
def test_an_open_route_answers_whoever_comes_and_no_certificate_helps(doors: Doors, route: Route) -> None:
    assert len(route.roles) == 1
    expected = doors.call(route, "nobody")
    assert expected.status < 500
    assert expected.detail != NOTHING_HERE
    for who in ("foreigner", "newcomer", "any-admin"):
        said = doors.call(route, who)
        assert (said.status, said.kind) == (expected.status, expected.kind)


@pytest.mark.requirement("R102")
@pytest.mark.negative
@pytest.mark.parametrize("route", OF_EST, ids=str)
def test_a_route_of_est_asks_for_a_key_and_not_for_a_role(doors: Doors, route: Route) -> None:
    for stranger in ("foreigner", "expired"):
        assert doors.verdict(route, stranger) == REFUSED_AT_THE_DOOR, stranger
    expected = doors.call(route, "nobody")
    assert expected.status < 500
    assert expected.detail != NOTHING_HERE
    for who in ("newcomer", *(f"any-{role}" for role in EVERYBODY)):
        said = doors.call(route, who)
        assert (said.status, said.kind) == (expected.status, expected.kind)


@pytest.mark.requirement("R88", "R102")
@pytest.mark.negative
@pytest.mark.parametrize("head", ["CONNECT {drf} HTTP/1.1", "CONNECT {drf} HTTP/1.1\r\n{forged}"])
def test_the_gateway_opens_nothing_without_a_bearer(doors: Doors, head: str) -> None:
    drf = urlsplit(doors.urls["drf-1"]["device"]).netloc
    forged = "Proxy-Authorization: Basic YmVhcmVyOnNlY3JldA=="
    answer = at_the_gateway(doors, head.format(drf=drf, forged=forged))
    assert answer.startswith(b"HTTP/1.1 407 ")


@pytest.mark.negative
def test_the_gateway_serves_no_page(doors: Doors) -> None:
    answer = at_the_gateway(doors, "GET /v1/attach HTTP/1.1")
    assert answer.split(b" ")[1][:1] == b"4"


def at_the_gateway(doors: Doors, head: str) -> bytes:
    """What the gateway answers to a request without a body."""
    gateway = urlsplit(doors.urls["vno-1"]["gateway"])
    context: ssl.SSLContext = client_context(doors.callers["nobody"])
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
