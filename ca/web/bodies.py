"""JSON bodies of the operator listener: what may be asked, and how answers are worded."""

from collections.abc import Iterable, Sequence
from datetime import UTC, datetime
from typing import Annotated, Any, Literal, Self

from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding
from pydantic import BaseModel, ConfigDict, Field, StringConstraints, model_validator

from ca.accreditations import AccreditationRecord
from ca.bulk_issuance import PAGE_MAX
from ca.hold_liftings import Lifting
from ca.proofs import PEM_CHARACTERS_MAX
from ca.records import Authority, HoldRecord, Issued, Model, StatusChange, serial_text
from ca.status_feed import Wait
from ca.suspensions import InForce, Suspension
from edge.dual_control import Approval
from edge.operations import QueryModel, WholeNumber
from messages.station import BASE64_BYTES_MAX, MESSAGES_MAX
from standards.pki.oids import POLICY_TRE_LEVELS

Name = Annotated[str, StringConstraints(min_length=1, max_length=64)]
Pem = Annotated[str, StringConstraints(min_length=1, max_length=PEM_CHARACTERS_MAX)]
Word = Annotated[str, StringConstraints(min_length=1, max_length=64)]
CaId = Annotated[str, StringConstraints(pattern=r"^[0-9a-f]{32}$")]
ResultId = Annotated[str, StringConstraints(pattern=r"^[0-9a-f]{32}$")]
HOLD_RESULTS_MAX = 64
CHANGES_LIMIT = 500
WAIT_MS_MAX = 1000
Algorithm = Literal["p256", "p384", "rsa", "ml-dsa-65"]
"""What a CA's key may be (`key_algorithms.CA_KEYS`)."""
_HOSTS_MAX = 16


class Body(BaseModel):
    """A request: unknown members are errors, types are not converted."""

    model_config = ConfigDict(extra="forbid", strict=True, frozen=True)


class NewEsRoot(Body):
    """An ES root to be made here (`hosted`), or one that the supplier holds (`certificate`)."""

    supplier: Name
    hosted: Literal[True] | None = None
    certificate: Pem | None = None
    algorithm: Algorithm = "p256"

    @model_validator(mode="after")
    def _one_of_two(self) -> Self:
        if (self.hosted is None) == (self.certificate is None):
            raise ValueError("give either hosted: true or certificate: PEM")
        return self


class NewIssuingCa(Body):
    """The issuing CA of a product line."""

    supplier: Name
    name: Name
    models: Annotated[list[Name], Field(min_length=1, max_length=64)]
    tre_level: Annotated[int, Field(ge=min(POLICY_TRE_LEVELS), le=max(POLICY_TRE_LEVELS))]
    algorithm: Algorithm = "p256"


class IssuingCertificate(Body):
    """The certificate that an imported root signed for an issuing CA."""

    certificate: Pem


class Division(Body):
    """Over how many CRLs an issuing CA spreads its certificates from now on."""

    count: int


class NextKey(Body):
    """What the next key of a CA is to be."""

    algorithm: Algorithm = "p256"


class NewSupplierCertificate(Body):
    """A signing certificate of a supplier."""

    supplier: Name
    purpose: Word
    csr: Pem


class NewOperatorCertificate(Body):
    """A certificate of an operator's service."""

    role: Word
    id: Name
    purpose: Word
    csr: Pem


class NewTlsCertificate(Body):
    """A TLS certificate of a service or a person."""

    kind: Literal["server", "client"]
    name: Name
    csr: Pem
    dns: Annotated[list[Annotated[str, StringConstraints(max_length=253)]], Field(max_length=_HOSTS_MAX)] = []
    ip: Annotated[list[Annotated[str, StringConstraints(max_length=45)]], Field(max_length=_HOSTS_MAX)] = []


class NewEstEnrollment(Body):
    """What a key may be certified for over EST; `role` for an operator's service, `dns` and `ip` for a server."""

    label: Word
    spki_sha256: Annotated[str, StringConstraints(pattern=r"^[0-9a-f]{64}$")]
    name: Name
    role: Annotated[str, StringConstraints(max_length=32)] = ""
    dns: Annotated[list[Annotated[str, StringConstraints(max_length=253)]], Field(max_length=_HOSTS_MAX)] = []
    ip: Annotated[list[Annotated[str, StringConstraints(max_length=45)]], Field(max_length=_HOSTS_MAX)] = []


class NewSubordinate(Body):
    """An issuing CA whose key is elsewhere, below a hosted ES root."""

    supplier: Name
    name: Name
    tre_level: int
    csr: Pem


