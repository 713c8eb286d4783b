"""The leader's pool: batches that wait to be ordered, and the drafting of the next block."""

from collections import OrderedDict
from dataclasses import dataclass, replace
from typing import Final

from caretree.crypto.ed25519 import verify
from caretree.ledger.blocks import build_block
from caretree.ledger.genesis import Genesis
from caretree.ledger.holding import hold_batch
from caretree.ledger.values import Batch, Head, HeldBlock, HeldEntry
from caretree.merkle.lines import SignatureCheck
from caretree.model.ids import Height, PeerId, Place, TimeMs
from caretree.model.limits import BLOCK_BYTES_MAX, BLOCK_ENTRIES_MAX, POOL_BYTES_MAX

# What the header and the field tags of a block take, and what each batch adds to its own bytes.
_BLOCK_OVERHEAD_BYTES: Final = 128
_BATCH_OVERHEAD_BYTES: Final = 8


@dataclass(frozen=True, slots=True, kw_only=True)
class HeldBatch:
    """A batch whose signature and openings were checked, or made here; places count from 0."""

    batch: Batch
    entries: tuple[HeldEntry, ...]


def check_batch(batch: Batch, genesis: Genesis, *, check: SignatureCheck = verify) -> HeldBatch:
    """The batch as a leader may order it.

    Raises:
        NotHeldError, MalformedError: see `ledger.holding.hold_batch`.
    """
    return HeldBatch(batch=batch, entries=hold_batch(batch, genesis, check=check))


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

    @property
    def size_bytes(self) -> int:
        """How many bytes wait."""
        return self._bytes

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

    def draft(self, head: Head, *, now_ms: TimeMs, leader: PeerId) -> HeldBlock | None:
        """The next block over `head` from what waits, or None when nothing does."""
        chosen = self._choose()
        if not chosen:
            return None
        block = build_block(
            height=Height(head.height + 1),
            parent=head.block_hash,
            time_ms=TimeMs(max(head.time_ms + 1, now_ms)),
            membership_epoch=head.membership_epoch,
            ledger_version=head.ledger_version,
            leader=leader,
            batches=[held.batch for held in chosen],
        )
        return HeldBlock(block=block, entries=_placed(chosen), recorded_outcomes=None)

    def _choose(self) -> list[HeldBatch]:
        chosen: list[HeldBatch] = []
        size, entries = _BLOCK_OVERHEAD_BYTES, 0
        for held in self._batches.values():
            size += len(held.batch.encoded) + _BATCH_OVERHEAD_BYTES
            entries += len(held.batch.leaves)
            if chosen and (size > BLOCK_BYTES_MAX or entries > BLOCK_ENTRIES_MAX):
                break
            chosen.append(held)
        return chosen


def _placed(chosen: list[HeldBatch]) -> tuple[HeldEntry, ...]:
    if len(chosen) == 1:
        return chosen[0].entries
    entries = (entry for held in chosen for entry in held.entries)
    return tuple(replace(entry, place=Place(place)) for place, entry in enumerate(entries))
