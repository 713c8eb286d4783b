import random
from dataclasses import replace

import pytest
from caretree.crypto.ed25519 import verify
from caretree.ledger.certificate import certification_policy, format_note
from caretree.ledger.receipt_text import describe, utc_text
from caretree.ledger.receipts import (
    Cosigner,
    ReceiptError,
    parse_receipt,
    verify_receipt,
)
from caretree.ledger.values import EntryKind
from caretree.merkle.policy import QuorumError, UnknownLogError
from caretree.merkle.verify import InclusionError
from caretree.model.errors import MalformedError, RejectedError, VerificationError
from caretree.model.ids import LeafIndex, TimeMs, show_peer_id
from hypothesis import given
from hypothesis import strategies as st

from tests.ledger.builders import FOUNDED_MS, HOSPITAL, TOWN, found, founder, founders
from tests.ledger.receipts import rebuilt, verified
from tests.ledger.samples import (
    HAPPENINGS,
    PATIENT,
    RECORD,
    SIGNED_S,
    body_of,
    history,
    short_hash,
)

HISTORY = history()
RECORD_INDEX = 2
SEAL_INDEX = len(HISTORY.leaves) - 1


def test_the_bytes_of_a_receipt_are_what_they_were() -> None:
    assert short_hash(HISTORY.receipt(RECORD_INDEX)) == "f5bcc7b0a0a091a9030beedb5c0c4f66"
    assert rebuilt(HISTORY, RECORD_INDEX) == HISTORY.receipt(RECORD_INDEX)


def test_a_receipt_is_a_tlog_proof() -> None:
    lines = HISTORY.receipt(RECORD_INDEX).decode().split("\n")

    assert lines[0] == "c2sp.org/tlog-proof@v1"
    assert lines[1].startswith("extra ")
    assert lines[2] == "index 2"


def test_a_records_receipt_proves_the_whole_record() -> None:
    proven = verified(HISTORY.receipt(RECORD_INDEX))

    assert proven.kind is EntryKind.RECORD
    assert proven.body == body_of(RECORD)
    assert proven.record == RECORD
    assert (proven.record_id, proven.custodian) == (RECORD.record_id, TOWN)
    assert proven.author == HISTORY.consortium[TOWN].peer.peer
    assert proven.origin == HISTORY.consortium.origin
    assert (proven.leaf_index, proven.tree_size) == (RECORD_INDEX, len(HISTORY.leaves))
    assert proven.root == HISTORY.checkpoint().root
    assert (proven.seal.height, proven.seal.time_ms) == (1, FOUNDED_MS + 1000)
    assert {cosigner.time_s for cosigner in proven.cosigners} == {SIGNED_S}
    assert len(proven.cosigners) == 2


@pytest.mark.parametrize(("place", "name"), list(enumerate(HAPPENINGS, start=2)))
def test_every_kind_of_entry_has_a_receipt(place: int, name: str) -> None:
    proven = verified(HISTORY.receipt(place))

    assert proven.body == body_of(HAPPENINGS[name])
    assert describe(proven)


def test_the_receipt_of_the_genesis_brings_the_genesis() -> None:
    proven = verified(HISTORY.receipt(0))

    assert proven.kind is EntryKind.GENESIS
    assert proven.genesis == founders().genesis
    assert (proven.author, proven.body, proven.record_id) == (None, None, None)
    assert proven.seal.time_ms == FOUNDED_MS
    assert ("Members", "town, hospital, office") in describe(proven)


def test_after_an_erasure_a_receipt_proves_that_something_was_there() -> None:
    file = HISTORY.receipt(RECORD_INDEX, erased=True)
    proven = verified(file)

    assert (proven.kind, proven.author, proven.body, proven.custodian) == (None,) * 4
    assert proven.leaf_index == RECORD_INDEX
    assert proven.seal.height == 1
    body = HISTORY.openings[RECORD_INDEX].body
    assert body is not None
    assert body not in file
    assert parse_receipt(file).salt == b""


def test_a_receipt_without_salt_or_with_an_author_for_an_erased_genesis_is_refused() -> None:
    with pytest.raises(MalformedError, match=r"receipt\.salt"):
        verified(rebuilt(HISTORY, RECORD_INDEX, salt=b""))
    with pytest.raises(ReceiptError, match="neither erased nor salted"):
        verified(HISTORY.receipt(0, erased=True))
    with pytest.raises(ReceiptError, match="does not commit"):
        verified(rebuilt(HISTORY, RECORD_INDEX, author=None))
    with pytest.raises(ReceiptError, match="an author is missing"):
        verified(rebuilt(HISTORY, RECORD_INDEX, author=None, body=None))


def test_a_leaf_that_commits_to_something_else_is_refused() -> None:
    other = HISTORY.openings[3]
    for changes in (
        {"author": HISTORY.consortium[HOSPITAL].peer.peer},
        {"salt": other.salt},
        {"body": other.body},
    ):
        with pytest.raises(ReceiptError, match="does not commit"):
            verified(rebuilt(HISTORY, RECORD_INDEX, **changes))


