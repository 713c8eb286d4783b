"""Whether the body or payload of an entry may be missing. The one place that answers it.

Something may be missing only when its erasure was decided, at a position that everyone knows
(INV-14).
Table.HOLE lists those places; it is filled by what erases, and by nothing that merely fails to find
a body.
"""

from caretree.ledger.row_keys import entry_key, read_height
from caretree.ledger.values import BlockRef
from caretree.model.ids import Digest, Height, Place
from caretree.storage.keys import Table
from caretree.storage.ports import Reads

HOLE_MARK = b"\x01"  # the value of a row of Table.HOLE, a format version


def is_justified(reads: Reads, height: Height, block_hash: Digest, place: Place) -> bool:
    """Whether the entry's body or payload may be missing."""
    key = entry_key(BlockRef(height=height, hash=block_hash), place)
    return reads.get(Table.HOLE, key) is not None


def needs_recorded_outcomes(reads: Reads, height: Height) -> bool:
    """Whether something was erased at or below this height.

    From there on validity cannot be decided anew: an entry may rest on rows that only the erased
    body could give. So outcomes are taken as they were recorded, and the certified root holds who
    takes them to the truth.
    """
    first = next(reads.scan(Table.HOLE), None)
    return first is not None and read_height(first[0]) <= height
