"""Sensitive areas outside the TPM: private blobs, import blobs, credentials (Part 1, 22-24).

Encrypt-then-MAC under two keys from one seed, both over the Name of the object; the sender's half is
`standards.tpm2.outer_wrap`.
"""

import hmac as constant_time

from edge.process import RandomBytes
from lab.software_tpm.errors import CommandError
from lab.software_tpm.objects import Sensitive, TpmObject
from standards.tpm2.constants import DIGEST_BYTES_MAX
from standards.tpm2.errors import DecodeError
from standards.tpm2.hashing import digest, digest_size, hmac_digest
from standards.tpm2.kdf import kdfa
from standards.tpm2.marshal import Reader, tpm2b
from standards.tpm2.outer_wrap import aes_cfb
from standards.tpm2.return_codes import ReturnCode
from standards.tpm2.structures import Public

PRIVATE_BYTES_MAX = 1024
"""Generous bound of a TPM2B_PRIVATE: integrity, IV and the largest sensitive area."""
_IV_BYTES = 16


def protect_private(
    sensitive: Sensitive, *, public: Public, parent: TpmObject, random_bytes: RandomBytes
) -> bytes:
    """TPM2B_PRIVATE content that only `parent` can load (Part 1, 27.6): HMAC, IV, encrypted sensitive area."""
    seed = _own_seed(parent)
    iv = random_bytes(_IV_BYTES)
    clear = tpm2b(sensitive.encode(auth_bytes=digest_size(public.name_algorithm)))
    key = _encryption_key(parent.public, seed, public.name)
    encrypted = tpm2b(iv) + aes_cfb(key, iv=iv).encryptor().update(clear)
    return tpm2b(_integrity(parent.public, seed, encrypted + public.name)) + encrypted


def unprotect_private(private: bytes, *, public: Public, parent: TpmObject) -> Sensitive:
    """The sensitive area in a TPM2B_PRIVATE of `parent`; CommandError INTEGRITY for anything else."""
    seed = _own_seed(parent)
    try:
        encrypted = _checked(private, protector=parent.public, seed=seed, name=public.name)
        reader = Reader(encrypted)
        iv = reader.tpm2b(_IV_BYTES, "iv")
        key = _encryption_key(parent.public, seed, public.name)
        return _sensitive(aes_cfb(key, iv=iv.ljust(_IV_BYTES, b"\x00")).decryptor().update(reader.rest()))
    except DecodeError as error:
        raise CommandError(_code(error)) from None


def unwrap(blob: bytes, *, protector: Public, seed: bytes, name: bytes) -> bytes:
    """Content of an outer wrap made with `seed` for `name` (Part 1, 23, 24)."""
    try:
        encrypted = _checked(blob, protector=protector, seed=seed, name=name)
    except DecodeError as error:
        raise CommandError(_code(error)) from None
    key = _encryption_key(protector, seed, name)
    return aes_cfb(key, iv=bytes(_IV_BYTES)).decryptor().update(encrypted)


def wrap_inner(clear: bytes, *, key: bytes, public: Public) -> bytes:
    """An inner wrap of a TPM2B_SENSITIVE: a plain digest, all under a key that travels apart."""
    integrity = digest(public.name_algorithm, clear + public.name)
    return aes_cfb(key, iv=bytes(_IV_BYTES)).encryptor().update(tpm2b(integrity) + clear)


def unwrap_inner(content: bytes, *, key: bytes, public: Public) -> bytes:
    """Content of an inner wrap: a symmetric key that travels apart, and a plain digest (Part 1, 23)."""
    clear = aes_cfb(key, iv=bytes(_IV_BYTES)).decryptor().update(content)
    try:
        reader = Reader(clear)
        integrity, inner = reader.tpm2b(DIGEST_BYTES_MAX, "inner integrity"), reader.rest()
    except DecodeError:
        raise CommandError(ReturnCode.INTEGRITY) from None
    if not constant_time.compare_digest(integrity, digest(public.name_algorithm, inner + public.name)):
        raise CommandError(ReturnCode.INTEGRITY)
    return inner


def decode_sensitive(clear: bytes) -> Sensitive:
    """A TPM2B_SENSITIVE with nothing after it; CommandError SIZE or INSUFFICIENT otherwise."""
    try:
        return _sensitive(clear)
    except DecodeError as error:
        raise CommandError(_code(error)) from None


def _sensitive(clear: bytes) -> Sensitive:
    reader = Reader(clear)
    content = reader.tpm2b(reader.remaining, "TPM2B_SENSITIVE")
    reader.end("size of TPM2B_SENSITIVE")
    return Sensitive.decode(content)


def _checked(blob: bytes, *, protector: Public, seed: bytes, name: bytes) -> bytes:
    reader = Reader(blob)
    integrity = reader.tpm2b(DIGEST_BYTES_MAX, "integrity")
    encrypted = reader.rest()
    if not constant_time.compare_digest(integrity, _integrity(protector, seed, encrypted + name)):
        raise CommandError(ReturnCode.INTEGRITY)
    return encrypted


def _integrity(protector: Public, seed: bytes, content: bytes) -> bytes:
    algorithm = protector.name_algorithm
    key = kdfa(algorithm, key=seed, label=b"INTEGRITY", bits=8 * digest_size(algorithm))
    return hmac_digest(algorithm, key, content)


def _encryption_key(protector: Public, seed: bytes, name: bytes) -> bytes:
    bits = protector.symmetric.key_bits
    return kdfa(protector.name_algorithm, key=seed, label=b"STORAGE", context_u=name, bits=bits)


def _own_seed(parent: TpmObject) -> bytes:
    return parent.sensitive.seed_value if parent.sensitive else b""


def _code(error: DecodeError) -> ReturnCode:
    oversized = error.what.startswith("size of") or error.expected.startswith("at most")
    return ReturnCode.SIZE if oversized else ReturnCode.INSUFFICIENT
