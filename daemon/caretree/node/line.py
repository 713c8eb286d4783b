"""One stream to a peer, over a connection of its own: dialled, greeted, ready to be written to."""

import asyncio
from collections import OrderedDict
from typing import Final, TypeAlias

import grpc

from caretree.ledger.values import BlockRef
from caretree.proto.peer.v1 import peer_pb2, peer_pb2_grpc

# How long the other side may take to read what was written to a line before it is closed.
FINISH_S: Final = 1.0

Call: TypeAlias = "grpc.aio.StreamStreamCall[peer_pb2.DeliverRequest, peer_pb2.DeliverResponse]"


class Line:
    """A stream that the other side has answered. `sent` are the blocks that it carried."""

    def __init__(self, channel: grpc.aio.Channel, call: Call) -> None:
        self._channel = channel
        self._call = call
        self.sent: OrderedDict[BlockRef, None] = OrderedDict()
        # A read that ends tells of a broken stream even while there is nothing to write.
        self.ended = asyncio.ensure_future(_read_to_end(call))
        self.ended.add_done_callback(_see)

    async def write(self, request: peer_pb2.DeliverRequest) -> None:
        """Hand a message to the connection; waits while the other side reads slowly."""
        await self._call.write(request)

    async def finish(self) -> None:
        """Close once the other side has read everything; what it does not read in time is lost."""
        try:
            await self._call.done_writing()
            await asyncio.wait({self.ended}, timeout=FINISH_S)
        except (grpc.aio.AioRpcError, grpc.aio.UsageError, asyncio.InvalidStateError):
            pass  # it broke meanwhile
        finally:
            await self.close()

    async def close(self) -> None:
        """Close at once."""
        self.ended.cancel()
        self._call.cancel()
        await self._channel.close()


async def dial(channel: grpc.aio.Channel, greeting: peer_pb2.DeliverRequest) -> Line:
    """A line over this channel, which is closed with the line, or when there is none.

    Raises:
        grpc.aio.AioRpcError: nobody answers, or this peer is not let in.
        asyncio.InvalidStateError: the other side ended the stream.
    """
    try:
        call = peer_pb2_grpc.PeerServiceStub(channel).Deliver()
        await call.write(greeting)
        if not isinstance(await call.read(), peer_pb2.DeliverResponse):
            raise asyncio.InvalidStateError
    except BaseException:
        await channel.close()
        raise
    return Line(channel, call)


async def _read_to_end(call: Call) -> None:
    # After its greeting the other side says nothing, until it ends the stream.
    while isinstance(await call.read(), peer_pb2.DeliverResponse):
        pass


def _see(ended: "asyncio.Task[None]") -> None:
    if not ended.cancelled():
        ended.exception()  # seen here, also when a write has failed before
