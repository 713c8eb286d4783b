"""Raft's log in the store: rows (term, type, block reference), hard state, and the applied index.

Only the disk thread writes; `stage` adds rows to a batch and `written` moves the view in memory
once that batch is stored.
"""

import hashlib
import struct
from collections import OrderedDict
from collections.abc import Sequence
from typing import Final

from caretree.ledger.rows import DamagedRowError
from caretree.model.ids import LogIndex, PeerId, Term
from caretree.raft.messages import (
    NO_INDEX,
    NO_TERM,
    ConfState,
    Entry,
    EntryType,
    HardState,
    SnapshotMeta,
    limit_entries,
)
from caretree.raft.store import InitialState
from caretree.storage.errors import NewerReleaseError, StorageLostError
from caretree.storage.keys import Table
from caretree.storage.ports import Batch, KeyValue

# Entries that replication asks for again and again; older ones are read from the store.
CACHED_ENTRIES_MAX: Final = 4096

_ROW: Final = struct.Struct(">BQBI")  # format version, term, entry type, size of the block
_ROW_VERSION: Final = 1
_HARD_STATE: Final = struct.Struct(">BQQQ")  # format version, term, vote, commit
_INDEX: Final = struct.Struct(">Q")
_HARD_STATE_KEY: Final = b"hard-state"
_APPLIED_KEY: Final = b"applied"
NO_HASH: Final = bytes(32)


class StoredLog:
    """The log as the Raft core reads it. Its first index is 1: rows are small and are all kept."""

    def __init__(self, store: KeyValue, voters: tuple[PeerId, ...]) -> None:
        self._store = store
        self._conf_state = ConfState(voters=tuple(sorted(voters)))
        self._cache: OrderedDict[int, Entry] = OrderedDict()
        newest = next(store.scan(Table.RAFT_LOG, reverse=True), None)
        self._last = _read_index(newest[0], Table.RAFT_LOG) if newest else NO_INDEX
        self._hard_state = self._read_hard_state()

    def initial_state(self) -> InitialState:
        """The last hard state, and the configuration that the genesis fixed."""
        return InitialState(hard_state=self._hard_state, conf_state=self._conf_state)

    def first_index(self) -> LogIndex:
        """1."""
        return LogIndex(1)

    def last_index(self) -> LogIndex:
        """The last row's log index, 0 for an empty log."""
        return self._last

    def term(self, index: LogIndex) -> Term:
        """The term of the row at `index`; that of index 0 is 0."""
        return NO_TERM if index == NO_INDEX else self.entry(index).term

    def entries(self, start: LogIndex, stop: LogIndex, *, bytes_max: int) -> Sequence[Entry]:
        """Rows of start <= log index < stop as far as `bytes_max` goes, at least one."""
        found: list[Entry] = []
        weight = 0
        for index in range(start, stop):
            entry = self.entry(LogIndex(index))
            found.append(entry)
            weight += len(entry.data) + entry.payload_bytes
            if weight > bytes_max:
                break
        return limit_entries(found, bytes_max)

    def snapshot(self) -> SnapshotMeta | None:
        """None: every row is kept, so that a log never needs one."""
        return None

    def entry(self, index: LogIndex) -> Entry:
        """The row at `index`.

        Raises:
            StorageLostError: it is not there.
        """
        cached = self._cache.get(index)
        if cached is not None:
            return cached
        value = self._store.get(Table.RAFT_LOG, _INDEX.pack(index))
        if value is None:
            raise StorageLostError(f"the row at log index {index} is missing")
        return decode_row(index, value)

    def last_row(self) -> tuple[Term, LogIndex, bytes]:
        """Term, log index and identifying hash of the last row; zeros for an empty log."""
        if self._last == NO_INDEX:
            return NO_TERM, NO_INDEX, NO_HASH
        last = self.entry(self._last)
        return last.term, self._last, row_hash(last)

    def hard_state(self) -> HardState:
        """The hard state written last."""
        return self._hard_state

    def applied(self) -> LogIndex:
        """Up to which log index the rows of apply go."""
        value = self._store.get(Table.RAFT_STATE, _APPLIED_KEY)
        return NO_INDEX if value is None else _read_index(value, Table.RAFT_STATE)

    def stage(self, batch: Batch, entries: Sequence[Entry]) -> None:
        """Add `entries` to a batch, and the removal of what they supersede."""
        if not entries:
            return
        for entry in entries:
            batch.put(Table.RAFT_LOG, _INDEX.pack(entry.index), encode_row(entry))
        for index in range(entries[-1].index + 1, self._last + 1):
            batch.delete(Table.RAFT_LOG, _INDEX.pack(index))

    def written(self, entries: Sequence[Entry]) -> None:
        """Move the view: the batch that `entries` were staged in is stored."""
        if not entries:
            return
        for index in range(entries[0].index, self._last + 1):
            self._cache.pop(index, None)
        for entry in entries:
            self._cache[entry.index] = entry
        while len(self._cache) > CACHED_ENTRIES_MAX:
            self._cache.popitem(last=False)
        self._last = entries[-1].index

    def stage_hard_state(self, batch: Batch, state: HardState) -> None:
        """Add the hard state to a batch."""
        value = _HARD_STATE.pack(_ROW_VERSION, state.term, state.vote, state.commit)
        batch.put(Table.RAFT_STATE, _HARD_STATE_KEY, value)
        self._hard_state = state

    @staticmethod
    def stage_applied(batch: Batch, index: LogIndex) -> None:
        """Add to the batch of apply's rows up to which log index they go."""
        batch.put(Table.RAFT_STATE, _APPLIED_KEY, _INDEX.pack(index))

    def _read_hard_state(self) -> HardState:
        value = self._store.get(Table.RAFT_STATE, _HARD_STATE_KEY)
        if value is None:
            return HardState()
        _check_version(value)
        _, term, vote, commit = _unpack(_HARD_STATE, value, Table.RAFT_STATE)
        return HardState(term=Term(term), vote=PeerId(vote), commit=LogIndex(commit))


