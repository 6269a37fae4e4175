"""Tiles hold the tree: grown entry by entry or at once, they give every root and every proof."""

import hashlib

import pytest

from standards.merkle.tiles import (
    TILE_WIDTH,
    TileNodes,
    decode_entries,
    encode_entries,
    grown_tiles,
    read_tile_path,
    split_tile,
    tile_path,
    width_at,
)
from standards.merkle.tree import (
    HASH_SIZE,
    MerkleError,
    inclusion_proof,
    leaf_digest,
    node_digest,
    tree_root,
    verify_inclusion,
)
from tests.unit.standards.merkle.test_tree import Known

ENTRIES = [number.to_bytes(4, "big") for number in range(600)]
LEAVES = [leaf_digest(entry) for entry in ENTRIES]


class Tiles(dict[tuple[int, int], bytes]):
    """A store of tiles."""

    def tile(self, level: int, number: int) -> bytes:
        return self.get((level, number), b"")


def grown(steps: list[int]) -> Tiles:
    tiles = Tiles()
    size = 0
    for step in steps:
        tiles.update(grown_tiles(size, LEAVES[size : size + step], tiles.tile))
        size += step
    return tiles


@pytest.mark.parametrize("size", [1, 2, 5, 8])
def test_small_trees_have_the_roots_of_the_definition(size: int) -> None:
    assert tree_root(size, TileNodes(grown([size]).tile)) == tree_root(size, Known(ENTRIES))


def test_one_by_one_is_the_same_as_at_once() -> None:
    assert grown([1] * 600) == grown([600]) == grown([255, 1, 1, 255, 88])


@pytest.mark.parametrize("size", [255, 256, 257, 511, 512, 513, 600])
def test_proofs_over_the_edge_of_a_tile(size: int) -> None:
    nodes = TileNodes(grown([size]).tile)
    root = tree_root(size, nodes)
    for index in {0, 1, 127, 128, 254, size - 1}:
        proof = inclusion_proof(index, size, nodes)
        verify_inclusion(LEAVES[index], index=index, size=size, proof=proof, root=root)


def test_a_full_tile_has_its_root_in_the_level_above() -> None:
    tiles = grown([600])
    assert sorted(tiles) == [(0, 0), (0, 1), (0, 2), (1, 0)]
    assert [len(tiles[at]) // HASH_SIZE for at in sorted(tiles)] == [256, 256, 88, 2]
    row = split_tile(tiles[0, 1])
    while len(row) > 1:
        row = [node_digest(row[at], row[at + 1]) for at in range(0, len(row), 2)]
    assert split_tile(tiles[1, 0])[1] == row[0]


def test_how_wide_a_tile_is() -> None:
    assert [width_at(0, number, 600) for number in range(4)] == [256, 256, 88, 0]
    assert [width_at(1, 0, 600), width_at(1, 1, 600), width_at(2, 0, 600)] == [2, 0, 0]


@pytest.mark.negative
def test_a_tile_that_was_lost_or_is_cut_is_missed() -> None:
    tiles = grown([300])
    with pytest.raises(MerkleError, match="tile 0/0"):
        TileNodes(Tiles({(0, 1): tiles[0, 1]}).tile).node(0, 3)
    with pytest.raises(MerkleError, match="44 digests"):
        grown_tiles(300, LEAVES[300:301], Tiles({(0, 1): tiles[0, 1][HASH_SIZE:]}).tile)
    with pytest.raises(MerkleError, match="31 bytes"):
        split_tile(bytes(31))
    with pytest.raises(MerkleError, match="digests"):
        split_tile(bytes((TILE_WIDTH + 1) * HASH_SIZE))


@pytest.mark.parametrize(
    ("number", "width", "path"),
    [
        (0, 256, "000"),
        (5, 256, "005"),
        (999, 8, "999.p/8"),
        (1000, 256, "x001/000"),
        (1234067, 256, "x001/x234/067"),
        (1234067, 1, "x001/x234/067.p/1"),
    ],
)
def test_paths(number: int, width: int, path: str) -> None:
    assert tile_path(number, width=width) == path
    assert read_tile_path(path) == (number, width)


@pytest.mark.negative
@pytest.mark.parametrize(
    "path",
    [
        "",
        "1",
        "0000",
        "x000/001",
        "x001",
        "001.p/0",
        "001.p/256",
        "001.p/08",
        "001/",
        "../001",
        "x1/001",
        "\u0660\u0660\u0661",
    ],
)
def test_another_spelling_is_no_path(path: str) -> None:
    with pytest.raises(MerkleError, match="path of a tile"):
        read_tile_path(path)


def test_bundles_of_entries() -> None:
    entries = [b"", b"a", hashlib.sha256(b"b").digest()]
    data = encode_entries(entries)
    assert data[:5] == b"\x00\x00\x00\x01a"
    assert decode_entries(data, count=3) == entries


@pytest.mark.negative
def test_a_bundle_is_whole_or_refused() -> None:
    data = encode_entries([b"abc", b"de"])
    for cut in range(len(data)):
        with pytest.raises(MerkleError, match="entry bundle"):
            decode_entries(data[:cut], count=2)
    for count in (0, 1, 3):
        with pytest.raises(MerkleError, match="entry bundle"):
            decode_entries(data, count=count)
