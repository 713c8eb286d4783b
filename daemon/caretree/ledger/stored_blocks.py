"""Blocks in the store, and out of it as they were carried: for replay, for peers that lag behind.

A block is one row without openings; each entry's body (behind its salt) and payload are rows of
their own, so that an erasure is a delete. What is missing comes out as a hole; whether it may be
missing is asked where a block is held.
"""

from collections import OrderedDict
from collections.abc import Iterator
from dataclasses import dataclass

from caretree.crypto.commitments import SALT_BYTES
from caretree.ledger.blocks import block_ref, parse_block, strip_openings, with_openings
from caretree.ledger.bodies import parse_body
from caretree.ledger.holes import is_justified, needs_recorded_outcomes
from caretree.ledger.queries import block_place, leaf_place, outcomes_at
from caretree.ledger.row_keys import block_key, entries_stop, entry_key, read_place
from caretree.ledger.tree import tree_leaves
from caretree.ledger.values import Block, BlockRef, HeldBlock, Opening, Outcome, Record
from caretree.merkle.bundle import encode_entries
from caretree.merkle.tiles import TILE_WIDTH, EntryBundle
from caretree.model.errors import FatalError, MalformedError
from caretree.model.ids import Height, LeafIndex, PeerId, Place
from caretree.storage.keys import Table
from caretree.storage.ports import Batch, Reads

PARSED_BLOCKS_MAX = 16  # of at most 250 KiB each without openings


class BrokenBlockError(FatalError):
    """A stored block is missing, or is not the one that its key names."""

    def __init__(self, height: Height, found: str) -> None:
        super().__init__(f"the stored block at height {height} is damaged: {found}")
        self.height = height


@dataclass(frozen=True, slots=True, kw_only=True)
class StoredEntry:
    """An applied entry as it was carried; the opening has holes where something was erased."""

    author: PeerId
    leaf: bytes
    opening: Opening


def store_block(batch: Batch, held: HeldBlock) -> None:
    """Add the rows of a held block to the batch; what was erased has none."""
    ref = block_ref(held.block)
    batch.put(Table.BLOCK, block_key(ref), strip_openings(held.block))
    for entry in held.entries:
        opening, key = entry.opening, entry_key(ref, entry.place)
        if opening.body is not None:
            batch.put(Table.BODY, key, opening.salt + opening.body)
        if opening.payload is not None:
            batch.put(Table.PAYLOAD, key, opening.payload)


def has_block(reads: Reads, ref: BlockRef) -> bool:
    """Whether the block is stored."""
    return reads.get(Table.BLOCK, block_key(ref)) is not None


def load_block(reads: Reads, ref: BlockRef) -> Block | None:
    """The block as it was carried, with holes where something is missing; None when not stored.

    Raises:
        BrokenBlockError: what is stored there is another block or none.
    """
    stored = load_bare_block(reads, ref)
    return None if stored is None else with_openings(stored, _openings(reads, ref, stored))


def load_bare_block(reads: Reads, ref: BlockRef) -> Block | None:
    """The block as it is stored, without openings; None when it is not.

    Raises:
        BrokenBlockError: what is stored there is another block or none.
    """
    encoded = reads.get(Table.BLOCK, block_key(ref))
    if encoded is None:
        return None
    try:
        block = parse_block(encoded)
    except MalformedError as error:
        raise BrokenBlockError(ref.height, error.message) from error
    if block_ref(block) != ref:
        raise BrokenBlockError(ref.height, "its bytes have another hash")
    return block


def applied_ref(reads: Reads, height: Height) -> BlockRef | None:
    """Which block was applied at this height."""
    place = block_place(reads, height)
    return None if place is None else BlockRef(height=height, hash=place.block_hash)


def recorded_outcomes(reads: Reads, ref: BlockRef) -> tuple[Outcome, ...] | None:
    """The outcomes to go with the block to who applies it later, when they cannot be decided anew.

    None when nothing was erased at or below its height, or it was not applied here.
    """
    if applied_ref(reads, ref.height) != ref or not needs_recorded_outcomes(reads, ref.height):
        return None
    return outcomes_at(reads, ref.height)


