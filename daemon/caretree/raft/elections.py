"""Campaigns and votes (Raft 5.2, 5.4.1; thesis 9.6 for the vote before the vote)."""

from enum import Enum

from caretree.model.ids import Term
from caretree.raft.core import Raft, Role, become_follower
from caretree.raft.messages import NO_PEER, EntryType, Message, MessageType
from caretree.raft.quorum import VoteResult
from caretree.raft.replication import append, next_entry
from caretree.raft.sending import broadcast_append


class Campaign(Enum):
    """Why and how a peer asks for votes."""

    PRE_ELECTION = 1
    ELECTION = 2
    # On the leader's word: without a vote before, and past the protection of a live leader.
    TRANSFER = 3


def start(raft: Raft) -> None:
    """Campaign because no leader was heard, or because the caller says so."""
    campaign_if_able(raft, Campaign.PRE_ELECTION if raft.config.pre_vote else Campaign.ELECTION)


def handle_timeout_now(raft: Raft, _message: Message) -> None:
    """Campaign at once: the leader hands leadership to this peer."""
    campaign_if_able(raft, Campaign.TRANSFER)


def campaign_if_able(raft: Raft, kind: Campaign) -> None:
    """Campaign, unless this peer leads, may not, or has a committed change of membership to apply.

    With such a change unapplied it would count votes in a configuration that is no longer in force.
    """
    if raft.role is Role.LEADER or not raft.promotable():
        return
    if raft.log.has_unapplied_conf_change():
        return
    _campaign(raft, kind)


def _campaign(raft: Raft, kind: Campaign) -> None:
    if kind is Campaign.PRE_ELECTION:
        _become_pre_candidate(raft)
        request, response, term = (
            MessageType.PRE_VOTE,
            MessageType.PRE_VOTE_RESP,
            Term(raft.term + 1),
        )
    else:
        _become_candidate(raft)
        request, response, term = MessageType.VOTE, MessageType.VOTE_RESP, raft.term
    last, committed = raft.log.last_id(), raft.log.committed_id()
    for peer in sorted(raft.tracker.config.voters.peers):
        if peer == raft.peer:
            # The own vote counts once it is durable, like any other.
            raft.send(Message(type=response, sender=peer, to=peer, term=term))
            continue
        raft.send(
            Message(
                type=request,
                sender=raft.peer,
                to=peer,
                term=term,
                index=last.index,
                log_term=last.term,
                commit=committed.index,
                commit_term=committed.term,
                leader_transfer=kind is Campaign.TRANSFER,
            )
        )


def _become_pre_candidate(raft: Raft) -> None:
    # Term and vote stay as they are: asking must leave no trace.
    raft.role = Role.PRE_CANDIDATE
    raft.tracker.votes = {}
    raft.lead = NO_PEER


def _become_candidate(raft: Raft) -> None:
    raft.reset(Term(raft.term + 1))
    raft.role = Role.CANDIDATE
    raft.vote = raft.peer


def _become_leader(raft: Raft) -> None:
    assert raft.role is Role.CANDIDATE
    raft.reset(raft.term)
    raft.role = Role.LEADER
    raft.lead = raft.peer
    own = raft.tracker.progress[raft.peer]
    own.become_replicate()
    own.recent_active = True
    # An entry of the own term is what lets earlier ones be committed (Raft 5.4.2, 8).
    entry = next_entry(raft, EntryType.NORMAL, b"", payload_bytes=0)
    append(raft, entry)
    # Until that entry is applied there may be an unapplied change below it; and a change before the
    # first commit of a term can split the voters into two quorums (Ongaro, raft-dev, July 2015).
    raft.pending_conf_index = entry.index


def protects_leader(raft: Raft, message: Message) -> bool:
    """Whether to ignore a vote request because a leader was heard a moment ago (thesis 4.2.3)."""
    return (
        raft.config.check_quorum
        and not message.leader_transfer
        and raft.lead != NO_PEER
        and raft.election_elapsed < raft.config.election_ticks
    )


def handle_vote_request(raft: Raft, message: Message) -> None:
    """Grant or refuse a vote. A learner votes too: it may be a voter without knowing yet."""
    for_real = message.type is MessageType.VOTE
    response = MessageType.VOTE_RESP if for_real else MessageType.PRE_VOTE_RESP
    can_vote = (
        raft.vote == message.sender
        or (raft.vote == NO_PEER and raft.lead == NO_PEER)
        or (not for_real and message.term > raft.term)
    )
    if can_vote and raft.log.is_up_to_date(message.index, message.log_term):
        # With the term asked for, which a vote before the vote did not make our own.
        raft.send(Message(type=response, sender=raft.peer, to=message.sender, term=message.term))
        if for_real:
            raft.election_elapsed = 0
            raft.vote = message.sender
        return
    refuse_vote(raft, message, response)


def refuse_vote(raft: Raft, message: Message, response: MessageType) -> None:
    """Answer that the vote is not granted, in the own term; and exchange what is committed."""
    committed = raft.log.committed_id()
    raft.send(
        Message(
            type=response,
            sender=raft.peer,
            to=message.sender,
            term=raft.term,
            reject=True,
            commit=committed.index,
            commit_term=committed.term,
        )
    )
    learn_commit(raft, message)


def learn_commit(raft: Raft, message: Message) -> None:
    """Commit what the other side of a vote knows to be committed, if this log holds it.

    Without this a group could wait for ever, for a configuration is in force only once applied:

    1. a leader commits a change, applies it, and is gone before all others hear of that;
    2. who heard of it and may campaign now is refused, for some log goes on further than its own;
    3. who has that log does not campaign: by the configuration it knows it is no voter.
    """
    if raft.role is Role.LEADER or message.commit <= raft.log.committed:
        return
    if not raft.log.matches(message.commit, message.commit_term):
        return
    raft.log.commit_to(message.commit)
    if raft.role is not Role.FOLLOWER and raft.log.has_unapplied_conf_change():
        # Votes would go on being counted in a configuration that is no longer in force.
        become_follower(raft, raft.term, NO_PEER)


def handle_late_refusal(raft: Raft, message: Message) -> None:
    """As a follower by now, take from a refusal what is committed."""
    if message.reject:
        learn_commit(raft, message)


def handle_vote_response(raft: Raft, message: Message) -> None:
    """Count an answer to the running campaign."""
    if message.reject:
        learn_commit(raft, message)
        if raft.role is Role.FOLLOWER:
            return
    result = raft.tracker.record_vote(message.sender, granted=not message.reject)
    match result:
        case VoteResult.WON if raft.role is Role.PRE_CANDIDATE:
            _campaign(raft, Campaign.ELECTION)
        case VoteResult.WON:
            _become_leader(raft)
            broadcast_append(raft)
        case VoteResult.LOST:
            become_follower(raft, raft.term, NO_PEER)
        case VoteResult.PENDING:
            pass
