"""What other peers say, taken in: checked before anything is made of it.

Holding is checked here, before a Raft append that names the block is stepped: no acknowledgement
can leave for bytes that do not fit their leaves.
"""

import asyncio
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final, Protocol, TypeVar

from caretree.ledger.batches import parse_batch
from caretree.ledger.blocks import parse_block, parse_block_ref
from caretree.ledger.genesis import Genesis
from caretree.ledger.holding import NotHeldError, hold_block
from caretree.ledger.holes import needs_recorded_outcomes
from caretree.ledger.rows import parse_outcomes
from caretree.ledger.stored_blocks import has_block
from caretree.ledger.values import Batch, BlockRef, Head, HeldBlock, HeldEntry, Outcome
from caretree.merkle.lines import SignatureCheck, SignatureLine, parse_line
from caretree.model.errors import MalformedError
from caretree.model.ids import Digest, Height, LogIndex, PeerId, Place, TreeSize, show_peer_id
from caretree.model.limits import CLOCK_AHEAD_MS_MAX
from caretree.node.certifier import Certifier
from caretree.node.clock import Clock, VoterClocks
from caretree.node.consensus import Consensus
from caretree.node.peer_codec import decode_raft
from caretree.node.pool import HeldBatch, check_batch
from caretree.node.stage import BlockStage
from caretree.node.transport import LostMessageError
from caretree.proto.peer.v1 import peer_pb2
from caretree.raft.messages import Message, MessageType
from caretree.storage.ports import KeyValue
from caretree.telemetry.logs import Logger
from caretree.telemetry.metrics import Metrics

T = TypeVar("T")

# Smaller ones are checked in passing; larger ones would hold up heartbeats.
INLINE_BYTES_MAX: Final = 256 * 1024
# After so many blocks in a row that do not fit, this leader is not answered in this term.
NOT_HELD_MAX: Final = 3
SIGNATURE_LINES_MAX: Final = 128
# How long one sender's bundle may keep everybody else waiting; it may hold any number of messages.
TURN_S: Final = 0.005


