"""Which block a receipt proves its entry to be in, and that it can be told no other."""

from dataclasses import replace

import pytest
from caretree.ledger.leaves import encode_seal_leaf, parse_seal_leaf
from caretree.ledger.receipts import ReceiptError, SealProof, parse_receipt
from caretree.merkle.verify import InclusionError, MalformedProofError
from caretree.model.errors import MalformedError, RejectedError
from caretree.model.ids import Height, LeafIndex, TimeMs
from caretree.proto.ledger.v1 import receipt_pb2

from tests.ledger.builders import FOUNDED_MS
from tests.ledger.receipts import clear, extra_of, rebuilt, respelled, verified
from tests.ledger.samples import RECORD, History, history, short_hash

HISTORY = history(later_blocks=2)
# Where the seals of the blocks 0 to 3 stand; between them are blocks 1 (2 to 10), 2 (12), 3 (14).
ZERO, ONE, TWO, THREE = (HISTORY.prove_seal(index) for index in (1, 11, 13, 15))
IN_ONE, IN_TWO = 2, 12
FIELDS = [field.name for field in receipt_pb2.ReceiptExtra.DESCRIPTOR.fields]


def changed_seal(proof: SealProof, **changes: object) -> bytes:
    """The leaf of a seal with changes."""
    seal = parse_seal_leaf(proof.leaf)
    return encode_seal_leaf(replace(seal, **changes))  # type: ignore[arg-type] # those of Seal


def with_leaf(index: int, leaf: bytes) -> History:
    """The history that has another leaf there, and is signed by all."""
    leaves = (*HISTORY.leaves[:index], leaf, *HISTORY.leaves[index + 1 :])
    return replace(HISTORY, leaves=leaves)


def test_the_bytes_of_a_later_blocks_receipt_are_what_they_were() -> None:
    assert short_hash(HISTORY.receipt(IN_TWO)) == "c3fe2d361758851d12f923d1ed118a75"
    assert rebuilt(HISTORY, IN_TWO) == HISTORY.receipt(IN_TWO)


@pytest.mark.parametrize(
    ("index", "height", "seal"), [(0, 0, ZERO), (2, 1, ONE), (10, 1, ONE), (12, 2, TWO)]
)
def test_a_receipt_proves_the_block_and_its_exact_time(
    index: int, height: int, seal: SealProof
) -> None:
    proven = verified(HISTORY.receipt(index))

    assert proven.seal == parse_seal_leaf(seal.leaf)
    assert (proven.seal.height, proven.seal.time_ms) == (height, FOUNDED_MS + 1000 * height)


def test_a_receipt_carries_the_seal_before_its_block_and_the_genesis_none() -> None:
    later, first, genesis = (parse_receipt(HISTORY.receipt(index)) for index in (12, 2, 0))

    assert (later.seal, later.previous_seal, later.first_index) == (TWO, ONE, 12)
    assert (first.seal, first.previous_seal, first.first_index) == (ONE, ZERO, 2)
    assert (genesis.seal, genesis.previous_seal, genesis.first_index) == (ZERO, None, 0)


def test_seals_that_change_places_are_refused() -> None:
    with pytest.raises(ReceiptError, match="block 0 does not follow block 1"):
        verified(rebuilt(HISTORY, IN_ONE, seal=ZERO, previous_seal=ONE))

    seal, previous = replace(TWO, leaf=ONE.leaf), replace(ONE, leaf=TWO.leaf)
    with pytest.raises(ReceiptError, match="block 1 does not follow block 2"):
        verified(rebuilt(HISTORY, IN_TWO, seal=seal, previous_seal=previous))


def test_the_seals_of_another_block_are_refused() -> None:
    others = {IN_ONE: ((TWO, ONE), (THREE, TWO), (ZERO, None)), IN_TWO: ((ONE, ZERO), (THREE, TWO))}
    for index, seals in others.items():
        for seal, previous in seals:
            with pytest.raises(ReceiptError, match="not in a block"):
                verified(rebuilt(HISTORY, index, seal=seal, previous_seal=previous))


@pytest.mark.parametrize(
    ("index", "seal", "previous", "reason"),
    [
        (IN_ONE, TWO, ZERO, "block 2 does not follow block 0"),
        (IN_ONE, THREE, ZERO, "block 3 does not follow block 0"),
        (IN_TWO, THREE, ONE, "block 3 does not follow block 1"),
        (IN_TWO, TWO, replace(ONE, leaf=TWO.leaf), "block 2 does not follow block 2"),
        (IN_TWO, TWO, replace(ONE, leaf=THREE.leaf), "block 2 does not follow block 3"),
    ],
)
def test_a_later_seal_does_not_date_an_entry_nor_an_earlier_one_begin_its_block(
    index: int, seal: SealProof, previous: SealProof, reason: str
) -> None:
    with pytest.raises(ReceiptError, match=reason):
        verified(rebuilt(HISTORY, index, seal=seal, previous_seal=previous))


@pytest.mark.parametrize("seal", [ONE, TWO])
def test_a_missing_previous_seal_is_refused(seal: SealProof) -> None:
    height = parse_seal_leaf(seal.leaf).height

    with pytest.raises(ReceiptError, match=f"cannot be the seal of block {height}"):
        verified(rebuilt(HISTORY, seal.index - 1, previous_seal=None))


