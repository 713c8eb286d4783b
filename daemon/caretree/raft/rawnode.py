"""The door to the core: facts in, one `Ready` out. Start reading here, then `step` and `core`.

A caller loops: feed ticks, messages and proposals; while `has_ready`, take `ready`, do its duties
in their order, call `advance`. One thread at a time. After a FatalError the peer must stop.
"""

from dataclasses import dataclass

from caretree.model.ids import LogIndex, PeerId, Term
from caretree.raft import elections, membership, reads, replication
from caretree.raft.checking import check_message
from caretree.raft.core import Jitter, Raft, RaftConfig, Role
from caretree.raft.errors import UnknownPeerError
from caretree.raft.messages import NO_PEER, RESPONSES, ConfChange, ConfState, HardState, Message
from caretree.raft.ready import (
    BasicStatus,
    Ready,
    SoftState,
    Status,
    basic_status,
    full_status,
)
from caretree.raft.step import step, tick
from caretree.raft.store import LogStore


@dataclass(frozen=True, slots=True, kw_only=True)
class _Outstanding:
    """A Ready that was handed out, and the answers that this peer gives itself once it is done."""

    ready: Ready
    own_answers: tuple[Message, ...]


class RawNode:
    """One peer of a Raft group.

    Raises:
        StoredStateError: the store's configuration contradicts itself.
        LogLostError: the store's log ends before what was committed or applied.
    """

    __slots__ = ("_hard_state", "_outstanding", "_raft", "_soft_state")

    def __init__(self, config: RaftConfig, store: LogStore, *, jitter: Jitter) -> None:
        self._raft = Raft(config, store, jitter)
        self._outstanding: _Outstanding | None = None
        self._soft_state = self._current_soft_state()
        # What the store holds, so that Ready tells changes alone. The commit index may have been
        # raised since.
        self._hard_state = self._raft.hard_state

    # Inputs.

    def tick(self) -> None:
        """Let one unit of time pass."""
        tick(self._raft)

    def campaign(self) -> None:
        """Try to be elected, without waiting for the election timeout."""
        elections.start(self._raft)

    def step(self, message: Message) -> None:
        """Take in a message from another peer.

        Raises:
            MalformedMessageError: no correct peer sends it; it was dropped.
            UnknownPeerError: an answer from outside the configuration; it was dropped.
            TruncationRefusedError: a leader contradicts a committed entry. The peer must stop.
            LogLostError: the leader knows of entries here that are gone. The peer must stop.
        """
        check_message(message, peer=self._raft.peer)
        if message.type in RESPONSES and message.sender not in self._raft.tracker.progress:
            raise UnknownPeerError(message.sender)
        step(self._raft, message)

    def propose(self, data: bytes, *, payload_bytes: int) -> LogIndex:
        """Where `data` will stand if it is committed in this term; never passed on to a leader.

        Raises:
            ProposalDroppedError: it was not taken.
        """
        return replication.propose(self._raft, data, payload_bytes=payload_bytes)

    def propose_conf_change(self, change: ConfChange, *, data: bytes) -> LogIndex:
        """Where a change will stand if it is committed; `data` is the caller's encoding of it.

        An entry with empty `data` that the core appends by itself means `ConfChange()`: leave the
        joint configuration.

        Raises:
            ProposalDroppedError: it was not taken.
            ConfChangeError: it does not fit, or an earlier one is not applied yet.
        """
        return replication.propose_conf_change(self._raft, change, data)

    def apply_conf_change(self, change: ConfChange) -> ConfState:
        """The configuration once a committed change is in force; not called for one that is void.

        Raises:
            ConfChangeError: the change does not fit, here as on every other peer; nothing was
                changed.
        """
        return membership.apply_conf_change(self._raft, change)

    def read_index(self, context: bytes) -> None:
        """Ask for a linearizable read; answered by a ReadState with the same context, or never.

        The context must be one that was never used by this peer, before a restart either. Who gets
        no answer within some heartbeats asks again with another one.

        Raises:
            ReadDroppedError: no leader is known, or too many reads wait.
        """
        reads.request(self._raft, context)

    def transfer_leader(self, transferee: PeerId) -> None:
        """Have leadership handed to a voter; proposals are dropped until that is over.

        Raises:
            TransferRefusedError: it is not a voter.
            ProposalDroppedError: no leader is known.
        """
        replication.request_transfer(self._raft, transferee)

    def forget_leader(self) -> None:
        """As a follower, no longer count on the leader: votes may be granted at once."""
        if self._raft.role is Role.FOLLOWER:
            self._raft.lead = NO_PEER

    def report_unreachable(self, peer: PeerId) -> None:
        """Note that a message to `peer` could not be sent."""
        replication.report_unreachable(self._raft, peer)

    def report_snapshot(self, peer: PeerId, *, arrived: bool) -> None:
        """Note what became of a snapshot that was sent to `peer`.

        Due for every SNAP message that was handed out: nothing else is sent to `peer` before, or
        until it acknowledges a log that this one continues.
        """
        replication.report_snapshot(self._raft, peer, arrived=arrived)

    # Output.

    def has_ready(self) -> bool:
        """Whether `ready` would hand out anything, once the last Ready is done."""
        raft = self._raft
        return bool(
            raft.messages
            or raft.messages_after_persist
            or raft.log.unstable.has_next_entries()
            or raft.log.has_next_committed()
            or raft.read_states
            or raft.log.unstable.next_snapshot() is not None
            or self._hard_state_changed()
            or self._soft_state_changed()
        )

    def ready(self) -> Ready:
        """The work there is to do. `advance` must be called before the next one is taken."""
        assert self._outstanding is None, "the last Ready is not done"
        raft, log = self._raft, self._raft.log
        entries = log.unstable.next_entries()
        own = tuple(each for each in raft.messages_after_persist if each.to == raft.peer)
        after = tuple(each for each in raft.messages_after_persist if each.to != raft.peer)
        now = tuple(raft.messages)
        term_or_vote_changed = (
            raft.term != self._hard_state.term or raft.vote != self._hard_state.vote
        )
        if term_or_vote_changed:
            # Every message shows the term.
            now, after = (), now + after
        snapshot = log.unstable.next_snapshot()
        ready = Ready(
            soft_state=self._current_soft_state() if self._soft_state_changed() else None,
            hard_state=raft.hard_state if self._hard_state_changed() else None,
            entries=entries,
            snapshot=snapshot,
            messages_now=now,
            messages_after_persist=after,
            committed_entries=log.next_committed(),
            read_states=tuple(raft.read_states),
            must_sync=bool(entries) or snapshot is not None or term_or_vote_changed,
        )
        self._accept(ready, own)
        return ready

    def _accept(self, ready: Ready, own_answers: tuple[Message, ...]) -> None:
        raft = self._raft
        self._outstanding = _Outstanding(ready=ready, own_answers=own_answers)
        self._soft_state = ready.soft_state or self._soft_state
        self._hard_state = ready.hard_state or self._hard_state
        raft.messages.clear()
        raft.messages_after_persist.clear()
        raft.read_states.clear()
        raft.log.unstable.accept_in_progress()
        if ready.committed_entries:
            raft.log.accept_applying(ready.committed_entries[-1].index)

    def advance(self) -> None:
        """Note that the last Ready is done: written, and what it committed applied."""
        assert self._outstanding is not None, "no Ready is under way"
        ready, own_answers = self._outstanding.ready, self._outstanding.own_answers
        self._outstanding = None
        raft = self._raft
        # Before the entries leave the unstable log, whose terms are at hand.
        for message in own_answers:
            step(raft, message)
        if ready.entries:
            last = ready.entries[-1]
            raft.log.unstable.stable_to(last.index, last.term)
        if ready.snapshot is not None:
            raft.log.unstable.stable_snapshot_to(ready.snapshot.index)
            membership.applied_to(raft, ready.snapshot.index)
        if ready.committed_entries:
            membership.applied_to(raft, ready.committed_entries[-1].index)
            replication.reduce_uncommitted(raft, ready.committed_entries)

    def _current_soft_state(self) -> SoftState:
        return SoftState(lead=self._raft.lead, role=self._raft.role)

    def _soft_state_changed(self) -> bool:
        return (
            self._raft.lead != self._soft_state.lead or self._raft.role is not self._soft_state.role
        )

    def _hard_state_changed(self) -> bool:
        last: HardState = self._hard_state
        raft = self._raft
        return (raft.term, raft.vote, raft.log.committed) != (last.term, last.vote, last.commit)

    # Looking in.

    @property
    def term(self) -> Term:
        """The current term."""
        return self._raft.term

    @property
    def role(self) -> Role:
        """What this peer does in the current term."""
        return self._raft.role

    @property
    def lead(self) -> PeerId:
        """Who leads the current term, or NO_PEER while that is not known."""
        return self._raft.lead

    @property
    def last_index(self) -> LogIndex:
        """The log index of the last row, whether it is written yet or not."""
        return self._raft.log.last_index()

    def basic_status(self) -> BasicStatus:
        """Where this peer stands, without its followers."""
        return basic_status(self._raft)

    def status(self) -> Status:
        """Where this peer stands, and on a leader its followers."""
        return full_status(self._raft)

    def conf_state(self) -> ConfState:
        """The configuration in force."""
        return self._raft.tracker.config.conf_state()
