"""One peer's Raft state, and the transition that every role shares; the rules stand beside it.

FOLLOWER --timeout--> PRE_CANDIDATE --quorum--> CANDIDATE --quorum--> LEADER
   ^                       |                        |                   |
   +---- lost, or a leader or a higher term is seen, or no quorum answers ----+
"""

from collections.abc import Callable
from dataclasses import dataclass
from enum import Enum
from typing import Final

from caretree.model.ids import LogIndex, PeerId, Term
from caretree.raft import confchange
from caretree.raft.errors import ConfStateError, LogLostError, RaftConfigError, StoredStateError
from caretree.raft.log import RaftLog
from caretree.raft.messages import NO_INDEX, NO_PEER, HardState, Message, MessageType
from caretree.raft.read_queue import PendingRead, ReadQueue
from caretree.raft.store import LogStore
from caretree.raft.tracker import ProgressTracker

# Given n, one of 0 .. n - 1: spreads elections, so that not all peers campaign at once (Raft 5.2).
Jitter = Callable[[int], int]

# What these say is true only once the state behind it is durable (thesis 3.8): they wait for the
# write.
_AFTER_PERSIST: Final = frozenset(
    {MessageType.APP_RESP, MessageType.VOTE_RESP, MessageType.PRE_VOTE_RESP}
)


class Role(Enum):
    """What a peer does in its term."""

    FOLLOWER = 1
    PRE_CANDIDATE = 2
    CANDIDATE = 3
    LEADER = 4


@dataclass(frozen=True, slots=True, kw_only=True)
class RaftConfig:
    """The settings of one peer. None has a default: each touches safety or load.

    Raises:
        RaftConfigError: a setting makes no sense, alone or beside another.
    """

    peer: PeerId
    # A follower campaigns after election_ticks to twice as many without a leader.
    election_ticks: int
    heartbeat_ticks: int
    # What the caller has applied already; it is not handed out again.
    applied: LogIndex
    # Per append; a larger entry travels alone.
    message_bytes_max: int
    # Per Ready; a larger entry is handed out alone.
    committed_bytes_max: int
    # A leader's uncommitted content above which proposals are dropped; one proposal of any size is
    # taken when there is none.
    uncommitted_bytes_max: int
    inflight_messages_max: int
    inflight_bytes_max: int
    # Reads that wait for confirmation; further ones are dropped.
    reads_max: int
    # Ask whether an election could be won before the term is raised (thesis 9.6).
    pre_vote: bool
    # A leader steps down without a quorum, and its followers do not vote it away meanwhile (thesis
    # 6.2, 4.2.3).
    check_quorum: bool
    # A leader that is removed or made a learner stops leading once that is applied.
    step_down_on_removal: bool

    def __post_init__(self) -> None:
        if self.peer == NO_PEER:
            raise RaftConfigError("peer: expected an id above 0")
        if not 0 < self.heartbeat_ticks < self.election_ticks:
            raise RaftConfigError("ticks: expected 0 < heartbeat_ticks < election_ticks")
        bounds = (
            self.message_bytes_max,
            self.committed_bytes_max,
            self.uncommitted_bytes_max,
            self.inflight_messages_max,
            self.reads_max,
        )
        if min(bounds) <= 0:
            raise RaftConfigError("bounds: expected each above 0")
        if self.inflight_bytes_max < self.message_bytes_max:
            raise RaftConfigError("inflight_bytes_max: expected at least message_bytes_max")


@dataclass(frozen=True, slots=True, kw_only=True)
class ReadState:
    """A confirmed read: what is applied up to `index` is fresh enough to answer it."""

    index: LogIndex
    context: bytes


