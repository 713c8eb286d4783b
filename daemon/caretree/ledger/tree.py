"""The tree in the store: its right edge in memory, its tiles in rows, proofs out of them.

Rows of Table.TILE hold the hashes of each tile in the pieces in which it grew, under (tile level,
number of the first hash): a block writes the hashes that it adds and no other again. `apply` alone
writes them.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from typing_extensions import override

from caretree.ledger.leaves import NO_MAP_ROOT, encode_seal_leaf
from caretree.ledger.overlay import Overlay
from caretree.ledger.row_keys import tile_key
from caretree.ledger.values import Block, Head, Outcome, Seal
from caretree.merkle.frontier import EMPTY_FRONTIER, Frontier, parse_frontier, read_frontier
from caretree.merkle.hashing import HASH_BYTES
from caretree.merkle.nodes import EXPANDED_TILES_MAX, NodeReader
from caretree.merkle.proof import prove_consistency, prove_inclusion
from caretree.merkle.shape import NodeId
from caretree.merkle.tiles import (
    TILE_HEIGHT,
    TILE_WIDTH,
    Tile,
    TileReader,
    TileUpdate,
    read_right_edge,
)
from caretree.model.errors import FatalError, MalformedError
from caretree.model.ids import Digest, LeafIndex, TreeSize
from caretree.storage.keys import Table
from caretree.storage.ports import Reads


class BrokenTreeError(FatalError):
    """The stored tree is not the one that the head of the chain ends in."""

    def __init__(self, found: str) -> None:
        super().__init__(f"the stored tree is damaged: {found}")


@dataclass(frozen=True, slots=True, kw_only=True)
class TreeEdge:
    """All that the next block is appended to: the frontier, and the tiles not yet full by level."""

    frontier: Frontier
    partial_tiles: Mapping[int, bytes] = field(repr=False)


EMPTY_EDGE = TreeEdge(frontier=EMPTY_FRONTIER, partial_tiles={})


class StoredTiles(TileReader):
    """The tiles of the store."""

    __slots__ = ("_reads",)

    def __init__(self, reads: Reads) -> None:
        self._reads = reads

    @override
    def read_tile(self, tile: Tile) -> bytes:
        """The tile as wide as it is stored.

        Raises:
            BrokenTreeError: it, or a piece of it, is not there.
        """
        first = tile.index * TILE_WIDTH
        pieces = self._reads.scan(
            Table.TILE,
            start=tile_key(level=tile.level, first=first),
            stop=tile_key(level=tile.level, first=first + TILE_WIDTH),
        )
        content = bytearray()
        for key, piece in pieces:
            if key != tile_key(level=tile.level, first=first + len(content) // HASH_BYTES):
                break
            content += piece
        if len(content) < tile.width * HASH_BYTES:
            raise BrokenTreeError(f"tile {tile.level}/{tile.index} is missing, or a piece of it")
        return bytes(content)


def put_tiles(rows: Overlay, update: TileUpdate, *, before: int) -> None:
    """Put the hashes that an append to a tree of size `before` added to its tiles."""
    for (level, index), content in update.tiles.items():
        first = index * TILE_WIDTH
        known = max(0, (before >> (TILE_HEIGHT * level)) - first)
        rows.put(
            Table.TILE, tile_key(level=level, first=first + known), content[known * HASH_BYTES :]
        )


class TreeReader:
    """Proofs and nodes of the stored tree. Keeps a bounded number of tiles; for one thread."""

    __slots__ = ("_nodes",)

    def __init__(self, reads: Reads, *, expanded_tiles_max: int = EXPANDED_TILES_MAX) -> None:
        self._nodes = NodeReader(StoredTiles(reads), expanded_tiles_max=expanded_tiles_max)

    def inclusion_proof(self, *, index: LeafIndex, size: TreeSize) -> tuple[Digest, ...]:
        """The hashes that prove leaf `index` in the tree of `size`.

        Requires index < size <= the stored tree's size.

        Raises:
            BrokenTreeError: a tile is missing.
        """
        return prove_inclusion(index=index, size=size, fetch=self._nodes.at(size))

    def consistency_proof(self, *, size1: TreeSize, size2: TreeSize) -> tuple[Digest, ...]:
        """The hashes that prove the tree of `size1` a prefix of that of `size2`.

        Requires 1 <= size1 <= size2 <= the stored tree's size.

        Raises:
            BrokenTreeError: a tile is missing.
        """
        return prove_consistency(size1=size1, size2=size2, fetch=self._nodes.at(size2))

    def root(self, size: TreeSize) -> Digest:
        """The root that the tree had at this size, which is at most the stored tree's.

        Raises:
            BrokenTreeError: a tile is missing.
        """
        return read_frontier(size, self._nodes.at(size)).root()

    def leaf_hash(self, index: LeafIndex) -> bytes:
        """The hash of a stored leaf.

        Raises:
            BrokenTreeError: a tile is missing.
        """
        return self._nodes.at(TreeSize(index + 1))(NodeId(0, index))


def load_edge(reads: Reads, head: Head) -> TreeEdge:
    """The right edge of the stored tree, which must be the tree of this head.

    Raises:
        BrokenTreeError: a tile is missing or short, or the tiles give another frontier.
    """
    try:
        frontier = parse_frontier(size=head.tree_size, roots=head.frontier)
        partial = read_right_edge(head.tree_size, StoredTiles(reads))
        stored = read_frontier(head.tree_size, NodeReader(StoredTiles(reads)).at(head.tree_size))
    except MalformedError as error:
        raise BrokenTreeError(error.message) from error
    if stored != frontier or head.root != frontier.root():
        raise BrokenTreeError(f"the tiles and the head differ at size {head.tree_size}")
    return TreeEdge(frontier=frontier, partial_tiles=partial)


def seal_leaf(block: Block) -> bytes:
    """The leaf that closes the block, as every peer derives it."""
    header = block.header
    return encode_seal_leaf(
        Seal(
            height=header.height,
            time_ms=header.time_ms,
            membership_epoch=header.membership_epoch,
            ledger_version=header.ledger_version,
            block_hash=block.hash,
            map_root=NO_MAP_ROOT,
        )
    )


def tree_leaves(block: Block, outcomes: Sequence[Outcome]) -> list[bytes]:
    """The leaves that the block adds to the tree: of its applied entries in order, then its seal.

    Refused entries take no leaf: inclusion means effect (INV-9).
    """
    entries = (leaf for batch in block.batches for leaf in batch.leaves)
    leaves = [
        leaf for leaf, outcome in zip(entries, outcomes, strict=True) if outcome is Outcome.APPLIED
    ]
    leaves.append(seal_leaf(block))
    return leaves
