"""Receipts, checkpoints, consistency proofs and tiles, out of the applied and certified tree.

Every receipt passes this peer's own verifier before it leaves.
"""

from collections import OrderedDict
from typing import Final

from caretree.crypto.remembering import RememberingCheck
from caretree.ledger.blocks import genesis_block
from caretree.ledger.genesis import Genesis
from caretree.ledger.queries import LeafPlace, leaf_place
from caretree.ledger.receipts import SealProof, build_receipt, verify_receipt
from caretree.ledger.stored_blocks import StoredBlocks
from caretree.ledger.tree import StoredTiles, TreeReader, fresh_inclusion_proof, seal_leaf
from caretree.ledger.values import Position
from caretree.merkle.frontier import Growth
from caretree.merkle.policy import Policy
from caretree.merkle.tiles import EntryBundle, Tile, tile_width
from caretree.model.errors import CaretreeError, MalformedError, VerificationError
from caretree.model.ids import Digest, Height, LeafIndex, TreeSize
from caretree.model.reasons import CallError, Reason
from caretree.node.calls import CheckpointAnswer, ReceiptAnswer
from caretree.node.certifier import Certified, Certifier
from caretree.node.clock import Clock
from caretree.storage.ports import Reads
from caretree.telemetry.metrics import Metrics

FRESH_GROWTHS_MAX: Final = 16
SEAL_PROOFS_MAX: Final = 64
NOT_CERTIFIED_RETRY_MS: Final = 200


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
        metrics: Metrics,
    ) -> None:
        self._reads = reads
        self._genesis = genesis
        self._policy = policy
        self._certifier = certifier
        self._clock = clock
        self._metrics = metrics
        self._tree = TreeReader(reads)
        self._blocks = StoredBlocks(reads)
        self._tiles = StoredTiles(reads)
        self._check = RememberingCheck()
        self._growths: OrderedDict[int, Growth] = OrderedDict()
        self._seals: OrderedDict[tuple[LeafIndex, TreeSize], SealProof] = OrderedDict()

    def grown(self, growth: Growth) -> None:
        """Remember what a block added to the tree, for proofs of its leaves."""
        self._growths[growth.after.size] = growth
        if len(self._growths) > FRESH_GROWTHS_MAX:
            self._growths.popitem(last=False)

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
        if found.height == 0:
            # Block 0 is derived, and its body, the genesis, is never erased.
            opening = genesis_block(self._genesis).batches[0].openings[0]
        else:
            opening = entry.opening
        receipt = build_receipt(
            leaf=entry.leaf,
            leaf_index=leaf_index,
            proof=self._inclusion(leaf_index, certified.size),
            author=entry.author if found.height else None,
            salt=opening.salt,
            body=opening.body,
            seal=self._seal(found.height, found.block.seal_index, certified.size),
            previous_seal=self._previous_seal(found, certified.size),
            note=certified.note,
        )
        self._check_receipt(receipt)
        return ReceiptAnswer(
            receipt=receipt,
            position=Position(height=found.height, place=found.place, leaf_index=leaf_index),
            age_ms=self._age_ms(certified),
        )

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
        growth = self._growths.get(size)
        if growth is not None and index >= growth.before.size:
            return fresh_inclusion_proof(growth, index)
        return self._tree.inclusion_proof(index=index, size=size)

    def _previous_seal(self, found: LeafPlace, size: TreeSize) -> SealProof | None:
        """The seal before the leaf's block; it is the leaf before the block's first."""
        if found.height == 0:
            return None
        return self._seal(Height(found.height - 1), LeafIndex(found.block.first_leaf - 1), size)

    def _seal(self, height: Height, index: LeafIndex, size: TreeSize) -> SealProof:
        """A block's seal, proven once for all receipts of its entries and of the next block's."""
        key = (index, size)
        seal = self._seals.get(key)
        if seal is None:
            leaf = seal_leaf(self._blocks.block(height))
            seal = SealProof(leaf=leaf, index=index, proof=self._inclusion(index, size))
            self._seals[key] = seal
            if len(self._seals) > SEAL_PROOFS_MAX:
                self._seals.popitem(last=False)
        return seal

    def _check_receipt(self, receipt: bytes) -> None:
        try:
            verify_receipt(receipt, self._policy, self._check)
        except (MalformedError, VerificationError) as error:
            self._metrics.self_check_failed()
            raise CaretreeError("a receipt does not pass this peer's own verifier") from error
