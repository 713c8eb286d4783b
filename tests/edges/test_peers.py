"""What another member's peer may do wrong: junk, replays and lies end a stream, and no peer."""

import asyncio
import os
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from typing import Final

import grpc
import pytest
import pytest_asyncio
from caretree.cli.certificates import issue_peer
from caretree.ledger.batches import build_batch, parse_batch
from caretree.ledger.genesis import FIRST_MEMBERSHIP_EPOCH
from caretree.model.ids import LogIndex, Origin, Term
from caretree.model.limits import PEER_MESSAGE_BYTES_MAX
from caretree.node.identity import server_name
from caretree.node.peer_codec import encode_raft
from caretree.node.peer_server import METADATA_BYTES_MAX, STREAMS_PER_PEER_MAX
from caretree.node.transport import LostMessageError
from caretree.proto.peer.v1 import peer_pb2
from caretree.raft.messages import Message, MessageType

from tests.ledger.builders import CONSORTIUM, HOSPITAL, OFFICE, TOWN
from tests.node.asking import add, contents, history
from tests.node.cluster import Seat, Seats, cluster, level, others, until
from tests.node.steering import lead

pytestmark = [pytest.mark.processes, pytest.mark.asyncio(loop_scope="module")]

TIMEOUT_S: Final = 20
DELIVER: Final = "/caretree.peer.v1.PeerService/Deliver"
Metadata = tuple[tuple[str, str], ...]


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def seats(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Seats]:
    """One cluster for all tests of this module, the township leading; each has its own patient."""
    async with cluster(tmp_path_factory.mktemp("peers")) as running:
        await lead(running, TOWN)
        yield running


@asynccontextmanager
async def as_hospital(seats: Seats) -> AsyncIterator[grpc.aio.Channel]:
    """A channel to the township's peer under a certificate of the hospital's peer."""
    town, hospital = seats[TOWN], seats[HOSPITAL]
    pair = issue_peer(
        hospital.authority,
        consortium=CONSORTIUM,
        member=HOSPITAL,
        peer=hospital.peer_id,
        now=datetime.now(UTC),
        key_pem=None,
    )
    credentials = grpc.ssl_channel_credentials(
        root_certificates=town.authority.certificate_pem(),
        private_key=pair.key_pem,
        certificate_chain=pair.certificate_pem,
    )
    options = (
        ("grpc.ssl_target_name_override", server_name(town.genesis, town.peer_id)),
        ("grpc.use_local_subchannel_pool", 1),
        ("grpc.max_send_message_length", -1),
    )
    async with grpc.aio.secure_channel(town.address, credentials, options=options) as channel:
        yield channel


async def said(
    channel: grpc.aio.Channel, *messages: bytes, metadata: Metadata = ()
) -> grpc.StatusCode:
    """How the stream ends that says these bytes and then waits."""
    deliver: grpc.aio.StreamStreamMultiCallable[bytes, bytes] = channel.stream_stream(DELIVER)
    call = deliver(timeout=TIMEOUT_S, metadata=metadata)
    try:
        for message in messages:
            await call.write(message)
        while await call.read() is not grpc.aio.EOF:
            pass
    except (grpc.aio.AioRpcError, asyncio.InvalidStateError):
        pass
    return await call.code()


def deliver(seats: Seats, *messages: peer_pb2.PeerMessage, **fields: object) -> bytes:
    """A message of the hospital's peer to the township's."""
    request = peer_pb2.DeliverRequest(
        origin=seats[TOWN].genesis.origin,
        membership_epoch=FIRST_MEMBERSHIP_EPOCH,
        clock_ms=seats[TOWN].clock.now_ms(),
        messages=messages,
    )
    request.MergeFrom(peer_pb2.DeliverRequest(**fields))  # type: ignore[arg-type]
    return request.SerializeToString()


def greeting(seats: Seats, seat: Seat) -> bytes:
    greeted = peer_pb2.Greeting(peer=seat.peer_id, version="9", ledger_version_max=1)
    return deliver(seats, greeting=greeted)


WRONG: Final[dict[str, tuple[Callable[[Seats], bytes], grpc.StatusCode]]] = {
    "junk": (lambda _: b"\xff" * 100, grpc.StatusCode.DATA_LOSS),
    "empty": (lambda _: b"", grpc.StatusCode.FAILED_PRECONDITION),
    "huge": (lambda _: bytes(PEER_MESSAGE_BYTES_MAX + 1), grpc.StatusCode.RESOURCE_EXHAUSTED),
    "of no kind": (
        lambda seats: deliver(seats, peer_pb2.PeerMessage()),
        grpc.StatusCode.DATA_LOSS,
    ),
    "of another consortium": (
        lambda seats: deliver(seats, origin="other.example/00000000"),
        grpc.StatusCode.FAILED_PRECONDITION,
    ),
    "a block of junk": (
        lambda seats: deliver(
            seats, peer_pb2.PeerMessage(block=peer_pb2.BlockBytes(block=os.urandom(1000)))
        ),
        grpc.StatusCode.DATA_LOSS,
    ),
    "a block of 7 MiB of junk": (
        lambda seats: deliver(
            seats, peer_pb2.PeerMessage(block=peer_pb2.BlockBytes(block=bytes(7 << 20)))
        ),
        grpc.StatusCode.DATA_LOSS,
    ),
    "a raft message of no known type": (
        lambda seats: deliver(
            seats, peer_pb2.PeerMessage(raft=peer_pb2.RaftMessage(type=1 << 20, term=2**64 - 1))
        ),
        grpc.StatusCode.DATA_LOSS,
    ),
}


