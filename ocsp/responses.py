"""OCSP responses in DER (RFC 6960 section 4.2), laid out by hand because a responder's time is its caller's.

    OCSPResponse ::= SEQUENCE { responseStatus ENUMERATED,
                                responseBytes [0] EXPLICIT SEQUENCE { id-pkix-ocsp-basic, OCTET STRING } }
    BasicOCSPResponse ::= SEQUENCE { tbsResponseData, signatureAlgorithm, signature BIT STRING,
                                     certs [0] EXPLICIT SEQUENCE OF Certificate }
    ResponseData ::= SEQUENCE { responderID [2] EXPLICIT KeyHash, producedAt GeneralizedTime,
                                responses SEQUENCE OF SingleResponse,
                                responseExtensions [1] EXPLICIT Extensions OPTIONAL }
    SingleResponse ::= SEQUENCE { certID, certStatus, thisUpdate, nextUpdate [0] EXPLICIT GeneralizedTime }

The one rule: what is laid out here is constants, times, digests, and bytes that a strict decoder has passed.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec

from ocsp.delegates import Delegate
from standards.pki.crl import Revocation, RevocationReason
from standards.pki.fingerprints import certificate_der
from standards.pki.ocsp import OID_EC_PUBLIC_KEY, CertId, PreferredSignature, ResponseStatus

_SHORT_LENGTHS = 0x80
_OCTETS, _BITS, _ENUMERATED, _TIME, _SEQUENCE = 0x04, 0x03, 0x0A, 0x18, 0x30
_ID_BASIC = bytes.fromhex("06092b0601050507300101")
_ID_NONCE = bytes.fromhex("06092b0601050507300102")
_ID_EXTENDED_REVOKE = bytes.fromhex("06092b0601050507300109")
_NULL = bytes.fromhex("0500")
_Scheme = tuple[bytes, hashes.HashAlgorithm]
_ECDSA: dict[str, _Scheme] = {
    "1.2.840.10045.4.3.2": (bytes.fromhex("300a06082a8648ce3d040302"), hashes.SHA256()),
    "1.2.840.10045.4.3.3": (bytes.fromhex("300a06082a8648ce3d040303"), hashes.SHA384()),
    "1.2.840.10045.4.3.4": (bytes.fromhex("300a06082a8648ce3d040304"), hashes.SHA512()),
}
"""Every algorithm that an answer is ever signed with; what a client would like besides is passed over."""
_CURVES: dict[str, tuple[str, str]] = {
    "secp256r1": ("1.2.840.10045.3.1.7", "1.2.840.10045.4.3.2"),
    "secp384r1": ("1.3.132.0.34", "1.2.840.10045.4.3.3"),
}
"""The curve's OID, and the algorithm that is usual on it: its hash is as strong as the curve, or stronger."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SingleResponse:
    """The status of one asked certificate; `known` False means `unknown`, whole seconds everywhere."""

    cert_id: CertId
    known: bool
    revocation: Revocation | None
    this_update: datetime
    next_update: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """An OCSP response with what HTTP has to know about it; the times are those of the answer."""

    der: bytes
    status: ResponseStatus
    nonce: bool = False
    this_update: datetime | None = None
    next_update: datetime | None = None
    error: Exception | None = None


def error_response(status: ResponseStatus) -> bytes:
    """A response of this status and nothing else (O1)."""
    return _tlv(_SEQUENCE, _tlv(_ENUMERATED, bytes([status.value])))


def basic_response(
    singles: Sequence[SingleResponse],
    *,
    delegate: Delegate,
    produced_at: datetime,
    nonce: bytes | None,
    extended_revoke: bool = False,
    preferred: Sequence[PreferredSignature] = (),
) -> bytes:
    """Sign the answer that consists of `singles`, with `delegate`'s certificate beside it (L5).

    `nonce` is echoed where there is one; `extended_revoke` says that `revoked` may mean "never issued".
    Without both the answer has no response extensions (L4). `preferred` is what the client would like the
    signature to be, best first (O17).
    """
    extensions = b""
    if nonce is not None:
        extensions += _tlv(_SEQUENCE, _ID_NONCE, _tlv(_OCTETS, _tlv(_OCTETS, nonce)))
    if extended_revoke:
        extensions += _tlv(_SEQUENCE, _ID_EXTENDED_REVOKE, _tlv(_OCTETS, _NULL))
    key_hash = x509.SubjectKeyIdentifier.from_public_key(delegate.key.public_key()).digest
    response_data = _tlv(
        _SEQUENCE,
        _explicit(2, _tlv(_OCTETS, key_hash)),
        _time(produced_at),
        _tlv(_SEQUENCE, *map(_single, singles)),
        _explicit(1, _tlv(_SEQUENCE, extensions)) if extensions else b"",
    )
    algorithm, digest = _scheme(delegate.key.curve.name, preferred)
    signature = delegate.key.sign(response_data, ec.ECDSA(digest))
    basic = _tlv(
        _SEQUENCE,
        response_data,
        algorithm,
        _tlv(_BITS, b"\x00", signature),
        _explicit(0, _tlv(_SEQUENCE, certificate_der(delegate.certificate))),
    )
    successful = _tlv(_ENUMERATED, bytes([ResponseStatus.SUCCESSFUL.value]))
    return _tlv(_SEQUENCE, successful, _explicit(0, _tlv(_SEQUENCE, _ID_BASIC, _tlv(_OCTETS, basic))))


def _scheme(curve: str, preferred: Sequence[PreferredSignature]) -> _Scheme:
    """The first wish that this key can fulfil with a hash no weaker than is usual on its curve, or the usual."""
    curve_oid, usual = _CURVES[curve]
    least = _ECDSA[usual][1].digest_size
    for wish in preferred:
        scheme = _ECDSA.get(wish.algorithm)
        own_key = wish.key in {None, OID_EC_PUBLIC_KEY} and wish.curve in {None, curve_oid}
        if scheme is not None and own_key and scheme[1].digest_size >= least:
            return scheme
    return _ECDSA[usual]


def _single(single: SingleResponse) -> bytes:
    return _tlv(
        _SEQUENCE,
        single.cert_id.der,
        _status(single),
        _time(single.this_update),
        _explicit(0, _time(single.next_update)),
    )


def _status(single: SingleResponse) -> bytes:
    if not single.known:
        return bytes.fromhex("8200")  # unknown [2] IMPLICIT NULL
    if single.revocation is None:
        return bytes.fromhex("8000")  # good [0] IMPLICIT NULL
    reason = b""
    if single.revocation.reason is not RevocationReason.UNSPECIFIED:  # absent means unspecified (P10)
        reason = _explicit(0, _tlv(_ENUMERATED, bytes([single.revocation.reason.value])))
    return _tlv(0xA1, _time(single.revocation.at), reason)  # revoked [1] IMPLICIT RevokedInfo


def _time(at: datetime) -> bytes:
    return _tlv(_TIME, f"{at.year:04d}{at:%m%d%H%M%S}Z".encode("ascii"))


def _explicit(number: int, content: bytes) -> bytes:
    return _tlv(0xA0 | number, content)


def _tlv(tag: int, *parts: bytes) -> bytes:
    content = b"".join(parts)
    length = len(content)
    if length < _SHORT_LENGTHS:
        return bytes([tag, length]) + content
    octets = length.to_bytes((length.bit_length() + 7) // 8, "big")
    return bytes([tag, 0x80 | len(octets)]) + octets + content
