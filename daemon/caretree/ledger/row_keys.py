"""The keys of the ledger's rows, table by table (storage.keys). Numbers are big-endian.

Neither patient nor member nor request stands in a key: what is called blinded here is the store's
own 16 bytes for it (storage.ports.Reads.blind).
"""

from typing import Final

from caretree.crypto.framing import u32, u64
from caretree.ledger.values import BlockRef
from caretree.model.ids import GrantId, Height, LeafIndex, MemberId, Place, RequestId

HEAD_KEY: Final = b"head"  # of Table.STATE
HASH_KEY_BYTES: Final = 16  # of a block's hash; enough that nobody finds two blocks sharing a key


def height_key(height: int) -> bytes:
    """Of Table.HEIGHT and Table.OUTCOME: the block's height."""
    return u64(height)


def block_key(ref: BlockRef) -> bytes:
    """Of Table.BLOCK: height and first 16 bytes of the hash, so that rival blocks stand apart."""
    return u64(ref.height) + ref.hash[:HASH_KEY_BYTES]


def entry_key(ref: BlockRef, place: Place) -> bytes:
    """Of Table.BODY, Table.PAYLOAD and Table.HOLE: the block's key and the place in it."""
    return block_key(ref) + u32(place)


def entries_stop(ref: BlockRef, entry_count: int) -> bytes:
    """The key just after the rows of a block's entries."""
    return block_key(ref) + u32(entry_count)


def leaves_key(first_leaf: int) -> bytes:
    """Of Table.LEAVES: the first leaf index of a block."""
    return u64(first_leaf)


def tile_key(*, level: int, first: int) -> bytes:
    """Of Table.TILE: tile level, and the number there of the first hash in the row."""
    return bytes((level,)) + u64(first)


def request_name(member: MemberId, request_id: RequestId) -> bytes:
    """What is blinded for the key of Table.REQUEST: the author's member and the request id."""
    return member.encode() + request_id


def history_key(blinded: bytes, leaf_index: int) -> bytes:
    """Of Table.HISTORY and Table.PATIENT_TRAIL: the patient and the leaf index."""
    return blinded + leaf_index.to_bytes(8, "big")


def custodian_key(blinded: bytes, blinded_member: bytes) -> bytes:
    """Of Table.CUSTODIAN: the patient and the custodian."""
    return blinded + blinded_member


def keyring_key(blinded: bytes, blinded_member: bytes, epoch: int) -> bytes:
    """Of Table.KEYRING: the patient, the custodian and the keyring epoch."""
    return blinded + blinded_member + u32(epoch)


def grant_key(blinded: bytes, grant_id: GrantId) -> bytes:
    """Of Table.GRANT: the patient and the grant id."""
    return blinded + grant_id


def trail_key(leaf_index: int) -> bytes:
    """Of Table.TRAIL: the leaf index."""
    return u64(leaf_index)


def patient_stop(blinded: bytes) -> bytes | None:
    """The key just after all rows that begin with `blinded`; None when nothing can stand there."""
    number = int.from_bytes(blinded, "big") + 1
    return None if number >> (8 * len(blinded)) else number.to_bytes(len(blinded), "big")


def read_height(key: bytes) -> Height:
    """The height that a key of the block and entry tables begins with."""
    return Height(int.from_bytes(key[:8], "big"))


def read_leaf_index(key: bytes) -> LeafIndex:
    """The leaf index that a key of the histories and trails ends with."""
    return LeafIndex(int.from_bytes(key[-8:], "big"))


def read_place(key: bytes) -> Place:
    """The place that a key of the entry tables ends with."""
    return Place(int.from_bytes(key[-4:], "big"))
