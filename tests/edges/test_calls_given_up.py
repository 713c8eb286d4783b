"""Calls given up on the way, by their client or by its deadline: what they began happens once."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Final, NoReturn

import grpc
import pytest
from caretree.crypto.aead import OpeningError
from caretree.node import appending, granting
from caretree.proto.api.v1 import records_pb2
from caretree.proto.api.v1.records_pb2_grpc import RecordServiceStub

from tests.ledger.builders import HOSPITAL, OFFICE, TOWN
from tests.node.asking import add, grant, history, revoke
from tests.node.cluster import Seats, cluster, until
from tests.node.doors import channel_to, client_port
from tests.node.steering import cut_off, join, lead
from tests.rpc.requests import PERSON, append_request, patient, refusal_of

pytestmark = [pytest.mark.processes, pytest.mark.asyncio]

TIMEOUT_S: Final = 20


@asynccontextmanager
async def held_up(path: Path) -> AsyncIterator[tuple[Seats, RecordServiceStub]]:
    """The township leads and hears nobody: what it takes in waits to be ordered."""
    async with cluster(path) as seats:
        town = await lead(seats, TOWN)
        async with client_port(town) as address, channel_to(town, address) as channel:
            stub = RecordServiceStub(channel)
            await stub.Append(append_request(1), timeout=TIMEOUT_S)
            cut_off(seats, town)
            yield seats, stub


async def until_handed_over(seats: Seats) -> None:
    """Return once an entry of the township's is with its leader, signed."""
    author = seats[TOWN].parts.author
    await until(lambda: bool(author._under_way))


async def contents(stub: RecordServiceStub) -> list[bytes]:
    """The patient's records, oldest first."""
    request = records_pb2.ListHistoryRequest(patient=patient(), acting_person=PERSON)
    answers = [answer async for answer in stub.ListHistory(request, timeout=TIMEOUT_S)]
    return [record.content for each in reversed(answers) for record in reversed(each.records)]


async def test_a_call_cancelled_while_it_is_ordered_takes_effect_once(tmp_path: Path) -> None:
    async with held_up(tmp_path) as (seats, stub):
        call = stub.Append(append_request(2), timeout=TIMEOUT_S)
        await until_handed_over(seats)
        call.cancel()
        with pytest.raises(asyncio.CancelledError):
            await call
        join(seats)
        author = seats[TOWN].parts.author
        await until(lambda: not author._under_way)
        again = await stub.Append(append_request(2), timeout=TIMEOUT_S)
        assert again.already_added
        assert await contents(stub) == [b"content 1", b"content 2"]


async def test_a_stream_cancelled_while_its_batches_are_ordered_takes_effect_once(
    tmp_path: Path,
) -> None:
    batches = [
        records_pb2.AppendStreamRequest(batch_number=number, records=[append_request(number)])
        for number in (2, 3)
    ]
    async with held_up(tmp_path) as (seats, stub):
        call = stub.AppendStream(timeout=TIMEOUT_S)
        for batch in batches:
            await call.write(batch)
        author = seats[TOWN].parts.author
        await until(lambda: len(author._under_way) + author.queued_entries == len(batches))
        call.cancel()
        join(seats)
        await until(lambda: not author._under_way and not author.queued_entries)
        answers = [answer async for answer in stub.AppendStream(iter(batches), timeout=TIMEOUT_S)]
        assert [result.added.already_added for each in answers for result in each.results] == [
            True,
            True,
        ]
        assert await contents(stub) == [b"content 1", b"content 2", b"content 3"]


async def test_a_deadline_that_passes_while_a_call_is_ordered_leaves_it_unknown_and_once(
    tmp_path: Path,
) -> None:
    async with held_up(tmp_path) as (seats, stub):
        with pytest.raises(grpc.aio.AioRpcError) as caught:
            await stub.Append(append_request(2), timeout=0.6)
        refusal = refusal_of(caught.value)
        assert refusal.reason == "OUTCOME_UNKNOWN"
        assert refusal.retry_ms is not None
        join(seats)
        again = await stub.Append(append_request(2), timeout=TIMEOUT_S)
        assert again.status == records_pb2.ENTRY_STATUS_CERTIFIED
        assert await contents(stub) == [b"content 1", b"content 2"]


async def test_a_deadline_that_passes_in_the_queue_is_told_and_the_same_call_adds_once(
    tmp_path: Path,
) -> None:
    async with cluster(tmp_path) as seats:
        town = seats[TOWN]
        await lead(seats, HOSPITAL)
        async with client_port(town) as address, channel_to(town, address) as channel:
            stub = RecordServiceStub(channel)
            await stub.Append(append_request(1), timeout=TIMEOUT_S)
            await seats[HOSPITAL].kill()
            await seats[OFFICE].kill()
            await until(lambda: not town.parts.author._majority)
            with pytest.raises(grpc.aio.AioRpcError) as caught:
                await stub.Append(append_request(2), timeout=0.4)
            assert refusal_of(caught.value).reason in {"OUTCOME_UNKNOWN", "NO_QUORUM"}
            await asyncio.gather(seats[HOSPITAL].start(), seats[OFFICE].start())
            await until(lambda: not town.parts.author.stuck())
            await stub.Append(append_request(2), timeout=TIMEOUT_S)
            assert await contents(stub) == [b"content 1", b"content 2"]


async def test_a_fault_while_a_first_record_is_drafted_leaves_the_next_one_unharmed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(**_: object) -> NoReturn:
        raise OpeningError("no such key")

    async with cluster(tmp_path) as seats:
        town = await lead(seats, TOWN)
        with monkeypatch.context() as patch:
            patch.setattr(appending, "NewRecord", broken)
            with pytest.raises(OpeningError):
                await add(town, "P-new")
        await add(town, "P-new", b"after the fault")
        # A revoke closes the epoch: the next entry that seals has to open another.
        await grant(town, "P-new", HOSPITAL)
        await revoke(town, "P-new", HOSPITAL)
        with monkeypatch.context() as patch:
            patch.setattr(granting, "NewGrant", broken)
            with pytest.raises(OpeningError):
                await grant(town, "P-new", HOSPITAL)
        await add(town, "P-new", b"after the second")
        assert len(await history(town, "P-new")) == 2
