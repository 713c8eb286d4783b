"""A leader that drafts or sends what it should not is not followed, and nothing is lost."""

import asyncio
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
from caretree.ledger.batches import assemble_batch
from caretree.ledger.blocks import build_block, parse_block, parse_block_ref, with_openings
from caretree.ledger.values import Batch, BlockHeader, HeldBlock, Opening
from caretree.model.ids import Digest, Height, LogIndex, PeerId, TimeMs
from caretree.model.limits import CLOCK_AHEAD_MS_MAX
from caretree.model.reasons import CallError
from caretree.node.calls import EntryStatus
from caretree.proto.peer.v1 import peer_pb2
from caretree.raft.messages import Message
from caretree.storage.keys import Table

from tests.ledger.builders import HOSPITAL, OFFICE, TOWN
from tests.node.asking import add, contents, history
from tests.node.cluster import (
    Seat,
    cluster,
    leader_of,
    level,
    others,
    record,
    soon,
    until,
)
from tests.node.test_applier import flipped

pytestmark = [pytest.mark.processes, pytest.mark.asyncio]


def next_block(
    leader: Seat,
    *,
    change: Callable[[BlockHeader], BlockHeader] | None = None,
    batches: Callable[[tuple[Batch, ...]], tuple[Batch, ...]] | None = None,
) -> None:
    """The next block that this leader drafts is another one than it should be."""
    pool = leader.parts.pool
    right = type(pool).draft

    def wrong(*arguments: object, **named: object) -> HeldBlock | None:
        held = right(pool, *arguments, **named)  # type: ignore[arg-type]
        if held is None:
            return None
        del pool.draft
        header = held.block.header if change is None else change(held.block.header)
        block = build_block(
            height=header.height,
            parent=header.parent,
            time_ms=header.time_ms,
            membership_epoch=header.membership_epoch,
            ledger_version=header.ledger_version,
            leader=header.leader,
            batches=held.block.batches if batches is None else batches(held.block.batches),
        )
        return replace(held, block=block)

    pool.draft = wrong  # type: ignore[method-assign]


def missigned(batches: tuple[Batch, ...]) -> tuple[Batch, ...]:
    """The first batch under a signature that does not hold."""
    first, *rest = batches
    wrong = assemble_batch(
        author=first.author,
        leaves=first.leaves,
        signature=flipped(first.signature),
        openings=first.openings,
    )
    return (wrong, *rest)


async def test_void_blocks_take_no_height_and_the_entries_are_ordered_again(
    tmp_path: Path,
) -> None:
    async with cluster(tmp_path) as seats:
        leader = await leader_of(seats)
        author = others(seats, leader)[0]
        await add(author, "V1", b"0")
        await level(seats.values())
        voids = 0
        for wrong in (
            lambda header: replace(header, parent=Digest(b"x" * 32)),
            lambda header: replace(header, height=Height(header.height + 5)),
            lambda header: replace(header, time_ms=TimeMs(1)),
            lambda header: replace(header, membership_epoch=2),
            lambda header: replace(header, ledger_version=2),
        ):
            before = leader.parts.applier.head
            next_block(leader, change=wrong)
            voids += 1
            answer = await add(author, "V1", b"%d" % voids)
            assert answer.entry.status is EntryStatus.CERTIFIED
            assert answer.entry.position.height == before.height + 1
        next_block(leader, batches=missigned)
        await add(author, "V1", b"last")
        await level(seats.values())
        for seat in seats.values():
            assert seat.metric("caretree_node_void_blocks_total") == voids + 1
            assert seat.logged("void block")
            assert len(list(seat.disk.store.scan(Table.VOID))) == voids + 1
        assert contents(await history(author, "V1")) == [
            b"last",
            *(b"%d" % n for n in range(voids, -1, -1)),
        ]
        await leader.stop()
        await leader.start()
        await level(seats.values())


def spoil_blocks(seat: Seat, sender: PeerId) -> None:
    """One bit of each body in every block from this sender changes on the way."""

    def changed(found: PeerId, request: peer_pb2.PeerMessage) -> peer_pb2.PeerMessage:
        if found != sender or request.WhichOneof("message") != "block":
            return request
        block = parse_block(request.block.block)
        openings = [_spoiled(each) for batch in block.batches for each in batch.openings]
        spoiled = peer_pb2.PeerMessage()
        spoiled.CopyFrom(request)
        spoiled.block.block = with_openings(block, openings).encoded
        return spoiled

    seat.change(changed)


def _spoiled(opening: Opening) -> Opening:
    assert opening.body is not None
    return replace(opening, body=flipped(opening.body, at=-1))


