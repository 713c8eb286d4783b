"""The door: what it writes is encrypted, ordered and whole, and after one error it stays shut."""

import os
import resource
import signal
import subprocess
import sys
import textwrap
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import plyvel
import pytest
from caretree.storage.errors import (
    DataDirectoryInUseError,
    NewerReleaseError,
    StorageError,
    StorageKeyError,
    StorageLostError,
)
from caretree.storage.keys import Table
from caretree.storage.leveldb import LevelDbStore

from tests.shared import PROJECT_ROOT
from tests.storage.stores import (
    PLAIN,
    SEALED,
    batch,
    cipher,
    create,
    files_of,
    put,
    reopen,
    rows_of,
    u64,
)

SMALL_BUFFER = 64 * 1024


@contextmanager
def file_size_limit(limit: int) -> Iterator[None]:
    """Files that cannot grow beyond `limit`, as on a full disk: writes fail, the process lives."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    ignored = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (limit, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
        signal.signal(signal.SIGXFSZ, ignored)


class SyncRecorder:
    """A LevelDB handle that notes how each batch was written."""

    def __init__(self, database: "plyvel.DB") -> None:
        self.database = database
        self.syncs: list[bool] = []

    def write_batch(self, *, transaction: bool, sync: bool) -> "plyvel.WriteBatch":
        assert transaction
        self.syncs.append(sync)
        return self.database.write_batch(transaction=transaction, sync=sync)

    def close(self) -> None:
        self.database.close()


def test_rows_are_there_after_a_reopening(tmp_path: Path) -> None:
    store = create(tmp_path / "db")
    put(store, PLAIN, [(u64(number), b"plain") for number in range(100)])
    put(store, SEALED, [(u64(number), b"sealed") for number in range(100)], sync=False)
    store.close()

    again = reopen(tmp_path / "db")

    assert rows_of(again, PLAIN) == [(u64(number), b"plain") for number in range(100)]
    assert rows_of(again, SEALED) == [(u64(number), b"sealed") for number in range(100)]
    again.close()


# INV-22
def test_encrypted_rows_leave_no_plaintext_in_any_file(tmp_path: Path) -> None:
    store = create(tmp_path / "db")
    name = b"canary-name-of-a-patient"
    for table in Table:
        if table.encrypted:
            put(store, table, [(store.blind(name), b"canary-value " * 5)])
    put(store, PLAIN, [(b"plain", b"seen-in-the-clear")])
    store.close()
    reopen(tmp_path / "db").close()  # LevelDB moves the rows from its log into a table

    content = b"".join(file.read_bytes() for file in (tmp_path / "db").iterdir())

    assert b"seen-in-the-clear" in content
    assert b"canary" not in content


def test_a_database_refuses_another_storage_key(tmp_path: Path) -> None:
    create(tmp_path / "db").close()

    with pytest.raises(StorageKeyError):
        reopen(tmp_path / "db", storage_key=bytes(32))

    reopen(tmp_path / "db").close()  # the refusal let go of the lock


def test_a_database_of_a_newer_release_is_refused(tmp_path: Path) -> None:
    create(tmp_path / "db").close()
    raw = plyvel.DB(str(tmp_path / "db"))
    raw.put(b"\x00check", b"\x02" + raw.get(b"\x00check")[1:])
    raw.close()

    with pytest.raises(NewerReleaseError) as caught:
        reopen(tmp_path / "db")
    assert (caught.value.found, caught.value.known) == (2, 1)


def test_a_second_handle_is_refused_in_this_process(tmp_path: Path) -> None:
    store = create(tmp_path / "db")

    with pytest.raises(DataDirectoryInUseError):
        reopen(tmp_path / "db")
    put(store, PLAIN, [(b"k", b"v")])

    store.close()


def test_a_second_handle_is_refused_in_another_process(tmp_path: Path) -> None:
    store = create(tmp_path / "db")
    program = """
        import sys
        from pathlib import Path
        from caretree.storage.errors import DataDirectoryInUseError
        from tests.storage.stores import reopen
        try:
            reopen(Path(sys.argv[1]))
        except DataDirectoryInUseError:
            sys.exit(7)
    """
    command = [sys.executable, "-c", textwrap.dedent(program), str(tmp_path / "db")]

    ended = subprocess.run(command, check=False, timeout=60, cwd=PROJECT_ROOT)
    assert ended.returncode == 7

    store.close()


def test_opening_creates_nothing_and_creating_opens_nothing(tmp_path: Path) -> None:
    (tmp_path / "db").mkdir()

    with pytest.raises(StorageLostError):
        reopen(tmp_path / "db")
    assert list((tmp_path / "db").iterdir()) == []

    create(tmp_path / "db").close()
    with pytest.raises(StorageError):
        create(tmp_path / "db")


def test_a_full_disk_shuts_the_door_and_loses_nothing_that_was_acknowledged(tmp_path: Path) -> None:
    store = create(tmp_path / "db", write_buffer_bytes=SMALL_BUFFER)
    acknowledged: list[bytes] = []

    def write_on() -> None:
        for number in range(1000):
            put(store, PLAIN, [(u64(number), os.urandom(1000))])
            acknowledged.append(u64(number))

    with file_size_limit(40_000), pytest.raises(StorageError, match="File too large") as caught:
        write_on()

    # There is room again, and still nothing is served or taken.
    for call in (
        lambda: put(store, PLAIN, [(b"k", b"v")]),
        lambda: store.get(PLAIN, u64(0)),
        lambda: rows_of(store, PLAIN),
        store.view,
    ):
        with pytest.raises(StorageError) as again:
            call()
        assert again.value is caught.value
    store.close()

    found = reopen(tmp_path / "db")
    assert len(acknowledged) > 10
    assert [key for key, _ in found.scan(PLAIN)][: len(acknowledged)] == acknowledged
    found.close()


def test_an_error_in_a_view_shuts_the_door_of_the_store(tmp_path: Path) -> None:
    create(tmp_path / "db").close()
    raw = plyvel.DB(str(tmp_path / "db"))
    raw.put(SEALED.prefix + b"key", b"not sealed by the door")
    raw.close()
    store = reopen(tmp_path / "db")
    put(store, PLAIN, [(b"a", b"1"), (b"b", b"1"), (b"c", b"1")])
    view, begun = store.view(), store.scan(PLAIN)
    assert [next(begun)[0], next(begun)[0]] == [b"a", b"b"]

    with pytest.raises(StorageError):
        view.get(SEALED, b"key")
    with pytest.raises(StorageError):
        put(store, PLAIN, [(b"k", b"v")])
    with pytest.raises(StorageError):
        next(begun)  # read ahead with the row before

    store.close()


def test_an_error_names_operation_and_table_but_no_key_or_value(tmp_path: Path) -> None:
    store = create(tmp_path / "db")
    put(store, SEALED, [(b"secret-key", b"secret-value")])
    store.close()
    raw = plyvel.DB(str(tmp_path / "db"))
    sealed = raw.get(SEALED.prefix + b"secret-key")
    raw.put(SEALED.prefix + b"secret-kez", sealed)
    raw.close()
    store = reopen(tmp_path / "db")

    with pytest.raises(StorageError) as caught:
        store.get(SEALED, b"secret-kez")

    assert caught.value.subject == "table BODY"
    assert "secret" not in str(caught.value)
    store.close()


def test_no_log_is_closed_with_an_unsynced_batch_at_its_end(tmp_path: Path) -> None:
    # LevelDB does not fsync a log that it has filled; a power cut would take its last batches
    # although later ones in the next log are there.
    store = create(tmp_path / "db", write_buffer_bytes=SMALL_BUFFER)
    recorder = SyncRecorder(store._source)
    store._source = recorder
    before = store._newest_log()
    switches = 0
    for number in range(900):
        size = (number * 37) % 700 if number % 50 else 9000
        store.write(batch((PLAIN, u64(number), os.urandom(size))), sync=False)
        now = store._newest_log()
        if now != before:
            switches += 1
            assert recorder.syncs[-2], f"batch {number} began a log behind an unsynced one"
        before = now

    assert switches >= 5
    assert recorder.syncs.count(False) > 450, "most batches need no fsync"
    store.close()


def test_a_cut_log_leaves_a_run_of_whole_batches_from_the_beginning(tmp_path: Path) -> None:
    store = create(tmp_path / "db")
    states = []
    for number in range(5):
        states.append(rows_of(store, PLAIN))
        put(store, PLAIN, [(u64(number), b"a"), (u64(100 - number), b"b" * 20)])
    states.append(rows_of(store, PLAIN))
    store.close()
    [log] = files_of(tmp_path / "db", "*.log")
    whole = log.read_bytes()

    found: list[int] = []
    beginning = 200  # behind the batch that the creation wrote
    for length in range(beginning, len(whole) + 1, 5):
        copy = tmp_path / f"cut-{length}"
        copy.mkdir()
        for file in (tmp_path / "db").iterdir():
            (copy / file.name).write_bytes(file.read_bytes())
        (copy / log.name).write_bytes(whole[:length])
        again = reopen(copy)
        found.append(states.index(rows_of(again, PLAIN)))
        again.close()

    assert found == sorted(found)
    assert set(found) >= {1, 2, 3, 4}


def test_the_door_turns_every_check_of_leveldb_on(tmp_path: Path) -> None:
    store = LevelDbStore.create(tmp_path / "db", cipher=cipher())
    asked: list[bool] = []

    class Asked:
        def get(self, key: bytes, *, verify_checksums: bool) -> bytes:
            asked.append(verify_checksums)
            return key

        def iterator(self, *, verify_checksums: bool, **_: object) -> Iterator[object]:
            asked.append(verify_checksums)
            yield from ()

    handle = store._source
    store._source = Asked()
    store.get(PLAIN, b"k")
    rows_of(store, PLAIN)

    assert asked == [True, True]
    handle.close()
