"""Linearizable reads without a log entry: ReadIndex (thesis 6.4), never a lease of the clock's.

1. The leader notes its commit index, if an entry of its own term is committed; else the read waits
for one,
   for only then does the leader know that no earlier leader committed more (Raft 8).
2. It learns from a quorum, asked after that, that it still leads.
3. Whoever has applied up to the noted index may answer.
"""

from caretree.model.ids import PeerId
from caretree.raft.core import Raft, ReadState
from caretree.raft.errors import DropReason, ReadDroppedError
from caretree.raft.messages import NO_PEER, Message, MessageType
from caretree.raft.read_queue import PendingRead
from caretree.raft.sending import broadcast_heartbeat


def request(raft: Raft, context: bytes) -> None:
    """Ask for a read index: at once where this peer leads, else of the leader.

    Raises:
        ReadDroppedError: no leader is known, or too many reads wait.
    """
    if raft.lead == NO_PEER:
        raise ReadDroppedError(DropReason.NO_LEADER)
    if raft.lead != raft.peer:
        raft.send(
            Message(
                type=MessageType.READ_INDEX,
                sender=raft.peer,
                to=raft.lead,
                term=raft.term,
                context=context,
            )
        )
    elif not _take(raft, raft.peer, context):
        raise ReadDroppedError(DropReason.READS_FULL)


def handle_request(raft: Raft, message: Message) -> None:
    """Take in a follower's read; one too many is dropped, and the follower asks again."""
    _take(raft, message.sender, message.context)


def handle_response(raft: Raft, message: Message) -> None:
    """Hand out a read that the leader confirmed; nobody else can."""
    if message.sender == raft.lead:
        raft.read_states.append(ReadState(index=message.index, context=message.context))


def _take(raft: Raft, reader: PeerId, context: bytes) -> bool:
    if len(raft.reads) + len(raft.postponed_reads) >= raft.config.reads_max:
        return False
    read = PendingRead(reader=reader, context=context, index=raft.log.committed)
    if _own_term_committed(raft):
        _confirm_or_wait(raft, [read])
    else:
        raft.postponed_reads.append(read)
    return True


def _own_term_committed(raft: Raft) -> bool:
    return raft.log.matches(raft.log.committed, raft.term)


def release_postponed(raft: Raft) -> None:
    """Let the reads go on that waited for an entry of the own term to be committed."""
    if not raft.postponed_reads or not _own_term_committed(raft):
        return
    # Only now is it known that all is committed here that any earlier leader committed.
    reads = [
        PendingRead(reader=read.reader, context=read.context, index=raft.log.committed)
        for read in raft.postponed_reads
    ]
    raft.postponed_reads = []
    _confirm_or_wait(raft, reads)


def _confirm_or_wait(raft: Raft, reads: list[PendingRead]) -> None:
    if _needs_no_other(raft):
        for read in reads:
            _answer(raft, read)
        return
    for read in reads:
        raft.reads.add(read, leader=raft.peer)
    broadcast_heartbeat(raft)


def _needs_no_other(raft: Raft) -> bool:
    return raft.tracker.is_singleton and raft.peer in raft.tracker.config.voters.incoming


def confirm(raft: Raft, message: Message) -> None:
    """Note what a heartbeat's answer confirms, and answer what is thereby confirmed by a quorum."""
    if not message.context:
        return
    raft.reads.acknowledge(message.sender, message.context)
    answer_confirmed(raft)


def answer_confirmed(raft: Raft) -> None:
    """Answer the reads that a quorum of the active configuration has confirmed."""
    for read in raft.reads.confirm(raft.tracker.config.voters):
        _answer(raft, read)


def _answer(raft: Raft, read: PendingRead) -> None:
    if read.reader == raft.peer:
        raft.read_states.append(ReadState(index=read.index, context=read.context))
        return
    raft.send(
        Message(
            type=MessageType.READ_INDEX_RESP,
            sender=raft.peer,
            to=read.reader,
            term=raft.term,
            index=read.index,
            context=read.context,
        )
    )
