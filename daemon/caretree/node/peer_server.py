"""The peer port: takes other peers' streams and hands their messages on, in order."""

from collections.abc import AsyncIterator
from datetime import UTC, datetime
from typing import Final

import grpc
from typing_extensions import override

from caretree.config.values import TlsFiles
from caretree.ledger.genesis import FIRST_MEMBERSHIP_EPOCH, Genesis
from caretree.model.ids import PeerId, show_peer_id
from caretree.model.limits import PEER_MESSAGE_BYTES_MAX
from caretree.model.reasons import CallError
from caretree.node.identity import PeerIdentity, authenticate, server_credentials
from caretree.node.transport import LostMessageError, Receiver
from caretree.proto.peer.v1 import peer_pb2, peer_pb2_grpc
from caretree.telemetry.logs import Logger

SERVER_OPTIONS: Final = (
    ("grpc.so_reuseport", 0),
    ("grpc.max_receive_message_length", PEER_MESSAGE_BYTES_MAX),
    ("grpc.max_concurrent_streams", 16),
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
        self, genesis: Genesis, own: PeerId, receiver: Receiver, *, version: str, log: Logger
    ) -> None:
        self._genesis = genesis
        self._own = own
        self._receiver = receiver
        self._version = version
        self._log = log

    @override
    async def Deliver(
        self, request_iterator: Requests, context: Context
    ) -> AsyncIterator[peer_pb2.DeliverResponse]:
        """Take in a peer's messages until the stream ends."""
        sender = await self._sender(context)
        greeted = False
        async for request in request_iterator:
            if request.origin != self._genesis.origin or (
                request.membership_epoch != FIRST_MEMBERSHIP_EPOCH
            ):
                await context.abort(
                    grpc.StatusCode.FAILED_PRECONDITION, "another consortium or membership epoch"
                )
            if not greeted:
                if request.greeting.peer != sender:
                    await context.abort(
                        grpc.StatusCode.FAILED_PRECONDITION, "the greeting does not fit"
                    )
                greeted = True
                yield peer_pb2.DeliverResponse(version=self._version)
                continue
            try:
                await self._receiver.receive(sender, request)
            except LostMessageError as error:
                self._log.warning(
                    "message dropped, stream ended", peer=show_peer_id(sender), why=str(error)
                )
                await context.abort(grpc.StatusCode.DATA_LOSS, "a message did not fit")

    async def _sender(self, context: Context) -> PeerId:
        try:
            identity = authenticate(context.auth_context(), self._genesis, now=datetime.now(UTC))
        except CallError as error:
            await context.abort(grpc.StatusCode.UNAUTHENTICATED, error.reason.name)
        known = identity.peer if isinstance(identity, PeerIdentity) else None
        founded = self._genesis.peer(known) if known is not None else None
        if founded is None or founded.member != identity.member or founded.peer == self._own:
            await context.abort(grpc.StatusCode.PERMISSION_DENIED, "not a peer")
            raise AssertionError
        return founded.peer


def build_peer_server(
    servicer: PeerServicer, *, listen: str, tls: TlsFiles, genesis: Genesis
) -> grpc.aio.Server:
    """A server on the peer port.

    Raises:
        OSError: the port is taken, or the certificate cannot be read.
    """
    server = grpc.aio.server(options=SERVER_OPTIONS)
    peer_pb2_grpc.add_PeerServiceServicer_to_server(servicer, server)
    try:
        server.add_secure_port(listen, server_credentials(tls, genesis))
    except RuntimeError as error:
        raise OSError(f"listen.peer: cannot listen on {listen}") from error
    return server
