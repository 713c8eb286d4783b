"""The leader's pool: batches that wait to be ordered, and the drafting of the next block."""

from collections import OrderedDict
from typing import Final

from caretree.ledger.blocks import build_block
from caretree.ledger.genesis import Genesis
from caretree.ledger.holding import HeldBatch, held_block_of
from caretree.ledger.values import BlockHeader, Head, HeldBlock
from caretree.model.ids import Height, PeerId, TimeMs
from caretree.model.limits import BLOCK_BYTES_MAX, BLOCK_ENTRIES_MAX, POOL_BYTES_MAX

# What a block's own fields and the lengths before each batch take, generously.
_BLOCK_OVERHEAD_BYTES: Final = 4096


class Pool:
    """Checked batches in order of arrival, each once."""

    def __init__(self) -> None:
        self._batches: OrderedDict[bytes, HeldBatch] = OrderedDict()
        self._bytes = 0

    def __len__(self) -> int:
        return len(self._batches)

    @property
    def entries(self) -> int:
        """How many entries wait."""
        return sum(len(held.batch.leaves) for held in self._batches.values())

    def add(self, held: HeldBatch) -> bool:
        """Take a batch in; False when the pool is full. One that is in already changes nothing."""
        key = held.batch.signature
        if key in self._batches:
            return True
        if self._bytes + len(held.batch.encoded) > POOL_BYTES_MAX:
            return False
        self._batches[key] = held
        self._bytes += len(held.batch.encoded)
        return True

    def remove(self, signature: bytes) -> None:
        """Drop a batch: a block that was applied holds it."""
        held = self._batches.pop(signature, None)
        if held is not None:
            self._bytes -= len(held.batch.encoded)

    def clear(self) -> None:
        """Drop everything: this peer does not lead."""
        self._batches.clear()
        self._bytes = 0

    def draft(
        self, head: Head, *, now_ms: TimeMs, leader: PeerId, genesis: Genesis
    ) -> HeldBlock | None:
        """The next block over `head` from what waits, or None when nothing does."""
        chosen = self._choose()
        if not chosen:
            return None
        header = BlockHeader(
            height=Height(head.height + 1),
            parent=head.block_hash,
            time_ms=TimeMs(max(head.time_ms + 1, now_ms)),
            membership_epoch=head.membership_epoch,
            ledger_version=head.ledger_version,
            leader=leader,
            batch_count=len(chosen),
        )
        block = build_block(header, [held.batch for held in chosen])
        return held_block_of(block, chosen)

    def _choose(self) -> list[HeldBatch]:
        chosen: list[HeldBatch] = []
        size, entries = _BLOCK_OVERHEAD_BYTES, 0
        for held in self._batches.values():
            size += len(held.batch.encoded)
            entries += len(held.batch.leaves)
            if chosen and (size > BLOCK_BYTES_MAX or entries > BLOCK_ENTRIES_MAX):
                break
            chosen.append(held)
        return chosen
