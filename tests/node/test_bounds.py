"""Queues between peers and loop: full at their bound, and what then becomes of the next message."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import cast

import grpc
import pytest
from caretree.ledger.genesis import Genesis
from caretree.model.ids import Digest, PeerId, Term, TreeSize
from caretree.node import consensus as consenting
from caretree.node import signing, transport
from caretree.node.consensus import INBOX_MESSAGES_MAX, Consensus, Parts
from caretree.node.line import Call, Line
from caretree.node.signing import Roots
from caretree.node.transport import QUEUE_MESSAGES_MAX, LinkContext, PeerLink
from caretree.proto.peer.v1 import peer_pb2
from caretree.raft.messages import Message, MessageType

from tests.ledger.builders import HOSPITAL, founders
from tests.node.bench import FixedClock
from tests.waiting import until

OTHER = founders()[HOSPITAL].as_peer()


@dataclass(slots=True)
class Lost:
    """Whose messages were given up."""

    peers: list[PeerId] = field(default_factory=list)

    def note(self, peer: PeerId) -> None:
        self.peers.append(peer)


@dataclass(slots=True)
class Clockwork:
    """What a stream needs of its context."""

    clock: FixedClock = field(default_factory=FixedClock)
    genesis: Genesis = field(default_factory=lambda: founders().genesis)


@dataclass(slots=True)
class Stream:
    """A stream to nobody, which breaks when told."""

    written: list[peer_pb2.DeliverRequest] = field(default_factory=list)
    breaks: asyncio.Event = field(default_factory=asyncio.Event)

    async def write(self, request: peer_pb2.DeliverRequest) -> None:
        self.written.append(request)

    async def read(self) -> peer_pb2.DeliverResponse:
        await self.breaks.wait()
        raise asyncio.InvalidStateError

    def line(self) -> Line:
        """The stream as a link holds it."""
        return Line(cast("grpc.aio.Channel", None), cast("Call", self))


def link() -> tuple[PeerLink, Lost]:
    """A link that nobody runs: what is sent stays in its queue."""
    made, lost = PeerLink(cast("LinkContext", None), OTHER, "nowhere:1"), Lost()
    made.unreachable = lost.note
    return made, lost


def message(size: int = 10) -> peer_pb2.PeerMessage:
    return peer_pb2.PeerMessage(batch=peer_pb2.BatchBytes(batch=bytes(size)))


def test_a_link_holds_so_many_messages_and_the_next_is_lost_and_told() -> None:
    made, lost = link()
    for _ in range(QUEUE_MESSAGES_MAX):
        made.send(message())
    assert lost.peers == []
    made.send(message())
    assert lost.peers == [OTHER.peer]
    assert len(made._queue) == QUEUE_MESSAGES_MAX


def test_a_link_holds_so_many_bytes_and_the_next_is_lost_and_told(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    size = message(1000).ByteSize()
    for bound, expected in ((3 * size, []), (3 * size - 1, [OTHER.peer])):
        monkeypatch.setattr(transport, "QUEUE_BYTES_MAX", bound)
        made, lost = link()
        for _ in range(3):
            made.send(message(1000))
        assert lost.peers == expected


def test_a_broken_stream_forgets_what_waited() -> None:
    made, _ = link()
    made.send(message())
    made._clear()
    assert (len(made._queue), made._queued_bytes) == (0, 0)


@pytest.mark.asyncio
async def test_a_stream_that_idles_for_long_grows_nothing_and_its_break_is_told() -> None:
    made, _ = link()
    made._context = cast("LinkContext", Clockwork())
    stream = Stream()
    line = stream.line()
    line.ended.add_done_callback(made._wake)
    no_other: asyncio.Future[Line] = asyncio.Future()
    writing = asyncio.create_task(made._write_all(line, no_other))
    for _ in range(50):
        made.send(message())
        await asyncio.sleep(0)
        await asyncio.sleep(0)
    assert len(stream.written) == 50
    assert len(line.ended._callbacks) == 2  # the line's own, and the link's
    stream.breaks.set()
    with pytest.raises(asyncio.InvalidStateError):
        await writing


@pytest.mark.asyncio
async def test_a_full_inbox_slows_its_sender_down_until_the_loop_took_it() -> None:
    consensus = Consensus(cast("Parts", None))
    heartbeat = Message(type=MessageType.HEARTBEAT, sender=OTHER.peer, to=PeerId(1), term=Term(1))
    for _ in range(INBOX_MESSAGES_MAX):
        await consensus.take(heartbeat)
    one_more = asyncio.create_task(consensus.take(heartbeat))
    await asyncio.sleep(0)
    assert not one_more.done()
    assert len(consensus._inbox) == INBOX_MESSAGES_MAX
    consensus._inbox.clear()
    consensus._space.set()
    await one_more
    assert len(consensus._inbox) == 1


@pytest.mark.asyncio
async def test_so_many_ticks_wait_and_no_more() -> None:
    consensus = Consensus(cast("Parts", None))
    for _ in range(consenting.WAITING_TICKS_MAX + 5):
        consensus.tick()
    assert consensus._waiting_ticks == consenting.WAITING_TICKS_MAX


def test_so_many_roots_are_at_hand_and_older_ones_are_not(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(signing, "RECENT_ROOTS_MAX", 2)
    roots = Roots()
    for size in (1, 2, 3):
        roots.applied(TreeSize(size), Digest(bytes([size]) * 32))
    known = [roots.root(TreeSize(size)) for size in range(5)]
    assert [each is not None for each in known] == [False, False, True, True, False]


@pytest.mark.asyncio
async def test_what_waits_together_is_written_together_and_in_order() -> None:
    stream, said = Stream(), [message(size) for size in (1, 2, 3)]
    await _written(stream, said)
    assert [list(request.messages) for request in stream.written] == [said]


@pytest.mark.asyncio
async def test_what_is_too_much_for_one_message_is_written_as_several(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    said = [message(1000) for _ in range(5)]
    monkeypatch.setattr(transport, "BUNDLE_BYTES_MAX", 2 * said[0].ByteSize())
    stream = Stream()
    await _written(stream, said)
    assert [len(request.messages) for request in stream.written] == [2, 2, 1]


@pytest.mark.asyncio
async def test_a_message_without_news_goes_with_the_next_one_or_after_a_moment() -> None:
    stream = Stream()
    async with _writing(stream) as made:
        made.send(message(1), lazily=True)
        made.send(message(2))
        await until(lambda: len(stream.written) == 1)
        assert len(stream.written[0].messages) == 2
        made.send(message(3), lazily=True)
        await until(lambda: len(stream.written) == 2)


async def _written(stream: Stream, said: list[peer_pb2.PeerMessage]) -> None:
    """Write these to the stream, all of which wait before the first is written."""
    async with _writing(stream) as made:
        for each in said:
            made.send(each)
        await until(lambda: sum(len(each.messages) for each in stream.written) == len(said))


@asynccontextmanager
async def _writing(stream: Stream) -> AsyncIterator[PeerLink]:
    """A link that writes to this stream for as long as the context lasts."""
    made, _ = link()
    made._context = cast("LinkContext", Clockwork())
    line, no_other = stream.line(), asyncio.Future[Line]()
    writing = asyncio.create_task(made._write_all(line, no_other))
    try:
        yield made
    finally:
        writing.cancel()
        line.ended.cancel()
        await asyncio.gather(writing, line.ended, return_exceptions=True)
