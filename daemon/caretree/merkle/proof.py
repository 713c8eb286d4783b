"""Which nodes make a proof, and how they fold into it. Fetching them is left to the caller.

A plan has one part for each hash of the proof. A part is a single complete node, or, once at most,
the several nodes of an incomplete right edge that fold into one hash. So all reads of a proof are
known before the first one.
"""

from dataclasses import dataclass

from caretree.merkle.frontier import Fetch, fold
from caretree.merkle.shape import NodeId, edge_nodes
from caretree.model.ids import Digest, LeafIndex, TreeSize

PATHS_NODES_MAX = (
    8192  # two for each leaf of the largest block; a path of 20 hashes takes 200 bytes
)


@dataclass(frozen=True, slots=True, kw_only=True)
class ProofPlan:
    """The nodes of each hash of a proof, in the proof's order, from the leaf's level up."""

    parts: tuple[tuple[NodeId, ...], ...]

    def nodes(self) -> tuple[NodeId, ...]:
        """Every node to be fetched, each once."""
        return tuple(node for part in self.parts for node in part)

    def fold(self, fetch: Fetch) -> tuple[Digest, ...]:
        """The proof's hashes, from the fetched nodes."""
        return tuple(fold([fetch(node) for node in part]) for part in self.parts)


def plan_inclusion(*, index: LeafIndex, size: TreeSize) -> ProofPlan:
    """The plan of the proof that leaf `index` is in the tree of `size` (RFC 9162 2.1.3.1).

    Requires 0 <= index < size.
    """
    assert 0 <= index < size
    return ProofPlan(parts=tuple(_path(NodeId(0, index), size)))


def plan_consistency(*, size1: TreeSize, size2: TreeSize) -> ProofPlan:
    """The plan of the proof that tree `size2` begins with tree `size1` (RFC 9162 2.1.4.1).

    Requires 1 <= size1 <= size2.
    """
    assert 1 <= size1 <= size2
    if size1 == size2:
        return ProofPlan(parts=())
    level = (size1 & -size1).bit_length() - 1
    last = NodeId(level, (size1 >> level) - 1)  # the smallest root of the old frontier
    # When it is the whole old tree, the verifier knows its hash already: the old root.
    known: list[tuple[NodeId, ...]] = [] if last.number == 0 else [(last,)]
    return ProofPlan(parts=(*known, *_path(last, size2)))


def prove_inclusion(*, index: LeafIndex, size: TreeSize, fetch: Fetch) -> tuple[Digest, ...]:
    """The hashes that prove leaf `index` in tree `size`; 0 <= index < size."""
    return plan_inclusion(index=index, size=size).fold(fetch)


def prove_consistency(*, size1: TreeSize, size2: TreeSize, fetch: Fetch) -> tuple[Digest, ...]:
    """The hashes that prove tree `size2` to begin with tree `size1`; 1 <= size1 <= size2."""
    return plan_consistency(size1=size1, size2=size2).fold(fetch)


class Paths:
    """Inclusion proofs of many leaves of one tree: what neighbours share is worked out once.

    Of every node met above the leaves the way up is kept, for PATHS_NODES_MAX nodes at most.
    """

    __slots__ = ("_above", "_fetch", "size")

    def __init__(self, *, size: TreeSize, fetch: Fetch) -> None:
        self.size = size
        self._fetch = fetch
        self._above: dict[tuple[int, int], tuple[Digest, ...]] = {}

    def prove(self, index: LeafIndex) -> tuple[Digest, ...]:
        """The hashes that prove leaf `index`; as `prove_inclusion`. Requires 0 <= index < size."""
        assert 0 <= index < self.size
        if len(self._above) >= PATHS_NODES_MAX:
            self._above.clear()
        return self._way_up(0, index)

    def _way_up(self, level: int, number: int) -> tuple[Digest, ...]:
        """The hashes beside the way from this node to the root, as `_path` plans them."""
        last = (self.size - 1) >> level
        if last == 0:
            return ()
        parent = (level + 1, number >> 1)
        above = self._above.get(parent)
        if above is None:
            above = self._above[parent] = self._way_up(*parent)
        sibling = number ^ 1
        if sibling < last:
            return (Digest(self._fetch(NodeId(level, sibling))), *above)
        if sibling > last:
            return above
        edge = edge_nodes(sibling << level, self.size)
        return (fold([self._fetch(node) for node in edge]), *above)


def _path(node: NodeId, size: int) -> list[tuple[NodeId, ...]]:
    """The siblings met on the way from a complete node to the root of the tree of `size`."""
    parts: list[tuple[NodeId, ...]] = []
    level, index = node.level, node.number
    last = (size - 1) >> level  # the last node of this level, perhaps incomplete
    while last:
        sibling = index ^ 1
        if sibling < last:
            parts.append((NodeId(level, sibling),))
        elif sibling == last:
            parts.append(edge_nodes(sibling << level, size))
        # Else the node is the level's last and has no sibling: it moves up as it is.
        level, index, last = level + 1, index >> 1, last >> 1
    return parts
