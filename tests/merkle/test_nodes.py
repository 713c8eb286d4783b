"""Nodes read out of tiles are those of the tree; the cache is bounded and notices changes."""

import random

import pytest
from caretree.merkle.frontier import read_frontier
from caretree.merkle.nodes import EXPANDED_TILES_MAX, NodeReader, TileChangedError
from caretree.merkle.proof import prove_consistency, prove_inclusion
from caretree.merkle.shape import NodeId
from caretree.merkle.tiles import Tile, TileKey
from caretree.merkle.verify import verify_consistency, verify_inclusion
from caretree.model.errors import MalformedError
from caretree.model.ids import LeafIndex, TreeSize

from tests.merkle.builders import TiledLog, hash_leaves, make_leaves


class ShortTiles:
    """A source whose tiles are a byte short."""

    def read_tile(self, tile: Tile) -> bytes:
        return bytes(32 * tile.width - 1)


def test_every_complete_node_is_read_as_it_was_when_the_tree_grew() -> None:
    log = TiledLog()
    growth = log.append(make_leaves(70000))
    fetch = log.reader().at(growth.after.size)
    for level, run in enumerate(growth.runs):
        for number in {0, len(run) // 3, len(run) // 2, len(run) - 1}:
            assert fetch(NodeId(level, number)) == run[number]


def test_old_leaves_are_proven_from_tiles_at_every_size_that_was_a_checkpoint() -> None:
    chance = random.Random(33)
    log = TiledLog()
    leaves = make_leaves(70000)
    roots: dict[TreeSize, bytes] = {}
    for end in (1, 255, 256, 257, 600, 65535, 65536, 65537, 70000):
        log.append(leaves[log.frontier.size : end])
        roots[log.frontier.size] = log.frontier.root()
    reader = log.reader()
    hashes = hash_leaves(leaves)
    for size, root in roots.items():
        fetch = reader.at(size)
        for index in {0, size - 1, *(chance.randrange(size) for _ in range(30))}:
            proof = prove_inclusion(index=LeafIndex(index), size=size, fetch=fetch)
            verify_inclusion(
                index=index, size=size, leaf_hash=hashes[index], proof=proof, root=root
            )
        for older in (older for older in roots if older <= size):
            proof = prove_consistency(size1=older, size2=size, fetch=fetch)
            verify_consistency(size1=older, size2=size, proof=proof, root1=roots[older], root2=root)


def test_the_frontier_of_any_earlier_size_is_read_from_tiles() -> None:
    log = TiledLog()
    log.append(make_leaves(1500))
    for size in range(0, 1500, 37):
        shorter = TiledLog()
        shorter.append(make_leaves(size))
        assert read_frontier(TreeSize(size), log.reader().at(TreeSize(1500))) == shorter.frontier


def test_a_tile_is_read_once_until_more_of_it_is_needed() -> None:
    log = TiledLog()
    log.append(make_leaves(10))
    reader = log.reader()
    fetch = reader.at(TreeSize(10))
    for number in range(10):
        fetch(NodeId(0, number))
    assert log.reads == [Tile(level=0, index=0, width=10)]
    growth = log.append(make_leaves(14)[10:])
    assert reader.at(TreeSize(14))(NodeId(1, 6)) == growth.node(NodeId(1, 6))
    assert log.reads[1:] == [Tile(level=0, index=0, width=14)]
    assert reader.at(TreeSize(14))(NodeId(3, 0)) == growth.before.roots[0]
    assert len(log.reads) == 2


def test_tiles_that_were_widened_step_by_step_expand_to_the_same_nodes() -> None:
    log = TiledLog()
    reader = log.reader()
    leaves = make_leaves(260)
    for size in range(1, 261):
        growth = log.append(leaves[size - 1 : size])
        fetch = reader.at(TreeSize(size))
        for level, run in enumerate(growth.runs):
            assert fetch(NodeId(level, (size >> level) - 1)) == run[-1]


def test_no_more_expanded_tiles_are_kept_than_the_bound_and_the_oldest_goes_first() -> None:
    log = TiledLog()
    log.append(make_leaves(256 * 4))
    reader = NodeReader(log, expanded_tiles_max=2)
    fetch = reader.at(TreeSize(1024))
    for leaf in (0, 256, 1, 512, 2):  # tiles 0, 1, 0 again, 2 (drops 1), 0 still there
        fetch(NodeId(0, leaf))
    assert [tile.index for tile in log.reads] == [0, 1, 2]
    fetch(NodeId(0, 257))
    assert [tile.index for tile in log.reads] == [0, 1, 2, 1]
    assert len(reader._expanded) == 2
    assert EXPANDED_TILES_MAX == 256


def test_a_tile_that_changed_below_its_right_edge_is_noticed() -> None:
    log = TiledLog()
    log.append(make_leaves(4))
    reader = log.reader()
    reader.at(TreeSize(4))(NodeId(0, 0))
    log.append(make_leaves(5)[4:])
    key = TileKey(0, 0)
    log.tiles[key] = bytes(32) + log.tiles[key][32:]
    with pytest.raises(TileChangedError, match="tile 0/0 changed"):
        reader.at(TreeSize(5))(NodeId(0, 4))


def test_a_short_tile_is_malformed_and_not_kept() -> None:
    reader = NodeReader(ShortTiles())
    with pytest.raises(MalformedError, match="tile"):
        reader.at(TreeSize(3))(NodeId(0, 0))
    assert not reader._expanded


@pytest.mark.parametrize("node", [NodeId(0, 5), NodeId(1, 2), NodeId(8, 0), NodeId(0, 300)])
def test_nodes_that_are_not_complete_at_the_size_are_never_given(node: NodeId) -> None:
    log = TiledLog()
    log.append(make_leaves(5))
    with pytest.raises(AssertionError):
        log.reader().at(TreeSize(5))(node)
