"""The ledger's vocabulary as values: who, what happened, batches, blocks, heads. No behaviour.

Codecs stand in `leaves`, `bodies`, `blocks` and `genesis`; a value that came from foreign bytes
was parsed there once and cannot be malformed.
"""

from dataclasses import dataclass
from enum import Enum, IntEnum
from typing import Final

from caretree.model.ids import (
    Digest,
    GrantId,
    Height,
    KeyId,
    LeafIndex,
    MemberId,
    PeerId,
    Place,
    Pseudonym,
    RecordId,
    RequestId,
    TimeMs,
    TreeSize,
)

NO_PEER: Final = PeerId(0)  # author and leader of block 0, which nobody ordered


class Role(IntEnum):
    """What an acting person is (proto Role)."""

    PHYSICIAN = 1
    NURSE = 2
    LABORATORY = 3
    REGISTRAR = 4
    AUDITOR = 5


class Purpose(IntEnum):
    """What a reading is for (proto Purpose)."""

    TREATMENT = 1
    PAYMENT = 2
    PUBLIC_HEALTH = 3
    PATIENT_REQUEST = 4


class ReplaceReason(IntEnum):
    """Why a record takes the place of another (proto ReplaceReason)."""

    CORRECTED = 1
    COMPLETED = 2
    WRONG_PATIENT = 3
    DUPLICATE = 4


class EntryKind(IntEnum):
    """The closed union of entries; numbers 8 to 14 are kept for those to come."""

    GENESIS = 1
    RECORD = 2
    KEYRING = 3
    GRANT = 4
    REVOKE = 5
    READING = 6
    DENIAL = 7


class Outcome(IntEnum):
    """What apply made of an entry; one byte beside the block, for ever."""

    APPLIED = 0
    DUPLICATE = 1  # (author member, request id) has taken effect already, with the same digest
    REQUEST_ID_REUSED = 2  # the same request id with another digest
    WRONG_CUSTODIAN = 3  # the author's member is not the custodian
    NOT_PERMITTED = 4  # the actor's role does not hold the right
    EPOCH_CLOSED = 5  # names a keyring epoch that is not open here: seal again
    EPOCH_TAKEN = 6  # opens a keyring epoch that another entry opened first
    WRONG_GRANTEES = 7  # a keyring sealed to other members than custodian and live grantees
    UNKNOWN_GRANT = 8  # revokes what is not there, or was revoked already
    GRANT_INVALID = 9  # to itself, to a stranger, for nobody, or already expired
    NOT_OPEN = 10  # a reading that names a record not open to the actor
    READING_STALE = 11  # a reading that does not name exactly what is open here: ask again
    RECORD_EXISTS = 12  # the record id is taken
    UNKNOWN_RECORD = 13  # replaces or reads what is not there
    MALFORMED = 14  # a body that its author should not have signed


@dataclass(frozen=True, slots=True, kw_only=True)
class Actor:
    """Who acted, within the author's member."""

    principal: str
    person: str  # empty when the principal is the person
    role: Role


@dataclass(frozen=True, slots=True, kw_only=True)
class Patient:
    """A patient, by pseudonym."""

    pseudonym_epoch: int
    pseudonym: Pseudonym


@dataclass(frozen=True, slots=True, kw_only=True)
class Replaces:
    """Which record is replaced, and why."""

    record_id: RecordId
    reason: ReplaceReason


@dataclass(frozen=True, slots=True, kw_only=True)
class Record:
    """A record was added."""

    record_id: RecordId
    patient: Patient
    custodian: MemberId
    keyring_epoch: int
    key_id: KeyId
    ciphertext_sha256: Digest
    content_commitment: bytes
    media_type: str
    document_id: bytes
    part: int
    replaces: Replaces | None


