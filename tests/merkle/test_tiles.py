"""Tiles are those of c2sp.org/tlog-tiles: contents, widths, paths, and what an append writes."""

import random
from functools import cache

import pytest
from caretree.merkle.frontier import EMPTY_FRONTIER, Frontier, grow
from caretree.merkle.hashing import HASH_BYTES
from caretree.merkle.tiles import (
    TILE_BYTES,
    TILE_WIDTH,
    EntryBundle,
    Tile,
    TileKey,
    changed_tiles,
    checked_tile,
    parse_tile_path,
    partial_tiles,
    read_right_edge,
    tile_path,
    tile_width,
    update_tiles,
)
from caretree.model.errors import MalformedError
from caretree.model.ids import TreeSize

from tests.merkle.builders import TiledLog, hash_leaves, make_leaves
from tests.merkle.reference import tree_hash

SIZES = [1, 255, 256, 257, 65535, 65536, 65537, 70000]


@cache
def leaves_of_largest() -> tuple[bytes, ...]:
    return tuple(make_leaves(max(SIZES)))


@cache
def full_tile_hash(level: int, index: int) -> bytes:
    """The hash over a full tile, straight from the definition of tile contents."""
    return tree_hash(leaves_of_largest()[index << 8 * (level + 1) : (index + 1) << 8 * (level + 1)])


def expected_tile(level: int, index: int, width: int) -> bytes:
    if level == 0:
        first = index * TILE_WIDTH
        return b"".join(hash_leaves(leaves_of_largest()[first : first + width]))
    first = index * TILE_WIDTH
    return b"".join(full_tile_hash(level - 1, first + offset) for offset in range(width))


