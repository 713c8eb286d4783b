"""Peers killed, out of power, without their disk: nothing acknowledged is lost, or no start."""

import asyncio
import shutil
from collections import Counter
from dataclasses import replace
from pathlib import Path

import pytest
from caretree.model.ids import LogIndex, PeerId, Term, TreeSize
from caretree.node.calls import AppendAnswer, EntryStatus
from caretree.node.startup import SignedRootError, recover
from caretree.storage.errors import StorageLostError
from caretree.storage.keys import Table
from caretree.storage.ports import Batch
from caretree.storage.watermark import COPIES, Watermark, WatermarkFile, encode_page

from tests.ledger.builders import HOSPITAL, OFFICE, TOWN
from tests.node.asking import add, contents, history
from tests.node.cluster import Seat, cluster, leader_of, level, open_disk, record, soon, until
from tests.node.test_applier import flipped
from tests.node.test_transfer import Writer

pytestmark = [pytest.mark.processes, pytest.mark.asyncio]


def read_mark(seat: Seat) -> Watermark:
    """The watermark of a peer that does not run."""
    file = WatermarkFile.open(watermark_path(seat))
    mark = file.read()
    file.close()
    return mark


def write_mark(seat: Seat, mark: Watermark) -> None:
    """Another watermark under a peer that does not run."""
    pages = [encode_page(sequence, mark) * COPIES for sequence in (10, 11)]
    watermark_path(seat).write_bytes(b"".join(pages))


def watermark_path(seat: Seat) -> Path:
    (path,) = [path for path in seat.directory.iterdir() if "watermark" in path.name]
    return path


async def assert_lost(seat: Seat, match: str) -> None:
    """The peer refuses its start and has shown nothing to anyone."""
    with pytest.raises(StorageLostError, match=match):
        await seat.start()


async def test_each_peer_killed_under_load_comes_back_and_nothing_acknowledged_is_lost(
    tmp_path: Path,
) -> None:
    async with cluster(tmp_path) as seats:
        await leader_of(seats)
        writer = Writer(seats, "S1")
        writing = asyncio.create_task(writer.run())
        for seat in (seats[HOSPITAL], seats[OFFICE]):
            await asyncio.sleep(0.1)
            await seat.kill()
            await asyncio.sleep(0.1)
            await seat.start()
            await leader_of(seats)
        writer.stop()
        await writing
        await seats[TOWN].kill()
        await seats[TOWN].start()
        await leader_of(seats)
        await level(seats.values())
        found = Counter(contents(await history(seats[TOWN], "S1")))
        assert found == Counter(writer.acknowledged[-100:])


async def test_a_power_cut_everywhere_loses_nothing_that_was_acknowledged(tmp_path: Path) -> None:
    async with cluster(tmp_path, memory=True) as seats:
        await leader_of(seats)
        answers = []
        for _ in range(2):
            answers += [await add(seats[TOWN], "S2", b"%d" % n) for n in range(8)]
            # A peer that lags has yet to write what a power cut would take from it.
            await level(seats.values())
            heads = {seat.parts.applier.head for seat in seats.values()}
            assert all(seat.memory and seat.memory.unsynced_batches for seat in seats.values())
            signed = max(head.tree_size for head in heads)
            await asyncio.gather(*(seat.lose_power() for seat in seats.values()))
            await asyncio.gather(*(seat.start() for seat in seats.values()))
            # What was signed is there before anything else happens.
            assert max(s.parts.applier.head.tree_size for s in seats.values()) == signed
            await leader_of(seats)
            await level(seats.values())
        receipts = [seats[TOWN].peer.receipt_of_record(answer.record_id) for answer in answers]
        assert [each.position for each in receipts] == [each.entry.position for each in answers]
        assert len(await history(seats[TOWN], "S2")) == len(answers)


async def test_a_power_cut_at_one_peer_amid_appends_is_made_up_for(tmp_path: Path) -> None:
    async with cluster(tmp_path, memory=True) as seats:
        await leader_of(seats)
        writer = Writer(seats, "S3")
        writing = asyncio.create_task(writer.run())
        for seat in (seats[OFFICE], seats[HOSPITAL], seats[OFFICE]):
            await asyncio.sleep(0.08)
            await seat.lose_power()
            await seat.start()
            await leader_of(seats)
        writer.stop()
        await writing
        await level(seats.values())
        found = Counter(contents(await history(seats[TOWN], "S3")))
        assert found == Counter(writer.acknowledged[-100:])


async def test_a_missing_or_damaged_watermark_refuses_the_start(tmp_path: Path) -> None:
    async with cluster(tmp_path) as seats:
        office = seats[OFFICE]
        await add(seats[TOWN], "S4")
        await level(seats.values())
        await office.kill()
        whole = watermark_path(office).read_bytes()
        path = watermark_path(office)
        for wrong in (b"", whole[:-1], bytes(len(whole)), flipped(flipped(whole, 0), 4096)):
            path.write_bytes(wrong)
            with pytest.raises(StorageLostError, match="watermark file is damaged"):
                await office.start()
        path.unlink()
        with pytest.raises(StorageLostError, match="watermark"):
            await office.start()
        path.write_bytes(whole)
        path.chmod(0o600)
        await office.start()
        await level(seats.values())


