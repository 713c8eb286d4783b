"""RFC 6962 section 2.1 written down as it stands there: slow, recursive, and shared with nothing.

What the daemon computes is compared with this. It knows leaves as data, never as hashes.
"""

from collections.abc import Sequence
from hashlib import sha256


def split(count: int) -> int:
    """The largest power of two strictly below `count`."""
    power = 1
    while power * 2 < count:
        power *= 2
    return power


def tree_hash(leaves: Sequence[bytes]) -> bytes:
    """MTH(D[n])."""
    if not leaves:
        return sha256(b"").digest()
    if len(leaves) == 1:
        return sha256(b"\x00" + leaves[0]).digest()
    k = split(len(leaves))
    return sha256(b"\x01" + tree_hash(leaves[:k]) + tree_hash(leaves[k:])).digest()


def audit_path(m: int, leaves: Sequence[bytes]) -> list[bytes]:
    """PATH(m, D[n])."""
    if len(leaves) == 1:
        return []
    k = split(len(leaves))
    if m < k:
        return [*audit_path(m, leaves[:k]), tree_hash(leaves[k:])]
    return [*audit_path(m - k, leaves[k:]), tree_hash(leaves[:k])]


def consistency(m: int, leaves: Sequence[bytes]) -> list[bytes]:
    """PROOF(m, D[n])."""
    return _subproof(m, leaves, known=True)


def path_shape(m: int, count: int) -> tuple[str, ...]:
    """On which side each sibling of PATH stands: all that the folding of a proof depends on."""
    if count == 1:
        return ()
    k = split(count)
    if m < k:
        return (*path_shape(m, k), "right")
    return (*path_shape(m - k, count - k), "left")


def consistency_shape(m: int, count: int, *, known: bool = True) -> tuple[str, ...]:
    """The same for PROOF, beginning with whether its first hash is the old root itself."""
    if m == count:
        return ("old root",) if known else ("first hash",)
    k = split(count)
    if m <= k:
        return (*consistency_shape(m, k, known=known), "right")
    return (*consistency_shape(m - k, count - k, known=False), "left")


def _subproof(m: int, leaves: Sequence[bytes], *, known: bool) -> list[bytes]:
    if m == len(leaves):
        return [] if known else [tree_hash(leaves)]
    k = split(len(leaves))
    if m <= k:
        return [*_subproof(m, leaves[:k], known=known), tree_hash(leaves[k:])]
    return [*_subproof(m - k, leaves[k:], known=False), tree_hash(leaves[:k])]
