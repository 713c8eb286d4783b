"""Recorded outcomes that came with a block, kept until it is applied here.

Where something of a block was erased, its outcomes cannot be decided anew; a crash between holding
and applying it must not lose them.
"""

from typing import Final

from caretree.ledger.blocks import block_ref
from caretree.ledger.row_keys import block_key
from caretree.ledger.rows import decode_outcomes, encode_outcomes
from caretree.ledger.values import BlockRef, HeldBlock, Outcome
from caretree.storage.keys import Table
from caretree.storage.ports import Batch, Reads

_PREFIX: Final = b"outcomes/"


def stage_outcomes(batch: Batch, held: HeldBlock) -> None:
    """Add the outcomes that came with the block, if any, to the batch that stores it."""
    if held.recorded_outcomes is not None:
        key = _PREFIX + block_key(block_ref(held.block))
        batch.put(Table.PEER_STATE, key, encode_outcomes(held.recorded_outcomes))


def drop_outcomes(batch: Batch, held: HeldBlock) -> None:
    """Remove them in the batch that applies the block: it has rows of its own for them."""
    if held.recorded_outcomes is not None:
        batch.delete(Table.PEER_STATE, _PREFIX + block_key(block_ref(held.block)))


def load_outcomes(reads: Reads, ref: BlockRef) -> tuple[Outcome, ...] | None:
    """The outcomes that came with a block not applied yet; None when it came without."""
    value = reads.get(Table.PEER_STATE, _PREFIX + block_key(ref))
    return None if value is None else decode_outcomes(value)
