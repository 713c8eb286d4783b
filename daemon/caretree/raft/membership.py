"""The active configuration: how it changes, and what a leader does when it has."""

from caretree.model.ids import LogIndex
from caretree.raft import confchange, reads
from caretree.raft.core import Raft, Role, become_follower
from caretree.raft.messages import NO_PEER, ConfChange, ConfState, EntryType
from caretree.raft.replication import append, maybe_commit, next_entry
from caretree.raft.sending import broadcast_append, send_append
from caretree.raft.tracker import ChangedConfig


def apply_conf_change(raft: Raft, change: ConfChange) -> ConfState:
    """The configuration once a committed change is in force.

    Raises:
        ConfChangeError: the change does not fit; every peer finds that at the same log index.
    """
    return switch(raft, confchange.apply_change(raft.tracker.config, change))


def switch(raft: Raft, changed: ChangedConfig) -> ConfState:
    """Put a configuration in force, and let a leader draw the conclusions."""
    raft.tracker.switch(changed, last_index=raft.log.last_index())
    state = raft.tracker.config.conf_state()
    if raft.role is not Role.LEADER:
        return state
    if raft.peer not in raft.tracker.config.voters.peers:
        if raft.config.step_down_on_removal:
            become_follower(raft, raft.term, NO_PEER)
        return state
    _lead_on(raft)
    return state


def _lead_on(raft: Raft) -> None:
    if maybe_commit(raft):
        # The new quorum is smaller or holds more.
        reads.release_postponed(raft)
        broadcast_append(raft)
    else:
        # A new peer need not wait for the next proposal.
        for peer in raft.tracker.progress:
            if peer != raft.peer:
                send_append(raft, peer, even_if_empty=False)
    # Fewer may be needed to confirm a read.
    reads.answer_confirmed(raft)
    if raft.transferee not in raft.tracker.config.voters.peers:
        raft.transferee = NO_PEER


def applied_to(raft: Raft, index: LogIndex) -> None:
    """Note that all up to `index` is applied; a leader may then leave the joint configuration."""
    raft.log.applied_to(max(index, raft.log.applied))
    leave_joint_if_due(raft)


def leave_joint_if_due(raft: Raft) -> None:
    """As leader, leave a joint configuration that is applied and shall not stay."""
    if (
        raft.role is Role.LEADER
        and raft.tracker.config.auto_leave
        and raft.log.applied >= raft.pending_conf_index
        and raft.transferee == NO_PEER
        and raft.peer in raft.tracker.progress
    ):
        # Without content it is never refused for its size.
        entry = next_entry(raft, EntryType.CONF_CHANGE, b"", payload_bytes=0)
        append(raft, entry)
        raft.pending_conf_index = entry.index
        broadcast_append(raft)
