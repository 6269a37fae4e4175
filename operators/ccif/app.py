"""`python -m operators.ccif.app --config FILE`: reads the settings, opens keys and store, wires and serves the CCIF.

Rule: the only place of this room that reads settings, the clock and the random generator.
"""

import sys
from pathlib import Path

import click

from clients.icf import BearerTerms, IcfClient
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
from edge.secret_store import SecretStore
from edge.settings import SettingsError, load_settings
from edge.signing_keys import SigningKeyError
from messages.connectivity import CONNECTIVITY_KIND
from messages.operator_token import OperatorSigner
from operators.ccif import schema
from operators.ccif.connectivity import ConnectivityDesk
from operators.ccif.home import Home
from operators.ccif.settings import CcifSettings
from operators.ccif.store import Store
from operators.ccif.web import BODY_BYTES_MAX, operator_app
from standards.pki.errors import PkiError
from standards.pki.fingerprints import decode_pem_certificates

MIGRATIONS = Path(__file__).parent / "migrations"
_USAGE_OR_SETTINGS = 2
"""Exit status of a process that cannot be started as asked."""


@click.command()
@click.option("--config", type=click.Path(path_type=Path, dir_okay=False), required=True)
def main(config: Path) -> None:
    """Run the connectivity credentials' issuer until SIGTERM."""
    try:
        settings = load_settings(CcifSettings, path=config)
        configure_logging(role="ccif", level=settings.log_level)
        listeners, periodic = build(settings)
        management = open_management(settings, migrations=MIGRATIONS, clock=system_clock)
        serve(listeners, role="ccif", profile=settings.profile, periodic=periodic, management=management)
    except (
        SettingsError,
        DatabaseError,
        KeyFileError,
        PrincipalTableError,
        ListenerError,
        SigningKeyError,
        PkiError,
        OSError,
        ValueError,
    ) as error:
        click.echo(f"ccif: {error}", err=True)
        sys.exit(_USAGE_OR_SETTINGS)


def build(settings: CcifSettings) -> tuple[tuple[Listener, ...], tuple[Periodic, ...]]:
    """Build everything that the settings describe; serves nothing yet."""
    secrets = SecretStore.load(settings.subscriber_key_file, random_bytes=system_random)
    engine = engine_for(settings.database)
    migrate(engine, MIGRATIONS)
    desk = ConnectivityDesk(
        Store(engine, secrets=secrets, random_bytes=system_random),
        home=_home(settings),
        numbers=settings.numbers.numbers(),
        signer=_signer(settings),
        random_bytes=system_random,
        op=bytes.fromhex(settings.op),
    )
    refusals = CallerRefusals(
        engine,
        schema.ledger,
        random_bytes=system_random,
        clock=system_clock,
        anonymous=AnonymousRefusals(),
    )
    log = open_log(settings.audit_log, engine, schema.ledger, clock=system_clock)
    clients = client_table(settings.operator, clock=system_clock)
    app = operator_app(
        desk,
        log=log,
        principals=clients.principals,
        clock=system_clock,
        on_refusal=refusals.record,
    )
    listener = settings.operator.listener(
        "operator", app, beside=clients.periodic, body_bytes_max=BODY_BYTES_MAX
    )
    return (listener,), log_work(settings.audit_log, log)


def _home(settings: CcifSettings) -> Home:
    bearer = settings.bearer
    return Home(
        icf=IcfClient(settings.icf.client()),
        amf=bytes.fromhex(settings.amf),
        bearer=BearerTerms(
            apn=bearer.apn,
            destinations=bearer.destinations,
            quota_bytes=bearer.quota_bytes,
            life_s=bearer.life_s,
        ),
    )


def _signer(settings: CcifSettings) -> OperatorSigner:
    key, chain = settings.connectivity_key.load(
        anchors=decode_pem_certificates(settings.operators_root.read_bytes()),
        eku=CONNECTIVITY_KIND.eku,
        at=system_clock(),
    )
    return OperatorSigner(key=key, chain=chain, issuer=settings.issuer)


if __name__ == "__main__":
    main()
