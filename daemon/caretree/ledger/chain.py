"""The chain of headers and the tree over it, checked in full when a peer starts.

Checked is all that cannot be erased: every header, every leaf, every outcome and seal, up to the
frontier and the tiles that proofs are read from. Bodies and payloads are checked when they are
read; batch signatures were checked at apply, and the block hash covers them.
"""

from collections.abc import Iterator, Sequence
from typing import Final

from caretree.ledger.blocks import NO_PARENT, genesis_block
from caretree.ledger.genesis import Genesis
from caretree.ledger.queries import outcomes_at
from caretree.ledger.row_keys import HEAD_KEY, read_height
from caretree.ledger.rows import BlockPlace, decode_block_place, decode_head
from caretree.ledger.stored_blocks import load_bare_block
from caretree.ledger.tree import (
    EMPTY_EDGE,
    BrokenTreeError,
    StoredTiles,
    TreeEdge,
    load_edge,
    tree_leaves,
)
from caretree.ledger.values import Block, BlockRef, Head
from caretree.merkle.frontier import grow
from caretree.merkle.hashing import leaf_hashes
from caretree.merkle.tiles import TILE_BYTES, TILE_WIDTH, Tile, update_tiles
from caretree.model.errors import FatalError
from caretree.model.ids import Height
from caretree.storage.keys import Table
from caretree.storage.ports import Reads

LEAVES_AT_ONCE: Final = 4096


class BrokenChainError(FatalError):
    """The stored chain does not lead from the genesis to the head. Names the height."""

    def __init__(self, height: int, found: str) -> None:
        super().__init__(f"the stored chain is damaged at height {height}: {found}")
        self.height = Height(height)


def load_head(reads: Reads) -> Head | None:
    """The head of the applied chain; None in an empty store.

    Raises:
        DamagedRowError: the row is not one that apply wrote.
    """
    value = reads.get(Table.STATE, HEAD_KEY)
    return None if value is None else decode_head(value)


def check_chain(reads: Reads, rules: Genesis) -> Head:
    """The head, after the whole chain that leads to it and the tree it ends in were computed anew.

    Raises:
        BrokenChainError: a height is missing, or does not follow from the one before.
        BrokenBlockError: a block is not what its key names.
        BrokenTreeError: the tiles give another tree.
        DamagedRowError: a row is not one that apply wrote.
    """
    head = load_head(reads)
    if head is None:
        raise BrokenChainError(0, "there is no head")
    edge, before = EMPTY_EDGE, None
    waiting: list[bytes] = []
    for height, place in _places(reads, head):
        block = _block(reads, height, place)
        _check_follows(block, before, rules)
        first = edge.frontier.size + len(waiting)
        waiting.extend(_leaves(reads, block, place, first=first))
        # No root between two blocks is asked for, so the tree takes many short ones at once.
        if len(waiting) >= LEAVES_AT_ONCE:
            edge = _extend(reads, waiting, edge, height)
            waiting.clear()
        before = block
    assert before is not None, "there is a height up to every head"
    edge = _extend(reads, waiting, edge, before.header.height)
    _check_head(head, before, edge)
    if load_edge(reads, head) != edge:  # the full tiles were compared on the way
        raise BrokenTreeError("a tile of the right edge is another")
    return head


def _places(reads: Reads, head: Head) -> Iterator[tuple[Height, BlockPlace]]:
    """Every height's row, from 0 to the head's without a gap and not one more."""
    following = 0
    for key, value in reads.scan(Table.HEIGHT):
        if read_height(key) != following:
            raise BrokenChainError(following, "it is missing")
        yield Height(following), decode_block_place(value)
        following += 1
    if following != head.height + 1:
        raise BrokenChainError(following, f"the head is at height {head.height}")


def _block(reads: Reads, height: Height, place: BlockPlace) -> Block:
    block = load_bare_block(reads, BlockRef(height=height, hash=place.block_hash))
    if block is None:
        raise BrokenChainError(height, "its block is missing")
    if block.header.time_ms != place.time_ms:
        raise BrokenChainError(height, "its row has another time than its header")
    return block


def _check_follows(block: Block, before: Block | None, rules: Genesis) -> None:
    header = block.header
    if before is None:
        if header.parent != NO_PARENT or block.hash != genesis_block(rules).hash:
            raise BrokenChainError(header.height, "it is not the genesis' block")
        return
    if header.parent != before.hash:
        raise BrokenChainError(header.height, "its parent is not the block before")
    if header.time_ms <= before.header.time_ms:
        raise BrokenChainError(header.height, "its time does not advance")


def _leaves(reads: Reads, block: Block, place: BlockPlace, *, first: int) -> list[bytes]:
    """The block's leaves, which its row puts at `first` and after."""
    height = block.header.height
    outcomes = outcomes_at(reads, height)
    if outcomes is None or len(outcomes) != block.entry_count:
        raise BrokenChainError(height, "it has not one outcome for each entry")
    leaves = tree_leaves(block, outcomes)
    if place.first_leaf != first or place.leaf_count != len(leaves):
        raise BrokenChainError(height, "its leaves stand elsewhere than its row says")
    return leaves


def _extend(reads: Reads, leaves: Sequence[bytes], edge: TreeEdge, height: Height) -> TreeEdge:
    """The tree's edge with leaves up to this height; every full tile is as it is stored."""
    growth = grow(edge.frontier, leaf_hashes(leaves))
    update = update_tiles(growth, edge.partial_tiles)
    stored = StoredTiles(reads)
    for (level, index), content in update.tiles.items():
        if len(content) < TILE_BYTES:
            continue
        if stored.read_tile(Tile(level=level, index=index, width=TILE_WIDTH)) != content:
            raise BrokenChainError(height, f"tile {level}/{index} is another")
    return TreeEdge(frontier=growth.after, partial_tiles=update.right_edge)


def _check_head(head: Head, last: Block, edge: TreeEdge) -> None:
    header = last.header
    expected = Head(
        height=header.height,
        block_hash=last.hash,
        time_ms=header.time_ms,
        tree_size=edge.frontier.size,
        frontier=edge.frontier.roots,
        root=edge.frontier.root(),
        membership_epoch=header.membership_epoch,
        ledger_version=header.ledger_version,
    )
    if head != expected:
        raise BrokenChainError(head.height, "the head is not where the chain ends")
