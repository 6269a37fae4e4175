"""`python -m pva.app --config FILE`: reads the settings, opens keys and store, wires and serves the PVA.

Rule: the only place of this room that reads settings, the clock and the random generator. Challenges, results and
approvals are signed with three different keys; the process refuses to start with one key in two places (D14).
"""

import sys
import threading
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

import click
import sqlalchemy as sa
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric.ec import EllipticCurvePrivateKey

from clients.ca import CaOperatorClient
from clients.ca_holds import CaHoldClient
from clients.result_receiver import ResultReceiverClient
from edge.audit_log import log_work, open_log
from edge.client_revocation import client_table
from edge.database import engine_for, migrate
from edge.database_faults import DatabaseError
from edge.http_server import Listener, ListenerError, serve
from edge.keys import KeyFileError
from edge.periodic import Periodic
from edge.principals import PrincipalTableError
from edge.process import configure_logging, system_clock, system_random
from edge.refused import AnonymousRefusals
from edge.settings import SettingsError, load_settings
from edge.signing_keys import SigningKeyError, SigningKeySettings
from edge.upstream_settings import UpstreamSettings
from messages.evidence import EVIDENCE_BYTES_MAX
from messages.operator_token import OperatorSigner
from pva.appraisal.known import Known
from pva.appraisal.policy import AppraisalPolicy, PolicyVariants
from pva.appraisal.runtime_policies import RuntimePolicies, RuntimePolicyError, check_runtime_policies
from pva.credential_status import CredentialStatusSource
from pva.manifests.approvals import ManifestApprovalDesk
from pva.manifests.recognition import RecognitionDesk
from pva.policies.desk import PolicyDesk
from pva.pushing import LOOK_INTERVAL_S, Courier, PostedResult, PostRoom
from pva.recheck.exporting import ExportDesk
from pva.requests import ChallengeSigner, RequestDesk
from pva.results.explanation import ExplanationDesk
from pva.results.reissue import ReissueDesk
from pva.results.result import ResultSigner
from pva.runtime_policy_files import RuntimePolicyFiles
from pva.settings import PvaSettings
from pva.signed_requests import SignedRequestDesk
from pva.store.approvals import ApprovalStore
from pva.store.outbox import OutboxStore
from pva.store.policies import PolicyStore
from pva.store.references import ReferenceStore
from pva.store.renewals import RenewalStore
from pva.store.results import ResultStore, delete_what_is_due
from pva.store.status_asks import StatusAskOutbox
from pva.store.tables import ledger
from pva.store.updates import UpdateStore
from pva.store.validations import Store
from pva.store.watches import EventOutbox, PostedEvent, WatchStore
from pva.updates.approvals import ApprovalDesk, DayKey
from pva.updates.next_states import NextStateDesk
from pva.updates.renewals import PendingRenewal, Renew, RenewalCourier
from pva.updates.rollouts import RolloutDesk
from pva.updates.successors import ChainSuccessors
from pva.validation import Verifier
from pva.watching.status_asks import CA, StatusAsk, StatusAsker
from pva.watching.watches import WatchDesk, WatchKeeper
from pva.web.device import device_app
from pva.web.operator import CallerRefusals, OperatorDesks, operator_app
from standards.pki import oids
from standards.pki.errors import PkiError
from standards.pki.fingerprints import decode_pem_certificates, spki_der
from standards.rats.corim import MANIFEST_BYTES_MAX

MIGRATIONS = Path(__file__).parent / "migrations"
CLAIM_MARGIN_S = 5
RETENTION_INTERVAL_S = 3_600
ANSWER_BYTES_MAX = 16_384
"""What a callback may say; it is not read any further than for an error's log line."""
HOLDER_BYTES = 8
WATCH_ROUND_S = 0.5
CALL_PARTS = 3
"""Connection, request and answer of a callback are bounded each."""
_USAGE_OR_SETTINGS = 2
"""Exit status of a process that cannot be started as asked."""


class WiringError(Exception):
    """The settings are well-formed, but what they name does not fit together."""


