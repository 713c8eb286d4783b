"""Where hashes are kept: 256-wide tiles (c2sp.org/tlog-tiles), and which an append changes.

A tile's level counts in steps of eight tree levels: the hashes of tile level t are the nodes of
tree level 8t.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import NamedTuple, Protocol

from caretree.merkle.frontier import Growth
from caretree.merkle.hashing import HASH_BYTES
from caretree.merkle.shape import TREE_SIZE_MAX
from caretree.model.errors import MalformedError
from caretree.model.ids import TreeSize

TILE_HEIGHT = 8
TILE_WIDTH = 1 << TILE_HEIGHT
TILE_BYTES = TILE_WIDTH * HASH_BYTES
TILE_LEVEL_MAX = 63  # what a path may say; TREE_SIZE_MAX leaves need levels 0 to 7 only

_PATH = re.compile(
    r"tile/(?P<level>entries|0|[1-9][0-9]?)/(?P<index>(?:x[0-9]{3}/){0,6}[0-9]{3})"
    r"(?:\.p/(?P<width>[1-9][0-9]{0,2}))?"
)


class TileKey(NamedTuple):
    """Under what a tile is kept, whatever its width: its tile level and its index there."""

    level: int
    number: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Tile:
    """A tile of a tree of some size: 256 hashes wide, or fewer at the right edge."""

    level: int
    index: int
    width: int

    @property
    def key(self) -> TileKey:
        """Under what it is kept."""
        return TileKey(self.level, self.index)


@dataclass(frozen=True, slots=True, kw_only=True)
class EntryBundle:
    """The entries under a tile of level 0, of the same index and width."""

    index: int
    width: int


class TileReader(Protocol):
    """Where tiles come from: a store, or another peer."""

    def read_tile(self, tile: Tile) -> bytes:
        """The tile's hashes, one after another; more than its width when a wider one is at hand.

        A missing tile is the reader's own error to raise.
        """
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class TileUpdate:
    """What one append changes: the tiles to keep, and the partial ones to go on from."""

    tiles: Mapping[TileKey, bytes]
    right_edge: Mapping[int, bytes]  # by tile level; no row for a level whose last tile is full


def tile_width(*, level: int, index: int, size: int) -> int:
    """How many hashes this tile has in a tree of `size`; 0 when it is not there."""
    return max(0, min(TILE_WIDTH, (size >> (TILE_HEIGHT * level)) - TILE_WIDTH * index))


def changed_tiles(*, old_size: TreeSize, new_size: TreeSize) -> tuple[Tile, ...]:
    """The tiles that are new or wider in the tree of `new_size`, lowest level first."""
    assert 0 <= old_size <= new_size
    tiles: list[Tile] = []
    level, old, new = 0, int(old_size), int(new_size)
    while old != new:  # a level without new hashes has none above it either
        for index in range(old >> TILE_HEIGHT, (new + TILE_WIDTH - 1) >> TILE_HEIGHT):
            width = tile_width(level=level, index=index, size=new_size)
            tiles.append(Tile(level=level, index=index, width=width))
        level, old, new = level + 1, old >> TILE_HEIGHT, new >> TILE_HEIGHT
    return tuple(tiles)


def partial_tiles(size: TreeSize) -> tuple[Tile, ...]:
    """The tiles of a tree of this size that are not full, at most one a level, lowest first."""
    tiles = []
    level, count = 0, int(size)
    while count:
        if width := count % TILE_WIDTH:
            tiles.append(Tile(level=level, index=count >> TILE_HEIGHT, width=width))
        level, count = level + 1, count >> TILE_HEIGHT
    return tuple(tiles)


def read_right_edge(size: TreeSize, reader: TileReader) -> dict[int, bytes]:
    """The partial tiles of a tree of this size by level, as `update_tiles` takes them.

    Raises:
        MalformedError: a tile is shorter than the size says.
    """
    return {
        tile.level: checked_tile(tile, reader.read_tile(tile))[: tile.width * HASH_BYTES]
        for tile in partial_tiles(size)
    }


def update_tiles(growth: Growth, right_edge: Mapping[int, bytes]) -> TileUpdate:
    """The tiles to write after an append, to be stored in one batch with all else that it brings.

    `right_edge` holds the partial tiles of the size before, by tile level. Each tile is kept once,
    under its key, with its widest content so far: a narrower one of the same key is always its
    prefix.
    """
    tiles: dict[TileKey, bytes] = {}
    edge = dict(right_edge)
    for level, hashes in enumerate(growth.runs[::TILE_HEIGHT]):
        first = growth.before.size >> (TILE_HEIGHT * level)
        known = edge.pop(level, b"")
        assert len(known) == (first % TILE_WIDTH) * HASH_BYTES, "the right edge fits the old size"
        content = known + b"".join(hashes)
        for start in range(0, len(content), TILE_BYTES):
            piece = content[start : start + TILE_BYTES]
            tiles[TileKey(level, (first >> TILE_HEIGHT) + start // TILE_BYTES)] = piece
            if len(piece) < TILE_BYTES:
                edge[level] = piece
    return TileUpdate(tiles=tiles, right_edge=edge)


def checked_tile(tile: Tile, content: bytes) -> bytes:
    """The content, when it is whole hashes and no fewer than the tile has.

    Raises:
        MalformedError: it is cut, too short or too long.
    """
    if len(content) % HASH_BYTES or not tile.width * HASH_BYTES <= len(content) <= TILE_BYTES:
        raise MalformedError(
            "tile", f"expected {tile.width} to {TILE_WIDTH} hashes, found {len(content)} bytes"
        )
    return content


def tile_path(tile: Tile | EntryBundle) -> str:
    """The path at which the tile or bundle is served, below the log's prefix."""
    level = str(tile.level) if isinstance(tile, Tile) else "entries"
    groups = [f"{tile.index % 1000:03d}"]
    rest = tile.index // 1000
    while rest:
        groups.append(f"x{rest % 1000:03d}")
        rest //= 1000
    suffix = "" if tile.width == TILE_WIDTH else f".p/{tile.width}"
    return f"tile/{level}/{'/'.join(reversed(groups))}{suffix}"


def parse_tile_path(path: str) -> Tile | EntryBundle:
    """The tile or bundle that a path names; the inverse of `tile_path`.

    Raises:
        MalformedError: not such a path, or one written in another way than the one.
    """
    match = _PATH.fullmatch(path)
    if match is None:
        raise MalformedError("tile path", "expected tile/<level>/<index>[.p/<width>]")
    index = int(re.sub("[x/]", "", match["index"]))
    width = int(match["width"] or TILE_WIDTH)
    tile: Tile | EntryBundle
    if match["level"] == "entries":
        tile = EntryBundle(index=index, width=width)
    else:
        tile = Tile(level=int(match["level"]), index=index, width=width)
        if tile.level > TILE_LEVEL_MAX:
            raise MalformedError("tile path", f"expected a level up to {TILE_LEVEL_MAX}")
    if index > TREE_SIZE_MAX >> TILE_HEIGHT or tile_path(tile) != path:
        raise MalformedError("tile path", "expected the index and width in their shortest form")
    return tile
