"""Spoilt proofs: each is a good one with a single thing changed, named by what was changed.

Sizes and indexes are changed here as well; a changed size may leave a proof good, when the path to
the leaf has the same shape in both trees. The tests ask the recursive reference whether it has.
"""

from collections.abc import Iterator
from dataclasses import dataclass, replace

from tests.merkle.reference import audit_path, consistency, tree_hash


@dataclass(frozen=True, slots=True, kw_only=True)
class InclusionCase:
    """What an inclusion verifier is asked."""

    index: int
    size: int
    leaf_hash: bytes
    proof: tuple[bytes, ...]
    root: bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class ConsistencyCase:
    """What a consistency verifier is asked."""

    size1: int
    size2: int
    proof: tuple[bytes, ...]
    root1: bytes
    root2: bytes


def good_inclusion(index: int, leaves: list[bytes]) -> InclusionCase:
    """The case of this leaf in the tree of these leaves."""
    return InclusionCase(
        index=index,
        size=len(leaves),
        leaf_hash=tree_hash([leaves[index]]),
        proof=tuple(audit_path(index, leaves)),
        root=tree_hash(leaves),
    )


def good_consistency(size1: int, leaves: list[bytes]) -> ConsistencyCase:
    """The case of the tree of the first `size1` leaves and that of all."""
    return ConsistencyCase(
        size1=size1,
        size2=len(leaves),
        proof=tuple(consistency(size1, leaves)),
        root1=tree_hash(leaves[:size1]),
        root2=tree_hash(leaves),
    )


def flip(value: bytes, bit: int = 4) -> bytes:
    """The value with one bit flipped."""
    place = bit // 8 % len(value)
    return value[:place] + bytes((value[place] ^ 1 << bit % 8,)) + value[place + 1 :]


def spoil_hashes(
    proof: tuple[bytes, ...], others: dict[str, bytes]
) -> Iterator[tuple[str, tuple[bytes, ...]]]:
    """The proof with a hash changed, cut, lost, added or moved."""
    for place, value in enumerate(proof):
        head, tail = proof[:place], proof[place + 1 :]
        yield f"bit flipped in hash {place}", (*head, flip(value), *tail)
        yield f"last bit flipped in hash {place}", (*head, flip(value, 255), *tail)
        yield f"hash {place} cut by a byte", (*head, value[:-1], *tail)
        yield f"hash {place} longer by a byte", (*head, value + b"\0", *tail)
        yield f"hash {place} lost", (*head, *tail)
        yield f"hash {place} doubled", (*head, value, value, *tail)
    if len(proof) > 1:
        yield "first two swapped", (proof[1], proof[0], *proof[2:])
        yield "reversed", proof[::-1] if proof[::-1] != proof else ()
        yield "empty", ()
    for name, value in others.items():
        yield f"{name} put in front", (value, *proof)
        yield f"{name} put behind", (*proof, value)


def spoil_inclusion(case: InclusionCase) -> Iterator[tuple[str, InclusionCase]]:
    """All single spoilings of a good inclusion case."""
    yield "leaf hash flipped", replace(case, leaf_hash=flip(case.leaf_hash))
    yield "leaf hash cut", replace(case, leaf_hash=case.leaf_hash[:-1])
    yield "leaf hash empty", replace(case, leaf_hash=b"")
    yield "root flipped", replace(case, root=flip(case.root))
    yield "root empty", replace(case, root=b"")
    if case.root != case.leaf_hash:
        yield "root and leaf swapped", replace(case, root=case.leaf_hash, leaf_hash=case.root)
    for index in (-1, case.index - 1, case.index + 1, case.index ^ 2, case.size, case.size + 1):
        yield f"index {index}", replace(case, index=index)
    for size in (0, -1, case.index, case.size - 1, case.size + 1, case.size * 2, case.size // 2):
        yield f"size {size}", replace(case, size=size)
    others = {"root": case.root, "leaf hash": case.leaf_hash, "zeros": bytes(32)}
    for name, proof in spoil_hashes(case.proof, others):
        yield name, replace(case, proof=proof)


def spoil_consistency(case: ConsistencyCase) -> Iterator[tuple[str, ConsistencyCase]]:
    """All single spoilings of a good consistency case."""
    yield "old root flipped", replace(case, root1=flip(case.root1))
    yield "new root flipped", replace(case, root2=flip(case.root2))
    yield "old root cut", replace(case, root1=case.root1[:-1])
    yield "new root empty", replace(case, root2=b"")
    if case.root1 != case.root2:
        yield "roots swapped", replace(case, root1=case.root2, root2=case.root1)
    for size1 in (0, -1, case.size1 - 1, case.size1 + 1, case.size1 ^ 2, case.size2 + 1):
        yield f"size1 {size1}", replace(case, size1=size1)
    for size2 in (0, case.size1 - 1, case.size2 - 1, case.size2 + 1, case.size2 * 2):
        yield f"size2 {size2}", replace(case, size2=size2)
    others = {"old root": case.root1, "new root": case.root2, "zeros": bytes(32)}
    for name, proof in spoil_hashes(case.proof, others):
        yield name, replace(case, proof=proof)
