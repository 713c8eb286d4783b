"""Proofs of the newest leaves, from what lies in memory alone."""

import pytest
from caretree.merkle import proof as proofs
from caretree.merkle.fresh import FreshTree
from caretree.merkle.frontier import EMPTY_FRONTIER, Growth, grow
from caretree.merkle.proof import Paths, prove_inclusion
from caretree.merkle.shape import NodeId
from caretree.model.ids import LeafIndex, TreeSize

from tests.merkle.builders import grow_to, hash_leaves, make_leaves
from tests.merkle.reference import audit_path


def growths(*sizes: int) -> list[Growth]:
    """A tree that grows through these sizes."""
    hashes = hash_leaves(make_leaves(sizes[-1]))
    found: list[Growth] = []
    frontier, start = EMPTY_FRONTIER, 0
    for size in sizes:
        found.append(grow(frontier, hashes[start:size]))
        frontier, start = found[-1].after, size
    return found


def test_paths_of_all_leaves_of_a_tree_are_the_reference_paths() -> None:
    growth = grow_to(64)
    for size in range(1, 65):
        leaves = make_leaves(size)
        paths = Paths(size=TreeSize(size), fetch=growth.node)
        for index in range(size):
            assert list(paths.prove(LeafIndex(index))) == audit_path(index, leaves)


def test_neighbours_ask_for_a_shared_node_once() -> None:
    growth = grow_to(1000)
    asked: list[NodeId] = []

    def fetch(node: NodeId) -> bytes:
        asked.append(node)
        return growth.node(node)

    paths = Paths(size=TreeSize(1000), fetch=fetch)
    for index in range(500, 628):
        paths.prove(LeafIndex(index))

    assert len(asked) < 3 * 128


def test_so_many_nodes_of_paths_are_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(proofs, "PATHS_NODES_MAX", 50)
    growth, leaves = grow_to(300), make_leaves(300)
    paths = Paths(size=TreeSize(300), fetch=growth.node)
    for index in range(300):
        assert list(paths.prove(LeafIndex(index))) == audit_path(index, leaves)
        assert len(paths._above) < 50 + 9  # a path of nine nodes may be added to one less than 50


def test_every_leaf_of_the_kept_growths_is_proven_in_each_tree_they_ended_in() -> None:
    sizes = (3, 4, 9, 21, 22, 64, 65, 90)
    for kept in (1, 3, 8):
        tree = FreshTree(growths_max=kept)
        for growth in growths(*sizes):
            tree.add(growth)
        ends = (0, *sizes)[-kept - 1 :]
        for size in ends[1:]:
            for index in range(ends[0], size):
                path = tree.prove(index=LeafIndex(index), size=TreeSize(size))
                assert path is not None
                assert list(path) == audit_path(index, make_leaves(size))


def test_what_is_not_in_memory_is_not_proven() -> None:
    tree = FreshTree(growths_max=2)
    assert tree.prove(index=LeafIndex(0), size=TreeSize(1)) is None
    for growth in growths(5, 9, 12):
        tree.add(growth)

    assert tree.prove(index=LeafIndex(4), size=TreeSize(12)) is None
    assert tree.prove(index=LeafIndex(5), size=TreeSize(12)) is not None
    assert tree.prove(index=LeafIndex(11), size=TreeSize(13)) is None


def test_a_growth_that_does_not_continue_the_last_begins_anew() -> None:
    first, second, third = growths(5, 9, 12)
    tree = FreshTree(growths_max=8)
    tree.add(first)
    tree.add(third)

    assert second.after == third.before
    assert tree.prove(index=LeafIndex(3), size=TreeSize(5)) is None
    for index in range(9, 12):
        path = tree.prove(index=LeafIndex(index), size=TreeSize(12))
        known = prove_inclusion(index=LeafIndex(index), size=TreeSize(12), fetch=grow_to(12).node)
        assert path == known
