"""The one door to LevelDB: checksums verified, rows encrypted, shut for good at the first error.

What LevelDB does not promise by itself, and the door adds (measured on LevelDB 1.22):

- By default it serves damaged bytes: `paranoid_checks` and `verify_checksums` are always on here.
- After a failed write the same handle goes on and loses later fsynced writes: the first error
  poisons the door, and every later call raises it again. Nothing is retried, and `repair_db`, which
  drops data, is never called. The process ends; its next start sees what is really on the disk.
- A cut log tail looks like a shorter life: `watermark` stands beside the database for that.
- A damaged manifest or a power cut can lose rows from the middle: see `continuity`.
- Closing the handle under a running read is undefined: `close` waits for the calls in flight.
- A directory whose files are gone becomes a new, empty database: `open` never creates, `create`
  never opens.

Keys beginning with 0x00 belong to the door; the tables' prefixes begin at 0x01 (see `keys`).
"""

import os
import re
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Final, TypeVar

import plyvel

from caretree.model.errors import FatalError
from caretree.model.limits import MIB
from caretree.storage.continuity import BATCH_PREFIX, BatchNumbers, LogFill, Row, row_cost
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
from caretree.storage.ports import Batch, Reads
from caretree.storage.row_cipher import RowCipher

WRITE_BUFFER_BYTES: Final = 16 * MIB
BLOCK_CACHE_BYTES: Final = 16 * MIB
BLOOM_FILTER_BITS: Final = 10  # about one needless table read in a hundred

DATABASE_VERSION: Final = 1
DATABASE_SUITE: Final = 1  # SHA-256 and AES-256-GCM (ARCHITECTURE section 4)
_CHECK_KEY: Final = b"\x00check"  # -> version u8, suite u8, RowCipher.check

_FILE_KINDS: Final = (
    (re.compile(r"\bCURRENT\b"), "CURRENT file"),
    (re.compile(r"\bMANIFEST-|\bdescriptor\b|\bVersionEdit\b"), "manifest"),
    (re.compile(r"\d+\.(?:ldb|sst)|\bblock\b"), "table file"),
    (re.compile(r"\d+\.log"), "log file"),
    (re.compile(r"^Corruption: (?:checksum mismatch|bad record)"), "log file or manifest"),
)
_LOCK_HELD: Final = re.compile(r"\block .*LOCK: ")
_SYSTEM_REASONS: Final = frozenset(os.strerror(number) for number in range(1, 134))

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
        return self._walk(table, rows, low)

    def blind(self, value: bytes) -> bytes:
        """See `Reads.blind`."""
        return self._cipher.blind(value)

    def _walk(
        self, table: Table, rows: Iterator[tuple[bytes, bytes]], low: bytes
    ) -> Iterator[tuple[bytes, bytes]]:
        # Each step passes the gate by itself: an abandoned scan must not keep the store from
        # closing.
        while (row := self._gate.run("scan", table, lambda: next(rows, None))) is not None:
            if row[0] < low:
                return
            key = row[0][1:]
            yield key, self._opened(table, key, row[1])

    def _opened(self, table: Table, key: bytes, stored: bytes) -> bytes:
        if not table.encrypted:
            return stored
        try:
            return self._cipher.open(table, key, stored)
        except StorageError as error:
            raise self._gate.poison(error) from None


