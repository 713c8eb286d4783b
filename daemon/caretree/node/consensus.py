"""The single-writer loop: Raft's inputs in, Raft's duties done in their order.

The core is touched on the loop's thread alone: by this task, and by calls that hand in a wish
between two of its awaits, where the state is consistent. Messages and batches wait in the inbox.
"""

import asyncio
import time
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Final, Protocol

from caretree.ledger.blocks import block_ref, encode_block_ref, parse_block_ref
from caretree.ledger.stored_blocks import has_block, store_block
from caretree.ledger.values import HeldBlock
from caretree.model.errors import RejectedError
from caretree.model.ids import Digest, LogIndex, PeerId, TimeMs, TreeSize, show_peer_id
from caretree.node.applier import AppliedBlock, Applier, Result, VoidBlock
from caretree.node.disk import (
    Disk,
    LastRow,
    watermark_of_log,
    watermark_of_row,
    watermark_of_signature,
)
from caretree.node.held_outcomes import stage_outcomes
from caretree.node.pool import HeldBatch, Pool
from caretree.node.raft_log import StoredLog, row_hash
from caretree.node.stage import BlockStage
from caretree.raft.core import Role
from caretree.raft.errors import DroppedError
from caretree.raft.messages import NO_PEER, NO_TERM, Entry, HardState, Message, MessageType
from caretree.raft.rawnode import RawNode
from caretree.raft.ready import Ready
from caretree.storage.ports import Batch
from caretree.telemetry.logs import Logger
from caretree.telemetry.metrics import FsyncTarget, Metrics

# Ticks that may wait while a write takes long: enough to notice, too few to end a term by itself.
WAITING_TICKS_MAX: Final = 4
INBOX_MESSAGES_MAX: Final = 1024


class Outlet(Protocol):
    """Where Raft's messages go."""

    def send_raft(self, message: Message) -> None:
        """Send a message; it may be lost."""
        ...