class Raft:
    """The state. Fields are open to the rules' modules of this room, and to nobody else."""

    __slots__ = (
        "config",
        "election_elapsed",
        "heartbeat_elapsed",
        "jitter",
        "lead",
        "log",
        "messages",
        "messages_after_persist",
        "peer",
        "pending_conf_index",
        "postponed_reads",
        "randomized_election_ticks",
        "read_states",
        "reads",
        "role",
        "term",
        "tracker",
        "transferee",
        "uncommitted_bytes",
        "vote",
    )

    def __init__(self, config: RaftConfig, store: LogStore, jitter: Jitter) -> None:
        self.config = config
        self.jitter = jitter
        self.peer = config.peer
        self.log = RaftLog(store, committed_bytes_max=config.committed_bytes_max)
        self.tracker = ProgressTracker(
            inflight_messages_max=config.inflight_messages_max,
            inflight_bytes_max=config.inflight_bytes_max,
        )
        # Sent as soon as nothing about term or vote waits to be written; see Ready.
        self.messages: list[Message] = []
        # Sent, or stepped here if for this peer, once all that is unstable now is durable.
        self.messages_after_persist: list[Message] = []
        # Handed out with the next Ready.
        self.read_states: list[ReadState] = []
        # Reads that came before an entry of the leader's own term was committed.
        self.postponed_reads: list[PendingRead] = []
        self.reads = ReadQueue()
        # At or above the index of the latest change of the configuration that may be unapplied.
        self.pending_conf_index = NO_INDEX
        # A leader's content that is appended and not applied.
        self.uncommitted_bytes = 0
        # To whom leadership is being handed (thesis 3.10).
        self.transferee = NO_PEER
        self.role = Role.FOLLOWER
        self.lead = NO_PEER
        # Since the last election timeout, or since the leader was heard.
        self.election_elapsed = 0
        self.heartbeat_elapsed = 0
        self.randomized_election_ticks = config.election_ticks
        state = store.initial_state()
        self.term = state.hard_state.term
        self.vote = state.hard_state.vote
        self._load_indexes(state.hard_state)
        try:
            restored = confchange.restore(state.conf_state)
        except ConfStateError as error:
            raise StoredStateError(str(error)) from error
        self.tracker.switch(restored, last_index=self.log.last_index())
        become_follower(self, self.term, NO_PEER)

    def _load_indexes(self, state: HardState) -> None:
        log, applied = self.log, self.config.applied
        # What was applied was committed, even if the commit index of that moment was lost.
        committed = max(state.commit, applied, log.committed)
        if committed > log.last_index():
            raise LogLostError(committed=committed, last_index=log.last_index())
        log.commit_to(committed)
        if applied > log.applied:
            log.applied_to(applied)

    @property
    def hard_state(self) -> HardState:
        """What must be durable before anything shows it."""
        return HardState(term=self.term, vote=self.vote, commit=self.log.committed)

    @property
    def is_learner(self) -> bool:
        """Whether this peer is a learner."""
        return self.peer in self.tracker.config.learners

    def promotable(self) -> bool:
        """Whether this peer may campaign: a voter, with no snapshot waiting to be applied."""
        return self.peer in self.tracker.config.voters.peers and self.log.unstable.snapshot is None

    def send(self, message: Message) -> None:
        """Queue a message for when it may be shown."""
        if message.type in _AFTER_PERSIST:
            self.messages_after_persist.append(message)
        else:
            assert message.to != self.peer
            self.messages.append(message)

    def reset(self, term: Term) -> None:
        """Begin anew in `term`. The same term is no new term: the vote stays (Raft 5.2)."""
        if self.term != term:
            self.term = term
            self.vote = NO_PEER
        self.lead = NO_PEER
        self.election_elapsed = 0
        self.heartbeat_elapsed = 0
        ticks = self.config.election_ticks
        self.randomized_election_ticks = ticks + self.jitter(ticks)
        self.transferee = NO_PEER
        self.tracker.votes = {}
        self.tracker.reset_progress(last_index=self.log.last_index(), own=self.peer)
        self.pending_conf_index = NO_INDEX
        self.uncommitted_bytes = 0
        self.reads = ReadQueue()
        self.postponed_reads = []


def become_follower(raft: Raft, term: Term, lead: PeerId) -> None:
    """Follow `lead`, or wait for a leader when it is NO_PEER."""
    raft.reset(term)
    raft.role = Role.FOLLOWER
    raft.lead = lead
