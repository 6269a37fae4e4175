"""CBOR as the RATS formats use it: one value, one encoding, bounded before anything is built.

Rule: a value is built only of what was walked: of definite lengths, within the bounds, and free of every tag that the
caller did not name. A stranger's bytes could ask a general decoder for regular expressions, huge decimals or shared
references.
Deterministic means RFC 8949 section 4.2.1: preferred serialization and sorted keys. One walk sees that each header is the
shortest and that map keys ascend, and builds the value.
"""

from collections.abc import Iterable
from datetime import UTC, datetime
from types import MappingProxyType
from typing import Any, Final

import cbor2

from standards.rats.errors import CborError

DEPTH_MAX: Final = 16
ITEMS_MAX: Final = 200_000

_UNSIGNED, _NEGATIVE, _BYTES, _TEXT, _ARRAY, _MAP, _TAG = range(7)
_SIMPLE_VALUES: Final = MappingProxyType({20: False, 21: True, 22: None})
_EPOCH_TIME: Final = 1
_PLAIN: Final = frozenset({bytes, str, bool, type(None)})
_ONE_BYTE_ARGUMENT: Final = 24
_TWO_BYTE_ARGUMENT: Final = 25
_EIGHT_BYTE_ARGUMENT: Final = 27
_SIMPLE: Final = 0xE0
_BYTES_OF_ONE_BYTE_LENGTH: Final = _BYTES << 5 | _ONE_BYTE_ARGUMENT
_BYTES_OF_TWO_BYTE_LENGTH: Final = _BYTES << 5 | _TWO_BYTE_ARGUMENT
_OCTETS_OF_LENGTH: Final = MappingProxyType({_BYTES_OF_TWO_BYTE_LENGTH: 2, _BYTES_OF_TWO_BYTE_LENGTH + 1: 4})
_SHORT_MAPS: Final = range(_MAP << 5, (_MAP << 5) + _ONE_BYTE_ARGUMENT)
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
    """Decode one value that is encoded deterministically; trailing bytes, duplicate keys and tags outside `tags` are refused.

    Raises:
        CborError: anything else; also too big, too deep, or with floats.
    """
    if len(data) > bytes_max:
        raise CborError(what="CBOR message", expected=f"at most {bytes_max} bytes", got=f"{len(data)} bytes")
    return _Decoder(data, tags).decode()


def decode_byte_string(data: bytes, position: int) -> bytes | None:
    """The byte string of at least 256 bytes that begins at `position` and ends `data`; None where there is something else."""
    octets = _OCTETS_OF_LENGTH.get(data[position]) if position < len(data) else None
    if octets is None:
        return None
    start = position + 1 + octets
    length = int.from_bytes(data[position + 1 : start], "big")
    shortest = length >= _LEAST_ARGUMENT[data[position] & 0x1F]
    return data[start:] if shortest and start + length == len(data) else None


