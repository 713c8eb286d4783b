"""Faulty memory and disks, and contradictions: the peer they hit stops, the others go on."""

import asyncio
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
from caretree.crypto.ed25519 import verify
from caretree.ledger.certificate import certification_policy, cosigner_key, sign_lines
from caretree.ledger.receipts import verify_receipt
from caretree.ledger.tree import TreeEdge
from caretree.ledger.values import BlockRef, HeldBlock
from caretree.merkle.checkpoint import Checkpoint
from caretree.merkle.lines import format_line
from caretree.model.errors import FatalError
from caretree.model.ids import Digest, MemberId, TreeSize
from caretree.model.reasons import CallError
from caretree.node.applier import BlockChangedError, TreeChangedError
from caretree.node.calls import EntryStatus
from caretree.node.certifier import DivergenceError
from caretree.proto.peer.v1 import peer_pb2
from caretree.storage.errors import StorageError

from tests.ledger.builders import HOSPITAL, OFFICE, TOWN
from tests.node.asking import add, append, contents, history
from tests.node.cluster import Seat, Seats, cluster, leader_of, level, others, record, soon, until
from tests.node.test_applier import flipped, with_flipped_leaf

pytestmark = [pytest.mark.processes, pytest.mark.asyncio]


async def follower_of(seats: Seats) -> Seat:
    """A seat that does not lead."""
    return others(seats, await leader_of(seats))[0]


def cosigners(seat: Seat, receipt: bytes) -> set[MemberId]:
    """The members whose co-signatures the receipt carries, once it is verified."""
    genesis = seat.genesis
    verified = verify_receipt(receipt, certification_policy(genesis), verify)
    members = {cosigner_key(genesis.origin, peer).name: peer.member for peer in genesis.signers}
    return {members[each.name] for each in verified.cosigners}


def flip_next_leaf(seat: Seat) -> None:
    """One leaf of the next block changes at this peer between hold and apply."""
    hold = seat.parts.applier._held

    def changed(ref: BlockRef) -> HeldBlock:
        return with_flipped_leaf(hold(ref))

    seat.parts.applier._held = changed  # type: ignore[method-assign]


def flip_frontier(seat: Seat) -> None:
    """One root of the frontier changes in this peer's memory."""
    applier = seat.parts.applier
    first, *rest = applier.edge.frontier.roots
    wrong = replace(applier.edge.frontier, roots=(flipped(first, at=9), *rest))
    applier.edge = TreeEdge(frontier=wrong, partial_tiles=applier.edge.partial_tiles)


def flip_tile(seat: Seat) -> None:
    """One hash of a tile at the edge changes in this peer's memory."""
    applier = seat.parts.applier
    tiles = {**applier.edge.partial_tiles, 0: flipped(applier.edge.partial_tiles[0], at=3)}
    applier.edge = TreeEdge(frontier=applier.edge.frontier, partial_tiles=tiles)


@pytest.mark.parametrize(
    ("flip", "error"),
    [
        (flip_next_leaf, BlockChangedError),
        (flip_frontier, TreeChangedError),
        (flip_tile, TreeChangedError),
    ],
)
async def test_a_voter_with_a_flipped_bit_signs_nothing_and_stops_and_receipts_carry_the_others(
    tmp_path: Path, flip: Callable[[Seat], None], error: type[FatalError]
) -> None:
    async with cluster(tmp_path) as seats:
        leader = await leader_of(seats)
        faulty, good = others(seats, leader)
        await add(leader, "F1")
        await level(seats.values())
        signed = faulty.disk.watermark.read().signed_size
        flip(faulty)

        answer = await add(leader, "F1")

        assert isinstance(await faulty.ended(), error)
        assert answer.entry.status is EntryStatus.CERTIFIED
        expected = {leader.founder.member, good.founder.member}
        assert cosigners(leader, answer.entry.receipt) == expected
        again = await add(good, "F1")
        assert cosigners(good, again.entry.receipt) == expected
        for seat in (leader, good):
            assert seat.parts.certifier.signed_size(faulty.founder.member) <= signed
        assert faulty.disk.watermark.read().signed_size == signed


async def test_a_leader_with_a_flipped_bit_stops_and_another_leads(tmp_path: Path) -> None:
    async with cluster(tmp_path) as seats:
        faulty = await leader_of(seats)
        one, two = others(seats, faulty)
        await add(one, "F2", b"before")
        await level(seats.values())
        flip_frontier(faulty)
        (answer,) = await one.peer.append([record("F2", b"after")], deadline=soon())
        assert isinstance(await faulty.ended(), TreeChangedError)
        assert (await leader_of(seats)) in (one, two)
        if isinstance(answer, CallError):  # the leader was lost on the way
            await add(one, "F2", b"after")
        assert contents(await history(one, "F2")) == [b"after", b"before"]


