"""Proofs are those of RFC 6962, from a growth alone or from any source of nodes."""

import pytest
from caretree.merkle.frontier import EMPTY_FRONTIER, grow
from caretree.merkle.proof import (
    plan_consistency,
    plan_inclusion,
    prove_consistency,
    prove_inclusion,
)
from caretree.merkle.shape import NodeId
from caretree.merkle.verify import verify_consistency, verify_inclusion
from caretree.model.ids import LeafIndex, TreeSize
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.merkle.builders import grow_to, hash_leaves, make_leaves
from tests.merkle.reference import audit_path, consistency, tree_hash


def test_every_inclusion_proof_up_to_64_leaves_is_the_reference_path_and_verifies() -> None:
    leaves = make_leaves(64)
    growth = grow_to(64)
    for size in range(1, 65):
        root = tree_hash(leaves[:size])
        for index in range(size):
            proof = prove_inclusion(index=LeafIndex(index), size=TreeSize(size), fetch=growth.node)
            assert list(proof) == audit_path(index, leaves[:size])
            verify_inclusion(
                index=index,
                size=size,
                leaf_hash=growth.node(NodeId(0, index)),
                proof=proof,
                root=root,
            )


def test_every_consistency_proof_up_to_64_leaves_is_the_reference_proof_and_verifies() -> None:
    leaves = make_leaves(64)
    growth = grow_to(64)
    roots = [tree_hash(leaves[:size]) for size in range(65)]
    for size2 in range(1, 65):
        for size1 in range(1, size2 + 1):
            proof = prove_consistency(
                size1=TreeSize(size1), size2=TreeSize(size2), fetch=growth.node
            )
            assert list(proof) == consistency(size1, leaves[:size2])
            verify_consistency(
                size1=size1, size2=size2, proof=proof, root1=roots[size1], root2=roots[size2]
            )


@settings(max_examples=60)
@given(st.data())
def test_random_proofs_up_to_two_thousand_leaves_are_the_reference_proofs(
    data: st.DataObject,
) -> None:
    size = data.draw(st.integers(1, 2000), label="size")
    index = data.draw(st.integers(0, size - 1), label="index")
    size1 = data.draw(st.integers(1, size), label="size1")
    leaves = make_leaves(size)
    growth = grow_to(size)
    path = prove_inclusion(index=LeafIndex(index), size=TreeSize(size), fetch=growth.node)
    assert list(path) == audit_path(index, leaves)
    proof = prove_consistency(size1=TreeSize(size1), size2=TreeSize(size), fetch=growth.node)
    assert list(proof) == consistency(size1, leaves)


def test_fresh_leaves_and_the_step_of_sizes_are_proven_from_the_growth_alone() -> None:
    leaves = make_leaves(48)
    hashes = hash_leaves(leaves)
    for old in range(40):
        for new in range(old + 1, min(old + 9, 49)):
            growth = grow(grow(EMPTY_FRONTIER, hashes[:old]).after, hashes[old:new])
            for index in range(old, new):
                path = prove_inclusion(
                    index=LeafIndex(index), size=TreeSize(new), fetch=growth.node
                )
                assert list(path) == audit_path(index, leaves[:new])
            if old:
                proof = prove_consistency(
                    size1=TreeSize(old), size2=TreeSize(new), fetch=growth.node
                )
                assert list(proof) == consistency(old, leaves[:new])


def test_a_plan_names_each_node_once_before_anything_is_fetched() -> None:
    for size in range(1, 130):
        for index in range(size):
            nodes = plan_inclusion(index=LeafIndex(index), size=TreeSize(size)).nodes()
            assert len(set(nodes)) == len(nodes)
            covered = {
                leaf
                for node in nodes
                for leaf in range(node.number << node.level, (node.number + 1) << node.level)
            }
            assert covered == set(range(size)) - {index}


def test_a_plan_folds_from_nodes_that_were_fetched_in_one_go() -> None:
    growth = grow_to(21)
    plan = plan_inclusion(index=LeafIndex(9), size=TreeSize(21))
    fetched = {node: growth.node(node) for node in plan.nodes()}
    assert list(plan.fold(fetched.__getitem__)) == audit_path(9, make_leaves(21))


def test_at_most_one_part_of_a_plan_is_folded_from_several_nodes() -> None:
    for size in range(1, 130):
        for size1 in range(1, size + 1):
            parts = plan_consistency(size1=TreeSize(size1), size2=TreeSize(size)).parts
            assert sum(len(part) > 1 for part in parts) <= 1


@pytest.mark.parametrize(("index", "size"), [(0, 0), (3, 3), (-1, 3)])
def test_no_inclusion_is_planned_for_a_leaf_outside_the_tree(index: int, size: int) -> None:
    with pytest.raises(AssertionError):
        plan_inclusion(index=LeafIndex(index), size=TreeSize(size))


@pytest.mark.parametrize(("size1", "size2"), [(0, 3), (4, 3), (0, 0)])
def test_no_consistency_is_planned_for_sizes_that_have_none(size1: int, size2: int) -> None:
    with pytest.raises(AssertionError):
        plan_consistency(size1=TreeSize(size1), size2=TreeSize(size2))
