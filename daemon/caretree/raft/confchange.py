"""Configuration changes as functions from one configuration to the next (thesis 4.1 to 4.3)."""

from collections.abc import Sequence

from caretree.model.ids import PeerId
from caretree.raft.errors import ConfChangeError, ConfChangeReason, ConfStateError
from caretree.raft.messages import NO_PEER, ChangeKind, ConfChange, ConfState, PeerChange
from caretree.raft.quorum import JointConfig
from caretree.raft.tracker import ChangedConfig, TrackerConfig


def apply_change(config: TrackerConfig, change: ConfChange) -> ChangedConfig:
    """The configuration after `change`.

    Raises:
        ConfChangeError: the change does not fit `config`.
    """
    if change.leaves_joint:
        return leave_joint(config)
    if change.enters_joint:
        return enter_joint(config, change.changes, auto_leave=change.auto_leave)
    return simple(config, change.changes)


def simple(config: TrackerConfig, changes: Sequence[PeerChange]) -> ChangedConfig:
    """The configuration after changes of at most one voter: old and new quorums overlap (4.1).

    Raises:
        ConfChangeError: the configuration is joint, no voter would be left, or several voters
            change.
    """
    if config.voters.is_joint:
        raise ConfChangeError(ConfChangeReason.SIMPLE_WHILE_JOINT)
    draft = _Draft(config, outgoing=frozenset())
    draft.apply(changes)
    if len(config.voters.incoming ^ draft.incoming) > 1:
        raise ConfChangeError(ConfChangeReason.TOO_MANY_VOTERS_CHANGED)
    return draft.finish(auto_leave=False)


def enter_joint(
    config: TrackerConfig, changes: Sequence[PeerChange], *, auto_leave: bool
) -> ChangedConfig:
    """The joint configuration of the present voters and those after the changes (4.3).

    Raises:
        ConfChangeError: the configuration is joint already or has no voters, or no voter would be
            left.
    """
    if config.voters.is_joint:
        raise ConfChangeError(ConfChangeReason.ALREADY_JOINT)
    if not config.voters.incoming:
        raise ConfChangeError(ConfChangeReason.NO_VOTERS_TO_JOIN)
    draft = _Draft(config, outgoing=config.voters.incoming)
    draft.apply(changes)
    return draft.finish(auto_leave=auto_leave)


def leave_joint(config: TrackerConfig) -> ChangedConfig:
    """The configuration of the incoming half alone; learners that waited for this become learners.

    Raises:
        ConfChangeError: the configuration is not joint.
    """
    if not config.voters.is_joint:
        raise ConfChangeError(ConfChangeReason.NOT_JOINT)
    left = TrackerConfig(
        voters=JointConfig(incoming=config.voters.incoming),
        learners=config.learners | config.learners_next,
    )
    return ChangedConfig(config=_checked(left), fresh=frozenset())


def restore(state: ConfState) -> ChangedConfig:
    """The configuration that was stored or sent as `state`; nothing is known of any peer in it.

    Raises:
        ConfStateError: the state contradicts itself.
    """
    config = TrackerConfig(
        voters=JointConfig(
            incoming=frozenset(state.voters), outgoing=frozenset(state.voters_outgoing)
        ),
        learners=frozenset(state.learners),
        learners_next=frozenset(state.learners_next),
        auto_leave=state.auto_leave,
    )
    if NO_PEER in config.peers:
        raise ConfStateError("peer 0 is in the configuration")
    return ChangedConfig(config=_checked(config), fresh=config.peers)


def _checked(config: TrackerConfig) -> TrackerConfig:
    if config.learners & config.voters.peers:
        raise ConfStateError("a peer is voter and learner at once")
    # Only a voter of the outgoing half has a reason to wait.
    if not config.learners_next <= config.voters.outgoing - config.voters.incoming:
        raise ConfStateError("a peer that does not vote on the outgoing side waits to be a learner")
    if config.voters.is_joint and not config.voters.incoming:
        raise ConfStateError("a joint configuration has no incoming voters")
    if config.auto_leave and not config.voters.is_joint:
        raise ConfStateError("a configuration that is not joint shall be left")
    return config


class _Draft:
    """A configuration while steps are applied to it; steps only ever touch the incoming half."""

    def __init__(self, config: TrackerConfig, *, outgoing: frozenset[PeerId]) -> None:
        self.incoming = set(config.voters.incoming)
        self.outgoing = outgoing
        self.learners = set(config.learners)
        self.learners_next = set(config.learners_next)
        self.known = set(config.peers)
        self.fresh: set[PeerId] = set()

    def apply(self, changes: Sequence[PeerChange]) -> None:
        for change in changes:
            if change.peer == NO_PEER:
                continue
            match change.kind:
                case ChangeKind.ADD_VOTER:
                    self._add_voter(change.peer)
                case ChangeKind.ADD_LEARNER:
                    self._add_learner(change.peer)
                case ChangeKind.REMOVE:
                    self._remove(change.peer)
                case ChangeKind.UPDATE:
                    pass
        if not self.incoming:
            raise ConfChangeError(ConfChangeReason.NO_VOTERS_LEFT)

    def _add_voter(self, peer: PeerId) -> None:
        self._meet(peer)
        self.learners.discard(peer)
        self.learners_next.discard(peer)
        self.incoming.add(peer)

    def _add_learner(self, peer: PeerId) -> None:
        self._meet(peer)
        self.incoming.discard(peer)
        waits = peer in self.outgoing
        (self.learners_next if waits else self.learners).add(peer)

    def _remove(self, peer: PeerId) -> None:
        self.incoming.discard(peer)
        self.learners.discard(peer)
        self.learners_next.discard(peer)
        if peer not in self.outgoing:
            self.known.discard(peer)

    def _meet(self, peer: PeerId) -> None:
        # Who was removed and added again starts anew, for its log may be gone.
        if peer not in self.known:
            self.known.add(peer)
            self.fresh.add(peer)

    def finish(self, *, auto_leave: bool) -> ChangedConfig:
        config = TrackerConfig(
            voters=JointConfig(incoming=frozenset(self.incoming), outgoing=self.outgoing),
            learners=frozenset(self.learners),
            learners_next=frozenset(self.learners_next),
            auto_leave=auto_leave,
        )
        return ChangedConfig(config=_checked(config), fresh=frozenset(self.fresh) & config.peers)
