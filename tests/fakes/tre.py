"""A whole TRE over a FakeTpmDevice, with the PKI around it: what a supplier and an operator would have made."""

import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding

from m2me_agent.tre.anchors import Anchors
from m2me_agent.tre.boot_log import BootLogFile
from m2me_agent.tre.enrollment import identity
from m2me_agent.tre.exchanges import ExchangeGuard
from m2me_agent.tre.mid_rules import FULL_RULES, Rules
from m2me_agent.tre.rate_limit import RatePolicy
from m2me_agent.tre.state import TreState
from m2me_agent.tre.wiring import Parts, wire
from messages.challenge import CHALLENGE_TYPE, Challenge
from messages.enrollment import EnrollmentChallenge, EnrollmentResult
from standards.pki import oids
from standards.pki.extensions import ExpectedSystemState, HardwareModuleName, OperatorRole
from standards.pki.jws import sign_jws
from standards.tpm2.credential import make_credential
from standards.tpm2.structures import Public
from tests.fakes.pki import DEFAULT_VALIDITY, LEAF_USAGE, NOW, Authority, Validity, p256
from tests.fakes.tpm_device import FakeTpmDevice

NONCE = bytes(range(32))
SECRET = b"s" * 32
BOOT_LOG = b"the log of this boot"


class MemoryStorage:
    """Records in a dict."""

    def __init__(self) -> None:
        self.records: dict[str, bytes] = {}

    def read(self, name: str) -> bytes | None:
        """Content or None."""
        return self.records.get(name)

    def write(self, name: str, content: bytes) -> None:
        """Keep it."""
        self.records[name] = content

    def remove(self, name: str) -> None:
        """Forget it."""
        self.records.pop(name, None)


@dataclass(kw_only=True)
class Signer:
    """A PVA's challenge key and certificate; each part may be another's."""

    key: ec.EllipticCurvePrivateKey
    chain: tuple[x509.Certificate, ...]
    typ: str = CHALLENGE_TYPE

    @classmethod
    def under(
        cls,
        root: Authority,
        *,
        role: str | None = "pva",
        name: str = "pva-1",
        eku: x509.ObjectIdentifier = oids.EKU_CHALLENGE,
        validity: Validity = DEFAULT_VALIDITY,
    ) -> "Signer":
        """A signer whose certificate hangs under `root`."""
        key = p256()
        extensions: list[tuple[x509.ExtensionType, bool]] = [(LEAF_USAGE, True)]
        if role is not None:
            extensions.append((OperatorRole(role=role, id=name).to_extension(), False))
        leaf = root.issue("PVA", key=key.public_key(), eku=eku, extensions=extensions, validity=validity)
        return cls(key=key, chain=(leaf,))

    def sign(self, challenge: Challenge) -> str:
        """The challenge as a token."""
        return sign_jws(challenge.claims(), key=self.key, chain=self.chain, typ=self.typ)


