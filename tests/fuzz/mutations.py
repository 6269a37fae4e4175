"""Mutations of good bytes: all of the simple ones in order, and endless mixtures by number.

Rule: a mutation is named by (seed, number) and is the same everywhere, so that a run that was stopped goes on at its number
and a fault is told by two of them.
"""

import random
from collections.abc import Iterator

LENGTHS = (0, 1, 0x7F, 0xFF, 0x7FFF, 0xFFFF, 0x7FFF_FFFF, 0xFFFF_FFFF)
_SIZES = (1, 2, 4, 8)


def prefixes(data: bytes) -> Iterator[bytes]:
    """Every shorter beginning."""
    return (data[:size] for size in range(len(data)))


def one_byte_changes(data: bytes, *, flips: tuple[int, ...]) -> Iterator[bytes]:
    """Every byte, changed by each of `flips`."""
    for place in range(len(data)):
        for flip in flips:
            yield data[:place] + bytes([data[place] ^ flip]) + data[place + 1 :]


def length_fields(data: bytes) -> Iterator[bytes]:
    """Every place as a field of 1, 2, 4 or 8 bytes in either order of bytes, with extreme values."""
    for place in range(len(data)):
        for size in _SIZES:
            if place + size <= len(data):
                for value in LENGTHS:
                    if value < 1 << 8 * size:
                        for order in ("big", "little"):
                            field = value.to_bytes(size, order)
                            yield data[:place] + field + data[place + size :]


def mixture(seeds: tuple[bytes, ...], *, seed: int, number: int) -> bytes:
    """Mutation `number` of a run with this `seed`: a few edits of one of the good inputs, or a splice of two."""
    draw = random.Random(f"{seed}/{number}")  # noqa: S311 - to be repeated, not to be secret
    data = bytearray(draw.choice(seeds))
    for _ in range(draw.choice((1, 1, 2, 3, 8))):
        _edit(data, draw, seeds)
    return bytes(data)


def _edit(data: bytearray, draw: random.Random, seeds: tuple[bytes, ...]) -> None:
    place = draw.randrange(len(data) + 1)
    match draw.randrange(7):
        case 0 if data:
            data[place % len(data)] ^= 1 << draw.randrange(8)
        case 1:
            size = draw.choice(_SIZES)
            value = draw.choice(LENGTHS) & ((1 << 8 * size) - 1)
            data[place : place + size] = value.to_bytes(size, draw.choice(("big", "little")))
        case 2:
            data[place:place] = draw.randbytes(draw.randrange(1, 16))
        case 3:
            del data[place : place + draw.randrange(1, 64)]
        case 4:
            data[place:place] = data[place : place + draw.randrange(1, 64)]
        case 5:
            other = draw.choice(seeds)
            start = draw.randrange(len(other) + 1)
            data[place:] = other[start:]
        case _:
            del data[place:]
