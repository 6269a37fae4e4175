"""The PVA's operator listener over real TLS, for the right role of another tenant.

A thing of another tenant is answered like one that does not exist, and no list holds it. Who is let in at all is asked of
every service in `test_route_tables`.
"""

import os
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import timedelta
from typing import Final

import pytest
from cryptography.hazmat.primitives.serialization import Encoding

from edge.http_client import HttpClient, HttpError
from messages.evidence import encode_evidence
from standards.pki.extensions import ExpectedSystemState
from tests.end_to_end.pva_service import PvaService
from tests.end_to_end.route_tables import LOG, TABLES
from tests.fakes.attesting_device import AttestingDevice
from tests.fakes.credentials import MODEL, hw_type
from tests.fakes.pva_world import reference_manifest

ROUTES: Final = {route: roles for route, roles in TABLES["pva", "operator"].items() if route not in LOG}
POLICY: Final = '@id("old")@reason("too old")forbid(principal, action, resource) when { resource.svn < 9 };'
UNKNOWN: Final = {
    **dict.fromkeys(("request_id", "result_id", "watch_id"), "0" * 32),
    **dict.fromkeys(("digest", "suspension_id"), "0" * 64),
    "issuer": "nobody",
}


@dataclass(frozen=True, kw_only=True)
class Site:
    """A PVA, one client of each kind, and what tenant "t" has there: a name of a path's part -> its id."""

    pva: PvaService
    clients: Mapping[str, HttpClient]
    things: Mapping[str, str]

    def said(self, who: str, route: tuple[str, str], *, ids: Mapping[str, str] = UNKNOWN) -> str:
        """How a request with a senseless body is answered: the status, or status and problem type."""
        method, rule = route
        path = re.sub(r"<(\w+)>", lambda match: ids[match[1]], rule)
        try:
            if method == "GET":
                return str(self.clients[who].get(path).status)
            return str(self.clients[who].post(path, b"{}", content_type="application/json").status)
        except HttpError as error:
            return f"{error.status} {'' if error.problem is None else error.problem.type}"


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    pva = PvaService(tmp_path_factory.mktemp("matrix"))
    known = {"admin": "admin", "admin-2": "admin", "supplier": "es", "sho": "sho"}
    strange = {f"any-{role}": role for role in ("sho", "es", "dpf")}
    certificates = pva.certificates
    rows = {name: (role, certificates.client(name)) for name, role in (known | strange).items()}
    certificates.register(rows, tenants=dict.fromkeys(strange, "another"))
    pva.start()
    clients = {name: HttpClient(pva.urls["operator"], tls=certificates.tls(name)) for name in rows}
    yield Site(pva=pva, clients=clients, things=things_of(pva))
    for client in clients.values():
        client.close()
    assert pva.stop() == 0
    pva.close()


def things_of(pva: PvaService) -> dict[str, str]:
    """A manifest, a validation with its result, a policy and a watch of the tenant "t"."""
    now = pva.now().replace(microsecond=0)
    device = AttestingDevice()
    manifest = reference_manifest(
        device, supplier="t", valid_from=now - timedelta(days=1), valid_to=now + timedelta(days=1)
    )
    root = pva.supplier.root.certificate.public_bytes(Encoding.PEM).decode()
    for administrator in ("admin", "admin-2"):
        pva.suppliers(administrator).recognise(
            supplier="t", root_pem=root, models={MODEL: hw_type()}, ocsp_url=pva.responder.url
        )
    entry = pva.operator("supplier").import_manifest(pva.sign(manifest))
    for administrator in ("admin", "admin-2"):
        pva.operator(administrator).approve_manifest(entry.digest)
    state = ExpectedSystemState(
        manifest_id=entry.id, manifest_digest=bytes.fromhex(entry.digest), svn=entry.svn
    )
    request_id = pva.operator("sho").request_validation(
        device_id=device.device_id, nonce=os.urandom(32), audience=["t"]
    )
    device = device.later()
    evidence = encode_evidence(pva.evidence(device, pva.credential(device, state)))
    result_id = pva.device.submit_evidence(evidence).result_id
    watch = pva.operator("sho").add_watch(
        device_id=device.device_id, interval_s=3_600, grace_s=3_600, audience=["t"]
    )
    return {
        "request_id": request_id,
        "result_id": result_id,
        "watch_id": watch.watch_id,
        "policy": pva.operator("sho").add_policy(POLICY).digest,
        "manifest": entry.digest,
    }


