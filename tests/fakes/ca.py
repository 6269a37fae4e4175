"""A certification authority in memory: real store, real signatures, a clock that stands still."""

import os
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509.oid import NameOID

from ca.callers import Caller
from ca.certification import Certification
from ca.hierarchy import Hierarchy
from ca.profiles import Kind
from ca.records import Authority
from ca.revocation_lists import RevocationLists
from ca.signing import Signing
from ca.store import Store
from edge.database import engine_for
from standards.pki.fingerprints import ca_id

NOW = datetime(2026, 6, 1, 12, 0, tzinfo=UTC)
PUBLIC_URL = "http://ca.example.net"
OCSP_URL = "http://ocsp.example.net/"
ADMIN = Caller(name="admin", role="admin", tenant="")


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

    def __init__(self) -> None:
        self._keys: dict[str, ec.EllipticCurvePrivateKey] = {}

    def create(self) -> ec.EllipticCurvePrivateKey:
        """A new P-256 key."""
        key = ec.generate_private_key(ec.SECP256R1())
        self._keys[ca_id(key.public_key())] = key
        return key

    def load(self, ca_id: str) -> ec.EllipticCurvePrivateKey:
        """The key of this CA."""
        return self._keys[ca_id]


@dataclass
class CaHouse:
    """A CA with its use cases, over one in-memory store."""

    clock: FrozenClock = field(default_factory=FrozenClock)
    keys: MemoryKeys = field(default_factory=MemoryKeys)
    database: str = "sqlite://"
    responder_keys: frozenset[str] = frozenset()

    def __post_init__(self) -> None:
        self.store = Store(engine_for(self.database), random_bytes=os.urandom)
        self.store.migrate()
        self.signing = Signing(
            keys=self.keys, random_bytes=os.urandom, public_url=PUBLIC_URL, ocsp_url=OCSP_URL
        )
        self.lists = RevocationLists(
            store=self.store, signing=self.signing, clock=self.clock, life=timedelta(hours=24)
        )
        self.hierarchy = Hierarchy(
            store=self.store, signing=self.signing, clock=self.clock, publish=self.lists.publish
        )

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
