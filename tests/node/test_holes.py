"""Bodies, salts and payloads erased where that was decided: starting, proving, catching up."""

import asyncio
from pathlib import Path

import pytest
from caretree.crypto.ed25519 import verify
from caretree.ledger.bodies import parse_body
from caretree.ledger.certificate import certification_policy
from caretree.ledger.holes import HOLE_MARK
from caretree.ledger.receipts import VerifiedReceipt, verify_receipt
from caretree.ledger.row_keys import entry_key
from caretree.ledger.stored_blocks import applied_ref, load_block
from caretree.ledger.values import EntryKind, Outcome, Reading, Record
from caretree.model.errors import FatalError
from caretree.model.ids import Height, LeafIndex, Place, RecordId
from caretree.model.reasons import Reason
from caretree.storage.keys import Table
from caretree.storage.ports import Batch, KeyValue

from tests.ledger.builders import HOSPITAL, OFFICE, TOWN
from tests.node.asking import add, grant, history, read, refused, trail
from tests.node.cluster import Seat, Seats, cluster, leader_of, level, others, soon, until
from tests.node.steering import lead

pytestmark = [pytest.mark.processes, pytest.mark.asyncio]

# Rows for which apply needs no body: the same with holes and without.
BODILESS = (Table.STATE, Table.HEIGHT, Table.OUTCOME, Table.TILE, Table.LEAVES)


def erasable(store: KeyValue, heights: range) -> list[tuple[bytes, RecordId | None]]:
    """Every second RECORD and READING entry of these blocks: its key, and a record's id."""
    found: list[tuple[bytes, RecordId | None]] = []
    for height in heights:
        ref = applied_ref(store, Height(height))
        assert ref is not None
        block = load_block(store, ref)
        assert block is not None
        openings = [opening for batch in block.batches for opening in batch.openings]
        for place, opening in enumerate(openings):
            if height == 0 or opening.body is None:
                continue
            happening = parse_body(opening.body).happening
            if isinstance(happening, Record | Reading):
                record_id = happening.record_id if isinstance(happening, Record) else None
                found.append((entry_key(ref, Place(place)), record_id))
    return found[::2]


def marks(keys: list[bytes]) -> Batch:
    """That these entries were erased, as what erases will say it."""
    batch = Batch()
    for key in keys:
        batch.put(Table.HOLE, key, HOLE_MARK)
    return batch


def erasure(keys: list[bytes]) -> Batch:
    """The same, and body, salt and payload gone."""
    batch = marks(keys)
    for key in keys:
        batch.delete(Table.BODY, key)
        batch.delete(Table.PAYLOAD, key)
    return batch


async def read_and_written(seats: Seats) -> list[RecordId]:
    """Records, a grant, and readings that rest on them."""
    town, hospital = seats[TOWN], seats[HOSPITAL]
    ids = [(await add(town, "E1", b"0")).record_id]
    await grant(town, "E1", HOSPITAL)
    for number in range(1, 6):
        ids.append((await add(town, "E1", b"%d" % number)).record_id)
        await history(hospital, "E1")
        await read(hospital, ids[-1])
    return ids


def verified(seat: Seat, receipt: bytes) -> VerifiedReceipt:
    return verify_receipt(receipt, certification_policy(seat.genesis), verify)


