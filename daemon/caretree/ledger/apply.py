"""The one way in which state changes: a held block applied to the state that its parent left.

The same pure function serves Raft, gossip and the replay at a start, and has one caller, in node.
In: the stored state, the head, the block as held, the rules. Out: rows to be written in one batch,
and the new head; or the reason why the block is void and changes nothing.

1. Is the block void? (`void_reason`)
2. Each entry in order: its outcome, by what stands before it in the chain and in the block (or as
   it was recorded, from the first erasure up); an applied one takes the next leaf index and its
   effect.
3. The leaves of the applied entries and the seal extend the tree.
4. Rows of the block, the tiles and the head join those of the effects.
"""

from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Final

from caretree.crypto.ed25519 import verify
from caretree.ledger.batches import batch_message
from caretree.ledger.custodians import Custodians
from caretree.ledger.decide import Scene, decide, read_ahead
from caretree.ledger.effects import take_effect
from caretree.ledger.genesis import Genesis
from caretree.ledger.holding import hold_genesis
from caretree.ledger.holes import needs_recorded_outcomes
from caretree.ledger.overlay import Overlay
from caretree.ledger.row_keys import HEAD_KEY, height_key, leaves_key, trail_key
from caretree.ledger.rows import (
    BlockPlace,
    encode_block_place,
    encode_head,
    encode_kind,
    encode_outcomes,
)
from caretree.ledger.tree import EMPTY_EDGE, TreeEdge, put_tiles, tree_leaves
from caretree.ledger.values import (
    Batch,
    Block,
    EntryKind,
    Head,
    HeldBlock,
    Outcome,
    Position,
    VoidReason,
)
from caretree.merkle.frontier import Growth, grow
from caretree.merkle.hashing import leaf_hashes
from caretree.merkle.lines import SignatureCheck
from caretree.merkle.tiles import update_tiles
from caretree.model.errors import VerificationError
from caretree.model.ids import LeafIndex, MemberId, PeerId
from caretree.storage.keys import Table
from caretree.storage.ports import Batch as StorageBatch
from caretree.storage.ports import Reads

NONE_KNOWN: Final[Custodians] = MappingProxyType({})


@dataclass(frozen=True, slots=True, kw_only=True)
class Applied:
    """What applying a block gave; the state is this once `batch` is written."""

    batch: StorageBatch = field(repr=False)
    head: Head
    place: BlockPlace
    outcomes: tuple[Outcome, ...]
    positions: tuple[Position | None, ...]  # by place; None for a refused entry
    edge: TreeEdge
    growth: Growth = field(repr=False)  # has every node that proofs of the new leaves need
    custodians: Custodians = field(repr=False)  # the keyrings that the block read or changed


def apply_block(
    reads: Reads,
    head: Head,
    held: HeldBlock,
    rules: Genesis,
    edge: TreeEdge,
    *,
    known: Custodians = NONE_KNOWN,
    check: SignatureCheck = verify,
) -> Applied | VoidReason:
    """What the block does to the state whose head and tree these are, or why it does nothing.

    `known` are keyrings that need not be read again; `check` may remember batches that were checked
    here before. Requires `reads`, `head`, `edge` and `known` to be of one state.
    """
    assert edge.frontier.size == head.tree_size
    reason = void_reason(head, held.block, rules, check)
    if reason is not None:
        return reason
    header = held.block.header
    rows = Overlay(reads)
    scene = Scene(rows=rows, rules=rules, height=header.height, time_ms=header.time_ms, known=known)
    outcomes, positions = _take_entries(scene, held, first_leaf=head.tree_size)
    return _close(rows, held.block, outcomes, positions, edge, custodians=scene.custodians)


def apply_genesis(reads: Reads, rules: Genesis) -> Applied:
    """The state that the genesis begins, on an empty store: block 0, leaves 0 and 1."""
    assert reads.get(Table.STATE, HEAD_KEY) is None, "there is a state already"
    held = hold_genesis(rules)
    (entry,) = held.entries
    header = held.block.header
    position = Position(height=header.height, place=entry.place, leaf_index=LeafIndex(0))
    rows = Overlay(reads)
    rows.put(Table.TRAIL, trail_key(position.leaf_index), encode_kind(EntryKind.GENESIS))
    return _close(
        rows, held.block, (Outcome.APPLIED,), (position,), EMPTY_EDGE, custodians=NONE_KNOWN
    )


