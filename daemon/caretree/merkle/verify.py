"""What a stranger checks: that a leaf is in a tree, that one tree begins with another."""

from collections.abc import Sequence
from hashlib import sha256
from itertools import islice

from caretree.merkle.hashing import HASH_BYTES, NODE_PREFIX
from caretree.merkle.shape import TREE_SIZE_MAX
from caretree.model.errors import MalformedError, VerificationError


class MalformedProofError(MalformedError):
    """Sizes, an index or hashes of a proof that no proof can have."""


class InclusionError(VerificationError):
    """The proof does not lead from the leaf to the root."""

    def __init__(self, *, index: int, size: int, reason: str) -> None:
        super().__init__(f"leaf {index} is not proven to be in the tree of size {size}: {reason}")
        self.index = index
        self.size = size


class ConsistencyError(VerificationError):
    """The proof does not show that the larger tree begins with the smaller."""

    def __init__(self, *, size1: int, size2: int, reason: str) -> None:
        super().__init__(
            f"the tree of size {size2} is not proven to extend that of size {size1}: {reason}"
        )
        self.size1 = size1
        self.size2 = size2


def verify_inclusion(
    *, index: int, size: int, leaf_hash: bytes, proof: Sequence[bytes], root: bytes
) -> None:
    """Return when the leaf is at `index` in the tree of `size` and `root` (RFC 9162 2.1.3.2).

    Raises:
        MalformedProofError: an index or size out of bounds, or a hash that is not 32 bytes.
        InclusionError: the proof is too long or too short, or leads to another root.
    """
    _check_size("size", size)
    if not 0 <= index < size:
        raise MalformedProofError("index", f"expected below the size {size}, found {index}")
    _check_hashes(leaf_hash, root, *proof)
    # Fewer than 2^63 leaves make at most 63 siblings; the count below refuses any longer proof.
    node, last, result = index, size - 1, leaf_hash
    for sibling in proof:
        if last == 0:
            raise InclusionError(index=index, size=size, reason="the proof is too long")
        if node & 1 or node == last:
            result = sha256(NODE_PREFIX + sibling + result).digest()
            if not node & 1:
                node, last = _skip_lone_levels(node, last)
        else:
            result = sha256(NODE_PREFIX + result + sibling).digest()
        node, last = node >> 1, last >> 1
    if last != 0:
        raise InclusionError(index=index, size=size, reason="the proof is too short")
    if result != root:
        raise InclusionError(index=index, size=size, reason="it leads to another root")


def verify_consistency(
    *, size1: int, size2: int, proof: Sequence[bytes], root1: bytes, root2: bytes
) -> None:
    """Return when the tree (size2, root2) begins with the tree (size1, root1) (RFC 9162 2.1.4.2).

    A tree of size 0 is refused: every tree begins with it, so a proof of that would say nothing.

    Raises:
        MalformedProofError: sizes out of bounds or order, or a hash that is not 32 bytes.
        ConsistencyError: the proof is too long or too short, or leads to another root.
    """
    _check_size("size1", size1)
    _check_size("size2", size2)
    if size1 > size2:
        raise MalformedProofError("size1", f"expected at most size2 {size2}, found {size1}")
    if size1 == size2:
        _check_same_size(size=size1, proof=proof, root1=root1, root2=root2)
        return
    _check_hashes(root1, root2, *proof)
    if not proof:
        raise ConsistencyError(size1=size1, size2=size2, reason="the proof is empty")
    # An old tree that is one perfect subtree is itself the first node (step 2).
    path = [root1, *proof] if size1.bit_count() == 1 else proof
    found1, found2 = _fold_both(size1=size1, size2=size2, path=path)
    if found1 != root1:
        raise ConsistencyError(size1=size1, size2=size2, reason="it leads to another old root")
    if found2 != root2:
        raise ConsistencyError(size1=size1, size2=size2, reason="it leads to another new root")


def _check_same_size(*, size: int, proof: Sequence[bytes], root1: bytes, root2: bytes) -> None:
    """Refuse a proof, and unequal roots; nothing is hashed, so any two equal roots will do."""
    if proof:
        raise ConsistencyError(size1=size, size2=size, reason="equal sizes need no proof")
    if root1 != root2:
        raise ConsistencyError(size1=size, size2=size, reason="equal sizes have unequal roots")


def _fold_both(*, size1: int, size2: int, path: Sequence[bytes]) -> tuple[bytes, bytes]:
    """The old and the new root that this path leads to."""
    node, last = size1 - 1, size2 - 1
    while node & 1:
        node, last = node >> 1, last >> 1
    found1 = found2 = path[0]
    for sibling in islice(path, 1, None):
        if last == 0:
            raise ConsistencyError(size1=size1, size2=size2, reason="the proof is too long")
        if node & 1 or node == last:
            found1 = sha256(NODE_PREFIX + sibling + found1).digest()
            found2 = sha256(NODE_PREFIX + sibling + found2).digest()
            node, last = _skip_lone_levels(node, last)
        else:
            found2 = sha256(NODE_PREFIX + found2 + sibling).digest()
        node, last = node >> 1, last >> 1
    if last != 0:
        raise ConsistencyError(size1=size1, size2=size2, reason="the proof is too short")
    return found1, found2


def _skip_lone_levels(node: int, last: int) -> tuple[int, int]:
    """Go up the levels where the last node stands without a sibling."""
    while node and not node & 1:
        node, last = node >> 1, last >> 1
    return node, last


def _check_size(field: str, size: int) -> None:
    if not 1 <= size <= TREE_SIZE_MAX:
        raise MalformedProofError(field, f"expected 1 to {TREE_SIZE_MAX}, found {size}")


def _check_hashes(*hashes: bytes) -> None:
    lengths = set(map(len, hashes))
    if lengths != {HASH_BYTES}:
        found = min(lengths - {HASH_BYTES})
        raise MalformedProofError("hash", f"expected {HASH_BYTES} bytes, found {found}")
