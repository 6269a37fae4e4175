"""CBOR as the RATS formats use it: one value, one encoding, bounded before anything is built.

Rule: the library builds a value only after a walk over the headers has shown that it is well-formed, of
definite lengths, within the bounds, and free of every tag that the caller did not name. Without that walk a
stranger's bytes could ask for regular expressions, huge decimals or shared references.
Deterministic means RFC 8949 section 4.2.1: preferred serialization and sorted keys. A decoder that accepts
only the deterministic encoding sees in the same walk that each header is the shortest and that map keys ascend; where
tags are allowed it encodes the value again and compares bytes.
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
_PLAIN: Final = frozenset({bytes, str, bool, type(None)})
_ONE_BYTE_ARGUMENT: Final = 24
_EIGHT_BYTE_ARGUMENT: Final = 27
_BYTES_OF_ONE_BYTE_LENGTH: Final = _BYTES << 5 | _ONE_BYTE_ARGUMENT
_LEAST_ARGUMENT: Final = {24: 24, 25: 1 << 8, 26: 1 << 16, 27: 1 << 32}
"""Smallest argument that needs a header of this kind."""


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
    _check_size(data, bytes_max=bytes_max)
    if not tags:
        _Walk(data, tags, strict=True).check()
        return _load(data)
    # what a tag stands for can have several encodings: only the encoder knows which one is its own
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
    _check_size(data, bytes_max=bytes_max)
    _Walk(data, tags, strict=False).check()
    return _load(data)


def _check_size(data: bytes, *, bytes_max: int) -> None:
    if len(data) > bytes_max:
        raise CborError(what="CBOR message", expected=f"at most {bytes_max} bytes", got=f"{len(data)} bytes")


def _load(data: bytes) -> Any:
    """Build a value whose headers were walked."""
    try:
        return cbor2.loads(data)
    except (cbor2.CBORDecodeError, ValueError, TypeError, ArithmeticError, LookupError, OSError) as error:
        raise CborError(what="CBOR message", expected="a well-formed value", got=str(error)) from error


class _Walk:
    """A raising walk over the headers of one CBOR value (RFC 8949 appendix C).

    `strict` refuses everything but the deterministic encoding: a longer header than the value needs, and map keys that
    do not ascend. Evidence is walked with every quote, so a step is a position in and a position out, without a cursor.
    """

    def __init__(self, data: bytes, tags: frozenset[int], *, strict: bool) -> None:
        self._data = data
        self._size = len(data)
        self._tags = tags
        self._strict = strict
        self._items = 0

    def check(self) -> None:
        """Walk one value; refuse what follows it."""
        end = self._value(0, depth=0)
        if end != self._size:
            surplus = self._size - end
            raise CborError(what="CBOR message", expected="one value", got=f"{surplus} bytes after it")

    def _value(self, position: int, *, depth: int) -> int:
        """Where the value at `position` ends."""
        self._items += 1
        if depth > DEPTH_MAX or self._items > ITEMS_MAX:
            raise self._refusal(position, f"at most {DEPTH_MAX} levels and {ITEMS_MAX} items", "more")
        major, argument, position = self._header(position)
        if major == _BYTES:
            end = position + argument
            return end if end <= self._size else self._after(position, argument)
        if major <= _NEGATIVE or major > _TAG:
            return position
        if major == _TEXT:
            return self._text(position, argument)
        if major == _MAP:
            self._room_for(position, 2 * argument)
            return self._map(position, argument, depth=depth)
        if major == _ARRAY:
            self._room_for(position, argument)
            for _ in range(argument):
                position = self._value(position, depth=depth + 1)
            return position
        if argument not in self._tags:
            raise self._refusal(position, "a known tag" if self._tags else "no tag", f"tag {argument}")
        return self._value(position, depth=depth + 1)

    def _map(self, position: int, pairs: int, *, depth: int) -> int:
        keys: list[bytes] = []
        texts = 0
        data, size = self._data, self._size
        for _ in range(pairs):
            start = position
            if start < size and data[start] < _ONE_BYTE_ARGUMENT:  # a small number, as nearly every key is
                position += 1
            else:
                major, argument, position = self._header(start)
                if major == _TEXT:
                    texts += 1
                    position = self._text(position, argument)
                elif major > _NEGATIVE:
                    raise self._refusal(start, "an integer or text as map key", f"major type {major}")
            keys.append(data[start:position])
            end = position + 2
            if end <= size and data[position] == _BYTES_OF_ONE_BYTE_LENGTH:  # a digest, as most values are
                length = data[position + 1]
                position = end + length
                self._items += 1
                if position > size or (self._strict and length < _ONE_BYTE_ARGUMENT):
                    raise self._refusal(
                        end, f"{length} bytes under the shortest header", f"{size - end} left"
                    )
            else:
                position = self._value(position, depth=depth + 1)
        self._check_keys(position, keys, texts=texts)
        return position

    def _check_keys(self, position: int, keys: list[bytes], *, texts: int) -> None:
        """Refuse a key that is there twice; strictly, also another order (shorter first) and keys of two types."""
        joined = b"".join(keys)
        if not texts and len(joined) == len(keys) and bytes(sorted(set(joined))) == joined:
            return  # small numbers, ascending: nearly every map
        if len(set(keys)) != len(keys):
            raise self._refusal(position, "each map key once", "one of them twice")
        if self._strict and (sorted(keys, key=_shorter_first) != keys or texts not in (0, len(keys))):
            raise self._refusal(position, "ascending map keys of one type", "others")

    def _header(self, position: int) -> tuple[int, int, int]:
        """Major type, argument, position after both; a simple value is answered as major type 7."""
        if position >= self._size:
            raise self._refusal(position, "1 bytes", "0 left")
        initial = self._data[position]
        major, additional = initial >> 5, initial & 0x1F
        if major > _TAG:
            if additional not in _SIMPLE_VALUES:
                raise self._refusal(position, "false, true or null", f"initial byte 0x{initial:02x}")
            return major, additional, position + 1
        if additional < _ONE_BYTE_ARGUMENT:
            return major, additional, position + 1
        if additional > _EIGHT_BYTE_ARGUMENT:
            raise self._refusal(position, "a definite length", f"initial byte 0x{initial:02x}")
        start = position + 1
        end = self._after(start, 1 << (additional - _ONE_BYTE_ARGUMENT))
        argument = int.from_bytes(self._data[start:end], "big")
        if self._strict and argument < _LEAST_ARGUMENT[additional]:
            raise self._refusal(position, "the shortest header", f"{end - position} bytes for {argument}")
        return major, argument, end

    def _text(self, position: int, length: int) -> int:
        end = self._after(position, length)
        try:
            self._data[position:end].decode("utf-8", "strict")
        except UnicodeDecodeError as error:
            raise self._refusal(position, "UTF-8", "other bytes") from error
        return end

    def _after(self, position: int, length: int) -> int:
        end = position + length
        if end > self._size:
            raise self._refusal(position, f"{length} bytes", f"{self._size - position} left")
        return end

    def _room_for(self, position: int, items: int) -> None:
        left = self._size - position
        if items > left:
            raise self._refusal(position, f"{items} items of at least one byte", f"{left} bytes left")

    def _refusal(self, position: int, expected: str, got: str) -> CborError:
        return CborError(what=f"CBOR at byte {position}", expected=expected, got=got)


def _shorter_first(key: bytes) -> tuple[int, bytes]:
    """How the library sorts encoded keys."""
    return len(key), key


def _check_encodable(value: Any, *, depth: int) -> None:
    if depth > DEPTH_MAX:
        raise CborError(what="CBOR value", expected=f"at most {DEPTH_MAX} levels", got="more")
    for part in _parts(value):
        if type(part) not in _PLAIN:  # nearly every part: nothing is inside
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
