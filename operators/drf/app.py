"""`python -m operators.drf.app --config FILE`: reads the settings, opens key and store, wires and serves the DRF.

Rule: the only place of this room that reads settings, the clock and the random generator.
"""

import sys
from datetime import timedelta
from pathlib import Path

import click

from clients.pva import PvaOperatorClient
from clients.sho import ShoOperatorClient
from edge.audit_log import log_work, open_log
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
from edge.refused import AnonymousRefusals
from edge.settings import SettingsError, load_settings
from edge.signing_keys import SigningKeyError
from messages.operator_token import OperatorSigner
from operators.drf.attachments import AttachmentDesk
from operators.drf.counterparts import RelayVerifiers, ShoRegistrations
from operators.drf.discovery import DiscoveryDesk
from operators.drf.registrations import RegistrationDesk
from operators.drf.relay import RelayDesk
from operators.drf.schema import ledger
from operators.drf.settings import DrfSettings
from operators.drf.store import Store
from operators.drf.web.bodies import DEVICE_BODY_BYTES_MAX
from operators.drf.web.device import device_app
from operators.drf.web.operator import OperatorDesks, operator_app
from standards.pki import oids
from standards.pki.errors import PkiError
from standards.pki.extensions import OperatorRole
from standards.pki.fingerprints import decode_pem_certificates

ROLE = "drf"
MIGRATIONS = Path(__file__).parent / "migrations"
_USAGE_OR_SETTINGS = 2
"""Exit status of a process that cannot be started as asked."""


class WiringError(Exception):
    """The settings are well-formed, but what they name does not fit together."""


@click.command()
@click.option("--config", type=click.Path(path_type=Path, dir_okay=False), required=True)
def main(config: Path) -> None:
    """Run the discovery and registration function until SIGTERM."""
    try:
        settings = load_settings(DrfSettings, path=config)
        configure_logging(role=ROLE, level=settings.log_level)
        listeners, periodic = build(settings)
        management = open_management(settings, migrations=MIGRATIONS, clock=system_clock)
        serve(listeners, role=ROLE, profile=settings.profile, periodic=periodic, management=management)
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
        ValueError,
    ) as error:
        click.echo(f"drf: {error}", err=True)
        sys.exit(_USAGE_OR_SETTINGS)


def build(settings: DrfSettings) -> tuple[tuple[Listener, ...], tuple[Periodic, ...]]:
    """Build everything that the settings describe; serves nothing yet."""
    engine = engine_for(settings.database)
    migrate(engine, MIGRATIONS)
    store = Store(engine, random_bytes=system_random)
    operators = settings.operators()
    attachments = AttachmentDesk(store=store, life_max=timedelta(seconds=settings.attachment_life_max_s))
    discovery = DiscoveryDesk(
        store=store,
        operators=operators,
        defaults=settings.supplier_defaults,
        signer=_signer(settings),
        order_life=timedelta(seconds=settings.order_life_s),
        answer_life=timedelta(seconds=settings.answer_life_s),
    )
    shos = {name: ShoOperatorClient(each.upstream.client()) for name, each in settings.shos.items()}
    pvas = {name: PvaOperatorClient(each.client()) for name, each in settings.pvas.items()}
    relayed = {name: pvas[each.pva] for name, each in settings.shos.items() if each.pva is not None}
    device = settings.device.listener(
        "device",
        device_app(
            attachments=attachments,
            discovery=discovery,
            registrations=RegistrationDesk(
                store=store, operators=ShoRegistrations(shos), known=frozenset(operators)
            ),
            devices=store,
            clock=system_clock,
            anonymous=AnonymousRefusals(),
        ),
        body_bytes_max=DEVICE_BODY_BYTES_MAX,
    )
    log = open_log(settings.audit_log, engine, ledger, clock=system_clock)
    desks = OperatorDesks(
        attachments=attachments,
        discovery=discovery,
        relay=RelayDesk(store=store, verifiers=RelayVerifiers(relayed)),
        log=log,
    )
    refusals = CallerRefusals(
        engine, ledger, random_bytes=system_random, clock=system_clock, anonymous=AnonymousRefusals()
    )
    operator = _operator_listener(settings, desks, refusals=refusals)
    return (device, operator), log_work(settings.audit_log, log)


def _operator_listener(settings: DrfSettings, desks: OperatorDesks, *, refusals: CallerRefusals) -> Listener:
    clients = client_table(settings.operator, clock=system_clock)
    app = operator_app(desks, principals=clients.principals, clock=system_clock, on_refusal=refusals.record)
    return settings.operator.listener("operator", app, beside=clients.periodic)


def _signer(settings: DrfSettings) -> OperatorSigner:
    anchors = decode_pem_certificates(settings.operators_root.read_bytes())
    key, chain = settings.discovery_key.load(anchors=anchors, eku=oids.EKU_DISCOVERY, at=system_clock())
    named = OperatorRole.of(chain[0])
    if named != OperatorRole(role=ROLE, id=settings.id):
        raise WiringError(f"discovery_key: expected a certificate for {ROLE} {settings.id!r}, got {named}")
    return OperatorSigner(key=key, chain=chain, issuer=settings.id)


if __name__ == "__main__":
    main()
