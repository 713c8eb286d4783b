"""The one door to LevelDB: checksums verified, rows encrypted, shut for good at the first error.

What LevelDB does not promise by itself, and the door adds (measured on LevelDB 1.22):

- By default it serves damaged bytes: `paranoid_checks` and `verify_checksums` are always on here.
- After a failed write the same handle goes on and loses later fsynced writes: the first error
  poisons the door, and every later call raises it again. Nothing is retried, and `repair_db`, which
  drops data, is never called. The process ends; its next start sees what is really on the disk.
- A cut log tail looks like a shorter life: `watermark` stands beside the database for that.
- A damaged manifest or a power cut can lose rows from the middle: see `continuity`.
- Closing the handle under a running read, or while an iterator or snapshot of it is freed, is
  undefined: `close` waits for the calls in flight, and freeing is such a call.
- A directory whose files are gone becomes a new, empty database: `open` never creates, `create`
  never opens.

Keys beginning with 0x00 belong to the door; the tables' prefixes begin at 0x01 (see `keys`).
"""

import re
import threading
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from itertools import islice
from pathlib import Path
from typing import Final, TypeVar

import plyvel

from caretree.model.errors import FatalError
from caretree.model.limits import MIB
from caretree.storage.continuity import BATCH_PREFIX, BatchNumbers, LogFill, Row, batch_cost
from caretree.storage.errors import (
    DataDirectoryInUseError,
    NewerReleaseError,
    StorageClosedError,
    StorageError,
    StorageKeyError,
    StorageLostError,
)
from caretree.storage.files import disk_errors
from caretree.storage.keys import Table
from caretree.storage.leveldb_errors import message_of, storage_error
from caretree.storage.ports import Batch, Reads
from caretree.storage.row_cipher import RowCipher

WRITE_BUFFER_BYTES: Final = 16 * MIB
BLOCK_CACHE_BYTES: Final = 16 * MIB
SCAN_ROWS_MAX: Final = 64  # read at once by a scan
SCAN_BYTES_MAX: Final = 256 * 1024
BLOOM_FILTER_BITS: Final = 10  # about one needless table read in a hundred

DATABASE_VERSION: Final = 1
DATABASE_SUITE: Final = 1  # SHA-256 and AES-256-GCM (ARCHITECTURE section 4)
_CHECK_KEY: Final = b"\x00check"  # -> version u8, suite u8, RowCipher.check

_LOCK_HELD: Final = re.compile(r"\block .*LOCK: ")

T = TypeVar("T")


class _LevelDbReads:
    """Reads of one LevelDB handle or snapshot, through the gate that they share."""

    __slots__ = ("_cipher", "_gate", "_source")

    def __init__(self, source: "plyvel.DB", cipher: RowCipher, gate: "_Gate") -> None:
        self._source = source
        self._cipher = cipher
        self._gate = gate

    def get(self, table: Table, key: bytes) -> bytes | None:
        """See `Reads.get`."""
        row = table.prefix + key
        stored: bytes | None = self._gate.run(
            "read", table, lambda: self._source.get(row, verify_checksums=True)
        )
        return None if stored is None else self._opened(table, key, stored)

    def get_many(self, table: Table, keys: Sequence[bytes]) -> list[bytes | None]:
        """See `Reads.get_many`."""
        get, prefix = self._source.get, table.prefix
        found: list[bytes | None] = self._gate.run(
            "read", table, lambda: [get(prefix + key, verify_checksums=True) for key in keys]
        )
        return [
            None if stored is None else self._opened(table, key, stored)
            for key, stored in zip(keys, found, strict=True)
        ]

    def scan(
        self, table: Table, *, start: bytes = b"", stop: bytes | None = None, reverse: bool = False
    ) -> Iterator[tuple[bytes, bytes]]:
        """See `Reads.scan`. The rows are those of the moment of this call."""
        low = table.prefix + start
        high = bytes((table.prefix[0] + 1,)) if stop is None else table.prefix + stop
        # Backwards, plyvel 1.5.1 leaves out a row that is both the first it meets and at `start`
        # itself; so it is given no start then, and the walk ends by itself.
        first = None if reverse else low
        rows = self._gate.run(
            "scan",
            table,
            lambda: self._source.iterator(
                start=first, stop=high, reverse=reverse, verify_checksums=True
            ),
        )
        return self._walk(table, _Scan(rows, self._gate), low)

    def blind(self, value: bytes) -> bytes:
        """See `Reads.blind`."""
        return self._cipher.blind(value)

    def _walk(self, table: Table, scan: "_Scan", low: bytes) -> Iterator[tuple[bytes, bytes]]:
        # The gate is passed for a few rows at a time, at first for one: an abandoned scan must not
        # keep the store from closing, and many ask for the first row alone.
        rows_max = 1
        while found := self._gate.run("scan", table, partial(_next_rows, scan.rows, rows_max)):
            for row, stored in found:
                if row < low:
                    return
                self._gate.check("scan")  # what was read ahead is no answer of a shut door
                yield row[1:], self._opened(table, row[1:], stored)
            rows_max = min(2 * rows_max, SCAN_ROWS_MAX)

    def _opened(self, table: Table, key: bytes, stored: bytes) -> bytes:
        if not table.encrypted:
            return stored
        try:
            return self._cipher.open(table, key, stored)
        except StorageError as error:
            raise self._gate.poison(error) from None


