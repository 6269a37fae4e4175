"""Conceptual message wrapper, record form (RFC 9999 section 3.1): `[type, value]` in CBOR.

Rule: only the form that this project sends is accepted: a media type as text, the value as bytes, no `ind`,
deterministic encoding. The value is not looked into here.
"""

from dataclasses import dataclass
from functools import lru_cache
from struct import Struct
from typing import Final

from standards.rats.cbor import decode_deterministic, encode_deterministic
from standards.rats.errors import RatsError

_MEDIA_TYPE_MAX: Final = 255
_RECORD_LENGTH: Final = 2
_HEADERS: Final = (
    (Struct(">BH"), 0x59, range(1 << 8, 1 << 16)),
    (Struct(">BB"), 0x58, range(24, 1 << 8)),
    (Struct(">BI"), 0x5A, range(1 << 16, 1 << 32)),
)
"""Of byte strings: size of the header, its first byte, and sizes of contents (RFC 8949 section 3)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Record:
    """A wrapped message: its media type and its bytes."""

    media_type: str
    value: bytes


def encode_record(media_type: str, value: bytes) -> bytes:
    """Wrap the bytes of a message of this media type."""
    return encode_deterministic([media_type, value])


def decode_record(data: bytes, *, bytes_max: int) -> Record:
    """Unwrap one record.

    Raises:
        RatsError: not such a record, or more than `bytes_max` bytes.
    """
    items = decode_deterministic(data, bytes_max=bytes_max)
    if not isinstance(items, list) or len(items) != _RECORD_LENGTH:
        raise RatsError(what="CMW record", expected="[media type, value]", got=_shape(items))
    media_type, value = items
    if not isinstance(media_type, str) or not 1 <= len(media_type) <= _MEDIA_TYPE_MAX:
        raise RatsError(what="CMW record type", expected="a media type as text", got=_shape(media_type))
    if not isinstance(value, bytes):
        raise RatsError(what="CMW record value", expected="a byte string", got=_shape(value))
    return Record(media_type=media_type, value=value)


def value_of_record(data: bytes, *, media_type: str, bytes_max: int) -> bytes:
    """The value of one record of this media type.

    Raises:
        RatsError: not such a record, or more than `bytes_max` bytes.
    """
    begin = _begin(media_type)
    header = _header_of_rest(len(data) - len(begin))
    start = len(begin) + len(header)
    # a record has one encoding: what begins as the one of this length does is a record, and needs no decoder
    if header and len(data) <= bytes_max and data[:start] == begin + header:
        return data[start:]
    record = decode_record(data, bytes_max=bytes_max)
    if record.media_type != media_type:
        raise RatsError(what="CMW record type", expected=media_type, got="another media type")
    return record.value


@lru_cache(maxsize=16)
def _begin(media_type: str) -> bytes:
    """A record up to the header of its value."""
    return encode_record(media_type, b"")[:-1]


def _header_of_rest(size: int) -> bytes:
    """The header of a byte string that takes `size` bytes together with it; empty where none does."""
    for layout, initial, sizes in _HEADERS:
        content = size - layout.size
        if content in sizes:
            return layout.pack(initial, content)
    return b""


def _shape(value: object) -> str:
    return f"{len(value)} items" if isinstance(value, list) else type(value).__name__
