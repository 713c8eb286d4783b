"""A store in memory that fails on demand as a disk does, for tests and the simulator.

It models what LevelDB's log makes of batches: they are durable in order, a fsynced one makes all
before it durable, and what a crash leaves of the rest is always a run from its beginning, for a
torn batch fails its checksum and is dropped whole.
"""

import threading
from bisect import bisect_left, insort
from collections.abc import Iterator, Sequence

from caretree.storage.errors import StorageClosedError, StorageError
from caretree.storage.keys import Table
from caretree.storage.ports import Batch, Reads
from caretree.storage.row_cipher import STORAGE_KEY_BYTES, Blinder

FAKE_STORAGE_KEY = bytes(STORAGE_KEY_BYTES)
TAIL_BATCHES_MAX = 64  # how many durable batches can be cut off again by `lose_tail`

_Undo = list[tuple[bytes, bytes | None]]  # row key -> what it held before, the newest change first


class _Rows:
    """Rows in key order. Once `shared` with a view they are copied before the next change."""

    __slots__ = ("damaged", "keys", "shared", "values")

    def __init__(self, keys: list[bytes], values: dict[bytes, bytes], damaged: set[bytes]) -> None:
        self.keys = keys
        self.values = values
        self.damaged = damaged
        self.shared = False

    def copy(self) -> "_Rows":
        return _Rows(list(self.keys), dict(self.values), set(self.damaged))

    def put(self, row: bytes, value: bytes | None) -> bytes | None:
        """What the row held before; no value removes it. A write heals a damaged row."""
        before = self.values.get(row)
        self.damaged.discard(row)
        if value is not None:
            self.values[row] = value
            if before is None:
                insort(self.keys, row)
        elif before is not None:
            del self.values[row]
            del self.keys[bisect_left(self.keys, row)]
        return before


class _Health:
    """Whether a store and its views are open, and the first error that one of them met."""

    __slots__ = ("closed", "error")

    def __init__(self) -> None:
        self.closed = False
        self.error: StorageError | None = None

    def check(self, operation: str) -> None:
        if self.error is not None:
            raise self.error.with_traceback(None)
        if self.closed:
            raise StorageClosedError(operation=operation)

    def fail(self, operation: str, subject: str, reason: str) -> StorageError:
        if self.error is None:
            self.error = StorageError(operation=operation, subject=subject, reason=reason)
        return self.error


class _MemoryReads:
    """Reads of rows in memory."""

    __slots__ = ("_blinder", "_health", "_lock", "_rows")

    def __init__(
        self, rows: _Rows, health: _Health, blinder: Blinder, lock: threading.Lock
    ) -> None:
        self._rows = rows
        self._health = health
        self._blinder = blinder
        self._lock = lock

    def get(self, table: Table, key: bytes) -> bytes | None:
        """See `Reads.get`."""
        with self._lock:
            return self._read("read", table, table.prefix + key)

    def get_many(self, table: Table, keys: Sequence[bytes]) -> list[bytes | None]:
        """See `Reads.get_many`."""
        with self._lock:
            return [self._read("read", table, table.prefix + key) for key in keys]

    def scan(
        self, table: Table, *, start: bytes = b"", stop: bytes | None = None, reverse: bool = False
    ) -> Iterator[tuple[bytes, bytes]]:
        """See `Reads.scan`. The rows are those of the moment of this call."""
        with self._lock:
            self._health.check("scan")
            self._rows.shared = True
            frozen = _MemoryReads(self._rows, self._health, self._blinder, self._lock)
        return frozen._walk(table, start, stop, reverse=reverse)

    def blind(self, value: bytes) -> bytes:
        """See `Reads.blind`."""
        return self._blinder.blind(value)

    def _walk(
        self, table: Table, start: bytes, stop: bytes | None, *, reverse: bool
    ) -> Iterator[tuple[bytes, bytes]]:
        keys = self._rows.keys
        high = bytes((table.prefix[0] + 1,)) if stop is None else table.prefix + stop
        places = range(bisect_left(keys, table.prefix + start), bisect_left(keys, high))
        for place in reversed(places) if reverse else places:
            with self._lock:
                value = self._read("scan", table, keys[place])
            assert value is not None
            yield keys[place][1:], value

    def _read(self, operation: str, table: Table, row: bytes) -> bytes | None:
        self._health.check(operation)
        if row in self._rows.damaged:
            raise self._health.fail(operation, f"table {table.name}", "a row is damaged")
        return self._rows.values.get(row)


