"""A leader's log: proposals, acknowledgements, what they commit; and handing leadership on."""

from collections.abc import Sequence

from caretree.model.ids import LogIndex, PeerId
from caretree.raft import confchange, reads
from caretree.raft.core import Raft, Role
from caretree.raft.errors import (
    ConfChangeError,
    ConfChangeReason,
    DropReason,
    ProposalDroppedError,
    TransferRefusedError,
)
from caretree.raft.messages import (
    NO_INDEX,
    NO_PEER,
    ConfChange,
    Entry,
    EntryType,
    Message,
    MessageType,
    contents_bytes,
)
from caretree.raft.progress import Progress, ProgressState
from caretree.raft.sending import broadcast_append, send_append, send_timeout_now


def next_entry(raft: Raft, type_: EntryType, data: bytes, *, payload_bytes: int) -> Entry:
    """The entry that would come next in this leader's log."""
    index = LogIndex(raft.log.last_index() + 1)
    return Entry(index=index, term=raft.term, type=type_, data=data, payload_bytes=payload_bytes)


def propose(raft: Raft, data: bytes, *, payload_bytes: int) -> LogIndex:
    """Append data to the leader's log and send it on; where it will stand if it is committed.

    Raises:
        ProposalDroppedError: this peer cannot take it now.
    """
    _require_proposable(raft)
    return _append_and_send(
        raft, next_entry(raft, EntryType.NORMAL, data, payload_bytes=payload_bytes)
    )


def propose_conf_change(raft: Raft, change: ConfChange, data: bytes) -> LogIndex:
    """Append a change of the configuration, one at a time; where it will stand if it is committed.

    Raises:
        ProposalDroppedError: this peer cannot take it now.
        ConfChangeError: an earlier change is not applied, or this one does not fit the
            configuration.
    """
    _require_proposable(raft)
    if raft.pending_conf_index > raft.log.applied:
        raise ConfChangeError(ConfChangeReason.CHANGE_PENDING)
    # None is pending, so the change will meet exactly the active configuration.
    confchange.apply_change(raft.tracker.config, change)
    index = _append_and_send(raft, next_entry(raft, EntryType.CONF_CHANGE, data, payload_bytes=0))
    raft.pending_conf_index = index
    return index


def _require_proposable(raft: Raft) -> None:
    if raft.role is not Role.LEADER:
        reason = DropReason.NO_LEADER if raft.lead == NO_PEER else DropReason.NOT_LEADER
        raise ProposalDroppedError(reason)
    if raft.peer not in raft.tracker.progress:
        raise ProposalDroppedError(DropReason.REMOVED)
    if raft.transferee != NO_PEER:
        raise ProposalDroppedError(DropReason.TRANSFERRING)


def _append_and_send(raft: Raft, entry: Entry) -> LogIndex:
    append(raft, entry)
    broadcast_append(raft)
    return entry.index


def append(raft: Raft, entry: Entry) -> None:
    """Put an entry at the log's end; the leader acknowledges it to itself once it is durable.

    Raises:
        ProposalDroppedError: too much is uncommitted. An entry without content is always taken.
    """
    size = contents_bytes((entry,))
    total = raft.uncommitted_bytes + size
    if raft.uncommitted_bytes > 0 and size > 0 and total > raft.config.uncommitted_bytes_max:
        raise ProposalDroppedError(DropReason.UNCOMMITTED_FULL)
    raft.uncommitted_bytes = total
    raft.log.append((entry,))
    raft.send(
        Message(
            type=MessageType.APP_RESP,
            sender=raft.peer,
            to=raft.peer,
            term=raft.term,
            index=entry.index,
        )
    )


def reduce_uncommitted(raft: Raft, applied: Sequence[Entry]) -> None:
    """Let go of the content that was applied; what a leader found uncommitted it never counted."""
    raft.uncommitted_bytes = max(0, raft.uncommitted_bytes - contents_bytes(applied))


def maybe_commit(raft: Raft) -> bool:
    """Commit what a quorum holds if it ends in the own term (Raft 5.4.2); True if that is news."""
    return raft.log.maybe_commit(raft.tracker.committed(), raft.term)


def handle_append_response(raft: Raft, message: Message) -> None:
    """Take in what a follower, or this leader's own disk, says about an append."""
    progress = raft.tracker.progress.get(message.sender)
    if progress is None:
        return
    progress.recent_active = True
    if message.reject:
        _handle_rejection(raft, message, progress)
    elif message.index <= raft.log.last_index():
        # Nobody can hold what this leader never had.
        _handle_acknowledgement(raft, message, progress)