def _next_rows(rows: Iterator[tuple[bytes, bytes]], rows_max: int) -> list[tuple[bytes, bytes]]:
    """The next rows, no more than so many, nor much more than SCAN_BYTES_MAX."""
    found: list[tuple[bytes, bytes]] = []
    size = 0
    for row in islice(rows, rows_max):
        found.append(row)
        size += len(row[1])
        if size >= SCAN_BYTES_MAX:
            break
    return found


class _Scan:
    """LevelDB's iterator, closed with its last reader, wherever that stopped."""

    __slots__ = ("_gate", "rows")

    def __init__(self, rows: "plyvel._plyvel.Iterator", gate: "_Gate") -> None:
        self.rows = rows
        self._gate = gate

    def __del__(self) -> None:
        self._gate.release(self.rows.close)


class _LevelDbView(_LevelDbReads):
    """Reads of a snapshot, which is released with its last reader."""

    __slots__ = ()

    def __del__(self) -> None:
        self._gate.release(self._source.close)


class LevelDbStore(_LevelDbReads):
    """A `KeyValue` on LevelDB. One thread writes; any thread reads."""

    __slots__ = ("_fill", "_numbers", "_path", "_writer")

    def __init__(
        self, database: "plyvel.DB", path: Path, *, cipher: RowCipher, write_buffer_bytes: int
    ) -> None:
        super().__init__(database, cipher, _Gate(path))
        self._path = path
        self._writer = threading.Lock()
        self._numbers = BatchNumbers.begin(write_buffer_bytes=write_buffer_bytes)
        self._fill = LogFill(newest_log=self._newest_log(), write_buffer_bytes=write_buffer_bytes)

    @classmethod
    def create(
        cls, path: Path, *, cipher: RowCipher, write_buffer_bytes: int = WRITE_BUFFER_BYTES
    ) -> "LevelDbStore":
        """A new, empty database at `path`, bound to the storage key of `cipher`.

        Raises:
            DataDirectoryInUseError: another handle is open on it.
            StorageError: there is a database already, or the disk refused.
        """
        database = _open_database(path, create=True, write_buffer_bytes=write_buffer_bytes)
        store = cls(database, path, cipher=cipher, write_buffer_bytes=write_buffer_bytes)
        check = bytes((DATABASE_VERSION, DATABASE_SUITE)) + cipher.check
        store._write([(_CHECK_KEY, check)], sync=True)
        return store

    @classmethod
    def open(
        cls, path: Path, *, cipher: RowCipher, write_buffer_bytes: int = WRITE_BUFFER_BYTES
    ) -> "LevelDbStore":
        """The database that was created at `path` under the same storage key.

        Raises:
            DataDirectoryInUseError: another handle is open on it.
            NewerReleaseError: a newer release wrote it.
            StorageKeyError: it was created under another storage key.
            StorageLostError: there is no database, or it lost batches and kept later ones.
            StorageError: it is damaged, or the disk refused.
        """
        if not (path / "CURRENT").exists():
            raise StorageLostError(f"the database {path} is missing")
        database = _open_database(path, create=False, write_buffer_bytes=write_buffer_bytes)
        store = cls(database, path, cipher=cipher, write_buffer_bytes=write_buffer_bytes)
        try:
            store._verify_check()
            store._numbers = store._resumed_numbers(write_buffer_bytes)
        except FatalError:
            store.close()
            raise
        return store

    def write(self, batch: Batch, *, sync: bool) -> None:
        """See `KeyValue.write`."""
        seal = self._cipher.seal
        rows = [
            (
                table.prefix + key,
                seal(table, key, value) if table.encrypted and value is not None else value,
            )
            for table, key, value in batch.rows
        ]
        self._write(rows, sync=sync)

    def view(self) -> Reads:
        """See `KeyValue.view`."""
        snapshot = self._gate.run("view", None, self._source.snapshot)
        return _LevelDbView(snapshot, self._cipher, self._gate)

    def close(self) -> None:
        """See `KeyValue.close`. Waits for calls in flight; a second close does nothing."""
        if self._gate.shut():
            self._source.close()

    def _write(self, rows: list[Row], *, sync: bool) -> None:
        alone = self._writer.acquire(blocking=False)
        assert alone, "two threads write at once"
        try:
            cost = batch_cost(rows)
            numbering = self._numbers.next_rows(cost=cost)
            rows += numbering
            cost += batch_cost(numbering)
            log_may_end = self._fill.add(cost)
            self._gate.run("write", None, lambda: self._put(rows, sync=sync or log_may_end))
            if log_may_end:
                self._look_for_log(cost)
        finally:
            self._writer.release()

    def _put(self, rows: list[Row], *, sync: bool) -> None:
        with self._source.write_batch(transaction=True, sync=sync) as writing:
            put, delete = writing.put, writing.delete
            for key, value in rows:
                if value is None:
                    delete(key)
                else:
                    put(key, value)

    def _look_for_log(self, cost: int) -> None:
        try:
            self._fill.saw_log(self._newest_log(), cost=cost)
        except StorageError as error:
            raise self._gate.poison(error) from None

    def _newest_log(self) -> int:
        with disk_errors("listing", f"database {self._path}"):
            return max((int(log.stem) for log in self._path.glob("*.log")), default=0)

    def _resumed_numbers(self, write_buffer_bytes: int) -> BatchNumbers:
        def read() -> list[tuple[bytes, bytes]]:
            return list(self._source.iterator(prefix=BATCH_PREFIX, verify_checksums=True))

        rows = self._gate.run("opening", None, read)
        try:
            return BatchNumbers.resume(rows, write_buffer_bytes=write_buffer_bytes)
        except StorageLostError as error:
            raise StorageLostError(f"{self._path}: {error.what}") from None

    def _verify_check(self) -> None:
        check = self._gate.run(
            "opening", None, lambda: self._source.get(_CHECK_KEY, verify_checksums=True)
        )
        if check is None:
            raise StorageLostError(f"the database {self._path} lost its first rows")
        if check[0] > DATABASE_VERSION:
            raise NewerReleaseError(
                f"database {self._path}", found=check[0], known=DATABASE_VERSION
            )
        if check != bytes((DATABASE_VERSION, DATABASE_SUITE)) + self._cipher.check:
            raise StorageKeyError


