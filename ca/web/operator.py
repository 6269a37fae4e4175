"""The operator listener (mutual TLS): administrators, suppliers, responders and PVAs, each with its routes."""

from dataclasses import dataclass

from flask import Flask

from ca.batches import Batches
from ca.certification import Certification
from ca.hierarchy import Hierarchy
from ca.manifests import Manifests
from ca.renewal import Renewals
from ca.revocation import Revocation
from ca.signing import Signing
from ca.web.certificate_routes import certificate_routes
from ca.web.hierarchy_routes import CatalogueStore, hierarchy_routes
from ca.web.problems import PROBLEMS, AuditStore, refusal_recorder
from ca.web.status_routes import status_routes
from ca.web.supply_routes import supply_routes
from edge.principals import PrincipalTable, enforce_access
from edge.problems import register_problems
from edge.process import Clock


@dataclass(frozen=True, slots=True, kw_only=True)
class OperatorDesk:
    """The use cases behind the operator listener."""

    catalogue: CatalogueStore
    ledger: AuditStore
    clock: Clock
    signing: Signing
    hierarchy: Hierarchy
    certification: Certification
    batches: Batches
    manifests: Manifests
    revocation: Revocation
    renewals: Renewals


def operator_app(desk: OperatorDesk, *, principals: PrincipalTable) -> Flask:
    """Application of the operator listener."""
    app = Flask("ca.operator", static_folder=None)
    app.register_blueprint(
        hierarchy_routes(desk.hierarchy, catalogue=desk.catalogue, places=desk.signing.places)
    )
    app.register_blueprint(certificate_routes(desk.certification))
    app.register_blueprint(supply_routes(desk.manifests, desk.batches, desk.revocation))
    app.register_blueprint(status_routes(desk.revocation, desk.renewals))
    register_problems(app, PROBLEMS, on_refusal=refusal_recorder(desk.ledger, clock=desk.clock))
    enforce_access(app, principals=principals)
    return app
