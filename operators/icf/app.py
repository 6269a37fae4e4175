"""`python -m operators.icf.app --config FILE`: reads the settings, opens keys and store, wires and serves the ICF.

Rule: the only place of this room that reads settings, the clock and the random generator.
"""

import sys
from datetime import timedelta
from pathlib import Path

import click

from clients.drf import DrfOperatorClient
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
from operators.icf import schema
from operators.icf.attachments import AttachmentDesk
from operators.icf.settings import IcfSettings
from operators.icf.store import Store
from operators.icf.subscribers import SubscriberDesk
from operators.icf.vectors import VectorDesk
from operators.icf.web import BODY_BYTES_MAX, Desks, operator_app

MIGRATIONS = Path(__file__).parent / "migrations"
_USAGE_OR_SETTINGS = 2
"""Exit status of a process that cannot be started as asked."""


@click.command()
@click.option("--config", type=click.Path(path_type=Path, dir_okay=False), required=True)
def main(config: Path) -> None:
    """Run the initial connectivity function until SIGTERM."""
    try:
        settings = load_settings(IcfSettings, path=config)
        configure_logging(role="icf", level=settings.log_level)
        listeners, periodic = build(settings)
        management = open_management(settings, migrations=MIGRATIONS, clock=system_clock)
        serve(listeners, role="icf", profile=settings.profile, periodic=periodic, management=management)
    except (
        DatabaseError,
        SettingsError,
        KeyFileError,
        PrincipalTableError,
        ListenerError,
        OSError,
        ValueError,
    ) as error:
        click.echo(f"icf: {error}", err=True)
        sys.exit(_USAGE_OR_SETTINGS)


def build(settings: IcfSettings) -> tuple[tuple[Listener, ...], tuple[Periodic, ...]]:
    """Build everything that the settings describe; serves nothing yet."""
    secrets = SecretStore.load(settings.subscriber_key_file, random_bytes=system_random)
    engine = engine_for(settings.database)
    migrate(engine, MIGRATIONS)
    store = Store(engine, secrets=secrets, random_bytes=system_random)
    log = open_log(settings.audit_log, engine, schema.ledger, clock=system_clock)
    desks = Desks(
        vectors=VectorDesk(
            store,
            random_bytes=system_random,
            batch=settings.vectors_per_batch,
            vector_life=timedelta(seconds=settings.vector_life_s),
        ),
        attachments=AttachmentDesk(store, discovery=DrfOperatorClient(settings.drf.client())),
        subscribers=SubscriberDesk(store),
        log=log,
    )
    refusals = CallerRefusals(
        engine,
        schema.ledger,
        random_bytes=system_random,
        clock=system_clock,
        anonymous=AnonymousRefusals(),
    )
    clients = client_table(settings.operator, clock=system_clock)
    app = operator_app(
        desks,
        principals=clients.principals,
        clock=system_clock,
        on_refusal=refusals.record,
    )
    listener = settings.operator.listener(
        "operator", app, beside=clients.periodic, body_bytes_max=BODY_BYTES_MAX
    )
    return (listener,), log_work(settings.audit_log, log)


if __name__ == "__main__":
    main()
