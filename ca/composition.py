"""Builds the CA's objects from its settings; nothing else in this room reads them."""

from dataclasses import dataclass
from datetime import timedelta
from importlib import import_module

from flask import Flask

from ca.accreditations import Accreditations
from ca.batch_feeds import BatchFeeds
from ca.batches import Batches
from ca.bulk_issuance import BulkIssuance
from ca.certification import Certification
from ca.enrollment import Enrollment
from ca.est import Est
from ca.hierarchy import Hierarchy
from ca.hold_liftings import HoldLiftings
from ca.holds import Holds
from ca.key_registrations import KeyRegistrations
from ca.manifests import Manifests
from ca.renewal import Renewals
from ca.revocation import Revocation
from ca.revocation_lists import RevocationLists
from ca.rollover import Rollover
from ca.settings import CaSettings
from ca.signing import Signing
from ca.signing_keys import KeyFolder, SigningKeys
from ca.stations import Stations
from ca.status_feed import StatusFeed
from ca.store import Store
from ca.suspensions import Suspensions
from ca.tpm_makers import load_tpm_makers
from ca.web import OperatorDesk, device_app, est_app, operator_app, public_app
from edge.audit_log import AuditLog
from edge.database import engine_for
from edge.principals import PrincipalTable
from edge.process import Clock, RandomBytes, system_clock, system_random
from edge.settings import SettingsError
from standards.pki.fingerprints import decode_pem_certificates

LIST_LEASE = "crl"
RENEWAL_LEASE = "renewals"
ACCREDITATION_LEASE = "accreditations"
LIST_LEASE_LIFE = timedelta(minutes=2)
HOLDER_BYTES = 8


def store_of(settings: CaSettings) -> Store:
    """The CA's store; `migrate` it before use."""
    return Store(engine_for(settings.database), random_bytes=system_random)


def keys_of(settings: CaSettings) -> SigningKeys:
    """The CAs' keys: in files, or in the token of the settings. Raises SettingsError without the extra `hsm`."""
    folder = KeyFolder(settings.keys, passphrase_file=settings.passphrase_file)
    if settings.token is None:
        return folder
    try:
        tokens, signing_tokens = import_module("edge.key_token"), import_module("ca.signing_tokens")
    except ModuleNotFoundError as error:
        fault = f"token: {error}; install the extra: pip install 'open-pva[hsm]'"
        raise SettingsError(source="the CA's file", faults=(fault,)) from error
    token = tokens.KeyToken(
        settings.token.module, label=settings.token.label, pin_file=settings.token.pin_file
    )
    made: SigningKeys = signing_tokens.TokenKeys(token, before=folder)
    return made


def signing_of(settings: CaSettings) -> Signing:
    """The CA's signing hand."""
    return Signing(
        keys=keys_of(settings),
        random_bytes=system_random,
        public_url=settings.public_url,
        ocsp_url=settings.ocsp_url,
    )


def hierarchy_of(settings: CaSettings) -> Hierarchy:
    """The use cases that make CAs."""
    store, signing = store_of(settings), signing_of(settings)
    lists = RevocationLists(store=store, signing=signing, clock=system_clock, life=settings.crl_life)
    return Hierarchy(store=store, signing=signing, clock=system_clock, publish=lists.publish)


def accreditations_of(settings: CaSettings, store: Store) -> Accreditations:
    """The use cases around suppliers' audits."""
    return Accreditations(
        store=store,
        clock=system_clock,
        overseers={
            issuer: decode_pem_certificates(each.anchors.read_bytes())
            for issuer, each in settings.overseers.items()
        },
    )


