"""A certification authority in memory: real store, real signatures, a clock that stands still.

Tests of one file share what happened before they begin: a fixture founds the CA once, each test gets a copy.
"""

import os
import sqlite3
import weakref
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from functools import cache
from typing import Any

import sqlalchemy as sa
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509.oid import NameOID

from ca.accreditations import Accreditations
from ca.batch_feeds import BatchFeeds
from ca.batches import Batches
from ca.bulk_issuance import BulkIssuance
from ca.callers import Caller
from ca.certification import Certification
from ca.enrollment import Enrollment
from ca.est import Est
from ca.hierarchy import Hierarchy
from ca.hold_liftings import HoldLiftings
from ca.holds import Holds
from ca.key_algorithms import CaPrivateKey, KeyAlgorithm, generate_key
from ca.key_registrations import KeyRegistrations
from ca.manifests import Manifests
from ca.profiles import OPERATOR_ROLES, Kind
from ca.records import Authority, Batch, EstEnrollment, ManifestRecord, StatusChange
from ca.renewal import Renewals
from ca.revocation import Revocation
from ca.revocation_lists import RevocationLists
from ca.rollover import Rollover
from ca.signing import Signing
from ca.stations import Stations
from ca.status_feed import StatusFeed
from ca.store import Store, tables
from ca.suspensions import InForce, Suspensions
from ca.tpm_makers import TpmMakers
from edge.database import engine_for, transaction
from edge.ledger_leaf import verify_entry
from messages.batch import BATCH_TYPE, BatchDevice, BatchList
from standards.pki.fingerprints import ca_id
from standards.pki.jws import sign_jws
from standards.rats.corim import Manifest, PlatformReference, sign_manifest
from standards.rats.manifest import Predecessor
from tests.fakes.enrolling_device import EnrollingDevice, TpmMaker

NOW = datetime(2026, 6, 1, 12, 0, tzinfo=UTC)
PUBLIC_URL = "http://ca.example.net"
OCSP_URL = "http://ocsp.example.net/"
IN_MEMORY = "sqlite://"
ADMIN = Caller(name="admin", role="admin", tenant="", key_sha256="1" * 64, issued_at_request_of=())
SECOND = Caller(name="admin-2", role="admin", tenant="", key_sha256="2" * 64, issued_at_request_of=())
"""Two administrators whose keys were certified at a ceremony."""
_IDLE: list[sa.Engine] = []
"""Engines whose store is gone: the next CA in memory takes one, with every statement that it has compiled."""


def supplier(name: str) -> Caller:
    """The principal that speaks for a supplier."""
    return Caller(name=f"{name}-desk", role="es", tenant=name)


class FrozenClock:
    """A clock that moves when it is told to."""

    def __init__(self, at: datetime = NOW) -> None:
        self.at = at

    def __call__(self) -> datetime:
        """The time that it stands at."""
        return self.at

    def advance(self, **by: float) -> None:
        """Move on by a timedelta's arguments."""
        self.at += timedelta(**by)


class MemoryKeys:
    """Port SigningKeys, without files."""

    def __init__(self, known: dict[str, CaPrivateKey] | None = None) -> None:
        self.known = dict(known or {})

    def copy(self) -> "MemoryKeys":
        """The same keys, in another place."""
        return MemoryKeys(self.known)

    def become(self, other: "MemoryKeys") -> None:
        """Hold what the other place holds, and nothing else."""
        self.known = dict(other.known)

    def create(self, algorithm: KeyAlgorithm) -> CaPrivateKey:
        """A new key."""
        key = generate_key(algorithm)
        self.known[ca_id(key.public_key())] = key
        return key

    def load(self, ca_id: str) -> CaPrivateKey:
        """The key of this CA."""
        return self.known[ca_id]


