"""What a follower does with its leader's appends, heartbeats and snapshots."""

from caretree.model.ids import LogIndex
from caretree.raft import confchange, membership
from caretree.raft.core import Raft
from caretree.raft.errors import TruncationRefusedError
from caretree.raft.messages import Message, MessageType, SnapshotMeta


def handle_append(raft: Raft, message: Message) -> None:
    """Append what follows on from this log; else say where the logs may agree.

    Raises:
        TruncationRefusedError: a committed entry would be replaced.
    """
    if message.index < raft.log.committed:
        # Committed entries are the same everywhere (Raft 5.4.3): the leader may go on from there.
        _acknowledge(raft, message, raft.log.committed)
    elif raft.log.matches(message.index, message.log_term):
        _append(raft, message)
    else:
        _reject(raft, message)


def _append(raft: Raft, message: Message) -> None:
    # Only what this message proved is acknowledged or committed, not what else the log may hold
    # above.
    proved = LogIndex(message.index + len(message.entries))
    place = raft.log.find_conflict(message.entries)
    if place is not None:
        conflict = message.entries[place].index
        if conflict <= raft.log.committed:
            raise TruncationRefusedError(
                conflict=conflict, committed=raft.log.committed, sender=message.sender
            )
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
    """Replace the log by a snapshot if that brings news, and say how far the log goes."""
    snapshot = message.snapshot
    assert snapshot is not None
    restored = _restore(raft, snapshot)
    _acknowledge(raft, message, raft.log.last_index() if restored else raft.log.committed)


def _restore(raft: Raft, snapshot: SnapshotMeta) -> bool:
    if snapshot.index <= raft.log.committed:
        return False
    state = snapshot.conf_state
    # A voter that becomes a learner stands among the outgoing ones too.
    if raft.peer not in {*state.voters, *state.learners, *state.voters_outgoing}:
        return False
    if raft.log.matches(snapshot.index, snapshot.term):
        # Everything up to the snapshot is here already.
        raft.log.commit_to(snapshot.index)
        return False
    restored = confchange.restore(state)
    raft.log.restore(snapshot)
    membership.switch(raft, restored)
    return True
