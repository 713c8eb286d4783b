"""Rows to be written, seen over the store: as the store will be once they are written."""

from caretree.ledger.overlay import Overlay
from caretree.storage.keys import Table
from caretree.storage.memory import MemoryStore
from caretree.storage.ports import Batch
from hypothesis import given, settings
from hypothesis import strategies as st

TABLES = (Table.HISTORY, Table.GRANT)
KEYS = st.binary(max_size=2)
CHANGES = st.lists(
    st.tuples(st.sampled_from(TABLES), KEYS, st.none() | st.binary(max_size=2)), max_size=20
)
Changes = list[tuple[Table, bytes, bytes | None]]


def change(overlay: Overlay, changes: Changes) -> None:
    for table, key, value in changes:
        if value is None:
            overlay.delete(table, key)
        else:
            overlay.put(table, key, value)


@settings(deadline=None)
@given(stored=CHANGES, early=CHANGES, late=CHANGES, start=KEYS, stop=st.none() | KEYS)
def test_it_reads_as_the_store_does_once_its_batch_is_written(
    stored: Changes,
    early: Changes,
    late: Changes,
    start: bytes,
    stop: bytes | None,
) -> None:
    before, after = MemoryStore(), MemoryStore()
    for store in (before, after):
        store.write(Batch(list(stored)), sync=False)
    overlay = Overlay(before)
    for table in TABLES:
        change(overlay, early)
        list(overlay.scan(table))  # from now on its pending rows are kept in order
    change(overlay, late)

    after.write(overlay.batch, sync=False)

    for table in TABLES:
        for reverse in (False, True):
            seen = overlay.scan(table, start=start, stop=stop, reverse=reverse)
            written = after.scan(table, start=start, stop=stop, reverse=reverse)
            assert list(seen) == list(written)
        for _, key, _ in [*stored, *early, *late]:
            assert overlay.get(table, key) == after.get(table, key)


def test_its_batch_holds_each_row_once_with_the_last_value() -> None:
    overlay = Overlay(MemoryStore())
    overlay.put(Table.GRANT, b"a", b"1")
    overlay.put(Table.GRANT, b"b", b"2")
    overlay.put(Table.GRANT, b"a", b"3")
    overlay.delete(Table.GRANT, b"b")

    assert overlay.batch.rows == [(Table.GRANT, b"a", b"3"), (Table.GRANT, b"b", None)]


def test_it_changes_nothing_in_the_store() -> None:
    store = MemoryStore()
    overlay = Overlay(store)
    overlay.put(Table.GRANT, b"a", b"1")

    assert store.get(Table.GRANT, b"a") is None
    assert store.writes == 0


def test_names_are_blinded_as_by_the_store() -> None:
    store = MemoryStore()
    overlay = Overlay(store)

    assert [overlay.blind(b"x"), overlay.blind(b"x")] == [store.blind(b"x")] * 2


def test_what_is_read_ahead_is_what_the_store_holds_and_hides_no_change() -> None:
    store = MemoryStore()
    store.write(Batch([(Table.GRANT, b"a", b"1"), (Table.GRANT, b"b", b"2")]), sync=False)
    overlay = Overlay(store)
    overlay.put(Table.GRANT, b"a", b"new")
    overlay.delete(Table.GRANT, b"b")

    overlay.read_ahead(Table.GRANT, [b"a", b"b", b"c"])

    assert overlay.get_many(Table.GRANT, [b"a", b"b", b"c"]) == [b"new", None, None]
    overlay.put(Table.GRANT, b"c", b"3")
    assert overlay.get(Table.GRANT, b"c") == b"3"