@dataclass(frozen=True, kw_only=True)
class SupplierSigner:
    """A supplier's signing key with its certificate."""

    key: ec.EllipticCurvePrivateKey
    certificate: x509.Certificate

    def sign_batch(self, batch: BatchList) -> str:
        """A batch list as a token."""
        return sign_jws(batch.claims(), key=self.key, chain=[self.certificate], typ=BATCH_TYPE)

    def sign_manifest(self, manifest: Manifest) -> bytes:
        """A manifest as COSE_Sign1."""
        return sign_manifest(manifest, key=self.key, chain=[self.certificate])


def manifest_of(
    name: str = "acme", *, manifest_id: str = "gw/1", models: tuple[str, ...] = ("gw-1",), svn: int = 1
) -> Manifest:
    """A small manifest."""
    return Manifest(
        id=manifest_id,
        supplier=name,
        models=models,
        svn=svn,
        version="1.0",
        platform=PlatformReference(registers={11: {0: bytes(32)}}),
        valid_from=NOW - timedelta(days=1),
        valid_to=NOW + timedelta(days=365),
    )


def batch_of(
    name: str, *device_ids: str, batch: str = "batch-1", model: str = "gw-1", at: datetime = NOW
) -> BatchList:
    """A batch list."""
    listed = tuple(
        BatchDevice(device_id=each, model=model, serial=f"{batch}/{number}")
        for number, each in enumerate(device_ids)
    )
    return BatchList(batch=batch, supplier=name, issued_at=at, devices=listed)


@cache
def empty_books() -> bytes:
    """A store of the newest schema in which nothing has happened, as SQLite keeps it."""
    engine = engine_for(IN_MEMORY)
    with transaction(engine) as connection:
        tables.metadata.create_all(connection)
    books = _database(engine).serialize()
    engine.dispose()
    return books


def _database(engine: sa.Engine) -> sqlite3.Connection:
    """The driver's one connection of an engine in memory."""
    with engine.connect() as connection:
        driver = connection.connection.driver_connection
    assert isinstance(driver, sqlite3.Connection)
    return driver


