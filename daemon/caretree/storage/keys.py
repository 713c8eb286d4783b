"""The key layout: every table, its one-byte prefix, who owns its rows, which are encrypted.

A row's key is the prefix and the key bytes given by the owner. Integers in keys are big-endian, so
that a scan walks them in order. The prefixes are in stored bytes for ever; a new table takes a new
number.
"""

from enum import Enum


class Owner(Enum):
    """Who alone writes a table's rows."""

    RAFT = "raft"  # node, beside the Raft core: log rows and hard state
    HOLD = "hold"  # node, when a voter takes a block in: blocks, bodies, payloads
    APPLY = "apply"  # ledger.apply: the same bytes on every replay of the chain
    PEER = "peer"  # this peer's own: what it signed, what it collected


class Table(Enum):
    """A table of the store: prefix byte, owner, whether the door encrypts its values."""

    prefix: bytes
    owner: Owner
    encrypted: bool

    RAFT_STATE = (0x01, Owner.RAFT, False)  # name -> hard state, configuration, first index
    RAFT_LOG = (0x02, Owner.RAFT, False)  # log index u64 -> term, type, block reference
    VOID = (0x03, Owner.RAFT, False)  # log index u64 -> why the block there has no height

    BLOCK = (0x10, Owner.HOLD, True)  # height u64, hash[:16] -> header, batches of leaves
    BODY = (0x11, Owner.HOLD, True)  # height u64, hash[:16], place u32 -> salt, body
    PAYLOAD = (0x12, Owner.HOLD, False)  # the same -> wrapped record key, ciphertext
    HOLE = (0x13, Owner.HOLD, False)  # the same -> that the body or payload may be missing

    STATE = (0x20, Owner.APPLY, True)  # name -> head: height, hash, times, frontier, epochs
    HEIGHT = (0x21, Owner.APPLY, False)  # height u64 -> block hash, leaf range
    OUTCOME = (0x22, Owner.APPLY, True)  # height u64 -> one outcome for each entry
    TILE = (0x23, Owner.APPLY, False)  # tile level u8, first hash u64 -> hashes of one tile
    LEAVES = (0x24, Owner.APPLY, False)  # first leaf index u64 of a block -> height
    REQUEST = (0x30, Owner.APPLY, True)  # blind(member, request id) -> position, digest
    RECORD = (0x31, Owner.APPLY, True)  # record id -> position, custodian, patient
    HISTORY = (0x32, Owner.APPLY, True)  # blind(pseudonym), leaf index u64 -> record, custodian
    CUSTODIAN = (0x33, Owner.APPLY, True)  # blind(pseudonym), blind(member) -> keyring
    KEYRING = (0x34, Owner.APPLY, True)  # the same, epoch u32 -> sealed keys
    GRANT = (0x35, Owner.APPLY, True)  # blind(pseudonym), grant id -> grant state
    TRAIL = (0x36, Owner.APPLY, True)  # leaf index u64 -> entry kind (all but records)
    PATIENT_TRAIL = (0x37, Owner.APPLY, True)  # blind(pseudonym), leaf index u64 -> kind

    SIGNED = (0x40, Owner.PEER, False)  # "newest" -> the newest certified checkpoint
    PEER_STATE = (0x41, Owner.PEER, False)  # name -> this peer's own small facts

    def __init__(self, number: int, owner: Owner, encrypted: bool) -> None:  # noqa: FBT001 (a row of a table)
        self.prefix = bytes((number,))
        self.owner = owner
        self.encrypted = encrypted
