"""`python -m operators.dpf.app --config FILE`: reads the settings, opens key and store, wires and serves the DPF.

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
from operators.dpf.authorizations import AUTHORIZATION_BYTES_MAX, AuthorizationDesk
from operators.dpf.counterparts import CredentialStatusSource, PvaValidations, ShoOwners, ShoReceipts
from operators.dpf.device_state_store import DeviceStates
from operators.dpf.device_states import StateDesk
from operators.dpf.drafts import Drafts
from operators.dpf.gate import Trust
from operators.dpf.lives import LifeDesk
from operators.dpf.receipts import ReceiptDesk
from operators.dpf.release import ReleaseDesk
from operators.dpf.results import ResultDesk
from operators.dpf.schema import ledger
from operators.dpf.settings import DpfSettings
from operators.dpf.store import Store
from operators.dpf.updates import UpdateDesk
from operators.dpf.web.device import DEVICE_BODY_BYTES_MAX, device_app
from operators.dpf.web.operator import OperatorDesks, operator_app
from standards.pki import oids
from standards.pki.errors import PkiError
from standards.pki.extensions import OperatorRole
from standards.pki.fingerprints import decode_pem_certificates

ROLE = "dpf"
MIGRATIONS = Path(__file__).parent / "migrations"
_USAGE_OR_SETTINGS = 2
"""Exit status of a process that cannot be started as asked."""


class WiringError(Exception):
    """The settings are well-formed, but what they name does not fit together."""


@click.command()
@click.option("--config", type=click.Path(path_type=Path, dir_okay=False), required=True)
def main(config: Path) -> None:
    """Run the download and provisioning function until SIGTERM."""
    try:
        settings = load_settings(DpfSettings, path=config)
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
        click.echo(f"dpf: {error}", err=True)
        sys.exit(_USAGE_OR_SETTINGS)


def build(settings: DpfSettings) -> tuple[tuple[Listener, ...], tuple[Periodic, ...]]:
    """Build everything that the settings describe; serves nothing yet."""
    engine = engine_for(settings.database)
    migrate(engine, MIGRATIONS)
    store = Store(engine, random_bytes=system_random)
    states = DeviceStates(engine, random_bytes=system_random)
    trust = Trust(
        dpf=settings.id,
        anchors=decode_pem_certificates(settings.operators_root.read_bytes()),
        pvas=frozenset(settings.pvas),
    )
    releases = ReleaseDesk(
        store=store,
        validation=PvaValidations(
            {name: PvaOperatorClient(each.client()) for name, each in settings.pvas.items()}
        ),
        status_of=CredentialStatusSource(
            timeout_s=settings.ocsp_timeout_s, random_bytes=system_random, clock=system_clock
        ),
        states=states,
        trust=trust,
        suppliers=tuple(each.supplier() for each in settings.suppliers),
        drafts=Drafts(
            signer=_signer(settings, trust),
            random_bytes=system_random,
            validation_life=timedelta(seconds=settings.validation_life_s),
            grant_life=timedelta(seconds=settings.grant_life_s),
        ),
        pause=timedelta(seconds=settings.delivery_pause_s),
        chunk_bytes=settings.chunk_bytes,
    )
    shos = {name: ShoOperatorClient(each.client()) for name, each in settings.shos.items()}
    receipts = ReceiptDesk(store=store, operators=ShoReceipts(shos), trust=trust)
    updates = UpdateDesk(store=store, owners=ShoOwners(shos))
    lives = LifeDesk(store=store, owners=ShoOwners(shos))
    anonymous = AnonymousRefusals()
    log = open_log(settings.audit_log, engine, ledger, clock=system_clock)
    device = settings.device.listener(
        "device",
        device_app(
            releases=releases,
            receipts=receipts,
            updates=updates,
            lives=lives,
            clock=system_clock,
            anonymous=anonymous,
        ),
        body_bytes_max=DEVICE_BODY_BYTES_MAX,
    )
    desks = OperatorDesks(
        authorizations=AuthorizationDesk(store=store, trust=trust),
        results=ResultDesk(store=store, trust=trust),
        states=StateDesk(store=states, trust=trust),
        log=log,
    )
    refusals = CallerRefusals(
        engine, ledger, random_bytes=system_random, clock=system_clock, anonymous=anonymous
    )
    operator = _operator_listener(settings, desks, refusals=refusals)
    forwarding = Periodic(
        name="receipts",
        interval_s=settings.forward_interval_s,
        work=lambda: receipts.forward_waiting(at=system_clock()),
    )
    return (device, operator), (forwarding, *log_work(settings.audit_log, log))


def _operator_listener(settings: DpfSettings, desks: OperatorDesks, *, refusals: CallerRefusals) -> Listener:
    clients = client_table(settings.operator, clock=system_clock)
    app = operator_app(desks, principals=clients.principals, clock=system_clock, on_refusal=refusals.record)
    return settings.operator.listener(
        "operator",
        app,
        beside=clients.periodic,
        body_bytes_max=AUTHORIZATION_BYTES_MAX,
    )


def _signer(settings: DpfSettings, trust: Trust) -> OperatorSigner:
    key, chain = settings.delivery_key.load(anchors=trust.anchors, eku=oids.EKU_DELIVERY, at=system_clock())
    named = OperatorRole.of(chain[0])
    if named != OperatorRole(role=ROLE, id=settings.id):
        raise WiringError(f"delivery_key: expected a certificate for {ROLE} {settings.id!r}, got {named}")
    return OperatorSigner(key=key, chain=chain, issuer=settings.id)


if __name__ == "__main__":
    main()