@dataclass(repr=False)
class CaHouse:
    """A CA with its use cases, over one store; only a CA in memory can be copied."""

    clock: FrozenClock = field(default_factory=FrozenClock)
    keys: MemoryKeys = field(default_factory=MemoryKeys)
    database: str = IN_MEMORY
    books: bytes = field(default_factory=empty_books, repr=False)
    responder_keys: frozenset[str] = frozenset()
    maker: TpmMaker = field(default_factory=TpmMaker)

    def __post_init__(self) -> None:
        self.overseers: dict[str, list[x509.Certificate]] = {}
        if self.database == IN_MEMORY:
            self._engine = _IDLE.pop() if _IDLE else engine_for(IN_MEMORY)
            _database(self._engine).deserialize(self.books)
        else:
            self._engine = engine_for(self.database)
            with transaction(self._engine) as connection:
                tables.metadata.create_all(connection)
        self.store = Store(self._engine, random_bytes=os.urandom)
        if self.database == IN_MEMORY:
            weakref.finalize(self.store, _IDLE.append, self._engine)
        self.signing = Signing(
            keys=self.keys, random_bytes=os.urandom, public_url=PUBLIC_URL, ocsp_url=OCSP_URL
        )
        self.lists = RevocationLists(
            store=self.store, signing=self.signing, clock=self.clock, life=timedelta(hours=24)
        )
        self.hierarchy = Hierarchy(
            store=self.store, signing=self.signing, clock=self.clock, publish=self.lists.publish
        )

    def close(self) -> None:
        """Close the connections of a CA that is not in memory."""
        self._engine.dispose()

    def __repr__(self) -> str:
        return f"CaHouse(database={self.database!r})"  # of a failing example: its books would hide the rest

    def copy(self) -> "CaHouse":
        """A CA with the same past, keys and time, and a future of its own."""
        return replace(
            self,
            clock=FrozenClock(self.clock.at),
            keys=self.keys.copy(),
            books=_database(self._engine).serialize(),
        )

    def become(self, other: "CaHouse") -> None:
        """Take over the past, keys and time of another CA in memory; whoever holds this one's parts still does."""
        self.clock.at = other.clock.at
        self.keys.become(other.keys)
        _database(self._engine).deserialize(_database(other._engine).serialize())  # noqa: SLF001, one class

    @property
    def certification(self) -> Certification:
        """The use cases that certify keys of others."""
        return Certification(
            store=self.store,
            signing=self.signing,
            clock=self.clock,
            responder_keys=self.responder_keys,
        )

    def product_line(
        self, name: str = "acme", *, models: tuple[str, ...] = ("gw-1",), tre_level: int = 2
    ) -> Authority:
        """A hosted ES root with one issuing CA below it."""
        self.hierarchy.create_es_root(name, caller=ADMIN)
        return self.hierarchy.create_issuing_ca(
            name, title=f"{name} gateways", models=models, tre_level=tre_level, caller=ADMIN
        )

    @property
    def batches(self) -> Batches:
        """The use case that imports batch lists."""
        return Batches(store=self.store, clock=self.clock)

    @property
    def feeds(self) -> BatchFeeds:
        """The use cases around batch feeds."""
        return BatchFeeds(store=self.store, clock=self.clock)

    @property
    def bulk(self) -> BulkIssuance:
        """The use case that issues a line anew."""
        return BulkIssuance(store=self.store, signing=self.signing, clock=self.clock)

    @property
    def manifests(self) -> Manifests:
        """The use case that accepts reference manifests."""
        return Manifests(store=self.store, clock=self.clock)

    @property
    def revocation(self) -> Revocation:
        """The use cases around status."""
        return Revocation(store=self.store, clock=self.clock, publish=self.lists.publish)

    @property
    def feed(self) -> StatusFeed:
        """The use case of readers of changes."""
        return StatusFeed(store=self.store)

    @property
    def holds(self) -> Holds:
        """The use cases around holds."""
        return Holds(
            store=self.store,
            clock=self.clock,
            publish=self.revocation.publish_list,
            recovery_life=timedelta(hours=24),
        )

    @property
    def hold_liftings(self) -> HoldLiftings:
        """The use case that lifts a person's hold."""
        return HoldLiftings(store=self.store, clock=self.clock, publish=self.revocation.publish_list)

    @property
    def suspensions(self) -> Suspensions:
        """The use cases around suspensions."""
        return Suspensions(store=self.store, clock=self.clock)

    @property
    def accreditations(self) -> Accreditations:
        """The use cases around suppliers' audits, by the lists of `overseers`."""
        return Accreditations(store=self.store, clock=self.clock, overseers=self.overseers)

    @property
    def rollover(self) -> Rollover:
        """The use cases that give CAs their next keys."""
        return Rollover(store=self.store, signing=self.signing, clock=self.clock, publish=self.lists.publish)

    @property
    def est(self) -> Est:
        """The use cases of EST."""
        return Est(store=self.store, signing=self.signing, clock=self.clock)

    @property
    def key_registrations(self) -> KeyRegistrations:
        """The use cases of the administrators behind EST."""
        return KeyRegistrations(store=self.store, signing=self.signing, clock=self.clock)

    def register(self, enrollment: EstEnrollment, *, caller: Caller = ADMIN) -> None:
        """Register a key, by as many administrators as it takes."""
        made = self.key_registrations.register(enrollment, caller=caller)
        if not made.is_registered:
            made = self.key_registrations.approve(made.digest, caller=SECOND)
        assert made.is_registered

    def certify_operator(self, purpose: str, *, csr: str, service: str = "pva-1") -> x509.Certificate:
        """A certificate of an operator's service, as a ceremony gives it."""
        kind = Kind(purpose)
        role = min(OPERATOR_ROLES[kind])
        return self.certification.certify_operator_at_ceremony(kind, role=role, service=service, csr=csr)

    @property
    def renewals(self) -> Renewals:
        """The use cases that renew and supersede credentials."""
        return Renewals(store=self.store, signing=self.signing, clock=self.clock, publish=self.lists.publish)

    @property
    def enrollment(self) -> Enrollment:
        """The use cases of enrolment; one TPM maker is trusted."""
        return Enrollment(
            store=self.store,
            signing=self.signing,
            makers=TpmMakers(certificates=(self.maker.root,)),
            clock=self.clock,
            random_bytes=os.urandom,
            session_life=timedelta(minutes=5),
            station_life=timedelta(hours=48),
        )

    @property
    def stations(self) -> Stations:
        """The use case that answers what a supplier's station carries."""
        return Stations(enrollment=self.enrollment)

    def signer(self, purpose: str, name: str = "acme") -> SupplierSigner:
        """A key of the supplier with a certificate for a purpose."""
        key = ec.generate_private_key(ec.SECP256R1())
        certificate = self.certification.certify_supplier(
            name, purpose=purpose, csr=csr_for(key), caller=supplier(name)
        )
        return SupplierSigner(key=key, certificate=certificate)

    def publish_manifest(
        self,
        name: str = "acme",
        *,
        manifest_id: str = "gw/1",
        models: tuple[str, ...] = ("gw-1",),
        svn: int = 1,
        follows: ManifestRecord | None = None,
        until: datetime = NOW + timedelta(days=7),
    ) -> ManifestRecord:
        """A manifest of the supplier, signed and accepted; `until` is when the state of the one before it is over."""
        manifest = manifest_of(name, manifest_id=manifest_id, models=models, svn=svn)
        if follows is not None:
            before = Predecessor(id=follows.manifest_id, digest=follows.digest, until=until)
            manifest = replace(manifest, predecessor=before, valid_from=self.clock())
        signed = self.signer("manifest-signing", name).sign_manifest(manifest)
        return self.manifests.accept(signed, caller=supplier(name))

    def list_devices(
        self, *devices: EnrollingDevice, name: str = "acme", batch: str = "batch-1", model: str = "gw-1"
    ) -> Batch:
        """A batch list with these devices, signed and imported."""
        token = self.signer("batch-signing", name).sign_batch(
            batch_of(name, *(each.device_id for each in devices), batch=batch, model=model)
        )
        return self.batches.import_batch(token, caller=supplier(name))

    def audit_trail(self) -> list[tuple[str, str, dict[str, Any]]]:
        """Kind, subject and record of every leaf, oldest first."""
        with self.store.reading() as records:
            entries = tables.ledger.entries(records._connection)  # noqa: SLF001, the ledger has no reader in the room yet
        return [(each.kind, each.subject, verify_entry(each)["record"]) for each in entries]

    def suspended(self) -> tuple[int, list[InForce]]:
        """What responders are told of suspensions: version, and those in force."""
        page = self.feed.page(after=0, limit=1)
        return page.suspensions_version, list(page.in_force)

    def changes(self, *, after: int, limit: int) -> tuple[list[StatusChange], bool]:
        """A page of the feed of changes, and whether it is complete."""
        page = self.feed.page(after=after, limit=limit)
        return list(page.changes), page.is_complete

    def es_root(self, name: str = "acme") -> Authority:
        """The supplier's ES root."""
        with self.store.reading() as records:
            root = records.root(Kind.ES_ROOT, supplier=name)
        assert root is not None
        return root


def csr_for(
    key: ec.EllipticCurvePrivateKey,
    *,
    common_name: str = "anybody",
    extensions: tuple[x509.ExtensionType, ...] = (),
) -> str:
    """A PEM CSR, with extensions of its own where a test wants to smuggle some in."""
    builder = x509.CertificateSigningRequestBuilder().subject_name(
        x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, common_name)])
    )
    for extension in extensions:
        builder = builder.add_extension(extension, critical=True)
    return builder.sign(key, hashes.SHA256()).public_bytes(Encoding.PEM).decode()
