"""One peer: what the rooms above call, and the tasks that keep it alive.

Start reading here, then `assembly` (what it is made of), `consensus` (the loop), `inbound` (what
others say), `author` (this peer's entries), `startup` (how a peer comes back).
"""

import asyncio
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from functools import partial
from typing import Final

import grpc

from caretree.crypto.pseudonym import PatientIdentifier
from caretree.ledger.authoring import draft_denial
from caretree.ledger.genesis import Genesis
from caretree.ledger.queries import first_answer, leaf_place, record_place
from caretree.ledger.values import Actor, Denial, Position
from caretree.model.errors import FatalError
from caretree.model.ids import Digest, LeafIndex, PeerId, RecordId, RequestId, TreeSize
from caretree.model.reasons import CallError, Reason
from caretree.node.admission import Admission
from caretree.node.assembly import PeerParts, PeerSettings, assemble
from caretree.node.author import Told
from caretree.node.calls import (
    AppendAnswer,
    AppendCommand,
    CheckpointAnswer,
    GrantAnswer,
    GrantCommand,
    GrantView,
    HistoryAnswer,
    HistoryCommand,
    HistoryRecord,
    ReceiptAnswer,
    RecordCommand,
    RevokeCommand,
    StatusView,
    TrailAnswer,
)
from caretree.node.certified_store import save_certified
from caretree.node.clock import utc_now
from caretree.node.disk import Disk
from caretree.node.peer_server import PeerServicer, build_peer_server
from caretree.node.status import best_transferee, majority_in_reach, status_of
from caretree.proto.peer.v1 import peer_pb2
from caretree.raft.errors import DroppedError, TransferRefusedError
from caretree.raft.messages import NO_PEER
from caretree.telemetry.health import HealthState

SWEEP_S: Final = 0.1
KEEP_UP_S: Final = 1.0
TRANSFER_WAIT_S: Final = 1.0
DRAIN_S: Final = 2.0


