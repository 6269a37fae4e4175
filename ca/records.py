"""What the CA knows, as values: the vocabulary between the use cases and the store.

The one rule: a value here is complete and was true at one moment of one transaction. Identifiers are text
(`ca_id` 32 hex digits, `device_id` 64 hex digits); certificates and TPM structures are their received bytes;
times are aware UTC datetimes.
"""

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from cryptography import x509

from ca.lifecycle import AuthorityState, DeviceState, Reason, SessionState, Status
from ca.profiles import Kind
from standards.pki.extensions import Requester


def serial_text(serial: int) -> str:
    """Serial number as it stands in URLs, JSON and the store: 40 lower-case hex digits."""
    return f"{serial:040x}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Authority:
    """One CA: a root or an issuing CA.

    Attributes:
        supplier: tenant that it belongs to; None for the operators' and the TLS root.
        hosted: its private key is in this CA's key folder.
        parent: ca_id of the CA above; None for a root.
        certificate: DER; None while it waits for the certificate that an imported root signs.
        csr: DER, only for an issuing CA under an imported root.
        tre_level: certificate policy of the PfCs that it issues; None for roots.
        crl_partitions: over how many CRLs its certificates are spread.
        successor: ca_id of the CA of the same name with the next key; None for the present one.
        by_predecessor, by_successor: DER certificates of this key by its neighbours in time; roots only.
    """

    ca_id: str
    kind: Kind
    name: str
    supplier: str | None
    hosted: bool
    state: AuthorityState
    created_at: datetime
    parent: str | None = None
    certificate: bytes | None = None
    csr: bytes | None = None
    tre_level: int | None = None
    crl_partitions: int = 1
    successor: str | None = None
    by_predecessor: bytes | None = None
    by_successor: bytes | None = None

    def crl_partition(self, serial: int) -> int:
        """To which of its CRLs a new certificate belongs: serial numbers are random, so the lists grow alike."""
        return serial % self.crl_partitions

    def x509(self) -> x509.Certificate:
        """Its certificate, decoded; only for a CA that has one."""
        if self.certificate is None:
            raise ValueError(f"the CA {self.ca_id} has no certificate yet")
        return x509.load_der_x509_certificate(self.certificate)


