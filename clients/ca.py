"""The certification authority as devices, suppliers and administrators call it.

The one rule: an answer is decoded whole or refused whole (CaAnswerError); a refusal of the CA arrives as
`edge.http_client.HttpError` with its problem document, whose `reason` is the stable word for programs.
The responder's routes (delegates, change feed) are in `clients.ca_status`.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, TypeVar

from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding
from pydantic import AwareDatetime, BaseModel, ConfigDict, PositiveInt, ValidationError

from clients.ca_status import CaAnswerError
from edge.http_client import HttpClient
from messages.enrollment import (
    ENROLLMENT_MEDIA_TYPE,
    ActivationRequest,
    EnrollmentChallenge,
    EnrollmentRequest,
    EnrollmentResult,
)
from messages.errors import MessageError
from standards.pki.oids import hw_type_of_model

__all__ = [
    "AcceptedManifest",
    "CaAnswerError",
    "CaDeviceClient",
    "CaOperatorClient",
    "CaPublicClient",
    "EsRoot",
    "ImportedBatch",
    "IssuedCredential",
    "IssuingCa",
]

RIM_COSE = "application/rim+cose"
JOSE = "application/jose"

_Answer = TypeVar("_Answer", bound=BaseModel)


@dataclass(frozen=True, slots=True, kw_only=True)
class EsRoot:
    """A supplier's root; `hosted` when its key is with the CA."""

    ca_id: str
    supplier: str
    hosted: bool
    certificate: x509.Certificate


@dataclass(frozen=True, slots=True, kw_only=True)
class IssuingCa:
    """An issuing CA; `certificate` is None and `csr` set while it waits for its imported root.

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
class IssuedCredential:
    """A certificate with its status: `status` good or revoked, `reason` by its name in RFC 5280."""

    issuer: str
    serial: int
    kind: str
    device_id: str | None
    status: str
    reason: str | None
    revoked_at: datetime | None
    version: int
    certificate: x509.Certificate = field(repr=False)


class CaDeviceClient:
    """The device listener."""

    def __init__(self, http: HttpClient) -> None:
        """Use `http`, whose base URL is the device listener's."""
        self._http = http

    def begin(self, request: EnrollmentRequest) -> EnrollmentChallenge:
        """First message of enrolment."""
        route = "/v1/enrolments"
        answer = self._http.post(route, request.encode(), content_type=ENROLLMENT_MEDIA_TYPE)
        try:
            return EnrollmentChallenge.decode(answer.body)
        except MessageError as error:
            raise CaAnswerError(route, str(error)) from error

    def activate(self, request: ActivationRequest) -> EnrollmentResult:
        """Second message; the very same request again gives the very same PfC."""
        route = "/v1/enrolments/activation"
        answer = self._http.post(route, request.encode(), content_type=ENROLLMENT_MEDIA_TYPE)
        try:
            return EnrollmentResult.decode(answer.body)
        except MessageError as error:
            raise CaAnswerError(route, str(error)) from error


class CaPublicClient:
    """The public listener; what it gives proves itself, so nothing is decoded here."""

    def __init__(self, http: HttpClient) -> None:
        """Use `http`, whose base URL is the public listener's."""
        self._http = http

    def revocation_list(self, ca_id: str) -> bytes:
        """The newest CRL of a CA, DER."""
        return self._http.get(f"/crl/{ca_id}.crl").body

    def certificate(self, ca_id: str) -> bytes:
        """The certificate of a CA, DER."""
        return self._http.get(f"/ca/{ca_id}.cer").body


