"""The peer port: only a peer of the genesis is listened to, under its own name."""

import asyncio
from collections.abc import AsyncIterator
from datetime import UTC, datetime

import grpc
import pytest
import pytest_asyncio
from caretree.cli.certificates import Issued, issue_peer, issue_principal
from caretree.ledger.genesis import FIRST_MEMBERSHIP_EPOCH
from caretree.model.ids import MemberId, PeerId
from caretree.node.identity import server_name
from caretree.proto.peer.v1 import peer_pb2, peer_pb2_grpc

from tests.ledger.builders import CONSORTIUM, HOSPITAL, OFFICE, TOWN
from tests.node.asking import add
from tests.node.cluster import Seats, cluster, level

pytestmark = [pytest.mark.processes, pytest.mark.asyncio(loop_scope="module")]


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def seats(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Seats]:
    """One cluster for all tests of this module."""
    async with cluster(tmp_path_factory.mktemp("ports")) as running:
        yield running


def issued(seats: Seats, *, by: MemberId, member: MemberId, peer: PeerId | None = None) -> Issued:
    """A certificate that one member's authority issued for a peer of another."""
    return issue_peer(
        seats[by].authority,
        consortium=CONSORTIUM,
        member=member,
        peer=seats[member].peer_id if peer is None else peer,
        now=datetime.now(UTC),
        key_pem=None,
    )


async def said(
    seats: Seats, pair: Issued | None, *requests: peer_pb2.DeliverRequest
) -> grpc.StatusCode | str:
    """What the town's peer makes of these messages: a status, or the version that it greets by."""
    town = seats[TOWN]
    credentials = grpc.ssl_channel_credentials(
        root_certificates=town.authority.certificate_pem(),
        private_key=None if pair is None else pair.key_pem,
        certificate_chain=None if pair is None else pair.certificate_pem,
    )
    options = (
        ("grpc.ssl_target_name_override", server_name(town.genesis, town.peer_id)),
        ("grpc.use_local_subchannel_pool", 1),
    )
    async with grpc.aio.secure_channel(town.address, credentials, options=options) as channel:
        call = peer_pb2_grpc.PeerServiceStub(channel).Deliver(timeout=5)
        try:
            for request in requests:
                await call.write(request)
            answer = await call.read()
            if isinstance(answer, peer_pb2.DeliverResponse) and len(requests) == 1:
                return answer.version
            await call.read()
            return await call.code()
        except grpc.aio.AioRpcError as error:
            return error.code()
        except asyncio.InvalidStateError:
            return await call.code()


def greeting(
    seats: Seats,
    peer: PeerId,
    *,
    origin: str | None = None,
    epoch: int = FIRST_MEMBERSHIP_EPOCH,
) -> peer_pb2.DeliverRequest:
    return peer_pb2.DeliverRequest(
        origin=seats[TOWN].genesis.origin if origin is None else origin,
        membership_epoch=epoch,
        clock_ms=seats[TOWN].clock.now_ms(),
        greeting=peer_pb2.Greeting(peer=peer, version="9", ledger_version_max=1),
    )


async def test_a_peer_of_the_genesis_is_greeted(seats: Seats) -> None:
    pair = issued(seats, by=HOSPITAL, member=HOSPITAL)
    assert await said(seats, pair, greeting(seats, seats[HOSPITAL].peer_id)) == "0.0.0"


async def test_another_members_authority_makes_no_peer(seats: Seats) -> None:
    pair = issued(seats, by=OFFICE, member=HOSPITAL)
    found = await said(seats, pair, greeting(seats, seats[HOSPITAL].peer_id))
    assert found is grpc.StatusCode.UNAUTHENTICATED


async def test_a_peer_that_is_not_in_the_genesis_or_is_the_server_itself_is_refused(
    seats: Seats,
) -> None:
    for member, peer in ((HOSPITAL, PeerId(5)), (TOWN, seats[TOWN].peer_id)):
        pair = issued(seats, by=member, member=member, peer=peer)
        found = await said(seats, pair, greeting(seats, peer))
        assert found is grpc.StatusCode.PERMISSION_DENIED


async def test_a_peer_of_one_member_cannot_be_named_by_another(seats: Seats) -> None:
    pair = issued(seats, by=OFFICE, member=OFFICE, peer=seats[HOSPITAL].peer_id)
    found = await said(seats, pair, greeting(seats, seats[HOSPITAL].peer_id))
    assert found is grpc.StatusCode.PERMISSION_DENIED


async def test_a_principal_is_no_peer(seats: Seats) -> None:
    pair = issue_principal(
        seats[HOSPITAL].authority,
        consortium=CONSORTIUM,
        member=HOSPITAL,
        principal="his",
        now=datetime.now(UTC),
        key_pem=None,
    )
    found = await said(seats, pair, greeting(seats, seats[HOSPITAL].peer_id))
    assert found is grpc.StatusCode.PERMISSION_DENIED


async def test_without_a_certificate_there_is_no_connection(seats: Seats) -> None:
    found = await said(seats, None, greeting(seats, seats[HOSPITAL].peer_id))
    assert found is grpc.StatusCode.UNAVAILABLE


@pytest.mark.parametrize("wrong", ["peer", "origin", "epoch"])
async def test_a_greeting_that_does_not_fit_ends_the_stream(seats: Seats, wrong: str) -> None:
    pair = issued(seats, by=HOSPITAL, member=HOSPITAL)
    own = seats[HOSPITAL].peer_id
    greetings = {
        "peer": greeting(seats, seats[OFFICE].peer_id),
        "origin": greeting(seats, own, origin="other.example/00000000"),
        "epoch": greeting(seats, own, epoch=2),
    }
    assert await said(seats, pair, greetings[wrong]) is grpc.StatusCode.FAILED_PRECONDITION


async def test_a_message_that_does_not_fit_ends_the_stream_and_not_the_peer(seats: Seats) -> None:
    pair = issued(seats, by=HOSPITAL, member=HOSPITAL)
    junk = peer_pb2.DeliverRequest(
        origin=seats[TOWN].genesis.origin,
        membership_epoch=FIRST_MEMBERSHIP_EPOCH,
        clock_ms=seats[TOWN].clock.now_ms(),
        messages=[peer_pb2.PeerMessage(batch=peer_pb2.BatchBytes(batch=b"junk"))],
    )
    found = await said(seats, pair, greeting(seats, seats[HOSPITAL].peer_id), junk)
    assert found is grpc.StatusCode.DATA_LOSS
    await add(seats[TOWN], "P1")
    await level(seats.values())
