"""CBOR as the RATS formats use it: one value, one encoding, bounded before anything is built.

Rule: the library builds a value only after a walk over the headers has shown that it is well-formed, of
definite lengths, within the bounds, and free of every tag that the caller did not name. Without that walk a
stranger's bytes could ask for regular expressions, huge decimals or shared references.
Deterministic means RFC 8949 section 4.2.1: preferred serialization and sorted keys. A decoder that accepts
only the deterministic encoding refuses everything else by encoding the value again and comparing bytes.
"""

from collections.abc import Iterable
from datetime import datetime
from typing import Any, Final

import cbor2

from standards.rats.errors import CborError

DEPTH_MAX: Final = 16
ITEMS_MAX: Final = 200_000

_UNSIGNED, _NEGATIVE, _BYTES, _TEXT, _ARRAY, _MAP, _TAG = range(7)
_SIMPLE_VALUES: Final = frozenset({20, 21, 22})  # false, true, null
_ONE_BYTE_ARGUMENT: Final = 24
_EIGHT_BYTE_ARGUMENT: Final = 27


def encode_deterministic(value: Any) -> bytes:
    """Encode a value by RFC 8949 section 4.2.1; floats, and maps whose keys are of mixed types, are refused.

    The library sorts keys by length first, RFC 8949 byte by byte; for keys of one type both orders agree.

    Raises:
        CborError: the value holds something that has no place in these formats.
    """
    _check_encodable(value, depth=0)
    try:
        return bytes(cbor2.dumps(value, canonical=True, datetime_as_timestamp=True))
    except (cbor2.CBOREncodeError, ValueError, OverflowError) as error:
        raise CborError(what="CBOR value", expected="an encodable value", got=str(error)) from error


def decode_deterministic(data: bytes, *, bytes_max: int, tags: frozenset[int] = frozenset()) -> Any:
    """Decode one value that is encoded deterministically; trailing bytes and duplicate keys are refused.

    Raises:
        CborError: anything else.
    """
    value = decode_well_formed(data, bytes_max=bytes_max, tags=tags)
    if encode_deterministic(value) != data:
        raise CborError(
            what="CBOR encoding",
            expected="the deterministic encoding of RFC 8949 section 4.2.1 without duplicate keys",
            got="another encoding of the same value",
        )
    return value


def decode_well_formed(data: bytes, *, bytes_max: int, tags: frozenset[int] = frozenset()) -> Any:
    """Decode one value of definite lengths; tags outside `tags` and floats are refused.

    Key order and shortest integers are NOT checked here, for formats that others encode; duplicate keys are.

    Raises:
        CborError: malformed, too big, too deep, or of an unwanted type.
    """
    if len(data) > bytes_max:
        raise CborError(what="CBOR message", expected=f"at most {bytes_max} bytes", got=f"{len(data)} bytes")
    _Walk(data, tags).check()
    try:
        value = cbor2.loads(data)
    except (cbor2.CBORDecodeError, ValueError, TypeError, ArithmeticError, LookupError, OSError) as error:
        raise CborError(what="CBOR message", expected="a well-formed value", got=str(error)) from error
    return value


class _Walk:
    """A raising cursor over the headers of one CBOR value (RFC 8949 appendix C)."""

    def __init__(self, data: bytes, tags: frozenset[int]) -> None:
        self._data = data
        self._tags = tags
        self._position = 0
        self._items = 0

    def check(self) -> None:
        """Walk one value; refuse what follows it."""
        self._value(depth=0)
        if self._position != len(self._data):
            surplus = len(self._data) - self._position
            raise CborError(what="CBOR message", expected="one value", got=f"{surplus} bytes after it")

    def _value(self, *, depth: int) -> None:
        self._items += 1
        if depth > DEPTH_MAX or self._items > ITEMS_MAX:
            raise self._refusal(f"at most {DEPTH_MAX} levels and {ITEMS_MAX} items", "more")
        major, argument = self._header()
        if major == _TEXT:
            self._text(argument)
        elif major == _BYTES:
            self._take(argument)
        elif major == _ARRAY:
            self._room_for(argument)
            for _ in range(argument):
                self._value(depth=depth + 1)
        elif major == _MAP:
            self._room_for(2 * argument)
            self._map(argument, depth=depth)
        elif major == _TAG:
            if argument not in self._tags:
                raise self._refusal("no tag" if not self._tags else "a known tag", f"tag {argument}")
            self._value(depth=depth + 1)

    def _map(self, pairs: int, *, depth: int) -> None:
        seen: set[tuple[int, int | bytes]] = set()
        for _ in range(pairs):
            major, argument = self._header()
            if major not in (_UNSIGNED, _NEGATIVE, _TEXT):
                raise self._refusal("an integer or text as map key", f"major type {major}")
            key = (major, self._text(argument) if major == _TEXT else argument)
            if key in seen:
                raise self._refusal("each map key once", f"key {key[1]!r} twice")
            seen.add(key)
            self._items += 1
            self._value(depth=depth + 1)

    def _header(self) -> tuple[int, int]:
        """Major type and argument; a simple value is answered as major type 7."""
        initial = self._take(1)[0]
        major, additional = initial >> 5, initial & 0x1F
        if major > _TAG:
            if additional not in _SIMPLE_VALUES:
                raise self._refusal("false, true or null", f"initial byte 0x{initial:02x}")
            return major, additional
        if additional < _ONE_BYTE_ARGUMENT:
            return major, additional
        if additional > _EIGHT_BYTE_ARGUMENT:
            raise self._refusal("a definite length", f"initial byte 0x{initial:02x}")
        return major, int.from_bytes(self._take(1 << (additional - _ONE_BYTE_ARGUMENT)), "big")

    def _text(self, length: int) -> bytes:
        raw = self._take(length)
        try:
            raw.decode("utf-8", "strict")
        except UnicodeDecodeError as error:
            raise self._refusal("UTF-8", "other bytes") from error
        return raw

    def _take(self, length: int) -> bytes:
        end = self._position + length
        if end > len(self._data):
            raise self._refusal(f"{length} bytes", f"{len(self._data) - self._position} left")
        taken = self._data[self._position : end]
        self._position = end
        return taken

    def _room_for(self, items: int) -> None:
        left = len(self._data) - self._position
        if items > left:
            raise self._refusal(f"{items} items of at least one byte", f"{left} bytes left")

    def _refusal(self, expected: str, got: str) -> CborError:
        return CborError(what=f"CBOR at byte {self._position}", expected=expected, got=got)


def _check_encodable(value: Any, *, depth: int) -> None:
    if depth > DEPTH_MAX:
        raise CborError(what="CBOR value", expected=f"at most {DEPTH_MAX} levels", got="more")
    for part in _parts(value):
        _check_encodable(part, depth=depth + 1)


def _parts(value: Any) -> Iterable[Any]:
    """The values inside a value, whose own type is checked."""
    match value:
        case None | bytes() | str() | bool():
            return ()
        case int() if -(1 << 64) <= value < 1 << 64:
            return ()
        case list() | tuple():
            return value
        case dict() if _keys_are_of_one_type(value):
            return value.values()
        case datetime() if value.tzinfo is not None and not value.microsecond:
            return ()  # tag 1 with whole seconds
        case cbor2.CBORTag():
            return (value.value,)
    expected = "64-bit integers, bytes, text, arrays, whole seconds, or maps with keys of one type"
    raise CborError(what="CBOR value", expected=expected, got=type(value).__name__)


def _keys_are_of_one_type(value: dict[Any, Any]) -> bool:
    types = {type(key) for key in value}
    return types <= {int} or types <= {str}
