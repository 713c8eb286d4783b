"""Slow readers and slow senders: each holds little, for a named time, and nobody else waits."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Final, TypeAlias

import grpc
import pytest
from caretree.ledger.values import EntryKind
from caretree.node.calls import HistoryCommand
from caretree.proto.api.v1 import operations_pb2, records_pb2
from caretree.proto.api.v1.operations_pb2_grpc import OperationServiceStub
from caretree.proto.api.v1.records_pb2_grpc import RecordServiceStub
from caretree.rpc import guard as guarding
from caretree.rpc import interceptor, writing
from caretree.rpc.records import STREAM_BATCHES_MAX

from tests.edges.callers import tls_with
from tests.edges.http2 import (
    APPEND,
    APPEND_STREAM,
    DATA,
    END_STREAM,
    LIST_HISTORY,
    STATUS,
    Wire,
    frame,
    headers,
    message,
    opened,
)
from tests.ledger.builders import TOWN
from tests.node.asking import trail
from tests.node.cluster import cluster, leader_of
from tests.node.doors import channel_to, client_port
from tests.rpc.requests import PERSON, append_request, patient, refusal_of
from tests.rpc.serving import (
    DOCTOR,
    SERVER_NAME,
    STRANGER,
    SYSTEM,
    Serving,
    principal_pair,
    serving,
    trusted,
)
from tests.waiting import until

pytestmark = pytest.mark.asyncio

TIMEOUT_S: Final = 30
RECORDS: Final = 20
RECORD_BYTES: Final = 200_000
# The window of a stream (RFC 9113, 6.9.2), and what gRPC holds ready behind it.
UNREAD_BYTES_MAX: Final = 65_535
HISTORY: Final = records_pb2.ListHistoryRequest(patient=patient())
AnyStream: TypeAlias = "grpc.aio.StreamUnaryMultiCallable[bytes, bytes]"


async def wire_of(stack: AsyncExitStack, server: Serving, principal: str) -> Wire:
    """A connection by hand of a principal of the town."""
    tls = tls_with(principal_pair(principal), authority=trusted().authorities[TOWN].pem)
    return await stack.enter_async_context(opened(server.address, tls, name=SERVER_NAME))


async def fill(server: Serving) -> None:
    """A history of some megabytes."""
    async with server.as_principal(SYSTEM) as channel:
        for number in range(1, RECORDS + 1):
            request = append_request(number, content=bytes(RECORD_BYTES))
            await RecordServiceStub(channel).Append(request, timeout=TIMEOUT_S)


async def check_answers(server: Serving) -> None:
    """Another principal's call is answered."""
    async with server.as_principal(SYSTEM) as channel:
        answer = await RecordServiceStub(channel).Append(append_request(999), timeout=TIMEOUT_S)
        assert answer.record_id


def ended(server: Serving, method: str) -> list[str]:
    """With which codes calls of this method have ended."""
    return [code for _, _, name, code in server.recorder.handled if name == method]


