"""Every route of the PVA's operator listener over real TLS, for whoever comes: the authorisation matrix.

Beside what `test_route_tables` asks of all services: an expired certificate, a revoked one, and the right role of another
tenant. A thing of another tenant is answered like one that does not exist. With AUTHORIZATION_MATRIX=FILE the matrix is written down.
"""

import os
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path
from typing import Final

import pytest
from cryptography.hazmat.primitives.serialization import Encoding

from edge.http_client import HttpClient, HttpError, UnreachableError
from edge.principals import CERTIFICATE_REVOKED, NOT_REGISTERED, ROLES
from messages.evidence import encode_evidence
from standards.pki.extensions import ExpectedSystemState
from tests.end_to_end.pva_service import PvaService
from tests.end_to_end.route_tables import LOG, TABLES
from tests.end_to_end.test_client_revocation import Publisher
from tests.end_to_end.test_client_revocation import Site as RevokingSite
from tests.fakes.attesting_device import AttestingDevice
from tests.fakes.credentials import MODEL, hw_type
from tests.fakes.pva_world import reference_manifest

ROUTES: Final = {route: roles for route, roles in TABLES["pva", "operator"].items() if route not in LOG}
REFUSED_AT_THE_DOOR: Final = "handshake"
POLICY: Final = '@id("old")@reason("too old")forbid(principal, action, resource) when { resource.svn < 9 };'
MATRIX: Final = Path(os.environ["AUTHORIZATION_MATRIX"]) if "AUTHORIZATION_MATRIX" in os.environ else None
"""Where the matrix is written, if anybody wants it."""
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
    seen: dict[tuple[str, str], dict[str, str]] = field(default_factory=dict)

    def said(self, who: str, route: tuple[str, str], *, ids: Mapping[str, str] = UNKNOWN) -> str:
        """How a request with a senseless body is answered: "handshake", the status, or status and problem type."""
        method, rule = route
        path = re.sub(r"<(\w+)>", lambda match: ids[match[1]], rule)
        try:
            if method == "GET":
                return str(self.clients[who].get(path).status)
            return str(self.clients[who].post(path, b"{}", content_type="application/json").status)
        except UnreachableError:
            return REFUSED_AT_THE_DOOR
        except HttpError as error:
            return f"{error.status} {'' if error.problem is None else error.problem.type}"


@pytest.fixture(scope="module")
def publisher() -> Iterator[Publisher]:
    made = Publisher()
    yield made
    made.close()


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory, publisher: Publisher) -> Iterator[Site]:
    folder = tmp_path_factory.mktemp("matrix")
    pva = RevokingSite(folder, publisher).pva
    known = {"admin": "admin", "admin-2": "admin", "supplier": "es", "sho": "sho", "revoked": "admin"}
    strange = {f"any-{role}": role for role in ROLES}
    certificates = pva.certificates
    rows = {name: (role, certificates.client(name)) for name, role in (known | strange).items()}
    present, certificates.now = certificates.now, certificates.now - timedelta(days=2)
    rows["expired"] = ("admin", certificates.client("expired"))
    certificates.now = present
    certificates.client("newcomer")
    certificates.register(rows, tenants=dict.fromkeys(strange, "another"))
    certificates.client("foreigner", certificates.foreign)
    publisher.der = certificates.crl(certificates.certificate("revoked"), number=1)
    pva.start()
    url = pva.urls["operator"]
    clients = {name: HttpClient(url, tls=certificates.tls(name)) for name in (*rows, "newcomer", "foreigner")}
    clients["nobody"] = HttpClient(url, tls=certificates.tls())
    made = Site(pva=pva, clients=clients, things=things_of(pva))
    yield made
    if MATRIX is not None:
        MATRIX.write_text(table_of(made.seen), encoding="utf-8")
    for client in clients.values():
        client.close()
    assert pva.stop() == 0
    pva.close()


def table_of(seen: Mapping[tuple[str, str], Mapping[str, str]]) -> str:
    """What was seen, in Markdown, a line a route."""
    columns = ["nobody", "foreigner", "expired", "revoked", "newcomer", *sorted(ROLES), "other tenant"]
    lines = [f"| route | {' | '.join(columns)} |", "|---" * (len(columns) + 1) + "|"]
    for route, row in sorted(seen.items()):
        lines.append(f"| {' '.join(route)} | {' | '.join(row.get(name, '-') for name in columns)} |")
    return "\n".join(lines) + "\n"


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


@pytest.mark.requirement("R102")
@pytest.mark.negative
@pytest.mark.parametrize("route", ROUTES, ids=" ".join)
def test_who_is_let_in(site: Site, route: tuple[str, str]) -> None:
    row = {name: site.said(name, route) for name in ("nobody", "foreigner", "expired", "revoked", "newcomer")}
    assert row == {
        "nobody": REFUSED_AT_THE_DOOR,
        "foreigner": REFUSED_AT_THE_DOOR,
        "expired": REFUSED_AT_THE_DOOR,
        "revoked": f"403 {CERTIFICATE_REVOKED}",
        "newcomer": f"403 {NOT_REGISTERED}",
    }
    for role in sorted(ROLES):
        said = site.said(f"any-{role}", route)
        row[role] = said
        if role in ROUTES[route]:
            assert not said.startswith(("401", "403 role", "403 principal", "5")), (role, said)
        else:
            assert said == "403 role-not-permitted", (role, said)
    site.seen.setdefault(route, {}).update(row)


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
def test_another_tenant_cannot_tell_a_thing_from_none(site: Site) -> None:
    for route, role in SCOPED.items():
        ids = ids_for(site, route[1])
        stranger = site.said(f"any-{role}", route, ids=ids)
        assert stranger == site.said(f"any-{role}", route) == "404 not-found", route
        owner = site.said(OWNER[role], route, ids=ids)
        assert owner.startswith("2"), (route, owner)
        site.seen.setdefault(route, {})["other tenant"] = stranger


def test_the_routes_to_one_thing_are_all_asked_about() -> None:
    elsewhere = {
        ("GET", "/v1/validation-requests/<request_id>"),  # test_pva_relying_parties: its signer, its relay
        ("POST", "/v1/manifests/<digest>/approvals"),  # an administrator's, who speaks for all
        ("POST", "/v1/manifests/<digest>/retirement"),
        ("POST", "/v1/proposals/<digest>/approvals"),
        ("POST", "/v1/suspensions/<suspension_id>/lifting"),
        ("GET", "/v1/trust-lists/<issuer>"),  # signed, and everybody's to read
        ("POST", "/v1/updates/<digest>/pause"),  # test_pva_updates: another supplier's
        ("POST", "/v1/updates/<digest>/resume"),
        ("POST", "/v1/updates/<digest>/share"),
    }
    assert {route for route in ROUTES if "<" in route[1]} == set(SCOPED) | elsewhere