class _Gate:
    """Counts the calls in flight and refuses all after the first error; the closer waits here."""

    __slots__ = ("_changed", "_closed", "_error", "_lock", "_path", "_running", "_unreleased")

    def __init__(self, path: Path) -> None:
        self._path = path
        # Reentrant, for a collection of garbage may release an abandoned scan at any step.
        self._lock = threading.RLock()
        self._unreleased: list[Callable[[], None]] = []
        self._changed = threading.Condition(self._lock)
        self._running = 0
        self._closed = False
        self._error: StorageError | None = None

    def run(self, operation: str, table: Table | None, call: Callable[[], T]) -> T:
        """What `call` returns.

        Raises:
            StorageError: LevelDB failed, now or before, or the store is closed.
        """
        # The lock itself and not the condition around it, and nobody is woken who is not there:
        # a read costs little more than this gate.
        with self._lock:
            self.check(operation)
            self._running += 1
        try:
            return call()
        except plyvel.Error as error:
            # LevelDB may quote a row's key in its message, so only what is known to be harmless is
            # kept.
            raise self.poison(_told(error, operation, table, self._path)) from None
        finally:
            self._leave()

    def check(self, operation: str) -> None:
        """Return while no call has failed and the store is open; raises as `run` does."""
        if self._error is not None:
            raise self._error.with_traceback(None)
        if self._closed:
            raise StorageClosedError(operation=operation)

    def release(self, close: Callable[[], None]) -> None:
        """Close an iterator or snapshot, whose method this is, unless the store closed or failed.

        To free one while the store is being closed on another thread ends the process with a
        segmentation fault; so from then on they are kept, and what they hold goes with the process.
        """
        try:
            self.run("release", None, close)
        except StorageError:
            self._unreleased.append(close)

    def _leave(self) -> None:
        with self._lock:
            self._running -= 1
            if self._closed:
                self._changed.notify_all()

    def poison(self, error: StorageError) -> StorageError:
        """The first error that this gate has seen, which from now on every call raises."""
        with self._changed:
            if self._error is None:
                self._error = error
            return self._error

    def shut(self) -> bool:
        """Whether the caller is the one to close the handle; by then no call is in flight."""
        with self._changed:
            if self._closed:
                return False
            self._closed = True
            self._changed.wait_for(lambda: self._running == 0)
            return True


def _open_database(path: Path, *, create: bool, write_buffer_bytes: int) -> "plyvel.DB":
    try:
        return plyvel.DB(
            str(path),
            create_if_missing=create,
            error_if_exists=create,
            paranoid_checks=True,
            compression=None,  # ciphertext does not compress
            write_buffer_size=write_buffer_bytes,
            lru_cache_size=BLOCK_CACHE_BYTES,
            bloom_filter_bits=BLOOM_FILTER_BITS,
        )
    except plyvel.Error as error:
        if _LOCK_HELD.search(message_of(error)) is not None:
            raise DataDirectoryInUseError(path) from None
        raise _told(error, "creation" if create else "opening", None, path) from None


def _told(error: "plyvel.Error", operation: str, table: Table | None, path: Path) -> StorageError:
    corrupted = isinstance(error, plyvel.CorruptionError)
    return storage_error(
        message_of(error), corrupted=corrupted, operation=operation, table=table, path=path
    )
