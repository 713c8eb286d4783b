"""Applies committed log rows to the store: the one caller of `ledger.apply`, at start-up and after.

Runs on the disk thread. Rows of apply, the applied log index and the commit index are one batch,
so that a crash leaves all or none of them; none is no loss, for the log gives them again.

Head and edge lie in memory between blocks, for hours in a quiet night. What they say is known on
two paths, frontier and tiles, which are compared before the next block is built on them: a root
that follows from faulty memory is never signed.
"""

import struct
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from typing_extensions import override

from caretree.crypto.ed25519 import verify
from caretree.ledger.apply import Applied, apply_block
from caretree.ledger.blocks import block_hash, parse_block_ref
from caretree.ledger.custodians import CustodianMemory
from caretree.ledger.genesis import Genesis
from caretree.ledger.holding import NotHeldError, hold_block
from caretree.ledger.holes import is_justified
from caretree.ledger.stored_blocks import load_block
from caretree.ledger.tree import TreeEdge
from caretree.ledger.values import BlockRef, Head, HeldBlock, VoidReason
from caretree.merkle.frontier import read_frontier
from caretree.merkle.lines import SignatureCheck
from caretree.merkle.nodes import NodeReader
from caretree.merkle.tiles import Tile, TileReader
from caretree.model.errors import FatalError, MalformedError
from caretree.model.ids import Height, LogIndex, Place
from caretree.node.held_outcomes import drop_outcomes, load_outcomes
from caretree.node.raft_log import StoredLog
from caretree.node.stage import BlockStage
from caretree.raft.messages import Entry, HardState
from caretree.storage.keys import Table
from caretree.storage.ports import Batch, KeyValue

_INDEX: Final = struct.Struct(">Q")


class BlockChangedError(FatalError):
    """The bytes about to be applied are not those that Raft's log names."""

    def __init__(self, height: int) -> None:
        super().__init__(
            f"block {height} changed between log and apply: memory or disk of this machine is"
            " faulty; test both before this peer is started again"
        )
        self.height = height


class TreeChangedError(FatalError):
    """What this peer has of its tree in memory contradicts itself."""

    def __init__(self, size: int) -> None:
        super().__init__(
            f"the edge of the tree of size {size} changed in memory: this machine's memory is"
            " faulty; test it before this peer is started again"
        )
        self.size = size


class BlockNotHeldError(FatalError):
    """A stored block lacks what its leaves commit to, and nothing justifies that."""

    def __init__(self, height: int, found: str) -> None:
        super().__init__(f"block {height} is in the log, but in the store it is {found}")
        self.height = height


class BlockMissingError(FatalError):
    """Raft's log names a block that is not in the store."""

    def __init__(self, height: int) -> None:
        super().__init__(f"block {height} is in the log, but its bytes are not in the store")
        self.height = height


@dataclass(frozen=True, slots=True, kw_only=True)
class AppliedBlock:
    """A block that took its height; `applied` says what came of its entries."""

    log_index: LogIndex
    held: HeldBlock
    applied: Applied
    seconds: float  # what apply took, without its write


@dataclass(frozen=True, slots=True, kw_only=True)
class VoidBlock:
    """A block that has no effect at all."""

    log_index: LogIndex
    held: HeldBlock
    reason: VoidReason


Result = AppliedBlock | VoidBlock


class Applier:
    """Holds the head of the chain and the tree's edge; both move only here."""

    def __init__(
        self,
        *,
        store: KeyValue,
        log: StoredLog,
        stage: BlockStage,
        genesis: Genesis,
        head: Head,
        edge: TreeEdge,
        check: SignatureCheck = verify,
    ) -> None:
        self._store = store
        self._log = log
        self._stage = stage
        self._genesis = genesis
        self._check = check
        self._custodians = CustodianMemory()
        self.head = head
        self.edge = edge

    def apply(self, entries: Sequence[Entry], hard_state: HardState | None) -> list[Result]:
        """Apply log rows in order; what came of each that names a block.

        Raises:
            FatalError: a row or block cannot be read, or changed since it was held.
        """
        results: list[Result] = []
        for entry in entries:
            batch = Batch()
            if entry.data:
                results.append(self._apply_block(entry, batch))
            self._log.stage_applied(batch, entry.index)
            if hard_state is not None and entry is entries[-1]:
                self._log.stage_hard_state(batch, hard_state)
            # One batch a block: the next block reads what this one wrote.
            self._store.write(batch, sync=False)
            if entry.data and isinstance(results[-1], AppliedBlock):
                self._custodians.learn(results[-1].applied.custodians)
        return results

    def _apply_block(self, entry: Entry, batch: Batch) -> Result:
        started = time.monotonic()
        ref = parse_block_ref(entry.data)
        held = self._held(ref)
        if block_hash(held.block.header_bytes, held.block.batches) != ref.hash:
            raise BlockChangedError(ref.height)
        check_edge(self.edge, self.head)
        outcome = apply_block(
            self._store,
            self.head,
            held,
            self._genesis,
            self.edge,
            known=self._custodians.states,
            check=self._check,
        )
        if isinstance(outcome, VoidReason):
            drop_outcomes(batch, held)
            batch.put(Table.VOID, _INDEX.pack(entry.index), outcome.name.encode())
            return VoidBlock(log_index=entry.index, held=held, reason=outcome)
        batch.rows.extend(outcome.batch.rows)
        drop_outcomes(batch, held)
        self.head = outcome.head
        self.edge = outcome.edge
        seconds = time.monotonic() - started
        return AppliedBlock(log_index=entry.index, held=held, applied=outcome, seconds=seconds)

    def _held(self, ref: BlockRef) -> HeldBlock:
        held = self._stage.get(ref)
        if held is not None:
            return held
        block = load_block(self._store, ref)
        if block is None:
            raise BlockMissingError(ref.height)

        def allowed(height: Height, place: Place) -> bool:
            return is_justified(self._store, height, ref.hash, place)

        try:
            return hold_block(
                block,
                self._genesis,
                recorded_outcomes=load_outcomes(self._store, ref),
                holes_allowed=allowed,
            )
        except NotHeldError as error:
            raise BlockNotHeldError(ref.height, error.message) from error


def check_edge(edge: TreeEdge, head: Head) -> None:
    """Return when frontier, tiles and head are still of one tree; at most 255 hashes a tile level.

    Raises:
        TreeChangedError: they are not.
    """
    size = edge.frontier.size
    try:
        by_tiles = read_frontier(size, NodeReader(_EdgeTiles(edge.partial_tiles)).at(size))
    except MalformedError as error:
        raise TreeChangedError(size) from error
    if by_tiles != edge.frontier or edge.frontier.root() != head.root:
        raise TreeChangedError(size)


class _EdgeTiles(TileReader):
    """The tiles at the edge: every root of the frontier lies in one of them."""

    __slots__ = ("_partial_tiles",)

    def __init__(self, partial_tiles: Mapping[int, bytes]) -> None:
        self._partial_tiles = partial_tiles

    @override
    def read_tile(self, tile: Tile) -> bytes:
        return self._partial_tiles.get(tile.level, b"")
