"""Rows and their keys: what is written is read again, and nothing else passes for it."""

from collections.abc import Callable
from itertools import pairwise

import pytest
from caretree.ledger import patient_rows, rows
from caretree.ledger.patient_rows import CustodianState, GrantState, HistoryRow
from caretree.ledger.row_keys import (
    block_key,
    entries_stop,
    entry_key,
    height_key,
    history_key,
    patient_stop,
    read_height,
    read_leaf_index,
    read_place,
    request_name,
    tile_key,
)
from caretree.ledger.rows import BlockPlace, DamagedRowError, FirstAnswer, RecordPlace
from caretree.ledger.values import (
    BlockRef,
    EntryKind,
    Head,
    Keyring,
    Outcome,
    Position,
    Purpose,
    Record,
    Role,
    Rule,
    SealedKey,
)
from caretree.merkle.frontier import EMPTY_FRONTIER, grow
from caretree.merkle.hashing import leaf_hash
from caretree.model.errors import MalformedError
from caretree.model.ids import (
    Digest,
    GrantId,
    Height,
    KeyId,
    LeafIndex,
    MemberId,
    Place,
    RecordId,
    RequestId,
    TimeMs,
)
from hypothesis import given
from hypothesis import strategies as st

from tests.ledger.people import PATIENT
from tests.ledger.worlds import World

POSITION = Position(height=Height(3), place=Place(0), leaf_index=LeafIndex(2**40))
RECORD_ID = RecordId(b"r" * 16)
KEY_ID = KeyId(b"k" * 32)
GRANT_ID = GrantId(b"g" * 16)
TOWN = MemberId("town")


def head() -> Head:
    frontier = grow(EMPTY_FRONTIER, [leaf_hash(bytes([n])) for n in range(11)]).after
    return Head(
        height=Height(7),
        block_hash=Digest(b"b" * 32),
        time_ms=TimeMs(1_767_225_600_000),
        tree_size=frontier.size,
        frontier=frontier.roots,
        root=frontier.root(),
        membership_epoch=1,
        ledger_version=1,
    )


def grant(revoked_ms: int | None) -> GrantState:
    rule = Rule(
        roles=frozenset((Role.NURSE, Role.PHYSICIAN)),
        principals=frozenset(("b", "a")),
        purpose=Purpose.PUBLIC_HEALTH,
        until_ms=TimeMs(2**63),
    )
    return GrantState(
        grant_id=GRANT_ID,
        custodian=TOWN,
        grantee=MemberId("hospital"),
        keyring_epoch=2,
        key_id=KEY_ID,
        sealed_key=b"sealed",
        rule=rule,
        granted_ms=TimeMs(5),
        revoked_ms=None if revoked_ms is None else TimeMs(revoked_ms),
        leaf_index=LeafIndex(9),
    )


def test_a_head_is_read_as_written_its_root_computed_anew() -> None:
    assert rows.decode_head(rows.encode_head(head())) == head()


def test_places_and_answers_are_read_as_written() -> None:
    place = BlockPlace(
        block_hash=Digest(b"b" * 32), first_leaf=LeafIndex(5), leaf_count=3, time_ms=TimeMs(4)
    )
    record = RecordPlace(
        position=POSITION,
        pseudonym_epoch=1,
        pseudonym=PATIENT.pseudonym,
        custodian=TOWN,
    )

    assert rows.decode_block_place(rows.encode_block_place(place)) == place
    assert place.seal_index == 7
    assert rows.decode_record_place(rows.encode_record_place(record)) == record
    for record_id in (None, RECORD_ID):
        answer = FirstAnswer(
            position=POSITION, request_digest=Digest(b"d" * 32), record_id=record_id
        )
        assert rows.decode_first_answer(rows.encode_first_answer(answer)) == answer


def test_a_patients_rows_are_read_as_written() -> None:
    state = CustodianState(
        custodian=MemberId("town"), epoch=2, key_id=KEY_ID, closed=True, has_records=True
    )
    assert patient_rows.decode_custodian(patient_rows.encode_custodian(state)) == state
    for revoked_ms in (None, 1, 2**63):
        given_grant = grant(revoked_ms)
        encoded = patient_rows.encode_grant(given_grant)
        assert patient_rows.decode_grant(GRANT_ID, encoded) == given_grant
    for replaced_by in (None, RECORD_ID):
        row = HistoryRow(
            record_id=RECORD_ID,
            custodian=TOWN,
            keyring_epoch=1,
            time_ms=TimeMs(4),
            height=Height(3),
            place=Place(2),
            replaced_by=replaced_by,
        )
        assert patient_rows.decode_history(patient_rows.encode_history(row)) == row


@pytest.mark.parametrize("previous", [None, KEY_ID])
def test_a_keyrings_row_holds_its_keys_and_no_patient(previous: KeyId | None) -> None:
    keyring = Keyring(
        patient=PATIENT,
        custodian=TOWN,
        epoch=1 if previous is None else 2,
        key_id=KEY_ID,
        previous_key_id=previous,
        previous_key=b"" if previous is None else b"chained",
        sealed_keys=(SealedKey(member=TOWN, sealed=b"sealed"),),
    )

    encoded = patient_rows.encode_keyring(keyring)
    state = patient_rows.decode_keyring(encoded)

    assert (state.key_id, state.previous_key_id, state.previous_key, state.sealed_keys) == (
        keyring.key_id,
        keyring.previous_key_id,
        keyring.previous_key,
        keyring.sealed_keys,
    )
    assert bytes(PATIENT.pseudonym) not in encoded


