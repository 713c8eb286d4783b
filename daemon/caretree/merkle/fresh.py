"""The newest part of a growing tree, kept in memory: proofs of its leaves read nothing.

Several growths, one after another, are one: a node on the way up from one of their leaves became
complete in one of them, or was a root of the frontier before the oldest. So a leaf is proven from
memory in any of the trees that they ended in, and so is the seal before each block but the oldest.
"""

from collections import deque

from caretree.merkle.frontier import Growth
from caretree.merkle.proof import Paths
from caretree.merkle.shape import NodeId
from caretree.model.ids import Digest, LeafIndex, TreeSize


class FreshTree:
    """The last `growths_max` growths, and the paths of the tree last asked for."""

    __slots__ = ("_growths", "_paths")

    def __init__(self, *, growths_max: int) -> None:
        assert growths_max > 0
        self._growths: deque[Growth] = deque(maxlen=growths_max)
        self._paths: Paths | None = None

    def add(self, growth: Growth) -> None:
        """Take the next growth; one that does not continue the last begins anew."""
        if self._growths and self._growths[-1].after != growth.before:
            self._growths.clear()
            self._paths = None
        self._growths.append(growth)

    def prove(self, *, index: LeafIndex, size: TreeSize) -> tuple[Digest, ...] | None:
        """The hashes that prove leaf `index` in tree `size`; None when they are not all here.

        Requires index < size.
        """
        growths = self._growths
        if not growths or not growths[0].before.size <= index < size <= growths[-1].after.size:
            return None
        if self._paths is None or self._paths.size != size:
            self._paths = Paths(size=size, fetch=self._node)
        return self._paths.prove(index)

    def _node(self, node: NodeId) -> bytes:
        """The hash of a node that is complete in the newest tree and on or beside a fresh path."""
        for growth in reversed(self._growths):
            if node.number >= growth.before.size >> node.level:
                return growth.node(node)
        return self._growths[0].node(node)
