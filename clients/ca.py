"""The certification authority as devices, suppliers and administrators call it.

The one rule: an answer is decoded whole or refused whole (CaAnswerError); a refusal of the CA arrives as
`edge.http_client.HttpError` with its problem document, whose `reason` is the stable word for programs.
The responder's routes (delegates, change feed) are in `clients.ca_status`.
"""

from collections.abc import Mapping, Sequence
from typing import Any

from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding

from clients.ca_answers import BodyT, CaAnswerError, read, read_json
from clients.ca_bodies import (
    AcceptedManifest,
    BatchBody,
    CertificateBody,
    EsRoot,
    EsRootBody,
    EsRootsBody,
    EstEnrollmentBody,
    EstEnrollmentsBody,
    FeedBody,
    FeedProgress,
    HoldLifting,
    HoldLiftingBody,
    ImportedBatch,
    IssuedBody,
    IssuedCredential,
    IssuingCa,
    IssuingCaBody,
    IssuingCasBody,
    ManifestBody,
    OperatorCertificateBody,
    ReissuePage,
    ReissuePageBody,
    RolledBody,
    Root,
    RootsBody,
    certificate_of,
)
from clients.pages import every_page
from edge.http_client import HttpClient
from messages.enrollment import (
    ENROLLMENT_MEDIA_TYPE,
    ActivationRequest,
    EnrollmentChallenge,
    EnrollmentRequest,
    EnrollmentResult,
)
from messages.errors import MessageError

__all__ = [
    "AcceptedManifest",
    "CaAnswerError",
    "CaDeviceClient",
    "CaOperatorClient",
    "CaPublicClient",
    "EsRoot",
    "FeedProgress",
    "ImportedBatch",
    "IssuedCredential",
    "IssuingCa",
    "ReissuePage",
    "Root",
]

