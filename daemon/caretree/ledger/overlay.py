"""Rows to be written, seen over those that are: a block's later entries see its earlier ones."""

from bisect import bisect_left, insort
from collections.abc import Iterator, Sequence

from typing_extensions import override

from caretree.storage.keys import Table
from caretree.storage.ports import Batch, Reads

# Row keys of the overlay carry the table's prefix byte, as they do in the store.
_Pending = dict[bytes, tuple[Table, bytes, bytes | None]]


class Overlay(Reads):
    """Reads of a store as it will be once `batch` is written. Lives as long as one block's apply.

    What was read once is kept, and so are blinded names; both are bounded by the block's entries.
    """

    __slots__ = ("_blinded", "_pending", "_reads", "_sorted", "_values")

    def __init__(self, reads: Reads) -> None:
        self._reads = reads
        self._pending: _Pending = {}
        self._values: dict[bytes, bytes | None] = {}  # of all rows read, put or deleted so far
        self._blinded: dict[bytes, bytes] = {}
        self._sorted: dict[bytes, list[bytes]] = {}  # by prefix, for tables scanned so far

    @override
    def get(self, table: Table, key: bytes) -> bytes | None:
        row = table.prefix + key
        if row in self._values:
            return self._values[row]
        value = self._values[row] = self._reads.get(table, key)
        return value

    @override
    def get_many(self, table: Table, keys: Sequence[bytes]) -> list[bytes | None]:
        self.read_ahead(table, keys)
        return [self.get(table, key) for key in keys]

    def read_ahead(self, table: Table, keys: Sequence[bytes]) -> None:
        """Read rows that will be asked for, all at once; what was put or read stays as it is."""
        prefix = table.prefix
        unread = [key for key in keys if prefix + key not in self._values]
        found = self._reads.get_many(table, unread)
        self._values.update(zip([prefix + key for key in unread], found, strict=True))

    @override
    def scan(
        self, table: Table, *, start: bytes = b"", stop: bytes | None = None, reverse: bool = False
    ) -> Iterator[tuple[bytes, bytes]]:
        """See `Reads.scan`. Put and delete nothing until the scan has ended."""
        stored = self._reads.scan(table, start=start, stop=stop, reverse=reverse)
        pending = self._pending_rows(table, start, stop)
        if not pending:
            return stored
        return self._merged(stored, pending[::-1] if reverse else pending, reverse=reverse)

    @override
    def blind(self, value: bytes) -> bytes:
        blinded = self._blinded.get(value)
        if blinded is None:
            blinded = self._blinded[value] = self._reads.blind(value)
        return blinded

    def put(self, table: Table, key: bytes, value: bytes) -> None:
        """Have the row stored."""
        self._set(table, table.prefix + key, (table, key, value))

    def delete(self, table: Table, key: bytes) -> None:
        """Have the row removed."""
        self._set(table, table.prefix + key, (table, key, None))

    @property
    def batch(self) -> Batch:
        """All that was put and deleted, each row once, in the order of first mention."""
        return Batch(list(self._pending.values()))

    def _set(self, table: Table, row: bytes, change: tuple[Table, bytes, bytes | None]) -> None:
        if self._sorted:
            known = self._sorted.get(table.prefix)
            if known is not None and row not in self._pending:
                insort(known, row)
        self._pending[row] = change
        self._values[row] = change[2]

    def _pending_rows(self, table: Table, start: bytes, stop: bytes | None) -> Sequence[bytes]:
        prefix = table.prefix
        rows = self._sorted.get(prefix)
        if rows is None:
            rows = self._sorted[prefix] = sorted(row for row in self._pending if row[:1] == prefix)
        if not rows:
            return ()
        high = len(rows) if stop is None else bisect_left(rows, prefix + stop)
        return rows[bisect_left(rows, prefix + start) : high]

    def _merged(
        self, stored: Iterator[tuple[bytes, bytes]], pending: Sequence[bytes], *, reverse: bool
    ) -> Iterator[tuple[bytes, bytes]]:
        ahead = next(stored, None)
        for row in pending:
            _, key, value = self._pending[row]
            while ahead is not None and (ahead[0] > key if reverse else ahead[0] < key):
                yield ahead
                ahead = next(stored, None)
            if ahead is not None and ahead[0] == key:
                ahead = next(stored, None)  # the pending row takes its place
            if value is not None:
                yield key, value
        if ahead is not None:
            yield ahead
            yield from stored
