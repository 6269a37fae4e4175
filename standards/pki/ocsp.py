"""OCSP requests, both ways, and the names by which OCSP knows issuers and certificates (RFC 6960, 9654).

The one rule: decoding is strict DER, so a CertID has one spelling, and an answer repeats that and no other.

    OCSPRequest ::= SEQUENCE {
        tbsRequest  SEQUENCE {
            version            [0] EXPLICIT INTEGER DEFAULT v1(0),
            requestorName      [1] EXPLICIT GeneralName OPTIONAL,      -- ignored
            requestList        SEQUENCE OF SEQUENCE {
                reqCert        CertID,
                singleRequestExtensions [0] EXPLICIT Extensions OPTIONAL },
            requestExtensions  [2] EXPLICIT Extensions OPTIONAL },
        optionalSignature  [0] EXPLICIT Signature OPTIONAL }           -- accepted, NOT verified
"""

import hashlib
from collections.abc import Callable
from dataclasses import dataclass, field
from enum import Enum
from functools import lru_cache
from typing import Annotated, Any, Literal, TypeVar

from asn1crypto import core, keys, ocsp
from asn1crypto import x509 as lax
from cryptography import x509
from cryptography.hazmat import asn1
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509 import ObjectIdentifier
from cryptography.x509.ocsp import OCSPRequestBuilder

from standards.pki.errors import DecodeError
from standards.pki.fingerprints import certificate_der
from standards.pki.lenient_certificate import reading

REQUEST_BYTES_MAX = 8192
CERT_IDS_MAX = 64
_ISSUERS_MAX = 256
PREFERRED_MAX = 16
NONCE_BYTES_MAX = 128
NONCE_BYTES = 32
OID_BASIC = "1.3.6.1.5.5.7.48.1.1"
OID_NONCE = "1.3.6.1.5.5.7.48.1.2"
OID_ACCEPTABLE_RESPONSES = "1.3.6.1.5.5.7.48.1.4"
OID_SERVICE_LOCATOR = "1.3.6.1.5.5.7.48.1.7"
OID_PREFERRED_SIGNATURES = "1.3.6.1.5.5.7.48.1.8"
OID_EC_PUBLIC_KEY = "1.2.840.10045.2.1"
OID_EXTENDED_REVOKE = "1.3.6.1.5.5.7.48.1.9"

_DIGESTS: dict[str, Callable[[bytes], Any]] = {
    "1.3.14.3.2.26": hashlib.sha1,  # names things in CertIDs only, protects nothing
    "2.16.840.1.101.3.4.2.1": hashlib.sha256,
    "2.16.840.1.101.3.4.2.2": hashlib.sha384,
    "2.16.840.1.101.3.4.2.3": hashlib.sha512,
}
CERT_ID_DIGESTS = tuple(_DIGESTS)
_UNDERSTOOD_IN_REQUEST = frozenset({OID_NONCE, OID_ACCEPTABLE_RESPONSES, OID_PREFERRED_SIGNATURES})
_UNDERSTOOD_IN_SINGLE_REQUEST = frozenset({OID_SERVICE_LOCATOR})

_T = TypeVar("_T")


@asn1.sequence
class _Extension:
    oid: ObjectIdentifier
    critical: Annotated[bool, asn1.Default(value=False)]
    value: bytes


@asn1.sequence
class _AlgorithmIdentifier:
    oid: ObjectIdentifier
    parameters: asn1.Null | None


@asn1.sequence
class _CertId:
    hash_algorithm: _AlgorithmIdentifier
    issuer_name_hash: bytes
    issuer_key_hash: bytes
    serial: int


@asn1.sequence
class _Request:
    cert_id: _CertId
    extensions: Annotated[list[_Extension] | None, asn1.Explicit(0)]


@asn1.sequence
class _OtherName:
    type_id: ObjectIdentifier
    value: Annotated[asn1.TLV, asn1.Explicit(0)]


_GeneralName = (
    Annotated[asn1.Variant[_OtherName, Literal["other"]], asn1.Implicit(0)]
    | Annotated[asn1.Variant[asn1.IA5String, Literal["rfc822"]], asn1.Implicit(1)]
    | Annotated[asn1.Variant[asn1.IA5String, Literal["dns"]], asn1.Implicit(2)]
    | Annotated[asn1.Variant[asn1.TLV, Literal["directory"]], asn1.Explicit(4)]
    | Annotated[asn1.Variant[asn1.IA5String, Literal["uri"]], asn1.Implicit(6)]
    | Annotated[asn1.Variant[bytes, Literal["ip"]], asn1.Implicit(7)]
    | Annotated[asn1.Variant[ObjectIdentifier, Literal["registered"]], asn1.Implicit(8)]
)