class CaOperatorClient:
    """The operator listener, for administrators and suppliers."""

    def __init__(self, http: HttpClient) -> None:
        """Use `http`, with a client certificate that the CA has registered."""
        self._http = http

    def create_es_root(self, supplier: str) -> EsRoot:
        """Make a supplier's ES root whose key stays with the CA (admin)."""
        body = {"supplier": supplier, "hosted": True}
        return _es_root(self._post("/v1/es-roots", body, _EsRootBody))

    def import_es_root(self, supplier: str, certificate: x509.Certificate) -> EsRoot:
        """Record the ES root that a supplier holds himself (admin)."""
        body = {"supplier": supplier, "certificate": _pem(certificate)}
        return _es_root(self._post("/v1/es-roots", body, _EsRootBody))

    def es_roots(self) -> tuple[EsRoot, ...]:
        """All ES roots (any role)."""
        route = "/v1/es-roots"
        listed = _read(_EsRootsBody, self._http.get_json(route), route)
        return tuple(_es_root(each) for each in listed.es_roots)

    def create_issuing_ca(
        self, supplier: str, *, name: str, models: Sequence[str], tre_level: int
    ) -> IssuingCa:
        """Make the issuing CA of a product line (admin)."""
        body = {"supplier": supplier, "name": name, "models": list(models), "tre_level": tre_level}
        return _issuing_ca(self._post("/v1/issuing-cas", body, _IssuingCaBody))

    def complete_issuing_ca(self, ca_id: str, certificate: x509.Certificate) -> IssuingCa:
        """Hand in the certificate that an imported root signed for an issuing CA (admin)."""
        route = f"/v1/issuing-cas/{ca_id}/certificate"
        return _issuing_ca(self._post(route, {"certificate": _pem(certificate)}, _IssuingCaBody))

    def issuing_cas(self) -> tuple[IssuingCa, ...]:
        """All issuing CAs; a supplier sees his own (admin, es, pva, ocsp)."""
        route = "/v1/issuing-cas"
        listed = _read(_IssuingCasBody, self._http.get_json(route), route)
        return tuple(_issuing_ca(each) for each in listed.issuing_cas)

    def certify_supplier(
        self, supplier: str, *, purpose: str, csr: x509.CertificateSigningRequest
    ) -> x509.Certificate:
        """A certificate with the purpose manifest-signing or batch-signing (es, admin)."""
        body = {"supplier": supplier, "purpose": purpose, "csr": _pem(csr)}
        return self._certificate("/v1/supplier-certificates", body)

    def certify_operator(
        self, role: str, *, service: str, purpose: str, csr: x509.CertificateSigningRequest
    ) -> x509.Certificate:
        """A certificate with the purpose challenge or attestation-result (admin)."""
        body = {"role": role, "id": service, "purpose": purpose, "csr": _pem(csr)}
        return self._certificate("/v1/operator-certificates", body)

    def certify_tls(
        self,
        kind: str,
        *,
        name: str,
        csr: x509.CertificateSigningRequest,
        dns: Sequence[str] = (),
        ip: Sequence[str] = (),
    ) -> x509.Certificate:
        """A TLS certificate, `kind` server or client (admin)."""
        body: dict[str, Any] = {"kind": kind, "name": name, "csr": _pem(csr)}
        return self._certificate("/v1/tls-certificates", {**body, "dns": list(dns), "ip": list(ip)})

    def accept_manifest(self, signed: bytes) -> AcceptedManifest:
        """Hand in a signed reference manifest (es)."""
        made = self._post_octets("/v1/manifests", signed, RIM_COSE, _ManifestBody)
        return AcceptedManifest(
            manifest=made.manifest, digest=made.digest, svn=made.svn, models=tuple(made.models)
        )

    def import_batch(self, token: str) -> ImportedBatch:
        """Hand in a signed batch list (es)."""
        made = self._post_octets("/v1/batches", token.encode("ascii"), JOSE, _BatchBody)
        return ImportedBatch(batch=made.batch, supplier=made.supplier, devices=made.devices)

    def reopen_device(self, device_id: str) -> None:
        """Let an enrolled device enrol once more (es)."""
        self._http.post_json(f"/v1/devices/{device_id}/reopening", {})

    def revoke_platform_credential(self, issuer: str, serial: int, *, reason: str) -> IssuedCredential:
        """Revoke a PfC (es own, admin)."""
        route = f"/v1/platform-credentials/{serial:040x}/revocation"
        return _issued(self._post(route, {"issuer": issuer, "reason": reason}, _IssuedBody))

    def revoke_certificate(self, issuer: str, serial: int, *, reason: str) -> IssuedCredential:
        """Revoke any other certificate that the CA issued (es own, admin)."""
        route = f"/v1/certificates/{serial:040x}/revocation"
        return _issued(self._post(route, {"issuer": issuer, "reason": reason}, _IssuedBody))

    def platform_credential(self, issuer: str, serial: int) -> IssuedCredential:
        """A PfC with its status (es own, admin)."""
        route = f"/v1/platform-credentials/{issuer}/{serial:040x}"
        return _issued(_read(_IssuedBody, self._http.get_json(route), route))

    def _post(self, route: str, body: dict[str, Any], kind: type[_Answer]) -> _Answer:
        return _read(kind, self._http.post_json(route, body), route)

    def _post_octets(self, route: str, data: bytes, media_type: str, kind: type[_Answer]) -> _Answer:
        answer = self._http.post(route, data, content_type=media_type, accept="application/json")
        try:
            return kind.model_validate_json(answer.body)
        except ValidationError as error:
            raise CaAnswerError(route, _why(error)) from error

    def _certificate(self, route: str, body: dict[str, Any]) -> x509.Certificate:
        return _loaded(self._post(route, body, _CertificateBody).certificate)


