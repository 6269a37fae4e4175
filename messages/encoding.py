"""The encoding of every CBOR message of this project: one value, one encoding.

Rule: deterministic CBOR (RFC 8949 section 4.2.1), definite lengths, integers, byte strings, text, arrays, maps,
true, false and null; no tags and no floats. What is signed or hashed can therefore be rebuilt bit by bit.
"""

from typing import Any

from messages.errors import MessageError, refusal
from standards.rats import cbor
from standards.rats.errors import RatsError
from standards.rats.fields import Fields


def encode_deterministic(value: Any) -> bytes:
    """Encode a value in its one encoding.

    Raises:
        MessageError: the value holds a type that has no place in a message.
    """
    try:
        return cbor.encode_deterministic(value)
    except RatsError as error:
        raise MessageError(what=error.what, expected=error.expected, got=error.got) from error


def decode_deterministic(data: bytes, *, bytes_max: int) -> Any:
    """Decode one value; trailing bytes, duplicate keys and every other encoding are refused.

    Raises:
        MessageError: for any bytes that `encode_deterministic` would not have produced, or too many of them.
    """
    try:
        return cbor.decode_deterministic(data, bytes_max=bytes_max)
    except RatsError as error:
        raise MessageError(what=error.what, expected=error.expected, got=error.got) from error


def decode_fields(data: bytes, *, what: str, bytes_max: int) -> Fields:
    """Decode a message that is a map with integer keys, for reading field by field."""
    return Fields(decode_deterministic(data, bytes_max=bytes_max), what=what, refusal=refusal)