def encode_row(entry: Entry) -> bytes:
    """A row's bytes."""
    head = _ROW.pack(_ROW_VERSION, entry.term, entry.type.value, entry.payload_bytes)
    return head + entry.data


def decode_row(index: LogIndex, value: bytes) -> Entry:
    """The inverse of `encode_row`.

    Raises:
        DamagedRowError: it is not such a row.
        NewerReleaseError: a newer release wrote it.
    """
    _check_version(value)
    _, term, kind, payload_bytes = _unpack(_ROW, value[: _ROW.size], Table.RAFT_LOG)
    try:
        type_ = EntryType(kind)
    except ValueError as error:
        raise DamagedRowError(Table.RAFT_LOG.name, f"no entry has type {kind}") from error
    return Entry(
        index=index,
        term=Term(term),
        type=type_,
        data=value[_ROW.size :],
        payload_bytes=payload_bytes,
    )


def _read_index(value: bytes, table: Table) -> LogIndex:
    (index,) = _unpack(_INDEX, value, table)
    return LogIndex(index)


def _unpack(layout: struct.Struct, value: bytes, table: Table) -> tuple[int, ...]:
    """The numbers of a row that this peer wrote in this layout."""
    if len(value) != layout.size:
        found = f"{len(value)} bytes, expected {layout.size}"
        raise DamagedRowError(table.name, found)
    return layout.unpack(value)


def _check_version(value: bytes) -> None:
    """Refuse what begins with a newer version, before its length is judged by this one's."""
    if value and value[0] > _ROW_VERSION:
        raise NewerReleaseError("Raft's log", found=value[0], known=_ROW_VERSION)


def row_hash(entry: Entry) -> bytes:
    """32 bytes that identify a row: its log index and its bytes, hashed."""
    return hashlib.sha256(_INDEX.pack(entry.index) + encode_row(entry)).digest()