class _Decoder:
    """A raising walk over one CBOR value in its deterministic encoding, which builds the value as it goes (RFC 8949 appendix C).

    Evidence is read with every quote, so a step is a position in, a value and a position out, without a cursor; the maps and
    byte strings that messages consist of are read in place.
    """

    __slots__ = ("_data", "_items", "_size", "_tags")

    def __init__(self, data: bytes, tags: frozenset[int]) -> None:
        self._data = data
        self._size = len(data)
        self._tags = tags
        self._items = 0

    def decode(self) -> Any:
        """The one value; refuse what follows it."""
        value, end = self._value(0, depth=0)
        if end != self._size:
            surplus = self._size - end
            raise CborError(what="CBOR message", expected="one value", got=f"{surplus} bytes after it")
        return value

    def _value(self, position: int, *, depth: int) -> tuple[Any, int]:
        """The value at `position`, and where it ends."""
        self._items += 1
        if depth > DEPTH_MAX or self._items > ITEMS_MAX:
            raise self._refusal(position, f"at most {DEPTH_MAX} levels and {ITEMS_MAX} items", "more")
        start = position
        initial = self._data[start] if start < self._size else _TWO_BYTE_ARGUMENT
        if initial & 0x1F < _ONE_BYTE_ARGUMENT and initial < _SIMPLE:
            major, argument, position = initial >> 5, initial & 0x1F, start + 1
        else:
            major, argument, position = self._header(start)
        if major == _BYTES:
            end = position + argument
            return self._data[position:end], end if end <= self._size else self._after(position, argument)
        if major == _UNSIGNED:
            return argument, position
        if major == _TEXT:
            return self._text(position, argument)
        if major == _MAP:
            self._room_for(position, 2 * argument)
            return self._map(position, argument, depth=depth)
        if major == _ARRAY:
            self._room_for(position, argument)
            items = []
            for _ in range(argument):
                item, position = self._value(position, depth=depth + 1)
                items.append(item)
            return items, position
        return self._rare(start, position, depth=depth)

    def _rare(self, start: int, position: int, *, depth: int) -> tuple[Any, int]:
        """A negative number, a simple value, or a tag whose value begins at `position`."""
        major, argument, _ = self._header(start)
        if major == _NEGATIVE:
            return -1 - argument, position
        if major == _TAG:
            return self._tagged(start, position, argument, depth=depth)
        return _SIMPLE_VALUES[argument], position

    def _map(self, position: int, pairs: int, *, depth: int) -> tuple[dict[Any, Any], int]:
        """Keys are small numbers and values byte strings of 24 to 255 bytes, mostly; what is not goes the long way."""
        if self._items > ITEMS_MAX:
            raise self._refusal(position, f"at most {ITEMS_MAX} items", "more")
        built: dict[Any, Any] = {}
        data, size = self._data, self._size
        last = -1
        for read in range(pairs):
            key = data[position] if position < size else _ONE_BYTE_ARGUMENT
            if not last < key < _ONE_BYTE_ARGUMENT:
                return self._any_map(position, pairs - read, built, depth=depth)
            last = key
            position += 1
            start = position + 2
            if start <= size and data[position] == _BYTES_OF_ONE_BYTE_LENGTH:
                length = data[position + 1]
                end = start + length
                self._items += 1
                if length < _ONE_BYTE_ARGUMENT:
                    raise self._refusal(position, "the shortest header", f"2 bytes for {length}")
                if end > size:
                    raise self._refusal(start, f"{length} bytes", f"{size - start} left")
                built[key] = data[start:end]
                position = end
            elif start <= size and data[position] in _SHORT_MAPS and depth < DEPTH_MAX:
                self._items += 1
                built[key], position = self._map(position + 1, data[position] & 0x1F, depth=depth + 1)
            else:
                built[key], position = self._value(position, depth=depth + 1)
        return built, position

    def _any_map(
        self, position: int, pairs: int, built: dict[Any, Any], *, depth: int
    ) -> tuple[dict[Any, Any], int]:
        """The last `pairs` of a map, after small numbers as keys: keys of one type, in ascending order, none twice."""
        before = (1, bytes([max(built)])) if built else (0, b"")
        kind: type | None = int if built else None
        for _ in range(pairs):
            start = position
            major, argument, position = self._header(start)
            if major > _NEGATIVE and major != _TEXT:
                raise self._refusal(start, "an integer or text as map key", f"major type {major}")
            key: int | str = argument if major == _UNSIGNED else -1 - argument
            if major == _TEXT:
                key, position = self._text(position, argument)
            encoded = position - start, self._data[start:position]
            if encoded <= before or kind not in (None, type(key)):
                raise self._refusal(start, "ascending map keys of one type, each once", "others")
            before, kind = encoded, type(key)
            built[key], position = self._value(position, depth=depth + 1)
        return built, position

    def _tagged(self, start: int, position: int, tag: int, *, depth: int) -> tuple[Any, int]:
        """A tag that the caller named; whole seconds since 1970 as a datetime (RFC 8949 section 3.4.2)."""
        if tag not in self._tags:
            raise self._refusal(start, "a known tag" if self._tags else "no tag", f"tag {tag}")
        value, end = self._value(position, depth=depth + 1)
        if tag != _EPOCH_TIME:
            return cbor2.CBORTag(tag, value), end
        try:
            if type(value) is int:
                return datetime.fromtimestamp(value, tz=UTC), end
        except (ValueError, OverflowError, OSError):
            pass
        raise self._refusal(position, "a time in whole seconds", "another value")

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
        if argument < _LEAST_ARGUMENT[additional]:
            raise self._refusal(position, "the shortest header", f"{end - position} bytes for {argument}")
        return major, argument, end

    def _text(self, position: int, length: int) -> tuple[str, int]:
        end = self._after(position, length)
        try:
            return self._data[position:end].decode("utf-8", "strict"), end
        except UnicodeDecodeError as error:
            raise self._refusal(position, "UTF-8", "other bytes") from error

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
