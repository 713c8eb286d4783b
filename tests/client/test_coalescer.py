"""Single appends on one stream: how they are gathered, bounded, and outlive a broken connection."""

import asyncio
import dataclasses

import pytest
from caretree.client import Appended, CallFailedError, CaretreeClient, coalescer
from caretree.client.coalescer import (
    ANSWERS_AT_ONCE,
    BATCHES_IN_FLIGHT_MAX,
    WAITING_RECORDS_MAX,
    Coalescer,
    Stream,
)
from caretree.model.ids import RequestId
from caretree.model.limits import (
    CLIENT_BATCH_BYTES_MAX,
    CLIENT_BATCH_RECORDS_MAX,
    CONTENT_BYTES_MAX,
)
from caretree.model.reasons import CallError, Reason
from caretree.node.calls import EntryAnswer

from tests.client.connecting import connected, new_record, settings_for
from tests.rpc.fake_ledger import FakeLedger
from tests.rpc.fake_peer import FakePeer
from tests.rpc.requests import append_request
from tests.rpc.serving import STRANGER, free_address, serving, trusted
from tests.waiting import until

pytestmark = pytest.mark.asyncio

STREAM = ("bidi_stream", "caretree.api.v1.RecordService", "AppendStream")


async def test_appends_made_at_the_same_time_share_a_batch() -> None:
    async with connected() as (client, server):
        await asyncio.gather(*(client.append(new_record(number)) for number in range(50)))

    assert server.peer.batch_sizes == [50]
    assert server.recorder.started.count(STREAM) == 1


async def test_what_arrives_while_batches_are_under_way_goes_into_the_next() -> None:
    async with connected() as (client, server):
        server.peer.gate = asyncio.Event()
        first = []
        for number in range(BATCHES_IN_FLIGHT_MAX):
            first.append(asyncio.create_task(client.append(new_record(number))))
            await until(lambda: server.peer.waiting == len(first))
        later = [asyncio.create_task(client.append(new_record(100 + n))) for n in range(30)]
        await asyncio.sleep(0.1)  # time in which a batch too many would leave
        under_way = server.peer.waiting
        server.peer.gate.set()
        await asyncio.gather(*first, *later)

    assert under_way == BATCHES_IN_FLIGHT_MAX
    assert server.peer.batch_sizes == [1] * BATCHES_IN_FLIGHT_MAX + [30]


async def test_callers_of_a_large_batch_do_not_all_come_back_in_one_batch() -> None:
    callers = 2 * ANSWERS_AT_ONCE

    async def append_twice(client: CaretreeClient, number: int) -> None:
        await client.append(new_record(number))
        await client.append(new_record(callers + number))

    async with connected() as (client, server):
        server.peer.certified = False  # receipts of so many take their time
        await asyncio.gather(*(append_twice(client, number) for number in range(callers)))

    assert server.peer.batch_sizes == [callers, ANSWERS_AT_ONCE, ANSWERS_AT_ONCE]


async def test_answers_that_wait_to_be_handed_out_are_told_when_the_client_ends() -> None:
    async with connected() as (client, server):
        server.peer.certified = False
        count = ANSWERS_AT_ONCE + 1
        tasks = [asyncio.create_task(client.append(new_record(n))) for n in range(count)]
        await tasks[0]
        assert not tasks[-1].done()
    outcomes = await asyncio.wait_for(asyncio.gather(*tasks), 20)

    assert all(isinstance(outcome, Appended) for outcome in outcomes)


async def test_a_batch_holds_so_many_records_and_not_one_more() -> None:
    count = CLIENT_BATCH_RECORDS_MAX + 1
    async with connected() as (client, server):
        server.peer.certified = False  # receipts of so many take their time
        await asyncio.gather(*(client.append(new_record(number)) for number in range(count)))

    assert server.peer.batch_sizes == [CLIENT_BATCH_RECORDS_MAX, 1]


async def test_a_batch_holds_so_many_bytes_and_not_one_more() -> None:
    largest = [new_record(content=bytes(CONTENT_BYTES_MAX)) for _ in range(4)]
    async with connected() as (client, server):
        await asyncio.gather(*(client.append(record) for record in largest))

    assert 4 * CONTENT_BYTES_MAX == CLIENT_BATCH_BYTES_MAX
    assert server.peer.batch_sizes == [3, 1]


async def test_a_record_that_no_batch_holds_is_refused_without_being_sent() -> None:
    async with connected() as (client, server):
        with pytest.raises(CallFailedError) as caught:
            await client.append(new_record(content=bytes(CLIENT_BATCH_BYTES_MAX)))

    assert caught.value.reason is Reason.CONTENT_TOO_LARGE
    assert server.recorder.started == []


async def test_a_record_that_the_peer_is_too_busy_for_is_sent_again() -> None:
    async with connected() as (client, server):
        server.peer.failures.append(CallError(Reason.OVERLOADED, retry_after_ms=10))
        appended = await client.append(new_record())

    assert not appended.already_added
    assert len(server.peer.calls) == 2


async def test_appends_outlive_a_peer_that_goes_away_and_comes_back() -> None:
    address = free_address()
    peer = FakePeer(ledger=FakeLedger(trusted().consortium))
    async with CaretreeClient.connect(settings_for(address)) as client:
        async with serving(peer, address=address):
            await client.append(new_record(0))
            peer.gate = asyncio.Event()
            lost = [asyncio.create_task(client.append(new_record(n))) for n in range(1, 9)]
            await until(lambda: peer.waiting == 1)
        peer.gate = None
        early = asyncio.create_task(client.append(new_record(9)))
        await asyncio.sleep(0.2)
        async with serving(peer, address=address):
            outcomes = await asyncio.gather(*lost, early)

    assert len({outcome.record_id for outcome in outcomes}) == 9
    assert all(outcome.receipt is not None for outcome in outcomes)