RIM_COSE = "application/rim+cose"
JOSE = "application/jose"
TEXT = "text/plain"


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

    def credential(self, device_id: str) -> EnrollmentResult:
        """The chain of a device's newest good PfC; it proves itself to the TRE."""
        route = f"/v1/devices/{device_id}/credential"
        answer = self._http.get(route)
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

    def renew_credential(
        self, *, issuer: str, serial: int, manifest_digest: bytes, result_id: str
    ) -> IssuedCredential:
        """The PfC over the same key for a device that was accepted under another manifest (pva); may be repeated."""
        body = {"issuer": issuer, "manifest_digest": manifest_digest.hex(), "result_id": result_id}
        return self._post(f"/v1/platform-credentials/{serial:040x}/renewal", body, IssuedBody).value()

    def create_es_root(self, supplier: str, *, algorithm: str = "p256") -> EsRoot:
        """Make a supplier's ES root whose key stays with the CA (admin)."""
        body = {"supplier": supplier, "hosted": True, "algorithm": algorithm}
        return self._post("/v1/es-roots", body, EsRootBody).value()

    def import_es_root(self, supplier: str, certificate: x509.Certificate) -> EsRoot:
        """Record the ES root that a supplier holds himself (admin)."""
        body = {"supplier": supplier, "certificate": _pem(certificate)}
        return self._post("/v1/es-roots", body, EsRootBody).value()

    def es_roots(self) -> tuple[EsRoot, ...]:
        """All ES roots (any role)."""
        route = "/v1/es-roots"
        listed = read(EsRootsBody, every_page(self._http, route, "es_roots"), route)
        return tuple(each.value() for each in listed.es_roots)

    def create_issuing_ca(
        self,
        supplier: str,
        *,
        name: str,
        models: Sequence[str],
        tre_level: int,
        algorithm: str = "p256",
    ) -> IssuingCa:
        """Make the issuing CA of a product line (admin)."""
        body = {"supplier": supplier, "name": name, "models": list(models), "tre_level": tre_level}
        return self._post("/v1/issuing-cas", {**body, "algorithm": algorithm}, IssuingCaBody).value()

    def divide_crl(self, ca_id: str, *, count: int) -> IssuingCa:
        """Spread the certificates of an issuing CA over `count` CRLs from now on (admin)."""
        return self._post(f"/v1/issuing-cas/{ca_id}/crl-partitions", {"count": count}, IssuingCaBody).value()

    def complete_issuing_ca(self, ca_id: str, certificate: x509.Certificate) -> IssuingCa:
        """Hand in the certificate that an imported root signed for an issuing CA (admin)."""
        route = f"/v1/issuing-cas/{ca_id}/certificate"
        return self._post(route, {"certificate": _pem(certificate)}, IssuingCaBody).value()

    def roots(self) -> tuple[Root, ...]:
        """All roots, with every generation of their keys (any role)."""
        route = "/v1/roots"
        listed = read(RootsBody, every_page(self._http, route, "roots"), route)
        return tuple(each.value() for each in listed.roots)

    def roll_root(self, ca_id: str, *, algorithm: str) -> tuple[Root, Root]:
        """Give a root its next key; before and after, with their cross-certificates (admin)."""
        rolled = self._post(f"/v1/roots/{ca_id}/rollover", {"algorithm": algorithm}, RolledBody)
        return rolled.before.value(), rolled.after.value()

    def roll_issuing_ca(self, ca_id: str, *, algorithm: str) -> IssuingCa:
        """Give an issuing CA its next key; its models move to it (admin)."""
        route = f"/v1/issuing-cas/{ca_id}/rollover"
        return self._post(route, {"algorithm": algorithm}, IssuingCaBody).value()

    def issuing_cas(self) -> tuple[IssuingCa, ...]:
        """All issuing CAs; a supplier sees his own (admin, es, pva, ocsp)."""
        route = "/v1/issuing-cas"
        listed = read(IssuingCasBody, every_page(self._http, route, "issuing_cas"), route)
        return tuple(each.value() for each in listed.issuing_cas)

    def certify_supplier(
        self, supplier: str, *, purpose: str, csr: x509.CertificateSigningRequest
    ) -> x509.Certificate:
        """A certificate with the purpose manifest-signing or batch-signing (es, admin)."""
        body = {"supplier": supplier, "purpose": purpose, "csr": _pem(csr)}
        return self._certificate("/v1/supplier-certificates", body)

    def certify_operator(
        self, role: str, *, service: str, purpose: str, csr: x509.CertificateSigningRequest
    ) -> x509.Certificate | dict[str, Any]:
        """A certificate of an operator's service (admin).

        Of a purpose that takes two administrators, what waits for another one until both have asked, or approved it.
        """
        body = {"role": role, "id": service, "purpose": purpose, "csr": _pem(csr)}
        route = "/v1/operator-certificates"
        made = self._post(route, body, OperatorCertificateBody)
        if made.certificate is not None:
            return certificate_of(made.certificate)
        if made.proposal is None:
            raise CaAnswerError(route, "expected a certificate or what waits, got neither")
        return made.proposal.model_dump()

    def certify_issuing_ca(
        self, supplier: str, *, name: str, tre_level: int, csr: x509.CertificateSigningRequest
    ) -> x509.Certificate:
        """The certificate of an issuing CA whose key is elsewhere, below a hosted ES root (admin)."""
        body = {"supplier": supplier, "name": name, "tre_level": tre_level, "csr": _pem(csr)}
        return self._certificate("/v1/issuing-ca-certificates", body)

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

    def est_enrollments(self) -> list[dict[str, Any]]:
        """Keys that asked over EST or were registered for it (admin)."""
        route = "/v1/est-enrollments"
        listed = read(EstEnrollmentsBody, every_page(self._http, route, "enrollments"), route)
        return [each.model_dump() for each in listed.enrollments]

    def register_est_key(self, registration: Mapping[str, Any]) -> dict[str, Any]:
        """Say what a key gets over EST: label, spki_sha256, name, and role or dns and ip (admin)."""
        return self._post("/v1/est-enrollments", dict(registration), EstEnrollmentBody).model_dump()

    def accept_manifest(self, signed: bytes) -> AcceptedManifest:
        """Hand in a signed reference manifest (es)."""
        return self._post_octets("/v1/manifests", signed, RIM_COSE, ManifestBody).value()

    def import_batch(self, token: str) -> ImportedBatch:
        """Hand in a signed batch list (es)."""
        return self._post_octets("/v1/batches", token.encode("ascii"), JOSE, BatchBody).value()

    def open_feed(self, head: str) -> FeedProgress:
        """Begin a batch feed by its signed head, or hear how far it has come (es)."""
        return self._post_octets("/v1/batch-feeds", head.encode("ascii"), JOSE, FeedBody).value()

    def add_chunk(self, feed: str, number: int, lines: bytes) -> FeedProgress:
        """Hand in one chunk of a feed; the same chunk again changes nothing (es)."""
        route = f"/v1/batch-feeds/{feed}/chunks/{number}"
        return self._post_octets(route, lines, TEXT, FeedBody).value()

    def import_feed(self, feed: str) -> ImportedBatch:
        """Have a whole feed imported; the same feed again is the same batch (es)."""
        route = f"/v1/batch-feeds/{feed}/import"
        return read(BatchBody, self._http.post_json(route, {}), route).value()

    def reissue(self, supplier: str, *, model: str, manifest: str, after: str = "") -> ReissuePage:
        """Have a page of a line issued anew under its current manifest (es own, pva, admin)."""
        body = {"supplier": supplier, "model": model, "manifest": manifest, "after": after}
        return self._post("/v1/reissues", body, ReissuePageBody).value()

    def reopen_device(self, device_id: str) -> None:
        """Let an enrolled device enrol once more (es)."""
        self._http.post_json(f"/v1/devices/{device_id}/reopening", {})

    def revoke_platform_credential(self, issuer: str, serial: int, *, reason: str) -> IssuedCredential:
        """Revoke a PfC (es own, admin)."""
        route = f"/v1/platform-credentials/{serial:040x}/revocation"
        return self._post(route, {"issuer": issuer, "reason": reason}, IssuedBody).value()

    def revoke_certificate(self, issuer: str, serial: int, *, reason: str) -> IssuedCredential:
        """Revoke any other certificate that the CA issued (es own, admin)."""
        route = f"/v1/certificates/{serial:040x}/revocation"
        return self._post(route, {"issuer": issuer, "reason": reason}, IssuedBody).value()

    def platform_credential(self, issuer: str, serial: int) -> IssuedCredential:
        """A PfC with its status (es own, admin)."""
        route = f"/v1/platform-credentials/{issuer}/{serial:040x}"
        return read(IssuedBody, self._http.get_json(route), route).value()

    def release_platform_credential(self, issuer: str, serial: int) -> IssuedCredential:
        """Lift the hold of a PfC whose device was seen to recover (es own)."""
        route = f"/v1/platform-credentials/{serial:040x}/release"
        return self._post(route, {"issuer": issuer}, IssuedBody).value()

    def lift_hold(self, issuer: str, serial: int) -> HoldLifting:
        """Approve that the hold which a person put on a PfC be lifted; the second approval lifts it (admin)."""
        route = f"/v1/platform-credentials/{serial:040x}/hold-lifting"
        return self._post(route, {"issuer": issuer}, HoldLiftingBody).lifting()

    def _post(self, route: str, body: dict[str, Any], kind: type[BodyT]) -> BodyT:
        return read(kind, self._http.post_json(route, body), route)

    def _post_octets(self, route: str, data: bytes, media_type: str, kind: type[BodyT]) -> BodyT:
        answer = self._http.post(route, data, content_type=media_type, accept="application/json")
        return read_json(kind, answer.body, route)

    def _certificate(self, route: str, body: dict[str, Any]) -> x509.Certificate:
        return certificate_of(self._post(route, body, CertificateBody).certificate)


def _pem(thing: x509.Certificate | x509.CertificateSigningRequest) -> str:
    return thing.public_bytes(Encoding.PEM).decode()
