"""The three hashes of an RFC 6962 tree (section 2.1): of a leaf, of a node, of nothing."""

from collections.abc import Iterable
from hashlib import sha256

from caretree.model.ids import Digest

HASH_BYTES = 32
# Leaves and nodes begin with different bytes, so that no leaf can pose as a node (RFC 6962 2.1).
LEAF_PREFIX = b"\x00"
NODE_PREFIX = b"\x01"
EMPTY_ROOT = Digest(sha256(b"").digest())


def leaf_hash(data: bytes) -> Digest:
    """The hash of a leaf with these bytes."""
    return Digest(sha256(LEAF_PREFIX + data).digest())


def leaf_hashes(leaves: Iterable[bytes]) -> list[bytes]:
    """The hash of each leaf, in order: `leaf_hash` without a call for each."""
    return [sha256(LEAF_PREFIX + leaf).digest() for leaf in leaves]


def node_hash(left: bytes, right: bytes) -> Digest:
    """The hash of the node above these two."""
    return Digest(sha256(NODE_PREFIX + left + right).digest())
