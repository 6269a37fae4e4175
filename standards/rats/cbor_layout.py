"""Where the headers of one CBOR value are, and what its strings hold.

Rule: whether a value is well-formed, bounded and in its one encoding is said by its headers and its map keys, at their
places; what its strings hold says nothing about it, but that a text has to be UTF-8. So a value with the same octets there as
one that was walked (`standards.rats.cbor`) is the same value with other strings.
"""

from dataclasses import dataclass
from struct import Struct
from typing import Final, Self

_BYTES, _TEXT, _ARRAY, _MAP, _TAG, _SIMPLE = range(2, 8)
_ONE_BYTE_ARGUMENT: Final = 24

Span = tuple[int, int]
"""Where the contents of a string begin and end."""


@dataclass(frozen=True, slots=True)
class Layout:
    """The size of a value, and the octets between the contents of its strings."""

    cut: Struct
    between: tuple[bytes, ...]

    @classmethod
    def of(cls, walked: bytes) -> Self:
        """The layout of a value that was walked: nothing is checked here."""
        spans: list[Span] = []
        _collect(walked, 0, spans)
        form, position = "", 0
        for start, end in spans:
            form += f"{start - position}s{end - start}s"
            position = end
        cut = Struct(f"{form}{len(walked) - position}s")
        return cls(cut=cut, between=cut.unpack(walked)[::2])

    def strings(self, data: bytes) -> tuple[bytes, ...] | None:
        """What the strings of these bytes hold, in their order, map keys left out; None where a header is another one."""
        if len(data) != self.cut.size:
            return None
        parts = self.cut.unpack(data)
        return parts[1::2] if parts[::2] == self.between else None


def _collect(walked: bytes, position: int, spans: list[Span]) -> int:
    """Add the strings of the value at `position`, map keys not among them; where it ends."""
    major, argument = walked[position] >> 5, walked[position] & 0x1F
    position += 1
    if argument >= _ONE_BYTE_ARGUMENT and major != _SIMPLE:
        size = 1 << (argument - _ONE_BYTE_ARGUMENT)
        argument = int.from_bytes(walked[position : position + size], "big")
        position += size
    if major in (_BYTES, _TEXT):
        spans.append((position, position + argument))
        return position + argument
    if major == _MAP:
        for _ in range(argument):
            position = _collect(walked, position, [])
            position = _collect(walked, position, spans)
    elif major in (_ARRAY, _TAG):
        for _ in range(argument if major == _ARRAY else 1):
            position = _collect(walked, position, spans)
    return position
