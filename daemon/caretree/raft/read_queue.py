"""Reads that wait for a quorum to confirm that their leader leads (thesis 6.4)."""

from collections import deque
from dataclasses import dataclass
from typing import Final

from caretree.model.ids import LogIndex, PeerId
from caretree.raft.quorum import JointConfig

_POSITION_BYTES: Final = 8


@dataclass(frozen=True, slots=True, kw_only=True)
class PendingRead:
    """A read that was asked of the leader."""

    # Who asked, and by what words it will know the answer.
    reader: PeerId
    context: bytes
    # The commit index when the read was taken in.
    index: LogIndex


class ReadQueue:
    """The unconfirmed reads of one leader in one term, oldest first.

    Reads get positions 1, 2, 3, ... Every heartbeat names the last position given out so far; its
    answer thus confirms all reads up to there, and none that came later. A position never comes
    twice in a term, and answers of other terms do not get here, so an old answer cannot confirm a
    new read.
    """

    __slots__ = ("_acked", "_confirmed", "_reads")

    def __init__(self) -> None:
        self._reads: deque[PendingRead] = deque()
        self._confirmed = 0
        self._acked: dict[PeerId, int] = {}

    def __len__(self) -> int:
        return len(self._reads)

    def add(self, read: PendingRead, *, leader: PeerId) -> None:
        """Take a read in; the leader itself confirms it at once."""
        self._reads.append(read)
        self._acked[leader] = self._last_position

    @property
    def _last_position(self) -> int:
        return self._confirmed + len(self._reads)

    def context(self) -> bytes:
        """What a heartbeat carries now; empty when no read waits."""
        if not self._reads:
            return b""
        return self._last_position.to_bytes(_POSITION_BYTES, "big")

    def acknowledge(self, peer: PeerId, context: bytes) -> None:
        """Note a heartbeat's answer; a position that was never given out confirms nothing."""
        position = int.from_bytes(context, "big")
        if len(context) == _POSITION_BYTES and position <= self._last_position:
            self._acked[peer] = max(self._acked.get(peer, 0), position)

    def confirm(self, voters: JointConfig) -> list[PendingRead]:
        """Remove and return the reads that a quorum has confirmed."""
        confirmed = min(voters.committed(self._acked), self._last_position)
        count = max(0, confirmed - self._confirmed)
        self._confirmed += count
        return [self._reads.popleft() for _ in range(count)]
