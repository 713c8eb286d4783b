"""The trace first, then the content: while a reading's entry is held back, nothing leaves."""

import asyncio
import random
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from caretree.ledger.values import EntryKind
from caretree.model.reasons import Reason
from caretree.proto.api.v1 import records_pb2, records_pb2_grpc

from tests.ledger.builders import HOSPITAL, TOWN
from tests.node.asking import (
    add,
    contents,
    grant,
    history,
    history_command,
    read,
    refused,
    trail,
)
from tests.node.cluster import CARD, Seat, cluster, level, soon, until
from tests.node.doors import channel_to, client_port, counting_wire

pytestmark = [pytest.mark.processes, pytest.mark.asyncio]

CONTENT = random.Random(7).randbytes(150_000)


@contextmanager
def disks_held(*seats: Seat) -> Iterator[None]:
    """The writer threads of these peers are stuck in a write."""
    gate = threading.Event()
    for seat in seats:
        seat.disk._thread.submit(gate.wait)
    try:
        yield
    finally:
        gate.set()


async def test_history_and_record_do_not_return_before_the_reading_is_written(
    tmp_path: Path,
) -> None:
    async with cluster(tmp_path) as seats:
        town, hospital = seats[TOWN], seats[HOSPITAL]
        added = await add(town, "H1", b"content")
        await grant(town, "H1", HOSPITAL)
        await level(seats.values())
        calls = [
            asyncio.create_task(history(hospital, "H1")),
            asyncio.create_task(read(hospital, added.record_id)),
        ]
        # Nobody writes: the entry is not committed. One writes: it is not, either. Two write, but
        # not the reader's own peer: it is committed, and not known here to be.
        for held in (list(seats.values()), [seats[m] for m in seats if m != HOSPITAL], [hospital]):
            with disks_held(*held):
                fresh = asyncio.create_task(history(hospital, "H1"))
                calls.append(fresh)
                done, _ = await asyncio.wait({fresh}, timeout=0.15)
                assert not done
        results = await asyncio.gather(*calls)
        assert contents(results[0]) == [b"content"]  # type: ignore[arg-type]
        await level(seats.values())
        readings = [each for each in trail(town, "H1") if each.kind is EntryKind.READING]
        assert len(readings) == len(calls)


async def test_a_reading_that_is_not_written_in_time_gives_no_content(tmp_path: Path) -> None:
    async with cluster(tmp_path) as seats:
        await add(seats[TOWN], "H2", b"content")
        await level(seats.values())
        with disks_held(*seats.values()), refused(Reason.OUTCOME_UNKNOWN):
            await seats[TOWN].peer.history(history_command("H2"), deadline=soon(0.1))
        # It is followed up all the same: what was asked for leaves its trace.
        await until(lambda: any(e.kind is EntryKind.READING for e in trail(seats[TOWN], "H2")))


async def test_no_byte_of_content_is_on_the_wire_before_the_reading_is_written(
    tmp_path: Path,
) -> None:
    async with cluster(tmp_path) as seats:
        town = seats[TOWN]
        added = await add(town, "H3", CONTENT)
        await level(seats.values())
        async with (
            client_port(town) as address,
            counting_wire(address) as wire,
            channel_to(town, wire.address) as channel,
        ):
            stub = records_pb2_grpc.RecordServiceStub(channel)
            person = records_pb2.ActingPerson(id="D-1", role=records_pb2.PERSON_ROLE_PHYSICIAN)
            listing = records_pb2.ListHistoryRequest(
                patient=records_pb2.PatientIdentifier(system=CARD, value="H3"),
                purpose=records_pb2.ACCESS_PURPOSE_TREATMENT,
                acting_person=person,
            )
            getting = records_pb2.GetRecordRequest(
                record_id=added.record_id,
                purpose=records_pb2.ACCESS_PURPOSE_TREATMENT,
                acting_person=person,
            )

            async def whole_history() -> list[bytes]:
                call = stub.ListHistory(listing, timeout=10)
                return [record.content async for part in call for record in part.records]

            async def one_record() -> list[bytes]:
                answer = await stub.GetRecord(getting, timeout=10)
                return [answer.record.content]

            assert await one_record() == [CONTENT]
            for ask in (whole_history, one_record):
                before = wire.returned
                with disks_held(*seats.values()):
                    call = asyncio.create_task(ask())
                    await asyncio.sleep(0.2)
                    assert not call.done()
                    # Frames of the protocol alone: no room for 150 kB that do not compress.
                    assert wire.returned - before < 2_000
                assert await call == [CONTENT]
                assert wire.returned - before > len(CONTENT)
