"""Numbers for batches, by which the door notices that LevelDB lost some from the middle.

Two things make LevelDB lose rows in the middle and keep later ones, without an error even in
paranoid mode (measured on LevelDB 1.22):

- A length byte flipped in its MANIFEST, or a cut of that file, reads as the file's end. The tables
  named after that place are forgotten and deleted, while the newest log is still replayed.
- It begins a new log when its write buffer is full, and does not fsync the old one. A power cut
  then takes unsynced batches at the old log's end, although a later batch in the new log is there.

The first is found at the next start: each batch writes a row under its number. Of the last `WINDOW`
batches every row is kept; of the older ones at least one in each table that LevelDB ever wrote,
each naming those before it. A gap among them is a loss. The second is prevented: from the moment at
which the buffer may be full, every batch is fsynced, until the new log is seen.

Rows of the door (bytes on disk for ever): 0x00 "batch" || number u64 -> nothing, or for a batch
that is kept the numbers (u64 each) of the batches kept before it, back to the last one that names
others.
"""

from collections import deque
from collections.abc import Iterable, Sequence
from typing import Final

from caretree.storage.errors import StorageLostError

# Batches. LevelDB fills no second log with so many while the first is not yet a table.
WINDOW: Final = 8192
BATCH_PREFIX: Final = b"\x00batch"
_NUMBER_BYTES: Final = 8
_NODE_BYTES: Final = 144  # of a skip list's node: links, sequence number, lengths

Row = tuple[bytes, bytes | None]


class BatchNumbers:
    """The numbers given so far, and the rows that record them."""

    __slots__ = ("_cost", "_cost_max", "_last", "_names", "_spared", "_unnamed")

    def __init__(self, *, last: int, newest_naming: int, write_buffer_bytes: int) -> None:
        self._last = last
        self._names = newest_naming  # what the next batch that names others ends with
        self._unnamed = last if last != newest_naming else 0  # what it names besides, if not 0
        self._spared = deque([last] if last else [])  # of the window, not to be removed, in order
        # A buffer's worth of rows is then certain to hold a batch that names others. A run's first
        # batch does too; its last one, which may get a table of its own, is named by the next run.
        self._cost_max = write_buffer_bytes // 2
        self._cost = self._cost_max

    @classmethod
    def begin(cls, *, write_buffer_bytes: int) -> "BatchNumbers":
        """The numbers of a new database."""
        return cls(last=0, newest_naming=0, write_buffer_bytes=write_buffer_bytes)

    @classmethod
    def resume(
        cls, rows: Iterable[tuple[bytes, bytes]], *, write_buffer_bytes: int
    ) -> "BatchNumbers":
        """The numbers of a database in which `rows` were found under `BATCH_PREFIX`.

        Raises:
            StorageLostError: a batch is missing though a later one is there.
        """
        found = {_number(key): _numbers(value) for key, value in rows}
        last = max(found, default=0)
        named = _named(found)
        missing = {*range(max(1, last - WINDOW + 1), last + 1), *named} - found.keys()
        if missing or not named:
            raise StorageLostError(
                f"the database lost some of its {last} batches of rows, and later ones are there"
            )
        numbers = cls(last=last, newest_naming=named[0], write_buffer_bytes=write_buffer_bytes)
        numbers._spared = deque(sorted(n for n in {*named, last} if n > last - WINDOW))
        return numbers

    def next_rows(self, *, cost: int) -> list[Row]:
        """The rows that go with the next batch, whose own rows cost `cost`."""
        self._last += 1
        self._cost += cost
        names = b""
        if self._cost >= self._cost_max:
            names = (_u64(self._unnamed) if self._unnamed else b"") + _u64(self._names)
            self._names, self._unnamed, self._cost = self._last, 0, 0
            self._spared.append(self._last)
        rows: list[Row] = [(_key(self._last), names)]
        leaving = self._last - WINDOW
        if self._spared and self._spared[0] == leaving:
            self._spared.popleft()
        elif leaving > 0:
            rows.append((_key(leaving), None))
        return rows


def batch_cost(rows: Sequence[Row]) -> int:
    """The most that rows take of LevelDB's write buffer, in bytes.

    A row is a node of a skip list with at most 12 links, laid into blocks of 4096 bytes of which at
    most a quarter stays unused.
    """
    content = sum([len(key) + len(value or b"") for key, value in rows])
    return -(-(content + _NODE_BYTES * len(rows)) * 4 // 3)


class LogFill:
    """How full LevelDB's write buffer is at most, to know when its next log may begin."""

    __slots__ = ("_cost", "_newest_log", "_write_buffer_bytes")

    def __init__(self, *, newest_log: int, write_buffer_bytes: int) -> None:
        self._newest_log = newest_log
        self._write_buffer_bytes = write_buffer_bytes
        self._cost = 2 * 4096  # an empty buffer's first blocks

    def add(self, cost: int) -> bool:
        """Whether the log that takes this batch may be closed by the next one."""
        self._cost += cost
        return self._cost > self._write_buffer_bytes

    def saw_log(self, newest_log: int, *, cost: int) -> None:
        """Begin anew when the batch of this cost went into a new log."""
        if newest_log != self._newest_log:
            self._newest_log = newest_log
            self._cost = 2 * 4096 + cost


def _named(found: dict[int, tuple[int, ...]]) -> list[int]:
    """All numbers that must be there for ever, the newest one that names others first."""
    naming = max((number for number, names in found.items() if names), default=0)
    named: list[int] = []
    while naming:
        named.append(naming)
        *others, earlier = found.get(naming) or (0,)
        named.extend(others)
        # Numbers fall along the way, so this ends whatever the rows say.
        naming = min(earlier, naming - 1)
    return named


def _numbers(value: bytes) -> tuple[int, ...]:
    return tuple(
        int.from_bytes(value[at : at + _NUMBER_BYTES], "big")
        for at in range(0, len(value), _NUMBER_BYTES)
    )


def _number(key: bytes) -> int:
    return int.from_bytes(key[len(BATCH_PREFIX) :], "big")


def _key(number: int) -> bytes:
    return BATCH_PREFIX + _u64(number)


def _u64(number: int) -> bytes:
    return number.to_bytes(_NUMBER_BYTES, "big")