@pytest.mark.parametrize("name", list(WRONG))
async def test_a_message_that_fits_nothing_ends_its_stream_and_records_go_on(
    seats: Seats, name: str
) -> None:
    make, code = WRONG[name]
    async with as_hospital(seats) as channel:
        found = await said(channel, greeting(seats, seats[HOSPITAL]), make(seats))
    assert found is code
    assert seats[TOWN].alive
    await add(seats[TOWN], f"P-{name}")
    await level(seats.values())


async def test_a_greeting_in_anothers_name_and_large_metadata_end_the_stream(seats: Seats) -> None:
    async with as_hospital(seats) as channel:
        assert await said(channel, greeting(seats, seats[OFFICE])) is (
            grpc.StatusCode.FAILED_PRECONDITION
        )
        large = (("x", "y" * 4 * METADATA_BYTES_MAX),)
        found = await said(channel, greeting(seats, seats[HOSPITAL]), metadata=large)
        assert found is grpc.StatusCode.RESOURCE_EXHAUSTED
    await add(seats[TOWN], "P-greeting")


async def test_of_a_peers_many_streams_the_oldest_end(seats: Seats) -> None:
    async with as_hospital(seats) as channel:
        method: grpc.aio.StreamStreamMultiCallable[bytes, bytes] = channel.stream_stream(DELIVER)
        calls = []
        for _ in range(STREAMS_PER_PEER_MAX + 2):
            calls.append(method(timeout=TIMEOUT_S))
            await calls[-1].write(greeting(seats, seats[HOSPITAL]))
            assert await calls[-1].read() is not grpc.aio.EOF
        # The hospital's own stream is older than all of these, so it and two of them are over; it
        # dials again, which ends a third.
        await until(lambda: sum(call.done() for call in calls) >= 2)
        assert calls[0].done()
        assert not calls[-1].done()
    await add(seats[TOWN], "P-streams")
    await level(seats.values())


async def test_a_batch_handed_in_again_takes_effect_once(seats: Seats) -> None:
    town, hospital = seats[TOWN], seats[HOSPITAL]
    batches: list[bytes] = []

    def keep(_sender: int, message: peer_pb2.PeerMessage) -> peer_pb2.PeerMessage:
        if message.HasField("batch"):
            batches.append(message.batch.batch)
        return message

    town.change(keep)
    await add(hospital, "P-replay", b"once")
    await level(seats.values())
    assert batches
    size = town.parts.applier.head.tree_size
    height = town.parts.applier.head.height
    for batch in tuple(batches):
        message = peer_pb2.PeerMessage(batch=peer_pb2.BatchBytes(batch=batch))
        request = peer_pb2.DeliverRequest.FromString(deliver(seats, message))
        await town.peer.receive(hospital.peer_id, request)
    await until(lambda: town.parts.applier.head.height > height)
    await level(seats.values())
    # What is refused takes no leaf: the block has its seal and nothing else.
    blocks = town.parts.applier.head.height - height
    assert town.parts.applier.head.tree_size == size + blocks
    assert contents(await history(hospital, "P-replay")) == [b"once"]


@pytest.mark.parametrize("wrong", ["origin", "signature", "author"])
async def test_a_batch_of_another_consortium_or_author_is_no_batch_here(
    seats: Seats, wrong: str
) -> None:
    town, hospital, office = seats[TOWN], seats[HOSPITAL], seats[OFFICE]
    batches: list[bytes] = []

    def keep(_sender: int, message: peer_pb2.PeerMessage) -> peer_pb2.PeerMessage:
        if message.HasField("batch"):
            batches.append(message.batch.batch)
        return message

    town.change(keep)
    await add(hospital, f"P-{wrong}")
    batch = parse_batch(batches[-1])
    origin = Origin("other.example/00000000") if wrong == "origin" else town.genesis.origin
    key = office.founder.peer.batch if wrong == "signature" else hospital.founder.peer.batch
    author = office.peer_id if wrong == "author" else hospital.peer_id
    forged = build_batch(
        origin=origin,
        author=author,
        drafts=list(zip(batch.leaves, batch.openings, strict=True)),
        sign=key.sign,
    )
    message = peer_pb2.PeerMessage(batch=peer_pb2.BatchBytes(batch=forged.encoded))
    request = peer_pb2.DeliverRequest.FromString(deliver(seats, message))
    with pytest.raises(LostMessageError):
        await town.peer.receive(hospital.peer_id, request)
    await add(town, f"P-{wrong}")


async def test_a_heartbeat_that_commits_what_nobody_acknowledged_stops_nobody(
    seats: Seats,
) -> None:
    liar = seats[HOSPITAL]
    for seat in others(seats, liar):
        before = seat.metric("caretree_node_not_held_messages_total")
        term = seat.parts.consensus.raft.term
        for _ in range(3):
            lie = Message(
                type=MessageType.HEARTBEAT,
                sender=liar.peer_id,
                to=seat.peer_id,
                term=Term(term + 5),
                commit=LogIndex(2**40),
            )
            message = peer_pb2.PeerMessage(raft=encode_raft(lie))
            request = peer_pb2.DeliverRequest.FromString(deliver(seats, message))
            await seat.peer.receive(liar.peer_id, request)
        assert seat.metric("caretree_node_not_held_messages_total") == before + 3
        event = b"a heartbeat commits what was never acknowledged"
        assert sum(event in line for line in seat.log_lines) == 1
        assert seat.parts.consensus.raft.term == term
    await add(seats[TOWN], "P-liar")
    await level(seats.values())
    assert all(seat.alive for seat in seats.values())