def test_outcomes_and_kinds_are_one_byte_each() -> None:
    outcomes = tuple(Outcome)
    assert rows.encode_outcomes(outcomes) == bytes(range(len(outcomes)))
    assert rows.decode_outcomes(rows.encode_outcomes(outcomes)) == outcomes
    for kind in EntryKind:
        assert rows.encode_kind(kind) == bytes((kind.value,))
        assert rows.decode_kind(rows.encode_kind(kind)) is kind


def test_unknown_outcomes_are_the_senders_fault_or_our_own() -> None:
    unknown = bytes((len(Outcome),))

    with pytest.raises(MalformedError, match="outcomes"):
        rows.parse_outcomes(unknown)
    with pytest.raises(DamagedRowError, match="OUTCOME"):
        rows.decode_outcomes(unknown)


@pytest.mark.parametrize("value", [b"", b"\x00", b"\x08", b"\x01\x01"])
def test_what_is_no_kind_is_a_damaged_row(value: bytes) -> None:
    with pytest.raises(DamagedRowError):
        rows.decode_kind(value)


DECODERS: list[Callable[[bytes], object]] = [
    rows.decode_head,
    rows.decode_block_place,
    rows.decode_outcomes,
    rows.decode_first_answer,
    rows.decode_record_place,
    rows.decode_kind,
    patient_rows.decode_history,
    patient_rows.decode_custodian,
    lambda value: patient_rows.decode_grant(GRANT_ID, value),
    patient_rows.decode_keyring,
]


@given(st.sampled_from(DECODERS), st.binary(max_size=80))
def test_whatever_stands_in_a_row_only_a_damaged_row_is_raised(
    decode: Callable[[bytes], object], value: bytes
) -> None:
    try:
        decode(value)
    except DamagedRowError as error:
        assert error.table in error.message  # noqa: PT017 (anything else must escape)


@pytest.mark.parametrize(
    ("encoded", "decode"),
    [
        (
            rows.request_row(POSITION, request_digest=Digest(b"d" * 32), record_id=RECORD_ID),
            rows.decode_first_answer,
        ),
        (rows.record_row(POSITION, PATIENT, custodian=TOWN), rows.decode_record_place),
        (
            patient_rows.encode_custodian(
                CustodianState(
                    custodian=TOWN, epoch=2, key_id=KEY_ID, closed=False, has_records=True
                )
            ),
            patient_rows.decode_custodian,
        ),
    ],
    ids=["REQUEST", "RECORD", "CUSTODIAN"],
)
def test_a_row_of_fixed_layout_that_is_cut_or_newer_is_damaged(
    encoded: bytes, decode: Callable[[bytes], object]
) -> None:
    decode(encoded)

    for damaged in (encoded[:20], b"\x02" + encoded[1:], b""):
        with pytest.raises(DamagedRowError):
            decode(damaged)


def test_a_records_first_row_in_a_history_is_of_one_that_nothing_replaced() -> None:
    record = World().record(TOWN, PATIENT, World().keyring(TOWN, PATIENT)[1]).body.happening
    assert isinstance(record, Record)

    row = patient_rows.decode_history(
        patient_rows.new_history_row(record, POSITION, time_ms=TimeMs(4))
    )

    assert row == HistoryRow(
        record_id=record.record_id,
        custodian=TOWN,
        keyring_epoch=1,
        time_ms=TimeMs(4),
        height=POSITION.height,
        place=POSITION.place,
        replaced_by=None,
    )


def test_numbers_in_keys_walk_in_order() -> None:
    numbers = (0, 1, 255, 256, 2**32, 2**64 - 1)
    for before, after in pairwise(numbers):
        assert height_key(before) < height_key(after)
        assert history_key(b"p" * 16, before) < history_key(b"p" * 16, after)
        assert tile_key(level=0, first=before) < tile_key(level=0, first=after)
        assert tile_key(level=0, first=after) < tile_key(level=1, first=before)


def test_keys_are_read_back() -> None:
    ref = BlockRef(height=Height(9), hash=Digest(bytes(range(32))))
    key = entry_key(ref, Place(4095))

    assert len(block_key(ref)) == 24
    assert key.startswith(block_key(ref))
    assert (read_height(key), read_place(key)) == (9, 4095)
    assert read_leaf_index(history_key(b"p" * 16, 2**40)) == 2**40
    assert key < entries_stop(ref, 4096)
    assert key >= entries_stop(ref, 4095)


def test_requests_of_members_whose_names_begin_alike_have_names_of_their_own() -> None:
    request_id = RequestId(b"-b" + b"r" * 14)
    names = (MemberId("a"), MemberId("a-b"), MemberId("ab"))

    assert len({request_name(name, request_id) for name in names}) == 3


@pytest.mark.parametrize(
    ("blinded", "stop"),
    [(b"\x00\x00", b"\x00\x01"), (b"\x00\xff", b"\x01\x00"), (b"\xff\xff", None)],
)
def test_a_patients_rows_end_before_the_next_name(blinded: bytes, stop: bytes | None) -> None:
    assert patient_stop(blinded) == stop
