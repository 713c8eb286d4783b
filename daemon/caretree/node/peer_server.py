"""The peer port: takes other peers' streams and hands their messages on, in order."""

import asyncio
from collections import OrderedDict
from collections.abc import AsyncIterator, Container, Iterator
from contextlib import contextmanager
from typing import Final, NoReturn

import grpc
from google.protobuf.message import DecodeError
from typing_extensions import override

from caretree.config.values import TlsFiles
from caretree.ledger.genesis import FIRST_MEMBERSHIP_EPOCH, Genesis
from caretree.model.ids import PeerId, show_peer_id
from caretree.model.limits import KIB, PEER_MESSAGE_BYTES_MAX
from caretree.model.reasons import CallError, Reason
from caretree.node.admission import Admission, Shown
from caretree.node.identity import Identity, PeerIdentity, server_credentials
from caretree.node.transport import LostMessageError, Receiver
from caretree.proto.peer.v1 import peer_pb2, peer_pb2_grpc
from caretree.telemetry.logs import Logger
from caretree.telemetry.metrics import Metrics, Port

# A peer renews its streams itself, well before (see `transport.RENEW_S`).
CONNECTION_AGE_MS_MAX: Final = 600_000
CONNECTION_GRACE_MS: Final = 10_000

# A peer keeps one stream, and while it renews that, two. The oldest of more is ended: it may be one
# whose connection broke without a word, so the newest is never refused.
STREAMS_PER_PEER_MAX: Final = 4
STREAMS_MAX: Final = 256
STREAMS_PER_CONNECTION_MAX: Final = 16
CONNECTIONS_MAX: Final = 256
HANDSHAKE_MS_MAX: Final = 10_000
METADATA_BYTES_MAX: Final = 8 * KIB

SERVER_OPTIONS: Final = (
    ("grpc.so_reuseport", 0),
    ("grpc.max_receive_message_length", PEER_MESSAGE_BYTES_MAX),
    ("grpc.max_metadata_size", METADATA_BYTES_MAX),
    ("grpc.max_concurrent_streams", STREAMS_PER_CONNECTION_MAX),
    ("grpc.max_allowed_incoming_connections", CONNECTIONS_MAX),
    ("grpc.server_handshake_timeout_ms", HANDSHAKE_MS_MAX),
    ("grpc.max_connection_age_ms", CONNECTION_AGE_MS_MAX),
    ("grpc.max_connection_age_grace_ms", CONNECTION_GRACE_MS),
    ("grpc.keepalive_time_ms", 20_000),
    ("grpc.keepalive_timeout_ms", 10_000),
    ("grpc.keepalive_permit_without_calls", 1),
    # A peer pings every 20 s; allow for jitter.
    ("grpc.http2.min_ping_interval_without_data_ms", 10_000),
    ("grpc.http2.max_ping_strikes", 2),
)

Requests = AsyncIterator[peer_pb2.DeliverRequest]
Context = grpc.aio.ServicerContext[Requests, AsyncIterator[peer_pb2.DeliverResponse]]


