"""`python -m pva.app --config FILE`: reads the settings, opens keys and store, wires and serves the PVA.

Rule: the only place of this room that reads settings, the clock and the random generator. Challenges, results and
approvals are signed with three different keys; the process refuses to start with one key in two places (D14).
"""

import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

import click
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric.ec import EllipticCurvePrivateKey

from clients.result_receiver import ResultReceiverClient
from edge.client_revocation import client_table
from edge.database import engine_for, migrate
from edge.http_server import Listener, ListenerError, serve
from edge.keys import KeyFileError
from edge.periodic import Periodic
from edge.principals import PrincipalTableError
from edge.process import configure_logging, system_clock, system_random
from edge.refused import AnonymousRefusals
from edge.settings import SettingsError, load_settings
from edge.signing_keys import SigningKeyError, SigningKeySettings
from messages.evidence import EVIDENCE_BYTES_MAX
from pva.approval_store import ApprovalStore
from pva.approvals import ApprovalDesk, DayKey
from pva.credential_status import CredentialStatusSource
from pva.explanation import ExplanationDesk
from pva.exporting import ExportDesk
from pva.outbox_store import OutboxStore
from pva.policy_desk import PolicyDesk
from pva.policy_store import PolicyStore
from pva.pushing import Courier, PostRoom
from pva.recognition import RecognitionDesk
from pva.reference_store import ReferenceStore
from pva.reissue import ReissueDesk
from pva.requests import ChallengeSigner, RequestDesk
from pva.result import ResultSigner
from pva.result_store import ResultStore, delete_what_is_due
from pva.runtime_policies import RuntimePolicies, RuntimePolicyError, check_runtime_policies
from pva.runtime_policy_files import RuntimePolicyFiles
from pva.settings import PvaSettings
from pva.signed_requests import SignedRequestDesk
from pva.store import Store
from pva.validation import Verifier
from pva.web.device import device_app
from pva.web.operator import MANIFEST_BYTES_MAX, CallerRefusals, OperatorDesks, operator_app
from standards.pki import oids
from standards.pki.errors import PkiError
from standards.pki.fingerprints import decode_pem_certificates, spki_der

MIGRATIONS = Path(__file__).parent / "migrations"
CLAIM_MARGIN_S = 5
RETENTION_INTERVAL_S = 3_600
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
    store = Store(
        engine,
        random_bytes=system_random,
        callbacks=frozenset(settings.callbacks),
        evidence_life=timedelta(days=settings.evidence_days),
    )
    records = ResultStore(engine, random_bytes=system_random)
    policies = PolicyStore(engine, random_bytes=system_random)
    references = ReferenceStore(engine, random_bytes=system_random)
    anchors = decode_pem_certificates(settings.operators_root.read_bytes())
    keys = _signing_keys(settings, anchors)
    runtime_policies = _runtime_policies(settings, references)
    policy = settings.policy()
    post_room = _post_room(settings, OutboxStore(engine))
    requests = RequestDesk(
        store=store,
        signer=ChallengeSigner(
            key=keys["challenge_key"].key, chain=keys["challenge_key"].chain, issuer=settings.issuer
        ),
        random_bytes=system_random,
        pcr_selections=settings.pcr_selections,
        request_life=timedelta(seconds=settings.request_life_s),
        challenge_life=timedelta(seconds=settings.challenge_life_s),
        ima=settings.ima,
    )
    verifier = Verifier(
        store=store,
        references=references,
        status_of=CredentialStatusSource(
            timeout_s=settings.ocsp_timeout_s, random_bytes=system_random, clock=system_clock
        ),
        policy=policy,
        challenge_certificate=keys["challenge_key"].chain[0],
        challenge_anchors=anchors,
        issuer=settings.issuer,
        signer=_result_signer(settings, keys["result_key"]),
        announce=post_room.announce,
        policies=policies,
        runtime_policies=runtime_policies,
    )
    desks = OperatorDesks(
        requests=requests,
        signed_requests=SignedRequestDesk(requests=requests, anchors=anchors, issuer=settings.issuer),
        approvals=ApprovalDesk(
            records=ApprovalStore(engine, random_bytes=system_random),
            day_key=DayKey(key=keys["approval_key"].key, chain=keys["approval_key"].chain),
            anchors=anchors,
        ),
        recognition=RecognitionDesk(store=references, policy=policy),
        explanations=ExplanationDesk(records=records, references=references, anchors=anchors),
        policies=PolicyDesk(records=policies),
        exports=ExportDesk(records=records),
        results=ReissueDesk(
            records=records, anchors=anchors, key=keys["result_key"].key, chain=keys["result_key"].chain
        ),
    )
    return PvaService(
        listeners=_listeners(settings, desks=desks, verifier=verifier, callers=store),
        periodic=(
            Periodic(
                name="delete-evidence",
                interval_s=RETENTION_INTERVAL_S,
                work=lambda: delete_what_is_due(records, at=system_clock()),
            ),
            *_couriers(post_room),
        ),
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


def _post_room(settings: PvaSettings, outbox: OutboxStore) -> PostRoom:
    """A courier for each callback of the settings."""
    return PostRoom(
        couriers={
            audience: Courier(
                audience=audience,
                outbox=outbox,
                push=ResultReceiverClient(callback.client()).push_result,
                clock=system_clock,
                claim_life=timedelta(seconds=CLAIM_MARGIN_S + CALL_PARTS * callback.timeout_s),
            )
            for audience, callback in settings.callbacks.items()
        }
    )


def _build() -> str:
    """Which build judges: the installed version, or a checkout that is run in place."""
    try:
        return f"open-pva {version('open-pva')}"
    except PackageNotFoundError:
        return "open-pva from a checkout"


if __name__ == "__main__":
    main()
