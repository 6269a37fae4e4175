"""The operator listener (mutual TLS): administrators, suppliers, responders and PVAs, each with its routes."""

from dataclasses import dataclass

from flask import Flask

from ca.accreditations import Accreditations
from ca.batch_feeds import BatchFeeds
from ca.batches import Batches
from ca.bulk_issuance import BulkIssuance
from ca.certification import Certification
from ca.est import Est
from ca.hierarchy import Hierarchy
from ca.hold_liftings import HoldLiftings
from ca.holds import Holds
from ca.key_registrations import KeyRegistrations
from ca.manifests import Manifests
from ca.renewal import Renewals
from ca.revocation import Revocation
from ca.revocation_lists import RevocationLists
from ca.rollover import Rollover
from ca.signing import Signing
from ca.stations import Stations
from ca.status_feed import StatusFeed
from ca.suspensions import Suspensions
from ca.web.certificate_routes import certificate_routes
from ca.web.descriptions import OPERATOR_API
from ca.web.est_routes import est_routes
from ca.web.hierarchy_routes import CatalogueStore, issuing_ca_routes, root_routes
from ca.web.problems import PROBLEMS, AuditStore, refusal_recorder
from ca.web.reissue_routes import reissue_routes
from ca.web.station_routes import station_routes
from ca.web.status_routes import lifting_routes, status_routes, suspension_routes
from ca.web.supply_routes import feed_routes, supply_routes
from edge.administrator_pages import add_administrators
from edge.administrators import AdministratorDesk, AdministratorStore
from edge.audit_log import AuditLog
from edge.description_pages import add_description
from edge.log_pages import add_log_pages
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
    feeds: BatchFeeds
    feed: StatusFeed
    bulk: BulkIssuance
    stations: Stations
    manifests: Manifests
    revocation: Revocation
    renewals: Renewals
    holds: Holds
    hold_liftings: HoldLiftings
    suspensions: Suspensions
    accreditations: Accreditations
    lists: RevocationLists
    rollover: Rollover
    est: Est
    key_registrations: KeyRegistrations
    administrators: AdministratorStore
    log: AuditLog | None = None


def operator_app(desk: OperatorDesk, *, principals: PrincipalTable) -> Flask:
    """Application of the operator listener."""
    app = Flask("ca.operator", static_folder=None)
    app.register_blueprint(root_routes(desk.hierarchy, rollover=desk.rollover, catalogue=desk.catalogue))
    app.register_blueprint(
        issuing_ca_routes(
            desk.hierarchy,
            rollover=desk.rollover,
            lists=desk.lists,
            catalogue=desk.catalogue,
            places=desk.signing.places,
        )
    )
    app.register_blueprint(certificate_routes(desk.certification, desk.key_registrations))
    app.register_blueprint(est_routes(desk.est, desk.key_registrations))
    app.register_blueprint(supply_routes(desk.manifests, desk.batches, desk.revocation))
    app.register_blueprint(feed_routes(desk.feeds))
    app.register_blueprint(reissue_routes(desk.bulk))
    app.register_blueprint(station_routes(desk.stations))
    app.register_blueprint(
        status_routes(
            desk.revocation, desk.holds, desk.renewals, suspensions=desk.suspensions, feed=desk.feed
        )
    )
    app.register_blueprint(lifting_routes(desk.hold_liftings))
    app.register_blueprint(suspension_routes(desk.suspensions, desk.accreditations))
    administrators = AdministratorDesk(store=desk.administrators, file=principals)
    add_administrators(app, administrators, desk.clock)
    add_log_pages(app, desk.log)
    add_description(app, OPERATOR_API)
    register_problems(app, PROBLEMS, on_refusal=refusal_recorder(desk.ledger, clock=desk.clock))
    enforce_access(app, principals=principals)
    return app
