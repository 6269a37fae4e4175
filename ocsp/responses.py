"""What an OCSP response says and who signs it how; its layout stands in `standards.pki.ocsp_template`.

    SingleResponse ::= SEQUENCE { certID, certStatus, thisUpdate, nextUpdate [0] EXPLICIT GeneralizedTime,
                                  singleExtensions [1] EXPLICIT Extensions OPTIONAL }

The one rule: what is laid out here is constants, times, digests, and bytes that a strict decoder has passed.
"""

import hashlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import NamedTuple

from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.utils import Prehashed

from ocsp.delegates import Delegate
from standards.pki.crl import Revocation, RevocationReason
from standards.pki.ocsp import OID_EC_PUBLIC_KEY, CertId, PreferredSignature, ResponseStatus
from standards.pki.ocsp_template import (
    ENUMERATED,
    OCTETS,
    SEQUENCE,
    explicit,
    nonce_extension,
    time,
    tlv,
)

_ID_EXTENDED_REVOKE = bytes.fromhex("06092b0601050507300109")
_NULL = bytes.fromhex("0500")
_GOOD = bytes.fromhex("8000")  # good [0] IMPLICIT NULL
_UNKNOWN = bytes.fromhex("8200")  # unknown [2] IMPLICIT NULL


class Scheme(NamedTuple):
    """Encoded AlgorithmIdentifier, the hash, and how its digest is signed: hashlib costs half of what the library's own hash does."""

    algorithm: bytes
    hashed: Callable[[bytes], "hashlib._Hash"]
    signed: ec.ECDSA
    digest_octets: int


def _scheme_of(
    name: str, hashed: Callable[[bytes], "hashlib._Hash"], algorithm: hashes.HashAlgorithm
) -> Scheme:
    return Scheme(bytes.fromhex(name), hashed, ec.ECDSA(Prehashed(algorithm)), algorithm.digest_size)


_ECDSA = {
    "1.2.840.10045.4.3.2": _scheme_of("300a06082a8648ce3d040302", hashlib.sha256, hashes.SHA256()),
    "1.2.840.10045.4.3.3": _scheme_of("300a06082a8648ce3d040303", hashlib.sha384, hashes.SHA384()),
    "1.2.840.10045.4.3.4": _scheme_of("300a06082a8648ce3d040304", hashlib.sha512, hashes.SHA512()),
}
"""Every algorithm that an answer is ever signed with; what a client would like besides is passed over."""
_CURVES: dict[str, tuple[str, str]] = {
    "secp256r1": ("1.2.840.10045.3.1.7", "1.2.840.10045.4.3.2"),
    "secp384r1": ("1.3.132.0.34", "1.2.840.10045.4.3.3"),
}
"""The curve's OID, and the algorithm that is usual on it: its hash is as strong as the curve, or stronger."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Told:
    """A status as it is told; `known` False means `unknown`, whole seconds everywhere. `der` is laid out once."""

    known: bool
    revocation: Revocation | None
    this_update: datetime
    next_update: datetime
    der: bytes = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        """Lay out certStatus, thisUpdate and nextUpdate."""
        der = _status(self) + time(self.this_update) + explicit(0, time(self.next_update))
        object.__setattr__(self, "der", der)


class SingleResponse(NamedTuple):
    """What is told of one asked certificate; `extensions` is the DER of its singleExtensions [1], if any."""

    cert_id: CertId
    told: Told
    extensions: bytes = b""


class Unsigned(NamedTuple):
    """A BasicOCSPResponse that lacks its signature; `digest` is that of the response data."""

    response_data: bytes
    digest: bytes
    delegate: Delegate
    scheme: "Scheme"

    def signature(self) -> bytes:
        """The delegate's signature."""
        return self.delegate.key.sign(self.digest, self.scheme.signed)

    def response(self, signature: bytes) -> bytes:
        """DER of the OCSPResponse, with the delegate's certificate beside the signature (L5)."""
        return self.delegate.template.response(
            self.response_data, algorithm=self.scheme.algorithm, signature=signature
        )


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
    return tlv(SEQUENCE, tlv(ENUMERATED, bytes([status.value])))


def basic_response(
    singles: Sequence[SingleResponse],
    *,
    delegate: Delegate,
    produced_at: datetime,
    nonce: bytes | None,
    extended_revoke: bool = False,
    preferred: Sequence[PreferredSignature] = (),
) -> bytes:
    """Sign the answer that consists of `singles`: `unsigned_response`, signed."""
    unsigned = unsigned_response(
        singles,
        delegate=delegate,
        produced_at=produced_at,
        nonce=nonce,
        extended_revoke=extended_revoke,
        preferred=preferred,
    )
    return unsigned.response(unsigned.signature())


def unsigned_response(
    singles: Sequence[SingleResponse],
    *,
    delegate: Delegate,
    produced_at: datetime,
    nonce: bytes | None,
    extended_revoke: bool = False,
    preferred: Sequence[PreferredSignature] = (),
) -> Unsigned:
    """Lay out the answer that consists of `singles`.

    `nonce` is echoed where there is one; `extended_revoke` says that `revoked` may mean "never issued".
    Without both the answer has no response extensions (L4). `preferred` is what the client would like the
    signature to be, best first (O17).
    """
    template, scheme = delegate.template, _scheme(delegate.curve, preferred)
    if len(singles) == 1 and nonce is not None and not extended_revoke:
        cert_id, told, extensions = singles[0]
        data = template.plain_response_data(
            cert_id.der, told.der + extensions, produced_at=produced_at, nonce=nonce
        )
        return Unsigned(data, scheme.hashed(data).digest(), delegate, scheme)
    more = b"" if nonce is None else nonce_extension(nonce)
    if extended_revoke:
        more += tlv(SEQUENCE, _ID_EXTENDED_REVOKE + tlv(OCTETS, _NULL))
    listed = [tlv(SEQUENCE, cert_id.der + told.der + extensions) for cert_id, told, extensions in singles]
    data = template.response_data(b"".join(listed), produced_at=produced_at, extensions=more)
    return Unsigned(data, scheme.hashed(data).digest(), delegate, scheme)


def _scheme(curve: str, preferred: Sequence[PreferredSignature]) -> Scheme:
    """The first wish that this key can fulfil with a hash no weaker than is usual on its curve, or the usual."""
    curve_oid, usual = _CURVES[curve]
    least = _ECDSA[usual].digest_octets
    for wish in preferred:
        scheme = _ECDSA.get(wish.algorithm)
        own_key = wish.key in {None, OID_EC_PUBLIC_KEY} and wish.curve in {None, curve_oid}
        if scheme is not None and own_key and scheme.digest_octets >= least:
            return scheme
    return _ECDSA[usual]


def _status(told: Told) -> bytes:
    if not told.known:
        return _UNKNOWN
    if told.revocation is None:
        return _GOOD
    reason = b""
    if told.revocation.reason is not RevocationReason.UNSPECIFIED:  # absent means unspecified (P10)
        reason = explicit(0, tlv(ENUMERATED, bytes([told.revocation.reason.value])))
    return tlv(0xA1, time(told.revocation.at) + reason)  # revoked [1] IMPLICIT RevokedInfo