@dataclass(kw_only=True)
class Device:
    """One device with its supplier, its operators and its folder."""

    folder: Path
    burst: int = 20
    es_root: Authority = field(default_factory=lambda: Authority.root("ES root"))
    operators_root: Authority = field(default_factory=lambda: Authority.root("operators' root"))
    tpm: FakeTpmDevice = field(default_factory=lambda: FakeTpmDevice(maker=Authority.root("TPM maker")))
    storage: MemoryStorage = field(default_factory=MemoryStorage)
    purposes: frozenset[str] = frozenset({"validation"})
    ownership: str | None = None
    rules: Rules = FULL_RULES
    has_ima: bool = False

    def __post_init__(self) -> None:
        self.issuing_ca = self.es_root.subordinate("issuing CA", path_length=0)
        self.pva = Signer.under(self.operators_root)
        (self.folder / "boot.log").write_bytes(BOOT_LOG)
        self.start()

    def start(self) -> None:
        """Start the TRE, again: only what is stored survives."""
        self.state = TreState(self.storage)
        self.guard = ExchangeGuard(self.state, policy=RatePolicy(burst=self.burst, interval_ms=1000))
        self.anchors = Anchors(
            es_roots=(self.es_root.certificate,), operators_roots=(self.operators_root.certificate,)
        )
        parts = Parts(
            device=self.tpm,
            state=self.state,
            storage=self.storage,
            guard=self.guard,
            anchors=self.anchors,
            random_bytes=os.urandom,
        )
        self.operations = wire(
            parts,
            boot_log=BootLogFile.open(self.folder / "boot.log"),
            ima_log=BootLogFile.open(self.folder / "ima.log", what="IMA list") if self.has_ima else None,
            purposes=self.purposes,
            ownership=self.ownership,
            rules=self.rules,
        )
        self.enrollment = self.operations.enrollment
        self.attestation = self.operations.attestation

    @property
    def device_id(self) -> bytes:
        """SHA-256 of the EK."""
        return identity(self.tpm.keys.ek)

    def enrollment_challenge(self, *, ek: Public | None = None, ak: Public | None = None) -> bytes:
        """What a CA would answer to this device's request."""
        keys = self.tpm.keys
        credential = make_credential(
            ek or keys.ek, object_name=(ak or keys.ak).name, secret=SECRET, seed=b"", ephemeral=p256()
        )
        return EnrollmentChallenge(
            session_id=bytes(16),
            id_object=credential.id_object,
            encrypted_secret=credential.encrypted_secret,
            nonce=NONCE,
        ).encode()

    def platform_credential(
        self,
        *,
        issuer: Authority | None = None,
        key: ec.EllipticCurvePublicKey | None = None,
        device_id: bytes | None = None,
        eku: x509.ObjectIdentifier = oids.EKU_PLATFORM_CREDENTIAL,
        validity: Validity = DEFAULT_VALIDITY,
        expected_state: ExpectedSystemState | None = None,
    ) -> bytes:
        """An EnrollmentResult with a PfC; each part may be wrong."""
        return platform_credential(
            issuer or self.issuing_ca,
            key=key or self.tpm.ak.public_key(),
            device_id=self.device_id if device_id is None else device_id,
            eku=eku,
            validity=validity,
            expected_state=expected_state,
        )

    def enroll(self) -> None:
        """The whole enrolment."""
        self.enrollment.begin()
        self.enrollment.activate(self.enrollment_challenge())
        self.enrollment.install(self.platform_credential())

    def challenge(
        self,
        *,
        issued_at: datetime = NOW,
        life: timedelta = timedelta(minutes=5),
        device_id: str | None = None,
        selections: Mapping[int, tuple[int, ...]] | None = None,
    ) -> Challenge:
        """A challenge for this device."""
        own = self.device_id.hex() if device_id is None else device_id
        return make_challenge(own, issued_at=issued_at, life=life, selections=selections)


def platform_credential(
    issuer: Authority,
    *,
    key: ec.EllipticCurvePublicKey,
    device_id: bytes,
    eku: x509.ObjectIdentifier = oids.EKU_PLATFORM_CREDENTIAL,
    validity: Validity = DEFAULT_VALIDITY,
    expected_state: ExpectedSystemState | None = None,
) -> bytes:
    """An EnrollmentResult with a PfC of `issuer`, which names a manifest where `expected_state` is given."""
    named = [] if expected_state is None else [(expected_state.to_extension(), False)]
    module = HardwareModuleName(hw_type=oids.hw_type_of_model(1), serial=device_id)
    leaf = issuer.issue(
        "PfC",
        key=key,
        eku=eku,
        extensions=[
            (LEAF_USAGE, True),
            (x509.SubjectAlternativeName([module.to_general_name()]), False),
            *named,
        ],
        validity=validity,
    )
    chain = (leaf, issuer.certificate)
    return EnrollmentResult(pfc_chain=tuple(each.public_bytes(Encoding.DER) for each in chain)).encode()


def make_challenge(
    device_id: str,
    *,
    issued_at: datetime = NOW,
    life: timedelta = timedelta(minutes=5),
    selections: Mapping[int, tuple[int, ...]] | None = None,
) -> Challenge:
    """A challenge for a device."""
    return Challenge(
        nonce=NONCE,
        device_id=device_id,
        purpose="validation",
        request_id="request-1",
        pcr_selections=selections or {0x000B: (0, 1, 7)},
        rp_nonce=b"r" * 32,
        order_digest=None,
        audience=("sho-1",),
        issuer="pva-1",
        issued_at=issued_at,
        expires_at=issued_at + life,
    )
