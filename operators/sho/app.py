"""`python -m operators.sho.app --config FILE`: reads the settings, opens keys and store, wires and serves the SHO.

Rule: the only place of this room that reads settings, the clock and the random generator. The policy root, which is
in every package, is not the key that signs tokens, and the process refuses to start with one key in both places (D14).
"""

import sys
import threading
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path

import click
import sqlalchemy as sa
from cryptography import x509

from clients.dpf import DpfOperatorClient
from clients.drf import DrfOperatorClient
from clients.pva import PvaOperatorClient
from clients.sho import ShoOperatorClient
from edge.administrator_store import SqlAdministrators
from edge.audit_log import AuditLog, log_work, open_log
from edge.caller_refusals import CallerRefusals
from edge.client_revocation import client_table
from edge.database import engine_for, migrate
from edge.database_faults import DatabaseError
from edge.http_server import Listener, ListenerError, serve
from edge.keys import KeyFileError
from edge.management import open_management
from edge.periodic import Periodic
from edge.principals import PrincipalTableError
from edge.process import configure_logging, system_clock, system_random
from edge.rate_limits import Rate, limit_addresses
from edge.refused import AnonymousRefusals
from edge.settings import SettingsError, load_settings
from edge.signing_keys import SigningKeyError
from messages.operator_token import OperatorSigner
from operators.sho.advance import Engine, Rounds
from operators.sho.approvals import PolicyRoot, is_token_key
from operators.sho.bundles import Bundle
from operators.sho.changes import ChangeDesk
from operators.sho.device_states import StateDesk
from operators.sho.lives import LifeDesk
from operators.sho.mid_migrations import MigrationDesk
from operators.sho.mid_updates import MidUpdateDesk
from operators.sho.order_binding import Operator
from operators.sho.provisioning import Provisioning
from operators.sho.receipts import ReceiptDesk
from operators.sho.registration import Registrar
from operators.sho.releases import ReleaseDesk
from operators.sho.schema import administrators, ledger
from operators.sho.settings import PublicListenerSettings, ShoSettings
from operators.sho.store import Store
from operators.sho.subscriber_secrets import SubscriberSecrets
from operators.sho.subscriptions import AuthenticationCentre, NumberPlan, SubscriptionMaker
from operators.sho.updates import UpdateDesk
from operators.sho.upstream import (
    DirectRoute,
    DpfDeliveryPoint,
    DrfAnnouncer,
    PriorListeners,
    PvaApprovals,
    RelayedRoute,
)
from operators.sho.validation import Pva, Validation
from operators.sho.web.changes import ChangeDesks
from operators.sho.web.operator import BODY_BYTES_MAX, BearerTerms, Desks, operator_app
from operators.sho.web.public import ORDER_BYTES_MAX, public_app
from standards.pki import oids
from standards.pki.errors import PkiError
from standards.pki.extensions import OperatorRole
from standards.pki.fingerprints import decode_pem_certificates

MIGRATIONS = Path(__file__).parent / "migrations"
_USAGE_OR_SETTINGS = 2
"""Exit status of a process that cannot be started as asked."""
_BETWEEN_ROUNDS_S = 0.001
"""A round waits by itself, and can be woken."""


