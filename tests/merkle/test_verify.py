"""Verifiers accept what the reference proves and refuse every single spoiling of it."""

import pytest
from caretree.merkle.shape import TREE_SIZE_MAX
from caretree.merkle.verify import (
    ConsistencyError,
    InclusionError,
    MalformedProofError,
    verify_consistency,
    verify_inclusion,
)
from caretree.model.errors import MalformedError, RejectedError, VerificationError

from tests.merkle.builders import make_leaves
from tests.merkle.mutations import (
    ConsistencyCase,
    InclusionCase,
    good_consistency,
    good_inclusion,
    spoil_consistency,
    spoil_inclusion,
)
from tests.merkle.reference import consistency_shape, path_shape


def accepts_inclusion(case: InclusionCase) -> bool:
    try:
        verify_inclusion(
            index=case.index,
            size=case.size,
            leaf_hash=case.leaf_hash,
            proof=case.proof,
            root=case.root,
        )
    except (MalformedProofError, InclusionError):
        return False
    return True


def accepts_consistency(case: ConsistencyCase) -> bool:
    try:
        verify_consistency(
            size1=case.size1,
            size2=case.size2,
            proof=case.proof,
            root1=case.root1,
            root2=case.root2,
        )
    except (MalformedProofError, ConsistencyError):
        return False
    return True


def same_path(case: InclusionCase, good: InclusionCase) -> bool:
    if (case.leaf_hash, case.proof, case.root) != (good.leaf_hash, good.proof, good.root):
        return False
    possible = 0 <= case.index < case.size
    return possible and path_shape(case.index, case.size) == path_shape(good.index, good.size)


def same_subproof(case: ConsistencyCase, good: ConsistencyCase) -> bool:
    if (case.root1, case.proof, case.root2) != (good.root1, good.proof, good.root2):
        return False
    if not 1 <= case.size1 <= case.size2:
        return False
    shapes = (
        consistency_shape(case.size1, case.size2),
        consistency_shape(good.size1, good.size2),
    )
    return shapes[0] == shapes[1]


def test_every_spoilt_inclusion_proof_up_to_20_leaves_is_refused() -> None:
    refused = 0
    for size in range(1, 21):
        leaves = make_leaves(size)
        for index in range(size):
            good = good_inclusion(index, leaves)
            assert accepts_inclusion(good)
            for name, case in spoil_inclusion(good):
                assert accepts_inclusion(case) == same_path(case, good), (name, index, size)
                refused += not same_path(case, good)
    assert refused > 8000


def test_every_spoilt_consistency_proof_up_to_20_leaves_is_refused() -> None:
    refused = 0
    for size2 in range(1, 21):
        leaves = make_leaves(size2)
        for size1 in range(1, size2 + 1):
            good = good_consistency(size1, leaves)
            assert accepts_consistency(good)
            for name, case in spoil_consistency(good):
                assert accepts_consistency(case) == same_subproof(case, good), (name, size1, size2)
                refused += not same_subproof(case, good)
    assert refused > 5000


@pytest.mark.parametrize("size", [0, -1, TREE_SIZE_MAX + 1, 2**64])
def test_sizes_out_of_bounds_are_malformed(size: int) -> None:
    with pytest.raises(MalformedProofError, match="size"):
        verify_inclusion(index=0, size=size, leaf_hash=bytes(32), proof=[], root=bytes(32))
    with pytest.raises(MalformedProofError, match="size1"):
        verify_consistency(
            size1=size, size2=TREE_SIZE_MAX, proof=[], root1=bytes(32), root2=bytes(32)
        )


def test_the_largest_tree_is_verified_by_the_same_rule() -> None:
    proof = [bytes(32)] * 63
    with pytest.raises(InclusionError, match="another root"):
        verify_inclusion(
            index=0, size=TREE_SIZE_MAX, leaf_hash=bytes(32), proof=proof, root=bytes(32)
        )
    with pytest.raises(InclusionError, match="too long"):
        verify_inclusion(
            index=0,
            size=TREE_SIZE_MAX,
            leaf_hash=bytes(32),
            proof=[*proof, bytes(32)],
            root=bytes(32),
        )


def test_equal_sizes_take_an_empty_proof_and_equal_roots_only() -> None:
    root, other = bytes(32), bytes([1]) * 32
    verify_consistency(size1=5, size2=5, proof=[], root1=root, root2=root)
    with pytest.raises(ConsistencyError, match="unequal roots"):
        verify_consistency(size1=5, size2=5, proof=[], root1=root, root2=other)
    with pytest.raises(ConsistencyError, match="need no proof"):
        verify_consistency(size1=5, size2=5, proof=[root], root1=root, root2=root)


def test_errors_carry_what_was_asked_and_are_rejections() -> None:
    with pytest.raises(InclusionError) as inclusion:
        verify_inclusion(index=1, size=3, leaf_hash=bytes(32), proof=[], root=bytes(32))
    assert (inclusion.value.index, inclusion.value.size) == (1, 3)
    with pytest.raises(ConsistencyError) as consistency:
        verify_consistency(size1=1, size2=3, proof=[], root1=bytes(32), root2=bytes(32))
    assert (consistency.value.size1, consistency.value.size2) == (1, 3)
    assert issubclass(InclusionError, VerificationError)
    assert issubclass(MalformedProofError, MalformedError)
    assert issubclass(VerificationError, RejectedError)
