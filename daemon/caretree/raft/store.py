"""What the core asks of the store that keeps its log; the caller writes what `Ready` hands out."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from caretree.model.ids import LogIndex, Term
from caretree.raft.messages import ConfState, Entry, HardState, SnapshotMeta


@dataclass(frozen=True, slots=True, kw_only=True)
class InitialState:
    """What a peer remembers when it starts."""

    hard_state: HardState
    # As of RaftConfig.applied, which may be ahead of the snapshot.
    conf_state: ConfState


class LogStore(Protocol):
    """The durable part of the log: first_index .. last_index, and the term of the entry before.

    `term` and `last_index` are asked several times for each message, so they should answer from
    memory. A store that cannot read what it wrote raises its own fatal error, which passes through
    the core.

    Writing is the caller's, in the order that `Ready` states. Entries are written at their own
    index; whatever was stored at the first one's index or above it goes, in the same write. Entries
    and hard state of one Ready are one write.
    """

    def initial_state(self) -> InitialState:
        """The last hard state and configuration written."""
        ...

    def first_index(self) -> LogIndex:
        """The lowest log index whose entry is kept; one above the snapshot when there is none."""
        ...

    def last_index(self) -> LogIndex:
        """The highest log index kept; first_index - 1 when there is none."""
        ...

    def term(self, index: LogIndex) -> Term:
        """The term of the entry at `index`, where first_index - 1 <= index <= last_index."""
        ...

    def entries(self, start: LogIndex, stop: LogIndex, *, bytes_max: int) -> Sequence[Entry]:
        """The entries of start <= log index < stop as far as `bytes_max` goes, at least one.

        Always asked with first_index <= start < stop <= last_index + 1. `limit_entries` says what
        an entry weighs.
        """
        ...

    def snapshot(self) -> SnapshotMeta | None:
        """A snapshot at or after first_index - 1 for a peer that lags behind; None: not now."""
        ...
