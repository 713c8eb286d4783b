"""The inputs from outside: a message, judged by its term, then by the role's table; and a tick."""

from collections.abc import Callable, Mapping
from typing import Final

from caretree.raft import elections, following, membership, reads, replication
from caretree.raft.core import Raft, Role, become_follower
from caretree.raft.messages import NO_PEER, Message, MessageType
from caretree.raft.sending import broadcast_heartbeat

_Handler = Callable[[Raft, Message], None]

_FROM_LEADER: Final = frozenset({MessageType.APP, MessageType.HEARTBEAT, MessageType.SNAP})
_VOTE_REQUESTS: Final = frozenset({MessageType.VOTE, MessageType.PRE_VOTE})


def step(raft: Raft, message: Message) -> None:
    """Take in one well-formed message.

    Raises:
        FatalError: the log lost what it acknowledged, or is asked to. The peer must stop.
    """
    if message.term > raft.term and not _enter_higher_term(raft, message):
        return
    # A vote before the vote, asked or granted, may be of a term above ours; nothing else is now.
    if message.term < raft.term:
        _answer_lower_term(raft, message)
    elif message.type in _VOTE_REQUESTS:
        elections.handle_vote_request(raft, message)
    else:
        handler = _TABLES[raft.role].get(message.type)
        if handler is not None:
            handler(raft, message)


def _enter_higher_term(raft: Raft, message: Message) -> bool:
    """Follow into the message's term, where it is one (Raft 5.1); False: ignore the message."""
    if message.type in _VOTE_REQUESTS and elections.protects_leader(raft, message):
        return False
    granted_before = message.type is MessageType.PRE_VOTE_RESP and not message.reject
    # The term of a vote before the vote is not in force, and may never be.
    if message.type is not MessageType.PRE_VOTE and not granted_before:
        become_follower(
            raft, message.term, message.sender if message.type in _FROM_LEADER else NO_PEER
        )
    return True


def _answer_lower_term(raft: Raft, message: Message) -> None:
    careful = raft.config.check_quorum or raft.config.pre_vote
    if careful and message.type in {MessageType.APP, MessageType.HEARTBEAT}:
        # 1. This peer raised its term alone, perhaps behind a cut line.
        # 2. Its vote requests are ignored, for the others hear their leader.
        # 3. It ignores that leader's messages, for their term is lower.
        # 4. An answer in its own term makes the leader step down, and an election takes it in.
        raft.send(
            Message(type=MessageType.APP_RESP, sender=raft.peer, to=message.sender, term=raft.term)
        )
    elif message.type is MessageType.PRE_VOTE:
        # A candidate whose term is behind would ask for ever if nobody told it.
        elections.refuse_vote(raft, message, MessageType.PRE_VOTE_RESP)


def _follow(raft: Raft, message: Message) -> None:
    raft.election_elapsed = 0
    raft.lead = message.sender
    _FOLLOW[message.type](raft, message)


def _give_up_and_follow(raft: Raft, message: Message) -> None:
    # Who sends these in our term has won it.
    become_follower(raft, raft.term, message.sender)
    _FOLLOW[message.type](raft, message)


_FOLLOW: Final[Mapping[MessageType, _Handler]] = {
    MessageType.APP: following.handle_append,
    MessageType.HEARTBEAT: following.handle_heartbeat,
    MessageType.SNAP: following.handle_snapshot,
}

# What a role does with what it gets; what is not in its table it ignores.
_TABLES: Final[Mapping[Role, Mapping[MessageType, _Handler]]] = {
    Role.FOLLOWER: {
        MessageType.APP: _follow,
        MessageType.HEARTBEAT: _follow,
        MessageType.SNAP: _follow,
        MessageType.TIMEOUT_NOW: elections.handle_timeout_now,
        MessageType.VOTE_RESP: elections.handle_late_refusal,
        MessageType.PRE_VOTE_RESP: elections.handle_late_refusal,
        MessageType.READ_INDEX_RESP: reads.handle_response,
    },
    Role.PRE_CANDIDATE: {
        MessageType.APP: _give_up_and_follow,
        MessageType.HEARTBEAT: _give_up_and_follow,
        MessageType.SNAP: _give_up_and_follow,
        MessageType.PRE_VOTE_RESP: elections.handle_vote_response,
    },
    Role.CANDIDATE: {
        MessageType.APP: _give_up_and_follow,
        MessageType.HEARTBEAT: _give_up_and_follow,
        MessageType.SNAP: _give_up_and_follow,
        MessageType.VOTE_RESP: elections.handle_vote_response,
    },
    Role.LEADER: {
        MessageType.APP_RESP: replication.handle_append_response,
        MessageType.HEARTBEAT_RESP: replication.handle_heartbeat_response,
        MessageType.READ_INDEX: reads.handle_request,
        MessageType.TRANSFER_LEADER: replication.handle_transfer,
    },
}


def tick(raft: Raft) -> None:
    """Let one unit of time pass."""
    raft.election_elapsed += 1
    if raft.role is Role.LEADER:
        _tick_leader(raft)
    elif raft.promotable() and raft.election_elapsed >= raft.randomized_election_ticks:
        raft.election_elapsed = 0
        elections.start(raft)


def _tick_leader(raft: Raft) -> None:
    raft.heartbeat_elapsed += 1
    if raft.election_elapsed >= raft.config.election_ticks:
        raft.election_elapsed = 0
        if raft.config.check_quorum and not _check_quorum(raft):
            return
        if raft.transferee != NO_PEER:
            # What did not succeed within an election timeout is given up; what waited goes on.
            raft.transferee = NO_PEER
            membership.leave_joint_if_due(raft)
    if raft.heartbeat_elapsed >= raft.config.heartbeat_ticks:
        raft.heartbeat_elapsed = 0
        broadcast_heartbeat(raft)


def _check_quorum(raft: Raft) -> bool:
    """Whether a quorum was heard from since the last time; if not, step down."""
    active = raft.tracker.quorum_active()
    if not active:
        become_follower(raft, raft.term, NO_PEER)
    for peer, progress in raft.tracker.progress.items():
        if peer != raft.peer:
            progress.recent_active = False
    return active