@asn1.sequence
class _TbsRequest:
    version: Annotated[int, asn1.Explicit(0), asn1.Default(value=0)]
    requestor: Annotated[_GeneralName | None, asn1.Explicit(1)]
    requests: list[_Request]
    extensions: Annotated[list[_Extension] | None, asn1.Explicit(2)]


@asn1.sequence
class _Signature:
    algorithm: asn1.TLV
    signature: asn1.BitString
    certificates: Annotated[list[asn1.TLV] | None, asn1.Explicit(0)]


@asn1.sequence
class _OcspRequest:
    tbs: _TbsRequest
    signature: Annotated[_Signature | None, asn1.Explicit(0)]


class ResponseStatus(Enum):
    """OCSPResponseStatus (RFC 6960 section 4.2.1); 4 is not used."""

    SUCCESSFUL = 0
    MALFORMED_REQUEST = 1
    INTERNAL_ERROR = 2
    TRY_LATER = 3
    SIG_REQUIRED = 5
    UNAUTHORIZED = 6


@dataclass(frozen=True, slots=True, kw_only=True)
class CertId:
    """Which certificate is meant; `der` is the CertID as it was asked, `digest` the OID of its hash."""

    digest: str
    issuer_name_hash: bytes
    issuer_key_hash: bytes
    serial: int
    der: bytes = field(repr=False)

    @property
    def issuer(self) -> tuple[str, bytes, bytes]:
        """What all CertIDs of one issuer under one digest have in common."""
        return self.digest, self.issuer_name_hash, self.issuer_key_hash


@dataclass(frozen=True, slots=True, kw_only=True)
class PreferredSignature:
    """An algorithm that the client would like (RFC 6960 section 4.4.7): OIDs, of the key's None for any.

    `curve` is the OID of a named curve where the client names one for the key.
    """

    algorithm: str
    key: str | None = None
    curve: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class OcspRequest:
    """A decoded request; each CertID stands in it once, in the order of asking; `preferred` the best first."""

    cert_ids: tuple[CertId, ...]
    nonce: bytes | None
    preferred: tuple[PreferredSignature, ...] = ()
    der: bytes = field(repr=False)


def decode_request(data: bytes) -> OcspRequest:
    """Decode an OCSPRequest of strict DER; raises DecodeError for everything that RFC 6960 calls malformed.

    At most 64 CertIDs, a nonce of 1 to 128 octets (RFC 9654 section 2.1), no unknown critical extension.
    A signature on the request is accepted and NOT verified: it would authorise nothing here.
    """
    if not 0 < len(data) <= REQUEST_BYTES_MAX:
        raise DecodeError("OCSP request", expected=f"1 to {REQUEST_BYTES_MAX} bytes", got=str(len(data)))
    request = _decode(_OcspRequest, data, what="OCSP request").tbs
    if request.version != 0:
        raise DecodeError("OCSP request", expected="version v1", got=f"v{request.version + 1}")
    extensions = _extensions(request.extensions, understood=_UNDERSTOOD_IN_REQUEST)
    _check_acceptable(extensions.get(OID_ACCEPTABLE_RESPONSES))
    return OcspRequest(
        cert_ids=_cert_ids(request.requests),
        nonce=_nonce(extensions.get(OID_NONCE)),
        preferred=_preferred(extensions.get(OID_PREFERRED_SIGNATURES)),
        der=data,
    )


def build_request(certificate: x509.Certificate, issuer: x509.Certificate, *, nonce: bytes) -> OcspRequest:
    """Ask for one certificate by a SHA-256 CertID with `nonce` (N4: 32 random octets)."""
    if len(nonce) != NONCE_BYTES:
        raise DecodeError("nonce", expected=f"{NONCE_BYTES} octets", got=str(len(nonce)))
    built = (
        OCSPRequestBuilder()
        .add_certificate(certificate, issuer, hashes.SHA256())
        .add_extension(x509.OCSPNonce(nonce), critical=False)
        .build()
    )
    return decode_request(built.public_bytes(Encoding.DER))


