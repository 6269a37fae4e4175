"""Hash algorithms by TPM_ALG_ID: digest, size, and the object that `cryptography` wants.

SHA-1 has a size, because banks of that kind appear in PCR selections, and nothing else: no check of this
package computes or accepts it.
"""

import hashlib
import hmac
from collections.abc import Callable
from typing import Any

from cryptography.hazmat.primitives import hashes

from standards.tpm2.constants import Algorithm
from standards.tpm2.errors import DecodeError

_Hash = tuple[str, Callable[[bytes], Any], type[hashes.HashAlgorithm]]
"""Name, hash object of hashlib over data, and the class for `cryptography`."""
_SIZES: dict[int, int] = {
    Algorithm.SHA1: 20,
    Algorithm.SHA256: 32,
    Algorithm.SHA384: 48,
    Algorithm.SHA512: 64,
    Algorithm.SM3_256: 32,
    Algorithm.SHA3_256: 32,
    Algorithm.SHA3_384: 48,
    Algorithm.SHA3_512: 64,
}
_HASHES: dict[int, _Hash] = {
    Algorithm.SHA256: ("sha256", hashlib.sha256, hashes.SHA256),
    Algorithm.SHA384: ("sha384", hashlib.sha384, hashes.SHA384),
    Algorithm.SHA512: ("sha512", hashlib.sha512, hashes.SHA512),
}


def digest_size(algorithm: int) -> int:
    """Bytes of a digest, also of the algorithms that are only recognised; DecodeError for others."""
    try:
        return _SIZES[algorithm]
    except KeyError:
        raise DecodeError("hash algorithm", expected="a TPM hash", got=f"0x{algorithm:04x}") from None


def is_trusted(algorithm: int) -> bool:
    """Whether checks accept this hash: SHA-256, SHA-384, SHA-512."""
    return algorithm in _HASHES


def digest(algorithm: int, data: bytes) -> bytes:
    """H(data) by a trusted hash; DecodeError for any other."""
    computed: bytes = _trusted(algorithm)[1](data).digest()
    return computed


def hmac_digest(algorithm: int, key: bytes, data: bytes) -> bytes:
    """HMAC(key, data) by a trusted hash; DecodeError for any other."""
    return hmac.digest(key, data, _trusted(algorithm)[0])


def hash_object(algorithm: int) -> hashes.HashAlgorithm:
    """The same trusted hash for `cryptography`; DecodeError for any other."""
    return _trusted(algorithm)[2]()


def _trusted(algorithm: int) -> _Hash:
    try:
        return _HASHES[algorithm]
    except KeyError:
        raise DecodeError(
            "hash algorithm", expected="SHA-256, SHA-384 or SHA-512", got=f"0x{algorithm:04x}"
        ) from None
