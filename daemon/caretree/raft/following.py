"""What a follower does with its leader's appends, heartbeats and snapshots."""

from caretree.model.ids import LogIndex, Term
from caretree.raft import confchange, membership
from caretree.raft.core import Raft
from caretree.raft.errors import TruncationRefusedError
from caretree.raft.messages import Message, MessageType, SnapshotMeta


def handle_append(raft: Raft, message: Message) -> None:
    """Append what follows on from this log; else say where the logs may agree.

    Raises:
        TruncationRefusedError: a committed entry would be replaced.
    """
    if message.index <= raft.log.committed:
        _require_agreement(raft, message)
    if message.index < raft.log.committed:
        # Committed entries are the same everywhere (Raft 5.4.3): the leader may go on from there.
        _acknowledge(raft, message, raft.log.committed)
    elif raft.log.matches(message.index, message.log_term):
        _append(raft, message)
    else:
        _reject(raft, message)


def _require_agreement(raft: Raft, message: Message) -> None:
    # The leader of a term holds all that was committed before it (Raft 5.4.3). One that holds
    # something else at a committed index would have this log truncated there sooner or later.
    _require_same(raft, message, message.index, message.log_term)
    for entry in message.entries:
        if entry.index > raft.log.committed:
            break
        _require_same(raft, message, entry.index, entry.term)


def _require_same(raft: Raft, message: Message, index: LogIndex, term: Term) -> None:
    own = raft.log.term(index)
    if own is not None and own != term:
        raise TruncationRefusedError(
            conflict=index, committed=raft.log.committed, sender=message.sender
        )


def _append(raft: Raft, message: Message) -> None:
    # Only what this message proved is acknowledged or committed, not what else the log may hold.
    proved = LogIndex(message.index + len(message.entries))
    place = raft.log.find_conflict(message.entries)
    if place is not None:
        raft.log.append(message.entries[place:])
    raft.log.commit_to(min(message.commit, proved))
    _acknowledge(raft, message, proved)


def _acknowledge(raft: Raft, message: Message, index: LogIndex) -> None:
    raft.send(
        Message(
            type=MessageType.APP_RESP,
            sender=raft.peer,
            to=message.sender,
            term=raft.term,
            index=index,
        )
    )


def _reject(raft: Raft, message: Message) -> None:
    hint = raft.log.find_conflict_by_term(
        min(message.index, raft.log.last_index()), message.log_term
    )
    raft.send(
        Message(
            type=MessageType.APP_RESP,
            sender=raft.peer,
            to=message.sender,
            term=raft.term,
            index=message.index,
            reject=True,
            reject_hint=hint.index,
            log_term=hint.term,
        )
    )


def handle_heartbeat(raft: Raft, message: Message) -> None:
    """Commit as far as the leader knows this log to agree, and confirm that it leads.

    Raises:
        LogLostError: the leader knows of entries here that are gone.
    """
    raft.log.commit_to(message.commit)
    raft.send(
        Message(
            type=MessageType.HEARTBEAT_RESP,
            sender=raft.peer,
            to=message.sender,
            term=raft.term,
            context=message.context,
        )
    )


def handle_snapshot(raft: Raft, message: Message) -> None:
    """Replace the log by a snapshot if that brings news, and say how far the log goes.

    Raises:
        TruncationRefusedError: the snapshot contradicts a committed entry.
    """
    snapshot = message.snapshot
    assert snapshot is not None
    if snapshot.index <= raft.log.committed:
        _require_same(raft, message, snapshot.index, snapshot.term)
    restored = _restore(raft, snapshot)
    _acknowledge(raft, message, raft.log.last_index() if restored else raft.log.committed)


def _restore(raft: Raft, snapshot: SnapshotMeta) -> bool:
    if snapshot.index <= raft.log.committed:
        return False
    if raft.log.matches(snapshot.index, snapshot.term):
        # Everything up to the snapshot is here already.
        raft.log.commit_to(snapshot.index)
        return False
    # A peer that was added after the snapshot is not in its configuration, and needs it too.
    restored = confchange.restore(snapshot.conf_state)
    raft.log.restore(snapshot)
    membership.switch(raft, restored)
    return True
