"""EFI_SIGNATURE_LIST: what PK, KEK, db and dbx hold.

Rule: every length is checked against what is left and against its type before anything is taken; the same bytes give
the same entries or `BootLogError`, and no other error. Certificates are not parsed: two entries are the same when
their type-specific bytes are, whoever owns them.
Source: UEFI Specification 2.10, section 32.4.1 (EFI_SIGNATURE_LIST, EFI_SIGNATURE_DATA).
"""

import struct
import uuid
from dataclasses import dataclass
from types import MappingProxyType
from typing import Final

from standards.boot_log.errors import BootLogError

ENTRIES_MAX: Final = 20_000

EFI_CERT_X509: Final = uuid.UUID("a5c059a1-94e4-4aa7-87b5-ab155c2bf072")
EFI_CERT_SHA256: Final = uuid.UUID("c1c41626-504c-4092-aca9-41f936934328")

SIGNATURE_DATA_SIZES: Final = MappingProxyType(
    {
        uuid.UUID("826ca512-cf10-4ac9-b187-be01496631bd"): 20,  # SHA-1
        uuid.UUID("0b6e5233-a65c-44c9-9407-d9ab83bfc8bd"): 28,  # SHA-224
        EFI_CERT_SHA256: 32,
        uuid.UUID("ff3e5307-9fd0-48c9-85f1-8ad56c701e01"): 48,  # SHA-384
        uuid.UUID("093e0fae-a6c4-4f50-9f1b-d41e2b89c19a"): 64,  # SHA-512
        uuid.UUID("3c5766e8-269c-4e34-aa14-ed776e85b3b6"): 256,  # RSA-2048 modulus
        uuid.UUID("e2b36190-879b-4a3d-ad8d-f2e7bba32784"): 256,  # RSA-2048 signature, SHA-256
        uuid.UUID("67f8444f-8743-48f1-a328-1eaab8736080"): 256,  # RSA-2048 signature, SHA-1
        uuid.UUID("3bd2a492-96c0-4079-b420-fcf98ef103ed"): 48,  # digest of a certificate, SHA-256 and a time
        uuid.UUID("7076876e-80c2-4ee6-aad2-28b349a6865b"): 64,  # the same, SHA-384
        uuid.UUID("446dbf63-2502-4cda-bcfa-2465d2b0fe9d"): 80,  # the same, SHA-512
    }
)
"""Size of the type-specific bytes by SignatureType; types that are not listed have a size of their own."""

_LIST_HEADER: Final = struct.Struct("<16sIII")
OWNER_SIZE: Final = 16


@dataclass(frozen=True, slots=True, kw_only=True)
class SignatureEntry:
    """EFI_SIGNATURE_DATA with the type of its list: a certificate, a digest, a key."""

    type: uuid.UUID
    owner: uuid.UUID
    data: bytes


def decode_signature_lists(data: bytes, *, entries_max: int = ENTRIES_MAX) -> tuple[SignatureEntry, ...]:
    """The entries of all lists in order; no bytes at all are no entries.

    What is NOT checked here: that a certificate is one.

    Raises:
        BootLogError: a length that cannot be, or more than `entries_max` entries.
    """
    entries: list[SignatureEntry] = []
    position = 0
    while position < len(data):
        left = len(data) - position
        if left < _LIST_HEADER.size:
            raise _malformed(f"a list of at least {_LIST_HEADER.size} bytes", f"{left} left")
        raw_type, list_size, header_size, size = _LIST_HEADER.unpack_from(data, position)
        kind = uuid.UUID(bytes_le=raw_type)
        first = _LIST_HEADER.size + header_size
        if not first <= list_size <= left:
            raise _malformed(f"SignatureListSize of {first} to {left}", str(list_size))
        _check_entry_size(kind, size=size, all_bytes=list_size - first)
        if len(entries) + (list_size - first) // size > entries_max:
            raise _malformed(f"at most {entries_max} entries", "more")
        starts = range(position + first, position + list_size, size)
        entries += [_entry(kind, data[start : start + size]) for start in starts]
        position += list_size
    return tuple(entries)


def _check_entry_size(kind: uuid.UUID, *, size: int, all_bytes: int) -> None:
    known = SIGNATURE_DATA_SIZES.get(kind)
    if known is not None and size != OWNER_SIZE + known:
        raise _malformed(f"SignatureSize of {OWNER_SIZE + known} for type {kind}", str(size))
    if size <= OWNER_SIZE:
        raise _malformed(f"SignatureSize above {OWNER_SIZE}", str(size))
    if all_bytes % size:
        raise _malformed(f"whole entries of {size} bytes", f"{all_bytes} bytes")


def _entry(kind: uuid.UUID, raw: bytes) -> SignatureEntry:
    return SignatureEntry(type=kind, owner=uuid.UUID(bytes_le=raw[:OWNER_SIZE]), data=raw[OWNER_SIZE:])


def _malformed(expected: str, got: str) -> BootLogError:
    return BootLogError(what="EFI_SIGNATURE_LIST", expected=expected, got=got)
