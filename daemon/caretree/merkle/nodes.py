"""Reading any node of a tree out of its tiles, with the tiles in use kept expanded in memory."""

from collections import OrderedDict
from hashlib import sha256

from caretree.merkle.frontier import Fetch
from caretree.merkle.hashing import HASH_BYTES, NODE_PREFIX
from caretree.merkle.shape import NodeId
from caretree.merkle.tiles import (
    TILE_HEIGHT,
    Tile,
    TileKey,
    TileReader,
    checked_tile,
    tile_width,
)
from caretree.model.errors import VerificationError
from caretree.model.ids import TreeSize

# An expanded tile takes 16 KiB, so these take 4 MiB; a proof in a tree of 16 Mi leaves touches
# three.
EXPANDED_TILES_MAX = 256

# Row n holds the complete nodes n levels above the tile's own hashes, one after another.
_Rows = tuple[bytes, ...]


class TileChangedError(VerificationError):
    """A tile no longer begins with what was read of it before."""

    def __init__(self, tile: Tile) -> None:
        super().__init__(f"tile {tile.level}/{tile.index} changed below its right edge")
        self.tile = tile


class NodeReader:
    """Gives the hashes of complete nodes from tiles; for one thread at a time."""

    def __init__(self, tiles: TileReader, *, expanded_tiles_max: int = EXPANDED_TILES_MAX) -> None:
        assert expanded_tiles_max > 0
        self._tiles = tiles
        self._expanded_tiles_max = expanded_tiles_max
        self._expanded: OrderedDict[TileKey, _Rows] = OrderedDict()

    def at(self, size: TreeSize) -> Fetch:
        """A fetch of nodes as they are in the tree of this size.

        The fetch raises MalformedError for a tile of wrong length, TileChangedError for one that
        differs from what was read before, and whatever the tile reader raises.
        """

        def fetch(node: NodeId) -> bytes:
            return self._read(node, size)

        return fetch

    def _read(self, node: NodeId, size: TreeSize) -> bytes:
        level, row = divmod(node.level, TILE_HEIGHT)
        key = TileKey(level, node.number >> (TILE_HEIGHT - row))
        start = (node.number & ((1 << (TILE_HEIGHT - row)) - 1)) * HASH_BYTES
        rows = self._expanded.get(key)
        if rows is None or start >= len(rows[row]):
            rows = self._load(key, size, rows)
            assert start < len(rows[row]), "asked for a node that is not complete at this size"
        else:
            self._expanded.move_to_end(key)
        return rows[row][start : start + HASH_BYTES]

    def _load(self, key: TileKey, size: TreeSize, known: _Rows | None) -> _Rows:
        width = tile_width(level=key.level, index=key.number, size=size)
        assert width, "asked for a node beyond this size"
        tile = Tile(level=key.level, index=key.number, width=width)
        content = checked_tile(tile, self._tiles.read_tile(tile))
        if known is not None and not content.startswith(known[0]):
            raise TileChangedError(tile)
        rows = _expand(content, known or (b"",) * TILE_HEIGHT)
        self._expanded[key] = rows
        self._expanded.move_to_end(key)
        if len(self._expanded) > self._expanded_tiles_max:
            self._expanded.popitem(last=False)
        return rows


def _expand(content: bytes, known: _Rows) -> _Rows:
    """The eight rows of a tile; `known` are those of a narrower version, taken over as they are."""
    rows = [content]
    for row in known[1:]:
        below = rows[-1]
        pairs = range(2 * len(row), len(below) - HASH_BYTES, 2 * HASH_BYTES)
        fresh = [
            sha256(NODE_PREFIX + below[pair : pair + 2 * HASH_BYTES]).digest() for pair in pairs
        ]
        rows.append(row + b"".join(fresh))
    return tuple(rows)