class Batches(Protocol):
    """Takes what concerns batches."""

    def held(self, batch: Batch) -> Sequence[HeldEntry] | None:
        """The entries of a batch that this peer has made itself."""
        ...

    def offered(self, sender: PeerId, held: HeldBatch) -> None:
        """A peer hands in a batch to be ordered."""
        ...

    def refused(self, sender: PeerId, signature: bytes, *, retry_after_ms: int) -> None:
        """The leader did not take a batch of this peer's."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class InboundParts:
    """What is asked, and to whom things are handed on."""

    genesis: Genesis
    store: KeyValue
    stage: BlockStage
    consensus: Consensus
    certifier: Certifier
    check: SignatureCheck
    clocks: VoterClocks
    clock: Clock
    batches: Batches
    metrics: Metrics
    log: Logger
    spread: Callable[[TreeSize, Digest, Sequence[SignatureLine]], None]
    holes_allowed: Callable[[Height, Digest, Place], bool]
    head: Callable[[], Head]
    log_end: Callable[[], LogIndex]


class Inbound:
    """Receives for one peer."""

    def __init__(self, parts: InboundParts) -> None:
        self._parts = parts
        self._not_held: dict[PeerId, int] = {}
        self._shunned: dict[PeerId, int] = {}
        self._disbelieved: dict[PeerId, int] = {}

    async def receive(self, sender: PeerId, request: peer_pb2.DeliverRequest) -> None:
        """Take in what a peer says, message by message.

        Raises:
            LostMessageError: one does not fit; the stream must begin anew.
        """
        self._parts.clocks.heard(sender, request.clock_ms)
        turn_ends = time.monotonic() + TURN_S
        try:
            for message in request.messages:
                await self._take(sender, message)
                if time.monotonic() > turn_ends:
                    await asyncio.sleep(0)
                    turn_ends = time.monotonic() + TURN_S
        except (MalformedError, NotHeldError) as error:
            self._parts.metrics.not_held()
            raise LostMessageError(error.message) from error

    async def _take(self, sender: PeerId, message: peer_pb2.PeerMessage) -> None:
        match message.WhichOneof("message"):
            case "raft":
                await self._take_raft(sender, message.raft)
            case "block":
                await self._take_block(sender, message.block)
            case "batch":
                await self._take_batch(sender, message.batch.batch)
            case "batch_refused":
                refused = message.batch_refused
                self._parts.batches.refused(
                    sender, refused.signature, retry_after_ms=refused.retry_after_ms
                )
            case "signatures":
                self._take_signatures(sender, message.signatures)
            case _:
                raise LostMessageError("a message of no known kind")

    async def _take_raft(self, sender: PeerId, encoded: peer_pb2.RaftMessage) -> None:
        message = decode_raft(encoded, sender=sender)
        if self._shunned.get(sender) == message.term:
            return
        if message.type is MessageType.SNAP:
            # Every peer keeps its whole log, so no correct one sends a snapshot.
            raise LostMessageError("a snapshot, which nobody needs")
        if message.type is MessageType.APP and not self._fits(message):
            return
        if message.type is MessageType.HEARTBEAT and not self._can_know(message):
            return
        await self._parts.consensus.take(message)

    def _can_know(self, message: Message) -> bool:
        """Whether a heartbeat commits no more than this peer ever acknowledged.

        A leader learns from acknowledgements alone how far this log agrees with its own. Beyond the
        end of the log, and beyond what the watermark says it once had, it can have learnt nothing:
        the message is lost. Within the watermark the core sees it, and stops for what is missing.
        """
        if message.commit <= self._parts.log_end():
            return True
        self._parts.metrics.not_held()
        if self._disbelieved.get(message.sender) != message.term:
            self._disbelieved[message.sender] = message.term
            self._parts.log.error(
                "a heartbeat commits what was never acknowledged; such are ignored",
                peer=show_peer_id(message.sender),
                term=message.term,
                commit=message.commit,
            )
        return False

    def _fits(self, message: Message) -> bool:
        """Whether every block that an append names is held, and none is from the future."""
        limit = self._parts.clock.now_ms() + CLOCK_AHEAD_MS_MAX
        for entry in message.entries:
            if not entry.data:
                continue
            ref = parse_block_ref(entry.data)
            staged = self._parts.stage.get(ref)
            if staged is None and not has_block(self._parts.store, ref):
                raise LostMessageError("an append names a block that is not held")
            if staged is not None and staged.block.header.time_ms > limit:
                self._parts.metrics.block_ahead_of_clock()
                self._parts.log.warning(
                    "block time is ahead of this clock, not acknowledged",
                    ahead_ms=staged.block.header.time_ms - limit + CLOCK_AHEAD_MS_MAX,
                )
                return False
        return True

    async def _take_block(self, sender: PeerId, encoded: peer_pb2.BlockBytes) -> None:
        try:
            block = await _off_loop(len(encoded.block), lambda: self._hold(encoded))
        except (MalformedError, NotHeldError):
            self._count_not_held(sender)
            raise
        self._not_held.pop(sender, None)
        self._parts.stage.put(block)

    def _hold(self, encoded: peer_pb2.BlockBytes) -> HeldBlock:
        parts = self._parts
        block = parse_block(encoded.block)
        outcomes = self._recorded_outcomes(encoded.outcomes, block.header.height)
        ref = BlockRef(height=block.header.height, hash=block.hash)

        def allowed(height: Height, place: Place) -> bool:
            return parts.holes_allowed(height, ref.hash, place)

        return hold_block(
            block,
            parts.genesis,
            recorded_outcomes=outcomes,
            holes_allowed=allowed,
            held=parts.batches.held,
        )

    def _recorded_outcomes(self, encoded: bytes, height: Height) -> tuple[Outcome, ...] | None:
        """The outcomes that a peer recorded, where validity cannot be decided anew here.

        They are taken only for what a certified root will judge.
        """
        if not encoded:
            return None
        if not needs_recorded_outcomes(self._parts.store, height):
            raise NotHeldError("recorded outcomes for a block before anything was erased")
        if self._parts.certifier.largest_size <= self._parts.head().tree_size:
            raise NotHeldError("recorded outcomes for a block that is not certified")
        return parse_outcomes(encoded)

    def _count_not_held(self, sender: PeerId) -> None:
        count = self._not_held.get(sender, 0) + 1
        self._not_held[sender] = count
        if count >= NOT_HELD_MAX:
            term = self._parts.consensus.raft.term
            self._shunned[sender] = term
            self._not_held.pop(sender, None)
            self._parts.log.error(
                "blocks of this leader do not fit; it is not answered in this term",
                peer=show_peer_id(sender),
                term=term,
            )

    async def _take_batch(self, sender: PeerId, encoded: bytes) -> None:
        genesis, check = self._parts.genesis, self._parts.check
        held = await _off_loop(
            len(encoded), lambda: check_batch(parse_batch(encoded), genesis, check=check)
        )
        self._parts.batches.offered(sender, held)

    def _take_signatures(self, sender: PeerId, signatures: peer_pb2.Signatures) -> None:
        if len(signatures.lines) > SIGNATURE_LINES_MAX:
            raise MalformedError("signatures.lines", f"at most {SIGNATURE_LINES_MAX}")
        lines = [parse_line(line) for line in signatures.lines]
        size, root = TreeSize(signatures.tree_size), Digest(signatures.root)
        known = self._parts.certifier.add(size, root, lines, sender=sender)
        if known:
            self._parts.spread(size, root, known)


async def _off_loop(size: int, work: Callable[[], T]) -> T:
    return work() if size <= INLINE_BYTES_MAX else await asyncio.to_thread(work)
