"""OCSP answers as a relying party takes them (RFC 6960 section 3.2).

The one rule: an answer counts only when its signer may speak for this issuer, it is about the certificate
that was asked, it repeats the nonce of this very request, and it is current. Everything else is no answer:
it raises, and never reads as `good`.
"""

from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from enum import Enum
from functools import lru_cache

from cryptography import x509
from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, padding, rsa
from cryptography.x509 import ocsp

from standards.pki import oids
from standards.pki.crl import Revocation, RevocationReason
from standards.pki.errors import DecodeError, RevocationError
from standards.pki.ocsp import OcspRequest, ResponseStatus, issuer_hashes

RESPONSE_BYTES_MAX = 65536
SKEW = timedelta(seconds=60)
CERTIFICATES_MAX = 8
_DELEGATES_MAX = 256
_STRONG = (hashes.SHA256, hashes.SHA384, hashes.SHA512)


class StatusKind(Enum):
    """CertStatus (RFC 6960 section 4.2.1)."""

    GOOD = "good"
    REVOKED = "revoked"
    UNKNOWN = "unknown"


@dataclass(frozen=True, slots=True, kw_only=True)
class CertStatus:
    """The verified status of one certificate; `revocation` is there exactly when it is revoked."""

    kind: StatusKind
    revocation: Revocation | None
    this_update: datetime
    next_update: datetime
    raw: bytes = field(repr=False)


class OcspRefusalError(RevocationError):
    """The responder gave no answer, but an error status of the protocol."""

    def __init__(self, status: ResponseStatus) -> None:
        super().__init__(f"the responder gave no status: {status.name.lower()}")
        self.status = status


def verify_response(
    data: bytes,
    *,
    request: OcspRequest,
    issuer: x509.Certificate,
    at: datetime,
    skew: timedelta = SKEW,
) -> CertStatus:
    """Verify the answer to `request`, which asked for one certificate of `issuer` with a nonce.

    `issuer` was validated by the caller. `skew` is how far the responder's clock may be ahead.
    Raises DecodeError, OcspRefusalError, RevocationError.
    """
    if not 0 < len(data) <= RESPONSE_BYTES_MAX:
        raise DecodeError("OCSP response", expected=f"1 to {RESPONSE_BYTES_MAX} bytes", got=str(len(data)))
    if len(request.cert_ids) != 1 or request.nonce is None:
        raise DecodeError("OCSP request", expected="one CertID and a nonce", got="another request")
    try:
        response = ocsp.load_der_ocsp_response(data)
        if response.response_status is not ocsp.OCSPResponseStatus.SUCCESSFUL:
            raise OcspRefusalError(ResponseStatus(response.response_status.value))
        signer = _authorized_signer(response, issuer=issuer, at=at)
        _check_signature(response, signer=signer)
        _check_nonce(response, nonce=request.nonce)
        single = _asked_for(response.responses, request=request, issuer=issuer)
        return _status(response, single, at=at, skew=skew, raw=data)
    except (ValueError, TypeError, UnsupportedAlgorithm, x509.DuplicateExtension) as error:
        raise DecodeError("OCSP response", expected="a basic response in DER", got=str(error)) from error


def _authorized_signer(
    response: ocsp.OCSPResponse, *, issuer: x509.Certificate, at: datetime
) -> x509.Certificate:
    """The issuer itself, or its delegate: RFC 6960 section 4.2.2.2."""
    if _is_responder(response, issuer):
        return issuer
    candidates = [each for each in response.certificates[:CERTIFICATES_MAX] if _is_responder(response, each)]
    if not candidates:
        raise RevocationError("the responder's certificate is not in the answer")
    delegate = candidates[0]
    _check_delegation(delegate, issuer)
    if not delegate.not_valid_before_utc <= at <= delegate.not_valid_after_utc:
        raise RevocationError("the responder's certificate is not in time", expected="in time", got=str(at))
    return delegate


