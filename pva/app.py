"""`python -m pva.app --config FILE`: reads the settings, opens keys and store, wires and serves the PVA.

Rule: what the settings describe is built here and in `pva.composition`; the clock and the random generator are read nowhere else.
"""

import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import click
import sqlalchemy as sa
from cryptography import x509

from edge.administrator_store import SqlAdministrators
from edge.administrators import AdministratorDesk
from edge.audit_log import log_work, open_log
from edge.caller_refusals import CallerRefusals
from edge.client_revocation import client_table
from edge.database import engine_for, migrate
from edge.database_faults import DatabaseError
from edge.http_server import Listener, ListenerError, serve
from edge.idempotency import SqlAnswers
from edge.keys import KeyFileError
from edge.management import Management, open_management
from edge.periodic import Periodic
from edge.principals import PrincipalTableError
from edge.process import configure_logging, system_clock, system_random
from edge.refused import AnonymousRefusals
from edge.settings import SettingsError, load_settings
from edge.signing_keys import SigningKeyError
from messages.evidence import EVIDENCE_BYTES_MAX
from pva.appraisal.known import Known
from pva.appraisal.runtime_policies import RuntimePolicyError
from pva.composition import (
    WiringError,
    open_crl_book,
    open_next_states,
    open_reissues,
    open_request_desk,
    open_result_signer,
    open_runtime_policies,
    open_status_source,
    open_store,
    open_watching,
    policy_now,
    signing_keys,
    trust_list_sources,
)
from pva.counting import VerdictCounts
from pva.couriers import courier_to_ca, couriers, open_post_room, renewals
from pva.fleet.fleet import FleetDesk
from pva.fleet.journey import JourneyDesk
from pva.manifests.approvals import ManifestApprovalDesk
from pva.manifests.proposals import ProposalDesk
from pva.manifests.recognition import RecognitionDesk
from pva.manifests.supplier_crls import CrlBook
from pva.manifests.suspensions import SuspensionDesk
from pva.manifests.trust_lists import TrustListDesk
from pva.policies.desk import PolicyDesk
from pva.recheck.exporting import ExportDesk
from pva.results.explanation import ExplanationDesk
from pva.settings import PvaSettings
from pva.signed_requests import SignedRequestDesk
from pva.store.approvals import ApprovalStore
from pva.store.fleet import FleetStore
from pva.store.known_references import KnownReferences
from pva.store.outbox import OutboxStore
from pva.store.policies import PolicyStore
from pva.store.references import ReferenceStore
from pva.store.renewals import RenewalStore
from pva.store.results import ResultStore, delete_what_is_due
from pva.store.status_asks import StatusAskOutbox
from pva.store.tables import administrators, kept_answers, ledger
from pva.store.updates import UpdateStore
from pva.store.validations import Store
from pva.updates.approvals import ApprovalDesk, DayKey
from pva.updates.rollouts import RolloutDesk
from pva.validation import Verifier
from pva.web.dashboard.application import DashboardSurroundings, dashboard_app
from pva.web.dashboard.desks import DashboardDesks
from pva.web.device import device_app
from pva.web.operator import OperatorDesks, operator_app
from pva.web.suppliers import SupplierDesks
from standards.pki.errors import PkiError
from standards.pki.fingerprints import decode_pem_certificates
from standards.rats.corim import MANIFEST_BYTES_MAX

MIGRATIONS = Path(__file__).parent / "migrations"
RETENTION_INTERVAL_S = 3_600
CRL_INTERVAL_S = 1.0
FORGET_INTERVAL_S = 60
_USAGE_OR_SETTINGS = 2
"""Exit status of a process that cannot be started as asked."""


@click.command()
@click.option("--config", type=click.Path(path_type=Path, dir_okay=False), required=True)
def main(config: Path) -> None:
    """Run the Platform Validation Authority until SIGTERM."""
    try:
        settings = load_settings(PvaSettings, path=config)
        configure_logging(role="pva", level=settings.log_level)
        service = build_service(settings)
        serve(
            service.listeners,
            role="pva",
            profile=settings.profile,
            periodic=service.periodic,
            management=service.management,
        )
    except (
        SettingsError,
        DatabaseError,
        KeyFileError,
        PrincipalTableError,
        ListenerError,
        SigningKeyError,
        PkiError,
        WiringError,
        RuntimePolicyError,
        OSError,
    ) as error:
        click.echo(f"pva: {error}", err=True)
        sys.exit(_USAGE_OR_SETTINGS)


