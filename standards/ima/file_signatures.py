"""Signatures of files (`security.ima`), as the field `sig` carries them.

Rule: a signature counts for the digest that IMA measured, under a key of the keyring that the caller gives, and for
nothing else: it says who made the file, not that it may run under this name. SHA-1 and MD5 are not accepted.
What is NOT checked here: whether the keys of the keyring are still good.
Source: Linux, security/integrity/integrity.h (signature_v2_hdr), digsig_asymmetric.c; include/uapi/linux/hash_info.h.
"""

import struct
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Final

from cryptography import x509
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, padding, rsa
from cryptography.hazmat.primitives.asymmetric.utils import Prehashed

from standards.ima.errors import ImaError

FileKey = rsa.RSAPublicKey | ec.EllipticCurvePublicKey
Keyring = Mapping[bytes, tuple[FileKey, ...]]
"""Keys by key id, which has 32 bits only: several keys may share one."""

KEY_ID_SIZE: Final = 4
SIGNATURE_SIZE_MAX: Final = 1024

_HEADER: Final = struct.Struct(">BBB4sH")
_FILE_SIGNATURE, _VERSION = 3, 2
_ALGORITHMS: Final[Mapping[int, tuple[str, type[hashes.HashAlgorithm]]]] = MappingProxyType(
    {
        4: ("sha256", hashes.SHA256),
        5: ("sha384", hashes.SHA384),
        6: ("sha512", hashes.SHA512),
        7: ("sha224", hashes.SHA224),
    }
)
"""Name and hash by number (HASH_ALGO_*)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class FileSignature:
    """A signature of version 2: the hash of the file that it signs, last four bytes of its key's identifier, itself."""

    algorithm: str
    key_id: bytes
    signature: bytes


def keyring_of(keys: Iterable[FileKey]) -> Keyring:
    """A keyring; the id of a key is the end of the SHA-1 of its subjectPublicKey (RFC 5280, 4.2.1.2, method 1)."""
    ring: dict[bytes, tuple[FileKey, ...]] = {}
    for key in keys:
        key_id = x509.SubjectKeyIdentifier.from_public_key(key).digest[-KEY_ID_SIZE:]
        ring[key_id] = (*ring.get(key_id, ()), key)
    return MappingProxyType(ring)


def decode_file_signature(data: bytes) -> FileSignature:
    """Decode the attribute.

    Raises:
        ImaError: it is no file signature of version 2 with a hash that is accepted.
    """
    if len(data) < _HEADER.size:
        raise _refused("header", f"{_HEADER.size} bytes", str(len(data)))
    kind, version, number, key_id, size = _HEADER.unpack_from(data)
    if (kind, version) != (_FILE_SIGNATURE, _VERSION):
        raise _refused(
            "kind", f"type {_FILE_SIGNATURE}, version {_VERSION}", f"type {kind}, version {version}"
        )
    if number not in _ALGORITHMS:
        raise _refused("hash algorithm", "SHA-2", f"number {number}")
    signature = data[_HEADER.size :]
    if len(signature) != size or not 0 < size <= SIGNATURE_SIZE_MAX:
        raise _refused("size", f"1 to {SIGNATURE_SIZE_MAX} bytes, {size} as announced", str(len(signature)))
    return FileSignature(algorithm=_ALGORITHMS[number][0], key_id=key_id, signature=signature)


def verify_file_signature(data: bytes, *, algorithm: str, digest: bytes, keyring: Keyring) -> None:
    """See that the attribute signs this digest of a file under a key of the keyring (RSA PKCS #1 v1.5, or ECDSA).

    Raises:
        ImaError: malformed, of another hash than was measured, by an unknown key, or wrong.
    """
    decoded = decode_file_signature(data)
    factory = dict(_ALGORITHMS.values())[decoded.algorithm]
    if decoded.algorithm != algorithm or len(digest) != factory().digest_size:
        raise _refused("hash algorithm", algorithm, decoded.algorithm)
    keys = keyring.get(decoded.key_id, ())
    if not keys:
        raise _refused("key", "one of the keyring", f"key id {decoded.key_id.hex()}")
    if not any(_signed(decoded.signature, digest, key=key, prehashed=Prehashed(factory())) for key in keys):
        raise _refused("value", f"a signature by key {decoded.key_id.hex()}", "another")


def _signed(signature: bytes, digest: bytes, *, key: FileKey, prehashed: Prehashed) -> bool:
    try:
        if isinstance(key, rsa.RSAPublicKey):
            key.verify(signature, digest, padding.PKCS1v15(), prehashed)
        else:
            key.verify(signature, digest, ec.ECDSA(prehashed))
    except (InvalidSignature, ValueError):  # the latter where a key cannot carry the digest
        return False
    return True


def _refused(what: str, expected: str, got: str) -> ImaError:
    return ImaError(what=f"file signature, {what}", expected=expected, got=got)
