"""The fake fails as a disk does: what it loses, keeps, tears and damages is what was asked for."""

from collections.abc import Callable

import pytest
from caretree.storage.errors import StorageClosedError, StorageError
from caretree.storage.memory import TAIL_BATCHES_MAX, MemoryStore

from tests.storage.stores import PLAIN, Rows, batch, put, rows_of, u64


def written(*, synced: int, unsynced: int) -> MemoryStore:
    """A store of one row a batch, which each batch also counts in a row that they share."""
    store = MemoryStore()
    for number in range(synced + unsynced):
        rows = [(u64(number), b"new"), (b"count", u64(number + 1))]
        put(store, PLAIN, rows, sync=number < synced)
    return store


def state(count: int) -> Rows:
    rows = [(u64(number), b"new") for number in range(count)]
    return [*rows, (b"count", u64(count))] if count else []


def test_a_power_cut_takes_what_was_not_synced() -> None:
    store = written(synced=3, unsynced=4)
    assert store.unsynced_batches == 4

    assert rows_of(store.crash(), PLAIN) == state(3)


def test_the_death_of_the_process_alone_takes_nothing() -> None:
    store = written(synced=3, unsynced=4)

    assert rows_of(store.crash(surviving=4), PLAIN) == state(7)


@pytest.mark.parametrize("surviving", range(5))
def test_a_torn_tail_leaves_whole_batches_from_its_beginning(surviving: int) -> None:
    found = written(synced=2, unsynced=4).crash(surviving=surviving)

    assert rows_of(found, PLAIN) == state(2 + surviving)


def test_a_synced_batch_makes_all_before_it_durable() -> None:
    store = written(synced=0, unsynced=5)
    store.write(batch(), sync=True)

    assert store.unsynced_batches == 0
    assert rows_of(store.crash(), PLAIN) == state(5)


def test_what_a_crash_left_is_durable_from_then_on() -> None:
    found = written(synced=1, unsynced=3).crash(surviving=2)

    assert rows_of(found.crash(), PLAIN) == state(3)


def test_a_crash_closes_the_handle() -> None:
    store = written(synced=1, unsynced=1)
    store.crash()

    with pytest.raises(StorageClosedError):
        store.get(PLAIN, u64(0))


def test_a_cut_log_loses_synced_batches_without_a_sign() -> None:
    assert rows_of(written(synced=5, unsynced=0).lose_tail(2), PLAIN) == state(3)
    assert rows_of(written(synced=3, unsynced=2).lose_tail(4), PLAIN) == state(1)


def test_the_cuttable_tail_is_bounded() -> None:
    store = written(synced=3 * TAIL_BATCHES_MAX, unsynced=0)

    with pytest.raises(AssertionError):
        store.lose_tail(TAIL_BATCHES_MAX + 1)
    assert rows_of(store.lose_tail(TAIL_BATCHES_MAX), PLAIN) == state(2 * TAIL_BATCHES_MAX)


@pytest.mark.parametrize("stored", [False, True], ids=["not stored", "stored all the same"])
@pytest.mark.parametrize("after", range(4))
def test_the_chosen_write_fails_and_is_stored_or_not(after: int, stored: bool) -> None:
    store = written(synced=2, unsynced=0)
    store.fail_write(after, stored=stored)
    for number in range(2, 2 + after):
        put(store, PLAIN, [(u64(number), b"new"), (b"count", u64(number + 1))])
    last = 2 + after

    with pytest.raises(StorageError):
        put(store, PLAIN, [(u64(last), b"new"), (b"count", u64(last + 1))], sync=False)

    assert store.writes == last + 1
    assert rows_of(store.crash(), PLAIN) == state(last + 1 if stored else last)


def test_every_call_after_a_failed_write_fails_with_the_same_error() -> None:
    store = written(synced=2, unsynced=0)
    view = store.view()
    store.fail_write(0, stored=False)
    with pytest.raises(StorageError) as first:
        put(store, PLAIN, [(b"k", b"v")])

    calls: list[Callable[[], object]] = [
        lambda: store.get(PLAIN, u64(0)),
        lambda: view.get(PLAIN, u64(0)),
        lambda: rows_of(store, PLAIN),
        lambda: put(store, PLAIN, [(b"k", b"v")]),
        store.view,
    ]
    for call in calls:
        with pytest.raises(StorageError) as again:
            call()
        assert again.value is first.value


def test_a_hole_is_there_for_good() -> None:
    store = MemoryStore()
    put(store, PLAIN, [(b"a", b"1"), (b"b", b"1")])
    put(store, PLAIN, [(b"a", b"2")], sync=False)
    view = store.view()

    store.make_hole(PLAIN, b"a")

    assert rows_of(store, PLAIN) == [(b"b", b"1")]
    assert rows_of(view, PLAIN) == [(b"a", b"2"), (b"b", b"1")]
    assert rows_of(store.crash(), PLAIN) == [(b"b", b"1")]


def test_a_damaged_row_fails_its_readers_and_nobody_before() -> None:
    store = MemoryStore()
    put(store, PLAIN, [(b"a", b"1"), (b"b", b"1"), (b"c", b"1")])
    store.flip_bit(PLAIN, b"b")

    rows = store.scan(PLAIN)
    assert next(rows) == (b"a", b"1")
    with pytest.raises(StorageError):
        next(rows)
    with pytest.raises(StorageError):
        store.get(PLAIN, b"a")

    found = store.crash()
    with pytest.raises(StorageError):
        found.get(PLAIN, b"b")


def test_writing_over_a_damaged_row_heals_it() -> None:
    store = MemoryStore()
    put(store, PLAIN, [(b"a", b"1"), (b"b", b"1")])
    store.flip_bit(PLAIN, b"a")
    store.flip_bit(PLAIN, b"b")

    store.write(batch((PLAIN, b"a", b"2"), (PLAIN, b"b", None)), sync=True)

    assert rows_of(store, PLAIN) == [(b"a", b"2")]
