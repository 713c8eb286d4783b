"""Receipts, checkpoints, consistency proofs and tiles, out of the applied and certified tree.

Every receipt passes this peer's own verifier before it leaves. The receipts of a fresh block are
made from memory: its entries, its proofs, and what all of them have in common.
"""

from collections import OrderedDict
from dataclasses import dataclass
from typing import Final

from caretree.crypto.remembering import RememberingCheck
from caretree.ledger.blocks import genesis_block
from caretree.ledger.genesis import Genesis
from caretree.ledger.queries import leaf_place
from caretree.ledger.receipt_files import SharedParts, build_receipt_with, share_parts
from caretree.ledger.receipts import ReceiptVerifier, SealProof
from caretree.ledger.rows import BlockPlace
from caretree.ledger.stored_blocks import StoredBlocks, StoredEntry
from caretree.ledger.tree import StoredTiles, TreeReader, seal_leaf
from caretree.ledger.values import Body, HeldEntry, Position
from caretree.merkle.fresh import FreshTree
from caretree.merkle.policy import Policy
from caretree.merkle.tiles import EntryBundle, Tile, tile_width
from caretree.model.errors import CaretreeError, MalformedError, VerificationError
from caretree.model.ids import Digest, Height, LeafIndex, TreeSize
from caretree.model.reasons import CallError, Reason
from caretree.node.applier import AppliedBlock
from caretree.node.calls import CheckpointAnswer, ReceiptAnswer
from caretree.node.certifier import Certified, Certifier
from caretree.node.clock import Clock
from caretree.storage.ports import Reads
from caretree.telemetry.metrics import Metrics

FRESH_GROWTHS_MAX: Final = 16
# Blocks whose entries are kept for their receipts, payloads and all: 16 MiB at most.
FRESH_BLOCKS_MAX: Final = 4
SEAL_LEAVES_MAX: Final = 64
SHARED_PARTS_MAX: Final = 64
NOT_CERTIFIED_RETRY_MS: Final = 200


@dataclass(frozen=True, slots=True, kw_only=True)
class _FreshBlock:
    """A block that was just applied, as it was held."""

    place: BlockPlace
    entries: tuple[HeldEntry, ...]


