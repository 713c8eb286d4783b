"""A log in memory, for tests."""

from collections.abc import Sequence

from caretree.model.ids import LogIndex, Term
from caretree.raft.messages import (
    NO_INDEX,
    NO_TERM,
    ConfState,
    Entry,
    HardState,
    SnapshotMeta,
    limit_entries,
)
from caretree.raft.ready import Ready
from caretree.raft.store import InitialState, LogStore
from typing_extensions import override

EMPTY_SNAPSHOT = SnapshotMeta(index=NO_INDEX, term=NO_TERM, conf_state=ConfState(), data=b"")


class MemoryLogStore(LogStore):
    """What a Ready asks to be written is durable at once."""

    def __init__(self, snapshot: SnapshotMeta = EMPTY_SNAPSHOT) -> None:
        self.hard_state = HardState()
        self.conf_state = snapshot.conf_state
        self.latest_snapshot: SnapshotMeta | None = snapshot
        self._before: tuple[LogIndex, Term] = (snapshot.index, snapshot.term)
        self._entries: list[Entry] = []

    @override
    def initial_state(self) -> InitialState:
        return InitialState(hard_state=self.hard_state, conf_state=self.conf_state)

    @override
    def first_index(self) -> LogIndex:
        return LogIndex(self._before[0] + 1)

    @override
    def last_index(self) -> LogIndex:
        return LogIndex(self._before[0] + len(self._entries))

    @override
    def term(self, index: LogIndex) -> Term:
        assert self._before[0] <= index <= self.last_index()
        if index == self._before[0]:
            return self._before[1]
        return self._entries[index - self.first_index()].term

    @override
    def entries(self, start: LogIndex, stop: LogIndex, *, bytes_max: int) -> Sequence[Entry]:
        first = self.first_index()
        assert first <= start < stop <= self.last_index() + 1
        return limit_entries(self._entries[start - first : stop - first], bytes_max)

    @override
    def snapshot(self) -> SnapshotMeta | None:
        return self.latest_snapshot

    def all_entries(self) -> list[Entry]:
        """A copy of what the log holds."""
        return list(self._entries)

    def write(self, ready: Ready) -> None:
        """Do what duty 2 of Ready asks."""
        if ready.hard_state is not None:
            self.hard_state = ready.hard_state
        if ready.snapshot is not None:
            assert not ready.entries
            self.install(ready.snapshot)
        if ready.entries:
            self.append(ready.entries)

    def append(self, entries: Sequence[Entry]) -> None:
        """Put entries at their place; what stands there or above goes."""
        place = entries[0].index - self.first_index()
        assert 0 <= place <= len(self._entries)
        self._entries[place:] = entries

    def install(self, snapshot: SnapshotMeta) -> None:
        """Replace the log by a snapshot."""
        self.latest_snapshot = snapshot
        self.conf_state = snapshot.conf_state
        self._before = (snapshot.index, snapshot.term)
        self._entries = []

    def compact(self, index: LogIndex) -> None:
        """Drop the entries up to `index`."""
        term = self.term(index)
        del self._entries[: index - self._before[0]]
        self._before = (index, term)
