"""Signatures of files (`security.ima`), as the field `sig` carries them.

Rule: a signature counts for the digest that IMA measured, under a key of the keyring that the caller gives, and for
nothing else: it says who made the file, not that it may run under this name. SHA-1 and MD5 are not accepted.
Version 2 signs the digest of the file; version 3 an fs-verity digest together with its kind and its algorithm, so that neither
can be taken for the other (struct ima_file_id).
What is NOT checked here: whether the keys of the keyring are still good.
Source: Linux, security/integrity/integrity.h (signature_v2_hdr, ima_file_id), digsig_asymmetric.c, ima/ima_appraise.c
(calc_file_id_hash); include/uapi/linux/hash_info.h.
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
_OF_FILE, _OF_VERITY = (3, 2), (6, 3)
"""Type of the attribute and version of the signature."""
VERITY_PREFIX: Final = "verity:"
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
    """A signature: the hash of what it signs, `verity:` in front of fs-verity's; end of its key's identifier; itself.

    `signed_before` is what is hashed with the digest before it is signed, None where the digest itself is signed.
    """

    algorithm: str
    signed_before: bytes | None
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
        ImaError: it is no signature of version 2 or 3 with a hash that is accepted.
    """
    if len(data) < _HEADER.size:
        raise _refused("header", f"{_HEADER.size} bytes", str(len(data)))
    kind, version, number, key_id, size = _HEADER.unpack_from(data)
    if (kind, version) not in (_OF_FILE, _OF_VERITY):
        known = " or ".join(f"type {each[0]}, version {each[1]}" for each in (_OF_FILE, _OF_VERITY))
        raise _refused("kind", known, f"type {kind}, version {version}")
    if number not in _ALGORITHMS:
        raise _refused("hash algorithm", "SHA-2", f"number {number}")
    signature = data[_HEADER.size :]
    if len(signature) != size or not 0 < size <= SIGNATURE_SIZE_MAX:
        raise _refused("size", f"1 to {SIGNATURE_SIZE_MAX} bytes, {size} as announced", str(len(signature)))
    of_verity = (kind, version) == _OF_VERITY
    return FileSignature(
        algorithm=(VERITY_PREFIX if of_verity else "") + _ALGORITHMS[number][0],
        signed_before=bytes([kind, number]) if of_verity else None,
        key_id=key_id,
        signature=signature,
    )


def verify_file_signature(data: bytes, *, algorithm: str, digest: bytes, keyring: Keyring) -> None:
    """See that the attribute signs this digest of a file under a key of the keyring (RSA PKCS #1 v1.5, or ECDSA).

    `algorithm` is the kernel's name, `verity:` in front of an fs-verity digest's.

    Raises:
        ImaError: malformed, of another hash than was measured, by an unknown key, or wrong.
    """
    decoded = decode_file_signature(data)
    factory = dict(_ALGORITHMS.values())[decoded.algorithm.removeprefix(VERITY_PREFIX)]
    if decoded.algorithm != algorithm or len(digest) != factory().digest_size:
        raise _refused("hash algorithm", algorithm, decoded.algorithm)
    keys = keyring.get(decoded.key_id, ())
    if not keys:
        raise _refused("key", "one of the keyring", f"key id {decoded.key_id.hex()}")
    if decoded.signed_before is not None:
        file_id = hashes.Hash(factory())
        file_id.update(decoded.signed_before + digest)
        digest = file_id.finalize()
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
