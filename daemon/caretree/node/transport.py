"""Messages to and from other peers: one stream dialled to each, one taken from each.

Everything here may be lost: a full queue, a broken stream, a block that does not fit its leaves.
Raft and the authors of batches send again. Nothing is acted on before the connection's certificate
named a peer of the genesis.
"""

import asyncio
from collections import OrderedDict, deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Final, Protocol

import grpc

from caretree.config.values import TlsFiles
from caretree.ledger.blocks import parse_block_ref
from caretree.ledger.genesis import FIRST_MEMBERSHIP_EPOCH, Genesis
from caretree.ledger.members import Peer
from caretree.ledger.values import BlockRef
from caretree.model.ids import PeerId, show_peer_id
from caretree.model.limits import PEER_MESSAGE_BYTES_MAX
from caretree.node.clock import Clock
from caretree.node.identity import channel_credentials, server_name
from caretree.node.peer_codec import encode_raft
from caretree.proto.peer.v1 import peer_pb2, peer_pb2_grpc
from caretree.raft.messages import Message, MessageType
from caretree.telemetry.logs import Logger

QUEUE_MESSAGES_MAX: Final = 1024
QUEUE_BYTES_MAX: Final = 64 * 1024 * 1024
SENT_BLOCKS_REMEMBERED: Final = 256
RECONNECT_MS_MIN: Final = 50
RECONNECT_MS_MAX: Final = 1_000
CHANNEL_OPTIONS: Final = (
    ("grpc.max_send_message_length", PEER_MESSAGE_BYTES_MAX),
    ("grpc.max_receive_message_length", PEER_MESSAGE_BYTES_MAX),
    ("grpc.keepalive_time_ms", 20_000),
    ("grpc.keepalive_timeout_ms", 10_000),
    ("grpc.keepalive_permit_without_calls", 1),
    ("grpc.initial_reconnect_backoff_ms", 50),
    ("grpc.max_reconnect_backoff_ms", RECONNECT_MS_MAX),
    ("grpc.enable_retries", 0),
)


class BlockSource(Protocol):
    """Gives blocks with their openings, to be sent to a peer that needs them."""

    async def block_bytes(self, ref: BlockRef) -> peer_pb2.BlockBytes:
        """The block as it travels.

        Raises:
            StorageError: it cannot be read.
        """
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class LinkContext:
    """What all links share."""

    genesis: Genesis
    own: PeerId
    tls: TlsFiles
    clock: Clock
    blocks: BlockSource
    version: str
    ledger_version_max: int
    jitter: Callable[[int], int]
    log: Logger


class PeerLink:
    """The stream dialled to one peer, and the queue before it."""

    def __init__(self, context: LinkContext, peer: Peer, address: str) -> None:
        self._context = context
        self._peer = peer
        self._address = address
        self.unreachable: Callable[[PeerId], None] = _nobody
        self.opened: Callable[[PeerId], None] = _nobody
        self._queue: deque[tuple[peer_pb2.DeliverRequest, tuple[BlockRef, ...]]] = deque()
        self._queued_bytes = 0
        self._filled = asyncio.Event()
        self.connected = False

    def send(self, request: peer_pb2.DeliverRequest, refs: tuple[BlockRef, ...] = ()) -> None:
        """Queue a message and the blocks that must go before it; dropped when the queue is full."""
        size = request.ByteSize()
        full = len(self._queue) >= QUEUE_MESSAGES_MAX
        if full or self._queued_bytes + size > QUEUE_BYTES_MAX:
            self.unreachable(self._peer.peer)
            return
        self._queue.append((request, refs))
        self._queued_bytes += size
        self._filled.set()

    async def run(self) -> None:
        """Keep the stream up for ever."""
        wait_ms = RECONNECT_MS_MIN
        while True:
            loop = asyncio.get_running_loop()
            started = loop.time()
            try:
                await self._stream()
            except (grpc.aio.AioRpcError, asyncio.InvalidStateError, OSError) as error:
                # OSError: the certificate files are being replaced.
                rpc_code = error.code().name if isinstance(error, grpc.aio.AioRpcError) else ""
                status = rpc_code or type(error).__name__
                self._context.log.info(
                    "peer link down", peer=show_peer_id(self._peer.peer), status=status
                )
            self.connected = False
            self._clear()
            self.unreachable(self._peer.peer)
            if loop.time() - started > RECONNECT_MS_MAX / 1000:
                wait_ms = RECONNECT_MS_MIN
            await asyncio.sleep((wait_ms + self._context.jitter(wait_ms)) / 1000)
            wait_ms = min(2 * wait_ms, RECONNECT_MS_MAX)

    def _clear(self) -> None:
        # What waited is stale by the time the peer is back; Raft and the authors send again.
        self._queue.clear()
        self._queued_bytes = 0
        self._filled.clear()

    async def _stream(self) -> None:
        genesis, peer = self._context.genesis, self._peer
        name = server_name(genesis, peer.peer)
        options = (*CHANNEL_OPTIONS, ("grpc.ssl_target_name_override", name))
        credentials = channel_credentials(self._context.tls, genesis, peer.member)
        async with grpc.aio.secure_channel(self._address, credentials, options=options) as channel:
            call = peer_pb2_grpc.PeerServiceStub(channel).Deliver()
            await call.write(self._greeting())
            answer = await call.read()
            if not isinstance(answer, peer_pb2.DeliverResponse):
                raise asyncio.InvalidStateError
            self.connected = True
            self._context.log.info("peer link up", peer=show_peer_id(peer.peer))
            self.opened(peer.peer)
            # A read that ends tells of a broken stream even while there is nothing to write.
            ended = asyncio.ensure_future(_read_to_end(call))
            ended.add_done_callback(self._note_end)
            try:
                await self._write_all(call, ended)
            finally:
                ended.cancel()
                call.cancel()

    async def _write_all(
        self,
        call: "grpc.aio.StreamStreamCall[peer_pb2.DeliverRequest, peer_pb2.DeliverResponse]",
        ended: "asyncio.Task[None]",
    ) -> None:
        sent: OrderedDict[BlockRef, None] = OrderedDict()
        while not ended.done():
            if not self._queue:
                self._filled.clear()
                await self._filled.wait()  # its end sets it too
                continue
            request, refs = self._queue.popleft()
            self._queued_bytes -= request.ByteSize()
            for ref in refs:
                if ref not in sent:
                    block = await self._context.blocks.block_bytes(ref)
                    await call.write(self._request(block=block))
                    sent[ref] = None
                    if len(sent) > SENT_BLOCKS_REMEMBERED:
                        sent.popitem(last=False)
            request.clock_ms = self._context.clock.now_ms()
            await call.write(request)
        if not ended.cancelled():
            ended.result()  # raises what broke the stream

    def _note_end(self, ended: "asyncio.Task[None]") -> None:
        if not ended.cancelled():
            ended.exception()  # seen here, also when a write has failed before
        self._filled.set()

    def _greeting(self) -> peer_pb2.DeliverRequest:
        context = self._context
        return self._request(
            greeting=peer_pb2.Greeting(
                peer=context.own,
                version=context.version,
                ledger_version_max=context.ledger_version_max,
            )
        )

    def _request(
        self,
        *,
        greeting: peer_pb2.Greeting | None = None,
        block: peer_pb2.BlockBytes | None = None,
    ) -> peer_pb2.DeliverRequest:
        context = self._context
        return peer_pb2.DeliverRequest(
            origin=context.genesis.origin,
            membership_epoch=FIRST_MEMBERSHIP_EPOCH,
            clock_ms=context.clock.now_ms(),
            greeting=greeting,
            block=block,
        )


