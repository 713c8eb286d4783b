"""What the core hands out to be done, and what it says of itself."""

from collections.abc import Mapping
from dataclasses import dataclass

from caretree.model.ids import LogIndex, PeerId, Term
from caretree.raft.core import Raft, ReadState, Role
from caretree.raft.messages import Entry, HardState, Message, SnapshotMeta
from caretree.raft.progress import Progress, ProgressState
from caretree.raft.tracker import TrackerConfig


@dataclass(frozen=True, slots=True, kw_only=True)
class SoftState:
    """What need not be kept: who leads, and this peer's role."""

    lead: PeerId
    role: Role


@dataclass(frozen=True, slots=True, kw_only=True)
class Ready:
    """Work for the caller, in the order stated.

    1. `messages_now` may leave at once, also while 2 is under way.
    2. `hard_state`, `entries` and `snapshot` are written as one, durably if `must_sync`. A snapshot
       comes without entries and replaces the log; entries replace what was stored at their indexes
       and above. If the write fails the peer stops: nothing is retried, nothing below is done.
    3. `messages_after_persist` leave.
    4. `snapshot`, then `committed_entries`, are applied; for each change of the configuration among
       them that is in force, `RawNode.apply_conf_change` is called.
    5. `RawNode.advance` is called. Until then there is no other Ready, though messages and ticks
       may come in.

    At any time `soft_state` is noted and `read_states` answered, once what they name is applied.
    """

    # Who leads or this peer's role, if either changed.
    soft_state: SoftState | None
    # Term, vote and commit index, if any changed.
    hard_state: HardState | None
    # Appended to the log, or replacing its end.
    entries: tuple[Entry, ...]
    # Replaces the whole log, if there is one.
    snapshot: SnapshotMeta | None
    # Nothing in these rests on what is not durable yet: a leader's appends and heartbeats, above
    # all.
    messages_now: tuple[Message, ...]
    # Votes, acknowledgements, and whatever else would show a term or vote that is not durable yet.
    messages_after_persist: tuple[Message, ...]
    # To be applied, in this order. They may be among `entries`: a quorum without this peer holds
    # them.
    committed_entries: tuple[Entry, ...]
    # Reads that are linearizable once their index is applied.
    read_states: tuple[ReadState, ...]
    # Whether the write must survive a power cut. False: only the commit index changed, or nothing
    # did.
    must_sync: bool

    @property
    def messages(self) -> tuple[Message, ...]:
        """All messages, in the order in which they are sent."""
        return self.messages_now + self.messages_after_persist


@dataclass(frozen=True, slots=True, kw_only=True)
class BasicStatus:
    """Where this peer stands; cheap to ask."""

    peer: PeerId
    term: Term
    vote: PeerId
    commit: LogIndex
    applied: LogIndex
    lead: PeerId
    role: Role
    transferee: PeerId


@dataclass(frozen=True, slots=True, kw_only=True)
class ProgressStatus:
    """One follower as its leader sees it."""

    match: LogIndex
    next_index: LogIndex
    state: ProgressState
    is_learner: bool
    recent_active: bool
    paused: bool
    pending_snapshot: LogIndex
    inflight_count: int
    inflight_full: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Status:
    """Where this peer stands, the configuration, and on a leader where its followers stand."""

    basic: BasicStatus
    config: TrackerConfig
    # Empty unless this peer leads; in ascending order of peers.
    progress: Mapping[PeerId, ProgressStatus]


def basic_status(raft: Raft) -> BasicStatus:
    """Where the peer stands now."""
    return BasicStatus(
        peer=raft.peer,
        term=raft.term,
        vote=raft.vote,
        commit=raft.log.committed,
        applied=raft.log.applied,
        lead=raft.lead,
        role=raft.role,
        transferee=raft.transferee,
    )


def progress_status(progress: Progress, *, is_learner: bool) -> ProgressStatus:
    """A copy of one follower's progress."""
    return ProgressStatus(
        match=progress.match,
        next_index=progress.next_index,
        state=progress.state,
        is_learner=is_learner,
        recent_active=progress.recent_active,
        paused=progress.paused,
        pending_snapshot=progress.pending_snapshot,
        inflight_count=progress.inflights.count,
        inflight_full=progress.inflights.full,
    )


def full_status(raft: Raft) -> Status:
    """Where the peer and its followers stand now."""
    config = raft.tracker.config
    progress = raft.tracker.progress if raft.role is Role.LEADER else {}
    return Status(
        basic=basic_status(raft),
        config=config,
        progress={
            peer: progress_status(known, is_learner=peer in config.learners)
            for peer, known in progress.items()
        },
    )