def test_a_previous_seal_that_is_not_in_the_tree_is_refused() -> None:
    earlier = changed_seal(ONE, time_ms=TimeMs(FOUNDED_MS + 999))

    for changes in ({"leaf": earlier}, {"proof": TWO.proof}, {"proof": ()}):
        with pytest.raises(InclusionError, match="leaf 11 is not proven"):
            verified(rebuilt(HISTORY, IN_TWO, previous_seal=replace(ONE, **changes)))


def test_a_seal_that_is_not_in_the_tree_is_refused() -> None:
    later = changed_seal(TWO, time_ms=TimeMs(FOUNDED_MS + 2001))

    for changes in ({"leaf": later}, {"proof": ONE.proof}, {"proof": ()}):
        with pytest.raises(InclusionError, match="leaf 13 is not proven"):
            verified(rebuilt(HISTORY, IN_TWO, seal=replace(TWO, **changes)))


@pytest.mark.parametrize("first", [3, 5, 10])
def test_a_block_claimed_to_begin_later_than_it_does_is_refused(first: int) -> None:
    previous = replace(ZERO, index=LeafIndex(first - 1))

    with pytest.raises(InclusionError, match=f"leaf {first - 1} is not proven"):
        verified(rebuilt(HISTORY, 10, previous_seal=previous))


@pytest.mark.parametrize("first", [11, 12, 2**64 - 1])
def test_a_block_that_begins_behind_the_entry_is_refused(first: int) -> None:
    previous = replace(ZERO, index=LeafIndex(first - 1))

    with pytest.raises(ReceiptError, match="not in a block"):
        verified(rebuilt(HISTORY, 10, previous_seal=previous))


def test_a_block_that_begins_where_it_cannot_is_refused() -> None:
    with pytest.raises(ReceiptError, match="cannot be the seal of block 1"):
        verified(rebuilt(HISTORY, IN_ONE, previous_seal=replace(ZERO, index=LeafIndex(0))))


def test_an_entry_leaf_does_not_pass_for_a_seal_nor_a_seal_for_an_entry() -> None:
    entry = HISTORY.prove_seal(3)

    for changes in ({"seal": entry}, {"previous_seal": entry}):
        with pytest.raises(MalformedError, match="expected leaf kind 2"):
            verified(rebuilt(HISTORY, IN_ONE, **changes))
    with pytest.raises(MalformedError, match="expected leaf kind 1"):
        verified(
            rebuilt(HISTORY, IN_ONE, leaf=ZERO.leaf, leaf_index=ZERO.index, salt=b"", body=None)
        )


def test_even_in_a_signed_tree_seals_must_follow_each_other() -> None:
    same_time = changed_seal(ONE, time_ms=parse_seal_leaf(TWO.leaf).time_ms)
    with pytest.raises(ReceiptError, match="block 2 is not later"):
        verified(with_leaf(ONE.index, same_time).receipt(IN_TWO))

    no_first = changed_seal(ONE, height=Height(0))
    with pytest.raises(ReceiptError, match="block 2 does not follow block 0"):
        verified(with_leaf(ONE.index, no_first).receipt(IN_TWO))


@pytest.mark.parametrize(("entries", "taken"), [(4096, True), (4097, False)])
def test_a_block_has_at_most_4096_entries_before_its_seal(entries: int, taken: bool) -> None:
    zero, zero_seal, entry, *_, seal = history().leaves
    file = replace(HISTORY, leaves=(zero, zero_seal, *([entry] * entries), seal)).receipt(IN_ONE)

    if taken:
        assert verified(file).record == RECORD
    else:
        with pytest.raises(ReceiptError, match="not in a block"):
            verified(file)


@pytest.mark.parametrize("field", FIELDS)
def test_no_field_of_a_receipt_can_be_left_out(field: str) -> None:
    file = HISTORY.receipt(IN_TWO)
    extra = extra_of(file)
    assert verified(respelled(file, extra)) == verified(file)

    clear(extra, field)
    with pytest.raises(RejectedError):
        verified(respelled(file, extra))


@pytest.mark.parametrize("field", ["previous_seal_leaf", "previous_seal_proof"])
def test_block_0_has_nothing_of_a_previous_seal(field: str) -> None:
    file, other = HISTORY.receipt(0), extra_of(HISTORY.receipt(IN_ONE))
    extra = extra_of(file)
    clear(other, *(name for name in FIELDS if name != field))
    extra.MergeFrom(other)

    with pytest.raises(MalformedError, match="expected none before leaf index 0"):
        verified(respelled(file, extra))


@pytest.mark.parametrize(("hashes", "length"), [(64, 32), (1, 31)])
@pytest.mark.parametrize("field", ["seal_proof", "previous_seal_proof"])
def test_hashes_that_no_proof_has_are_refused(field: str, hashes: int, length: int) -> None:
    file = HISTORY.receipt(IN_TWO)
    extra = extra_of(file)
    clear(extra, field)
    getattr(extra, field).extend([bytes(length)] * hashes)

    with pytest.raises(MalformedError, match=rf"receipt\.{field}"):
        verified(respelled(file, extra))


def test_a_seal_beyond_the_tree_is_refused() -> None:
    beyond = replace(TWO, index=LeafIndex(len(HISTORY.leaves)))

    with pytest.raises(MalformedProofError, match="expected below the size 16"):
        verified(rebuilt(HISTORY, IN_TWO, seal=beyond))
