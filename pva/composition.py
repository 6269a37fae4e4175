"""How the use cases of a PVA are joined: keys, store, desks and the verifier, as the settings describe them.

Challenges, results and approvals are signed with three different keys; the process refuses to start with one key in two
places (D14).
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from importlib.metadata import PackageNotFoundError, version

import sqlalchemy as sa
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric.ec import EllipticCurvePrivateKey

from edge.periodic import Periodic
from edge.process import system_clock, system_random
from edge.signing_keys import SigningKeySettings
from messages.operator_token import OperatorSigner
from pva.appraisal.known import Known
from pva.appraisal.policy import AppraisalPolicy, PolicyVariants
from pva.appraisal.runtime_policies import RuntimePolicies, check_runtime_policies
from pva.couriers import event_couriers
from pva.credential_status import CredentialStatusSource, fetch_crl
from pva.manifests.supplier_crls import CrlBook
from pva.manifests.trust_lists import TrustListSource
from pva.requests import ChallengeSigner, RequestDesk
from pva.results.reissue import ReissueDesk
from pva.results.result import ResultSigner
from pva.runtime_policy_files import RuntimePolicyFiles
from pva.settings import PvaSettings
from pva.store.known_references import KnownReferences
from pva.store.references import ReferenceStore
from pva.store.results import ResultStore
from pva.store.supplier_crls import CrlStore
from pva.store.updates import UpdateStore
from pva.store.validations import Store
from pva.store.watches import EventOutbox, WatchStore
from pva.updates.approvals import DayKey
from pva.updates.next_states import NextStateDesk
from pva.updates.successors import ChainSuccessors
from pva.watching.watches import WatchDesk, WatchKeeper
from standards.pki import oids
from standards.pki.fingerprints import decode_pem_certificates, spki_der

HOLDER_BYTES = 8
WATCH_ROUND_S = 0.5


class WiringError(Exception):
    """The settings are well-formed, but what they name does not fit together."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SigningKey:
    """A key for one purpose, with its certificate first in its chain."""

    key: EllipticCurvePrivateKey
    chain: tuple[x509.Certificate, ...]


def open_store(settings: PvaSettings, engine: sa.Engine) -> Store:
    """The store of requests, challenges and results, with the rule of holds where there is a CA to ask."""
    return Store(
        engine,
        random_bytes=system_random,
        callbacks=frozenset(settings.callbacks),
        status_responders=frozenset(settings.status_responders),
        evidence_life=timedelta(days=settings.evidence_days),
        hold_rule=None if settings.ca is None else settings.hold.rule(),
    )


def open_status_source(settings: PvaSettings, *, crls: CrlBook) -> CredentialStatusSource:
    """Asks the suppliers' OCSP responders, fresh for every validation, or reads their CRLs."""
    return CredentialStatusSource(
        timeout_s=settings.ocsp_timeout_s, random_bytes=system_random, clock=system_clock, crls=crls.status
    )


def open_crl_book(engine: sa.Engine, references: KnownReferences) -> CrlBook:
    """Follows the CRLs of suppliers that have no responder."""
    return CrlBook(
        records=CrlStore(engine), suppliers=lambda: references.current().suppliers(), fetch=fetch_crl
    )


def trust_list_sources(settings: PvaSettings) -> Mapping[str, TrustListSource]:
    """Who may issue trust lists, with the anchors of each."""
    return {
        issuer: TrustListSource(
            role=source.role, anchors=tuple(decode_pem_certificates(source.anchors.read_bytes()))
        )
        for issuer, source in settings.trust_lists.items()
    }


def open_request_desk(
    settings: PvaSettings,
    *,
    store: Store,
    signing: SigningKey,
    known: Known,
    ima_policy: Callable[[], bytes] | None,
) -> RequestDesk:
    """The desk where operators ask and devices fetch their challenges."""
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


def policy_now(policy: AppraisalPolicy, runtime_policies: RuntimePolicyFiles) -> Callable[[], bytes]:
    """Gives the digest of the policy that judges IMA lists now."""
    judging = PolicyVariants(policy)
    return lambda: judging.including(runtime_policies=runtime_policies().digests).digest


def open_reissues(
    records: ResultStore, anchors: Sequence[x509.Certificate], *, signing: SigningKey
) -> ReissueDesk:
    """The desk that gives a result in another profile, under the same key."""
    return ReissueDesk(records=records, anchors=anchors, key=signing.key, chain=signing.chain)


def open_result_signer(settings: PvaSettings, signing: SigningKey) -> ResultSigner:
    """Signs results, and says which build judged."""
    return ResultSigner(
        key=signing.key,
        chain=signing.chain,
        issuer=settings.issuer,
        developer=settings.developer,
        build=_build(),
        random_bytes=system_random,
        promises=None if settings.audit_log is None else settings.audit_log.promises,
    )


def signing_keys(settings: PvaSettings, anchors: Sequence[x509.Certificate]) -> Mapping[str, SigningKey]:
    """The three signing keys by their settings, each for its purpose, no two the same."""
    purposes = {
        "challenge_key": oids.EKU_CHALLENGE,
        "result_key": oids.EKU_ATTESTATION_RESULT,
        "approval_key": oids.EKU_STATE_APPROVAL,
    }
    now = system_clock()
    keys: dict[str, SigningKey] = {}
    owners: dict[bytes, str] = {}
    for name, eku in purposes.items():
        loaded: SigningKeySettings = getattr(settings, name)
        key, chain = loaded.load(anchors=anchors, eku=eku, at=now)
        owner = owners.setdefault(spki_der(key.public_key()), name)
        if owner != name:
            raise WiringError(f"{owner} and {name} are one key: make another one (D14)")
        keys[name] = SigningKey(key=key, chain=chain)
    return keys


def open_runtime_policies(settings: PvaSettings, references: ReferenceStore) -> RuntimePolicyFiles:
    """The policies of the settings, signed by suppliers that are recognised when they are read."""

    def check(signed: Mapping[str, bytes]) -> RuntimePolicies:
        return check_runtime_policies(signed, suppliers=references.suppliers(), at=system_clock())

    return RuntimePolicyFiles(settings.runtime_policies, check=check)


def open_next_states(updates: UpdateStore, references: ReferenceStore, *, day_key: DayKey) -> NextStateDesk:
    """The desk that approves states which devices will be in after an update."""
    return NextStateDesk(
        records=updates, successors=ChainSuccessors(chain_of=references.manifest_chain), day_key=day_key
    )


def _build() -> str:
    """Which build judges: the installed version, or a checkout that is run in place."""
    try:
        return f"open-pva {version('open-pva')}"
    except PackageNotFoundError:
        return "open-pva from a checkout"


@dataclass(frozen=True, slots=True, kw_only=True)
class Watching:
    """Watches: what operators ask for, and the work beside."""

    desk: WatchDesk
    periodic: tuple[Periodic, ...]


def open_watching(
    settings: PvaSettings, engine: sa.Engine, *, requests: RequestDesk, result_key: SigningKey
) -> Watching:
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
        for each in event_couriers(settings, EventOutbox(engine))
    )
    rounds = Periodic(name="watches", interval_s=WATCH_ROUND_S, work=_rounds(keeper))
    return Watching(desk=desk, periodic=(*events, rounds))


def _rounds(keeper: WatchKeeper) -> Callable[[], None]:
    def work() -> None:
        while keeper.round():
            pass  # a batch is not all that is due

    return work
