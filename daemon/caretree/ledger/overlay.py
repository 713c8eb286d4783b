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

    __slots__ = ("_blinded", "_pending", "_read", "_reads", "_sorted")

    def __init__(self, reads: Reads) -> None:
        self._reads = reads
        self._pending: _Pending = {}
        self._read: dict[bytes, bytes | None] = {}
        self._blinded: dict[bytes, bytes] = {}
        self._sorted: dict[bytes, list[bytes]] = {}  # by prefix, for tables scanned so far

    @override
    def get(self, table: Table, key: bytes) -> bytes | None:
        row = table.prefix + key
        pending = self._pending.get(row)
        if pending is not None:
            return pending[2]
        if row in self._read:
            return self._read[row]
        value = self._read[row] = self._reads.get(table, key)
        return value

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
        self._set(table, key, value)

    def delete(self, table: Table, key: bytes) -> None:
        """Have the row removed."""
        self._set(table, key, None)

    @property
    def batch(self) -> Batch:
        """All that was put and deleted, each row once, in the order of first mention."""
        return Batch(list(self._pending.values()))

    def _set(self, table: Table, key: bytes, value: bytes | None) -> None:
        row = table.prefix + key
        known = self._sorted.get(table.prefix)
        if known is not None and row not in self._pending:
            insort(known, row)
        self._pending[row] = (table, key, value)

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
