"""A verifier that remembers: it says of each receipt what one that never saw any says."""

from dataclasses import replace

import pytest
from caretree.crypto.ed25519 import verify
from caretree.ledger.bodies import encode_body
from caretree.ledger.certificate import format_note
from caretree.ledger.receipts import (
    REMEMBERED_NOTES_MAX,
    REMEMBERED_SEALS_MAX,
    ReceiptError,
    ReceiptVerifier,
    parse_receipt,
)
from caretree.merkle.note import BadSignatureError, parse_note
from caretree.merkle.note import format_note as write_note
from caretree.merkle.policy import QuorumError
from caretree.merkle.verify import InclusionError
from caretree.model.errors import RejectedError

from tests.ledger.builders import HOSPITAL, OFFICE, TOWN
from tests.ledger.receipts import POLICY, rebuilt, verified
from tests.ledger.samples import RECORD, SIGNED_S, body_of, history

HISTORY = history(later_blocks=2)
ENTRIES = (0, *range(2, 11), 12, 14)
IN_ONE, IN_TWO, IN_THREE = 2, 12, 14


class Counting:
    """A signature check that counts what it was asked."""

    def __init__(self) -> None:
        self.asked = 0

    def __call__(self, public_key: bytes, message: bytes, signature: bytes, /) -> None:
        self.asked += 1
        verify(public_key, message, signature)


def filled() -> tuple[ReceiptVerifier, Counting]:
    """A verifier that has verified every receipt of the history."""
    check = Counting()
    verifier = ReceiptVerifier(POLICY, check)
    for index in ENTRIES:
        verifier.verify(HISTORY.receipt(index))
    return verifier, check


def test_what_is_remembered_changes_no_verdict() -> None:
    verifier, _ = filled()

    for index in ENTRIES:
        file = HISTORY.receipt(index)
        assert verifier.verify(file) == verified(file)


def test_the_signatures_of_a_note_are_checked_once() -> None:
    verifier, check = filled()
    asked = check.asked
    checkpoint = verifier.verify_note(HISTORY.note())

    assert asked == len(parse_note(HISTORY.note()).lines)
    assert check.asked == asked
    assert checkpoint.checkpoint == HISTORY.checkpoint()


@pytest.mark.slow
def test_no_receipt_with_a_bit_changed_passes_a_verifier_that_knows_the_good_ones() -> None:
    verifier, _ = filled()
    file = HISTORY.receipt(IN_TWO)
    good = verifier.verify(file)
    for place in range(len(file)):
        for bit in range(8):
            mutant = file[:place] + bytes((file[place] ^ (1 << bit),)) + file[place + 1 :]
            with pytest.raises(RejectedError):
                verifier.verify(mutant)

    assert verifier.verify(file) == good


def test_good_parts_of_different_receipts_do_not_pass_together() -> None:
    verifier, _ = filled()
    one, two, three = (parse_receipt(HISTORY.receipt(at)) for at in (IN_ONE, IN_TWO, IN_THREE))
    for index, other in ((IN_ONE, two), (IN_TWO, one), (IN_TWO, three), (IN_THREE, two)):
        with pytest.raises(ReceiptError, match="not in a block"):
            verifier.verify(
                rebuilt(HISTORY, index, seal=other.seal, previous_seal=other.previous_seal)
            )
    with pytest.raises(InclusionError, match="leaf 12 is not proven"):
        verifier.verify(rebuilt(HISTORY, IN_TWO, proof=one.proof))
    with pytest.raises(ReceiptError, match="does not follow"):
        verifier.verify(rebuilt(HISTORY, IN_THREE, previous_seal=one.seal))
    with pytest.raises(InclusionError, match="leaf 13 is not proven"):
        verifier.verify(rebuilt(HISTORY, IN_TWO, seal=replace(two.seal, proof=one.seal.proof)))


def test_what_was_refused_is_not_remembered() -> None:
    check = Counting()
    verifier = ReceiptVerifier(POLICY, check)
    note = parse_note(HISTORY.note())
    bent = replace(note.lines[0], signature=bytes(64))
    spoilt = write_note(replace(note, lines=(bent, *note.lines[1:])))
    lonely = format_note(HISTORY.certificate(TOWN))
    for _ in range(2):
        with pytest.raises(BadSignatureError):
            verifier.verify_note(spoilt)
        with pytest.raises(QuorumError):
            verifier.verify_note(lonely)
    file = HISTORY.receipt(IN_TWO)
    head, _, _ = file.partition(b"\n\n")
    verifier.verify(file)
    for other in (spoilt, lonely):
        with pytest.raises(RejectedError):
            verifier.verify(head + b"\n\n" + other)

    assert list(verifier._trees) == [HISTORY.note()]


def test_so_many_notes_are_remembered_and_the_oldest_goes_first() -> None:
    check = Counting()
    verifier = ReceiptVerifier(POLICY, check)
    notes = [other_note(number) for number in range(REMEMBERED_NOTES_MAX + 1)]
    for note in notes:
        verifier.verify_note(note)
    asked = check.asked
    verifier.verify_note(notes[-1])
    known = check.asked
    verifier.verify_note(notes[0])

    assert known == asked < check.asked
    assert len(verifier._trees) == REMEMBERED_NOTES_MAX


def test_so_many_seals_of_a_tree_are_remembered() -> None:
    longer = history(later_blocks=REMEMBERED_SEALS_MAX + 1)
    verifier = ReceiptVerifier(POLICY, verify)
    last = len(longer.leaves)
    for index in range(12, last, 2):
        assert verifier.verify(longer.receipt(index)).leaf_index == index
    (tree,) = verifier._trees.values()

    assert len(tree.seals) == REMEMBERED_SEALS_MAX
    assert verifier.verify(longer.receipt(12)).seal.height == 2


def test_a_body_parsed_before_is_taken_for_the_same_bytes_alone() -> None:
    verifier = ReceiptVerifier(POLICY, verify)
    known = body_of(RECORD)
    file = HISTORY.receipt(IN_TWO)
    taken = verifier.verify(file, parsed={encode_body(known): known})
    parsed = verifier.verify(file, parsed={b"other bytes": known})

    assert taken.body is known
    assert parsed.body is not known
    assert parsed == taken


def other_note(number: int) -> bytes:
    """The history's checkpoint, certified at another second."""
    note = parse_note(HISTORY.note())
    signed = HISTORY.certificate(TOWN, HOSPITAL, OFFICE, time_s=SIGNED_S + number).note()
    return write_note(replace(note, lines=signed.lines))
