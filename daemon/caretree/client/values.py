"""What a client hands in and gets back, as values. Every receipt in them was verified."""

from dataclasses import dataclass, field
from enum import Enum

from caretree.crypto.pseudonym import PatientIdentifier
from caretree.ledger.receipts import VerifiedReceipt
from caretree.ledger.values import EntryKind, Position, Purpose, Replaces, Role
from caretree.model.ids import Digest, GrantId, RecordId, RequestId, TimeMs, TreeSize


@dataclass(frozen=True, slots=True, kw_only=True)
class ActingPerson:
    """For whom the caller acts. A principal that is a person leaves the id empty.

    Without a role the principal acts in the only one it holds.
    """

    id: str = ""
    role: Role | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Source:
    """Where a document came from; the peer derives request id and record id from it."""

    system: str
    id: str = field(repr=False)
    part: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class NewRecord:
    """A record to add. Without `request_id` and `source` a request id is drawn for it."""

    patient: PatientIdentifier
    content: bytes = field(repr=False)
    media_type: str
    acting: ActingPerson | None = None
    request_id: RequestId | None = None
    source: Source | None = None
    replaces: Replaces | None = None


class EntryStatus(Enum):
    """How far an entry has come."""

    COMMITTED = 1
    CERTIFIED = 2


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """Where an entry stands. `receipt` and its file are there once it is CERTIFIED."""

    position: Position
    status: EntryStatus
    receipt: VerifiedReceipt | None = field(repr=False)
    receipt_file: bytes = field(repr=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class Appended:
    """A record that is in the history.

    `already_added` says that an earlier call had added it, which may have been a repetition of this
    very call after a connection was lost.
    """

    record_id: RecordId
    entry: Entry
    already_added: bool

    @property
    def status(self) -> EntryStatus:
        """How far the record has come."""
        return self.entry.status

    @property
    def receipt(self) -> VerifiedReceipt | None:
        """The verified receipt; None while the record is COMMITTED."""
        return self.entry.receipt

    @property
    def receipt_file(self) -> bytes:
        """The receipt's file, for any verifier; empty while the record is COMMITTED."""
        return self.entry.receipt_file


@dataclass(frozen=True, slots=True, kw_only=True)
class Granted:
    """A grant that was given, or taken back."""

    grant_id: GrantId
    entry: Entry


@dataclass(frozen=True, slots=True, kw_only=True)
class HistoryRecord:
    """A record of a history; of a closed one custodian and time are all that is told."""

    custodian: str
    time_ms: TimeMs
    closed: bool
    erased: bool
    record_id: RecordId | None
    position: Position | None
    content: bytes = field(repr=False)
    media_type: str
    replaced_by: RecordId | None
    document_id: bytes
    part: int


@dataclass(frozen=True, slots=True, kw_only=True)
class HistoryPage:
    """Records, newest first, as of the reading's position."""

    reading: Position
    records: tuple[HistoryRecord, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class GrantDescription:
    """A grant, described."""

    grant_id: GrantId
    custodian: str
    grantee: str
    roles: frozenset[Role]
    principals: frozenset[str]
    purpose: Purpose | None
    until_ms: TimeMs
    granted_ms: TimeMs
    revoked_ms: TimeMs | None


@dataclass(frozen=True, slots=True, kw_only=True)
class TrailEvent:
    """One thing that happened. Of an erased entry kind, position and time are all that is known."""

    kind: EntryKind
    position: Position
    time_ms: TimeMs
    member: str
    principal: str
    person: str
    role: Role | None
    pseudonyms: tuple[bytes, ...]
    grantee: str
    grant_id: GrantId | None
    purpose: Purpose | None
    until_ms: TimeMs | None
    count: int
    erased: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class FetchedReceipt:
    """A receipt, verified, its file, and the age of the checkpoint that it rests on."""

    receipt: VerifiedReceipt
    file: bytes = field(repr=False)
    position: Position
    age_ms: int


@dataclass(frozen=True, slots=True, kw_only=True)
class FetchedCheckpoint:
    """A certified checkpoint, verified, and consistent with every earlier one seen here."""

    note: bytes = field(repr=False)
    tree_size: TreeSize
    root: Digest
    age_ms: int


@dataclass(frozen=True, slots=True, kw_only=True)
class PeerState:
    """What a peer knows of a peer."""

    peer: str
    member: str
    display_name: str
    voter: bool
    leader: bool
    reachable: bool
    match_index: int
    signed_size: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Status:
    """A peer's own account of itself; nothing in it is proven."""

    origin: str
    member: str
    peer: str
    raft_role: str
    leader: str
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
    version: str
    peers: tuple[PeerState, ...]