class StoredBlocks:
    """Applied blocks read again and again, the last ones kept parsed. For one thread."""

    __slots__ = ("_blocks", "_blocks_max", "_reads")

    def __init__(self, reads: Reads, *, blocks_max: int = PARSED_BLOCKS_MAX) -> None:
        assert blocks_max > 0
        self._reads = reads
        self._blocks_max = blocks_max
        self._blocks: OrderedDict[Height, Block] = OrderedDict()

    def block(self, height: Height) -> Block:
        """The applied block of this height, without openings.

        Raises:
            BrokenBlockError: none was applied, or it is missing or damaged.
        """
        block = self._blocks.get(height)
        if block is None:
            block = self._blocks[height] = self._load(height)
            if len(self._blocks) > self._blocks_max:
                self._blocks.popitem(last=False)
        else:
            self._blocks.move_to_end(height)
        return block

    def entry(self, height: Height, place: Place) -> StoredEntry | None:
        """The entry at this place of an applied block; None when it has fewer.

        Raises:
            BrokenBlockError: no block was applied there, or it is missing or damaged.
        """
        block, first = self.block(height), 0
        for batch in block.batches:
            if place < first + len(batch.leaves):
                return StoredEntry(
                    author=batch.author,
                    leaf=batch.leaves[place - first],
                    opening=_opening(self._reads, block_ref(block), place),
                )
            first += len(batch.leaves)
        return None

    def opening(self, height: Height, place: Place) -> Opening:
        """What the entry at this place of an applied block says; the block itself is not read.

        Requires the block to have an entry there.

        Raises:
            BrokenBlockError: no block was applied there.
        """
        ref = applied_ref(self._reads, height)
        if ref is None:
            raise BrokenBlockError(height, "it is missing")
        return _opening(self._reads, ref, place)

    def leaves(self, height: Height) -> list[bytes]:
        """The leaves that an applied block added to the tree, its seal the last.

        Raises:
            BrokenBlockError: no block was applied there, or it is missing or damaged.
        """
        outcomes = outcomes_at(self._reads, height)
        block = self.block(height)
        if outcomes is None or len(outcomes) != block.entry_count:
            raise BrokenBlockError(height, "it has not one outcome for each entry")
        return tree_leaves(block, outcomes)

    def entry_bundle(self, bundle: EntryBundle) -> bytes:
        """The leaves under a tile of level 0, as c2sp.org/tlog-tiles serves them.

        Requires the tree to have them all.

        Raises:
            BrokenBlockError: one of their blocks is missing or damaged.
        """
        first = LeafIndex(bundle.index * TILE_WIDTH)
        place = leaf_place(self._reads, first)
        assert place is not None, "asked for leaves beyond the tree"
        leaves = self.leaves(place.height)[first - place.block.first_leaf :]
        height = place.height
        while len(leaves) < bundle.width:
            height = Height(height + 1)
            leaves.extend(self.leaves(height))
        return encode_entries(leaves[: bundle.width])

    def _load(self, height: Height) -> Block:
        ref = applied_ref(self._reads, height)
        block = None if ref is None else load_bare_block(self._reads, ref)
        if block is None:
            raise BrokenBlockError(height, "it is missing")
        return block


def _openings(reads: Reads, ref: BlockRef, block: Block) -> list[Opening]:
    """The opening of every entry, from two walks over neighbouring rows."""
    count = block.entry_count
    bodies = dict(_entry_rows(reads, Table.BODY, ref, count))
    payloads = dict(_entry_rows(reads, Table.PAYLOAD, ref, count))
    return [
        _join(reads, ref, Place(place), bodies.get(place), payloads.get(place))
        for place in range(count)
    ]


def _entry_rows(
    reads: Reads, table: Table, ref: BlockRef, count: int
) -> Iterator[tuple[int, bytes]]:
    rows = reads.scan(table, start=block_key(ref), stop=entries_stop(ref, count))
    return ((read_place(key), value) for key, value in rows)


def _opening(reads: Reads, ref: BlockRef, place: Place) -> Opening:
    key = entry_key(ref, place)
    return _join(reads, ref, place, reads.get(Table.BODY, key), reads.get(Table.PAYLOAD, key))


def _join(
    reads: Reads, ref: BlockRef, place: Place, body_row: bytes | None, payload: bytes | None
) -> Opening:
    if body_row is None:
        return Opening(salt=b"", body=None, payload=None, payload_erased=True)
    if len(body_row) < SALT_BYTES:
        raise BrokenBlockError(ref.height, "a body's row is cut")
    salt, body = body_row[:SALT_BYTES], body_row[SALT_BYTES:]
    # Only a body that names a payload can miss one, and few entries have a mark of erasure.
    erased = (
        payload is None
        and is_justified(reads, ref.height, ref.hash, place)
        and _names_payload(body)
    )
    return Opening(salt=salt, body=body, payload=payload, payload_erased=erased)


def _names_payload(body: bytes) -> bool:
    try:
        return isinstance(parse_body(body).happening, Record)
    except MalformedError:
        return False