def void_reason(
    head: Head, block: Block, rules: Genesis, check: SignatureCheck = verify
) -> VoidReason | None:
    """Why the block has no effect after this head; None when it has.

    A leader that drafts such a block is broken or lies: it takes no height, and its name goes into
    an alarm (INV-7).
    """
    header = block.header
    checks = (
        (header.height == head.height + 1, VoidReason.HEIGHT),
        (header.parent == head.block_hash, VoidReason.PARENT),
        (header.time_ms > head.time_ms, VoidReason.TIME),
        (header.membership_epoch == head.membership_epoch, VoidReason.EPOCH),
        (header.ledger_version == head.ledger_version, VoidReason.VERSION),
        (bool(block.batches), VoidReason.EMPTY),
    )
    for holds, reason in checks:
        if not holds:
            return reason
    reasons = (_batch_void_reason(batch, rules, check) for batch in block.batches)
    return next(filter(None, reasons), None)


def _batch_void_reason(batch: Batch, rules: Genesis, check: SignatureCheck) -> VoidReason | None:
    peer = rules.peer(batch.author)
    if peer is None:
        return VoidReason.AUTHOR
    message = batch_message(origin=rules.origin, author=batch.author, leaves=batch.leaves)
    try:
        check(peer.batch_key, message, batch.signature)
    except VerificationError:
        return VoidReason.SIGNATURE
    return None


def _take_entries(
    scene: Scene, held: HeldBlock, *, first_leaf: int
) -> tuple[tuple[Outcome, ...], tuple[Position | None, ...]]:
    """Each entry's outcome and position, its effect taken before the next one is judged."""
    outcomes: list[Outcome] = []
    positions: list[Position | None] = []
    next_leaf = first_leaf
    recorded = _recorded(scene, held)
    members = {batch.author: _member_of(scene.rules, batch.author) for batch in held.block.batches}
    read_ahead(scene, ((members[entry.author], entry.body) for entry in held.entries))
    for entry in held.entries:
        member = members[entry.author]
        outcome = decide(scene, member, entry.body) if recorded is None else recorded[entry.place]
        outcomes.append(outcome)
        if outcome is not Outcome.APPLIED:
            positions.append(None)
            continue
        position = Position(height=scene.height, place=entry.place, leaf_index=LeafIndex(next_leaf))
        positions.append(position)
        next_leaf += 1
        if entry.body is not None:
            take_effect(scene, member, entry.body, position)
    return tuple(outcomes), tuple(positions)


def _recorded(scene: Scene, held: HeldBlock) -> tuple[Outcome, ...] | None:
    """The outcomes to take as recorded; None where all are decided here.

    They come from whoever sent the block. Where nothing was erased their word counts for nothing,
    or a leader that lies could have entries take effect that no rule allows (INV-8).
    """
    recorded = held.recorded_outcomes
    if recorded is None or not needs_recorded_outcomes(scene.rows, scene.height):
        return None
    return recorded


def _member_of(rules: Genesis, author: PeerId) -> MemberId:
    peer = rules.peer(author)
    assert peer is not None, "a block by a stranger is void"
    return peer.member


def _close(
    rows: Overlay,
    block: Block,
    outcomes: tuple[Outcome, ...],
    positions: tuple[Position | None, ...],
    edge: TreeEdge,
    *,
    custodians: Custodians,
) -> Applied:
    """The tree extended by the block's leaves and its seal, and the rows that say so."""
    header = block.header
    leaves = tree_leaves(block, outcomes)
    growth = grow(edge.frontier, leaf_hashes(leaves))
    update = update_tiles(growth, edge.partial_tiles)
    head = Head(
        height=header.height,
        block_hash=block.hash,
        time_ms=header.time_ms,
        tree_size=growth.after.size,
        frontier=growth.after.roots,
        root=growth.after.root(),
        membership_epoch=header.membership_epoch,
        ledger_version=header.ledger_version,
    )
    place = BlockPlace(
        block_hash=block.hash,
        first_leaf=LeafIndex(edge.frontier.size),
        leaf_count=len(leaves),
        time_ms=header.time_ms,
    )
    put_tiles(rows, update, before=edge.frontier.size)
    rows.put(Table.HEIGHT, height_key(header.height), encode_block_place(place))
    rows.put(Table.OUTCOME, height_key(header.height), encode_outcomes(outcomes))
    rows.put(Table.LEAVES, leaves_key(place.first_leaf), height_key(header.height))
    rows.put(Table.STATE, HEAD_KEY, encode_head(head))
    return Applied(
        batch=rows.batch,
        head=head,
        place=place,
        outcomes=outcomes,
        positions=positions,
        edge=TreeEdge(frontier=growth.after, partial_tiles=update.right_edge),
        growth=growth,
        custodians=custodians,
    )