@dataclass(frozen=True, slots=True, kw_only=True)
class SealedKey:
    """An epoch key sealed to a member (82 bytes)."""

    member: MemberId
    sealed: bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class Keyring:
    """A keyring epoch was opened."""

    patient: Patient
    custodian: MemberId
    epoch: int
    key_id: KeyId
    previous_key_id: KeyId | None
    previous_key: bytes
    sealed_keys: tuple[SealedKey, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Rule:
    """Who at the grantee may read, for what, until when by block time."""

    roles: frozenset[Role]
    principals: frozenset[str]
    purpose: Purpose
    until_ms: TimeMs


@dataclass(frozen=True, slots=True, kw_only=True)
class Grant:
    """A keyring was opened to a member."""

    grant_id: GrantId
    patient: Patient
    custodian: MemberId
    grantee: MemberId
    keyring_epoch: int
    key_id: KeyId
    sealed_key: bytes
    rule: Rule


@dataclass(frozen=True, slots=True, kw_only=True)
class Revoke:
    """A grant was taken back."""

    grant_id: GrantId
    patient: Patient
    custodian: MemberId


@dataclass(frozen=True, slots=True, kw_only=True)
class Page:
    """The `size` records with the largest leaf indexes below `before`."""

    before: int
    size: int


FIRST_PAGE_BEFORE = 2**64 - 1


@dataclass(frozen=True, slots=True, kw_only=True)
class Reading:
    """Records were read; scope is a page of the history or one record."""

    patient: Patient
    purpose: Purpose
    scope: Page | RecordId
    record_ids: tuple[RecordId, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Attempt:
    """Refused readings of one patient's history."""

    patient: Patient
    count: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Denial:
    """Readings refused to one actor within one minute."""

    minute_ms: TimeMs
    attempts: tuple[Attempt, ...]
    more: int


Happening = Record | Keyring | Grant | Revoke | Reading | Denial


@dataclass(frozen=True, slots=True, kw_only=True)
class Body:
    """What happened, who acted, and the request that makes it take effect at most once."""

    request_id: RequestId
    request_digest: Digest
    actor: Actor
    happening: Happening


@dataclass(frozen=True, slots=True, kw_only=True)
class Opening:
    """What a leaf commits to; None where it was erased."""

    salt: bytes
    body: bytes | None
    payload: bytes | None  # a serialised Payload; None also for entries that have none
    payload_erased: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Batch:
    """Entries of one author peer, signed once. Without openings where it is stored."""

    header: bytes
    author: PeerId
    leaves: tuple[bytes, ...]
    signature: bytes
    openings: tuple[Opening, ...]
    encoded: bytes  # as carried


@dataclass(frozen=True, slots=True, kw_only=True)
class BlockHeader:
    """A block header's fields (proto block.proto has the layout)."""

    height: Height
    parent: Digest
    time_ms: TimeMs
    membership_epoch: int
    ledger_version: int
    leader: PeerId
    batch_count: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Block:
    """Batches ordered together. `hash` was computed from the bytes, never taken from anyone."""

    header: BlockHeader
    header_bytes: bytes
    batches: tuple[Batch, ...]
    hash: Digest
    encoded: bytes

    @property
    def entry_count(self) -> int:
        """How many entries the block orders, refused ones counted."""
        return sum(len(batch.leaves) for batch in self.batches)


@dataclass(frozen=True, slots=True, kw_only=True)
class BlockRef:
    """What Raft's log says of a block: 40 bytes, u64 height and the hash."""

    height: Height
    hash: Digest


@dataclass(frozen=True, slots=True, kw_only=True)
class Seal:
    """The last leaf of a block, as every peer derives it."""

    height: Height
    time_ms: TimeMs
    membership_epoch: int
    ledger_version: int
    block_hash: Digest
    map_root: bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class HeldEntry:
    """An entry whose leaf fits its opening. `body` is None where it was erased."""

    place: Place
    author: PeerId
    leaf: bytes
    opening: Opening
    body: Body | None


@dataclass(frozen=True, slots=True, kw_only=True)
class HeldBlock:
    """A block of which every byte was checked against its leaves; see `holding`."""

    block: Block
    entries: tuple[HeldEntry, ...]
    recorded_outcomes: tuple[Outcome, ...] | None  # needed where something was erased


@dataclass(frozen=True, slots=True, kw_only=True)
class Head:
    """The newest applied block and the tree it ended."""

    height: Height
    block_hash: Digest
    time_ms: TimeMs
    tree_size: TreeSize
    frontier: tuple[bytes, ...]
    root: Digest
    membership_epoch: int
    ledger_version: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Position:
    """Where an applied entry stands."""

    height: Height
    place: Place
    leaf_index: LeafIndex


class VoidReason(Enum):
    """Why a block has no effect at all."""

    PARENT = "wrong parent"
    HEIGHT = "wrong height"
    TIME = "time does not advance"
    EPOCH = "wrong membership epoch"
    VERSION = "ledger version not in force"
    AUTHOR = "a batch by a peer that is no member's"
    SIGNATURE = "a batch signature does not verify"
    EMPTY = "no entries"
