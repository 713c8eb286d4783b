"""What the rooms above may ask of a store: read rows, scan them in order, write a batch at once."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Protocol

from caretree.storage.keys import Table


class Reads(Protocol):
    """Reads of one consistent state of the store. Safe to use from any thread."""

    def get(self, table: Table, key: bytes) -> bytes | None:
        """The value at `key`, or None.

        Raises:
            StorageError: the row cannot be read as it was written. The process must end.
        """
        ...

    def get_many(self, table: Table, keys: Sequence[bytes]) -> list[bytes | None]:
        """The value at each of the keys, or None, in their order: cheaper than one by one.

        Raises:
            StorageError: as for `get`.
        """
        ...

    def scan(
        self, table: Table, *, start: bytes = b"", stop: bytes | None = None, reverse: bool = False
    ) -> Iterator[tuple[bytes, bytes]]:
        """Rows (key without prefix, value) with start <= key < stop, in key order or its reverse.

        Raises:
            StorageError: as for `get`.
        """
        ...

    def blind(self, value: bytes) -> bytes:
        """16 bytes that stand for `value` in row keys: an HMAC under a key of this store alone."""
        ...


@dataclass(slots=True)
class Batch:
    """Rows to be written all together or not at all; a later row for the same key wins."""

    rows: list[tuple[Table, bytes, bytes | None]] = field(default_factory=list)

    def put(self, table: Table, key: bytes, value: bytes) -> None:
        """Add a row to be stored."""
        self.rows.append((table, key, value))

    def delete(self, table: Table, key: bytes) -> None:
        """Add a row to be removed; removing what is not there is no error."""
        self.rows.append((table, key, None))


class KeyValue(Reads, Protocol):
    """A store with one writer. After any StorageError every call raises it again (INV-20)."""

    def write(self, batch: Batch, *, sync: bool) -> None:
        """Store the batch whole; with `sync` it survives a power cut once this returns.

        Raises:
            StorageError: the batch may or may not be stored. Never retry; the process must end.
        """
        ...

    def view(self) -> Reads:
        """A consistent state as of now, unmoved by later writes."""
        ...

    def close(self) -> None:
        """Release the store; no call may follow."""
        ...