def _handle_rejection(raft: Raft, message: Message, progress: Progress) -> None:
    hint = message.reject_hint
    if message.log_term > 0:
        # The follower says where its log may agree; see from here which of those entries cannot.
        hint = raft.log.find_conflict_by_term(hint, message.log_term).index
    if progress.refuse(rejected=message.index, hint=hint):
        if progress.state is ProgressState.REPLICATE:
            progress.become_probe()
        send_append(raft, message.sender, even_if_empty=True)


def _handle_acknowledgement(raft: Raft, message: Message, progress: Progress) -> None:
    sender = message.sender
    news = progress.acknowledge(message.index)
    # A probed follower that was complete all along says nothing new, and is freely sent to again.
    confirmed = progress.match == message.index and progress.state is ProgressState.PROBE
    if not news and not confirmed:
        return
    _update_state(raft, progress, message.index)
    if maybe_commit(raft):
        reads.release_postponed(raft)
        broadcast_append(raft)
    elif sender != raft.peer and progress.can_bump_commit(raft.log.committed):
        send_append(raft, sender, even_if_empty=True)
    # The window has room again, perhaps for several appends.
    if sender != raft.peer:
        while send_append(raft, sender, even_if_empty=False):
            pass
    if sender == raft.transferee and progress.match == raft.log.last_index():
        send_timeout_now(raft, sender)


def _update_state(raft: Raft, progress: Progress, acked: LogIndex) -> None:
    match progress.state:
        case ProgressState.PROBE:
            progress.become_replicate()
        case ProgressState.REPLICATE:
            progress.inflights.free_to(acked)
        case ProgressState.SNAPSHOT:
            # Whatever snapshot it took, and from whom: what it needs next is in the log.
            if progress.match + 1 >= raft.log.first_index():
                progress.become_replicate()


def handle_heartbeat_response(raft: Raft, message: Message) -> None:
    """Note that a follower lives, send it what it lacks, and count what it confirms."""
    progress = raft.tracker.progress.get(message.sender)
    if progress is None:
        return
    progress.recent_active = True
    progress.flow_paused = False
    if progress.match < raft.log.last_index() or progress.state is ProgressState.PROBE:
        send_append(raft, message.sender, even_if_empty=True)
    reads.confirm(raft, message)


def report_unreachable(raft: Raft, peer: PeerId) -> None:
    """Send carefully again: what was under way to `peer` is probably lost."""
    progress = raft.tracker.progress.get(peer)
    if (
        raft.role is Role.LEADER
        and progress is not None
        and progress.state is ProgressState.REPLICATE
    ):
        progress.become_probe()


def report_snapshot(raft: Raft, peer: PeerId, *, arrived: bool) -> None:
    """Probe `peer` from the snapshot on, or if that failed from before it."""
    progress = raft.tracker.progress.get(peer)
    if (
        raft.role is not Role.LEADER
        or progress is None
        or progress.state is not ProgressState.SNAPSHOT
    ):
        return
    if not arrived:
        progress.pending_snapshot = NO_INDEX
    progress.become_probe()
    # If it arrived its acknowledgement is near, else the next attempt may wait for a heartbeat.
    progress.flow_paused = True


def request_transfer(raft: Raft, transferee: PeerId) -> None:
    """Have leadership handed to `transferee`, by this peer or by the leader it knows.

    Raises:
        TransferRefusedError: it is not a voter.
        ProposalDroppedError: no leader is known.
    """
    if transferee not in raft.tracker.config.voters.peers:
        raise TransferRefusedError(transferee)
    if raft.role is Role.LEADER:
        _transfer(raft, transferee)
    elif raft.lead == NO_PEER:
        raise ProposalDroppedError(DropReason.NO_LEADER)
    else:
        raft.send(
            Message(
                type=MessageType.TRANSFER_LEADER,
                sender=raft.peer,
                to=raft.lead,
                term=raft.term,
                transferee=transferee,
            )
        )


def handle_transfer(raft: Raft, message: Message) -> None:
    """Hand leadership on as a follower asks, if the one it names is a voter."""
    if message.transferee in raft.tracker.config.voters.peers:
        _transfer(raft, message.transferee)


def _transfer(raft: Raft, transferee: PeerId) -> None:
    # Within one election timeout, and without taking proposals meanwhile (thesis 3.10).
    if transferee == raft.transferee:
        return
    raft.transferee = NO_PEER
    if transferee == raft.peer:
        return
    raft.election_elapsed = 0
    raft.transferee = transferee
    if raft.tracker.progress[transferee].match == raft.log.last_index():
        send_timeout_now(raft, transferee)
    else:
        send_append(raft, transferee, even_if_empty=True)