class Peer:
    """A member's daemon, without its doors to clients.

    Raises:
        FatalError: the data directory does not hold what it must.
    """

    def __init__(self, settings: PeerSettings, disk: Disk) -> None:
        self._settings = settings
        self._disk = disk
        self._stopped = asyncio.Event()
        self._failure: FatalError | None = None
        self._parts: PeerParts = assemble(settings, disk)
        self._saved = self._parts.certifier.newest
        self._calls = 0
        self._no_calls = asyncio.Event()
        self._no_calls.set()
        self.ready = asyncio.Event()

    @property
    def genesis(self) -> Genesis:
        """The consortium's genesis."""
        return self._settings.genesis

    # Calls. Each raises CallError for a reason of the table, and a FatalError ends the process.

    async def append(
        self, commands: Sequence[AppendCommand], *, deadline: float, receipts: bool = True
    ) -> list[AppendAnswer | CallError]:
        """What became of each record, in order."""
        with self._under_way():
            appending = self._parts.appending
            return await appending.append(commands, deadline=deadline, receipts=receipts)

    async def history(self, command: HistoryCommand, *, deadline: float) -> HistoryAnswer:
        """A page of a history; its reading is committed when this returns."""
        with self._under_way():
            answer = await self._parts.reading.history(command, deadline=deadline)
        return replace(answer, records=self._watched_records(answer.records))

    async def record(
        self, command: RecordCommand, *, deadline: float
    ) -> tuple[Position, HistoryRecord]:
        """One record, and the position of its reading."""
        with self._under_way():
            return await self._parts.reading.record(command, deadline=deadline)

    async def grant(self, command: GrantCommand, *, deadline: float) -> GrantAnswer:
        """A history opened to a member."""
        with self._under_way():
            return await self._parts.granting.grant(command, deadline=deadline)

    async def revoke(self, command: RevokeCommand, *, deadline: float) -> list[GrantAnswer]:
        """Grants taken back."""
        with self._under_way():
            return await self._parts.granting.revoke(command, deadline=deadline)

    def grants(
        self, patient: PatientIdentifier, *, after: bytes | None, limit: int
    ) -> tuple[list[GrantView], bytes | None]:
        """The patient's grants that this member gave or received, and the id to go on after."""
        with self._watched():
            return self._parts.granting.grants(patient, after=after, limit=limit)

    def trail(self, patient: PatientIdentifier | None, *, before: int, limit: int) -> TrailAnswer:
        """Who did what, newest first."""
        with self._watched():
            return self._parts.trail.page(patient, before=before, limit=limit)

    def receipt_of_record(self, record_id: RecordId) -> ReceiptAnswer:
        """The receipt of a record of this member."""
        with self._watched():
            place = record_place(self._disk.store, record_id)
            if place is None or place.custodian != self._settings.member:
                raise CallError(Reason.UNKNOWN_ENTRY)
            return self._parts.proofs.receipt(place.position.leaf_index)

    def receipt_of_request(self, request_id: RequestId) -> ReceiptAnswer:
        """The receipt of what a request of this member did."""
        with self._watched():
            first = first_answer(self._disk.store, self._settings.member, request_id)
            if first is None:
                raise CallError(Reason.UNKNOWN_ENTRY)
            return self._parts.proofs.receipt(first.position.leaf_index)

    def receipt_of_leaf(self, leaf_index: LeafIndex) -> ReceiptAnswer:
        """The receipt of an entry of this member."""
        with self._watched():
            place = leaf_place(self._disk.store, leaf_index)
            if place is None or place.place is None:
                raise CallError(Reason.UNKNOWN_ENTRY)
            entry = self._parts.desk.blocks.entry(place.height, place.place)
            author = None if entry is None else self.genesis.peer(entry.author)
            if author is None or author.member != self._settings.member:
                raise CallError(Reason.UNKNOWN_ENTRY)
            return self._parts.proofs.receipt(leaf_index)

    def checkpoint(self) -> CheckpointAnswer:
        """The newest certified checkpoint."""
        with self._watched():
            return self._parts.proofs.checkpoint()

    def consistency_proof(
        self, first: TreeSize, second: TreeSize | None
    ) -> tuple[tuple[Digest, ...], TreeSize]:
        """The proof that one certified tree is a prefix of another, and the larger size."""
        with self._watched():
            return self._parts.proofs.consistency(first, second)

    def tile(self, level: int, index: int, width: int) -> bytes | None:
        """A tile of the certified tree, or None."""
        with self._watched():
            return self._parts.proofs.tile(level, index, width)

    def entry_bundle(self, index: int, width: int) -> bytes | None:
        """Leaves of the certified tree, or None."""
        with self._watched():
            return self._parts.proofs.entry_bundle(index, width)

    def status(self) -> StatusView:
        """This peer's account of itself and the others."""
        return status_of(self._settings, self._parts)

    async def transfer_leadership(self, to: PeerId | None, *, deadline: float) -> PeerId:
        """Hand leadership to a voter, or to the one that is furthest; who leads then."""
        target = to if to is not None else best_transferee(self._settings, self._parts)
        if target is None:
            raise CallError(Reason.UNFINISHED_TRANSFER, retry_after_ms=1000)
        loop = asyncio.get_running_loop()
        try:
            self._parts.consensus.transfer(target)
        except TransferRefusedError as error:
            raise CallError(Reason.UNKNOWN_PEER) from error
        except DroppedError as error:
            raise CallError(Reason.NO_QUORUM, retry_after_ms=500) from error
        while self._parts.consensus.lead != target:
            if loop.time() >= deadline:
                raise CallError(Reason.UNFINISHED_TRANSFER, retry_after_ms=1000)
            await asyncio.sleep(0.01)
        return target

    async def receive(self, sender: PeerId, request: peer_pb2.DeliverRequest) -> None:
        """Take in what another peer says (see `transport.Receiver`)."""
        with self._watched():
            await self._parts.inbound.receive(sender, request)

    # The life of a peer.

    async def run(self) -> None:
        """Be a peer until `stop` is called.

        Raises:
            FatalError: going on is unsafe.
            OSError: the peer port cannot be listened on.
        """
        parts = self._parts
        server = self._build_server()
        await server.start()
        await self._sign_what_was_applied()
        tasks = [parts.consensus.run(), self._tick(), self._sweep(), self._keep_up()]
        tasks.extend(link.run() for link in parts.transport.links)
        running = [asyncio.ensure_future(task) for task in tasks]
        stopped = asyncio.ensure_future(self._wait_for_stop())
        self.ready.set()
        try:
            await asyncio.wait({stopped, *running}, return_when=asyncio.FIRST_COMPLETED)
            for task in running:
                if task.done():
                    task.result()  # raises what ended it
            if self._failure is not None:
                raise self._failure
        finally:
            for task in [stopped, *running]:
                task.cancel()
            await asyncio.gather(stopped, *running, return_exceptions=True)
            await server.stop(0.2)
            self._disk.close()

    async def _wait_for_stop(self) -> None:
        await self._stopped.wait()

    async def stop(self) -> None:
        """Hand leadership over and end `run`; whoever still has doors open closes them before."""
        await self.prepare_stop()
        if self._parts.consensus.leads:
            await self._hand_over_leadership()
        await self._save_certified()
        self._stopped.set()

    async def prepare_stop(self) -> None:
        """Tell that this peer stops, and finish what is on its way."""
        self._settings.health.change(HealthState.STOPPING, reason="stopping")
        self._submit_denials(everything=True)
        try:
            async with asyncio.timeout(DRAIN_S):
                # Calls first: one that prepares keys has handed nothing to the author yet.
                await self._no_calls.wait()
                await self._parts.author.drained()
        except TimeoutError:
            self._settings.log.warning("entries left on their way; who waits for them asks again")

    async def _hand_over_leadership(self) -> None:
        target = best_transferee(self._settings, self._parts)
        if target is None:
            return
        deadline = asyncio.get_running_loop().time() + TRANSFER_WAIT_S
        try:
            await self.transfer_leadership(target, deadline=deadline)
        except CallError as error:
            self._settings.log.warning("leadership not handed over", why=error.reason.name)

    async def _save_certified(self) -> None:
        newest = self._parts.certifier.newest
        if newest is not None and newest != self._saved:
            self._saved = newest
            await self._disk.run(save_certified, self._disk.store, newest)

    def _build_server(self) -> grpc.aio.Server:
        settings = self._settings
        servicer = PeerServicer(
            settings.genesis,
            settings.own,
            self,
            admission=Admission(settings.genesis, settings.deny_list, now=utc_now),
            version=settings.version,
            metrics=settings.metrics,
            log=settings.log,
        )
        return build_peer_server(
            servicer,
            listen=settings.listen_peer,
            tls=settings.tls,
            genesis=settings.genesis,
            metrics=settings.metrics,
            log=settings.log,
        )

    async def _sign_what_was_applied(self) -> None:
        """Sign the tree as it was found: a crash may have come between apply and signature."""
        head = self._parts.applier.head
        await self._disk.run(self._parts.consensus.mark_signed, head.tree_size, head.root)
        self._parts.following.on_signed(head.tree_size, head.root)

    async def _tick(self) -> None:
        interval = self._settings.timing.tick_ms / 1000
        loop = asyncio.get_running_loop()
        due = loop.time() + interval
        while True:
            await asyncio.sleep(max(due - loop.time(), 0))
            late = loop.time() - due
            self._settings.metrics.loop_lagged(seconds=max(late, 0))
            # After a stall, time goes on from now: the ticks missed are not made up for.
            due = loop.time() + interval if late > interval else due + interval
            self._parts.consensus.tick()

    async def _sweep(self) -> None:
        parts, settings = self._parts, self._settings
        while True:
            await asyncio.sleep(SWEEP_S)
            in_reach = majority_in_reach(settings, parts)
            parts.author.on_majority(in_reach=in_reach)
            parts.author.sweep()
            parts.signing.sign_when_idle()
            can_commit = in_reach and parts.consensus.lead != NO_PEER
            settings.metrics.can_commit_changed(can_commit=can_commit)
            settings.metrics.pool_changed(
                entries=parts.author.queued_entries + parts.pool.entries,
                size_bytes=parts.author.queued_bytes + parts.pool.size_bytes,
            )
            for peer in settings.genesis.peers:
                if peer.peer != settings.own:
                    reachable = parts.transport.connected(peer.peer)
                    settings.metrics.peer_reachable(peer.peer, peer.member, reachable=reachable)
            state = HealthState.CAN_COMMIT if can_commit else HealthState.CANNOT_COMMIT
            reason = "a leader and a majority are in reach" if can_commit else "no quorum in reach"
            settings.health.change(state, reason=reason)

    async def _keep_up(self) -> None:
        while True:
            await asyncio.sleep(KEEP_UP_S)
            self._parts.signing.spread_newest()
            self._submit_denials(everything=False)
            await self._save_certified()

    def _submit_denials(self, *, everything: bool) -> None:
        parts = self._parts
        due = parts.denials.take(self._settings.clock.now_ms(), everything=everything)
        desk = parts.desk
        drafts = [
            draft_denial(desk.author, desk.own_request(actor), denial, desk.custody)
            for actor, denial in due
        ]
        if not drafts:
            return
        keeping = {place: partial(self._keep_denial, *each) for place, each in enumerate(due)}
        try:
            parts.author.submit(drafts, keeping)
        except CallError:
            for actor, denial in due:
                parts.denials.put_back(actor, denial)

    def _keep_denial(self, actor: Actor, denial: Denial, told: Told) -> None:
        """Write a denial again later that was given up before it was handed over."""
        if isinstance(told, CallError) and told.reason is Reason.NO_QUORUM:
            self._parts.denials.put_back(actor, denial)

    def fail(self, failure: FatalError) -> None:
        """End `run` with this failure."""
        if self._failure is None:
            self._failure = failure
        self._stopped.set()

    async def _watched_records(
        self, records: AsyncIterator[HistoryRecord]
    ) -> AsyncIterator[HistoryRecord]:
        # They are opened one by one, after the call that asked for them has returned.
        with self._watched():
            async for record in records:
                yield record

    @contextmanager
    def _under_way(self) -> Iterator[None]:
        """Around a call that adds an entry: a stop waits for its end."""
        self._calls += 1
        self._no_calls.clear()
        try:
            with self._watched():
                yield
        finally:
            self._calls -= 1
            if self._calls == 0:
                self._no_calls.set()

    @contextmanager
    def _watched(self) -> Iterator[None]:
        """A FatalError on a caller's way ends the process too, not only that call."""
        try:
            yield
        except FatalError as error:
            self.fail(error)
            raise