async def test_with_justified_holes_a_peer_starts_serves_and_lets_a_lagging_one_catch_up(
    tmp_path: Path,
) -> None:
    async with cluster(tmp_path, memory=True) as seats:
        town, hospital, office = (seats[member] for member in (TOWN, HOSPITAL, OFFICE))
        await lead(seats, TOWN)
        before = town.parts.applier.head.height
        await level(seats.values())
        await office.kill()
        ids = await read_and_written(seats)
        await level((town, hospital))
        heights = range(before + 1, town.parts.applier.head.height + 1)
        receipts = [town.peer.receipt_of_record(each).receipt for each in ids]
        erased = erasable(town.disk.store, heights)
        keys = [key for key, _ in erased]
        gone = {record_id for _, record_id in erased if record_id is not None}
        assert len(gone) >= 3
        assert len(keys) - len(gone) >= 3
        size = town.parts.applier.head.tree_size
        await town.kill()
        await hospital.kill()
        for seat in (town, hospital):
            seat.write_offline(erasure(keys))

        # 1. They start, and old receipts still verify.
        await town.start()
        await hospital.start()
        await leader_of(seats)
        await level((town, hospital))
        for receipt in receipts:
            assert verified(town, receipt).body is not None

        # 2. New receipts of what was erased prove the leaf without its body.
        for record_id in ids:
            fresh = verified(town, town.peer.receipt_of_record(record_id).receipt)
            assert (fresh.body is None) == (record_id in gone)

        # 3. Histories and the trail show what was erased as erased.
        found = {each.record_id: each for each in await history(town, "E1")}
        assert {each for each, item in found.items() if item.erased} == gone
        kept = [each for each in ids if each not in gone]
        assert [found[each].content for each in kept] == [b"%d" % ids.index(each) for each in kept]
        assert all(found[each].content == b"" for each in gone)
        readings = [e for e in trail(town, "E1") if e.kind is EntryKind.READING]
        assert {e.erased for e in readings} == {True, False}

        # 4. The lagging peer knows of the erasures, and catches up through the holes.
        office.write_offline(marks(keys))
        await office.start()
        await level(seats.values())
        assert office.parts.applier.head.tree_size >= size

        # 5. A power cut takes what it applied; it comes back from its log, holes and all.
        assert office.memory is not None
        assert office.memory.unsynced_batches >= len(heights)
        await office.lose_power()
        await office.start()
        await level(seats.values())
        for table in BODILESS:
            assert dict(office.disk.store.scan(table)) == dict(town.disk.store.scan(table)), table
        await add(office, "E2")
        for record_id in ids:
            place = town.peer.receipt_of_record(record_id).position
            leaf = office.parts.proofs.receipt(LeafIndex(place.leaf_index)).receipt
            assert (verified(office, leaf).body is None) == (record_id in gone)


async def test_a_peer_that_knows_of_no_erasure_holds_no_block_with_holes(tmp_path: Path) -> None:
    async with cluster(tmp_path) as seats:
        town, hospital, office = (seats[member] for member in (TOWN, HOSPITAL, OFFICE))
        await lead(seats, TOWN)
        await level(seats.values())
        await office.kill()
        await add(town, "E3")
        await level((town, hospital))
        head = town.parts.applier.head
        keys = [key for key, _ in erasable(town.disk.store, range(head.height, head.height + 1))]
        for seat in (town, hospital):
            seat.disk.store.write(erasure(keys), sync=True)
        await office.start()
        await until(lambda: office.logged("it is not answered in this term"))
        assert office.parts.applier.head.height < head.height
        assert office.alive
        office.disk.store.write(marks(keys), sync=True)
        await town.peer.transfer_leadership(hospital.peer_id, deadline=soon())
        await level(seats.values())


async def test_recorded_outcomes_for_what_is_not_certified_are_not_taken(tmp_path: Path) -> None:
    async with cluster(tmp_path) as seats:
        leader = await leader_of(seats)
        voter = others(seats, leader)[0]
        await add(leader, "E4")
        await level(seats.values())
        source = leader.parts.transport._context.blocks
        honest = source.block_bytes

        async def with_outcomes(ref: object) -> object:
            message = await honest(ref)  # type: ignore[arg-type]
            message.outcomes = bytes([Outcome.APPLIED]) * 2
            return message

        source.block_bytes = with_outcomes  # type: ignore[method-assign, assignment]
        rows = voter.parts.consensus._parts.log.last_index()
        waiting = asyncio.create_task(add(leader, "E4"))
        await until(lambda: voter.metric("caretree_node_not_held_messages_total") > 0)
        assert voter.parts.consensus._parts.log.last_index() == rows
        source.block_bytes = honest  # type: ignore[method-assign]
        await asyncio.gather(waiting, return_exceptions=True)


async def test_an_unjustified_hole_is_not_read_over(tmp_path: Path) -> None:
    async with cluster(tmp_path) as seats:
        town, office = seats[TOWN], seats[OFFICE]
        added = await add(town, "E5")
        await level(seats.values())
        head = town.parts.applier.head
        ((key, _),) = erasable(town.disk.store, range(head.height, head.height + 1))
        payload = Batch()
        payload.delete(Table.PAYLOAD, key)
        town.disk.store.write(payload, sync=True)
        with pytest.raises(FatalError, match="payload is missing"):
            await history(town, "E5")
        assert isinstance(await town.ended(), FatalError)
        with refused(Reason.NOT_OPEN):
            await read(office, added.record_id)