class NewDelegate(Body):
    """An OCSP delegate certificate of one issuing CA."""

    issuer: CaId
    csr: Pem


class NewSuspension(Body):
    """What is suspended, and why: all of a supplier, or one of his models or batches."""

    supplier: Name
    model: Name | None = None
    batch: Name | None = None
    reason: Annotated[str, StringConstraints(min_length=1, max_length=500, pattern=r"^[^\x00-\x1f\x7f]+$")]


def accreditation_body(found: AccreditationRecord) -> dict[str, Any]:
    """Until when a supplier is accredited."""
    return {
        "supplier": found.supplier,
        "issuer": found.issuer,
        "sequence": found.sequence,
        "scheme": found.scheme,
        "certificate": found.certificate,
        "ends_at": moment(found.ends_at),
    }


class NewHold(Body):
    """For which attestation results a PfC is held; `issuer` is the ca_id."""

    issuer: CaId
    results: Annotated[list[ResultId], Field(min_length=1, max_length=HOLD_RESULTS_MAX)]

    @model_validator(mode="after")
    def _each_once(self) -> Self:
        if len(set(self.results)) != len(self.results):
            raise ValueError("give each result once")
        return self


class NewRecovery(Body):
    """Which attestation result shows that the device of a held PfC has recovered."""

    issuer: CaId
    result: ResultId


class NewRelease(Body):
    """A supplier releases a held PfC."""

    issuer: CaId


class NewHoldLifting(Body):
    """An administrator approves that a person's hold be lifted."""

    issuer: CaId


class NewRevocation(Body):
    """Why a certificate is revoked; `issuer` is the ca_id."""

    reason: Word
    issuer: CaId


class ChangesQuery(QueryModel):
    """Which page of the change feed: what is behind the sequence number `after`, `limit` rows at most.

    Who is level, and knows the suspensions of version `suspensions`, may be answered up to `wait_ms` later, when there is more.
    """

    after: WholeNumber = 0
    limit: WholeNumber = CHANGES_LIMIT
    wait_ms: Annotated[WholeNumber, Field(le=WAIT_MS_MAX)] = 0
    suspensions: WholeNumber = 0

    def wait(self) -> Wait | None:
        """How long to wait, if at all."""
        if not self.wait_ms:
            return None
        return Wait(seconds=self.wait_ms / 1000, suspensions_version=self.suspensions)


class NewReissue(Body):
    """A page of a product line that is to be issued anew; `after` is `next` of the page before."""

    supplier: Name
    model: Name
    manifest: Annotated[str, StringConstraints(min_length=1, max_length=128)]
    after: Annotated[str, StringConstraints(pattern=r"^([0-9a-f]{64})?$")] = ""
    limit: Annotated[int, Field(ge=1, le=PAGE_MAX)] = PAGE_MAX


_Octets = Annotated[
    str,
    StringConstraints(
        pattern=r"^([A-Za-z0-9+/]{4})*([A-Za-z0-9+/]{4}|[A-Za-z0-9+/]{3}=|[A-Za-z0-9+/]{2}==)$",
        max_length=BASE64_BYTES_MAX,
    ),
]
"""Octets in base64 (RFC 4648, section 4)."""


class CarriedMessage(Body):
    """An enrolment message of a device, of section 3 of docs/PROTOCOL.md: its request, or its activation."""

    device_id: Annotated[str, StringConstraints(pattern=r"^[0-9a-f]{64}$")]
    request: _Octets | None = None
    activation: _Octets | None = None

    @model_validator(mode="after")
    def _one_of_two(self) -> Self:
        if (self.request is None) == (self.activation is None):
            raise ValueError("give either request or activation, in base64")
        return self


class StationPage(Body):
    """Messages that a station's folder holds; each device once."""

    messages: Annotated[list[CarriedMessage], Field(min_length=1, max_length=MESSAGES_MAX)]

    @model_validator(mode="after")
    def _each_once(self) -> Self:
        if len({each.device_id for each in self.messages}) != len(self.messages):
            raise ValueError("give each device once")
        return self


def pem(der: bytes | None) -> str | None:
    """A certificate as PEM."""
    return None if der is None else certificate_pem(x509.load_der_x509_certificate(der))


def certificate_pem(certificate: x509.Certificate) -> str:
    """A certificate as PEM."""
    return certificate.public_bytes(Encoding.PEM).decode()