async def test_a_voter_acknowledges_no_block_that_does_not_fit_its_leaves(tmp_path: Path) -> None:
    async with cluster(tmp_path) as seats:
        leader = await leader_of(seats)
        voter, other = others(seats, leader)
        await add(leader, "N1")
        await level(seats.values())
        term, rows = leader.parts.consensus.raft.term, voter.parts.consensus._parts.log.last_index()
        spoil_blocks(voter, leader.peer_id)

        answers = [await add(leader, "N1", b"%d" % n) for n in range(3)]
        await until(lambda: voter.logged("it is not answered in this term"))

        assert {answer.entry.status for answer in answers} == {EntryStatus.CERTIFIED}
        assert voter.metric("caretree_node_not_held_messages_total") == 3
        progress = leader.parts.consensus.raft.status().progress
        assert progress[voter.peer_id].match == rows
        assert voter.parts.consensus._parts.log.last_index() == rows
        # Whom it does not answer it does not vote away either: the others still follow.
        await asyncio.sleep(0.7)
        assert leader.parts.consensus.leads
        assert leader.parts.consensus.raft.term == term

        await leader.peer.transfer_leadership(other.peer_id, deadline=soon())
        await level(seats.values())


async def test_a_leader_that_no_voter_answers_is_replaced(tmp_path: Path) -> None:
    async with cluster(tmp_path) as seats:
        leader = await leader_of(seats)
        voters = others(seats, leader)
        await add(voters[0], "N2", b"before")
        await level(seats.values())
        for voter in voters:
            spoil_blocks(voter, leader.peer_id)
        command = record("N2", b"after")
        (first,) = await voters[0].peer.append([command], deadline=soon())
        await until(lambda: not leader.parts.consensus.leads)
        assert await leader_of(seats) in voters
        if isinstance(first, CallError):
            await voters[0].peer.append([command], deadline=soon())
        found = await history(voters[0], "N2")
        assert contents(found) == [b"after", b"before"]
        await level(seats.values())


async def test_a_voter_holds_back_its_word_for_a_block_from_its_future(tmp_path: Path) -> None:
    async with cluster(tmp_path) as seats:
        leader = await leader_of(seats)
        slow, other = others(seats, leader)
        await add(leader, "C1")
        await level(seats.values())
        rows = slow.parts.consensus._parts.log.last_index()
        slow.clock.ahead_ms = -CLOCK_AHEAD_MS_MAX - 5_000

        answers = [await add(seat, "C1") for seat in (leader, other)]

        assert {answer.entry.status for answer in answers} == {EntryStatus.CERTIFIED}
        await until(lambda: slow.logged("block time is ahead of this clock"))
        assert slow.parts.consensus._parts.log.last_index() == rows
        slow.clock.ahead_ms = 0
        await level(seats.values())


async def test_a_clock_a_little_behind_holds_nothing_back(tmp_path: Path) -> None:
    async with cluster(tmp_path) as seats:
        leader = await leader_of(seats)
        slow, _ = others(seats, leader)
        slow.clock.ahead_ms = -CLOCK_AHEAD_MS_MAX + 5_000
        await add(leader, "C2")
        await level(seats.values())
        assert not slow.logged("block time is ahead of this clock")


async def test_one_wrong_clock_does_not_set_the_block_time_even_on_the_leader(
    tmp_path: Path,
) -> None:
    async with cluster(tmp_path) as seats:
        leader = await leader_of(seats)
        true = others(seats, leader)[0].clock
        for hours in (1, -1):
            leader.clock.ahead_ms = hours * 3_600_000
            await asyncio.sleep(0.15)  # until each heard what the others' clocks say
            started = true.now_ms()
            await add(leader, "C3")
            time_ms = leader.parts.applier.head.time_ms
            assert started - 1_000 <= time_ms <= true.now_ms() + 1_000


async def test_block_times_advance_even_when_all_clocks_go_back(tmp_path: Path) -> None:
    async with cluster(tmp_path) as seats:
        await add(seats[TOWN], "C4")
        before = seats[TOWN].parts.applier.head.time_ms
        for member in (TOWN, HOSPITAL, OFFICE):
            seats[member].clock.ahead_ms = -10_000
        await add(seats[TOWN], "C4")
        assert seats[TOWN].parts.applier.head.time_ms == before + 1


async def test_a_block_forgotten_between_check_and_append_is_asked_for_again(
    tmp_path: Path,
) -> None:
    async with cluster(tmp_path) as seats:
        leader = await leader_of(seats)
        voter = others(seats, leader)[0]
        await add(leader, "M1")
        await level(seats.values())
        take, stage = voter.parts.consensus.take, voter.parts.inbound._parts.stage
        forgotten: list[LogIndex] = []

        async def take_and_forget(message: Message) -> None:
            await take(message)
            for entry in message.entries if len(forgotten) < 3 else ():
                stage.drop(parse_block_ref(entry.data))
                forgotten.append(entry.index)

        voter.parts.consensus.take = take_and_forget  # type: ignore[method-assign]
        for _ in range(4):
            await add(leader, "M1")
        await level(seats.values())
        assert len(forgotten) >= 3
        assert voter.alive
