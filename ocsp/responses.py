"""What an OCSP response says and who signs it how; its layout stands in `standards.pki.ocsp_template`.

    SingleResponse ::= SEQUENCE { certID, certStatus, thisUpdate, nextUpdate [0] EXPLICIT GeneralizedTime,
                                  singleExtensions [1] EXPLICIT Extensions OPTIONAL }

The one rule: what is laid out here is constants, times, digests, and bytes that a strict decoder has passed.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec

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
    validity,
)

_ID_EXTENDED_REVOKE = bytes.fromhex("06092b0601050507300109")
_NULL = bytes.fromhex("0500")
_GOOD = bytes.fromhex("8000")  # good [0] IMPLICIT NULL
_UNKNOWN = bytes.fromhex("8200")  # unknown [2] IMPLICIT NULL
_Scheme = tuple[bytes, ec.ECDSA]
_ECDSA: dict[str, _Scheme] = {
    "1.2.840.10045.4.3.2": (bytes.fromhex("300a06082a8648ce3d040302"), ec.ECDSA(hashes.SHA256())),
    "1.2.840.10045.4.3.3": (bytes.fromhex("300a06082a8648ce3d040303"), ec.ECDSA(hashes.SHA384())),
    "1.2.840.10045.4.3.4": (bytes.fromhex("300a06082a8648ce3d040304"), ec.ECDSA(hashes.SHA512())),
}
"""Every algorithm that an answer is ever signed with; what a client would like besides is passed over."""
_CURVES: dict[str, tuple[str, str]] = {
    "secp256r1": ("1.2.840.10045.3.1.7", "1.2.840.10045.4.3.2"),
    "secp384r1": ("1.3.132.0.34", "1.2.840.10045.4.3.3"),
}
"""The curve's OID, and the algorithm that is usual on it: its hash is as strong as the curve, or stronger."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SingleResponse:
    """The status of one asked certificate; `known` False means `unknown`, whole seconds everywhere.

    `extensions` is the DER of its singleExtensions [1], where there are any.
    """

    cert_id: CertId
    known: bool
    revocation: Revocation | None
    this_update: datetime
    next_update: datetime
    extensions: bytes = b""


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
    """Sign the answer that consists of `singles`, with `delegate`'s certificate beside it (L5).

    `nonce` is echoed where there is one; `extended_revoke` says that `revoked` may mean "never issued".
    Without both the answer has no response extensions (L4). `preferred` is what the client would like the
    signature to be, best first (O17).
    """
    extensions = b"" if nonce is None else nonce_extension(nonce)
    if extended_revoke:
        extensions += tlv(SEQUENCE, _ID_EXTENDED_REVOKE + tlv(OCTETS, _NULL))
    response_data = delegate.template.response_data(
        b"".join(map(_single, singles)), produced_at=produced_at, extensions=extensions
    )
    algorithm, digest = _scheme(delegate.curve, preferred)
    signature = delegate.key.sign(response_data, digest)
    return delegate.template.response(response_data, algorithm=algorithm, signature=signature)


def _scheme(curve: str, preferred: Sequence[PreferredSignature]) -> _Scheme:
    """The first wish that this key can fulfil with a hash no weaker than is usual on its curve, or the usual."""
    curve_oid, usual = _CURVES[curve]
    least = _ECDSA[usual][1].algorithm.digest_size
    for wish in preferred:
        scheme = _ECDSA.get(wish.algorithm)
        own_key = wish.key in {None, OID_EC_PUBLIC_KEY} and wish.curve in {None, curve_oid}
        if scheme is not None and own_key and scheme[1].algorithm.digest_size >= least:
            return scheme
    return _ECDSA[usual]


def _single(single: SingleResponse) -> bytes:
    return tlv(
        SEQUENCE,
        single.cert_id.der
        + _status(single)
        + validity(single.this_update, single.next_update)
        + single.extensions,
    )


def _status(single: SingleResponse) -> bytes:
    if not single.known:
        return _UNKNOWN
    if single.revocation is None:
        return _GOOD
    reason = b""
    if single.revocation.reason is not RevocationReason.UNSPECIFIED:  # absent means unspecified (P10)
        reason = explicit(0, tlv(ENUMERATED, bytes([single.revocation.reason.value])))
    return tlv(0xA1, time(single.revocation.at) + reason)  # revoked [1] IMPLICIT RevokedInfo
