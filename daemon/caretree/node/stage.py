"""Blocks that are held here and not applied yet, by what Raft's log says of them."""

from collections import OrderedDict
from typing import Final

from caretree.ledger.values import BlockRef, HeldBlock
from caretree.model.limits import BLOCK_BYTES_MAX

# One block is in flight at a time; a peer that catches up takes in what one append carries.
STAGED_BYTES_MAX: Final = 16 * BLOCK_BYTES_MAX


class BlockStage:
    """A bounded memory of held blocks; the oldest are forgotten first, and can be sent again."""

    def __init__(self) -> None:
        self._blocks: OrderedDict[BlockRef, HeldBlock] = OrderedDict()
        self._bytes = 0

    def put(self, held: HeldBlock) -> BlockRef:
        """Keep a block, and say how Raft's log is to name it."""
        ref = BlockRef(height=held.block.header.height, hash=held.block.hash)
        if ref not in self._blocks:
            self._blocks[ref] = held
            self._bytes += len(held.block.encoded)
        while self._bytes > STAGED_BYTES_MAX and len(self._blocks) > 1:
            _, forgotten = self._blocks.popitem(last=False)
            self._bytes -= len(forgotten.block.encoded)
        return ref

    def get(self, ref: BlockRef) -> HeldBlock | None:
        """The block, while it is remembered."""
        return self._blocks.get(ref)

    def drop(self, ref: BlockRef) -> None:
        """Forget a block."""
        held = self._blocks.pop(ref, None)
        if held is not None:
            self._bytes -= len(held.block.encoded)
