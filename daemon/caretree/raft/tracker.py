"""The active configuration, each peer's progress in it, and the votes of the running election."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from caretree.model.ids import LogIndex, PeerId
from caretree.raft.messages import ConfState
from caretree.raft.progress import Inflights, Progress
from caretree.raft.quorum import JointConfig, VoteResult


@dataclass(frozen=True, slots=True, kw_only=True)
class TrackerConfig:
    """A configuration. No peer is a voter and a learner at once, in either half.

    A voter of the outgoing half that becomes a learner waits in `learners_next` until the joint
    configuration is left.
    """

    voters: JointConfig = field(default_factory=JointConfig)
    learners: frozenset[PeerId] = frozenset()
    learners_next: frozenset[PeerId] = frozenset()
    # The leader leaves the joint configuration by itself.
    auto_leave: bool = False

    @property
    def peers(self) -> frozenset[PeerId]:
        """Everybody."""
        return self.voters.peers | self.learners

    def conf_state(self) -> ConfState:
        """The configuration as it is stored and sent."""
        return ConfState(
            voters=tuple(sorted(self.voters.incoming)),
            voters_outgoing=tuple(sorted(self.voters.outgoing)),
            learners=tuple(sorted(self.learners)),
            learners_next=tuple(sorted(self.learners_next)),
            auto_leave=self.auto_leave,
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class ChangedConfig:
    """A new configuration, and the peers in it about whom nothing is known yet."""

    config: TrackerConfig
    fresh: frozenset[PeerId]


class ProgressTracker:
    """What a peer knows of the others; of progress only a leader makes use."""

    __slots__ = ("_inflight_bytes_max", "_inflight_messages_max", "config", "progress", "votes")

    def __init__(self, *, inflight_messages_max: int, inflight_bytes_max: int) -> None:
        self._inflight_messages_max = inflight_messages_max
        self._inflight_bytes_max = inflight_bytes_max
        self.config = TrackerConfig()
        # In ascending order of peers, so that whoever walks over it sends in a fixed order.
        self.progress: dict[PeerId, Progress] = {}
        self.votes: dict[PeerId, bool] = {}

    def switch(self, changed: ChangedConfig, *, last_index: LogIndex) -> None:
        """Make `changed` the active configuration; who is fresh is probed at `last_index` first."""
        known = self.progress
        self.config = changed.config
        self.progress = {
            peer: self._fresh_progress(last_index)
            if peer in changed.fresh or peer not in known
            else known[peer]
            for peer in sorted(changed.config.peers)
        }

    def _fresh_progress(self, last_index: LogIndex) -> Progress:
        # Active, or CheckQuorum could depose the leader before a new peer had its chance to answer.
        return Progress(
            next_index=max(last_index, LogIndex(1)),
            inflights=self._inflights(),
            recent_active=True,
        )

    def reset_progress(self, *, last_index: LogIndex, own: PeerId) -> None:
        """Forget what was known of the others: a new term begins."""
        for peer, progress in self.progress.items():
            self.progress[peer] = Progress(
                match=last_index if peer == own else LogIndex(0),
                next_index=LogIndex(last_index + 1),
                inflights=progress.inflights,
            )
            progress.inflights.reset()

    def _inflights(self) -> Inflights:
        return Inflights(
            messages_max=self._inflight_messages_max, bytes_max=self._inflight_bytes_max
        )

    @property
    def is_singleton(self) -> bool:
        """Whether there is one voter and no other to ask."""
        return len(self.config.voters.incoming) == 1 and not self.config.voters.outgoing

    def committed(self) -> LogIndex:
        """The largest log index that the voters have acknowledged in quorum."""
        acked = {peer: progress.match for peer, progress in self.progress.items()}
        return LogIndex(self.config.voters.committed(acked))

    def quorum_active(self) -> bool:
        """Whether a quorum of voters was heard from since the last CheckQuorum."""
        active: Mapping[PeerId, bool] = {
            peer: progress.recent_active
            for peer, progress in self.progress.items()
            if peer not in self.config.learners
        }
        return self.config.voters.vote_result(active) is VoteResult.WON

    def record_vote(self, peer: PeerId, *, granted: bool) -> VoteResult:
        """The outcome after one more vote; a peer's first answer counts."""
        self.votes.setdefault(peer, granted)
        return self.config.voters.vote_result(self.votes)
