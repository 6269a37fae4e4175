"""Tiles: how a log's tree is stored and published (C2SP tlog-tiles).

Rule: a tile is a row of up to 256 digests, and only grows at its end; a full one never changes. Tile (L, N) holds the
digests of perfect subtrees of `256 ** L` entries from number `256 * N` on. Every node between is computed from them.
"""

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from standards.merkle.tree import HASH_SIZE, MerkleError, perfect_root

TILE_HEIGHT: Final = 8
TILE_WIDTH: Final = 1 << TILE_HEIGHT
LEVEL_MAX: Final = 7
ENTRY_BYTES_MAX: Final = 0xFFFF
_PATH = re.compile(r"(?P<number>(?:x[0-9]{3}/)*[0-9]{3})(?:\.p/(?P<width>[0-9]{1,3}))?")

TileAt = tuple[int, int]
"""Level and number of a tile."""
TileSource = Callable[[int, int], bytes]
"""Gives the digests, one behind the other, that a tile (level, number) has so far; b"" where it has none."""


@dataclass(frozen=True, slots=True)
class TileNodes:
    """Satisfies `standards.merkle.tree.NodeReader` from tiles."""

    tile: TileSource

    def node(self, level: int, index: int) -> bytes:
        """See NodeReader."""
        tile_level, rest = divmod(level, TILE_HEIGHT)
        first = index << rest
        number, offset = divmod(first, TILE_WIDTH)
        digests = split_tile(self.tile(tile_level, number))[offset : offset + (1 << rest)]
        if len(digests) != 1 << rest:
            raise MerkleError(
                f"tile {tile_level}/{number}", expected=f"{offset + (1 << rest)} digests", got="fewer"
            )
        return perfect_root(digests)


def split_tile(data: bytes) -> list[bytes]:
    """The digests of a tile. Raises MerkleError."""
    if len(data) % HASH_SIZE or len(data) > TILE_WIDTH * HASH_SIZE:
        raise MerkleError("tile", expected=f"up to {TILE_WIDTH} digests", got=f"{len(data)} bytes")
    return [data[at : at + HASH_SIZE] for at in range(0, len(data), HASH_SIZE)]


def grown_tiles(size: int, digests: Sequence[bytes], tile: TileSource) -> Mapping[TileAt, bytes]:
    """The tiles that change when leaf `digests` follow the first `size` entries, each as it is then."""
    changed: dict[TileAt, bytes] = {}
    for position, digest in enumerate(digests, start=size):
        _add(changed, 0, position, digest, tile)
    return changed


def _add(changed: dict[TileAt, bytes], level: int, position: int, digest: bytes, tile: TileSource) -> None:
    number, offset = divmod(position, TILE_WIDTH)
    before = changed.get((level, number))
    row = tile(level, number) if before is None and offset else (before or b"")
    if len(row) != offset * HASH_SIZE:
        raise MerkleError(f"tile {level}/{number}", expected=f"{offset} digests", got=f"{len(row)} bytes")
    changed[level, number] = row + digest
    if offset == TILE_WIDTH - 1:
        _add(changed, level + 1, number, perfect_root(split_tile(changed[level, number])), tile)


def width_at(level: int, number: int, size: int) -> int:
    """How many digests (0 to 256) tile (level, number) has in the tree of `size` entries."""
    in_row = size >> (TILE_HEIGHT * level)
    return max(0, min(TILE_WIDTH, in_row - number * TILE_WIDTH))


def tile_path(number: int, *, width: int = TILE_WIDTH) -> str:
    """The part of a tile's path behind its level: `x001/x234/067`, with `.p/W` while it is not full."""
    groups = [number % 1000]
    while number := number // 1000:
        groups.append(number % 1000)
    parts = [f"x{group:03d}" for group in reversed(groups[1:])]
    whole = "/".join([*parts, f"{groups[0]:03d}"])
    return whole if width == TILE_WIDTH else f"{whole}.p/{width}"


def read_tile_path(path: str) -> tuple[int, int]:
    """Number and width out of such a path; only the one spelling that `tile_path` writes. Raises MerkleError."""
    match = _PATH.fullmatch(path) if len(path) <= 64 else None  # noqa: PLR2004  # far beyond the longest
    if match is not None:
        number = int(match["number"].replace("x", "").replace("/", ""))
        width = TILE_WIDTH if match["width"] is None else int(match["width"])
        if 0 < width <= TILE_WIDTH and tile_path(number, width=width) == path:
            return number, width
    raise MerkleError("path of a tile", expected="as in x001/x234/067 or 067.p/8", got=repr(path[:64]))


def encode_entries(entries: Sequence[bytes]) -> bytes:
    """An entry bundle: each entry behind its length in two bytes, big-endian."""
    return b"".join(len(entry).to_bytes(2, "big") + entry for entry in entries)


def decode_entries(data: bytes, *, count: int) -> list[bytes]:
    """Entries of a bundle that must hold exactly `count`. Raises MerkleError."""
    entries: list[bytes] = []
    at = 0
    while at < len(data) and len(entries) < count:
        size = int.from_bytes(data[at : at + 2], "big")
        entry = data[at + 2 : at + 2 + size]
        if len(data) < at + 2 or len(entry) != size:
            raise MerkleError("entry bundle", expected="whole entries", got="an end inside of one")
        entries.append(entry)
        at += 2 + size
    if at != len(data) or len(entries) != count:
        raise MerkleError("entry bundle", expected=f"{count} entries", got="another number")
    return entries
