"""What the CA answers to administrators and suppliers: the bodies as JSON, and the values that they carry.

The one rule: a body becomes a value whole, certificates decoded, or is refused as a CaAnswerError.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Annotated

from cryptography import x509
from pydantic import AwareDatetime, PositiveInt, StringConstraints

from clients.ca_answers import Body, CaAnswerError
from standards.pki.fingerprints import UNREADABLE
from standards.pki.oids import hw_type_of_model


@dataclass(frozen=True, slots=True, kw_only=True)
class EsRoot:
    """A supplier's root; `hosted` when its key is with the CA."""

    ca_id: str
    supplier: str
    hosted: bool
    certificate: x509.Certificate


@dataclass(frozen=True, slots=True, kw_only=True)
class Root:
    """One generation of a root's key, and what the neighbouring generations certify of it."""

    ca_id: str
    kind: str
    supplier: str
    hosted: bool
    state: str
    successor: str | None
    certificate: x509.Certificate
    by_predecessor: x509.Certificate | None
    by_successor: x509.Certificate | None


@dataclass(frozen=True, slots=True, kw_only=True)
class IssuingCa:
    """An issuing CA; `certificate` is None and `csr` set while it waits for its imported root.

    Its certificates are spread over `crl_partitions` CRLs; `crl_url` is the first.
    `hw_types` is the name of a model -> the hwType (dotted OID) in Platform Credentials of its devices.
    """

    ca_id: str
    supplier: str
    name: str
    models: tuple[str, ...]
    hw_types: Mapping[str, str]
    tre_level: int
    state: str
    certificate: x509.Certificate | None
    csr: x509.CertificateSigningRequest | None
    es_root_certificate: x509.Certificate
    crl_partitions: int
    crl_url: str
    ocsp_url: str


@dataclass(frozen=True, slots=True, kw_only=True)
class AcceptedManifest:
    """A reference manifest as the CA recorded it; `digest` is SHA-256 of the signed bytes, in hexadecimal."""

    manifest: str
    digest: str
    svn: int
    models: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class ImportedBatch:
    """A batch list as the CA imported it."""

    batch: str
    supplier: str
    devices: int


@dataclass(frozen=True, slots=True, kw_only=True)
class CredentialHold:
    """A hold for attestation results: `results` by their ids, `asked_by` which PVA; `recovery` once one was seen."""

    results: tuple[str, ...]
    asked_by: str
    held_at: datetime
    recovery: str | None
    recovered_at: datetime | None


@dataclass(frozen=True, slots=True, kw_only=True)
class FeedProgress:
    """How far a batch feed has come; `missing` are the numbers of chunks, the first is 0."""

    feed: str
    batch: str
    devices: int
    chunks: int
    missing: tuple[int, ...]
    imported: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class ReissuePage:
    """Device id -> (issuer, serial number); how many were left out, by the reason; where the next page begins."""

    issued: Mapping[str, tuple[str, int]]
    left_out: Mapping[str, int]
    next: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class IssuedCredential:
    """A certificate with its status: `status` good or revoked, `reason` by its name in RFC 5280.

    `hold` is told of a PfC that is shown to its supplier or an administrator, while it is on hold for results.
    """

    issuer: str
    serial: int
    kind: str
    device_id: str | None
    status: str
    reason: str | None
    revoked_at: datetime | None
    version: int
    certificate: x509.Certificate = field(repr=False)
    hold: CredentialHold | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class HoldLifting:
    """A credential whose hold is to be lifted, and the names of the administrators who approved that so far."""

    credential: IssuedCredential
    approvals: tuple[str, ...]


class EsRootBody(Body):
    """A root of a supplier."""

    ca_id: str
    supplier: str
    hosted: bool
    certificate: str

    def value(self) -> EsRoot:
        """The root, its certificate decoded."""
        return EsRoot(
            ca_id=self.ca_id,
            supplier=self.supplier,
            hosted=self.hosted,
            certificate=certificate_of(self.certificate),
        )


class EsRootsBody(Body):
    """All roots."""

    es_roots: list[EsRootBody]


class ModelBody(Body):
    """A model with the last arc of its hwType."""

    model: str
    hw_type: PositiveInt


class RootBody(Body):
    """A root."""

    ca_id: str
    kind: str
    supplier: str | None
    hosted: bool
    state: str
    successor: str | None
    certificate: str
    by_predecessor: str | None
    by_successor: str | None

    def value(self) -> Root:
        """The root, its certificates decoded."""
        return Root(
            ca_id=self.ca_id,
            kind=self.kind,
            supplier=self.supplier or "",
            hosted=self.hosted,
            state=self.state,
            successor=self.successor,
            certificate=certificate_of(self.certificate),
            by_predecessor=None if self.by_predecessor is None else certificate_of(self.by_predecessor),
            by_successor=None if self.by_successor is None else certificate_of(self.by_successor),
        )


class RootsBody(Body):
    """All roots."""

    roots: list[RootBody]


class RolledBody(Body):
    """A root that got its next key."""

    before: RootBody
    after: RootBody