class Followers(Protocol):
    """Who is told of what the loop did, on the loop's thread."""

    def on_leader(self, lead: PeerId) -> None:
        """Another leader, or none (NO_PEER)."""
        ...

    def on_result(self, result: Result) -> None:
        """A block was applied, or is void."""
        ...

    def on_signed(self, size: TreeSize, root: Digest) -> None:
        """(size, root) is durable in the watermark: this peer may sign it now."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Parts:
    """What the loop works with."""

    raft: RawNode
    log: StoredLog
    disk: Disk
    stage: BlockStage
    applier: Applier
    pool: Pool
    own: PeerId
    outlet: Outlet
    followers: Followers
    metrics: Metrics
    logger: Logger
    block_time: Callable[[], TimeMs]


class Consensus:
    """One peer's part in ordering."""

    def __init__(self, parts: Parts) -> None:
        self._parts = parts
        self._inbox: deque[Message] = deque()
        self._waiting_ticks = 0
        self._wake = asyncio.Event()
        self._space = asyncio.Event()
        self._space.set()
        self._unreachable: set[PeerId] = set()
        self._reads: dict[bytes, asyncio.Future[None]] = {}
        self._reads_confirmed: list[tuple[LogIndex, bytes]] = []
        self._hard_state_unsaved: HardState | None = None
        self._lead = NO_PEER
        self._applied_term = NO_TERM
        self._in_flight_term = NO_TERM
        self._proposed_at = 0.0
        self._authors: set[PeerId] = set()

    # What others hand in.

    def tick(self) -> None:
        """Let one unit of Raft's time pass."""
        self._waiting_ticks = min(self._waiting_ticks + 1, WAITING_TICKS_MAX)
        self._wake.set()

    async def take(self, message: Message) -> None:
        """Take in a Raft message; waits while too many wait already."""
        while len(self._inbox) >= INBOX_MESSAGES_MAX:
            self._space.clear()
            await self._space.wait()
        self._inbox.append(message)
        self._wake.set()

    def unreachable(self, peer: PeerId) -> None:
        """Note that messages to `peer` are being lost."""
        self._unreachable.add(peer)
        self._wake.set()

    def add_batch(self, held: HeldBatch) -> bool:
        """Order a batch; False when this peer does not lead or its pool is full."""
        taken = self.leads and self._parts.pool.add(held)
        self._wake.set()
        return taken

    async def read_barrier(self, context: bytes) -> None:
        """Return once all that was committed before this call is applied here (Raft 6.4).

        Raises:
            DroppedError: no leader is known.
        """
        done: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._reads[context] = done
        try:
            self._parts.raft.read_index(context)
            self._wake.set()
            await done
        finally:
            self._reads.pop(context, None)

    def transfer(self, to: PeerId) -> None:
        """Begin to hand leadership to `to`.

        Raises:
            TransferRefusedError, ProposalDroppedError: see RawNode.transfer_leader.
        """
        self._parts.raft.transfer_leader(to)
        self._wake.set()

    # What others may know.

    @property
    def leads(self) -> bool:
        """Whether this peer leads its term."""
        return self._parts.raft.role is Role.LEADER

    @property
    def lead(self) -> PeerId:
        """The leader, or NO_PEER."""
        return self._parts.raft.lead

    @property
    def raft(self) -> RawNode:
        """The core, to look into."""
        return self._parts.raft

    # The loop.

    async def run(self) -> None:
        """Go on for ever.

        Raises:
            FatalError: this peer must stop.
        """
        while True:
            await self._wake.wait()
            self._wake.clear()
            self._take_in()
            self._draft()
            while self._parts.raft.has_ready():
                await self._handle(self._parts.raft.ready())
                self._parts.raft.advance()
                self._answer_reads()
                self._take_in()
                self._draft()

    def _take_in(self) -> None:
        raft = self._parts.raft
        for peer in self._unreachable:
            raft.report_unreachable(peer)
        self._unreachable.clear()
        while self._inbox:
            message = self._inbox.popleft()
            if not (self._holds(message) and self._reaches(message)):
                continue  # lost: the leader asks again
            try:
                raft.step(message)
            except RejectedError as error:
                self._parts.logger.warning(
                    "raft message refused", peer=show_peer_id(message.sender), why=str(error)
                )
        self._space.set()
        while self._waiting_ticks > 0:
            self._waiting_ticks -= 1
            raft.tick()

    def _holds(self, message: Message) -> bool:
        """Whether every block that an append names is still here.

        It was when the message came in; the stage may have forgotten it since, to make room. From
        here until `_handle` has taken hold of what is to be written nothing else runs.
        """
        if message.type is not MessageType.APP:
            return True
        stage, store = self._parts.stage, self._parts.disk.store
        refs = (parse_block_ref(entry.data) for entry in message.entries if entry.data)
        return all(stage.get(ref) is not None or has_block(store, ref) for ref in refs)

    def _reaches(self, message: Message) -> bool:
        """Whether the log reaches as far as a heartbeat commits, or lacks what it once had.

        It did when the message came in; an append may have replaced a longer tail since, and what a
        leader makes up must not pass for lost storage. From here to the core nothing else runs.
        """
        parts = self._parts
        if message.type is not MessageType.HEARTBEAT or message.commit <= parts.raft.last_index:
            return True
        return parts.log.last_index() < parts.disk.watermark.read().last_index

    def _draft(self) -> None:
        """Propose the next block when the one before it has been applied."""
        parts = self._parts
        term = parts.raft.term
        # The empty entry of the own term is applied, and no block is under way: the tree that this
        # one extends is not speculative (ARCHITECTURE section 5).
        if not self.leads or self._applied_term != term or self._in_flight_term == term:
            return
        held = parts.pool.draft(parts.applier.head, now_ms=parts.block_time(), leader=parts.own)
        if held is None:
            return
        ref = parts.stage.put(held)
        try:
            parts.raft.propose(encode_block_ref(ref), payload_bytes=len(held.block.encoded))
        except DroppedError:
            parts.stage.drop(ref)
            parts.metrics.proposal_dropped()
        else:
            self._in_flight_term = term
            self._authors = {batch.author for batch in held.block.batches}
            self._proposed_at = time.monotonic()
            parts.metrics.block_proposed()

    async def _handle(self, ready: Ready) -> None:
        parts = self._parts
        # Before anything else has a turn: the stage may forget a block in order to make room.
        blocks = [self._staged(entry) for entry in ready.entries if entry.data]
        if ready.soft_state is not None:
            self._note_leader(ready.soft_state.lead)
        # Whoever wrote what is in the block answers a caller who waits: it hears first.
        for message in sorted(ready.messages_now, key=lambda each: each.to not in self._authors):
            parts.outlet.send_raft(message)
        if ready.messages_now:
            # Two turns of the loop: a link wakes up in the first and writes in the second, so that
            # what followers wait for is under way before the disk is asked for anything.
            await asyncio.sleep(0)
            await asyncio.sleep(0)
        await self._persist(ready, blocks)
        for message in ready.messages_after_persist:
            parts.outlet.send_raft(message)
        if ready.committed_entries:
            await self._apply(ready.committed_entries)
        self._reads_confirmed.extend((state.index, state.context) for state in ready.read_states)

    def _note_leader(self, lead: PeerId) -> None:
        changed = lead not in (self._lead, NO_PEER)
        if lead != self._lead:
            self._lead = lead
            self._parts.logger.info("leader", peer=show_peer_id(lead) if lead != NO_PEER else None)
        if not self.leads:
            self._parts.pool.clear()
        self._parts.metrics.leadership_changed(
            is_leader=self.leads, has_leader=lead != NO_PEER, new_leader=changed
        )
        self._parts.followers.on_leader(lead)

    async def _persist(self, ready: Ready, blocks: Sequence[HeldBlock | None]) -> None:
        if ready.hard_state is not None:
            self._hard_state_unsaved = ready.hard_state
        if not ready.must_sync:
            return  # only the commit index moved: it goes with the next batch of apply
        state, self._hard_state_unsaved = self._hard_state_unsaved, None
        await self._parts.disk.run(self._write_log, ready.entries, blocks, state)
        self._parts.log.written(ready.entries)

    def _staged(self, entry: Entry) -> HeldBlock | None:
        # None: the block is in the store already, under another log row.
        return self._parts.stage.get(parse_block_ref(entry.data))

    def _write_log(
        self,
        entries: Sequence[Entry],
        blocks: Sequence[HeldBlock | None],
        state: HardState | None,
    ) -> None:
        parts = self._parts
        batch = Batch()
        for held in blocks:
            if held is None:
                continue
            # What is in the store stays as it is: neither hash nor leaf covers a wrapped key, and a
            # later claim of the same block must not replace one (ARCHITECTURE section 7).
            if not has_block(parts.disk.store, block_ref(held.block)):
                store_block(batch, held)
            stage_outcomes(batch, held)
        parts.log.stage(batch, entries)
        if state is not None:
            parts.log.stage_hard_state(batch, state)
        mark = parts.disk.watermark.read()
        row: LastRow = (mark.last_term, mark.last_index, mark.last_hash)
        if entries:
            row = (entries[-1].term, entries[-1].index, row_hash(entries[-1]))
        raised = watermark_of_log(mark, parts.log.hard_state(), row)
        if row[:2] < (mark.last_term, mark.last_index):
            # A tail replaced by rows of smaller terms makes the log shorter: say so before it is.
            # The term and vote stay as they are until the store has the new ones.
            parts.disk.watermark.write(watermark_of_row(mark, row))
        with self._timed(FsyncTarget.LOG):
            parts.disk.store.write(batch, sync=True)
        if raised != parts.disk.watermark.read():
            with self._timed(FsyncTarget.WATERMARK):
                parts.disk.watermark.write(raised)

    async def _apply(self, entries: Sequence[Entry]) -> None:
        parts = self._parts
        state, self._hard_state_unsaved = self._hard_state_unsaved, None
        results = await parts.disk.run(self._apply_and_mark, entries, state)
        self._applied_term = entries[-1].term
        if results and self._in_flight_term == self._applied_term:
            parts.metrics.block_committed(seconds=time.monotonic() - self._proposed_at)
        if results:
            self._in_flight_term = NO_TERM
        for result in results:
            self._note_result(result)
        last = next((each for each in reversed(results) if isinstance(each, AppliedBlock)), None)
        if last is not None:
            head = last.applied.head
            parts.followers.on_signed(head.tree_size, head.root)

    def _apply_and_mark(self, entries: Sequence[Entry], state: HardState | None) -> list[Result]:
        parts = self._parts
        results = parts.applier.apply(entries, state)
        if any(isinstance(each, AppliedBlock) for each in results):
            head = parts.applier.head
            self.mark_signed(head.tree_size, head.root)
        return results

    def mark_signed(self, size: TreeSize, root: Digest) -> None:
        """Make (size, root) durable in the watermark; runs on the disk thread."""
        watermark = self._parts.disk.watermark
        raised = watermark_of_signature(watermark.read(), size, root)
        if raised != watermark.read():
            with self._timed(FsyncTarget.WATERMARK):
                watermark.write(raised)

    def _note_result(self, result: Result) -> None:
        parts = self._parts
        block = result.held.block
        for batch in block.batches:
            parts.pool.remove(batch.signature)
        if isinstance(result, VoidBlock):
            parts.logger.error(
                "void block",
                height=block.header.height,
                leader=show_peer_id(block.header.leader),
                why=result.reason.value,
            )
        parts.followers.on_result(result)

    @contextmanager
    def _timed(self, target: FsyncTarget) -> Iterator[None]:
        started = time.monotonic()
        yield
        self._parts.metrics.fsynced(target, seconds=time.monotonic() - started)

    def _answer_reads(self) -> None:
        applied = self._parts.raft.basic_status().applied
        waiting = self._reads_confirmed
        self._reads_confirmed = [each for each in waiting if each[0] > applied]
        for index, context in waiting:
            done = self._reads.get(context)
            if index <= applied and done is not None and not done.done():
                done.set_result(None)
