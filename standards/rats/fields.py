"""Typed reading of decoded maps: CBOR maps with integer keys and JSON objects with names.

Rule: a key that was not asked for is refused when the reader is closed, unless the format says that unknown
keys are to be ignored; a value of another type or size is refused where it is read.
"""

import base64
import binascii
import re
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from typing import Any, Final, Self

INTEGER_MAX: Final = (1 << 63) - 1
TEXT_MAX: Final = 1024
_BASE64URL: Final = re.compile(r"[A-Za-z0-9_-]*")
_HEX: Final = re.compile(r"(?:[0-9a-f]{2})*")
_LATEST: Final = 253402300799  # 9999-12-31T23:59:59Z, the last second of RFC 5280's GeneralizedTime

Refusal = Callable[[str, str, str], Exception]
"""Builds the caller's own error from (what, expected, got)."""


class Fields:
    """The fields of one map, read one by one, then closed."""

    def __init__(self, value: object, *, what: str, refusal: Refusal) -> None:
        self._what = what
        self._refusal = refusal
        if type(value) is not dict and not isinstance(value, Mapping):
            raise refusal(what, "a map", _kind(value))
        self._value: Mapping[Any, Any] = value
        self._read: set[Any] = set()

    def __contains__(self, key: object) -> bool:
        return key in self._value

    def raw(self, key: int | str) -> Any:
        """The value of a key that must be there."""
        try:
            value = self._value[key]
        except KeyError:
            raise self._refusal(self._name(key), "a value", "none") from None
        self._read.add(key)
        return value

    def octets(self, key: int | str, *, size_min: int = 0, size_max: int) -> bytes:
        """A byte string of a size within the bounds."""
        value = self._value.get(key)
        if (
            type(value) is bytes and size_min <= len(value) <= size_max
        ):  # one call for most of what a message has
            self._read.add(key)
            return value
        size = str(size_max) if size_min == size_max else f"{size_min} to {size_max}"
        raise self._refusal(self._name(key), f"a byte string of {size} bytes", _kind(self.raw(key)))

    def byte_strings(self, sizes: Mapping[int, tuple[int, int]]) -> list[bytes]:
        """The byte strings of these keys, in their order; `sizes` has the least and the largest size of each."""
        values, held = [], self._value
        for key, (low, high) in sizes.items():
            value = held.get(key)
            if type(value) is not bytes or not low <= len(value) <= high:
                value = self.octets(key, size_min=low, size_max=high)  # says what it is instead
            values.append(value)
        self._read.update(sizes)
        return values

    def optional_octets(self, key: int | str, *, size_min: int = 0, size_max: int) -> bytes | None:
        """A byte string, or None where the key is absent."""
        return self.octets(key, size_min=size_min, size_max=size_max) if key in self else None

    def text(self, key: int | str, *, size_max: int = TEXT_MAX) -> str:
        """A text of 1 to `size_max` characters without control characters."""
        return self._text(self.raw(key), key, size_max=size_max)

    def integer(self, key: int | str, *, low: int = 0, high: int = INTEGER_MAX) -> int:
        """An integer within the bounds (true and false are none)."""
        value = self.raw(key)
        if not isinstance(value, int) or isinstance(value, bool) or not low <= value <= high:
            raise self._refusal(self._name(key), f"an integer of {low} to {high}", _kind(value))
        return value

    def items(self, key: int | str, *, size_min: int = 0, size_max: int) -> list[Any]:
        """An array whose length is within the bounds."""
        value = self.raw(key)
        if not isinstance(value, list) or not size_min <= len(value) <= size_max:
            raise self._refusal(self._name(key), f"an array of {size_min} to {size_max} items", _kind(value))
        return value

    def texts(self, key: int | str, *, size_min: int = 0, size_max: int) -> tuple[str, ...]:
        """An array of texts, none twice."""
        values = self.items(key, size_min=size_min, size_max=size_max)
        texts = tuple(
            [self._text(each, f"{key}.{index}", size_max=TEXT_MAX) for index, each in enumerate(values)]
        )
        if len(set(texts)) != len(texts):
            raise self._refusal(self._name(key), "each text once", "one of them twice")
        return texts

    def nested(self, key: int | str) -> Self:
        """A map in the map."""
        return type(self)(self.raw(key), what=self._name(key), refusal=self._refusal)

    def of(self, value: object, *, what: str) -> Self:
        """Another map, an item of an array of this one for instance, with the same refusal."""
        return type(self)(value, what=f"{self._what}.{what}", refusal=self._refusal)

    def base64url(self, key: int | str, *, size_min: int = 0, size_max: int) -> bytes:
        """Bytes written as base64url without padding (RFC 7515 section 2), in their one spelling."""
        value = self.raw(key)
        if isinstance(value, str) and len(value) <= 2 * size_max + 4 and _BASE64URL.fullmatch(value):
            try:
                decoded = base64.urlsafe_b64decode(value + "=" * (-len(value) % 4))
            except binascii.Error:
                decoded = b""
            if encode_base64url(decoded) == value and size_min <= len(decoded) <= size_max:
                return decoded
        expected = f"base64url of {size_min} to {size_max} bytes"
        raise self._refusal(self._name(key), expected, _kind(value))

    def hex(self, key: int | str, *, size_min: int = 0, size_max: int) -> bytes:
        """Bytes written as lower-case hexadecimal digits."""
        value = self.raw(key)
        if isinstance(value, str) and 2 * size_min <= len(value) <= 2 * size_max and _HEX.fullmatch(value):
            return bytes.fromhex(value)
        expected = f"lower-case hexadecimal of {size_min} to {size_max} bytes"
        raise self._refusal(self._name(key), expected, _kind(value))

    def time(self, key: int | str) -> datetime:
        """A NumericDate of whole seconds (RFC 7519 section 2), as an aware UTC datetime."""
        return datetime.fromtimestamp(self.integer(key, high=_LATEST), tz=UTC)

    def present(self) -> tuple[Any, ...]:
        """All keys, read or not."""
        return tuple(self._value)

    def close(self) -> None:
        """Refuse every key that nothing has read."""
        if len(self._read) == len(self._value):
            return  # what was read was there
        surplus = sorted(str(key) for key in self._value if key not in self._read)
        if surplus:
            known = ", ".join(sorted(str(key) for key in self._read))
            raise self._refusal(self._what, f"only the keys {known}", f"also {', '.join(surplus)[:TEXT_MAX]}")

    def _text(self, value: object, key: int | str, *, size_max: int) -> str:
        if isinstance(value, str) and 1 <= len(value) <= size_max and value.isprintable():
            return value
        raise self._refusal(self._name(key), f"printable text of 1 to {size_max} characters", _kind(value))

    def _name(self, key: int | str) -> str:
        return f"{self._what}.{key}"


def encode_base64url(value: bytes) -> str:
    """Write bytes as base64url without padding (RFC 7515 section 2)."""
    return base64.urlsafe_b64encode(value).rstrip(b"=").decode("ascii")


def numeric_date(at: datetime) -> int:
    """Write an aware datetime as a NumericDate of whole seconds."""
    return int(at.timestamp())


def _kind(value: object) -> str:
    """What a value is, without showing what it holds."""
    if isinstance(value, bytes):
        return f"{len(value)} bytes"
    if isinstance(value, str):
        return f"text of {len(value)} characters"
    if isinstance(value, list):
        return f"an array of {len(value)} items"
    if isinstance(value, int) and not isinstance(value, bool):
        return "an integer out of bounds" if abs(value) > INTEGER_MAX else str(value)
    return {type(None): "null", bool: "true or false", dict: "a map"}.get(type(value), type(value).__name__)
