"""The CA's operator listener with one registered client of every role, asked without a socket."""

import json
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding
from flask import Flask
from flask.testing import FlaskClient

from ca.profiles import Kind
from ca.stations import Stations
from ca.tpm_makers import TpmMakers
from ca.web import OperatorDesk, operator_app
from edge.http_protocol import PEER_CERTIFICATE
from edge.principals import ROLES, PrincipalTable, certificate_digests
from tests.fakes.ca import ADMIN, CaHouse, csr_for

TENANTS = {"es": "acme"}


@dataclass(frozen=True, kw_only=True)
class Clients:
    """One client certificate of every role, and the table that registers them."""

    certificates: dict[str, bytes]
    table: Path
    anchors: Path


def clients_of(house: CaHouse, folder: Path) -> Clients:
    """Certify and register one client of every role, and a stranger that is not registered."""
    root = house.hierarchy.make_root(Kind.TLS_ROOT).x509()
    anchors, table = folder / "tls-root.pem", folder / "principals.json"
    anchors.write_bytes(root.public_bytes(Encoding.PEM))
    certificates: dict[str, bytes] = {}
    rows = []
    for role in sorted({*ROLES, "stranger", "es-other"}):
        key = ec.generate_private_key(ec.SECP256R1())
        made = house.certification.certify_tls("client", caller=ADMIN, holder=role, csr=csr_for(key))
        certificates[role] = made.public_bytes(Encoding.DER)
        issuer, spki = certificate_digests(made, root)
        tenant = "other" if role == "es-other" else TENANTS.get(role, "")
        row = {"role": role.split("-other")[0], "tenant": tenant, "name": role}
        if role != "stranger":
            rows.append({**row, "issuer_sha256": issuer, "spki_sha256": spki})
    table.write_text(json.dumps({"principals": rows}))
    return Clients(certificates=certificates, table=table, anchors=anchors)


class Desk:
    """The operator listener with one registered client of every role; `makers` are trusted in place of the house's own."""

    def __init__(self, house: CaHouse, clients: Clients, *, makers: TpmMakers | None = None) -> None:
        enrollment = house.enrollment if makers is None else replace(house.enrollment, makers=makers)
        self.certificates = clients.certificates
        self.app: Flask = operator_app(
            OperatorDesk(
                catalogue=house.store,
                ledger=house.store,
                clock=house.clock,
                signing=house.signing,
                hierarchy=house.hierarchy,
                certification=house.certification,
                batches=house.batches,
                feeds=house.feeds,
                feed=house.feed,
                bulk=house.bulk,
                stations=Stations(enrollment=enrollment),
                manifests=house.manifests,
                revocation=house.revocation,
                holds=house.holds,
                hold_liftings=house.hold_liftings,
                suspensions=house.suspensions,
                accreditations=house.accreditations,
                lists=house.lists,
                rollover=house.rollover,
                est=house.est,
                key_registrations=house.key_registrations,
                administrators=house.store.administrators(),
                renewals=house.renewals,
            ),
            principals=PrincipalTable.load(
                clients.table,
                anchors=clients.anchors,
                is_revoked=house.revocation.is_revoked,
                beside=house.store.administrators().beside,
            ),
        )

    def call(
        self, role: str | None, method: str, path: str, body: object = None, *, media_type: str | None = None
    ) -> tuple[int, dict[str, Any]]:
        """Status and JSON answer."""
        client: FlaskClient = self.app.test_client()
        environ = {} if role is None else {PEER_CERTIFICATE: self.certificates[role]}
        data = body if isinstance(body, bytes) else json.dumps(body).encode()
        answer = client.open(
            path,
            method=method,
            data=None if body is None else data,
            content_type=None if body is None else media_type or "application/json",
            environ_overrides=environ,
        )
        # the page of the description is the one answer that is no JSON
        return answer.status_code, json.loads(answer.data) if "json" in answer.content_type else {}