async def test_a_reader_that_takes_nothing_is_given_up_and_was_sent_little(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(writing, "WRITE_S_MAX", 0.5)
    async with serving() as server, AsyncExitStack() as stack:
        await fill(server)
        wire = await wire_of(stack, server, DOCTOR)
        asked = message(1, HISTORY.SerializeToString())
        await wire.say(headers(1, LIST_HISTORY, timeout="3600S"), asked)
        await until(lambda: wire.heard[DATA] > 0)
        await check_answers(server)
        await until(lambda: bool(ended(server, "ListHistory")))
        assert ended(server, "ListHistory") == ["Canceled"]
        assert wire.data_bytes <= UNREAD_BYTES_MAX
        histories = [call for call in server.peer.calls if isinstance(call, HistoryCommand)]
        assert len(histories) == 1
        await check_answers(server)


async def test_a_deadline_ends_a_stream_whose_reader_takes_nothing() -> None:
    async with serving() as server, AsyncExitStack() as stack:
        await fill(server)
        wire = await wire_of(stack, server, DOCTOR)
        asked = message(1, HISTORY.SerializeToString())
        await wire.say(headers(1, LIST_HISTORY, timeout="1S"), asked)
        await until(lambda: bool(ended(server, "ListHistory")))
        assert set(ended(server, "ListHistory")) <= {"DeadlineExceeded", "Canceled"}
        assert wire.data_bytes <= UNREAD_BYTES_MAX
        await check_answers(server)


@pytest.mark.processes
async def test_a_history_that_nobody_takes_is_audited_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(writing, "WRITE_S_MAX", 0.5)
    async with cluster(tmp_path) as seats:
        town = seats[TOWN]
        await leader_of(seats)
        async with client_port(town) as address, channel_to(town, address) as channel:
            stub = RecordServiceStub(channel)
            for number in range(1, 5):
                request = append_request(number, content=bytes(RECORD_BYTES))
                await stub.Append(request, timeout=TIMEOUT_S)
            history = records_pb2.ListHistoryRequest(patient=patient(), acting_person=PERSON)
            call = stub.ListHistory(history, timeout=TIMEOUT_S)
            await call.read()
            await asyncio.sleep(1)  # time in which the peer gives the reader up
            call.cancel()
            await stub.Append(append_request(9), timeout=TIMEOUT_S)
        readings = [event for event in trail(town) if event.kind is EntryKind.READING]
        assert len(readings) == 1


@pytest.mark.slow
async def test_a_stream_whose_answers_nobody_reads_takes_no_more_batches_and_is_given_up(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(writing, "WRITE_S_MAX", 2.0)
    sent = STREAM_BATCHES_MAX + 5
    async with serving() as server, AsyncExitStack() as stack:
        wire = await wire_of(stack, server, DOCTOR)
        # Each answer holds the receipts of 64 records, more than a stream's window takes.
        await wire.say(headers(1, APPEND_STREAM, timeout="3600S"))
        await wire.say(*(message(1, batch(number), end=False) for number in range(sent)))
        await until(lambda: len(server.peer.batch_sizes) >= STREAM_BATCHES_MAX)
        await until(lambda: bool(ended(server, "AppendStream")))
        assert ended(server, "AppendStream") == ["Canceled"]
        assert len(server.peer.batch_sizes) < sent
        assert wire.data_bytes <= UNREAD_BYTES_MAX
        await check_answers(server)


def batch(number: int) -> bytes:
    """64 small records, in one frame."""
    records = [append_request(64 * number + place + 1, content=b"x") for place in range(64)]
    for record in records:
        record.ClearField("acting_person")
    return records_pb2.AppendStreamRequest(batch_number=number, records=records).SerializeToString()


@pytest.mark.slow
async def test_silent_and_trickling_streams_hold_nobody_up_and_end_at_their_deadline() -> None:
    async with serving() as server, AsyncExitStack() as stack:
        wire = await wire_of(stack, server, DOCTOR)
        calls = range(1, 40, 2)
        await wire.say(*(headers(stream, APPEND_STREAM, timeout="2S") for stream in calls))
        await until(lambda: len(server.recorder.started) == len(calls))
        for byte in b"\x00\x00\x01\x00":
            await wire.say(*(frame(DATA, bytes([byte]), stream=stream) for stream in calls))
            await check_answers(server)
        await until(lambda: len(ended(server, "AppendStream")) == len(calls))
        assert set(server.peer.batch_sizes) == {1}


async def test_who_is_not_admitted_is_refused_before_a_byte_of_its_message_came() -> None:
    async with serving() as server, AsyncExitStack() as stack:
        wire = await wire_of(stack, server, STRANGER)
        await wire.say(*(headers(stream, APPEND, timeout=None) for stream in range(1, 128, 2)))
        await until(lambda: len(wire.ended) == 64)
        assert set(ended(server, "Append")) == {"PermissionDenied"}
        await check_answers(server)


@pytest.mark.slow
async def test_calls_whose_message_never_comes_are_bounded_by_principal_and_by_time(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(guarding, "CALL_S_MAX", 2.0)
    monkeypatch.setattr(interceptor, "CALL_S_MAX", 2.0)
    monkeypatch.setattr(guarding, "CALLS_PER_PRINCIPAL_MAX", 40)
    async with serving() as server, AsyncExitStack() as stack:
        wire = await wire_of(stack, server, DOCTOR)
        # Health asks for no deadline, so that nothing but the peer itself can end these.
        path = "/grpc.health.v1.Health/Check"
        await wire.say(*(headers(stream, path, timeout=None) for stream in range(1, 128, 2)))
        await until(lambda: ended(server, "Check").count("ResourceExhausted") == 24)
        await check_answers(server)
        await until(lambda: ended(server, "Check").count("DeadlineExceeded") == 40)
        await check_answers(server)


@pytest.mark.parametrize("path", [APPEND, STATUS, LIST_HISTORY])
async def test_a_call_without_its_message_is_told_so(path: str) -> None:
    async def nothing() -> AsyncIterator[bytes]:
        for _ in ():
            yield b""

    async with serving() as server, server.as_principal(SYSTEM) as channel:
        call: AnyStream = channel.stream_unary(path)
        with pytest.raises(grpc.aio.AioRpcError) as caught:
            await call(nothing(), timeout=TIMEOUT_S)
        refusal = refusal_of(caught.value)
        assert refusal.reason == "INVALID_FIELD"
        assert refusal.fields == ("request",)
        await check_answers(server)


async def test_a_second_message_of_a_call_that_has_one_is_not_read() -> None:
    async with serving() as server, server.as_principal(SYSTEM) as channel:
        call: AnyStream = channel.stream_unary(STATUS)
        answer = await call(iter([b"", b"\xff" * 1000]), timeout=TIMEOUT_S)
        assert operations_pb2.GetStatusResponse.FromString(answer).member == TOWN
        status = operations_pb2.GetStatusRequest()
        again = await OperationServiceStub(channel).GetStatus(status, timeout=TIMEOUT_S)
        assert again.member == TOWN


async def test_frames_that_are_no_grpc_messages_end_their_call_alone() -> None:
    async with serving() as server, AsyncExitStack() as stack:
        wire = await wire_of(stack, server, DOCTOR)
        await wire.say(
            headers(1, STATUS),
            frame(DATA, b"\x09\xff\xff\xff\xff no message", flags=END_STREAM, stream=1),
            headers(3, STATUS),
            message(3, b""),
        )
        await until(lambda: {1, 3} <= wire.ended | wire.resets)
        assert not wire.closed.is_set()
        await check_answers(server)
