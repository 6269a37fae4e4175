"""Self-test: every algorithm of this TPM once, and each one's negative (Part 1, 12.3).

Run before privileges are dropped, it also makes sure that nothing is left to be loaded afterwards.
"""

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric import ec, padding, rsa

from edge.process import RandomBytes
from standards.tpm2.constants import Algorithm
from standards.tpm2.hashing import digest, hash_object, hmac_digest
from standards.tpm2.kdf import kdfa, kdfe
from standards.tpm2.outer_wrap import aes_cfb

_EMPTY_SHA256 = bytes.fromhex("e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855")
_AES_KEY = bytes.fromhex("2b7e151628aed2a6abf7158809cf4f3c")
_AES_IV = bytes(range(16))
_AES_CLEAR = bytes.fromhex("6bc1bee22e409f96e93d7e117393172a")
_AES_CFB128 = bytes.fromhex("3b3fd92eb72dad20333449f8e83cfb4a")
"""SP 800-38A, F.3.13, first block."""
_RSA_BITS = 2048
_RSA_EXPONENT = 65537


def self_test(random_bytes: RandomBytes) -> bool:
    """Whether hashes, HMAC, AES-CFB, key derivation, ECDSA, ECDH, RSA signatures and OAEP work."""
    message = random_bytes(32)
    return (
        digest(Algorithm.SHA256, b"") == _EMPTY_SHA256
        and aes_cfb(_AES_KEY, iv=_AES_IV).encryptor().update(_AES_CLEAR) == _AES_CFB128
        and _derives(message)
        and all(_ecc_works(curve, message) for curve in (ec.SECP256R1(), ec.SECP384R1()))
        and _rsa_works(message)
    )


def _derives(message: bytes) -> bool:
    keys = {
        kdfa(Algorithm.SHA256, key=message, label=b"TEST", bits=256),
        kdfa(Algorithm.SHA384, key=message, label=b"TEST", bits=256),
        kdfe(Algorithm.SHA256, secret=message, label=b"TEST", party_u=b"u", party_v=b"v", bits=256),
        hmac_digest(Algorithm.SHA256, message, b"TEST"),
    }
    return len(keys) == 4 and all(len(key) == 32 for key in keys)  # noqa: PLR2004 four derivations of 32 bytes


def _ecc_works(curve: ec.EllipticCurve, message: bytes) -> bool:
    key, other = ec.generate_private_key(curve), ec.generate_private_key(curve)
    algorithm = ec.ECDSA(hash_object(Algorithm.SHA256))
    signature = key.sign(message, algorithm)
    key.public_key().verify(signature, message, algorithm)
    try:
        other.public_key().verify(signature, message, algorithm)
    except InvalidSignature:
        return key.exchange(ec.ECDH(), other.public_key()) == other.exchange(ec.ECDH(), key.public_key())
    return False


def _rsa_works(message: bytes) -> bool:
    key = rsa.generate_private_key(public_exponent=_RSA_EXPONENT, key_size=_RSA_BITS)
    sha256 = hash_object(Algorithm.SHA256)
    oaep = padding.OAEP(mgf=padding.MGF1(sha256), algorithm=sha256, label=b"TEST\x00")
    for scheme in (padding.PKCS1v15(), padding.PSS(mgf=padding.MGF1(sha256), salt_length=32)):
        signature = key.sign(message, scheme, sha256)
        key.public_key().verify(signature, message, scheme, sha256)
        try:
            key.public_key().verify(signature, message + b"\x00", scheme, sha256)
        except InvalidSignature:
            continue
        return False
    return key.decrypt(key.public_key().encrypt(message, oaep), oaep) == message
