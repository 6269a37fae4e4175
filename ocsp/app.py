"""The responder's process: `python -m ocsp.app --config FILE`.

The only place that reads settings, builds objects and wires them. Before the first start
`python -m ocsp.bootstrap --config FILE` makes the responder's key.
"""

import functools
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime
from pathlib import Path

import click
import sqlalchemy as sa

from clients.ca_status import CaStatusClient
from edge.client_revocation import client_table
from edge.database import engine_for, migrate
from edge.database_faults import DatabaseError
from edge.http_server import Listener, ListenerError, serve
from edge.keys import KeyFileError, load_private_key
from edge.management import open_management
from edge.octet_server import OctetListener
from edge.periodic import Periodic
from edge.principals import PrincipalTableError
from edge.process import Clock, configure_logging, system_clock
from edge.refused import AnonymousRefusals
from edge.settings import SettingsError, load_settings
from ocsp.at_hand import AnswersAtHand
from ocsp.delegates import DelegateDirectory
from ocsp.delegation import DelegateKeeper
from ocsp.feed import FeedReader
from ocsp.judgement import AnswerPolicy, StatusStore
from ocsp.live_queue import TURNS_OUTSIDE, LiveQueue
from ocsp.observing import Limits, ResponderMetrics, responder_check
from ocsp.operator_web import BODY_BYTES_MAX, OperatorDesk, operator_app
from ocsp.platform_states import StateDesk
from ocsp.responder import answer_all
from ocsp.responses import Answer
from ocsp.settings import OcspSettings, StateListener
from ocsp.signed_answers import SignedAnswers
from ocsp.state_store import SqlStateStore
from ocsp.store import MIGRATIONS, SqlStatusStore
from ocsp.web import PublicApp
from standards.pki.errors import PkiError
from standards.pki.fingerprints import decode_pem_certificates
from standards.pki.ocsp import REQUEST_BYTES_MAX, OcspRequest

ROLE = "ocsp"
DELEGATION_INTERVAL_S = 0.5
COUNTS_INTERVAL_S = 10.0


def run(settings: OcspSettings) -> None:
    """Serve until told to stop."""
    key = load_private_key(settings.key.key, passphrase_file=settings.key.passphrase_file)
    engine = engine_for(settings.database)
    migrate(engine, MIGRATIONS)
    store = SqlStatusStore(engine)
    ca = CaStatusClient(settings.ca.client())
    keeper = DelegateKeeper(ca, store, key=key, clock=system_clock)
    reader = FeedReader(ca, store, clock=system_clock, heard_of=keeper.expect)
    public = public_app(store, lambda: keeper.directory, policy=settings.policy(), clock=system_clock)
    management = open_management(settings, migrations=MIGRATIONS, clock=system_clock)
    management.metrics.add(
        ResponderMetrics(public.totals, waiting=public.waiting, store=store, clock=system_clock)
    )
    management.add_check(
        responder_check(
            lambda: keeper.directory,
            waiting=public.waiting,
            store=store,
            limits=Limits(horizon=management.horizon, feed_age_max=settings.policy().feed_age_max),
            clock=system_clock,
        )
    )
    listeners: list[Listener | OctetListener] = [
        public_listener(public, host=settings.public.host, port=settings.public.port)
    ]
    if settings.operator is not None:
        desk = OperatorDesk(
            statuses=store,
            directory=lambda: keeper.directory,
            policy=settings.policy(),
            states=state_desk(settings.operator, engine),
        )
        listeners.append(operator_listener(settings.operator, desk))
    serve(
        listeners,
        role=ROLE,
        profile=settings.profile,
        management=management,
        periodic=(
            Periodic(
                name="change-feed", interval_s=settings.feed_interval_s, work=functools.partial(_poll, reader)
            ),
            Periodic(name="delegation", interval_s=DELEGATION_INTERVAL_S, work=keeper.renew),
            Periodic(name="counts", interval_s=COUNTS_INTERVAL_S, work=public.log_counts),
        ),
    )
    public.log_counts()


def public_app(
    store: SqlStatusStore,
    directory: Callable[[], DelegateDirectory],
    *,
    policy: AnswerPolicy,
    clock: Clock,
) -> PublicApp:
    """The public listener's application over `store`; `directory` gives the delegates of the moment."""
    signed = SignedAnswers()

    def answers(
        requests: Sequence[bytes | OcspRequest], *, now: datetime, statuses: StatusStore
    ) -> list[Answer]:
        return answer_all(
            requests, now=now, status_store=statuses, delegates=directory(), policy=policy, signed=signed
        )

    # a store over a network would stop the event loop while it is asked
    executor = None if store.local else ThreadPoolExecutor(TURNS_OUTSIDE, thread_name_prefix="live")
    at_hand = AnswersAtHand(answers, store, directory=directory, policy=policy, revalidate=store.local)
    queue = LiveQueue(lambda wanted: at_hand.make_all(wanted, now=clock()), executor=executor)
    return PublicApp(at_hand, queue, clock=clock)


def public_listener(app: PublicApp, *, host: str, port: int) -> OctetListener:
    """Where the world asks."""
    return OctetListener(name="public", host=host, port=port, app=app, body_bytes_max=REQUEST_BYTES_MAX)


def state_desk(settings: StateListener, engine: sa.Engine) -> StateDesk:
    """Where results are taken, believed under the settings' operators' root."""
    anchors = decode_pem_certificates(settings.operators_root.read_bytes())
    return StateDesk(store=SqlStateStore(engine), anchors=anchors)


def operator_listener(settings: StateListener, desk: OperatorDesk) -> Listener:
    """Where operators ask, and the PVA brings results."""
    clients = client_table(settings, clock=system_clock)
    app = operator_app(
        desk,
        principals=clients.principals,
        clock=system_clock,
        on_refusal=AnonymousRefusals().count,
    )
    return settings.listener("operator", app, body_bytes_max=BODY_BYTES_MAX, beside=clients.periodic)


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
    except (
        DatabaseError,
        SettingsError,
        KeyFileError,
        ListenerError,
        PrincipalTableError,
        PkiError,
        OSError,
    ) as error:
        raise click.ClickException(str(error)) from error


if __name__ == "__main__":
    main()