class LevelDbStore(_LevelDbReads):
    """A `KeyValue` on LevelDB. One thread writes; any thread reads."""

    __slots__ = ("_fill", "_numbers", "_path", "_writer")

    def __init__(
        self, database: "plyvel.DB", path: Path, *, cipher: RowCipher, write_buffer_bytes: int
    ) -> None:
        super().__init__(database, cipher, _Gate())
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
            raise StorageLostError("the database is missing")
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
        rows = [
            (
                table.prefix + key,
                self._cipher.seal(table, key, value)
                if table.encrypted and value is not None
                else value,
            )
            for table, key, value in batch.rows
        ]
        self._write(rows, sync=sync)

    def view(self) -> Reads:
        """See `KeyValue.view`."""
        snapshot = self._gate.run("view", None, self._source.snapshot)
        return _LevelDbReads(snapshot, self._cipher, self._gate)

    def close(self) -> None:
        """See `KeyValue.close`. Waits for calls in flight; a second close does nothing."""
        if self._gate.shut():
            self._source.close()

    def _write(self, rows: list[Row], *, sync: bool) -> None:
        alone = self._writer.acquire(blocking=False)
        assert alone, "two threads write at once"
        try:
            cost = sum(row_cost(key, value) for key, value in rows)
            rows += self._numbers.next_rows(cost=cost)
            cost = sum(row_cost(key, value) for key, value in rows)
            log_may_end = self._fill.add(cost)
            self._gate.run("write", None, lambda: self._put(rows, sync=sync or log_may_end))
            if log_may_end:
                self._look_for_log(cost)
        finally:
            self._writer.release()

    def _put(self, rows: list[Row], *, sync: bool) -> None:
        with self._source.write_batch(transaction=True, sync=sync) as writing:
            for key, value in rows:
                if value is None:
                    writing.delete(key)
                else:
                    writing.put(key, value)

    def _look_for_log(self, cost: int) -> None:
        try:
            self._fill.saw_log(self._newest_log(), cost=cost)
        except StorageError as error:
            raise self._gate.poison(error) from None

    def _newest_log(self) -> int:
        with disk_errors("listing", "the database"):
            return max((int(log.stem) for log in self._path.glob("*.log")), default=0)

    def _resumed_numbers(self, write_buffer_bytes: int) -> BatchNumbers:
        def read() -> list[tuple[bytes, bytes]]:
            return list(self._source.iterator(prefix=BATCH_PREFIX, verify_checksums=True))

        rows = self._gate.run("opening", None, read)
        return BatchNumbers.resume(rows, write_buffer_bytes=write_buffer_bytes)

    def _verify_check(self) -> None:
        check = self._gate.run(
            "opening", None, lambda: self._source.get(_CHECK_KEY, verify_checksums=True)
        )
        if check is None:
            raise StorageLostError("the database lost its first rows")
        if check[0] > DATABASE_VERSION:
            raise NewerReleaseError("the database", found=check[0], known=DATABASE_VERSION)
        if check != bytes((DATABASE_VERSION, DATABASE_SUITE)) + self._cipher.check:
            raise StorageKeyError


class _Gate:
    """Counts the calls in flight and refuses all after the first error; the closer waits here."""

    __slots__ = ("_changed", "_closed", "_error", "_running")

    def __init__(self) -> None:
        self._changed = threading.Condition(threading.Lock())
        self._running = 0
        self._closed = False
        self._error: StorageError | None = None

    def run(self, operation: str, table: Table | None, call: Callable[[], T]) -> T:
        """What `call` returns.

        Raises:
            StorageError: LevelDB failed, now or before, or the store is closed.
        """
        with self._changed:
            if self._error is not None:
                raise self._error.with_traceback(None)
            if self._closed:
                raise StorageClosedError(operation=operation)
            self._running += 1
        try:
            return call()
        except plyvel.Error as error:
            # LevelDB may quote a row's key in its message, so only what is known to be harmless is
            # kept.
            raise self.poison(_told(error, operation, table)) from None
        finally:
            with self._changed:
                self._running -= 1
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
        if _LOCK_HELD.search(_text(error)) is not None:
            raise DataDirectoryInUseError(path) from None
        raise _told(error, "creation" if create else "opening", None) from None


def _told(error: "plyvel.Error", operation: str, table: Table | None) -> StorageError:
    """Our error for LevelDB's: the kind of file and the system's reason, never a key or value."""
    text = _text(error)
    kinds = (kind for pattern, kind in _FILE_KINDS if pattern.search(text))
    file_kind = next(kinds, "a file")
    system_reason = text.rpartition(": ")[2]
    if isinstance(error, plyvel.CorruptionError):
        reason = f"{file_kind} is damaged"
    elif system_reason in _SYSTEM_REASONS:
        reason = f"{file_kind}: {system_reason}"
    else:
        reason = f"{file_kind} could not be used"
    subject = "the database" if table is None else f"table {table.name}"
    return StorageError(operation=operation, subject=subject, reason=reason)


def _text(error: "plyvel.Error") -> str:
    # plyvel hands LevelDB's message on as bytes.
    message = error.args[0] if error.args else b""
    return message.decode(errors="replace") if isinstance(message, bytes) else str(message)
