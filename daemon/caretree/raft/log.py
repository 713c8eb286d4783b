"""The log: what the store holds, then what is unstable; how far it is committed and applied."""

from collections.abc import Sequence
from dataclasses import dataclass

from caretree.model.ids import LogIndex, Term
from caretree.raft.errors import LogLostError
from caretree.raft.messages import NO_INDEX, NO_TERM, Entry, EntryType, SnapshotMeta, limit_entries
from caretree.raft.store import LogStore
from caretree.raft.unstable import Unstable


@dataclass(frozen=True, slots=True, kw_only=True)
class EntryId:
    """What names an entry: two logs that hold the same id agree up to it (Raft 5.3)."""

    index: LogIndex
    term: Term


class RaftLog:
    """Invariant: applied <= applying <= committed <= last_index."""

    __slots__ = ("_store", "applied", "applying", "committed", "committed_bytes_max", "unstable")

    def __init__(self, store: LogStore, *, committed_bytes_max: int) -> None:
        self._store = store
        self.unstable = Unstable(LogIndex(store.last_index() + 1))
        # What one Ready may hand out to be applied; a larger entry goes alone.
        self.committed_bytes_max = committed_bytes_max
        start = LogIndex(store.first_index() - 1)
        self.committed = start
        # Handed out to be applied.
        self.applying = start
        self.applied = start

    def first_index(self) -> LogIndex:
        """The lowest log index whose entry is kept."""
        index = self.unstable.first_index()
        return self._store.first_index() if index is None else index

    def last_index(self) -> LogIndex:
        """The highest log index."""
        index = self.unstable.last_index()
        return self._store.last_index() if index is None else index

    def last_id(self) -> EntryId:
        """The last entry, or what came before an empty log."""
        return self._id(self.last_index())

    def committed_id(self) -> EntryId:
        """The last entry known to be committed, or what came before the log."""
        return self._id(self.committed)

    def _id(self, index: LogIndex) -> EntryId:
        term = self.term(index)
        assert term is not None
        return EntryId(index=index, term=term)

    def term(self, index: LogIndex) -> Term | None:
        """The term at `index`; None where the log does not reach, or no longer."""
        term = self.unstable.term(index)
        if term is not None:
            return term
        if not self.first_index() - 1 <= index <= self.last_index():
            return None
        return self._store.term(index)

    def matches(self, index: LogIndex, term: Term) -> bool:
        """Whether the entry at `index` is of `term`."""
        return self.term(index) == term

    def is_up_to_date(self, index: LogIndex, term: Term) -> bool:
        """Whether a log that ends so is at least as up to date as this one (Raft 5.4.1)."""
        last = self.last_id()
        return (term, index) >= (last.term, last.index)

    def find_conflict(self, entries: Sequence[Entry]) -> int | None:
        """The place of the first entry that this log does not hold, or None when it holds all."""
        for place, entry in enumerate(entries):
            if not self.matches(entry.index, entry.term):
                return place
        return None

    def find_conflict_by_term(self, index: LogIndex, term: Term) -> EntryId:
        """The highest entry up to `index` that may also be in a log which has `term` at `index`.

        Terms never fall along a log. So an entry of a higher term than `term` cannot be in that
        other log, and one refused probe skips a whole term instead of one entry. The answer's term
        is NO_TERM where it is not known.
        """
        while index > 0:
            own = self.term(index)
            if own is None:
                return EntryId(index=index, term=NO_TERM)
            if own <= term:
                return EntryId(index=index, term=own)
            index = LogIndex(index - 1)
        return EntryId(index=NO_INDEX, term=NO_TERM)

    def append(self, entries: Sequence[Entry]) -> None:
        """Put `entries` at their place; what they supersede must not be committed."""
        assert entries[0].index > self.committed, "a committed entry would be replaced"
        self.unstable.truncate_and_append(entries)

    def commit_to(self, index: LogIndex) -> None:
        """Note that everything up to `index` is committed; commitment never goes back.

        Raises:
            LogLostError: the log does not reach there, so entries it once acknowledged are gone.
        """
        if index <= self.committed:
            return
        if index > self.last_index():
            raise LogLostError(committed=index, last_index=self.last_index())
        self.committed = index

    def maybe_commit(self, index: LogIndex, term: Term) -> bool:
        """Commit up to `index` if that is news and the entry there is of `term`, the leader's own.

        Entries of earlier terms are committed only together with one of the own term (Raft 5.4.2).
        """
        if index <= self.committed or not self.matches(index, term):
            return False
        self.commit_to(index)
        return True

    def entries_from(self, start: LogIndex, *, bytes_max: int) -> Sequence[Entry]:
        """The entries from `start` on as far as `bytes_max` goes; none when the log ends before."""
        stop = LogIndex(self.last_index() + 1)
        return self.slice(start, stop, bytes_max=bytes_max) if start < stop else ()

    def slice(self, start: LogIndex, stop: LogIndex, *, bytes_max: int) -> Sequence[Entry]:
        """The entries of start <= log index < stop as far as `bytes_max` goes, at least one."""
        assert self.first_index() <= start < stop <= self.last_index() + 1
        offset = self.unstable.offset
        if start >= offset:
            return limit_entries(self.unstable.slice(start, stop), bytes_max)
        stored_stop = min(stop, offset)
        stored = self._store.entries(start, stored_stop, bytes_max=bytes_max)
        if stop <= offset or len(stored) < stored_stop - start:
            return stored
        together = [*stored, *self.unstable.slice(offset, stop)]
        return limit_entries(together, bytes_max)

    def has_next_committed(self) -> bool:
        """Whether committed entries wait to be applied."""
        # A snapshot is applied first, alone.
        return self.unstable.snapshot is None and self.applying < self.committed

    def next_committed(self) -> tuple[Entry, ...]:
        """The committed entries to apply next; unstable ones too, for others hold them."""
        if not self.has_next_committed():
            return ()
        start = LogIndex(self.applying + 1)
        stop = LogIndex(self.committed + 1)
        return tuple(self.slice(start, stop, bytes_max=self.committed_bytes_max))

    def accept_applying(self, index: LogIndex) -> None:
        """Note that entries up to `index` were handed out to be applied."""
        assert self.applying <= index <= self.committed
        self.applying = index

    def applied_to(self, index: LogIndex) -> None:
        """Note that everything up to `index` is applied."""
        assert self.applied <= index <= self.committed
        self.applied = index
        self.applying = max(self.applying, index)

    def has_unapplied_conf_change(self) -> bool:
        """Whether a committed change of the configuration is not applied yet."""
        start = LogIndex(self.applied + 1)
        stop = LogIndex(self.committed + 1)
        while start < stop:
            page = self.slice(start, stop, bytes_max=self.committed_bytes_max)
            if any(entry.type is EntryType.CONF_CHANGE for entry in page):
                return True
            start = LogIndex(start + len(page))
        return False

    def snapshot(self) -> SnapshotMeta | None:
        """A snapshot to send, if there is one now."""
        return self.unstable.snapshot or self._store.snapshot()

    def restore(self, snapshot: SnapshotMeta) -> None:
        """Let `snapshot` stand for the whole log, all committed."""
        self.committed = snapshot.index
        self.unstable.restore(snapshot)