@lru_cache(maxsize=_DELEGATES_MAX)
def _check_delegation(delegate: x509.Certificate, issuer: x509.Certificate) -> None:
    """What the bytes of both say for ever: proven once for all answers of a responder. Its time is NOT checked here."""
    try:
        delegate.verify_directly_issued_by(issuer)
    except (ValueError, TypeError, InvalidSignature) as error:
        raise RevocationError("the responder was not delegated by the issuer of the certificate") from error
    values = {type(each.value): each.value for each in delegate.extensions}
    purposes = values.get(x509.ExtendedKeyUsage)
    if not isinstance(purposes, x509.ExtendedKeyUsage) or oids.EKU_OCSP_SIGNING not in purposes:
        raise RevocationError("the responder's certificate lacks the purpose OCSPSigning")
    if x509.OCSPNoCheck not in values:
        # Without nocheck its own status would have to be asked somewhere, and there is nowhere.
        raise RevocationError("the responder's certificate lacks id-pkix-ocsp-nocheck")
    usage = values.get(x509.KeyUsage)
    if isinstance(usage, x509.KeyUsage) and not usage.digital_signature:
        raise RevocationError("the responder's certificate lacks digitalSignature")


def _is_responder(response: ocsp.OCSPResponse, certificate: x509.Certificate) -> bool:
    if response.responder_key_hash is None:
        return response.responder_name == certificate.subject
    return _key_identifier(certificate) == response.responder_key_hash


@lru_cache(maxsize=_DELEGATES_MAX)
def _key_identifier(certificate: x509.Certificate) -> bytes:
    """KeyHash: the SHA-1 of the key bits, as in this kind of key identifier. It finds; the signature proves."""
    return x509.SubjectKeyIdentifier.from_public_key(certificate.public_key()).digest


def _check_signature(response: ocsp.OCSPResponse, *, signer: x509.Certificate) -> None:
    key, digest = signer.public_key(), response.signature_hash_algorithm
    try:
        if isinstance(key, ed25519.Ed25519PublicKey) and digest is None:  # RFC 8410: no digest is named
            key.verify(response.signature, response.tbs_response_bytes)
            return
        if not isinstance(digest, _STRONG):
            raise RevocationError("signature of the answer", expected="SHA-256 or better", got=str(digest))
        if isinstance(key, ec.EllipticCurvePublicKey):
            key.verify(response.signature, response.tbs_response_bytes, ec.ECDSA(digest))
        elif isinstance(key, rsa.RSAPublicKey):
            key.verify(response.signature, response.tbs_response_bytes, padding.PKCS1v15(), digest)
        else:
            raise RevocationError(
                "key of the responder", expected="RSA, ECC or Ed25519", got=type(key).__name__
            )
    except InvalidSignature as error:
        raise RevocationError("the answer's signature is not that of its responder") from error


def _check_nonce(response: ocsp.OCSPResponse, *, nonce: bytes) -> None:
    echoed: bytes | None = None
    for extension in response.extensions:
        if isinstance(extension.value, x509.OCSPNonce):
            echoed = extension.value.nonce
        elif extension.critical:
            raise RevocationError(
                "unknown critical extension", expected="none", got=extension.oid.dotted_string
            )
    if echoed != nonce:
        raise RevocationError("the answer is not one to this request: its nonce is missing or another one")


def _asked_for(
    singles: Iterable[ocsp.OCSPSingleResponse], *, request: OcspRequest, issuer: x509.Certificate
) -> ocsp.OCSPSingleResponse:
    asked = request.cert_ids[0]
    if asked.issuer != issuer_hashes(issuer, asked.digest):
        raise RevocationError("the request was not about a certificate of this issuer")
    for single in singles:
        named = (single.issuer_name_hash, single.issuer_key_hash, single.serial_number)
        if named == (asked.issuer_name_hash, asked.issuer_key_hash, asked.serial):
            return single
    raise RevocationError("the answer is about another certificate")


def _status(
    response: ocsp.OCSPResponse,
    single: ocsp.OCSPSingleResponse,
    *,
    at: datetime,
    skew: timedelta,
    raw: bytes,
) -> CertStatus:
    this_update, next_update = single.this_update_utc, single.next_update_utc
    if next_update is None:
        raise RevocationError("the answer has no nextUpdate")
    if not this_update <= response.produced_at_utc <= at + skew or at >= next_update:
        raise RevocationError(
            "the answer is not current",
            expected=f"thisUpdate {this_update} <= producedAt {response.produced_at_utc} <= now < {next_update}",
            got=str(at),
        )
    revocation = None
    if single.revocation_time_utc is not None:
        reason = RevocationReason.of_flag(single.revocation_reason)
        revocation = Revocation(reason=reason, at=single.revocation_time_utc)
    kind = StatusKind[single.certificate_status.name]
    return CertStatus(
        kind=kind, revocation=revocation, this_update=this_update, next_update=next_update, raw=raw
    )