class _Body(BaseModel):
    model_config = ConfigDict(frozen=True)  # members that a newer CA adds are none of our business


class _EsRootBody(_Body):
    ca_id: str
    supplier: str
    hosted: bool
    certificate: str


class _EsRootsBody(_Body):
    es_roots: list[_EsRootBody]


class _ModelBody(_Body):
    model: str
    hw_type: PositiveInt


class _IssuingCaBody(_Body):
    ca_id: str
    supplier: str
    name: str
    models: list[_ModelBody]
    tre_level: int
    state: str
    certificate: str | None
    csr: str | None
    es_root_certificate: str
    crl_url: str
    ocsp_url: str


class _IssuingCasBody(_Body):
    issuing_cas: list[_IssuingCaBody]


class _CertificateBody(_Body):
    certificate: str


class _ManifestBody(_Body):
    manifest: str
    digest: str
    svn: int
    models: list[str]


class _BatchBody(_Body):
    batch: str
    supplier: str
    devices: int


class _IssuedBody(_Body):
    issuer: str
    serial: str
    kind: str
    device_id: str | None
    certificate: str
    status: str
    reason: str | None
    revoked_at: AwareDatetime | None
    version: int


def _read(kind: type[_Answer], value: object, route: str) -> _Answer:
    try:
        return kind.model_validate(value)
    except ValidationError as error:
        raise CaAnswerError(route, _why(error)) from error


def _why(error: ValidationError) -> str:
    faults = error.errors(include_url=False, include_input=False)
    return "; ".join(f"{'.'.join(map(str, fault['loc']))}: {fault['msg']}" for fault in faults)


def _es_root(body: _EsRootBody) -> EsRoot:
    return EsRoot(
        ca_id=body.ca_id,
        supplier=body.supplier,
        hosted=body.hosted,
        certificate=_loaded(body.certificate),
    )


def _issuing_ca(body: _IssuingCaBody) -> IssuingCa:
    return IssuingCa(
        ca_id=body.ca_id,
        supplier=body.supplier,
        name=body.name,
        models=tuple(each.model for each in body.models),
        hw_types={each.model: hw_type_of_model(each.hw_type).dotted_string for each in body.models},
        tre_level=body.tre_level,
        state=body.state,
        certificate=None if body.certificate is None else _loaded(body.certificate),
        csr=None if body.csr is None else _loaded_csr(body.csr),
        es_root_certificate=_loaded(body.es_root_certificate),
        crl_url=body.crl_url,
        ocsp_url=body.ocsp_url,
    )


def _issued(body: _IssuedBody) -> IssuedCredential:
    return IssuedCredential(
        issuer=body.issuer,
        serial=int(body.serial, 16),
        kind=body.kind,
        device_id=body.device_id,
        status=body.status,
        reason=body.reason,
        revoked_at=body.revoked_at,
        version=body.version,
        certificate=_loaded(body.certificate),
    )


def _loaded(pem: str) -> x509.Certificate:
    try:
        return x509.load_pem_x509_certificate(pem.encode())
    except ValueError as error:
        raise CaAnswerError("a route with certificates", str(error)) from error


def _loaded_csr(pem: str) -> x509.CertificateSigningRequest:
    try:
        return x509.load_pem_x509_csr(pem.encode())
    except ValueError as error:
        raise CaAnswerError("a route with CSRs", str(error)) from error


def _pem(thing: x509.Certificate | x509.CertificateSigningRequest) -> str:
    return thing.public_bytes(Encoding.PEM).decode()
