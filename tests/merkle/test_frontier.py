"""Appending, level by level, gives the trees of RFC 6962 and reports every new node once."""

import random
from collections.abc import Sequence

import pytest
from caretree.merkle.frontier import (
    EMPTY_FRONTIER,
    Frontier,
    extend,
    grow,
    parse_frontier,
    read_frontier,
)
from caretree.merkle.hashing import EMPTY_ROOT, leaf_hash, node_hash
from caretree.merkle.shape import TREE_SIZE_MAX, NodeId, edge_nodes, frontier_nodes
from caretree.model.errors import MalformedError
from caretree.model.ids import TreeSize

from tests.merkle.builders import grow_to, hash_leaves, make_leaves
from tests.merkle.reference import tree_hash


def test_the_empty_tree_has_the_hash_of_nothing() -> None:
    assert EMPTY_FRONTIER.root() == EMPTY_ROOT == tree_hash([])


def test_leaf_and_node_hashes_are_prefixed_apart() -> None:
    assert leaf_hash(b"leaf") == tree_hash([b"leaf"])
    assert node_hash(leaf_hash(b"a"), leaf_hash(b"b")) == tree_hash([b"a", b"b"])
    assert leaf_hash(leaf_hash(b"a") + leaf_hash(b"b")) != tree_hash([b"a", b"b"])


# INV-15: however a tree grew, its root is that of RFC 6962 2.1 over its leaves.
def test_every_split_of_every_small_tree_into_two_batches_has_the_reference_root() -> None:
    leaves = make_leaves(65)
    hashes = hash_leaves(leaves)
    roots = [tree_hash(leaves[:size]) for size in range(65)]
    for size in range(65):
        for cut in range(size + 1):
            first = grow(EMPTY_FRONTIER, hashes[:cut]).after
            assert first.root() == roots[cut]
            assert grow(first, hashes[cut:size]).after.root() == roots[size]


def test_random_batches_give_the_reference_root_up_to_two_thousand_leaves() -> None:
    chance = random.Random(6962)
    leaves = make_leaves(2000)
    hashes = hash_leaves(leaves)
    for _ in range(20):
        frontier = EMPTY_FRONTIER
        while frontier.size < 2000:
            end = min(2000, frontier.size + chance.randint(0, 300))
            frontier = grow(frontier, hashes[frontier.size : end]).after
            if chance.random() < 0.1:
                assert frontier.root() == tree_hash(leaves[: frontier.size])
        assert frontier.root() == tree_hash(leaves)


def test_an_append_visits_each_new_complete_node_exactly_once_with_its_subtree_hash() -> None:
    leaves = make_leaves(40)
    hashes = hash_leaves(leaves)
    for old in range(20):
        for new in range(old, 40):
            seen: dict[NodeId, bytes] = {}

            def note(
                level: int, first: int, run: Sequence[bytes], seen: dict[NodeId, bytes] = seen
            ) -> None:
                for offset, value in enumerate(run):
                    assert seen.setdefault(NodeId(level, first + offset), value) is value

            extend(grow(EMPTY_FRONTIER, hashes[:old]).after, hashes[old:new], note)
            assert seen == {
                NodeId(level, number): tree_hash(leaves[number << level : (number + 1) << level])
                for level in range(6)
                for number in range(old >> level, new >> level)
            }


def test_an_append_of_nothing_changes_nothing() -> None:
    frontier = grow_to(13).after
    growth = grow(frontier, [])
    assert growth.after == frontier
    assert growth.runs == ()


def test_a_growth_does_not_follow_later_changes_of_the_list_it_was_made_from() -> None:
    hashes = hash_leaves(make_leaves(3))
    growth = grow(EMPTY_FRONTIER, hashes)
    kept = growth.node(NodeId(0, 2))
    hashes[2] = bytes(32)
    assert growth.node(NodeId(0, 2)) == kept


def test_a_growth_refuses_nodes_below_the_old_frontier() -> None:
    growth = grow(grow_to(6).after, hash_leaves([b"x"]))
    for node in (NodeId(0, 0), NodeId(0, 5), NodeId(1, 0), NodeId(1, 1)):
        with pytest.raises(AssertionError, match="below the old frontier"):
            growth.node(node)


def test_the_frontier_of_every_earlier_size_is_read_back_from_the_nodes() -> None:
    growth = grow_to(100)
    for size in range(101):
        assert read_frontier(TreeSize(size), growth.node) == grow_to(size).after


def test_frontier_nodes_cover_the_tree_from_left_to_right_in_falling_sizes() -> None:
    assert frontier_nodes(0) == ()
    assert frontier_nodes(7) == (NodeId(2, 0), NodeId(1, 2), NodeId(0, 6))
    assert edge_nodes(8, 13) == (NodeId(2, 2), NodeId(0, 12))
    for size in range(300):
        covered = [
            leaf
            for node in frontier_nodes(size)
            for leaf in range(node.number << node.level, (node.number + 1) << node.level)
        ]
        assert covered == list(range(size))


def test_a_frontier_is_parsed_only_when_its_roots_fit_its_size() -> None:
    frontier = grow_to(11).after
    assert parse_frontier(size=11, roots=list(frontier.roots)) == frontier
    for size, roots in [
        (-1, ()),
        (TREE_SIZE_MAX + 1, frontier.roots),
        (11, frontier.roots[1:]),
        (12, frontier.roots),
        (11, (*frontier.roots[:-1], bytes(31))),
    ]:
        with pytest.raises(MalformedError):
            parse_frontier(size=size, roots=roots)


def test_a_frontier_of_the_largest_size_is_allowed_and_one_leaf_more_is_not() -> None:
    frontier = Frontier(size=TreeSize(TREE_SIZE_MAX), roots=(bytes(32),) * 63)
    with pytest.raises(AssertionError):
        grow(frontier, hash_leaves([b"one more"]))
