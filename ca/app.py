"""The CA's process: `python -m ca.app --config FILE`; SIGTERM ends it after the requests at work."""

import sys
from pathlib import Path

import click

from ca.composition import HOLDER_BYTES, CertificationAuthority, compose
from ca.errors import CaError
from ca.settings import CaSettings
from ca.store import MIGRATIONS
from ca.web.est import EST_BODY_BYTES_MAX
from edge.audit_log import log_work
from edge.database_faults import DatabaseError
from edge.http_server import Listener, ListenerError, serve
from edge.keys import KeyFileError, KeyTokenError
from edge.management import open_management
from edge.periodic import Periodic
from edge.principals import PrincipalTableError
from edge.process import configure_logging, system_clock
from edge.settings import SettingsError, load_settings
from messages.batch import BATCH_BYTES_MAX
from messages.enrollment import ENROLLMENT_BYTES_MAX

ROLE = "ca"
LISTS_INTERVAL_S = 10.0
LEFT_INTERVAL_S = 3600.0
RENEWALS_INTERVAL_S = 5.0
ACCREDITATIONS_INTERVAL_S = 2.0
PUBLIC_BODY_BYTES_MAX = 1024


def run(settings: CaSettings) -> None:
    """Serve until told to stop."""
    configure_logging(role=ROLE, level=settings.log_level)
    authority = compose(settings)
    holder = authority.random_bytes(HOLDER_BYTES).hex()
    operator = settings.operator
    serve(
        [
            *_est(settings, authority),
            Listener(
                name="public",
                host=settings.public.host,
                port=settings.public.port,
                app=authority.public,
                body_bytes_max=PUBLIC_BODY_BYTES_MAX,
            ),
            settings.device.listener("device", authority.device, body_bytes_max=ENROLLMENT_BYTES_MAX),
            operator.listener("operator", authority.operator, body_bytes_max=BATCH_BYTES_MAX),
        ],
        role=ROLE,
        profile=settings.profile,
        management=open_management(settings, migrations=MIGRATIONS, clock=system_clock),
        periodic=[
            Periodic(
                name="crl",
                interval_s=LISTS_INTERVAL_S,
                work=lambda: authority.publish_lists(holder=holder),
            ),
            Periodic(
                name="accreditations",
                interval_s=ACCREDITATIONS_INTERVAL_S,
                work=lambda: authority.enforce_accreditations(holder=holder),
            ),
            Periodic(name="left", interval_s=LEFT_INTERVAL_S, work=authority.forget_what_was_left),
            *log_work(settings.audit_log, authority.log),
            Periodic(
                name="renewals",
                interval_s=RENEWALS_INTERVAL_S,
                work=lambda: authority.supersede_renewed(holder=holder),
            ),
        ],
    )


def _est(settings: CaSettings, authority: CertificationAuthority) -> list[Listener]:
    est = settings.est
    if est is None:
        return []
    return [est.listener("est", authority.est, body_bytes_max=EST_BODY_BYTES_MAX)]


@click.command()
@click.option(
    "--config",
    required=True,
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    help="the CA's TOML file",
)
def main(config: Path) -> None:
    """Serve the certification authority."""
    try:
        run(load_settings(CaSettings, path=config))
    except (
        CaError,
        KeyFileError,
        KeyTokenError,
        ListenerError,
        PrincipalTableError,
        DatabaseError,
        SettingsError,
    ) as error:
        click.echo(f"ca: {error}", err=True)
        sys.exit(1)


if __name__ == "__main__":
    main()
