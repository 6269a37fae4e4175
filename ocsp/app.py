"""The responder's process: `python -m ocsp.app --config FILE`.

The only place that reads settings, builds objects and wires them. Before the first start
`python -m ocsp.bootstrap --config FILE` makes the responder's key.
"""

import functools
from datetime import datetime
from pathlib import Path

import click

from clients.ca_status import CaStatusClient
from edge.database import engine_for, migrate
from edge.database_faults import DatabaseError
from edge.http_server import Listener, ListenerError, serve
from edge.keys import KeyFileError, load_private_key
from edge.periodic import Periodic
from edge.process import configure_logging, system_clock
from edge.settings import SettingsError, load_settings
from ocsp.delegation import DelegateKeeper
from ocsp.feed import FeedReader
from ocsp.responder import answer
from ocsp.responses import Answer
from ocsp.settings import OcspSettings
from ocsp.signed_answers import SignedAnswers
from ocsp.store import MIGRATIONS, SqlStatusStore
from ocsp.web import public_app
from standards.pki.ocsp import REQUEST_BYTES_MAX

ROLE = "ocsp"
DELEGATION_INTERVAL_S = 0.5


def run(settings: OcspSettings) -> None:
    """Serve until told to stop."""
    key = load_private_key(settings.key.key, passphrase_file=settings.key.passphrase_file)
    engine = engine_for(settings.database)
    migrate(engine, MIGRATIONS)
    store = SqlStatusStore(engine)
    ca = CaStatusClient(settings.ca.client())
    keeper = DelegateKeeper(ca, store, key=key, clock=system_clock)
    reader = FeedReader(ca, store, clock=system_clock, heard_of=keeper.expect)
    policy, signed = settings.policy(), SignedAnswers()

    def respond(request: bytes, *, now: datetime) -> Answer:
        return answer(
            request, now=now, status_store=store, delegates=keeper.directory, policy=policy, signed=signed
        )

    listener = Listener(
        name="public",
        host=settings.public.host,
        port=settings.public.port,
        app=public_app(respond, clock=system_clock),
        body_bytes_max=REQUEST_BYTES_MAX,
        path_logged=False,  # a GET's path names a device's certificate
    )
    serve(
        [listener],
        role=ROLE,
        profile=settings.profile,
        periodic=(
            Periodic(
                name="change-feed", interval_s=settings.feed_interval_s, work=functools.partial(_poll, reader)
            ),
            Periodic(name="delegation", interval_s=DELEGATION_INTERVAL_S, work=keeper.renew),
        ),
    )


def _poll(reader: FeedReader) -> None:
    reader.poll()


@click.command()
@click.option("--config", type=click.Path(path_type=Path, dir_okay=False), required=True, help="TOML file")
def main(config: Path) -> None:
    """Run the OCSP responder."""
    configure_logging(role=ROLE)
    try:
        settings = load_settings(OcspSettings, path=config)
        configure_logging(role=ROLE, level=settings.log_level)
        run(settings)
    except (DatabaseError, SettingsError, KeyFileError, ListenerError) as error:
        raise click.ClickException(str(error)) from error


if __name__ == "__main__":
    main()
