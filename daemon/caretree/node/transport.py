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
from caretree.model.ids import LogIndex, PeerId, Term, show_peer_id
from caretree.model.limits import BLOCK_BYTES_MAX, KIB, PEER_MESSAGE_BYTES_MAX
from caretree.model.reasons import Reason
from caretree.node.clock import Clock
from caretree.node.identity import channel_credentials, server_name
from caretree.node.line import Line, dial
from caretree.node.peer_codec import encode_raft
from caretree.proto.peer.v1 import peer_pb2
from caretree.raft.messages import Message, MessageType
from caretree.telemetry.logs import Logger

QUEUE_MESSAGES_MAX: Final = 1024
QUEUE_BYTES_MAX: Final = 64 * 1024 * 1024
# What waits together leaves together, up to here; one block alone may be as large.
BUNDLE_BYTES_MAX: Final = BLOCK_BYTES_MAX + 64 * KIB
# How long a message that tells nothing new may wait for company.
LAZY_S: Final = 0.01
SENT_BLOCKS_REMEMBERED: Final = 256
# How often a peer that has nothing to say tells its clock all the same: followers say nothing to
# each other, and a clock is judged by those of all voters.
CLOCK_S: Final = 5.0
# How long a stream is used, and its connection with it; the other side ends both at twice that.
RENEW_S: Final = 300.0
RENEW_JITTER_MS: Final = 30_000
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
    # Else a stream's successor could share its connection, and with it its certificates.
    ("grpc.use_local_subchannel_pool", 1),
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
        self._queue: deque[tuple[peer_pb2.PeerMessage, tuple[BlockRef, ...], int]] = deque()
        self._queued_bytes = 0
        self._filled = asyncio.Event()
        self._clock_due = False
        self.connected = False

    def send(
        self,
        message: peer_pb2.PeerMessage,
        refs: tuple[BlockRef, ...] = (),
        *,
        lazily: bool = False,
    ) -> None:
        """Queue a message and the blocks that must go before it; dropped when the queue is full.

        One that is sent lazily goes with the next, or after a moment.
        """
        size = message.ByteSize()
        full = len(self._queue) >= QUEUE_MESSAGES_MAX
        if full or self._queued_bytes + size > QUEUE_BYTES_MAX:
            self.unreachable(self._peer.peer)
            return
        self._queue.append((message, refs, size))
        self._queued_bytes += size
        if lazily:
            asyncio.get_running_loop().call_later(LAZY_S, self._filled.set)
        else:
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
                status, why = _explain(error)
                self._context.log.info(
                    "peer link down", peer=show_peer_id(self._peer.peer), status=status, why=why
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
        """Keep a stream up until it breaks: each for a while, its successor dialled before it ends.

        So no connection lives long, and no message is lost to a connection's age.
        """
        line = await self._dial()
        try:
            self.connected = True
            self._context.log.info("peer link up", peer=show_peer_id(self._peer.peer))
            self.opened(self._peer.peer)
            while True:
                successor = await self._use(line)
                line, used = successor, line
                # In order: the other side has read all of the one before it reads the next.
                await used.finish()
        finally:
            await line.close()

    async def _use(self, line: Line) -> Line:
        """Write to a line for as long as it is to be used; the next one, once it stands."""
        dialling = asyncio.ensure_future(self._dial_successor())
        telling = asyncio.ensure_future(self._tell_clock())
        for task in (dialling, line.ended):
            task.add_done_callback(self._wake)
        try:
            await self._write_all(line, dialling)
            return dialling.result()
        except BaseException:
            if dialling.cancel():
                await asyncio.gather(dialling, return_exceptions=True)
            elif dialling.exception() is None:
                await dialling.result().close()
            raise
        finally:
            telling.cancel()

    async def _tell_clock(self) -> None:
        while True:
            await asyncio.sleep(CLOCK_S)
            self._clock_due = True
            self._filled.set()

    async def _dial(self) -> Line:
        genesis, peer = self._context.genesis, self._peer
        name = server_name(genesis, peer.peer)
        options = (*CHANNEL_OPTIONS, ("grpc.ssl_target_name_override", name))
        credentials = channel_credentials(self._context.tls, genesis, peer.member)
        channel = grpc.aio.secure_channel(self._address, credentials, options=options)
        return await dial(channel, self._greeting())

    async def _dial_successor(self) -> Line:
        wait_s = RENEW_S + self._context.jitter(RENEW_JITTER_MS) / 1000
        while True:
            await asyncio.sleep(wait_s)
            try:
                return await self._dial()
            except (grpc.aio.AioRpcError, asyncio.InvalidStateError, OSError):
                wait_s = RECONNECT_MS_MAX / 1000  # the present line is used as long as it stands

    async def _write_all(self, line: Line, dialling: "asyncio.Future[Line]") -> None:
        """Write until there is another line; raises what broke this one."""
        while not line.ended.done():
            if dialling.done():
                return
            if self._queue or self._clock_due:
                self._clock_due = False
                await self._write_waiting(line)
            else:
                self._filled.clear()
                await self._filled.wait()  # its end sets it too
        line.ended.result()
        raise asyncio.InvalidStateError

    def _wake(self, _done: object) -> None:
        self._filled.set()

    async def _write_waiting(self, line: Line) -> None:
        """Write what waits. A gRPC message costs the same whatever it carries, so together."""
        bundle, size = self._request(), 0
        while self._queue:
            message, refs, weight = self._queue.popleft()
            self._queued_bytes -= weight
            for said in (*await self._unsent(refs, line.sent), message):
                weight = said.ByteSize()
                if size and size + weight > BUNDLE_BYTES_MAX:
                    await line.write(bundle)
                    bundle, size = self._request(), 0
                bundle.messages.append(said)
                size += weight
        await line.write(bundle)

    async def _unsent(
        self, refs: tuple[BlockRef, ...], sent: OrderedDict[BlockRef, None]
    ) -> list[peer_pb2.PeerMessage]:
        """The blocks that this stream did not carry yet; from now on they count as sent."""
        blocks: list[peer_pb2.PeerMessage] = []
        for ref in refs:
            if ref not in sent:
                block = await self._context.blocks.block_bytes(ref)
                blocks.append(peer_pb2.PeerMessage(block=block))
                sent[ref] = None
                if len(sent) > SENT_BLOCKS_REMEMBERED:
                    sent.popitem(last=False)
        return blocks

    def _greeting(self) -> peer_pb2.DeliverRequest:
        context = self._context
        return self._request(
            greeting=peer_pb2.Greeting(
                peer=context.own,
                version=context.version,
                ledger_version_max=context.ledger_version_max,
            )
        )

    def _request(self, *, greeting: peer_pb2.Greeting | None = None) -> peer_pb2.DeliverRequest:
        context = self._context
        return peer_pb2.DeliverRequest(
            origin=context.genesis.origin,
            membership_epoch=FIRST_MEMBERSHIP_EPOCH,
            clock_ms=context.clock.now_ms(),
            greeting=greeting,
        )


class Transport:
    """All links of this peer."""

    def __init__(self, context: LinkContext, addresses: Mapping[PeerId, str]) -> None:
        self._context = context
        self._acknowledged: dict[PeerId, tuple[Term, LogIndex]] = {}
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
        encoded = peer_pb2.PeerMessage(raft=encode_raft(message))
        link.send(encoded, refs, lazily=self._tells_nothing_new(message))

    def send_batch(self, to: PeerId, batch: bytes) -> bool:
        """Hand a batch to the leader; False when no stream to it stands."""
        if not self.connected(to):
            return False
        encoded = peer_pb2.BatchBytes(batch=batch)
        self._links[to].send(peer_pb2.PeerMessage(batch=encoded))
        return True

    def send_batch_refused(self, to: PeerId, signature: bytes, *, retry_after_ms: int) -> None:
        """Tell the author that its batch will not be ordered now."""
        if to in self._links:
            refused = peer_pb2.BatchRefused(signature=signature, retry_after_ms=retry_after_ms)
            self._links[to].send(peer_pb2.PeerMessage(batch_refused=refused))

    def send_signatures(self, to: PeerId, signatures: peer_pb2.Signatures) -> None:
        """Send signature lines over a checkpoint."""
        if to in self._links:
            self._links[to].send(peer_pb2.PeerMessage(signatures=signatures))

    def spread_signatures(self, signatures: peer_pb2.Signatures) -> None:
        """Send signature lines to every peer."""
        for peer in self._links:
            self.send_signatures(peer, signatures)

    def _tells_nothing_new(self, message: Message) -> bool:
        """Whether a message acknowledges what was acknowledged to this peer before.

        Such is the answer to an append that only moves the commit index. It still shows that this
        peer lives, for which a moment later is soon enough.
        """
        if message.type is not MessageType.APP_RESP or message.reject:
            return False
        shown = (message.term, message.index)
        known = self._acknowledged.get(message.to) == shown
        self._acknowledged[message.to] = shown
        return known


def _explain(error: Exception) -> tuple[str, str]:
    """How a stream ended, and the reason that the other side named, if it is one of ours."""
    if not isinstance(error, grpc.aio.AioRpcError):
        return type(error).__name__, ""
    details = error.details() or ""
    return error.code().name, details if details in Reason.__members__ else ""


def _nobody(_peer: PeerId) -> None:
    """Told before anybody listens."""


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