class MemoryStore(_MemoryReads):
    """A `KeyValue` in memory, with the faults of a disk at its side."""

    __slots__ = ("_faults", "_undos", "_unsynced", "_writes")

    def __init__(self, *, storage_key: bytes = FAKE_STORAGE_KEY) -> None:
        super().__init__(_Rows([], {}, set()), _Health(), Blinder(storage_key), threading.Lock())
        self._undos: list[
            _Undo
        ] = []  # one for each batch, oldest first; the last ones are unsynced
        self._unsynced = 0
        self._writes = 0
        self._faults: dict[
            int, bool
        ] = {}  # number of the write -> whether it is stored all the same

    @property
    def writes(self) -> int:
        """How many writes were asked for, failed ones counted."""
        return self._writes

    @property
    def unsynced_batches(self) -> int:
        """How many batches a crash may take."""
        return self._unsynced

    def write(self, batch: Batch, *, sync: bool) -> None:
        """See `KeyValue.write`; the faults asked for come true here."""
        with self._lock:
            self._health.check("write")
            stored = self._faults.get(self._writes)
            self._writes += 1
            if stored is not False:
                self._apply(batch, sync=sync or stored is True)
            if stored is not None:
                raise self._health.fail("write", "the database", "a fault was asked for")

    def view(self) -> Reads:
        """See `KeyValue.view`."""
        with self._lock:
            self._health.check("view")
            self._rows.shared = True
            return _MemoryReads(self._rows, self._health, self._blinder, self._lock)

    def close(self) -> None:
        """See `KeyValue.close`."""
        with self._lock:
            self._health.closed = True

    def fail_write(self, after: int, *, stored: bool) -> None:
        """Let the write after the next `after` ones fail: not stored, or durable all the same."""
        self._faults[self._writes + after] = stored

    def make_hole(self, table: Table, key: bytes) -> None:
        """Remove a row behind the writer's back, durably: no crash brings it back."""
        row = table.prefix + key
        with self._lock:
            self._own_rows().put(row, None)
            self._undos = [[(k, v) for k, v in undo if k != row] for undo in self._undos]

    def flip_bit(self, table: Table, key: bytes) -> None:
        """Damage the stored row, so that reading it fails as a checksum would."""
        row = table.prefix + key
        with self._lock:
            assert row in self._rows.values
            self._own_rows().damaged.add(row)

    def crash(self, *, surviving: int = 0) -> "MemoryStore":
        """The store as the next start finds it, with the first `surviving` of the unsynced batches.

        None survive a power cut at its worst, all survive the death of the process alone, and a
        torn write leaves any number between. This handle is closed.
        """
        assert 0 <= surviving <= self._unsynced
        return self._reopened(lost=self._unsynced - surviving)

    def lose_tail(self, batches: int) -> "MemoryStore":
        """The store after a cut of its log: the last `batches` are gone without a sign."""
        assert 0 <= batches <= len(self._undos)
        return self._reopened(lost=batches)

    def _reopened(self, *, lost: int) -> "MemoryStore":
        with self._lock:
            self._health.closed = True
            found = MemoryStore()
            found._blinder = self._blinder
            found._rows = self._rows.copy()
            kept = len(self._undos) - lost
            for undo in reversed(self._undos[kept:]):
                for row, before in undo:
                    found._rows.put(row, before)
            found._undos = self._undos[:kept]
            return found

    def _apply(self, batch: Batch, *, sync: bool) -> None:
        rows = self._own_rows()
        undo = [
            (table.prefix + key, rows.put(table.prefix + key, value))
            for table, key, value in batch.rows
        ]
        self._undos.append(undo[::-1])
        self._unsynced = 0 if sync else self._unsynced + 1
        if sync:
            del self._undos[:-TAIL_BATCHES_MAX]

    def _own_rows(self) -> _Rows:
        if self._rows.shared:
            self._rows = self._rows.copy()
        return self._rows