def enrollment_of(settings: CaSettings, store: Store, *, signing: Signing) -> Enrollment:
    """The use cases of enrolment."""
    return Enrollment(
        store=store,
        signing=signing,
        makers=load_tpm_makers(
            settings.tpm_maker_roots, known_bad=settings.tpm_known_bad, lab=settings.profile == "lab"
        ),
        clock=system_clock,
        random_bytes=system_random,
        session_life=settings.session_life,
        station_life=settings.station_session_life,
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class CertificationAuthority:
    """One CA process: its applications and its periodic work."""

    public: Flask
    device: Flask
    operator: Flask
    est: Flask
    store: Store
    lists: RevocationLists
    enrollment: Enrollment
    log: AuditLog | None
    feeds: BatchFeeds
    renewals: Renewals
    accreditations: Accreditations
    clock: Clock
    random_bytes: RandomBytes

    def publish_lists(self, *, holder: str) -> None:
        """Make the CRLs that are due, unless another process of this CA does; safe to repeat."""
        with self.store.writing() as records:
            mine = records.take_lease(LIST_LEASE, holder=holder, at=self.clock(), lasting=LIST_LEASE_LIFE)
        if mine:
            self.lists.publish_due()

    def supersede_renewed(self, *, holder: str) -> None:
        """Revoke renewed credentials whose window is closed, unless another process of this CA does; safe to repeat."""
        with self.store.writing() as records:
            mine = records.take_lease(RENEWAL_LEASE, holder=holder, at=self.clock(), lasting=LIST_LEASE_LIFE)
        if mine:
            self.renewals.supersede_due()

    def enforce_accreditations(self, *, holder: str) -> None:
        """Suspend suppliers whose audit has ended, unless another process of this CA does; safe to repeat."""
        with self.store.writing() as records:
            mine = records.take_lease(
                ACCREDITATION_LEASE, holder=holder, at=self.clock(), lasting=LIST_LEASE_LIFE
            )
        if mine:
            self.accreditations.enforce()

    def forget_what_was_left(self) -> None:
        """Delete enrolment sessions that nobody can come back to, and feeds that were left unfinished."""
        self.enrollment.forget_old_sessions()
        self.feeds.forget_old()


def compose(settings: CaSettings) -> CertificationAuthority:
    """The CA of these settings, with its schema brought up to date."""
    store, signing, clock = store_of(settings), signing_of(settings), system_clock
    store.migrate()
    lists = RevocationLists(store=store, signing=signing, clock=clock, life=settings.crl_life)
    enrollment = enrollment_of(settings, store, signing=signing)
    log = store.open_log(settings.audit_log, clock=clock)
    revocation = Revocation(store=store, clock=clock, publish=lists.publish)
    feeds = BatchFeeds(store=store, clock=clock)
    est = Est(store=store, signing=signing, clock=clock)
    renewals = Renewals(store=store, signing=signing, clock=clock, publish=lists.publish)
    accreditations = accreditations_of(settings, store)
    desk = OperatorDesk(
        catalogue=store,
        ledger=store,
        clock=clock,
        signing=signing,
        hierarchy=Hierarchy(store=store, signing=signing, clock=clock, publish=lists.publish),
        certification=Certification(
            store=store, signing=signing, clock=clock, responder_keys=frozenset(settings.responder_keys)
        ),
        batches=Batches(store=store, clock=clock),
        feeds=feeds,
        feed=StatusFeed(store=store),
        bulk=BulkIssuance(store=store, signing=signing, clock=clock),
        stations=Stations(enrollment=enrollment),
        manifests=Manifests(store=store, clock=clock),
        revocation=revocation,
        log=log,
        holds=Holds(
            store=store,
            clock=clock,
            publish=revocation.publish_list,
            recovery_life=settings.recovery_life,
        ),
        hold_liftings=HoldLiftings(store=store, clock=clock, publish=revocation.publish_list),
        suspensions=Suspensions(store=store, clock=clock),
        accreditations=accreditations,
        lists=lists,
        rollover=Rollover(store=store, signing=signing, clock=clock, publish=lists.publish),
        est=est,
        key_registrations=KeyRegistrations(store=store, signing=signing, clock=clock),
        administrators=store.administrators(),
        renewals=renewals,
    )
    principals = PrincipalTable.load(
        settings.operator.principals,
        anchors=settings.operator.client_anchors,
        is_revoked=revocation.is_revoked,
        limit=settings.operator.rate_limit(),
        beside=store.administrators().beside,
    )
    return CertificationAuthority(
        public=public_app(newest_list=lists.published, certificate_of=lists.certificate_of, clock=clock),
        device=device_app(enrollment, renewals),
        est=est_app(est),
        operator=operator_app(desk, principals=principals),
        store=store,
        lists=lists,
        enrollment=enrollment,
        log=log,
        feeds=feeds,
        renewals=renewals,
        accreditations=accreditations,
        clock=clock,
        random_bytes=system_random,
    )