def contradiction(
    seat: Seat,
    seats: Seats,
    *members: MemberId,
    root: bytes = b"x" * 32,
    size: TreeSize | None = None,
) -> peer_pb2.Signatures:
    """Lines of these members' own keys over another root of the seat's tree size."""
    checkpoint = Checkpoint(
        origin=seat.genesis.origin,
        size=size or seat.parts.applier.head.tree_size,
        root=Digest(root),
    )
    lines = [
        line
        for member in members
        for line in sign_lines(
            checkpoint,
            peer=seats[member].founder.as_peer(),
            sign_log=seats[member].founder.peer.log.sign,
            sign_cosigner=seats[member].founder.peer.cosigner.sign,
            time_s=1_800_000_000,
        )
    ]
    return peer_pb2.Signatures(
        tree_size=checkpoint.size,
        root=checkpoint.root,
        lines=[format_line(line).rstrip("\n") for line in lines],
    )


async def test_a_certified_contradiction_stops_a_peer_and_any_other_head_stops_nobody(
    tmp_path: Path,
) -> None:
    async with cluster(tmp_path) as seats:
        town, hospital, office = seats[TOWN], seats[HOSPITAL], seats[OFFICE]
        await add(town, "F3")
        await level(seats.values())
        for member, letter in ((TOWN, b"t"), (HOSPITAL, b"h"), (OFFICE, b"o")):
            lone = contradiction(office, seats, member, root=letter * 32)
            town.parts.transport.send_signatures(office.peer_id, lone)
            office.parts.transport.send_signatures(hospital.peer_id, lone)
        await add(town, "F3")
        await level(seats.values())
        assert all(seat.alive for seat in seats.values())

        both = contradiction(office, seats, TOWN, HOSPITAL)
        town.parts.transport.send_signatures(office.peer_id, both)

        stopped = await office.ended()
        assert isinstance(stopped, DivergenceError)
        assert stopped.size == both.tree_size
        assert office.metric("caretree_node_divergence_total") == 1
        await add(hospital, "F3")
        assert town.alive
        assert hospital.alive


async def test_a_certified_contradiction_ahead_stops_a_peer_once_it_gets_there(
    tmp_path: Path,
) -> None:
    async with cluster(tmp_path) as seats:
        town, office = seats[TOWN], seats[OFFICE]
        await add(town, "F4")
        await level(seats.values())
        # The next two blocks end at these sizes; the first is passed over when both come at once.
        ahead = TreeSize(office.parts.applier.head.tree_size + 2)
        office.drop(lambda _, request: request.WhichOneof("message") == "raft")
        town.parts.transport.send_signatures(
            office.peer_id, contradiction(office, seats, TOWN, HOSPITAL, size=ahead)
        )
        await until(lambda: office.parts.certifier.largest_size == ahead)
        await add(town, "F4")
        await add(town, "F4")
        office.drop(lambda *_: False)
        assert isinstance(await office.ended(), DivergenceError)


@pytest.mark.parametrize("stored", [False, True])
@pytest.mark.parametrize("leads", [False, True])
async def test_the_first_storage_error_ends_a_peer_and_it_acknowledges_nothing_after(
    tmp_path: Path, *, stored: bool, leads: bool
) -> None:
    async with cluster(tmp_path, memory=True) as seats:
        leader = await leader_of(seats)
        faulty = leader if leads else others(seats, leader)[0]
        good = others(seats, faulty)[0]
        await add(faulty, "F5", b"before")
        await level(seats.values())
        assert faulty.memory is not None
        faulty.memory.fail_write(0, stored=stored)

        (answer,) = await faulty.peer.append([record("F5", b"x")], deadline=soon(0.5))

        assert isinstance(await faulty.ended(), StorageError)
        assert isinstance(answer, CallError) or answer.entry.status is EntryStatus.COMMITTED
        (late,) = await asyncio.gather(
            faulty.peer.append([record("F5", b"y")], deadline=soon(0.1)), return_exceptions=True
        )
        if not isinstance(late, StorageError):
            assert isinstance(late, list)
            assert isinstance(late[0], CallError)
        await leader_of(seats)
        await add(good, "F6")
        await append(good, *(record("F6", b"z") for _ in range(5)))