def moment(at: datetime | None) -> str | None:
    """RFC 3339 in UTC, whole seconds."""
    return None if at is None else at.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def es_root_body(root: Authority) -> dict[str, Any]:
    """An ES root."""
    return {
        "ca_id": root.ca_id,
        "supplier": root.supplier,
        "hosted": root.hosted,
        "certificate": pem(root.certificate),
    }


def root_body(root: Authority) -> dict[str, Any]:
    """A root with what its neighbours in time say of its key."""
    return {
        **es_root_body(root),
        "kind": str(root.kind),
        "state": str(root.state),
        "successor": root.successor,
        "by_predecessor": pem(root.by_predecessor),
        "by_successor": pem(root.by_successor),
    }


def issuing_ca_body(
    authority: Authority, *, root: Authority, models: list[Model], crl_url: str, ocsp_url: str
) -> dict[str, Any]:
    """An issuing CA with all that a responder, a PVA or its supplier needs of it."""
    csr = None
    if authority.csr is not None:
        csr = x509.load_der_x509_csr(authority.csr).public_bytes(Encoding.PEM).decode()
    return {
        "ca_id": authority.ca_id,
        "supplier": authority.supplier,
        "name": authority.name,
        "models": [{"model": each.model, "hw_type": each.hw_type} for each in models],
        "tre_level": authority.tre_level,
        "state": str(authority.state),
        "crl_partitions": authority.crl_partitions,
        "certificate": pem(authority.certificate),
        "csr": csr,
        "es_root": root.ca_id,
        "es_root_certificate": pem(root.certificate),
        "crl_url": crl_url,
        "ocsp_url": ocsp_url,
    }


class NewRenewal(Body):
    """A PVA accepted the device of a credential under another manifest: `result_id` says where that stands."""

    issuer: CaId
    manifest_digest: Annotated[str, StringConstraints(pattern=r"^[0-9a-f]{64}$")]
    result_id: Annotated[str, StringConstraints(min_length=1, max_length=64, pattern=r"^[0-9a-f]+$")]


def issued_body(issued: Issued) -> dict[str, Any]:
    """A certificate with its present status."""
    revoked = None if issued.reason is None else issued.changed_at
    return {
        "issuer": issued.ca_id,
        "serial": serial_text(issued.serial),
        "kind": str(issued.kind),
        "device_id": issued.device_id,
        "certificate": pem(issued.der),
        "status": str(issued.status),
        "reason": None if issued.reason is None else str(issued.reason),
        "revoked_at": moment(revoked),
        "not_after": moment(issued.not_after),
        "version": issued.version,
    }


def hold_body(hold: HoldRecord | None) -> dict[str, Any] | None:
    """The hold that a PfC is under, for those who may lift it."""
    if hold is None:
        return None
    return {
        "results": list(hold.results),
        "asked_by": hold.asked_by,
        "held_at": moment(hold.held_at),
        "recovery": hold.recovery,
        "recovered_at": moment(hold.recovered_at),
    }


def lifting_body(lifting: Lifting) -> dict[str, Any]:
    """A credential, and how far the lifting of its hold is."""
    return {**issued_body(lifting.issued), "approvals": approvals_body(lifting.approvals)}


def approvals_body(given: Iterable[Approval]) -> list[dict[str, Any]]:
    """Who approved, and when."""
    return [{"by": each.approver, "at": moment(each.approved_at)} for each in given]


def change_body(change: StatusChange) -> dict[str, Any]:
    """One row of the change feed."""
    revoked = None if change.reason is None else change.changed_at
    return {
        "seq": change.seq,
        "issuer": change.ca_id,
        "serial": serial_text(change.serial),
        "status": str(change.status),
        "reason": None if change.reason is None else str(change.reason),
        "revoked_at": moment(revoked),
        "not_after": moment(change.not_after),
        "version": change.version,
        "model": change.model,
        "batch": change.batch,
    }


def in_force_body(version: int, found: Sequence[InForce]) -> dict[str, Any]:
    """All that is suspended, as responders need it."""
    return {
        "version": version,
        "in_force": [
            {
                "id": each.id,
                "issuers": list(each.issuers),
                "model": each.model,
                "batch": each.batch,
                "since": moment(each.since),
            }
            for each in found
        ],
    }


def suspension_body(found: Suspension) -> dict[str, Any]:
    """A suspension and how far its lifting is."""
    return {
        "id": found.id,
        "supplier": found.scope.supplier,
        "model": found.scope.model,
        "batch": found.scope.batch,
        "reason": found.reason,
        "suspended_by": found.suspended_by,
        "suspended_at": moment(found.suspended_at),
        "approvals": approvals_body(found.approvals),
        "lifted_at": moment(found.lifted_at),
    }
