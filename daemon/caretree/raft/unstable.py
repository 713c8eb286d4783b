"""The end of the log that is not known to be on disk yet."""

from collections.abc import Sequence

from caretree.model.ids import LogIndex, Term
from caretree.raft.messages import Entry, SnapshotMeta


class Unstable:
    """Entries and a snapshot on their way to the store.

    `entries[i]` has log index `offset + i`. The store may hold entries at `offset` and above: they
    are superseded, and vanish with the next write. What was handed out for writing stays here,
    below `offset_in_progress`, until the caller says that it is durable.
    """

    __slots__ = ("entries", "offset", "offset_in_progress", "snapshot", "snapshot_in_progress")

    def __init__(self, offset: LogIndex) -> None:
        self.entries: list[Entry] = []
        self.offset = offset
        self.offset_in_progress = offset
        self.snapshot: SnapshotMeta | None = None
        self.snapshot_in_progress = False

    def first_index(self) -> LogIndex | None:
        """The first log index there can be, if a snapshot decides that."""
        return None if self.snapshot is None else LogIndex(self.snapshot.index + 1)

    def last_index(self) -> LogIndex | None:
        """The last log index, if it is here."""
        if self.entries:
            return LogIndex(self.offset + len(self.entries) - 1)
        return None if self.snapshot is None else self.snapshot.index

    def term(self, index: LogIndex) -> Term | None:
        """The term at `index`, if it is here."""
        place = index - self.offset
        if 0 <= place < len(self.entries):
            return self.entries[place].term
        if self.snapshot is not None and self.snapshot.index == index:
            return self.snapshot.term
        return None

    def has_next_entries(self) -> bool:
        """Whether entries wait to be handed out for writing."""
        return self.offset_in_progress < self.offset + len(self.entries)

    def next_entries(self) -> tuple[Entry, ...]:
        """The entries that wait to be handed out."""
        return tuple(self.entries[self.offset_in_progress - self.offset :])

    def next_snapshot(self) -> SnapshotMeta | None:
        """The snapshot that waits to be handed out."""
        return None if self.snapshot_in_progress else self.snapshot

    def accept_in_progress(self) -> None:
        """Note that everything here was handed out."""
        self.offset_in_progress = LogIndex(self.offset + len(self.entries))
        self.snapshot_in_progress = self.snapshot is not None

    def stable_to(self, index: LogIndex, term: Term) -> None:
        """Forget the durable entries up to `index`, unless another took that place meanwhile.

        One write is under way at a time, so the store holds exactly the entry of `term`; equal
        terms at an index mean equal entries, and equal entries below (Raft 5.3).
        """
        place = index - self.offset
        if not 0 <= place < len(self.entries) or self.entries[place].term != term:
            return
        del self.entries[: place + 1]
        self.offset = LogIndex(index + 1)
        self.offset_in_progress = max(self.offset_in_progress, self.offset)

    def stable_snapshot_to(self, index: LogIndex) -> None:
        """Forget the snapshot at `index`, which is durable."""
        if self.snapshot is not None and self.snapshot.index == index:
            self.snapshot = None
            self.snapshot_in_progress = False

    def restore(self, snapshot: SnapshotMeta) -> None:
        """Let `snapshot` stand for the whole log."""
        self.entries = []
        self.offset = LogIndex(snapshot.index + 1)
        self.offset_in_progress = self.offset
        self.snapshot = snapshot
        self.snapshot_in_progress = False

    def truncate_and_append(self, entries: Sequence[Entry]) -> None:
        """Put `entries` at their place; what stood there or above is superseded."""
        start = entries[0].index
        assert start <= self.offset + len(self.entries), "a gap in the log"
        if start <= self.offset:
            self.entries = list(entries)
            self.offset = start
        else:
            self.entries[start - self.offset :] = entries
        self.offset_in_progress = min(self.offset_in_progress, start)

    def slice(self, start: LogIndex, stop: LogIndex) -> list[Entry]:
        """The entries of start <= log index < stop, all of which are here."""
        assert self.offset <= start <= stop <= self.offset + len(self.entries)
        return self.entries[start - self.offset : stop - self.offset]