@dataclass(frozen=True, slots=True, kw_only=True)
class PvaService:
    """What the process runs: its listeners, the couriers beside them, and what is told of it."""

    listeners: tuple[Listener, ...]
    periodic: tuple[Periodic, ...]
    management: Management


def build_listeners(settings: PvaSettings) -> tuple[Listener, ...]:
    """The listeners alone, for who wants to look at their routes."""
    return build_service(settings).listeners


def build_service(settings: PvaSettings) -> PvaService:
    """Build everything that the settings describe; serves nothing yet."""
    engine = engine_for(settings.database)
    migrate(engine, MIGRATIONS)
    store, records = open_store(settings, engine), ResultStore(engine, random_bytes=system_random)
    policies = PolicyStore(engine, random_bytes=system_random)
    references, looked_up, suppliers = _vouching(settings, engine, policies=policies)
    anchors = decode_pem_certificates(settings.operators_root.read_bytes())
    keys = signing_keys(settings, anchors)
    runtime_policies = open_runtime_policies(settings, references)
    policy = settings.policy()
    to_ca = courier_to_ca(settings.ca, StatusAskOutbox(engine))
    post_room = open_post_room(settings, OutboxStore(engine), others=tuple(each.announced for each in to_ca))
    known = Known()
    requests = open_request_desk(
        settings,
        store=store,
        signing=keys["challenge_key"],
        known=known,
        ima_policy=policy_now(policy, runtime_policies) if settings.ima_incremental else None,
    )
    management, counts = _told(settings)
    verifier = Verifier(
        store=store,
        references=looked_up,
        status_of=open_status_source(settings, crls=suppliers.crls),
        policy=policy,
        challenge_certificate=keys["challenge_key"].chain[0],
        challenge_anchors=anchors,
        issuer=settings.issuer,
        signer=open_result_signer(settings, keys["result_key"]),
        announce=counts.before(post_room.announce),
        redeemed=counts.redeemed,
        runtime_policies=runtime_policies,
        known=known,
    )
    log = open_log(settings.audit_log, engine, ledger, clock=system_clock)
    watching = open_watching(settings, engine, requests=requests, result_key=keys["result_key"])
    day_key = DayKey(key=keys["approval_key"].key, chain=keys["approval_key"].chain)
    updates = UpdateStore(engine, random_bytes=system_random)
    desks = OperatorDesks(
        requests=requests,
        signed_requests=SignedRequestDesk(requests=requests, anchors=anchors, issuer=settings.issuer),
        approvals=_approvals(engine, day_key=day_key, anchors=anchors),
        suppliers=suppliers,
        log=log,
        watches=watching.desk,
        explanations=ExplanationDesk(records=records, references=references, anchors=anchors),
        manifests=ManifestApprovalDesk(records=references, needed=settings.manifest_approvals),
        policies=PolicyDesk(records=policies),
        exports=ExportDesk(records=records, log=log),
        results=open_reissues(records, anchors, signing=keys["result_key"]),
        rollouts=RolloutDesk(records=updates),
        next_states=open_next_states(updates, references, day_key=day_key),
        answers=SqlAnswers(engine, kept_answers),
        administrators=SqlAdministrators(engine, administrators, ledger, random_bytes=system_random),
    )
    return PvaService(
        listeners=_listeners(settings, engine, desks=desks, verifier=verifier)
        + _dashboard(settings, engine, desks=desks, anchors=anchors),
        periodic=(
            *_maintenance(records, suppliers.crls, store),
            *couriers(post_room),
            *(Periodic(name="status-asks", interval_s=0, work=each.wait_and_deliver) for each in to_ca),
            *watching.periodic,
            *renewals(settings, RenewalStore(engine, random_bytes=system_random)),
            *log_work(settings.audit_log, log),
        ),
        management=management,
    )


