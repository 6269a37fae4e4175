"""Conceptual message wrapper, record form (RFC 9999 section 3.1): `[type, value]` in CBOR.

Rule: only the form that this project sends is accepted: a media type as text, the value as bytes, no `ind`,
deterministic encoding. The value is not looked into here.
"""

from dataclasses import dataclass
from functools import lru_cache
from typing import Final

from standards.rats.cbor import decode_byte_string, decode_deterministic, encode_deterministic
from standards.rats.errors import RatsError

_MEDIA_TYPE_MAX: Final = 255
_RECORD_LENGTH: Final = 2


@dataclass(frozen=True, slots=True, kw_only=True)
class Record:
    """A wrapped message: its media type and its bytes."""

    media_type: str
    value: bytes


def encode_record(media_type: str, value: bytes) -> bytes:
    """Wrap the bytes of a message of this media type."""
    return encode_deterministic([media_type, value])


def record_value(data: bytes, *, media_type: str, bytes_max: int) -> bytes | None:
    """The value of a record of this media type; None of one of another type.

    Raises:
        RatsError: as `decode_record`.
    """
    head = _head(media_type)
    if data.startswith(head) and len(data) <= bytes_max:
        value = decode_byte_string(data, len(head))
        if value is not None:
            return value
    record = decode_record(data, bytes_max=bytes_max)
    return record.value if record.media_type == media_type else None


@lru_cache(maxsize=8)
def _head(media_type: str) -> bytes:
    """The octets that every record of a media type begins with: it has one encoding."""
    return encode_record(media_type, b"")[:-1]


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


def _shape(value: object) -> str:
    return f"{len(value)} items" if isinstance(value, list) else type(value).__name__