@lru_cache(maxsize=_ISSUERS_MAX)
def issuer_hashes(issuer: x509.Certificate, digest: str) -> tuple[str, bytes, bytes]:
    """`CertId.issuer` of the certificates that `issuer` issued, under the digest of that OID.

    Hashed are the DER of its subject as it stands in its certificate, and the bits of its key (O6).
    """
    if digest not in _DIGESTS:
        raise DecodeError("CertID digest", expected="SHA-1 or SHA-2", got=digest)
    with reading("issuer certificate"):
        tbs = lax.Certificate.load(certificate_der(issuer))["tbs_certificate"]
        name = tbs["subject"].dump()
        key_bits = tbs["subject_public_key_info"]["public_key"].contents[1:]
    hashed = _DIGESTS[digest]
    return digest, hashed(name).digest(), hashed(key_bits).digest()


def _decode(kind: type[_T], der: bytes, *, what: str) -> _T:
    try:
        return asn1.decode_der(kind, der)
    except (ValueError, TypeError, OverflowError) as error:
        raise DecodeError(what, expected="its DER structure", got=str(error)) from error


def _cert_ids(requests: list[_Request]) -> tuple[CertId, ...]:
    if not 1 <= len(requests) <= CERT_IDS_MAX:
        raise DecodeError("OCSP request", expected=f"1 to {CERT_IDS_MAX} CertIDs", got=str(len(requests)))
    found: dict[bytes, CertId] = {}
    for each in requests:
        _extensions(each.extensions, understood=_UNDERSTOOD_IN_SINGLE_REQUEST)
        asked = each.cert_id
        decoded = CertId(
            digest=asked.hash_algorithm.oid.dotted_string,
            issuer_name_hash=asked.issuer_name_hash,
            issuer_key_hash=asked.issuer_key_hash,
            serial=asked.serial,
            der=asn1.encode_der(asked),
        )
        found[decoded.der] = decoded
    return tuple(found.values())


def _extensions(encoded: list[_Extension] | None, *, understood: frozenset[str]) -> dict[str, bytes]:
    found: dict[str, bytes] = {}
    for each in encoded or ():
        oid = each.oid.dotted_string
        if oid in found:
            raise DecodeError("OCSP request", expected="each extension once", got=f"{oid} twice")
        if each.critical and oid not in understood:
            raise DecodeError("OCSP request", expected="no unknown critical extension", got=oid)
        found[oid] = each.value
    return found


def _nonce(value: bytes | None) -> bytes | None:
    if value is None:
        return None
    octets = _decode(bytes, value, what="nonce")
    if not 1 <= len(octets) <= NONCE_BYTES_MAX:
        raise DecodeError("nonce", expected=f"1 to {NONCE_BYTES_MAX} octets", got=str(len(octets)))
    return octets


def _preferred(value: bytes | None) -> tuple[PreferredSignature, ...]:
    if value is None:
        return ()
    with reading("preferred signature algorithms"):
        listed = ocsp.PreferredSignatureAlgorithms.load(value, strict=True)
        wishes = tuple(_wish(each) for each in listed)
    if not 1 <= len(wishes) <= PREFERRED_MAX:
        got = str(len(wishes))
        raise DecodeError("preferred signature algorithms", expected=f"1 to {PREFERRED_MAX}", got=got)
    return wishes


def _wish(listed: ocsp.PreferredSignatureAlgorithm) -> PreferredSignature:
    algorithm, key = listed["sig_identifier"]["algorithm"].dotted, listed["cert_identifier"]
    if isinstance(key, core.Void):
        return PreferredSignature(algorithm=algorithm)
    curve = key["parameters"]
    named = isinstance(curve, keys.ECDomainParameters) and curve.name == "named"
    return PreferredSignature(
        algorithm=algorithm,
        key=key["algorithm"].dotted,
        curve=curve.chosen.dotted if named else None,
    )


def _check_acceptable(value: bytes | None) -> None:
    if value is None:
        return
    with reading("acceptable responses"):
        accepted = [each.dotted for each in ocsp.AcceptableResponses.load(value, strict=True)]
    if OID_BASIC not in accepted:
        # Every client has to take the basic type (RFC 6960 section 4.4.3), and there is no other.
        raise DecodeError("acceptable responses", expected=OID_BASIC, got=", ".join(accepted))
