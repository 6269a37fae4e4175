"""Key algorithms of this CA: which there are, how each signs, and which certificate may hold which.

The one rule: an algorithm is allowed where its standard and every reader of the certificate allow it; the sets
below are what `profiles` refers to. RFC 5480 (P-256, P-384), RFC 4055 (RSA), RFC 8410 (Ed25519), RFC 9881
(ML-DSA-65 in certificates and CRLs).
"""

from collections.abc import Callable
from enum import StrEnum
from functools import cache
from typing import TypeGuard, assert_never, get_args

from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, mldsa, padding, rsa

CaPrivateKey = ec.EllipticCurvePrivateKey | rsa.RSAPrivateKey | mldsa.MLDSA65PrivateKey
"""Private key of a CA, in a file or behind a token: whatever signs like one of these."""
CaPublicKey = ec.EllipticCurvePublicKey | rsa.RSAPublicKey | mldsa.MLDSA65PublicKey
SubjectKey = CaPublicKey | ed25519.Ed25519PublicKey
"""What a certificate of this CA can be about."""

RSA_BITS = 3072
RSA_BITS_MIN = 2048
RSA_BITS_MAX = 8192
RSA_EXPONENT = 65537


class KeyAlgorithm(StrEnum):
    """An algorithm with its parameter; RSA is 3072 bits where this CA makes the key."""

    P256 = "p256"
    P384 = "p384"
    RSA = "rsa"
    ML_DSA_65 = "ml-dsa-65"
    ED25519 = "ed25519"


CA_KEYS = frozenset(
    {KeyAlgorithm.P256, KeyAlgorithm.P384, KeyAlgorithm.RSA, KeyAlgorithm.ML_DSA_65},
)
"""What CAs sign with."""
TPM_KEYS = frozenset({KeyAlgorithm.P256, KeyAlgorithm.P384, KeyAlgorithm.RSA})
"""What a TPM 2.0 signs with: all that a PfC may hold."""
SERVICE_KEYS = TPM_KEYS
"""What signs messages of operators and suppliers."""
LEAF_KEYS = frozenset({*SERVICE_KEYS, KeyAlgorithm.ED25519})
"""TLS (RFC 8446) and OCSP delegates (RFC 8410, RFC 6960 4.3)."""


def is_ca_private_key(key: object) -> TypeGuard[CaPrivateKey]:
    """Whether a CA could sign with `key`; its strength is `key_fault`'s matter."""
    return isinstance(key, get_args(CaPrivateKey))


def is_subject_key(key: object) -> TypeGuard[SubjectKey]:
    """Whether `key` is of a kind that some profile allows."""
    return isinstance(key, (ed25519.Ed25519PublicKey, *get_args(CaPublicKey)))


def generate_key(algorithm: KeyAlgorithm) -> CaPrivateKey:
    """A new key for a CA; raises ValueError for an algorithm that CAs do not use."""
    match algorithm:
        case KeyAlgorithm.P256:
            return ec.generate_private_key(ec.SECP256R1())
        case KeyAlgorithm.P384:
            return ec.generate_private_key(ec.SECP384R1())
        case KeyAlgorithm.RSA:
            return rsa.generate_private_key(public_exponent=RSA_EXPONENT, key_size=RSA_BITS)
        case KeyAlgorithm.ML_DSA_65:
            return mldsa.MLDSA65PrivateKey.generate()
        case KeyAlgorithm.ED25519:
            raise ValueError("no CA signs with Ed25519 here")
        case _:
            assert_never(algorithm)


@cache
def throw_away_key(algorithm: KeyAlgorithm) -> CaPrivateKey:
    """A key that nobody trusts and that never leaves this process: it signs what is looked at before the CA signs."""
    return generate_key(algorithm)


def algorithm_of(key: object) -> KeyAlgorithm | None:
    """The algorithm of a public key, None for any that no certificate here holds."""
    match key:
        case ec.EllipticCurvePublicKey(curve=ec.SECP256R1()):
            return KeyAlgorithm.P256
        case ec.EllipticCurvePublicKey(curve=ec.SECP384R1()):
            return KeyAlgorithm.P384
        case rsa.RSAPublicKey():
            return KeyAlgorithm.RSA
        case mldsa.MLDSA65PublicKey():
            return KeyAlgorithm.ML_DSA_65
        case ed25519.Ed25519PublicKey():
            return KeyAlgorithm.ED25519
        case _:
            return None


def key_fault(key: object, *, allowed: frozenset[KeyAlgorithm]) -> str | None:
    """Why a public key is too weak or too strange for a certificate that allows these algorithms, or None."""
    algorithm = algorithm_of(key)
    if algorithm is None or algorithm not in allowed:
        got = type(key).__name__ if algorithm is None else str(algorithm)
        if isinstance(key, ec.EllipticCurvePublicKey):
            got = key.curve.name
        return f"expected one of {', '.join(sorted(allowed))}, got {got}"
    if isinstance(key, rsa.RSAPublicKey):
        if not RSA_BITS_MIN <= key.key_size <= RSA_BITS_MAX:
            return f"expected RSA of {RSA_BITS_MIN} to {RSA_BITS_MAX} bits, got {key.key_size}"
        if key.public_numbers().e != RSA_EXPONENT:
            return f"expected the RSA exponent {RSA_EXPONENT}, got another"
    return None


def signature_digest(key: CaPrivateKey) -> hashes.SHA256 | hashes.SHA384 | None:
    """The digest that a CA key of this kind signs; None for ML-DSA, which signs the message itself."""
    if isinstance(key, mldsa.MLDSA65PrivateKey):
        return None
    if isinstance(key, ec.EllipticCurvePrivateKey) and isinstance(key.curve, ec.SECP384R1):
        return hashes.SHA384()
    return hashes.SHA256()


def sign(key: CaPrivateKey, message: bytes) -> bytes:
    """The signature that X.509 carries for a CA key of this kind: what the builders make, for encoded bytes."""
    return signer(key)(message)


def signer(key: CaPrivateKey) -> Callable[[bytes], bytes]:
    """`sign` for many messages under one key, which is looked at once."""
    if isinstance(key, mldsa.MLDSA65PrivateKey):
        return key.sign
    digest = signature_digest(key) or hashes.SHA256()
    if isinstance(key, ec.EllipticCurvePrivateKey):
        curve_key, scheme = key, ec.ECDSA(digest)
        return lambda message: curve_key.sign(message, scheme)
    rsa_key, padded = key, padding.PKCS1v15()
    return lambda message: rsa_key.sign(message, padded, digest)