async def test_a_record_that_was_added_before_the_connection_broke_is_not_added_twice() -> None:
    address = free_address()
    peer = FakePeer(ledger=FakeLedger(trusted().consortium))
    async with CaretreeClient.connect(settings_for(address)) as client:
        async with serving(peer, address=address):
            # The peer does its work, but its answer is never sent.
            peer.forge_entry = _vanish
            task = asyncio.create_task(client.append(new_record(), deadline_s=20))
            await until(lambda: len(peer.batch_sizes) == 1)
        peer.forge_entry = lambda entry: entry
        size = peer.ledger.size
        async with serving(peer, address=address):
            appended = await task

    assert appended.already_added
    assert peer.ledger.size == size


async def test_the_outcome_is_unknown_when_the_deadline_passes_after_sending() -> None:
    record = dataclasses.replace(new_record(), request_id=RequestId(b"q" * 16))
    async with connected() as (client, server):
        server.peer.gate = asyncio.Event()
        with pytest.raises(CallFailedError) as caught:
            await client.append(record, deadline_s=0.3)
        server.peer.gate.set()
        again = await client.append(record)

    assert caught.value.reason is Reason.OUTCOME_UNKNOWN
    assert caught.value.request_id == b"q" * 16
    assert again.already_added


async def test_an_unknown_outcome_stays_unknown_when_the_peer_is_then_out_of_reach() -> None:
    address = free_address()
    peer = FakePeer(ledger=FakeLedger(trusted().consortium))
    async with CaretreeClient.connect(settings_for(address)) as client:
        async with serving(peer, address=address):
            peer.gate = asyncio.Event()
            task = asyncio.create_task(client.append(new_record(), deadline_s=1.0))
            await until(lambda: peer.waiting == 1)
        with pytest.raises(CallFailedError) as caught:
            await task

    assert caught.value.reason is Reason.OUTCOME_UNKNOWN
    assert caught.value.request_id is not None


async def test_a_caller_that_goes_away_before_sending_takes_its_record_along() -> None:
    async with connected() as (client, server):
        server.peer.gate = asyncio.Event()
        busy = []
        for number in range(BATCHES_IN_FLIGHT_MAX):
            busy.append(asyncio.create_task(client.append(new_record(number))))
            await until(lambda: server.peer.waiting == len(busy))
        gone = asyncio.create_task(client.append(new_record(50)))
        kept = asyncio.create_task(client.append(new_record(51)))
        await asyncio.sleep(0)
        gone.cancel()
        server.peer.gate.set()
        await asyncio.gather(*busy, kept)

    assert server.peer.batch_sizes == [1] * BATCHES_IN_FLIGHT_MAX + [1]


async def test_a_principal_that_is_refused_is_told_so_at_once() -> None:
    async with connected(principal=STRANGER) as (client, _):
        outcomes = [
            outcome async for outcome in client.append_many(new_record(n) for n in range(3))
        ]

    reasons = {outcome.reason for outcome in outcomes if not isinstance(outcome, Appended)}
    assert reasons == {Reason.UNKNOWN_PRINCIPAL}
    assert len(outcomes) == 3
    assert len({id(outcome) for outcome in outcomes}) == 3


async def test_so_many_records_wait_and_whoever_comes_then_waits_for_room() -> None:
    appends = Coalescer(_no_stream)
    loop = asyncio.get_running_loop()
    soon = loop.time() + 0.5
    waiting = [
        asyncio.create_task(appends.append(append_request(number), deadline=loop.time() + 60))
        for number in range(WAITING_RECORDS_MAX)
    ]
    await asyncio.sleep(0)
    with pytest.raises(CallFailedError) as caught:
        await appends.append(append_request(), deadline=soon)
    waiting[0].cancel()
    with pytest.raises(CallFailedError):
        await appends.append(append_request(), deadline=loop.time() + 0.1)
    for task in waiting:
        task.cancel()
    await asyncio.gather(*waiting, return_exceptions=True)

    assert caught.value.reason is Reason.DEADLINE


async def test_an_idle_stream_is_ended_and_the_next_append_opens_another(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(coalescer, "STREAM_IDLE_S_MAX", 0.05)
    async with connected() as (client, server):
        await client.append(new_record(1))
        await until(lambda: len(server.recorder.handled) > 0)
        await client.append(new_record(2))

    assert server.recorder.handled[0] == (*STREAM, "OK")
    assert server.recorder.started.count(STREAM) == 2


async def test_a_stream_that_is_never_idle_is_ended_when_it_is_old(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(coalescer, "STREAM_S_MAX", 0.2)
    loop = asyncio.get_running_loop()
    async with connected() as (client, server):
        ends, number = loop.time() + 0.7, 0
        while loop.time() < ends:
            number += 1
            appended = await client.append(new_record(number))
            assert not appended.already_added

    handled = [call for call in server.recorder.handled if call[:3] == STREAM]
    assert server.recorder.started.count(STREAM) >= 3
    assert handled[:2] == [(*STREAM, "OK")] * 2


async def test_a_closed_client_takes_no_more_appends() -> None:
    async with connected() as (client, _):
        await client.append(new_record())
    with pytest.raises(CallFailedError) as caught:
        await client.append(new_record(), deadline_s=0.2)

    assert caught.value.code == "UNAVAILABLE"


def _vanish(_entry: EntryAnswer) -> EntryAnswer:
    raise asyncio.CancelledError


def _no_stream() -> Stream:
    raise AssertionError
