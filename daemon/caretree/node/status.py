"""What a peer knows of itself and of the others."""

from typing import Final

from caretree.ledger.genesis import FIRST_MEMBERSHIP_EPOCH
from caretree.model.ids import PeerId
from caretree.node.assembly import PeerParts, PeerSettings
from caretree.node.calls import PeerView, RaftRole, StatusView
from caretree.raft.core import Role
from caretree.raft.messages import NO_PEER

_ROLES: Final = {
    Role.FOLLOWER: RaftRole.FOLLOWER,
    Role.PRE_CANDIDATE: RaftRole.PRE_CANDIDATE,
    Role.CANDIDATE: RaftRole.CANDIDATE,
    Role.LEADER: RaftRole.LEADER,
}


def majority_in_reach(settings: PeerSettings, parts: PeerParts) -> bool:
    """Whether streams to a majority of voters stand, this peer counted when it votes."""
    voters = [peer.peer for peer in settings.genesis.voters]
    reached = sum(voter == settings.own or parts.transport.connected(voter) for voter in voters)
    return reached > len(voters) // 2


def best_transferee(settings: PeerSettings, parts: PeerParts) -> PeerId | None:
    """The reachable voter, beside the leader, whose log is known to be furthest; or None."""
    progress = parts.consensus.raft.status().progress
    lead = parts.consensus.lead
    reachable = [
        peer.peer
        for peer in settings.genesis.voters
        if peer.peer != lead and (peer.peer == settings.own or parts.transport.connected(peer.peer))
    ]

    def furthest(peer: PeerId) -> int:
        return progress[peer].match if peer in progress else 0

    return max(reachable, key=furthest, default=None)


def status_of(settings: PeerSettings, parts: PeerParts) -> StatusView:
    """The peer's own account."""
    status = parts.consensus.raft.status()
    basic, head = status.basic, parts.applier.head
    certified = parts.certifier.newest
    now_ms = settings.clock.now_ms()
    return StatusView(
        origin=settings.genesis.origin,
        member=settings.member,
        peer=settings.own,
        raft_role=_ROLES[basic.role],
        leader=basic.lead if basic.lead != NO_PEER else None,
        term=basic.term,
        commit_index=basic.commit,
        applied_index=basic.applied,
        height=head.height,
        tree_size=head.tree_size,
        block_time_ms=head.time_ms,
        certified_size=0 if certified is None else certified.size,
        certified_age_ms=0 if certified is None else max(now_ms - certified.since_ms, 0),
        membership_epoch=FIRST_MEMBERSHIP_EPOCH,
        certification_quorum=settings.genesis.certification_quorum,
        peers=tuple(_peer_views(settings, parts)),
        pool_entries=parts.author.queued_entries + parts.pool.entries,
        can_commit=majority_in_reach(settings, parts) and basic.lead != NO_PEER,
    )


def _peer_views(settings: PeerSettings, parts: PeerParts) -> list[PeerView]:
    status = parts.consensus.raft.status()
    return [
        PeerView(
            peer=peer.peer,
            member=peer.member,
            display_name=_display_name(settings, peer.member),
            voter=peer.voter,
            leader=peer.peer == status.basic.lead,
            reachable=peer.peer == settings.own or parts.transport.connected(peer.peer),
            match_index=status.progress[peer.peer].match if peer.peer in status.progress else 0,
            signed_size=parts.certifier.signed_size(peer.member),
        )
        for peer in settings.genesis.peers
    ]


def _display_name(settings: PeerSettings, member: str) -> str:
    founded = next(each for each in settings.genesis.members if each.member == member)
    return founded.display_name
