"""`python -m operators.vno.app --config FILE`: reads the settings, opens the store, wires and serves the VNO.

Rule: the only place of this room that reads settings, the clock and the random generator. The gateway has its address
before the attach listener is built, because devices are told it; it serves in a thread of its own.
"""

import sys
from collections.abc import Mapping
from datetime import timedelta
from pathlib import Path

import click
import sqlalchemy as sa

from clients.icf import IcfClient
from edge.audit_log import AuditLog, log_work, open_log
from edge.caller_refusals import CallerRefusals
from edge.client_revocation import client_table
from edge.database import engine_for, migrate
from edge.database_faults import DatabaseError
from edge.http_server import Listener, ListenerError, serve
from edge.keys import KeyFileError
from edge.management import open_management
from edge.principals import PrincipalTableError
from edge.process import configure_logging, print_ready, system_clock, system_random
from edge.refused import AnonymousRefusals
from edge.settings import SettingsError, load_settings
from edge.stream_server import StreamListener, bound_stream
from operators.vno import schema
from operators.vno.attachment import AttachmentDesk, AttachmentRules, Home
from operators.vno.gateway import Gateway, GatewayRules
from operators.vno.sessions import Sessions
from operators.vno.settings import VnoSettings
from operators.vno.store import Store
from operators.vno.web import BODY_BYTES_MAX, device_app, operator_app

MIGRATIONS = Path(__file__).parent / "migrations"
_USAGE_OR_SETTINGS = 2
"""Exit status of a process that cannot be started as asked."""


@click.command()
@click.option("--config", type=click.Path(path_type=Path, dir_okay=False), required=True)
def main(config: Path) -> None:
    """Run the visited network until SIGTERM."""
    try:
        settings = load_settings(VnoSettings, path=config)
        configure_logging(role="vno", level=settings.log_level)
        run(settings)
    except (
        DatabaseError,
        SettingsError,
        KeyFileError,
        PrincipalTableError,
        ListenerError,
        OSError,
        ValueError,
    ) as error:
        click.echo(f"vno: {error}", err=True)
        sys.exit(_USAGE_OR_SETTINGS)


def run(settings: VnoSettings) -> None:
    """Serve all listeners until SIGTERM; they are named in the ready line."""
    anonymous = AnonymousRefusals()
    engine = engine_for(settings.database)
    migrate(engine, MIGRATIONS)
    store = Store(engine, random_bytes=system_random)
    log = open_log(settings.audit_log, engine, schema.ledger, clock=system_clock)
    gateway = Gateway(
        store,
        rules=GatewayRules(networks=settings.gateway.networks),
        clock=system_clock,
        anonymous=anonymous,
    )
    with bound_stream(_stream_listener(settings), profile=settings.profile) as bound:
        address = settings.gateway.public_address or bound.address
        attach = build_listener(settings, store=store, gateway=address, anonymous=anonymous)
        listeners = [attach, *operator_listener(settings, engine, log, anonymous=anonymous)]

        def ready(role: str, urls: Mapping[str, str]) -> None:
            print_ready(role, {**urls, "gateway": f"https://{bound.address}"})

        with bound.serving(gateway.serve):
            management = open_management(settings, migrations=MIGRATIONS, clock=system_clock)
            serve(
                listeners,
                role="vno",
                profile=settings.profile,
                periodic=log_work(settings.audit_log, log),
                ready=ready,
                management=management,
            )


def build_listener(
    settings: VnoSettings, *, store: Store, gateway: str, anonymous: AnonymousRefusals
) -> Listener:
    """The attach listener; serves nothing yet."""
    desk = AttachmentDesk(
        store,
        homes={
            network: Home(network=IcfClient(route.client()), hears_attachments=route.hears_attachments)
            for network, route in settings.networks().items()
        },
        sessions=Sessions(sessions_max=settings.sessions_max),
        rules=AttachmentRules(
            serving_network=settings.serving_network,
            session_life=timedelta(seconds=settings.session_life_s),
        ),
        random_bytes=system_random,
    )
    return Listener(
        name="device",
        host=settings.device.host,
        port=settings.device.port,
        app=device_app(desk, gateway=gateway, clock=system_clock, anonymous=anonymous),
        tls=settings.device.tls(),
        body_bytes_max=BODY_BYTES_MAX,
    )


def operator_listener(
    settings: VnoSettings, engine: sa.Engine, log: AuditLog | None, *, anonymous: AnonymousRefusals
) -> tuple[Listener, ...]:
    """The operator listener, where the settings have one; serves nothing yet."""
    operator = settings.operator
    if operator is None or log is None:
        return ()
    clients = client_table(operator, clock=system_clock)
    refusals = CallerRefusals(
        engine, schema.ledger, random_bytes=system_random, clock=system_clock, anonymous=anonymous
    )
    app = operator_app(log, principals=clients.principals, on_refusal=refusals.record)
    return (operator.listener("operator", app, beside=clients.periodic, body_bytes_max=BODY_BYTES_MAX),)


def _stream_listener(settings: VnoSettings) -> StreamListener:
    gateway = settings.gateway
    return StreamListener(
        name="gateway",
        host=gateway.host,
        port=gateway.port,
        tls=gateway.tls(),
        connections_max=gateway.connections_max,
    )


if __name__ == "__main__":
    main()