class IssuingCaBody(Body):
    """An issuing CA."""

    ca_id: str
    supplier: str
    name: str
    models: list[ModelBody]
    tre_level: int
    state: str
    certificate: str | None
    csr: str | None
    es_root_certificate: str
    crl_partitions: int = 1
    crl_url: str
    ocsp_url: str

    def value(self) -> IssuingCa:
        """The issuing CA, its certificates and CSR decoded."""
        return IssuingCa(
            ca_id=self.ca_id,
            supplier=self.supplier,
            name=self.name,
            models=tuple(each.model for each in self.models),
            hw_types={each.model: hw_type_of_model(each.hw_type).dotted_string for each in self.models},
            tre_level=self.tre_level,
            state=self.state,
            certificate=None if self.certificate is None else certificate_of(self.certificate),
            csr=None if self.csr is None else csr_of(self.csr),
            es_root_certificate=certificate_of(self.es_root_certificate),
            crl_partitions=self.crl_partitions,
            crl_url=self.crl_url,
            ocsp_url=self.ocsp_url,
        )


class IssuingCasBody(Body):
    """All issuing CAs."""

    issuing_cas: list[IssuingCaBody]


class ApprovalBody(Body):
    """An administrator's approval."""

    by: str
    at: AwareDatetime


class EstEnrollmentBody(Body):
    """Where a key stands that asks for a certificate over EST; `digest` and `approvals` where two register it."""

    label: str
    spki_sha256: str
    state: str
    since: AwareDatetime
    name: str
    role: str
    dns: list[str]
    ip: list[str]
    serial: str | None
    digest: str | None = None
    approvals: list[ApprovalBody] | None = None


class KeyProposalsBody(Body):
    """Keys whose registration waits for another administrator."""

    key_proposals: list[EstEnrollmentBody]


class OperatorCertificateBody(Body):
    """The certificate of an operator's service, or what waits for another administrator."""

    certificate: str | None
    proposal: EstEnrollmentBody | None = None


class EstEnrollmentsBody(Body):
    """All of them."""

    enrollments: list[EstEnrollmentBody]


class CertificateBody(Body):
    """A certificate that was asked for."""

    certificate: str


class ManifestBody(Body):
    """A manifest that was accepted."""

    manifest: str
    digest: str
    svn: int
    models: list[str]

    def value(self) -> AcceptedManifest:
        """The manifest as a value."""
        return AcceptedManifest(
            manifest=self.manifest, digest=self.digest, svn=self.svn, models=tuple(self.models)
        )


class BatchBody(Body):
    """A batch list that was imported."""

    batch: str
    supplier: str
    devices: int

    def value(self) -> ImportedBatch:
        """The batch as a value."""
        return ImportedBatch(batch=self.batch, supplier=self.supplier, devices=self.devices)


class HoldBody(Body):
    """A hold for attestation results."""

    results: list[str]
    asked_by: str
    held_at: AwareDatetime
    recovery: str | None
    recovered_at: AwareDatetime | None

    def value(self) -> CredentialHold:
        """The hold as a value."""
        return CredentialHold(
            results=tuple(self.results),
            asked_by=self.asked_by,
            held_at=self.held_at,
            recovery=self.recovery,
            recovered_at=self.recovered_at,
        )


class FeedBody(Body):
    """A batch feed on its way."""

    feed: Annotated[str, StringConstraints(pattern=r"^[0-9a-f]{64}$")]
    batch: str
    devices: int
    chunks: int
    missing: list[int]
    imported: bool

    def value(self) -> FeedProgress:
        """The progress as a value."""
        return FeedProgress(
            feed=self.feed,
            batch=self.batch,
            devices=self.devices,
            chunks=self.chunks,
            missing=tuple(self.missing),
            imported=self.imported,
        )


class ReissuedBody(Body):
    """One credential of a page."""

    device_id: str
    issuer: str
    serial: str


class ReissuePageBody(Body):
    """A page of a product line that was issued anew."""

    issued: list[ReissuedBody]
    left_out: dict[str, int]
    next: str | None

    def value(self) -> ReissuePage:
        """The page as a value."""
        return ReissuePage(
            issued={each.device_id: (each.issuer, int(each.serial, 16)) for each in self.issued},
            left_out=self.left_out,
            next=self.next,
        )


class IssuedBody(Body):
    """A certificate with its status."""

    issuer: str
    serial: str
    kind: str
    device_id: str | None
    certificate: str
    status: str
    reason: str | None
    revoked_at: AwareDatetime | None
    version: int
    hold: HoldBody | None = None

    def value(self) -> IssuedCredential:
        """The certificate, decoded, with its status."""
        return IssuedCredential(
            issuer=self.issuer,
            serial=int(self.serial, 16),
            kind=self.kind,
            device_id=self.device_id,
            status=self.status,
            reason=self.reason,
            revoked_at=self.revoked_at,
            version=self.version,
            certificate=certificate_of(self.certificate),
            hold=None if self.hold is None else self.hold.value(),
        )


class LiftingApprovalBody(Body):
    """Who approved."""

    by: str


class HoldLiftingBody(IssuedBody):
    """A certificate with its status, and who approved that its hold be lifted."""

    approvals: list[LiftingApprovalBody]

    def lifting(self) -> HoldLifting:
        """The whole of it."""
        return HoldLifting(credential=self.value(), approvals=tuple(each.by for each in self.approvals))


def certificate_of(pem: str) -> x509.Certificate:
    """A certificate from its PEM; raises CaAnswerError."""
    try:
        return x509.load_pem_x509_certificate(pem.encode())
    except UNREADABLE as error:
        raise CaAnswerError("a route with certificates", str(error)) from error


def csr_of(pem: str) -> x509.CertificateSigningRequest:
    """A CSR from its PEM; raises CaAnswerError."""
    try:
        return x509.load_pem_x509_csr(pem.encode())
    except UNREADABLE as error:
        raise CaAnswerError("a route with CSRs", str(error)) from error