def _vouching(
    settings: PvaSettings, engine: sa.Engine, *, policies: PolicyStore
) -> tuple[ReferenceStore, KnownReferences, SupplierDesks]:
    """Suppliers with their manifests, what validations know of them, and the use cases around them."""
    sources = trust_list_sources(settings)
    references = ReferenceStore(engine, random_bytes=system_random, sources=sources)
    looked_up = KnownReferences(engine, references=references, policies=policies)
    proposals = ProposalDesk(records=references, needed=settings.manifest_approvals)
    desks = SupplierDesks(
        recognition=RecognitionDesk(store=references, policy=settings.policy(), proposals=proposals),
        suspensions=SuspensionDesk(records=references, proposals=proposals),
        trust_lists=TrustListDesk(records=references, proposals=proposals, sources=references.sources),
        proposals=proposals,
        crls=open_crl_book(engine, looked_up),
    )
    return references, looked_up, desks


def _maintenance(records: ResultStore, crls: CrlBook, store: Store) -> tuple[Periodic, ...]:
    follow = Periodic(
        name="supplier-crls", interval_s=CRL_INTERVAL_S, work=lambda: crls.refresh(at=system_clock())
    )
    forget = Periodic(
        name="forget-challenges",
        interval_s=FORGET_INTERVAL_S,
        work=lambda: store.forget_challenges(at=system_clock()),
    )
    return _retention(records), follow, forget


def _told(settings: PvaSettings) -> tuple[Management, VerdictCounts]:
    management = open_management(settings, migrations=MIGRATIONS, clock=system_clock)
    return management, VerdictCounts(management.metrics.registry)


def _approvals(engine: sa.Engine, *, day_key: DayKey, anchors: Sequence[x509.Certificate]) -> ApprovalDesk:
    records = ApprovalStore(engine, random_bytes=system_random)
    return ApprovalDesk(records=records, day_key=day_key, anchors=anchors)


def _retention(records: ResultStore) -> Periodic:
    return Periodic(
        name="delete-evidence",
        interval_s=RETENTION_INTERVAL_S,
        work=lambda: delete_what_is_due(records, at=system_clock()),
    )


def _listeners(
    settings: PvaSettings, engine: sa.Engine, *, desks: OperatorDesks, verifier: Verifier
) -> tuple[Listener, ...]:
    anonymous = AnonymousRefusals()
    refusals = _caller_refusals(engine, anonymous)
    clients = client_table(settings.operator, clock=system_clock, beside=desks.administrators.beside)
    return (
        settings.device.listener(
            "device",
            device_app(desk=desks.requests, verifier=verifier, clock=system_clock, anonymous=anonymous),
            body_bytes_max=EVIDENCE_BYTES_MAX,
        ),
        settings.operator.listener(
            "operator",
            operator_app(
                desks=desks,
                principals=clients.principals,
                clock=system_clock,
                on_refusal=refusals.record,
            ),
            body_bytes_max=MANIFEST_BYTES_MAX,
            beside=clients.periodic,
        ),
    )


def _caller_refusals(engine: sa.Engine, anonymous: AnonymousRefusals) -> CallerRefusals:
    return CallerRefusals(engine, ledger, random_bytes=system_random, clock=system_clock, anonymous=anonymous)


def _dashboard(
    settings: PvaSettings,
    engine: sa.Engine,
    *,
    desks: OperatorDesks,
    anchors: Sequence[x509.Certificate],
) -> tuple[Listener, ...]:
    """The listener of the pages for people, where the settings have one; on the use cases of the API."""
    if settings.dashboard is None:
        return ()
    clients = client_table(settings.dashboard, clock=system_clock, beside=desks.administrators.beside)
    refusals = _caller_refusals(engine, AnonymousRefusals())
    views = FleetStore(engine)
    app = dashboard_app(
        DashboardDesks(
            fleet=FleetDesk(records=views),
            journeys=JourneyDesk(records=views, anchors=anchors),
            explanations=desks.explanations,
            recognition=desks.suppliers.recognition,
            manifests=desks.manifests,
            rollouts=desks.rollouts,
            policies=desks.policies,
            proposals=desks.suppliers.proposals,
            administrators=AdministratorDesk(store=desks.administrators, file=clients.principals),
            log=desks.log,
        ),
        DashboardSurroundings(
            issuer=settings.issuer,
            principals=clients.principals,
            clock=system_clock,
            random_bytes=system_random,
            on_refusal=refusals.record,
        ),
    )
    return (settings.dashboard.listener("dashboard", app, beside=clients.periodic),)


if __name__ == "__main__":
    main()