def test_a_leaf_that_is_not_in_the_tree_is_refused() -> None:
    with pytest.raises(InclusionError):
        verified(rebuilt(HISTORY, RECORD_INDEX, leaf=HISTORY.leaves[3]))
    with pytest.raises(InclusionError):
        verified(rebuilt(HISTORY, RECORD_INDEX, leaf_index=LeafIndex(3)))
    with pytest.raises(InclusionError):
        verified(rebuilt(HISTORY, RECORD_INDEX, proof=HISTORY.prove(3)))


def test_another_consortiums_policy_does_not_accept_it() -> None:
    others = [founder(name, seed="other") for name in ("town", "hospital", "office")]
    policy = certification_policy(found(others).genesis)

    with pytest.raises(VerificationError):
        verify_receipt(HISTORY.receipt(RECORD_INDEX), policy, verify)


def test_too_few_signatures_are_refused() -> None:
    file = HISTORY.receipt(RECORD_INDEX)
    head, _, _ = file.partition(b"\n\n")
    one = format_note(HISTORY.certificate(TOWN))
    with pytest.raises(QuorumError):
        verified(head + b"\n\n" + one)

    lines = format_note(HISTORY.certificate(TOWN, HOSPITAL)).decode().splitlines(keepends=True)
    cosigned = "".join(
        lines[:4] + [line for line in lines[4:] if "/town/" in line or "/hospital/" in line]
    )
    with pytest.raises(UnknownLogError):
        verified(head + b"\n\n" + cosigned.encode())


def test_a_thousand_mutated_receipts_are_refused() -> None:
    seed = 20_261_122
    chance = random.Random(seed)
    receipts = [HISTORY.receipt(index) for index in (0, *range(2, SEAL_INDEX))]
    for _ in range(1000):
        mutated = mutate(chance.choice(receipts), chance)

        with pytest.raises(RejectedError):
            verified(mutated)


def mutate(file: bytes, chance: random.Random) -> bytes:
    """The file with a character changed, gone or added, cut off, or a line gone."""
    place = chance.randrange(len(file))
    match chance.randrange(5):
        case 0:
            return (
                file[:place]
                + bytes((file[place] ^ (1 << chance.randrange(8)),))
                + file[place + 1 :]
            )
        case 1:
            return file[:place] + file[place + 1 :]
        case 2:
            return file[:place] + bytes((chance.randrange(256),)) + file[place:]
        case 3:
            return file[:place]
        case _:
            lines = file.splitlines(keepends=True)
            del lines[chance.randrange(len(lines))]
            return b"".join(lines)


def test_what_nobody_signed_is_no_part_of_what_is_proven() -> None:
    file = HISTORY.receipt(5)
    *lines, first, second = file.splitlines(keepends=True)
    assert verified(b"".join([*lines, second, first])) == verified(file)
    assert verified(b"".join([*lines, first, second, second])) == verified(file)


@given(st.binary(max_size=300))
def test_arbitrary_bytes_are_refused(content: bytes) -> None:
    head = b"c2sp.org/tlog-proof@v1\nextra "
    for file in (content, head + content, head + content + b"\nindex 2\n\nx\n\n"):
        with pytest.raises(MalformedError):
            verified(file)


def test_a_receipt_is_told_in_words_without_naming_the_patient() -> None:
    lines = describe(verified(HISTORY.receipt(RECORD_INDEX)))

    words = dict(lines)
    assert words["Consortium"] == HISTORY.consortium.origin
    assert words["What happened"] == "a record was added"
    assert words["Who acted"] == "physician D-1047, through clinic-system"
    assert words["Custodian"] == "town"
    assert words["When"] == "2026-01-01 00:00:01.000 UTC, the time of block 1"
    assert words["Where"] == "block 1, leaf 2 of the history, a tree of 12 leaves"
    signers = [text for label, text in lines if label == "Signed by"]
    peer = show_peer_id(HISTORY.consortium[TOWN].peer.peer)
    assert signers[0] == f"town/{peer} on 2026-01-01 00:01:00.000 UTC"
    assert PATIENT.pseudonym.hex() not in str(lines)


def test_an_erased_entry_is_told_as_erased() -> None:
    words = dict(describe(verified(HISTORY.receipt(RECORD_INDEX, erased=True))))

    assert words["What happened"] == "an entry took effect; what it said was erased"
    assert "Custodian" not in words


def test_a_cosigner_of_another_naming_is_shown_by_its_whole_name() -> None:
    proven = verified(HISTORY.receipt(RECORD_INDEX))
    foreign = replace(proven, cosigners=(Cosigner(name="witness.example/w1", time_s=0),))

    assert describe(foreign)[-1] == (
        "Signed by",
        "witness.example/w1 on 1970-01-01 00:00:00.000 UTC",
    )


@pytest.mark.parametrize(
    ("time_ms", "text"),
    [
        (0, "1970-01-01 00:00:00.000 UTC"),
        (951_782_400_000, "2000-02-29 00:00:00.000 UTC"),
        (951_868_799_999, "2000-02-29 23:59:59.999 UTC"),
        (1_767_225_599_001, "2025-12-31 23:59:59.001 UTC"),
        (4_107_542_400_000, "2100-03-01 00:00:00.000 UTC"),
        (12_622_780_800_000, "2370-01-01 00:00:00.000 UTC"),
    ],
)
def test_a_time_is_written_as_utc(time_ms: int, text: str) -> None:
    assert utc_text(TimeMs(time_ms)) == text
