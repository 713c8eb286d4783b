"""Where nodes stand in a tree: coordinates, and which complete subtrees make up a right edge.

A node is complete when all leaves below it exist. Only complete nodes have a lasting hash, so only
these have coordinates here; whatever lies above an incomplete edge is folded from them (RFC 9162
2.1.1).
"""

from typing import NamedTuple

# Tools of others hold sizes and indexes in signed 64-bit integers.
TREE_SIZE_MAX = 2**63 - 1


class NodeId(NamedTuple):
    """A complete node: its level above the leaves, and its number in that level, both from 0.

    A tuple rather than a dataclass, because tens of them are made for each proof.
    """

    level: int
    number: int


def edge_nodes(start: int, size: int) -> tuple[NodeId, ...]:
    """The complete nodes that together cover leaves start <= i < size, biggest and leftmost first.

    `start` is a multiple of a power of two no smaller than size - start, as for any right edge of a
    tree.
    """
    nodes = []
    width = size - start
    while width:
        level = width.bit_length() - 1
        nodes.append(NodeId(level, start >> level))
        start += 1 << level
        width -= 1 << level
    return tuple(nodes)


def frontier_nodes(size: int) -> tuple[NodeId, ...]:
    """The complete nodes whose hashes are the frontier of a tree of this size, biggest first."""
    return edge_nodes(0, size)