@click.command()
@click.option("--config", type=click.Path(path_type=Path, dir_okay=False), required=True)
def main(config: Path) -> None:
    """Run the Platform Validation Authority until SIGTERM."""
    try:
        settings = load_settings(PvaSettings, path=config)
        configure_logging(role="pva", level=settings.log_level)
        service = build_service(settings)
        serve(service.listeners, role="pva", profile=settings.profile, periodic=service.periodic)
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
    """What the process runs: its listeners, and the couriers beside them."""

    listeners: tuple[Listener, ...]
    periodic: tuple[Periodic, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class _SigningKey:
    key: EllipticCurvePrivateKey
    chain: tuple[x509.Certificate, ...]


def build_listeners(settings: PvaSettings) -> tuple[Listener, ...]:
    """The listeners alone, for who wants to look at their routes."""
    return build_service(settings).listeners


def build_service(settings: PvaSettings) -> PvaService:
    """Build everything that the settings describe; serves nothing yet."""
    engine = engine_for(settings.database)
    migrate(engine, MIGRATIONS)
    store = _store(settings, engine)
    records = ResultStore(engine, random_bytes=system_random)
    policies = PolicyStore(engine, random_bytes=system_random)
    references = ReferenceStore(engine, random_bytes=system_random)
    anchors = decode_pem_certificates(settings.operators_root.read_bytes())
    keys = _signing_keys(settings, anchors)
    runtime_policies = _runtime_policies(settings, references)
    policy = settings.policy()
    to_ca = _courier_to_ca(settings.ca, StatusAskOutbox(engine))
    post_room = _post_room(settings, OutboxStore(engine), others=tuple(each.announced for each in to_ca))
    known = Known()
    requests = _request_desk(
        settings,
        store=store,
        signing=keys["challenge_key"],
        known=known,
        ima_policy=_policy_now(policy, runtime_policies) if settings.ima_incremental else None,
    )
    verifier = Verifier(
        store=store,
        references=references,
        status_of=_status_source(settings),
        policy=policy,
        challenge_certificate=keys["challenge_key"].chain[0],
        challenge_anchors=anchors,
        issuer=settings.issuer,
        signer=_result_signer(settings, keys["result_key"]),
        announce=post_room.announce,
        policies=policies,
        runtime_policies=runtime_policies,
        known=known,
    )
    log = open_log(settings.audit_log, engine, ledger, clock=system_clock)
    watching = _watching(settings, engine, requests=requests, result_key=keys["result_key"])
    day_key = DayKey(key=keys["approval_key"].key, chain=keys["approval_key"].chain)
    updates = UpdateStore(engine, random_bytes=system_random)
    desks = OperatorDesks(
        requests=requests,
        signed_requests=SignedRequestDesk(requests=requests, anchors=anchors, issuer=settings.issuer),
        approvals=ApprovalDesk(
            records=ApprovalStore(engine, random_bytes=system_random),
            day_key=day_key,
            anchors=anchors,
        ),
        recognition=RecognitionDesk(store=references, policy=policy),
        log=log,
        watches=watching.desk,
        explanations=ExplanationDesk(records=records, references=references, anchors=anchors),
        manifests=ManifestApprovalDesk(records=references, needed=settings.manifest_approvals),
        policies=PolicyDesk(records=policies),
        exports=ExportDesk(records=records, log=log),
        results=_reissues(records, anchors, signing=keys["result_key"]),
        rollouts=RolloutDesk(records=updates),
        next_states=_next_states(updates, references, day_key=day_key),
    )
    return PvaService(
        listeners=_listeners(settings, desks=desks, verifier=verifier, callers=store),
        periodic=(
            _retention(records),
            *_couriers(post_room),
            *(Periodic(name="status-asks", interval_s=0, work=each.wait_and_deliver) for each in to_ca),
            *watching.periodic,
            *_renewals(settings, RenewalStore(engine, random_bytes=system_random)),
            *log_work(settings.audit_log, log),
        ),
    )


def _store(settings: PvaSettings, engine: sa.Engine) -> Store:
    return Store(
        engine,
        random_bytes=system_random,
        callbacks=frozenset(settings.callbacks),
        evidence_life=timedelta(days=settings.evidence_days),
        hold_rule=None if settings.ca is None else settings.hold.rule(),
    )


def _status_source(settings: PvaSettings) -> CredentialStatusSource:
    return CredentialStatusSource(
        timeout_s=settings.ocsp_timeout_s, random_bytes=system_random, clock=system_clock
    )


def _request_desk(
    settings: PvaSettings,
    *,
    store: Store,
    signing: _SigningKey,
    known: Known,
    ima_policy: Callable[[], bytes] | None,
) -> RequestDesk:
    return RequestDesk(
        store=store,
        signer=ChallengeSigner(key=signing.key, chain=signing.chain, issuer=settings.issuer),
        random_bytes=system_random,
        pcr_selections=settings.pcr_selections,
        request_life=timedelta(seconds=settings.request_life_s),
        challenge_life=timedelta(seconds=settings.challenge_life_s),
        ima=settings.ima,
        issued=known.challenges,
        ima_policy=ima_policy,
    )


def _policy_now(policy: AppraisalPolicy, runtime_policies: RuntimePolicyFiles) -> Callable[[], bytes]:
    """Gives the digest of the policy that judges IMA lists now."""
    judging = PolicyVariants(policy)
    return lambda: judging.including(runtime_policies=runtime_policies().digests).digest


def _reissues(
    records: ResultStore, anchors: Sequence[x509.Certificate], *, signing: _SigningKey
) -> ReissueDesk:
    return ReissueDesk(records=records, anchors=anchors, key=signing.key, chain=signing.chain)


def _retention(records: ResultStore) -> Periodic:
    return Periodic(
        name="delete-evidence",
        interval_s=RETENTION_INTERVAL_S,
        work=lambda: delete_what_is_due(records, at=system_clock()),
    )


def _couriers(post_room: PostRoom) -> tuple[Periodic, ...]:
    return tuple(
        Periodic(name=f"push-{audience}", interval_s=0, work=courier.wait_and_deliver)
        for audience, courier in post_room.couriers.items()
    )


def _result_signer(settings: PvaSettings, signing: _SigningKey) -> ResultSigner:
    return ResultSigner(
        key=signing.key,
        chain=signing.chain,
        issuer=settings.issuer,
        developer=settings.developer,
        build=_build(),
        random_bytes=system_random,
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class _Watching:
    """Watches: what operators ask for, and the work beside."""

    desk: WatchDesk
    periodic: tuple[Periodic, ...]


def _watching(
    settings: PvaSettings, engine: sa.Engine, *, requests: RequestDesk, result_key: _SigningKey
) -> _Watching:
    """Everything about watches; their events are signed with the result key."""
    store = WatchStore(
        engine,
        random_bytes=system_random,
        callbacks=frozenset(settings.callbacks),
        event_life=timedelta(seconds=settings.watches.event_life_s),
    )
    keeper = WatchKeeper(
        store=store,
        requests=requests,
        signer=OperatorSigner(key=result_key.key, chain=result_key.chain, issuer=settings.issuer),
        clock=system_clock,
        random_bytes=system_random,
        holder=system_random(HOLDER_BYTES).hex(),
    )
    desk = WatchDesk(
        store=store,
        requests=requests,
        random_bytes=system_random,
        watches_max=settings.watches.per_operator,
        interval_min=timedelta(seconds=settings.watches.interval_min_s),
    )
    events = tuple(
        Periodic(name=f"events-{each.audience}", interval_s=0, work=each.wait_and_deliver)
        for each in _event_couriers(settings, EventOutbox(engine))
    )
    rounds = Periodic(name="watches", interval_s=WATCH_ROUND_S, work=_rounds(keeper))
    return _Watching(desk=desk, periodic=(*events, rounds))


def _listeners(
    settings: PvaSettings, *, desks: OperatorDesks, verifier: Verifier, callers: CallerRefusals
) -> tuple[Listener, ...]:
    anonymous = AnonymousRefusals()
    clients = client_table(settings.operator, clock=system_clock)
    return (
        Listener(
            name="device",
            host=settings.device.host,
            port=settings.device.port,
            app=device_app(desk=desks.requests, verifier=verifier, clock=system_clock, anonymous=anonymous),
            tls=settings.device.tls(),
            body_bytes_max=EVIDENCE_BYTES_MAX,
        ),
        Listener(
            name="operator",
            host=settings.operator.host,
            port=settings.operator.port,
            app=operator_app(
                desks=desks,
                callers=callers,
                principals=clients.principals,
                clock=system_clock,
                anonymous=anonymous,
            ),
            tls=settings.operator.tls(client_anchors=settings.operator.client_anchors),
            body_bytes_max=MANIFEST_BYTES_MAX,
            beside=clients.periodic,
        ),
    )


def _signing_keys(settings: PvaSettings, anchors: Sequence[x509.Certificate]) -> Mapping[str, _SigningKey]:
    """The three signing keys by their settings, each for its purpose, no two the same."""
    purposes = {
        "challenge_key": oids.EKU_CHALLENGE,
        "result_key": oids.EKU_ATTESTATION_RESULT,
        "approval_key": oids.EKU_STATE_APPROVAL,
    }
    now = system_clock()
    keys: dict[str, _SigningKey] = {}
    owners: dict[bytes, str] = {}
    for name, eku in purposes.items():
        loaded: SigningKeySettings = getattr(settings, name)
        key, chain = loaded.load(anchors=anchors, eku=eku, at=now)
        owner = owners.setdefault(spki_der(key.public_key()), name)
        if owner != name:
            raise WiringError(f"{owner} and {name} are one key: make another one (D14)")
        keys[name] = _SigningKey(key=key, chain=chain)
    return keys


def _runtime_policies(settings: PvaSettings, references: ReferenceStore) -> RuntimePolicyFiles:
    """The policies of the settings, signed by suppliers that are recognised when they are read."""

    def check(signed: Mapping[str, bytes]) -> RuntimePolicies:
        return check_runtime_policies(signed, suppliers=references.suppliers(), at=system_clock())

    return RuntimePolicyFiles(settings.runtime_policies, check=check)


def _post_room(
    settings: PvaSettings, outbox: OutboxStore, *, others: tuple[threading.Event, ...]
) -> PostRoom:
    """A courier for each callback of the settings; `others` hear of results too."""
    return PostRoom(
        couriers={
            audience: Courier(
                audience=audience,
                outbox=outbox,
                push=_push_result(ResultReceiverClient(callback.client(response_bytes_max=ANSWER_BYTES_MAX))),
                clock=system_clock,
                claim_life=_claim_life(callback),
            )
            for audience, callback in settings.callbacks.items()
        },
        others=others,
    )


def _push_result(receiver: ResultReceiverClient) -> Callable[[PostedResult], None]:
    return lambda posted: receiver.push_result(posted.token)


def _event_couriers(settings: PvaSettings, outbox: EventOutbox) -> tuple[Courier[PostedEvent], ...]:
    """A courier of events for each callback of the settings."""
    return tuple(
        Courier(
            audience=audience,
            outbox=outbox,
            push=_push_event(ResultReceiverClient(callback.client(response_bytes_max=ANSWER_BYTES_MAX))),
            clock=system_clock,
            claim_life=_claim_life(callback),
        )
        for audience, callback in settings.callbacks.items()
    )


def _push_event(receiver: ResultReceiverClient) -> Callable[[PostedEvent], None]:
    return lambda posted: receiver.push_event(posted.token)


def _rounds(keeper: WatchKeeper) -> Callable[[], None]:
    def work() -> None:
        while keeper.round():
            pass  # a batch is not all that is due

    return work


def _courier_to_ca(ca: UpstreamSettings | None, outbox: StatusAskOutbox) -> tuple[Courier[StatusAsk], ...]:
    """The courier of asks about status, none where the settings name no CA."""
    if ca is None:
        return ()
    asker = StatusAsker(ca=CaHoldClient(ca.client()), store=outbox)
    courier = Courier(
        audience=CA, outbox=outbox, push=asker.tell, clock=system_clock, claim_life=_claim_life(ca)
    )
    return (courier,)


def _claim_life(callee: UpstreamSettings) -> timedelta:
    return timedelta(seconds=CLAIM_MARGIN_S + CALL_PARTS * callee.timeout_s)


def _next_states(updates: UpdateStore, references: ReferenceStore, *, day_key: DayKey) -> NextStateDesk:
    return NextStateDesk(
        records=updates, successors=ChainSuccessors(chain_of=references.manifest_chain), day_key=day_key
    )


def _renewals(settings: PvaSettings, book: RenewalStore) -> tuple[Periodic, ...]:
    """The courier to the suppliers' CAs, where the settings name any."""
    if not settings.authorities:
        return ()
    longest_s = max(each.timeout_s for each in settings.authorities.values())
    courier = RenewalCourier(
        book=book,
        authorities={name: _renewer(each) for name, each in settings.authorities.items()},
        clock=system_clock,
        claim_life=timedelta(seconds=CLAIM_MARGIN_S + CALL_PARTS * longest_s),
    )
    return (Periodic(name="renewals", interval_s=LOOK_INTERVAL_S, work=courier.deliver),)


def _renewer(upstream: UpstreamSettings) -> Renew:
    client = CaOperatorClient(upstream.client())

    def renew(pending: PendingRenewal) -> str:
        made = client.renew_credential(
            issuer=pending.issuer,
            serial=pending.serial,
            manifest_digest=pending.manifest_digest,
            result_id=pending.result_id,
        )
        return f"{made.serial:040x}"

    return renew


def _build() -> str:
    """Which build judges: the installed version, or a checkout that is run in place."""
    try:
        return f"open-pva {version('open-pva')}"
    except PackageNotFoundError:
        return "open-pva from a checkout"


if __name__ == "__main__":
    main()