@dataclass(frozen=True, slots=True, kw_only=True)
class Model:
    """A device model: which issuing CA certifies it, and its number below the arc of models."""

    supplier: str
    model: str
    ca_id: str
    hw_type: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Batch:
    """A batch list as imported: `claims_sha256` identifies its content, whoever re-signs it."""

    supplier: str
    batch: str
    claims_sha256: str
    signer_sha256: str
    devices: int
    imported_at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class OpenFeed:
    """A batch feed that is not whole yet: `feed` is SHA-256 over what its `head`, a signed token, says."""

    feed: str
    supplier: str
    batch: str
    head: str
    opened_at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class FeedLine:
    """One device of a feed under the number of its line."""

    line: int
    device_id: str
    model: str
    serial: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Device:
    """A listed device; the Names are those of its last enrolment, None before the first."""

    device_id: str
    supplier: str
    model: str
    batch: str
    serial: str
    state: DeviceState
    ak_name: bytes | None = None
    storage_name: bytes | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Session:
    """An enrolment between its two messages; of the secret only the SHA-256 is kept.

    Attributes:
        request: the EnrollmentRequest as received, whose keys were checked.
        station: the supplier whose station opened it; None for one that a device opened itself.
        activation_sha256, ca_id, serial: set once it is used: which activation, and what came of it.
    """

    session_id: bytes
    device_id: str
    request: bytes
    nonce: bytes
    secret_sha256: bytes
    state: SessionState
    opened_at: datetime
    expires_at: datetime
    station: str | None = None
    activation_sha256: bytes | None = None
    ca_id: str | None = None
    serial: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Intent:
    """A certificate that is about to be signed: its name (CA, serial) and whom it is for."""

    ca_id: str
    serial: int
    kind: Kind
    subject: str
    spki_sha256: str
    issued_at: datetime
    supplier: str | None = None
    device_id: str | None = None
    ak_name: bytes | None = None
    crl_partition: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Issued:
    """A certificate that this CA signed, with its present status.

    `subject` says in words whom it is for; `device_id` and `ak_name` are set for Platform Credentials only.
    `crl_partition` is the CRL that its CRLDP names.
    """

    ca_id: str
    serial: int
    kind: Kind
    subject: str
    supplier: str | None
    device_id: str | None
    ak_name: bytes | None
    der: bytes
    not_after: datetime
    issued_at: datetime
    status: Status
    reason: Reason | None
    changed_at: datetime
    version: int
    crl_partition: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Revoked:
    """What a CRL needs of a certificate whose present status is revoked."""

    serial: int
    reason: Reason
    changed_at: datetime
    not_after: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class HoldRecord:
    """A hold for what a PVA has seen.

    Attributes:
        version: of the status row that put the certificate on hold.
        results: ids of the attestation results that it stands on; `asked_by` is the PVA's tenant.
        recovery: id of the newest recovery result, None before the first; `recovered_at` when it was told.
    """

    ca_id: str
    serial: int
    version: int
    results: tuple[str, ...]
    asked_by: str
    held_at: datetime
    recovery: str | None = None
    recovered_at: datetime | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Signed:
    """A certificate that was signed after its intent was recorded."""

    ca_id: str
    serial: int
    der: bytes
    not_after: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class LineDevice:
    """An enrolled device of a product line with the key of its last enrolment, and its PfCs, oldest first."""

    device_id: str
    ak_name: bytes
    credentials: tuple["LineCredential", ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class LineCredential:
    """A PfC with its present status; `spki_sha256` is of its key, and `issuing` says whether a CA has this key, too."""

    ca_id: str
    serial: int
    ak_name: bytes
    spki_sha256: str
    der: bytes
    status: Status
    reason: Reason | None
    issuing: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class StatusChange:
    """One row of the feed: status of one certificate of an issuing CA; `seq` grows without gaps in time.

    `model` and `batch` are those of the device of a Platform Credential.
    """

    seq: int
    ca_id: str
    serial: int
    status: Status
    reason: Reason | None
    changed_at: datetime
    not_after: datetime
    version: int
    model: str | None = None
    batch: str | None = None


class EstState(StrEnum):
    """Where a key stands that asks for a certificate over EST."""

    PENDING = "pending"
    REGISTERED = "registered"
    ISSUED = "issued"


@dataclass(frozen=True, slots=True, kw_only=True)
class EstEnrollment:
    """A key that asked over EST or was registered for it.

    `name` (holder, or id of the service), `role` (of an operator's service), `dns` and `addresses` (of a TLS server)
    are set by an administrator; `requesters` is he, and who stands behind him, None where that is not known; `ca_id` and
    `serial` once the certificate is issued.
    """

    kind: Kind
    spki_sha256: str
    state: EstState
    since: datetime
    name: str = ""
    role: str = ""
    dns: tuple[str, ...] = ()
    addresses: tuple[str, ...] = ()
    requesters: tuple[Requester, ...] | None = None
    ca_id: str | None = None
    serial: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class ManifestRecord:
    """A reference manifest that the CA accepted; `digest` is SHA-256 over the signed bytes.

    `predecessor_until` is when the state of the manifest that it names as its predecessor is over.
    """

    supplier: str
    manifest_id: str
    digest: bytes
    svn: int
    models: tuple[str, ...]
    signed: bytes
    not_before: datetime | None
    not_after: datetime | None
    imported_at: datetime
    predecessor_digest: bytes | None = None
    predecessor_until: datetime | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Renewal:
    """What took the place of a Platform Credential (CA, serial); the old one is good until `ends_at`."""

    ca_id: str
    serial: int
    new_ca_id: str
    new_serial: int
    manifest_digest: bytes
    ends_at: datetime
    renewed_at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class DueRenewal:
    """A credential that is good though its window is closed, and since when it is."""

    issued: Issued
    ends_at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class RevocationList:
    """A CRL as published, of one partition of a CA.

    `status_seq` is the last change of status that it takes account of, 0 before the first.
    """

    ca_id: str
    partition: int
    number: int
    der: bytes
    this_update: datetime
    next_update: datetime
    status_seq: int