class Proofs:
    """For one peer, on the loop's thread."""

    def __init__(
        self,
        *,
        reads: Reads,
        genesis: Genesis,
        policy: Policy,
        certifier: Certifier,
        clock: Clock,
        check: RememberingCheck,
        metrics: Metrics,
    ) -> None:
        self._reads = reads
        self._genesis = genesis
        self._certifier = certifier
        self._clock = clock
        self._metrics = metrics
        self._tree = TreeReader(reads)
        self._blocks = StoredBlocks(reads)
        self._tiles = StoredTiles(reads)
        self._verifier = ReceiptVerifier(policy, check)
        self._fresh_tree = FreshTree(growths_max=FRESH_GROWTHS_MAX)
        self._fresh_blocks: OrderedDict[Height, _FreshBlock] = OrderedDict()
        self._seal_leaves: OrderedDict[Height, bytes] = OrderedDict()
        self._shared: OrderedDict[tuple[Height, TreeSize], SharedParts] = OrderedDict()

    def applied(self, result: AppliedBlock) -> None:
        """Remember a block for the receipts of its entries."""
        block, applied = result.held.block, result.applied
        height = block.header.height
        self._fresh_tree.add(applied.growth)
        self._fresh_blocks[height] = _FreshBlock(place=applied.place, entries=result.held.entries)
        if len(self._fresh_blocks) > FRESH_BLOCKS_MAX:
            self._fresh_blocks.popitem(last=False)
        self._keep_seal_leaf(height, seal_leaf(block))

    def root(self, size: TreeSize) -> Digest:
        """The root of the applied tree at an earlier size."""
        return self._tree.root(size)

    def receipt(self, leaf_index: LeafIndex) -> ReceiptAnswer:
        """The receipt of an applied entry at the newest certified checkpoint.

        Raises:
            CallError: UNKNOWN_ENTRY: no entry has this leaf; NOT_CERTIFIED: no checkpoint covers it
                yet.
        """
        found = leaf_place(self._reads, leaf_index)
        if found is None or found.place is None:
            raise CallError(Reason.UNKNOWN_ENTRY)
        certified = self._certifier.newest
        if certified is None or certified.size <= found.block.seal_index:
            raise CallError(Reason.NOT_CERTIFIED, retry_after_ms=NOT_CERTIFIED_RETRY_MS)
        entry = self._blocks.entry(found.height, found.place)
        assert entry is not None
        position = Position(height=found.height, place=found.place, leaf_index=leaf_index)
        return ReceiptAnswer(
            receipt=self._build(certified, position, found.block, entry, body=None),
            position=position,
            age_ms=self._age_ms(certified),
        )

    def entry_receipt(self, position: Position) -> bytes:
        """As `receipt`, of an entry applied here whose position is known.

        Raises:
            CallError: as `receipt`.
        """
        fresh, certified = self._fresh_blocks.get(position.height), self._certifier.newest
        if fresh is None or certified is None or certified.size <= fresh.place.seal_index:
            return self.receipt(position.leaf_index).receipt
        entry = fresh.entries[position.place]
        return self._build(certified, position, fresh.place, entry, body=entry.body)

    def checkpoint(self) -> CheckpointAnswer:
        """The newest certified checkpoint.

        Raises:
            CallError: NOT_CERTIFIED: there is none yet.
        """
        certified = self._certified()
        return CheckpointAnswer(
            note=certified.note, tree_size=certified.size, age_ms=self._age_ms(certified)
        )

    def consistency(
        self, first: TreeSize, second: TreeSize | None
    ) -> tuple[tuple[Digest, ...], TreeSize]:
        """The consistency proof between two certified sizes; None means the newest.

        Raises:
            CallError: INVALID_FIELD: first is 0, above second, or second is not certified yet.
        """
        newest = self._certified().size
        until = second or newest
        if not 1 <= first <= until <= newest:
            raise CallError(
                Reason.INVALID_FIELD, f"sizes: expected 1 <= first <= second <= {newest}"
            )
        return self._tree.consistency_proof(size1=first, size2=until), until

    def tile(self, level: int, index: int, width: int) -> bytes | None:
        """A hash tile of the certified tree, `width` hashes of it; None where there is none."""
        certified = self._certifier.newest
        size = certified.size if certified is not None else TreeSize(0)
        if not 1 <= width <= tile_width(level=level, index=index, size=size):
            return None
        content = self._tiles.read_tile(Tile(level=level, index=index, width=width))
        return content[: width * 32]

    def entry_bundle(self, index: int, width: int) -> bytes | None:
        """The leaves under a level-0 tile of the certified tree; None where there are none."""
        certified = self._certifier.newest
        size = certified.size if certified is not None else TreeSize(0)
        if not 1 <= width <= tile_width(level=0, index=index, size=size):
            return None
        return self._blocks.entry_bundle(EntryBundle(index=index, width=width))

    def _certified(self) -> Certified:
        certified = self._certifier.newest
        if certified is None:
            raise CallError(Reason.NOT_CERTIFIED, retry_after_ms=NOT_CERTIFIED_RETRY_MS)
        return certified

    def _age_ms(self, certified: Certified) -> int:
        return max(self._clock.now_ms() - certified.since_ms, 0)

    def _inclusion(self, index: LeafIndex, size: TreeSize) -> tuple[Digest, ...]:
        fresh = self._fresh_tree.prove(index=index, size=size)
        return self._tree.inclusion_proof(index=index, size=size) if fresh is None else fresh

    def _build(
        self,
        certified: Certified,
        position: Position,
        block: BlockPlace,
        entry: StoredEntry | HeldEntry,
        *,
        body: Body | None,
    ) -> bytes:
        """The receipt, verified. `body` is the entry's as it was parsed when it was held."""
        # Block 0 is derived, and its body, the genesis, is never erased.
        genesis = position.height == 0
        opening = genesis_block(self._genesis).batches[0].openings[0] if genesis else entry.opening
        receipt = build_receipt_with(
            self._shared_parts(certified, position.height, block),
            leaf=entry.leaf,
            leaf_index=position.leaf_index,
            proof=self._inclusion(position.leaf_index, certified.size),
            author=None if genesis else entry.author,
            salt=opening.salt,
            body=opening.body,
        )
        # Bytes that were parsed once are not parsed again; that they are these bytes is checked.
        known = {} if body is None or opening.body is None else {opening.body: body}
        try:
            self._verifier.verify(receipt, parsed=known)
        except (MalformedError, VerificationError) as error:
            self._metrics.self_check_failed()
            raise CaretreeError("a receipt does not pass this peer's own verifier") from error
        return receipt

    def _shared_parts(self, certified: Certified, height: Height, block: BlockPlace) -> SharedParts:
        """What all receipts of the block's entries at this checkpoint have in common."""
        key = (height, certified.size)
        parts = self._shared.get(key)
        # A size may be certified anew, with newer signatures: the note is then another.
        if parts is None or parts.note != certified.note:
            previous = None
            if height:
                # The seal before is the leaf before the block's first.
                before = LeafIndex(block.first_leaf - 1)
                previous = self._seal(Height(height - 1), before, certified.size)
            parts = self._shared[key] = share_parts(
                seal=self._seal(height, block.seal_index, certified.size),
                previous_seal=previous,
                note=certified.note,
            )
            if len(self._shared) > SHARED_PARTS_MAX:
                self._shared.popitem(last=False)
        return parts

    def _seal(self, height: Height, index: LeafIndex, size: TreeSize) -> SealProof:
        leaf = self._seal_leaves.get(height)
        if leaf is None:
            leaf = seal_leaf(self._blocks.block(height))
            self._keep_seal_leaf(height, leaf)
        return SealProof(leaf=leaf, index=index, proof=self._inclusion(index, size))

    def _keep_seal_leaf(self, height: Height, leaf: bytes) -> None:
        self._seal_leaves[height] = leaf
        if len(self._seal_leaves) > SEAL_LEAVES_MAX:
            self._seal_leaves.popitem(last=False)
