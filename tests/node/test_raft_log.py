"""Raft's log in the store: what is staged, what is seen, and what a start finds."""

import pytest
from caretree.ledger.rows import DamagedRowError
from caretree.model.ids import LogIndex, PeerId, Term
from caretree.node.raft_log import (
    CACHED_ENTRIES_MAX,
    NO_HASH,
    StoredLog,
    decode_row,
    encode_row,
    row_hash,
)
from caretree.raft.messages import Entry, EntryType, HardState
from caretree.storage.errors import NewerReleaseError, StorageLostError
from caretree.storage.keys import Table
from caretree.storage.memory import MemoryStore
from caretree.storage.ports import Batch
from hypothesis import given
from hypothesis import strategies as st

from tests.node.bench import VOTERS, row, write_rows

U64 = st.integers(min_value=0, max_value=2**64 - 1)


def new_log() -> tuple[StoredLog, MemoryStore]:
    store = MemoryStore()
    return StoredLog(store, VOTERS), store


def test_an_empty_log_begins_at_index_one_in_term_zero() -> None:
    log, _ = new_log()
    assert (log.first_index(), log.last_index(), log.term(LogIndex(0))) == (1, 0, 0)
    assert log.last_row() == (0, 0, NO_HASH)
    assert log.snapshot() is None
    assert log.applied() == 0
    state = log.initial_state()
    assert state.hard_state == HardState()
    assert state.conf_state.voters == tuple(sorted(VOTERS))


@given(index=U64, term=U64, kind=st.sampled_from(EntryType), data=st.binary(max_size=60))
def test_a_row_is_read_back_as_it_was_written(
    index: int, term: int, kind: EntryType, data: bytes
) -> None:
    entry = Entry(
        index=LogIndex(index), term=Term(term), type=kind, data=data, payload_bytes=2**32 - 1
    )
    assert decode_row(entry.index, encode_row(entry)) == entry


def test_rows_differ_in_their_hash_by_every_field() -> None:
    rows = [
        row(1),
        row(2),
        row(1, term=2),
        row(1, data=b"a"),
        row(1, data=b"b"),
        row(1, payload_bytes=1),
    ]
    assert len({row_hash(each) for each in rows}) == len(rows)
    assert all(len(row_hash(each)) == 32 for each in rows)


def test_rows_are_seen_once_written_and_found_at_the_next_start() -> None:
    log, store = new_log()
    batch = Batch()
    log.stage(batch, [row(1), row(2, data=b"x")])
    assert log.last_index() == 0
    store.write(batch, sync=True)
    log.written([row(1), row(2, data=b"x")])
    again = StoredLog(store, VOTERS)
    for each in (log, again):
        assert each.last_index() == 2
        assert each.entry(LogIndex(2)) == row(2, data=b"x")
        assert each.last_row() == (1, 2, row_hash(row(2, data=b"x")))


def test_a_tail_that_is_superseded_is_gone_from_memory_and_store() -> None:
    log, store = new_log()
    write_rows(log, store, *(row(index, data=b"old") for index in range(1, 9)))
    write_rows(log, store, row(4, term=2, data=b"new"), row(5, term=2, data=b"new"))
    again = StoredLog(store, VOTERS)
    for each in (log, again):
        assert each.last_index() == 5
        assert [each.term(LogIndex(index)) for index in range(1, 6)] == [1, 1, 1, 2, 2]
        with pytest.raises(StorageLostError):
            each.entry(LogIndex(6))
    assert len(list(store.scan(Table.RAFT_LOG))) == 5


def test_writing_no_rows_changes_nothing() -> None:
    log, store = new_log()
    write_rows(log, store, row(1))
    batch = Batch()
    log.stage(batch, [])
    log.written([])
    assert batch.rows == []
    assert log.last_index() == 1


def test_older_rows_than_are_cached_come_from_the_store() -> None:
    log, store = new_log()
    count = CACHED_ENTRIES_MAX + 10
    write_rows(log, store, *(row(index) for index in range(1, count + 1)))
    assert len(log._cache) == CACHED_ENTRIES_MAX
    assert log.entry(LogIndex(1)) == row(1)
    got = log.entries(LogIndex(1), LogIndex(count + 1), bytes_max=2**40)
    assert [entry.index for entry in got] == list(range(1, count + 1))


def test_entries_are_handed_out_up_to_the_bound_and_at_least_one() -> None:
    log, store = new_log()
    write_rows(log, store, *(row(index, data=b"d", payload_bytes=999) for index in range(1, 6)))
    start, stop = LogIndex(1), LogIndex(6)
    assert len(log.entries(start, stop, bytes_max=0)) == 1
    assert len(log.entries(start, stop, bytes_max=2**30)) == 5
    sizes = [len(log.entries(start, stop, bytes_max=size)) for size in range(0, 6000, 100)]
    assert sizes == sorted(sizes)
    assert set(sizes) == {1, 2, 3, 4, 5}


def test_the_hard_state_and_the_applied_index_outlive_a_start() -> None:
    log, store = new_log()
    state = HardState(term=Term(7), vote=PeerId(VOTERS[1]), commit=LogIndex(3))
    batch = Batch()
    log.stage_hard_state(batch, state)
    StoredLog.stage_applied(batch, LogIndex(3))
    store.write(batch, sync=True)
    again = StoredLog(store, VOTERS)
    assert again.hard_state() == log.hard_state() == state
    assert again.initial_state().hard_state == state
    assert again.applied() == 3


def test_a_row_of_a_newer_release_is_refused() -> None:
    log, store = new_log()
    write_rows(log, store, row(1))
    batch = Batch()
    value = store.get(Table.RAFT_LOG, (1).to_bytes(8, "big"))
    assert value is not None
    batch.put(Table.RAFT_LOG, (1).to_bytes(8, "big"), b"\x02" + value[1:])
    store.write(batch, sync=True)
    with pytest.raises(NewerReleaseError):
        StoredLog(store, VOTERS).entry(LogIndex(1))


@pytest.mark.parametrize(
    "value",
    [b"", b"\x01" * 13, b"\x01" + bytes(8) + b"\x07" + bytes(4)],
    ids=["empty", "cut", "type"],
)
def test_a_row_that_was_damaged_is_named_as_damage(value: bytes) -> None:
    with pytest.raises(DamagedRowError, match="RAFT_LOG: a row is not what was written there"):
        decode_row(LogIndex(1), value)


@pytest.mark.parametrize("key", [b"hard-state", b"applied"])
@pytest.mark.parametrize("value", [b"", b"\x01" * 7, b"\x01" * 26])
def test_a_state_of_another_length_is_named_as_damage(key: bytes, value: bytes) -> None:
    _, store = new_log()
    batch = Batch()
    batch.put(Table.RAFT_STATE, key, value)
    store.write(batch, sync=True)
    with pytest.raises(DamagedRowError, match="RAFT_STATE"):
        StoredLog(store, VOTERS).applied()


def test_a_row_under_a_key_that_is_no_log_index_is_named_as_damage() -> None:
    _, store = new_log()
    batch = Batch()
    batch.put(Table.RAFT_LOG, b"\xff" * 9, b"row")
    store.write(batch, sync=True)
    with pytest.raises(DamagedRowError, match="9 bytes, expected 8"):
        StoredLog(store, VOTERS)
