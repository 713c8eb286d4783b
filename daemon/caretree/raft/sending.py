"""What a leader sends to its followers: appends, snapshots, heartbeats."""

from caretree.model.ids import LogIndex, PeerId
from caretree.raft.core import Raft
from caretree.raft.messages import Message, MessageType, contents_bytes
from caretree.raft.progress import Progress, ProgressState


def send_append(raft: Raft, to: PeerId, *, even_if_empty: bool) -> bool:
    """Send `to` what it needs next; True when something was sent.

    An append without entries still carries the commit index, and finds out where a probed log
    agrees.
    """
    progress = raft.tracker.progress[to]
    if progress.paused:
        return False
    previous = LogIndex(progress.next_index - 1)
    previous_term = raft.log.term(previous)
    if previous_term is None:
        return _send_snapshot(raft, to, progress)
    # With a full window the append is a probe without entries: were everything in the window lost,
    # the answer to it is what empties the window.
    full = progress.state is ProgressState.REPLICATE and progress.inflights.full
    entries = (
        ()
        if full
        else tuple(
            raft.log.entries_from(progress.next_index, bytes_max=raft.config.message_bytes_max)
        )
    )
    if not entries and not even_if_empty:
        return False
    raft.send(
        Message(
            type=MessageType.APP,
            sender=raft.peer,
            to=to,
            term=raft.term,
            index=previous,
            log_term=previous_term,
            entries=entries,
            commit=raft.log.committed,
        )
    )
    progress.sent_entries(count=len(entries), content_bytes=contents_bytes(entries))
    progress.sent_commit = raft.log.committed
    return True


def _send_snapshot(raft: Raft, to: PeerId, progress: Progress) -> bool:
    # A snapshot is costly, and a peer that does not answer would not take it.
    if not progress.recent_active:
        return False
    snapshot = raft.log.snapshot()
    if snapshot is None:
        return False
    progress.become_snapshot(snapshot.index)
    raft.send(
        Message(type=MessageType.SNAP, sender=raft.peer, to=to, term=raft.term, snapshot=snapshot)
    )
    return True


def broadcast_append(raft: Raft) -> None:
    """Send every follower what it needs, or at least the commit index."""
    for peer in raft.tracker.progress:
        if peer != raft.peer:
            send_append(raft, peer, even_if_empty=True)


def broadcast_heartbeat(raft: Raft) -> None:
    """Tell every follower that this leader leads, and ask it to confirm the waiting reads."""
    context = raft.reads.context()
    for peer, progress in raft.tracker.progress.items():
        if peer == raft.peer:
            continue
        # Never beyond what the follower is known to hold: its log may differ above.
        commit = min(progress.match, raft.log.committed)
        raft.send(
            Message(
                type=MessageType.HEARTBEAT,
                sender=raft.peer,
                to=peer,
                term=raft.term,
                commit=commit,
                context=context,
            )
        )
        progress.sent_commit = commit


def send_timeout_now(raft: Raft, to: PeerId) -> None:
    """Tell the follower that leadership goes to that it may campaign at once (thesis 3.10)."""
    raft.send(Message(type=MessageType.TIMEOUT_NOW, sender=raft.peer, to=to, term=raft.term))