def ids_for(site: Site, rule: str) -> dict[str, str]:
    """Ids that exist, for one route: a digest is that of a policy or of a manifest."""
    digest = site.things["policy" if rule.startswith("/v1/policies") else "manifest"]
    return {**UNKNOWN, **site.things, "digest": digest}


SCOPED: Final = {
    ("GET", "/v1/validations/<request_id>"): "sho",
    ("GET", "/v1/results/<result_id>"): "sho",
    ("GET", "/v1/results/<result_id>/bundle"): "sho",
    ("GET", "/v1/results/<result_id>/explanation"): "sho",
    ("GET", "/v1/policies/<digest>"): "sho",
    ("POST", "/v1/policies/<digest>/activate"): "sho",
    ("POST", "/v1/policies/<digest>/retire"): "sho",
    ("GET", "/v1/manifests/<digest>"): "es",
    ("POST", "/v1/watches/<watch_id>/end"): "sho",
}
"""Routes to a thing of one tenant, and the role that has it; the last one ends the thing."""
OWNER: Final = {"sho": "sho", "es": "supplier"}


@pytest.mark.requirement("R102")
@pytest.mark.negative
@pytest.mark.parametrize(
    ("path", "role"), [("/v1/manifests", "es"), ("/v1/policies", "sho"), ("/v1/watches", "sho")]
)
def test_a_list_holds_nothing_of_another_tenant(site: Site, path: str, role: str) -> None:
    member = path.rpartition("/")[2]
    assert site.clients[f"any-{role}"].get_json(path)[member] == []
    assert site.clients[OWNER[role]].get_json(path)[member] != []


@pytest.mark.requirement("R102")
@pytest.mark.negative
def test_another_tenant_cannot_tell_a_thing_from_none(site: Site) -> None:
    for route, role in SCOPED.items():
        ids = ids_for(site, route[1])
        stranger = site.said(f"any-{role}", route, ids=ids)
        assert stranger == site.said(f"any-{role}", route) == "404 not-found", route
        owner = site.said(OWNER[role], route, ids=ids)
        assert owner.startswith("2"), (route, owner)


def test_the_routes_to_one_thing_are_all_asked_about() -> None:
    elsewhere = {
        ("GET", "/v1/validation-requests/<request_id>"),  # test_pva_relying_parties: its signer, its relay
        (
            "POST",
            "/v1/administrators/<administrator_digest>/approvals",
        ),  # test_administrators: another tenant's
        ("POST", "/v1/administrators/<administrator_digest>/withdrawal"),
        ("POST", "/v1/administrators/<key_digest>/removal"),
        ("POST", "/v1/manifests/<digest>/approvals"),  # an administrator's, who speaks for all
        ("POST", "/v1/manifests/<digest>/retirement"),
        ("POST", "/v1/proposals/<digest>/approvals"),
        ("POST", "/v1/proposals/<digest>/withdrawal"),
        ("POST", "/v1/suspensions/<suspension_id>/lifting"),
        ("GET", "/v1/trust-lists/<issuer>"),  # signed, and everybody's to read
        ("POST", "/v1/updates/<digest>/pause"),  # test_pva_updates: another supplier's
        ("POST", "/v1/updates/<digest>/resume"),
        ("POST", "/v1/updates/<digest>/share"),
    }
    assert {route for route in ROUTES if "<" in route[1]} == set(SCOPED) | elsewhere
