"""How far one follower has come, in its leader's eyes, and what may be sent to it next.

PROBE ------ acknowledged ------> REPLICATE
  ^  <------ refused, lost ------    |
  |                                  | needs what the log no longer holds
  +--- reported --- SNAPSHOT <-------+   (also straight from PROBE)
                       |
                       +-- acknowledged within the log --> REPLICATE
"""

from collections import deque
from dataclasses import dataclass
from enum import Enum

from caretree.model.ids import LogIndex
from caretree.raft.messages import NO_INDEX


class ProgressState(Enum):
    """How the leader deals with a follower."""

    # One append at a time, to learn where the logs agree.
    PROBE = 1
    # Appends follow each other without waiting, up to the window of `Inflights`.
    REPLICATE = 2
    # A snapshot is on its way, and nothing else.
    SNAPSHOT = 3


class Inflights:
    """The appends that were sent and not yet acknowledged, bounded by count and by bytes."""

    __slots__ = ("_bytes", "_bytes_max", "_messages_max", "_window")

    def __init__(self, *, messages_max: int, bytes_max: int) -> None:
        self._messages_max = messages_max
        # The append that crosses this bound is still sent, so that a large one can travel at all.
        self._bytes_max = bytes_max
        self._bytes = 0
        self._window: deque[tuple[LogIndex, int]] = deque()

    @property
    def count(self) -> int:
        """How many appends are under way."""
        return len(self._window)

    @property
    def full(self) -> bool:
        """Whether no further append may be sent."""
        return len(self._window) >= self._messages_max or self._bytes >= self._bytes_max

    def add(self, last: LogIndex, *, content_bytes: int) -> None:
        """Note an append whose last entry is `last`. The window must not be full."""
        assert not self.full
        assert not self._window or self._window[-1][0] < last
        self._window.append((last, content_bytes))
        self._bytes += content_bytes

    def free_to(self, acked: LogIndex) -> None:
        """Forget the appends that end at or before `acked`."""
        window = self._window
        while window and window[0][0] <= acked:
            self._bytes -= window.popleft()[1]

    def reset(self) -> None:
        """Forget all."""
        self._window.clear()
        self._bytes = 0


@dataclass(slots=True, kw_only=True)
class Progress:
    """One follower's progress. Invariant: match < next_index."""

    inflights: Inflights
    # The follower's log is known to agree up to here.
    match: LogIndex = NO_INDEX
    # What is sent next; what lies between is under way.
    next_index: LogIndex
    # The highest commit index sent; lowered again when that append was probably lost.
    sent_commit: LogIndex = NO_INDEX
    state: ProgressState = ProgressState.PROBE
    # In SNAPSHOT: the snapshot's index.
    pending_snapshot: LogIndex = NO_INDEX
    # Heard from since the last CheckQuorum; always true for the leader itself.
    recent_active: bool = False
    # In PROBE, or with a full window: silent until the next answer to a heartbeat.
    flow_paused: bool = False

    @property
    def paused(self) -> bool:
        """Whether no append may be sent now."""
        return self.flow_paused or self.state is ProgressState.SNAPSHOT

    def become_probe(self) -> None:
        """Find out again where the logs agree; a snapshot that did not fail is taken as arrived."""
        reached = max(self.match, self.pending_snapshot)
        self._enter(ProgressState.PROBE)
        self.next_index = LogIndex(reached + 1)
        self.sent_commit = min(self.sent_commit, reached)

    def become_replicate(self) -> None:
        """Send without waiting from what is known to agree."""
        self._enter(ProgressState.REPLICATE)
        self.next_index = LogIndex(self.match + 1)

    def become_snapshot(self, index: LogIndex) -> None:
        """Wait for the snapshot at `index`."""
        self._enter(ProgressState.SNAPSHOT)
        self.pending_snapshot = index
        self.next_index = LogIndex(index + 1)
        self.sent_commit = index

    def _enter(self, state: ProgressState) -> None:
        self.flow_paused = False
        self.pending_snapshot = NO_INDEX
        self.state = state
        self.inflights.reset()

    def sent_entries(self, *, count: int, content_bytes: int) -> None:
        """Note that an append with `count` entries from `next_index` was sent."""
        assert self.state is not ProgressState.SNAPSHOT
        if self.state is ProgressState.PROBE:
            self.flow_paused = self.flow_paused or count > 0
            return
        if count > 0:
            last = LogIndex(self.next_index + count - 1)
            self.next_index = LogIndex(last + 1)
            self.inflights.add(last, content_bytes=content_bytes)
        self.flow_paused = self.inflights.full

    def can_bump_commit(self, commit: LogIndex) -> bool:
        """Whether being told `commit` now could let the follower commit more than before."""
        return self.sent_commit < min(commit, self.next_index - 1)

    def acknowledge(self, index: LogIndex) -> bool:
        """Take an acknowledgement in; False when it says nothing new."""
        if index <= self.match:
            return False
        self.match = index
        self.next_index = max(self.next_index, LogIndex(index + 1))
        self.flow_paused = False
        return True

    def refuse(self, *, rejected: LogIndex, hint: LogIndex) -> bool:
        """Go back because the append after `rejected` was refused; False when the refusal is stale.

        `hint` is where the logs may agree. What is known to agree is never doubted again.
        """
        if self.state is ProgressState.REPLICATE:
            if rejected <= self.match:
                return False
            self.next_index = LogIndex(self.match + 1)
        else:
            # Of one probe at a time only the last one's refusal counts.
            if self.next_index - 1 != rejected:
                return False
            self.next_index = LogIndex(max(min(rejected, hint + 1), self.match + 1))
            self.flow_paused = False
        self.sent_commit = min(self.sent_commit, LogIndex(self.next_index - 1))
        return True
