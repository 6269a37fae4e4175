"""Signed tokens: JWS compact serialization with ES256 and the signer's certificate path (RFC 7515, 7518).

The one rule: the key is the one in a certificate that validates to the caller's anchors for the caller's
purpose, and the algorithm is ES256; what the header says about keys and algorithms never decides.

An ECDSA signature can be rewritten by anybody into a second valid one over the same content. So a digest
of a whole token identifies nothing: what must be single use is told apart by a value inside the claims.
"""

import json
from base64 import b64decode, b64encode, urlsafe_b64encode
from binascii import Error as Base64Error
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import lru_cache
from typing import Any

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric.ec import (
    ECDSA,
    SECP256R1,
    EllipticCurvePrivateKey,
    EllipticCurvePublicKey,
)
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.x509 import ObjectIdentifier
from joserfc import jws
from joserfc.errors import JoseError
from joserfc.jwk import ECKey
from joserfc.util import urlsafe_b64decode

from standards.pki.errors import DecodeError, JwsError
from standards.pki.fingerprints import certificate_der, decode_certificate
from standards.pki.paths import validate_path

ALGORITHM = "ES256"
CHAIN_CERTIFICATES_MAX = 8
BYTES_MAX = 65536
_SEGMENTS = 3
_COORDINATE_BYTES = 32
_SIGNERS_MAX = 64
_ENCODER = json.JSONEncoder(separators=(",", ":"), allow_nan=False, ensure_ascii=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class VerifiedJws:
    """Claims whose signer is proven; `path` is leaf first, anchor last. Times and audience are NOT judged."""

    claims: dict[str, Any]
    path: tuple[x509.Certificate, ...]
    token: str


class _Registry(jws.JWSRegistry):
    """Limits come from `bytes_max`, checked before anything is parsed; an x5c header alone passes 512 bytes."""

    max_header_length = 1 << 24
    max_payload_length = 1 << 24


_REGISTRY = _Registry(algorithms=[ALGORITHM], strict_check_header=False)
"""Headers are judged before it; those that remain (kid, jwk, ...) are never looked at."""


def sign_jws(
    payload: Mapping[str, Any],
    *,
    key: EllipticCurvePrivateKey,
    chain: Sequence[x509.Certificate],
    typ: str,
) -> str:
    """Sign claims as a compact JWS with header alg, typ and x5c = `chain` (leaf first, without the root)."""
    content = _ENCODER.encode(payload)
    signed = f"{_header_segment(key, tuple(chain), typ)}.{_base64url(content.encode('utf-8'))}"
    r, s = decode_dss_signature(key.sign(signed.encode("ascii"), ECDSA(SHA256())))
    # RFC 7518 section 3.4: R and S, 32 bytes each, big-endian
    signature = r.to_bytes(_COORDINATE_BYTES, "big") + s.to_bytes(_COORDINATE_BYTES, "big")
    return f"{signed}.{_base64url(signature)}"


@lru_cache(maxsize=_SIGNERS_MAX)
def _header_segment(key: EllipticCurvePrivateKey, chain: tuple[x509.Certificate, ...], typ: str) -> str:
    """The header that a signer puts before everything of one type: made, and checked against its key, once."""
    _p256(key.public_key())
    if not chain or chain[0].public_key() != key.public_key():
        raise JwsError("the first certificate of the chain is not that of the signing key")
    header = {
        "alg": ALGORITHM,
        "typ": typ,
        "x5c": [b64encode(certificate_der(each)).decode("ascii") for each in chain],
    }
    return _base64url(json.dumps(header, separators=(",", ":")).encode("ascii"))


def jws_length(
    payload: Mapping[str, Any],
    *,
    key: EllipticCurvePrivateKey,
    chain: Sequence[x509.Certificate],
    typ: str,
) -> int:
    """Characters of what `sign_jws` makes of the same: all its signatures have one length."""
    content = _base64url(_ENCODER.encode(payload).encode("utf-8"))
    signature = _base64url(bytes(2 * _COORDINATE_BYTES))
    return len(_header_segment(key, tuple(chain), typ)) + len(content) + len(signature) + 2


def verify_jws_of(
    token: str, *, path: tuple[x509.Certificate, ...], bytes_max: int = BYTES_MAX
) -> VerifiedJws:
    """As `verify_jws`, of a token whose first segment is, octet by octet, that of one whose signer had this `path`.

    What `verify_jws` finds of a header and its path is so of these. NOT checked here: that the path is in its time. Raises
    JwsError.
    """
    if len(token) > bytes_max:
        raise JwsError("too long", expected=f"at most {bytes_max} characters", got=str(len(token)))
    _split(token)
    content = _verify_signature(token, leaf=path[0])
    return VerifiedJws(claims=_decode_object(content, what="payload"), path=path, token=token)


def verify_jws(
    token: str,
    *,
    anchors: Sequence[x509.Certificate],
    eku: ObjectIdentifier,
    typ: str,
    at: datetime,
    bytes_max: int = BYTES_MAX,
) -> VerifiedJws:
    """Verify a compact JWS: form, type, signer's path to `anchors` with purpose `eku` at `at`, signature.

    NOT checked here: exp, iat, aud and every other claim. Raises JwsError, or PathError for the signer.
    """
    if len(token) > bytes_max:
        raise JwsError("too long", expected=f"at most {bytes_max} characters", got=str(len(token)))
    header = _decode_header(token)
    _check_header(header, typ=typ)
    leaf, *others = _decode_chain(header.get("x5c"))
    path = validate_path(leaf, intermediates=others, anchors=anchors, at=at, eku=eku)
    content = _verify_signature(token, leaf=leaf)
    return VerifiedJws(claims=_decode_object(content, what="payload"), path=path, token=token)


def _split(token: str) -> list[str]:
    segments = token.split(".")
    if not token.isascii() or len(segments) != _SEGMENTS:
        raise JwsError(
            "not a compact JWS", expected="three segments of ASCII", got=f"{len(segments)} segments"
        )
    return segments


def _decode_header(token: str) -> dict[str, Any]:
    segments = _split(token)
    try:
        decoded = urlsafe_b64decode(segments[0].encode("ascii"))
    except ValueError as error:
        raise JwsError("the header is not base64url") from error
    return _decode_object(decoded, what="header")


def _check_header(header: dict[str, Any], *, typ: str) -> None:
    for name in ("crit", "b64"):
        if name in header:
            raise JwsError("a header that this protocol does not use", expected=f"no {name!r}", got=name)
    if header.get("alg") != ALGORITHM:
        raise JwsError("algorithm", expected=ALGORITHM, got=repr(header.get("alg"))[:40])
    if header.get("typ") != typ:
        raise JwsError("type", expected=typ, got=repr(header.get("typ"))[:80])


def _decode_chain(encoded: object) -> list[x509.Certificate]:
    if not isinstance(encoded, list) or not 1 <= len(encoded) <= CHAIN_CERTIFICATES_MAX:
        raise JwsError(
            "x5c", expected=f"1 to {CHAIN_CERTIFICATES_MAX} certificates", got=type(encoded).__name__
        )
    chain = []
    for each in encoded:
        if not isinstance(each, str):
            raise JwsError("x5c", expected="base64 strings", got=type(each).__name__)
        try:
            chain.append(decode_certificate(b64decode(each, validate=True)))
        except (Base64Error, ValueError, DecodeError) as error:
            raise JwsError(f"x5c: {error}") from error
    return chain


def _verify_signature(token: str, *, leaf: x509.Certificate) -> bytes:
    key = _key_of(leaf)
    try:
        signed = jws.extract_compact(token.encode("ascii"), registry=_REGISTRY)
        genuine = jws.validate_compact(signed, key, registry=_REGISTRY)
    except (JoseError, ValueError, TypeError, KeyError, RecursionError) as error:
        raise JwsError(f"malformed: {error}") from error
    if not genuine:
        raise JwsError("the signature is not that of the certificate in x5c")
    return signed.payload


@lru_cache(maxsize=_SIGNERS_MAX)
def _key_of(leaf: x509.Certificate) -> ECKey:
    key = _p256(leaf.public_key())
    return ECKey(key, key)


def _p256(key: object) -> EllipticCurvePublicKey:
    if not isinstance(key, EllipticCurvePublicKey) or not isinstance(key.curve, SECP256R1):
        raise JwsError("key of the signer", expected="ECDSA on P-256", got=type(key).__name__)
    return key


def _decode_object(data: bytes, *, what: str) -> dict[str, Any]:
    def unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        decoded = dict(pairs)
        if len(decoded) != len(pairs):
            raise ValueError("a member occurs twice")
        return decoded

    def no_constant(name: str) -> None:
        raise ValueError(f"{name} is not JSON")

    try:
        decoded = json.loads(data.decode("utf-8"), object_pairs_hook=unique, parse_constant=no_constant)
    except (ValueError, RecursionError) as error:
        raise JwsError(f"the {what} is not one JSON object: {error}") from error
    if not isinstance(decoded, dict):
        raise JwsError(f"the {what}", expected="a JSON object", got=type(decoded).__name__)
    return decoded


def _base64url(data: bytes) -> str:
    return urlsafe_b64encode(data).rstrip(b"=").decode("ascii")