async def test_an_older_copy_of_the_database_refuses_the_start(tmp_path: Path) -> None:
    async with cluster(tmp_path) as seats:
        office = seats[OFFICE]
        await add(seats[TOWN], "S5")
        await level(seats.values())
        await office.kill()
        older = tmp_path / "older"
        shutil.copytree(office.directory, older)
        await office.start()
        await add(seats[TOWN], "S5")
        await level(seats.values())
        await office.kill()
        mark = watermark_path(office).read_bytes()
        newer = tmp_path / "newer"
        office.directory.rename(newer)
        shutil.copytree(older, office.directory)
        watermark_path(office).write_bytes(mark)
        await assert_lost(office, "lost its storage")
        shutil.rmtree(office.directory)
        newer.rename(office.directory)
        await office.start()
        await level(seats.values())


async def test_every_cut_of_the_log_is_noticed_and_none_is_no_loss(tmp_path: Path) -> None:
    async with cluster(tmp_path, memory=True) as seats:
        office = seats[OFFICE]
        for _ in range(3):
            await add(seats[TOWN], "S6")
        await level(seats.values())
        await office._end()
        assert office.memory is not None
        whole = office.memory
        for batches in range(1, 4):
            office.memory = whole.lose_tail(whole.unsynced_batches + batches)
            await assert_lost(office, "lost its storage")
        office.memory = whole.lose_tail(whole.unsynced_batches)
        await office.start()
        await level(seats.values())


async def test_whatever_was_shown_and_is_not_found_refuses_the_start(tmp_path: Path) -> None:
    async with cluster(tmp_path) as seats:
        office = seats[OFFICE]
        await add(seats[TOWN], "S7")
        await level(seats.values())
        await office.kill()
        mark = read_mark(office)
        for shown in (
            replace(mark, term=Term(mark.term + 1)),
            replace(mark, vote=PeerId(1)),
            replace(mark, last_index=LogIndex(mark.last_index + 1)),
            replace(mark, last_hash=flipped(mark.last_hash)),
            replace(mark, signed_size=TreeSize(mark.signed_size + 1)),
        ):
            write_mark(office, shown)
            await assert_lost(office, "lost its storage")
        write_mark(office, replace(mark, signed_root=flipped(mark.signed_root)))
        with pytest.raises(SignedRootError):
            await office.start()
        write_mark(office, mark)
        await office.start()
        await level(seats.values())


async def test_what_a_crash_left_beyond_the_watermark_is_marked_before_it_is_shown(
    tmp_path: Path,
) -> None:
    async with cluster(tmp_path) as seats:
        office = seats[OFFICE]
        await add(seats[TOWN], "S7b")
        await level(seats.values())
        await office.kill()
        mark = read_mark(office)
        behind = replace(
            mark,
            last_index=LogIndex(mark.last_index - 1),
            last_hash=flipped(mark.last_hash),
            term=Term(mark.term - 1),
            vote=None,
        )
        write_mark(office, behind)
        disk = open_disk(office.directory)
        recover(disk, office.genesis)
        disk.close()
        assert read_mark(office) == mark


async def test_an_entry_whose_signatures_were_cut_off_is_certified_by_the_next_start_alone(
    tmp_path: Path,
) -> None:
    async with cluster(tmp_path) as seats:
        await add(seats[TOWN], "S9")
        await level(seats.values())
        older = {member: seat.disk.watermark.read() for member, seat in seats.items()}
        last = await add(seats[TOWN], "S9")
        await level(seats.values())
        await asyncio.gather(*(seat.kill() for seat in seats.values()))
        for member, seat in seats.items():
            # As after a crash between the log's write and the watermark's.
            found = read_mark(seat)
            before = older[member]
            write_mark(
                seat,
                replace(
                    found,
                    signed_size=before.signed_size,
                    signed_root=before.signed_root,
                    last_index=before.last_index,
                    last_term=before.last_term,
                    last_hash=before.last_hash,
                ),
            )
            forget_certified(seat)
        await asyncio.gather(*(seat.start() for seat in seats.values()))
        size = last.entry.position.leaf_index + 1
        await until(
            lambda: all(
                (newest := seat.parts.certifier.newest) is not None and newest.size >= size
                for seat in seats.values()
            )
        )
        receipt = seats[TOWN].peer.receipt_of_record(last.record_id)
        assert receipt.position == last.entry.position


def forget_certified(seat: Seat) -> None:
    """The certified checkpoint that a peer kept is gone."""
    disk = open_disk(seat.directory)
    batch = Batch()
    batch.delete(Table.SIGNED, b"newest")
    disk.store.write(batch, sync=True)
    disk.close()


async def test_receipts_are_had_right_after_a_start_with_nobody_else_there(
    tmp_path: Path,
) -> None:
    async with cluster(tmp_path) as seats:
        town = seats[TOWN]
        added = await add(town, "S10")
        await level(seats.values())
        await asyncio.gather(*(seat.stop() for seat in seats.values()))
        await town.start()
        answer = town.peer.receipt_of_record(added.record_id)
        assert answer.position == added.entry.position
        assert town.peer.checkpoint().tree_size > added.entry.position.leaf_index


async def test_a_call_answered_committed_is_certified_when_the_others_are_back(
    tmp_path: Path,
) -> None:
    async with cluster(tmp_path) as seats:
        town = seats[TOWN]
        await leader_of(seats)
        for seat in seats.values():
            seat.drop(lambda _, request: request.WhichOneof("message") == "signatures")
        (answer,) = await town.peer.append([record("S11", b"x")], deadline=soon(0.4))
        assert isinstance(answer, AppendAnswer)
        assert (answer.entry.status, answer.entry.receipt) == (EntryStatus.COMMITTED, b"")
        for seat in seats.values():
            seat.drop(lambda *_: False)
        await add(town, "S11")
        assert town.peer.receipt_of_record(answer.record_id).position == answer.entry.position
