"""COSE_Sign1 with the signer's certificate path (RFC 9052 section 4.2, RFC 9360 section 2).

Rule: the key is the one in a certificate that validates to the caller's anchors for the caller's purpose, and the
algorithm is ES256; only protected headers count, and a header that is not known here is refused, since it could
change what was signed. Signatures are made and checked by the `cwt` library.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

import cbor2
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric.ec import (
    SECP256R1,
    EllipticCurvePrivateKey,
    EllipticCurvePublicKey,
)
from cwt import COSE, COSEKey
from cwt.cose_key_interface import COSEKeyInterface
from cwt.exceptions import CWTError

from standards.pki.errors import DecodeError
from standards.pki.fingerprints import certificate_der, decode_certificate
from standards.pki.paths import validate_path
from standards.rats.cbor import decode_deterministic
from standards.rats.errors import RatsError, refusal
from standards.rats.fields import Fields

TAG_COSE_SIGN1: Final = 18
ES256: Final = -7
ALG, CONTENT_TYPE, X5CHAIN = 1, 3, 33
CHAIN_LENGTH_MAX: Final = 6
_CERTIFICATE_SIZE_MAX: Final = 8192
_PROTECTED_SIZE_MAX: Final = 65_536
_COORDINATE_SIZE: Final = 32
_SIGNATURE_SIZE: Final = 64
_PARTS: Final = 4


@dataclass(frozen=True, slots=True, kw_only=True)
class Profile:
    """What a signed object of one kind looks like: content type, further protected headers, size, purpose."""

    content_type: str
    headers: frozenset[int]
    bytes_max: int
    eku: x509.ObjectIdentifier


@dataclass(frozen=True, slots=True, kw_only=True)
class VerifiedSign1:
    """A payload whose signer is proven; `path` is leaf first, anchor last; `headers` are the protected ones."""

    payload: bytes
    headers: dict[int, Any]
    path: tuple[x509.Certificate, ...]


def sign(
    payload: bytes,
    *,
    profile: Profile,
    headers: dict[int, Any],
    key: EllipticCurvePrivateKey,
    chain: Sequence[x509.Certificate],
) -> bytes:
    """Sign a payload with ES256; `chain` is leaf first, without the root, `headers` those of the profile.

    Raises:
        RatsError: the key is not P-256, or not the one in the first certificate.
    """
    if not chain or chain[0].public_key() != key.public_key():
        raise RatsError(
            what="signer", expected="the certificate of the key first in the chain", got="another"
        )
    certificates = [certificate_der(each) for each in chain]
    # RFC 9360: one certificate stands alone, several form an array.
    x5chain = certificates[0] if len(certificates) == 1 else certificates
    protected: dict[Any, Any] = {ALG: ES256, CONTENT_TYPE: profile.content_type, **headers, X5CHAIN: x5chain}
    private = key.private_numbers().private_value
    signed = COSE.new(deterministic_header=True).encode_and_sign(
        payload, key=_cose_key(key.public_key(), private), protected=protected
    )
    if not isinstance(signed, bytes):
        raise RatsError(what="COSE_Sign1", expected="bytes", got=type(signed).__name__)
    return signed


def verify(
    data: bytes,
    *,
    profile: Profile,
    anchors: Sequence[x509.Certificate],
    at: datetime,
) -> VerifiedSign1:
    """Verify a tagged COSE_Sign1 over an attached payload; every header of the profile must be there, and no other.

    Raises:
        RatsError: malformed, another algorithm or content type, an unknown header, a wrong signature.
        PathError: the signer's certificate is not valid for this purpose under these anchors.
    """
    protected_bytes, payload, signature = _parts(data, bytes_max=profile.bytes_max)
    protected = Fields(
        decode_deterministic(protected_bytes, bytes_max=_PROTECTED_SIZE_MAX),
        what="COSE protected header",
        refusal=refusal,
    )
    if protected.integer(ALG, low=-(1 << 31)) != ES256:
        raise RatsError(what="COSE alg", expected=f"ES256 ({ES256})", got="another algorithm")
    if protected.text(CONTENT_TYPE) != profile.content_type:
        raise RatsError(what="COSE content type", expected=profile.content_type, got="another")
    values = {label: protected.raw(label) for label in sorted(profile.headers)}
    chain = _chain(protected.raw(X5CHAIN))
    protected.close()
    path = validate_path(chain[0], intermediates=chain[1:], anchors=anchors, at=at, eku=profile.eku)
    _check_signature(data, key=chain[0].public_key(), signature=signature)
    return VerifiedSign1(payload=payload, headers=values, path=path)


def unverified_payload(data: bytes, *, bytes_max: int) -> bytes:
    """The payload of a tagged COSE_Sign1, whoever signed it. Raises RatsError: another structure."""
    return _parts(data, bytes_max=bytes_max)[1]


def _parts(data: bytes, *, bytes_max: int) -> tuple[bytes, bytes, bytes]:
    """Protected header, payload and signature of a tagged COSE_Sign1 without unprotected headers."""
    sign1 = decode_deterministic(data, bytes_max=bytes_max, tags=frozenset({TAG_COSE_SIGN1}))
    if not isinstance(sign1, cbor2.CBORTag) or sign1.tag != TAG_COSE_SIGN1:
        raise RatsError(
            what="COSE_Sign1", expected=f"tag {TAG_COSE_SIGN1}", got="an unsigned or another object"
        )
    parts = sign1.value
    if not isinstance(parts, list) or len(parts) != _PARTS:
        raise RatsError(what="COSE_Sign1", expected=f"an array of {_PARTS}", got="another shape")
    protected, unprotected, payload, signature = parts
    if not all(isinstance(part, bytes) for part in (protected, payload, signature)):
        raise RatsError(
            what="COSE_Sign1", expected="protected, payload and signature as bytes", got="other types"
        )
    if unprotected != {}:
        raise RatsError(what="COSE unprotected header", expected="an empty map", got="something unsigned")
    if len(signature) != _SIGNATURE_SIZE:
        raise RatsError(what="COSE signature", expected=f"{_SIGNATURE_SIZE} bytes", got=str(len(signature)))
    return protected, payload, signature


def _chain(value: object) -> list[x509.Certificate]:
    encoded = [value] if isinstance(value, bytes) else value
    fields = Fields({X5CHAIN: encoded}, what="COSE header", refusal=refusal)
    rows = fields.items(X5CHAIN, size_min=1, size_max=CHAIN_LENGTH_MAX)
    certificates = Fields(dict(enumerate(rows)), what="x5chain", refusal=refusal)
    try:
        return [
            decode_certificate(certificates.octets(index, size_min=1, size_max=_CERTIFICATE_SIZE_MAX))
            for index in range(len(rows))
        ]
    except DecodeError as error:
        raise RatsError(what="x5chain", expected=error.expected, got=error.got) from error


def _check_signature(data: bytes, *, key: object, signature: bytes) -> None:
    if not isinstance(key, EllipticCurvePublicKey):
        raise RatsError(what="signer's key", expected="ECDSA on P-256", got=type(key).__name__)
    try:
        COSE.new().decode(data, keys=_cose_key(key, None))
    except (CWTError, ValueError, TypeError, KeyError) as error:
        got = f"{len(signature)} bytes that do not verify"
        raise RatsError(
            what="COSE signature", expected="that of the first certificate's key", got=got
        ) from error


def _cose_key(key: EllipticCurvePublicKey, private: int | None) -> COSEKeyInterface:
    if not isinstance(key.curve, SECP256R1):
        raise RatsError(what="signer's key", expected="ECDSA on P-256", got=key.curve.name)
    numbers = key.public_numbers()
    x, y = (number.to_bytes(_COORDINATE_SIZE, "big") for number in (numbers.x, numbers.y))
    parameters: dict[int, Any] = {1: 2, 3: ES256, -1: 1, -2: x, -3: y}
    if private is not None:
        parameters[-4] = private.to_bytes(_COORDINATE_SIZE, "big")
    return COSEKey.new(parameters)
