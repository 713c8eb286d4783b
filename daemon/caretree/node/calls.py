"""What the rooms above ask of a peer, and what it answers, as values.

A command is complete and checked: the caller is authenticated, its right to act in the role is
established, every field is within bounds. What only the ledger's state can decide is decided there.
"""

from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from enum import Enum

from caretree.crypto.pseudonym import PatientIdentifier
from caretree.ledger.values import Actor, EntryKind, Position, Purpose, Replaces, Rule
from caretree.model.ids import (
    GrantId,
    MemberId,
    PeerId,
    RecordId,
    RequestId,
    TimeMs,
    TreeSize,
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Source:
    """Where a document came from; the record's ids are derived from it."""

    system: str
    id: str = field(repr=False)  # may hold a patient's number
    part: int


@dataclass(frozen=True, slots=True, kw_only=True)
class AppendCommand:
    """One record to add. Exactly one of `request_id` and `source` is given."""

    actor: Actor
    patient: PatientIdentifier
    content: bytes
    media_type: str
    request_id: RequestId | None
    source: Source | None
    replaces: Replaces | None


class EntryStatus(Enum):
    """How far an entry has come."""

    COMMITTED = 1
    CERTIFIED = 2


@dataclass(frozen=True, slots=True, kw_only=True)
class EntryAnswer:
    """An entry took effect. `receipt` is empty while it is not certified, or was not wanted."""

    position: Position
    status: EntryStatus
    receipt: bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class AppendAnswer:
    """What became of a record; `already_added` when an earlier call had added it."""

    record_id: RecordId
    entry: EntryAnswer
    already_added: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class HistoryCommand:
    """A page of a patient's history to read; `before` is the leaf index the page ends below."""

    actor: Actor
    patient: PatientIdentifier
    purpose: Purpose
    page_size: int
    before: int


@dataclass(frozen=True, slots=True, kw_only=True)
class RecordCommand:
    """One record to read."""

    actor: Actor
    record_id: RecordId
    purpose: Purpose


@dataclass(frozen=True, slots=True, kw_only=True)
class HistoryRecord:
    """A record of a history. A closed one tells custodian and time, nothing else."""

    custodian: MemberId
    time_ms: TimeMs
    closed: bool
    record_id: RecordId | None
    position: Position | None
    erased: bool
    content: bytes
    media_type: str
    replaced_by: RecordId | None
    document_id: bytes
    part: int


@dataclass(frozen=True, slots=True, kw_only=True)
class HistoryAnswer:
    """A page, answered as of its reading entry. `records` decrypts one at a time, newest first."""

    reading: Position
    record_count: int
    next_before: int | None
    records: AsyncIterator[HistoryRecord]


@dataclass(frozen=True, slots=True, kw_only=True)
class GrantCommand:
    """A grant to give."""

    actor: Actor
    patient: PatientIdentifier
    grantee: MemberId
    rule: Rule
    request_id: RequestId


@dataclass(frozen=True, slots=True, kw_only=True)
class GrantAnswer:
    """A grant, given."""

    grant_id: GrantId
    entry: EntryAnswer


@dataclass(frozen=True, slots=True, kw_only=True)
class RevokeCommand:
    """Grants to take back: one by its id, or all that `grantee` holds of this patient."""

    actor: Actor
    patient: PatientIdentifier
    grant_id: GrantId | None
    grantee: MemberId | None
    request_id: RequestId


@dataclass(frozen=True, slots=True, kw_only=True)
class GrantView:
    """A grant, described."""

    grant_id: GrantId
    custodian: MemberId
    grantee: MemberId
    rule: Rule
    granted_ms: TimeMs
    revoked_ms: TimeMs | None


@dataclass(frozen=True, slots=True, kw_only=True)
class TrailEvent:
    """One thing that happened; patients by pseudonym. GENESIS and erased entries name no actor."""

    kind: EntryKind
    position: Position
    time_ms: TimeMs
    member: MemberId | None
    actor: Actor | None
    pseudonyms: tuple[bytes, ...]
    grantee: MemberId | None
    grant_id: GrantId | None
    purpose: Purpose | None
    until_ms: TimeMs | None
    count: int
    erased: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class TrailAnswer:
    """Events, newest first; `next_before` is the leaf index for the next page."""

    events: tuple[TrailEvent, ...]
    next_before: int | None


@dataclass(frozen=True, slots=True, kw_only=True)
class ReceiptAnswer:
    """A receipt and the age of the checkpoint it rests on."""

    receipt: bytes
    position: Position
    age_ms: int


@dataclass(frozen=True, slots=True, kw_only=True)
class CheckpointAnswer:
    """The newest certified checkpoint, a signed note."""

    note: bytes
    tree_size: TreeSize
    age_ms: int


class RaftRole(Enum):
    """What a peer is in Raft."""

    FOLLOWER = "follower"
    PRE_CANDIDATE = "pre-candidate"
    CANDIDATE = "candidate"
    LEADER = "leader"


@dataclass(frozen=True, slots=True, kw_only=True)
class PeerView:
    """What this peer knows of a peer, itself among them."""

    peer: PeerId
    member: MemberId
    display_name: str
    voter: bool
    leader: bool
    reachable: bool
    match_index: int
    signed_size: int


@dataclass(frozen=True, slots=True, kw_only=True)
class StatusView:
    """A peer's own account of itself."""

    origin: str
    member: MemberId
    peer: PeerId
    raft_role: RaftRole
    leader: PeerId | None
    term: int
    commit_index: int
    applied_index: int
    height: int
    tree_size: int
    block_time_ms: int
    certified_size: int
    certified_age_ms: int
    membership_epoch: int
    certification_quorum: int
    peers: tuple[PeerView, ...]
    pool_entries: int
    can_commit: bool