class WiringError(Exception):
    """The settings are well-formed, but what they name does not fit together."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Parts:
    """What several use cases share."""

    settings: ShoSettings
    store: Store
    anchors: tuple[x509.Certificate, ...]
    signer: OperatorSigner
    policy_root: PolicyRoot
    maker: SubscriptionMaker
    drf: DrfOperatorClient
    pvas: Mapping[str, PvaOperatorClient]
    woken: threading.Event
    administrators: SqlAdministrators
    log: AuditLog | None


@click.command()
@click.option("--config", type=click.Path(path_type=Path, dir_okay=False), required=True)
def main(config: Path) -> None:
    """Run the selected home operator until SIGTERM."""
    try:
        settings = load_settings(ShoSettings, path=config)
        configure_logging(role="sho", level=settings.log_level)
        listeners, periodic = build(settings)
        management = open_management(settings, migrations=MIGRATIONS, clock=system_clock)
        serve(listeners, role="sho", profile=settings.profile, periodic=periodic, management=management)
    except (
        SettingsError,
        DatabaseError,
        KeyFileError,
        PrincipalTableError,
        ListenerError,
        SigningKeyError,
        PkiError,
        WiringError,
        OSError,
    ) as error:
        click.echo(f"sho: {error}", err=True)
        sys.exit(_USAGE_OR_SETTINGS)


def build(settings: ShoSettings) -> tuple[tuple[Listener, ...], tuple[Periodic, ...]]:
    """Build everything that the settings describe; serves nothing yet."""
    engine = engine_for(settings.database)
    migrate(engine, MIGRATIONS)
    parts = _parts(settings, engine)
    changes = _changes(parts)
    registrar, validation = _registrar(parts), _validation(parts)
    migrations = _migrations(parts, registrar)
    engine_of_orders = Engine(
        store=parts.store,
        registrar=registrar,
        changes=changes,
        migrations=migrations,
        validation=validation,
        provisioning=_provisioning(parts, validation),
        clock=system_clock,
        poll_s=settings.poll_s,
        late=timedelta(seconds=settings.receipt_late_s),
    )
    rounds = Rounds(engine_of_orders, woken=parts.woken, workers=settings.workers)
    orders = Periodic(name="orders", interval_s=_BETWEEN_ROUNDS_S, work=rounds.run_once)
    work = (orders, *log_work(settings.audit_log, parts.log))
    return _listeners(parts, registrar, validation, changes), work


def _parts(settings: ShoSettings, engine: sa.Engine) -> Parts:
    anchors = tuple(decode_pem_certificates(settings.operators_root.read_bytes()))
    key, chain = settings.subscription_key.load(anchors=anchors, eku=oids.EKU_SUBSCRIPTION, at=system_clock())
    named = OperatorRole.of(chain[0])
    if named != OperatorRole(role="sho", id=settings.id):
        raise WiringError(f"subscription_key: its certificate is not that of the SHO {settings.id!r}")
    policy_root = PolicyRoot(key=settings.policy_root.load())
    if is_token_key(policy_root, key):
        raise WiringError("policy_root and subscription_key are one key: make a second one (D14)")
    if policy_root.key.curve.name != "secp256r1":
        raise WiringError("policy_root: expected a key on P-256, which every TPM can load")
    subscribers, ims_domain = settings.subscribers, settings.subscribers.ims_domain
    return Parts(
        settings=settings,
        store=Store(engine, random_bytes=system_random),
        anchors=anchors,
        signer=OperatorSigner(key=key, chain=chain, issuer=settings.id),
        policy_root=policy_root,
        maker=SubscriptionMaker(
            numbers=NumberPlan(mcc=subscribers.mcc, mnc=subscribers.mnc),
            secrets=SubscriberSecrets(key=subscribers.key(), random_bytes=system_random),
            random_bytes=system_random,
            bundles={each.product: each.bundle(ims_domain=ims_domain) for each in subscribers.bundles},
            usual=Bundle(ims_domain=ims_domain),
        ),
        drf=DrfOperatorClient(settings.drf.client()),
        pvas={each.id: PvaOperatorClient(each.operator.client()) for each in settings.pvas},
        woken=threading.Event(),
        administrators=SqlAdministrators(engine, administrators, ledger, random_bytes=system_random),
        log=open_log(settings.audit_log, engine, ledger, clock=system_clock),
    )


def _registrar(parts: Parts) -> Registrar:
    settings = parts.settings
    return Registrar(
        store=parts.store,
        announcer=DrfAnnouncer(client=parts.drf, sho_name=settings.name),
        operator=Operator(
            id=settings.id,
            name=settings.name,
            dpf=settings.dpf_id,
            products=settings.products,
            priors=frozenset(each.id for each in settings.priors),
        ),
        suppliers=[each.load() for each in settings.suppliers],
        signer=parts.signer,
        secrets=parts.maker.secrets,
        new_subscriptions=parts.maker.make,
        random_bytes=system_random,
        wake=parts.woken.set,
        wait=timedelta(seconds=settings.order_wait_s),
        life=timedelta(seconds=settings.order_life_s),
    )


def _mid_updates(parts: Parts, registrar: Registrar) -> MidUpdateDesk:
    return MidUpdateDesk(
        store=parts.store, registrar=registrar, maker=parts.maker, random_bytes=system_random
    )


def _migrations(parts: Parts, registrar: Registrar) -> MigrationDesk:
    return MigrationDesk(
        store=parts.store, registrar=registrar, maker=parts.maker, random_bytes=system_random
    )


def _changes(parts: Parts) -> ChangeDesk:
    settings = parts.settings
    listeners = {each.id: ShoOperatorClient(each.operator.client()) for each in settings.priors}
    return ChangeDesk(
        store=parts.store,
        priors=PriorListeners(clients=listeners),
        signer=parts.signer,
        anchors=parts.anchors,
        window=timedelta(seconds=settings.switch_window_s),
    )


def _releases(parts: Parts) -> ReleaseDesk:
    return ReleaseDesk(
        store=parts.store,
        signer=parts.signer,
        secrets=parts.maker.secrets,
        policies=parts.settings.successors,
    )


def _validation(parts: Parts) -> Validation:
    settings = parts.settings
    pvas = []
    for each in settings.pvas:
        relayed = each.route == "relay"
        route = (
            RelayedRoute(pva=each.id, client=parts.drf)
            if relayed
            else DirectRoute(pva=each.id, client=parts.pvas[each.id])
        )
        pvas.append(Pva(id=each.id, route=route, relayed=relayed))
    return Validation(
        store=parts.store,
        pvas=pvas,
        operator=settings.id,
        dpf=settings.dpf_id,
        signer=parts.signer,
        anchors=parts.anchors,
        opener=None if settings.result_key is None else settings.result_key.opener(),
        random_bytes=system_random,
        wake=parts.woken.set,
        request_life=timedelta(seconds=settings.request_life_s),
    )


def _provisioning(parts: Parts, validation: Validation) -> Provisioning:
    settings = parts.settings
    return Provisioning(
        store=parts.store,
        validation=validation,
        pvas=PvaApprovals(clients=parts.pvas),
        dpf=DpfDeliveryPoint(client=DpfOperatorClient(settings.dpf.client())),
        suppliers=[each.load() for each in settings.suppliers],
        signer=parts.signer,
        policy_root=parts.policy_root,
        maker=parts.maker,
        anchors=parts.anchors,
        random_bytes=system_random,
        authorization_life=timedelta(seconds=settings.authorization_life_s),
    )


def _public_listener(
    settings: PublicListenerSettings,
    registrar: Registrar,
    releases: ReleaseDesk,
    *,
    anonymous: AnonymousRefusals,
) -> Listener:
    app = public_app(registrar, releases, clock=system_clock, random_bytes=system_random, anonymous=anonymous)
    limit_addresses(app, Rate(per_s=settings.orders_per_s, burst=settings.orders_burst))
    return settings.listener("public", app, body_bytes_max=ORDER_BYTES_MAX)


def _desks(
    parts: Parts,
    registrar: Registrar,
    validation: Validation,
    changes: ChangeDesk,
    releases: ReleaseDesk,
) -> Desks:
    settings, subscribers = parts.settings, parts.settings.subscribers
    mid_updates = _mid_updates(parts, registrar)
    return Desks(
        dpf=settings.dpf_id,
        registrar=registrar,
        validation=validation,
        states=StateDesk(
            store=parts.store, operator=settings.id, pvas=frozenset(parts.pvas), anchors=parts.anchors
        ),
        receipts=ReceiptDesk(
            store=parts.store,
            changes=changes,
            signer=parts.signer,
            anchors=parts.anchors,
            late=timedelta(seconds=settings.receipt_late_s),
        ),
        updates=UpdateDesk(
            store=parts.store,
            pvas=PvaApprovals(clients=parts.pvas),
            signer=parts.signer,
            policy_root=parts.policy_root,
            anchors=parts.anchors,
        ),
        lives=LifeDesk(
            store=parts.store,
            changes=changes,
            updates=mid_updates,
            signer=parts.signer,
            anchors=parts.anchors,
            random_bytes=system_random,
        ),
        mid_updates=mid_updates,
        migrations=_migrations(parts, registrar),
        changes=ChangeDesks(releases=releases, attachments=parts.store),
        authentication=AuthenticationCentre(
            store=parts.store,
            maker=parts.maker,
            random_bytes=system_random,
            amf=bytes.fromhex(subscribers.amf),
            batch=subscribers.vectors,
        ),
        bearer=BearerTerms(
            apn=subscribers.apn,
            destinations=subscribers.destinations,
            quota_bytes=subscribers.quota_bytes,
            life_s=subscribers.life_s,
        ),
        administrators=parts.administrators,
        log=parts.log,
    )


def _listeners(
    parts: Parts, registrar: Registrar, validation: Validation, changes: ChangeDesk
) -> tuple[Listener, ...]:
    settings, anonymous = parts.settings, AnonymousRefusals()
    releases = _releases(parts)
    operator, desks = settings.operator, _desks(parts, registrar, validation, changes, releases)
    clients = client_table(operator, clock=system_clock, beside=parts.administrators.beside)
    refusals = CallerRefusals(
        parts.store.engine, ledger, random_bytes=system_random, clock=system_clock, anonymous=anonymous
    )
    return (
        _public_listener(settings.public, registrar, releases, anonymous=anonymous),
        operator.listener(
            "operator",
            operator_app(
                desks, principals=clients.principals, clock=system_clock, on_refusal=refusals.record
            ),
            beside=clients.periodic,
            body_bytes_max=BODY_BYTES_MAX,
        ),
    )


if __name__ == "__main__":
    main()
