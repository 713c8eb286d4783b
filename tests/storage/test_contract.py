"""What every store promises, on the real door and on the fake alike."""

import contextlib
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from caretree.storage.errors import StorageClosedError
from caretree.storage.keys import Table
from caretree.storage.memory import MemoryStore
from caretree.storage.ports import KeyValue

from tests.storage.stores import PLAIN, STORAGE_KEY, batch, create, put, rows_of, u64

TABLES = pytest.mark.parametrize("table", [Table.PAYLOAD, Table.BODY], ids=lambda table: table.name)


@pytest.fixture(params=["memory", "leveldb"])
def store(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[KeyValue]:
    opened: KeyValue = (
        MemoryStore(storage_key=STORAGE_KEY)
        if request.param == "memory"
        else create(tmp_path / "database")
    )
    yield opened
    opened.close()


@TABLES
def test_a_row_reads_as_it_was_written(store: KeyValue, table: Table) -> None:
    put(store, table, [(b"key", b"value"), (b"empty", b""), (b"", b"empty key")])

    assert store.get(table, b"key") == b"value"
    assert store.get(table, b"empty") == b""
    assert store.get(table, b"") == b"empty key"


def test_a_row_that_was_never_written_is_none(store: KeyValue) -> None:
    put(store, PLAIN, [(b"key", b"value")])

    assert store.get(PLAIN, b"ke") is None
    assert store.get(PLAIN, b"keys") is None


@TABLES
def test_many_rows_are_read_at_once_in_the_order_asked_for(store: KeyValue, table: Table) -> None:
    put(store, table, [(u64(number), b"v%d" % number) for number in range(9)])

    keys = [u64(number) for number in (8, 3, 99, 3, 0)]
    assert store.get_many(table, keys) == [b"v8", b"v3", None, b"v3", b"v0"]
    assert store.view().get_many(table, []) == []
    store.close()
    with pytest.raises(StorageClosedError):
        store.get_many(table, keys)


@TABLES
def test_a_long_scan_misses_nothing_however_large_its_rows(store: KeyValue, table: Table) -> None:
    sizes = [1, 300_000, 5, *[40_000] * 20, *[3] * 300]
    put(store, table, [(u64(place), b"v" * size) for place, size in enumerate(sizes)])

    for reverse in (False, True):
        found = [(key, len(value)) for key, value in store.scan(table, reverse=reverse)]
        expected = [(u64(place), size) for place, size in enumerate(sizes)]
        assert found == (expected[::-1] if reverse else expected)


@TABLES
def test_the_later_row_of_a_batch_wins(store: KeyValue, table: Table) -> None:
    store.write(batch((table, b"a", b"1"), (table, b"a", None), (table, b"b", b"2")), sync=True)
    store.write(batch((table, b"b", None), (table, b"b", b"3"), (table, b"a", b"4")), sync=False)

    assert rows_of(store, table) == [(b"a", b"4"), (b"b", b"3")]


def test_removing_what_is_not_there_is_no_error(store: KeyValue) -> None:
    store.write(batch((PLAIN, b"nothing", None)), sync=True)
    store.write(batch(), sync=True)

    assert rows_of(store, PLAIN) == []


def test_equal_keys_of_two_tables_are_two_rows(store: KeyValue) -> None:
    store.write(batch((Table.TILE, b"k", b"tile"), (Table.PAYLOAD, b"k", b"payload")), sync=True)
    store.write(batch((Table.TILE, b"k", None)), sync=True)

    assert store.get(Table.TILE, b"k") is None
    assert store.get(Table.PAYLOAD, b"k") == b"payload"


@TABLES
def test_a_scan_keeps_to_its_table_and_walks_in_key_order(store: KeyValue, table: Table) -> None:
    for other in Table:
        put(store, other, [(b"", b"x"), (b"\xff" * 9, b"x")], sync=False)
    put(store, table, [(u64(number), b"v") for number in (300, 2, 255, 256, 1)])

    keys = [key for key, _ in store.scan(table)]

    assert keys == [b"", u64(1), u64(2), u64(255), u64(256), u64(300), b"\xff" * 9]


@pytest.mark.parametrize(
    ("start", "stop", "expected"),
    [
        (b"", None, [1, 2, 3, 4]),
        (u64(2), None, [2, 3, 4]),
        (b"", u64(3), [1, 2]),
        (u64(2), u64(4), [2, 3]),
        (u64(2), u64(2), []),
        (u64(3), u64(2), []),
        (b"", b"", []),
        (u64(5), None, []),
        (u64(2)[:7], u64(3) + b"\x00", [1, 2, 3]),
    ],
)
def test_a_scan_takes_its_start_and_leaves_its_stop(
    store: KeyValue, start: bytes, stop: bytes | None, expected: list[int]
) -> None:
    put(store, PLAIN, [(u64(number), b"v") for number in (1, 2, 3, 4)])

    forward = [key for key, _ in store.scan(PLAIN, start=start, stop=stop)]
    backward = [key for key, _ in store.scan(PLAIN, start=start, stop=stop, reverse=True)]

    assert forward == [u64(number) for number in expected]
    assert backward == forward[::-1]


@TABLES
def test_a_scan_shows_the_moment_of_its_call(store: KeyValue, table: Table) -> None:
    put(store, table, [(b"a", b"1"), (b"b", b"1")])

    rows = store.scan(table)
    store.write(batch((table, b"a", b"2"), (table, b"b", None), (table, b"c", b"2")), sync=True)

    assert list(rows) == [(b"a", b"1"), (b"b", b"1")]
    assert rows_of(store, table) == [(b"a", b"2"), (b"c", b"2")]


@TABLES
def test_a_view_is_unmoved_by_later_writes(store: KeyValue, table: Table) -> None:
    put(store, table, [(b"a", b"1"), (b"b", b"1")])
    view = store.view()
    store.write(batch((table, b"a", b"2"), (table, b"b", None), (table, b"c", b"2")), sync=True)
    later = store.view()

    assert view.get(table, b"a") == b"1"
    assert view.get(table, b"c") is None
    assert rows_of(view, table) == [(b"a", b"1"), (b"b", b"1")]
    assert rows_of(later, table) == [(b"a", b"2"), (b"c", b"2")]


def test_a_blinded_name_is_the_same_each_time_and_for_no_two_values(store: KeyValue) -> None:
    names = [store.blind(u64(number)) for number in range(100)]

    assert {len(name) for name in names} == {16}
    assert len(set(names)) == 100
    assert store.view().blind(u64(7)) == names[7]


def test_the_fake_and_the_door_blind_alike(tmp_path: Path) -> None:
    door = create(tmp_path / "database")

    assert door.blind(b"value") == MemoryStore(storage_key=STORAGE_KEY).blind(b"value")

    door.close()


def test_nothing_answers_after_the_close(store: KeyValue) -> None:
    put(store, PLAIN, [(b"a", b"1"), (b"b", b"1"), (b"c", b"1")])
    view = store.view()
    begun, further = store.scan(PLAIN), store.scan(PLAIN)
    next(begun)
    next(further)
    next(further)  # by now the door has read ahead
    store.close()
    store.close()

    calls: list[Callable[[], object]] = [
        lambda: store.get(PLAIN, b"a"),
        lambda: view.get(PLAIN, b"a"),
        lambda: next(begun),
        lambda: next(further),
        lambda: list(store.scan(PLAIN)),
        store.view,
        lambda: store.write(batch(), sync=False),
    ]
    for call in calls:
        with pytest.raises(StorageClosedError):
            call()


def test_readers_on_other_threads_see_whole_batches_until_the_close(store: KeyValue) -> None:
    put(store, PLAIN, [(u64(key), u64(0)) for key in range(50)])
    torn: list[set[bytes]] = []
    closed = threading.Barrier(4)

    def read() -> None:
        try:
            while True:
                values = {value for _, value in store.view().scan(PLAIN)}
                if len(values) != 1:
                    torn.append(values)
        except StorageClosedError:
            closed.wait(timeout=30)

    readers = [threading.Thread(target=read) for _ in range(3)]
    for reader in readers:
        reader.start()
    for turn in range(1, 60):
        put(store, PLAIN, [(u64(key), u64(turn)) for key in range(50)], sync=False)
    store.close()
    closed.wait(timeout=30)
    for reader in readers:
        reader.join(timeout=30)

    assert torn == []


def test_readers_that_stop_midway_while_the_store_closes_end_nothing_but_themselves(
    tmp_path: Path,
) -> None:
    for turn in range(30):
        store = create(tmp_path / f"database-{turn}")
        put(store, PLAIN, [(u64(key), b"value") for key in range(50)])
        begun = threading.Barrier(3)

        def read(store: KeyValue = store, begun: threading.Barrier = begun) -> None:
            begun.wait(timeout=30)
            with contextlib.suppress(StorageClosedError):
                while True:
                    view = store.view()
                    next(view.scan(PLAIN))
                    view.scan(PLAIN)  # never begun
                    next(store.scan(PLAIN, reverse=True))

        readers = [threading.Thread(target=read) for _ in range(2)]
        for reader in readers:
            reader.start()
        begun.wait(timeout=30)
        store.close()
        for reader in readers:
            reader.join(timeout=30)

        with pytest.raises(StorageClosedError):
            store.get(PLAIN, u64(0))


@TABLES
def test_a_lone_row_at_the_start_itself_is_found_backwards(store: KeyValue, table: Table) -> None:
    put(store, table, [(b"", b"value")])

    assert list(store.scan(table, reverse=True)) == [(b"", b"value")]
    assert list(store.scan(table, start=b"", stop=b"\xff", reverse=True)) == [(b"", b"value")]