class PeerServicer(peer_pb2_grpc.PeerServiceServicer):
    """Serves `peer.v1.PeerService`."""

    def __init__(
        self,
        genesis: Genesis,
        own: PeerId,
        receiver: Receiver,
        *,
        admission: Admission,
        version: str,
        metrics: Metrics,
        log: Logger,
    ) -> None:
        self._genesis = genesis
        self._own = own
        self._receiver = receiver
        self._admission = admission
        self._version = version
        self._metrics = metrics
        self._log = log
        self._streams: dict[PeerId, OrderedDict[asyncio.Task[object], None]] = {}

    @override
    async def Deliver(
        self, request_iterator: Requests, context: Context
    ) -> AsyncIterator[peer_pb2.DeliverResponse]:
        """Take in a peer's messages until the stream ends."""
        try:
            shown = self._admission.examine(context.auth_context())
            sender = self._sender(shown.identity)
        except CallError as error:
            self._log.info("peer refused", why=error.reason.name)
            await self._refuse(context, error.reason)
        with self._counted(sender) as streams:
            try:
                async for answer in self._listen(sender, shown, request_iterator, context):
                    yield answer
            except asyncio.CancelledError:
                own = asyncio.current_task()
                assert own is not None
                if own in streams:
                    raise
                own.uncancel()  # ended by a newer stream, and the sender is told
                self._log.warning("too many streams, oldest ended", peer=show_peer_id(sender))
                await context.abort(grpc.StatusCode.RESOURCE_EXHAUSTED, "too many newer streams")

    async def _listen(
        self, sender: PeerId, shown: Shown, requests: Requests, context: Context
    ) -> AsyncIterator[peer_pb2.DeliverResponse]:
        greeted = False
        async for request in _readable(requests, context):
            try:
                self._admission.check(shown)
            except CallError as error:
                self._log.warning(
                    "stream ended for its certificate",
                    peer=show_peer_id(sender),
                    why=error.reason.name,
                )
                await self._refuse(context, error.reason)
            await self._check_consortium(request, context)
            if not greeted:
                if request.greeting.peer != sender:
                    await context.abort(
                        grpc.StatusCode.FAILED_PRECONDITION, "the greeting does not fit"
                    )
                greeted = True
                yield peer_pb2.DeliverResponse(version=self._version)
                continue
            await self._receive(sender, request, context)

    async def _receive(
        self, sender: PeerId, request: peer_pb2.DeliverRequest, context: Context
    ) -> None:
        try:
            await self._receiver.receive(sender, request)
        except LostMessageError as error:
            self._log.warning(
                "message dropped, stream ended", peer=show_peer_id(sender), why=str(error)
            )
            await context.abort(grpc.StatusCode.DATA_LOSS, "a message did not fit")

    @contextmanager
    def _counted(self, sender: PeerId) -> Iterator[Container[asyncio.Task[object]]]:
        """The sender's streams, this one among them; its oldest is ended when they are too many."""
        streams = self._streams.setdefault(sender, OrderedDict())
        own = asyncio.current_task()
        assert own is not None
        streams[own] = None
        if len(streams) > STREAMS_PER_PEER_MAX:
            oldest, _ = streams.popitem(last=False)
            oldest.cancel()
        try:
            yield streams
        finally:
            streams.pop(own, None)

    async def _check_consortium(self, request: peer_pb2.DeliverRequest, context: Context) -> None:
        if request.origin != self._genesis.origin or (
            request.membership_epoch != FIRST_MEMBERSHIP_EPOCH
        ):
            await context.abort(
                grpc.StatusCode.FAILED_PRECONDITION, "another consortium or membership epoch"
            )

    def _sender(self, identity: Identity) -> PeerId:
        if not isinstance(identity, PeerIdentity):
            raise CallError(Reason.WRONG_PORT)
        founded = self._genesis.peer(identity.peer)
        if founded is None or founded.member != identity.member or founded.peer == self._own:
            raise CallError(Reason.NOT_A_PEER)
        return founded.peer

    async def _refuse(self, context: Context, reason: Reason) -> NoReturn:
        """End the stream; the reason's name is all that the other side is told."""
        self._metrics.certificate_refused(Port.PEER, reason)
        await context.abort(grpc.StatusCode[reason.explanation.code.name], reason.name)
        raise AssertionError  # abort always raises


async def _readable(requests: Requests, context: Context) -> Requests:
    """Each message; what is none ends the stream as one that does not fit."""
    try:
        async for request in requests:
            yield request
    except DecodeError:
        await context.abort(grpc.StatusCode.DATA_LOSS, "what came is no message")


def build_peer_server(
    servicer: PeerServicer,
    *,
    listen: str,
    tls: TlsFiles,
    genesis: Genesis,
    metrics: Metrics,
    log: Logger,
) -> grpc.aio.Server:
    """A server on the peer port.

    Raises:
        OSError: the port is taken, or the certificate cannot be read.
        ValueError: certificate and key do not belong together.
    """
    server = grpc.aio.server(options=SERVER_OPTIONS, maximum_concurrent_rpcs=STREAMS_MAX)
    peer_pb2_grpc.add_PeerServiceServicer_to_server(servicer, server)
    credentials = server_credentials(tls, genesis, metrics=metrics, log=log)
    try:
        server.add_secure_port(listen, credentials)
    except RuntimeError as error:
        raise OSError(f"listen.peer: cannot listen on {listen}") from error
    return server
