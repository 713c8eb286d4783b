"""The right edge of a tree: all that an append needs, and what an append brings about."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from hashlib import sha256

from caretree.merkle.hashing import EMPTY_ROOT, HASH_BYTES, NODE_PREFIX, node_hash
from caretree.merkle.shape import TREE_SIZE_MAX, NodeId, frontier_nodes
from caretree.model.errors import MalformedError
from caretree.model.ids import Digest, TreeSize

# Called once a level with what became complete there: level, number of the first, all their hashes.
Visit = Callable[[int, int, Sequence[bytes]], None]
# Gives the hash of a complete node; where from is the caller's business.
Fetch = Callable[[NodeId], bytes]


@dataclass(frozen=True, slots=True, kw_only=True)
class Frontier:
    """A tree's size and the roots of the perfect subtrees of its right edge, biggest first."""

    size: TreeSize
    roots: tuple[bytes, ...]

    def __post_init__(self) -> None:
        assert 0 <= self.size <= TREE_SIZE_MAX
        assert len(self.roots) == self.size.bit_count(), "one root for each set bit of the size"

    def root(self) -> Digest:
        """The tree's root hash (RFC 9162 2.1.1)."""
        return fold(self.roots) if self.roots else EMPTY_ROOT


EMPTY_FRONTIER = Frontier(size=TreeSize(0), roots=())


@dataclass(frozen=True, slots=True, kw_only=True)
class Growth:
    """One batch append: the frontier before and after, and every node that became complete by it.

    Proofs of the new leaves, and the consistency of the two sizes, need no other node: a sibling on
    the way up either became complete now or was a root of the old frontier.
    """

    before: Frontier
    after: Frontier
    runs: tuple[Sequence[bytes], ...]  # by level; runs[n] begins at number before.size >> n

    def node(self, node: NodeId) -> bytes:
        """The hash of a node that became complete or was in the old frontier; a `Fetch`."""
        first = self.before.size >> node.level
        if node.number >= first:
            return self.runs[node.level][node.number - first]
        assert first & 1, "asked for a node below the old frontier"
        assert node.number == first - 1, "asked for a node below the old frontier"
        return self.before.roots[(first >> 1).bit_count()]


def parse_frontier(*, size: int, roots: Sequence[bytes]) -> Frontier:
    """A frontier from what was kept or sent.

    Raises:
        MalformedError: the size is out of bounds, or the roots do not fit a tree of that size.
    """
    if not 0 <= size <= TREE_SIZE_MAX:
        raise MalformedError("frontier size", f"expected 0 to {TREE_SIZE_MAX}, found {size}")
    if len(roots) != size.bit_count():
        raise MalformedError("frontier", f"expected {size.bit_count()} roots, found {len(roots)}")
    if any(len(root) != HASH_BYTES for root in roots):
        raise MalformedError("frontier", f"expected roots of {HASH_BYTES} bytes")
    return Frontier(size=TreeSize(size), roots=tuple(roots))


def read_frontier(size: TreeSize, fetch: Fetch) -> Frontier:
    """The frontier that a tree had at this size, read from its nodes."""
    return Frontier(size=size, roots=tuple(fetch(node) for node in frontier_nodes(size)))


def extend(frontier: Frontier, leaf_hashes: Sequence[bytes], visit: Visit) -> Frontier:
    """The frontier after these leaves; `visit` sees every node that became complete, leaves first.

    Works level by level, so that a batch costs one hash a leaf and no root in between.
    """
    assert set(map(len, leaf_hashes)) <= {HASH_BYTES}, "leaf hashes are SHA-256 digests"
    kept = list(frontier.roots)  # the last is the smallest: the first to be joined
    fresh: list[bytes] = []  # new roots, smallest first
    row: Sequence[bytes] = leaf_hashes
    level = 0
    while row:
        first = frontier.size >> level
        visit(level, first, row)
        # An odd first number means that its left sibling waits in the old frontier.
        nodes = [kept.pop(), *row] if first & 1 else row
        if len(nodes) & 1:
            fresh.append(nodes[-1])
        row = _parents(nodes)
        level += 1
    size = TreeSize(frontier.size + len(leaf_hashes))
    return Frontier(size=size, roots=(*kept, *reversed(fresh)))


def grow(frontier: Frontier, leaf_hashes: Sequence[bytes]) -> Growth:
    """The append of these leaves, with every new node at hand for tiles and proofs."""
    runs: list[Sequence[bytes]] = []
    after = extend(frontier, tuple(leaf_hashes), lambda _level, _first, hashes: runs.append(hashes))
    return Growth(before=frontier, after=after, runs=tuple(runs))


def fold(roots: Sequence[bytes]) -> Digest:
    """The hash above neighbouring perfect subtrees of falling size (RFC 9162 2.1.1)."""
    result = roots[-1]
    for left in reversed(roots[:-1]):
        result = node_hash(left, result)
    return Digest(result)


def _parents(nodes: Sequence[bytes]) -> list[bytes]:
    """The hashes above each full pair; a last odd node has no parent yet."""
    each = iter(nodes)
    return [
        sha256(NODE_PREFIX + left + right).digest() for left, right in zip(each, each, strict=False)
    ]
