"""Entries, hard state, configurations, snapshots and messages, as values to be encoded elsewhere.

Every type is flat, so that a protobuf message can mirror it field by field.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from enum import Enum
from typing import Final

from caretree.model.ids import LogIndex, PeerId, Term

NO_PEER: Final = PeerId(0)
NO_INDEX: Final = LogIndex(0)
NO_TERM: Final = Term(0)

# What an entry weighs besides its content, so that entries without content fill a message too.
ENTRY_OVERHEAD_BYTES: Final = 32


class EntryType(Enum):
    """What an entry's data is for."""

    NORMAL = 1
    CONF_CHANGE = 2


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """One row of the log. Never changed once made, so it is shared and not copied."""

    index: LogIndex
    term: Term
    type: EntryType
    data: bytes
    # The size of what travels and is stored beside the entry; counts wherever `data` counts.
    payload_bytes: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class HardState:
    """What must outlive a crash besides the log (Raft figure 2). All zero: never written."""

    term: Term = NO_TERM
    vote: PeerId = NO_PEER
    # A hint that saves work after a restart; unlike term and vote it may be lost safely.
    commit: LogIndex = NO_INDEX


@dataclass(frozen=True, slots=True, kw_only=True)
class ConfState:
    """A configuration as stored and sent; each tuple in ascending order."""

    voters: tuple[PeerId, ...] = ()
    voters_outgoing: tuple[PeerId, ...] = ()
    learners: tuple[PeerId, ...] = ()
    learners_next: tuple[PeerId, ...] = ()
    auto_leave: bool = False


class ChangeKind(Enum):
    """What happens to one peer of the configuration."""

    ADD_VOTER = 1
    ADD_LEARNER = 2
    REMOVE = 3
    # Leaves the configuration as it is: takes news about a peer through the log.
    UPDATE = 4


@dataclass(frozen=True, slots=True, kw_only=True)
class PeerChange:
    """One step of a configuration change. A step for NO_PEER is skipped."""

    kind: ChangeKind
    peer: PeerId


class Transition(Enum):
    """How a change of several steps is taken (Raft thesis 4.3)."""

    # One step: simply. Several: through a joint configuration that the leader leaves by itself.
    AUTO = 1
    # Through a joint configuration that the leader leaves by itself.
    JOINT_IMPLICIT = 2
    # Through a joint configuration that stays until it is left by an empty change.
    JOINT_EXPLICIT = 3


@dataclass(frozen=True, slots=True, kw_only=True)
class ConfChange:
    """A configuration change; without steps and with AUTO it leaves a joint configuration."""

    transition: Transition = Transition.AUTO
    changes: tuple[PeerChange, ...] = ()

    @property
    def leaves_joint(self) -> bool:
        """Whether this is the change that leaves a joint configuration."""
        return self.transition is Transition.AUTO and not self.changes

    @property
    def enters_joint(self) -> bool:
        """Whether this change goes through a joint configuration."""
        return self.transition is not Transition.AUTO or len(self.changes) > 1

    @property
    def auto_leave(self) -> bool:
        """Whether the leader leaves the joint configuration by itself."""
        return self.transition is not Transition.JOINT_EXPLICIT


@dataclass(frozen=True, slots=True, kw_only=True)
class SnapshotMeta:
    """A point of the committed log that stands for all before it; the caller fetches that."""

    index: LogIndex
    term: Term
    conf_state: ConfState
    data: bytes


class MessageType(Enum):
    """The kinds of message between peers."""

    APP = 1
    APP_RESP = 2
    VOTE = 3
    VOTE_RESP = 4
    PRE_VOTE = 5
    PRE_VOTE_RESP = 6
    HEARTBEAT = 7
    HEARTBEAT_RESP = 8
    SNAP = 9
    TIMEOUT_NOW = 10
    READ_INDEX = 11
    READ_INDEX_RESP = 12
    TRANSFER_LEADER = 13


# What answers a request of ours; from outside the configuration it means nothing.
RESPONSES: Final = frozenset(
    {
        MessageType.APP_RESP,
        MessageType.VOTE_RESP,
        MessageType.PRE_VOTE_RESP,
        MessageType.HEARTBEAT_RESP,
        MessageType.READ_INDEX_RESP,
    }
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Message:
    """One message from `sender` to `to`. Fields that a type does not use stay at their default."""

    type: MessageType
    sender: PeerId
    to: PeerId
    # The sender's term; for PRE_VOTE and its granting answer the term that is campaigned for.
    term: Term
    # APP: the entry before `entries`. VOTE, PRE_VOTE: the candidate's last entry.
    # APP_RESP: `index` is what is acknowledged, or with `reject` what was refused, and `log_term`
    # the term at the hint.
    # READ_INDEX_RESP: `index` is the read index.
    index: LogIndex = NO_INDEX
    log_term: Term = NO_TERM
    entries: tuple[Entry, ...] = ()
    # What the sender knows to be committed. A leader tells it; so do vote requests and
    # refusals, for which `commit_term` is the term of the entry there.
    commit: LogIndex = NO_INDEX
    commit_term: Term = NO_TERM
    reject: bool = False
    # APP_RESP with `reject`: the highest index at which the logs may agree.
    reject_hint: LogIndex = NO_INDEX
    # HEARTBEAT and its answer: which reads it confirms. READ_INDEX and its answer: the reader's.
    context: bytes = b""
    snapshot: SnapshotMeta | None = None
    # VOTE: asked for by the leader itself, so that its followers need not protect it.
    leader_transfer: bool = False
    # TRANSFER_LEADER: who shall lead.
    transferee: PeerId = NO_PEER


def content_bytes(entry: Entry) -> int:
    """What an entry's content weighs; a term's empty entry weighs 0 and is never refused."""
    return len(entry.data) + entry.payload_bytes


def contents_bytes(entries: Sequence[Entry]) -> int:
    """The content of all entries together."""
    return sum(len(entry.data) + entry.payload_bytes for entry in entries)


def limit_entries(entries: Sequence[Entry], bytes_max: int) -> Sequence[Entry]:
    """The longest prefix within `bytes_max`; the first entry is in it however large it is."""
    size = 0
    for count, entry in enumerate(entries):
        size += ENTRY_OVERHEAD_BYTES + content_bytes(entry)
        if size > bytes_max and count > 0:
            return entries[:count]
    return entries