def expected_widths(size: int) -> dict[TileKey, int]:
    """What a tree of this size has, from the format's floor(s / 256^l) mod 256."""
    widths = {}
    for level in range(8):
        count = size // 256**level
        for index in range(count // 256):
            widths[TileKey(level, index)] = 256
        if count % 256:
            widths[TileKey(level, count // 256)] = count % 256
    return widths


@pytest.mark.parametrize("size", SIZES)
def test_a_log_grown_in_one_batch_has_exactly_the_tiles_of_its_size(size: int) -> None:
    log = TiledLog()
    log.append(leaves_of_largest()[:size])
    widths = expected_widths(size)
    assert {key: len(content) // HASH_BYTES for key, content in log.tiles.items()} == widths
    for key, content in log.tiles.items():
        assert content == expected_tile(*key, widths[key])


def test_a_log_grown_in_random_batches_has_the_same_tiles() -> None:
    chance = random.Random(256)
    whole, grown = TiledLog(), TiledLog()
    leaves = leaves_of_largest()
    whole.append(leaves)
    while grown.frontier.size < len(leaves):
        end = grown.frontier.size + chance.choice([1, 2, 100, 255, 256, 257, 4096])
        grown.append(leaves[grown.frontier.size : end])
    assert grown.tiles == whole.tiles
    assert grown.right_edge == whole.right_edge
    assert grown.frontier == whole.frontier


def test_an_append_writes_only_the_tiles_that_changed_and_only_widens_them() -> None:
    chance = random.Random(70000)
    log = TiledLog()
    leaves = leaves_of_largest()
    while log.frontier.size < 3000:
        old = log.frontier.size
        stored, edge = dict(log.tiles), log.right_edge
        growth = grow(log.frontier, hash_leaves(leaves[old : old + chance.randint(1, 300)]))
        written = update_tiles(growth, edge).tiles
        changed = changed_tiles(old_size=old, new_size=growth.after.size)
        assert {tile.key: tile.width * HASH_BYTES for tile in changed} == {
            key: len(content) for key, content in written.items()
        }
        for key, content in written.items():
            assert content.startswith(stored.get(key, b""))
        log.append(leaves[old : growth.after.size])


def test_the_example_of_70000_leaves_has_the_widths_that_the_format_names() -> None:
    size = TreeSize(70000)
    assert (
        sum(tile.level == 0 for tile in changed_tiles(old_size=TreeSize(0), new_size=size)) == 274
    )
    assert partial_tiles(size) == (
        Tile(level=0, index=273, width=112),
        Tile(level=1, index=1, width=17),
        Tile(level=2, index=0, width=1),
    )
    assert partial_tiles(TreeSize(256)) == (Tile(level=1, index=0, width=1),)
    assert tile_width(level=0, index=272, size=size) == 256
    assert tile_width(level=0, index=274, size=size) == 0
    assert changed_tiles(old_size=size, new_size=size) == ()


@pytest.mark.parametrize("size", [0, *SIZES])
def test_the_right_edge_is_read_back_from_stored_tiles_even_when_they_are_wider(size: int) -> None:
    log = TiledLog()
    log.append(leaves_of_largest()[:size])
    edge = log.right_edge
    assert read_right_edge(TreeSize(size), log) == edge
    log.append(leaves_of_largest()[size : size + 300])
    assert read_right_edge(TreeSize(size), log) == edge


def test_an_update_refuses_a_right_edge_of_another_size() -> None:
    growth = grow(grow(EMPTY_FRONTIER, hash_leaves([b"a", b"b"])).after, hash_leaves([b"c"]))
    with pytest.raises(AssertionError, match="right edge"):
        update_tiles(growth, {0: bytes(HASH_BYTES)})


def test_levels_that_an_append_does_not_reach_keep_their_right_edge() -> None:
    frontier = Frontier(size=TreeSize(256 * 3), roots=(bytes(32), bytes(32)))
    edge = {1: bytes(3 * HASH_BYTES)}
    update = update_tiles(grow(frontier, hash_leaves([b"x"])), edge)
    assert update.right_edge[1] == edge[1]
    assert set(update.tiles) == {TileKey(0, 3)}


def test_a_tile_of_wrong_length_is_malformed() -> None:
    tile = Tile(level=0, index=0, width=3)
    assert checked_tile(tile, bytes(3 * HASH_BYTES)) == bytes(3 * HASH_BYTES)
    assert len(checked_tile(tile, bytes(TILE_BYTES))) == TILE_BYTES
    for length in (0, 2 * HASH_BYTES, 3 * HASH_BYTES + 1, TILE_BYTES + HASH_BYTES):
        with pytest.raises(MalformedError):
            checked_tile(tile, bytes(length))


@pytest.mark.parametrize(
    ("tile", "path"),
    [
        (Tile(level=0, index=0, width=256), "tile/0/000"),
        (Tile(level=0, index=5, width=1), "tile/0/005.p/1"),
        (Tile(level=2, index=1000, width=256), "tile/2/x001/000"),
        (Tile(level=63, index=1234067, width=255), "tile/63/x001/x234/067.p/255"),
        (EntryBundle(index=273, width=112), "tile/entries/273.p/112"),
        (EntryBundle(index=999999, width=256), "tile/entries/x999/999"),
    ],
)
def test_tile_paths_are_written_and_read_as_the_format_says(
    tile: Tile | EntryBundle, path: str
) -> None:
    assert tile_path(tile) == path
    assert parse_tile_path(path) == tile


def test_every_index_up_to_the_largest_has_a_path_of_its_own() -> None:
    for index in (0, 9, 999, 1000, 10**6 - 1, 10**6, 2**55 - 1):
        tile = Tile(level=0, index=index, width=256)
        assert parse_tile_path(tile_path(tile)) == tile


@pytest.mark.parametrize(
    "path",
    [
        "",
        "checkpoint",
        "tile/0",
        "tile/0/0",
        "tile/0/00",
        "tile/0/0000",
        "tile/00/000",
        "tile/01/000",
        "tile/64/000",
        "tile/-1/000",
        "tile/data/000",
        "tile/8/0/000",
        "tile/0/x000/001",
        "tile/0/001/000",
        "tile/0/x001",
        "tile/0/x001/x002",
        "tile/0/000.p/0",
        "tile/0/000.p/256",
        "tile/0/000.p/01",
        "tile/0/000.p/",
        "tile/0/000.p",
        "tile/0/000/",
        "/tile/0/000",
        "tile/0/000\n",
        "tile/0/\u0661\u0662\u0663",
        "tile/0/x999/x999/x999/x999/x999/x999/999",
        "tile/entries/../000",
    ],
)
def test_other_paths_are_refused(path: str) -> None:
    with pytest.raises(MalformedError):
        parse_tile_path(path)