class Transport:
    """All links of this peer."""

    def __init__(self, context: LinkContext, addresses: Mapping[PeerId, str]) -> None:
        self._context = context
        self._links = {
            peer.peer: PeerLink(context, peer, addresses[peer.peer])
            for peer in context.genesis.peers
            if peer.peer != context.own
        }

    def attach(
        self, *, unreachable: Callable[[PeerId], None], opened: Callable[[PeerId], None]
    ) -> None:
        """Name who is told that messages to a peer are being lost, and that its stream stands."""
        for link in self._links.values():
            link.unreachable = unreachable
            link.opened = opened

    @property
    def links(self) -> tuple[PeerLink, ...]:
        """Every link; each is to be run."""
        return tuple(self._links.values())

    def connected(self, peer: PeerId) -> bool:
        """Whether the stream to `peer` stands."""
        link = self._links.get(peer)
        return link is not None and link.connected

    def send_raft(self, message: Message) -> None:
        """Send a Raft message, and before it the blocks that its entries name."""
        link = self._links.get(message.to)
        if link is None:
            return
        refs: tuple[BlockRef, ...] = ()
        if message.type is MessageType.APP:
            refs = tuple(parse_block_ref(entry.data) for entry in message.entries if entry.data)
        link.send(self._request(raft=encode_raft(message)), refs)

    def send_batch(self, to: PeerId, batch: bytes) -> bool:
        """Hand a batch to the leader; False when no stream to it stands."""
        if not self.connected(to):
            return False
        encoded = peer_pb2.BatchBytes(batch=batch)
        self._links[to].send(self._request(batch=encoded))
        return True

    def send_batch_refused(self, to: PeerId, signature: bytes, *, retry_after_ms: int) -> None:
        """Tell the author that its batch will not be ordered now."""
        if to in self._links:
            refused = peer_pb2.BatchRefused(signature=signature, retry_after_ms=retry_after_ms)
            self._links[to].send(self._request(batch_refused=refused))

    def send_signatures(self, to: PeerId, signatures: peer_pb2.Signatures) -> None:
        """Send signature lines over a checkpoint."""
        if to in self._links:
            self._links[to].send(self._request(signatures=signatures))

    def spread_signatures(self, signatures: peer_pb2.Signatures) -> None:
        """Send signature lines to every peer."""
        for peer in self._links:
            self.send_signatures(peer, signatures)

    def _request(
        self,
        *,
        raft: peer_pb2.RaftMessage | None = None,
        batch: peer_pb2.BatchBytes | None = None,
        batch_refused: peer_pb2.BatchRefused | None = None,
        signatures: peer_pb2.Signatures | None = None,
    ) -> peer_pb2.DeliverRequest:
        return peer_pb2.DeliverRequest(
            origin=self._context.genesis.origin,
            membership_epoch=FIRST_MEMBERSHIP_EPOCH,
            raft=raft,
            batch=batch,
            batch_refused=batch_refused,
            signatures=signatures,
        )


def _nobody(_peer: PeerId) -> None:
    """Told before anybody listens."""


async def _read_to_end(
    call: "grpc.aio.StreamStreamCall[peer_pb2.DeliverRequest, peer_pb2.DeliverResponse]",
) -> None:
    # After its greeting the other side says nothing, until it ends the stream.
    while isinstance(await call.read(), peer_pb2.DeliverResponse):
        pass


class Receiver(Protocol):
    """Takes in what other peers say."""

    async def receive(self, sender: PeerId, request: peer_pb2.DeliverRequest) -> None:
        """Take in one message; waiting here slows the sender down.

        Raises:
            LostMessageError: the stream is to be ended, so that the sender begins anew.
        """
        ...


class LostMessageError(Exception):
    """What was received does not fit; the sender's stream is ended and begins anew."""
