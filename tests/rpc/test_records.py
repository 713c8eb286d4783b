"""RecordService: adding and reading over the wire."""

import asyncio
from collections.abc import AsyncIterator
from typing import TypeAlias

import grpc
import pytest
from caretree.crypto.ed25519 import verify
from caretree.ledger.certificate import certification_policy
from caretree.ledger.receipts import verify_receipt
from caretree.ledger.values import Purpose, Role
from caretree.model.reasons import CallError, Reason
from caretree.node.calls import AppendCommand, HistoryCommand
from caretree.proto.api.v1 import records_pb2
from caretree.proto.api.v1.records_pb2_grpc import RecordServiceStub
from caretree.rpc.guard import CALL_S_MAX
from caretree.rpc.records import BATCH_ANSWER_S_MAX, STREAM_BATCHES_MAX

from tests.rpc.requests import (
    CARD,
    PERSON,
    TIMEOUT_S,
    append_request,
    patient,
    read_status,
    refusal_of,
)
from tests.rpc.serving import AUDITOR, DOCTOR, HEAD, SYSTEM, serving, trusted
from tests.waiting import until

pytestmark = pytest.mark.asyncio


AnyUnary: TypeAlias = "grpc.aio.UnaryUnaryMultiCallable[bytes, bytes]"
AnyStream: TypeAlias = "grpc.aio.StreamStreamMultiCallable[bytes, bytes]"


def _batch(number: int, *records: records_pb2.AppendRequest) -> records_pb2.AppendStreamRequest:
    return records_pb2.AppendStreamRequest(batch_number=number, records=records)


def _history(**changes: object) -> records_pb2.ListHistoryRequest:
    request = records_pb2.ListHistoryRequest(patient=patient(), acting_person=PERSON)
    request.MergeFrom(records_pb2.ListHistoryRequest(**changes))  # type: ignore[arg-type]
    return request


async def _page(
    stub: RecordServiceStub, request: records_pb2.ListHistoryRequest
) -> tuple[records_pb2.HistoryPage, list[records_pb2.HistoryRecord]]:
    parts = [part async for part in stub.ListHistory(request, timeout=TIMEOUT_S)]
    assert [part.HasField("page") != bool(part.records) for part in parts] == [True] * len(parts)
    return parts[0].page, [record for part in parts for record in part.records]


async def test_an_appended_record_comes_with_a_receipt_that_verifies() -> None:
    async with serving() as server, server.as_principal(SYSTEM) as channel:
        answer = await RecordServiceStub(channel).Append(append_request(), timeout=TIMEOUT_S)

    policy = certification_policy(trusted().consortium.genesis)
    receipt = verify_receipt(answer.receipt, policy, verify)
    assert answer.status == records_pb2.ENTRY_STATUS_CERTIFIED
    assert receipt.record_id == answer.record_id
    assert receipt.leaf_index == answer.position.leaf_index
    assert not answer.already_added


async def test_the_command_says_who_acts_and_whose_record_it_is_in_capitals() -> None:
    request = append_request()
    request.patient.value = " c-\uff17 "  # a full-width 7
    async with serving() as server, server.as_principal(SYSTEM) as channel:
        await RecordServiceStub(channel).Append(request, timeout=TIMEOUT_S)
        (((command,)),) = (server.peer.calls,)

    assert isinstance(command, list)
    (command,) = command
    assert isinstance(command, AppendCommand)
    assert (command.patient.system, command.patient.value) == (CARD, "C-7")
    assert command.actor.principal == SYSTEM
    assert command.actor.person == "D-1047"
    assert command.actor.role is Role.PHYSICIAN


async def test_the_same_call_again_says_that_it_was_added_already() -> None:
    async with serving() as server, server.as_principal(SYSTEM) as channel:
        stub = RecordServiceStub(channel)
        first = await stub.Append(append_request(), timeout=TIMEOUT_S)
        again = await stub.Append(append_request(), timeout=TIMEOUT_S)
        other = append_request(content=b"other")
        with pytest.raises(grpc.aio.AioRpcError) as caught:
            await stub.Append(other, timeout=TIMEOUT_S)

    assert again.record_id == first.record_id
    assert again.already_added
    assert refusal_of(caught.value).reason == "REQUEST_ID_REUSED"


async def test_a_person_with_one_role_need_not_name_it_and_one_with_two_must() -> None:
    unnamed = append_request()
    unnamed.ClearField("acting_person")
    async with (
        serving() as server,
        server.as_principal(DOCTOR) as doctor,
        server.as_principal(HEAD) as head,
    ):
        await RecordServiceStub(doctor).Append(unnamed, timeout=TIMEOUT_S)
        with pytest.raises(grpc.aio.AioRpcError) as caught:
            await RecordServiceStub(head).Append(unnamed, timeout=TIMEOUT_S)

    refusal = refusal_of(caught.value)
    assert refusal.reason == "INVALID_FIELD"
    assert refusal.fields == ("acting_person.role",)


async def test_a_person_names_no_other_person() -> None:
    async with serving() as server, server.as_principal(DOCTOR) as channel:
        with pytest.raises(grpc.aio.AioRpcError) as caught:
            await RecordServiceStub(channel).Append(append_request(), timeout=TIMEOUT_S)

    assert refusal_of(caught.value).fields == ("acting_person.id",)


@pytest.mark.parametrize("missing", ["id", "role", "both"])
async def test_a_system_must_say_for_whom_it_acts(missing: str) -> None:
    request = append_request()
    for field in ("id", "role") if missing == "both" else (missing,):
        request.acting_person.ClearField(field)
    async with serving() as server, server.as_principal(SYSTEM) as channel:
        with pytest.raises(grpc.aio.AioRpcError) as caught:
            await RecordServiceStub(channel).Append(request, timeout=TIMEOUT_S)

    assert refusal_of(caught.value).reason == "ACTING_PERSON_REQUIRED"


async def test_a_role_that_is_not_held_or_does_not_hold_the_right_is_refused() -> None:
    nurse = append_request()
    nurse.acting_person.CopyFrom(records_pb2.ActingPerson(role=records_pb2.PERSON_ROLE_NURSE))
    unnamed = append_request()
    unnamed.ClearField("acting_person")
    async with (
        serving() as server,
        server.as_principal(DOCTOR) as doctor,
        server.as_principal(AUDITOR) as auditor,
    ):
        with pytest.raises(grpc.aio.AioRpcError) as not_held:
            await RecordServiceStub(doctor).Append(nurse, timeout=TIMEOUT_S)
        with pytest.raises(grpc.aio.AioRpcError) as not_permitted:
            await RecordServiceStub(auditor).Append(unnamed, timeout=TIMEOUT_S)

    assert refusal_of(not_held.value).reason == "ROLE_NOT_HELD"
    assert refusal_of(not_permitted.value).reason == "ROLE_NOT_PERMITTED"
    assert server.peer.calls == []


async def test_a_call_without_a_deadline_is_refused_and_a_long_one_is_capped() -> None:
    async with serving() as server, server.as_principal(SYSTEM) as channel:
        stub = RecordServiceStub(channel)
        with pytest.raises(grpc.aio.AioRpcError) as caught:
            await stub.Append(append_request())
        with pytest.raises(grpc.aio.AioRpcError):
            await stub.AppendStream(iter([_batch(1, append_request())])).read()
        now = asyncio.get_running_loop().time()
        await stub.Append(append_request(), timeout=3)
        await stub.Append(append_request(2), timeout=3600)
        later = asyncio.get_running_loop().time()

    assert refusal_of(caught.value).reason == "NO_DEADLINE"
    short, long = server.peer.deadlines
    assert now + 2.5 < short < later + 3
    assert now + CALL_S_MAX - 1 < long < later + CALL_S_MAX


async def test_a_call_that_is_cancelled_stops_waiting() -> None:
    async with serving() as server, server.as_principal(SYSTEM) as channel:
        server.peer.gate = asyncio.Event()
        with pytest.raises(grpc.aio.AioRpcError) as caught:
            await RecordServiceStub(channel).Append(append_request(), timeout=0.3)
        await until(lambda: server.peer.cancelled == 1)

    assert caught.value.code() is grpc.StatusCode.DEADLINE_EXCEEDED
    assert server.peer.waiting == 0


async def test_batches_are_answered_in_order_record_by_record() -> None:
    first = _batch(7, append_request(1), append_request(2))
    second = _batch(9, append_request(3))
    async with serving() as server, server.as_principal(SYSTEM) as channel:
        call = RecordServiceStub(channel).AppendStream(iter([first, second]), timeout=TIMEOUT_S)
        answers = [answer async for answer in call]

    assert [answer.batch_number for answer in answers] == [7, 9]
    assert [len(answer.results) for answer in answers] == [2, 1]
    leaves = [r.added.position.leaf_index for answer in answers for r in answer.results]
    assert leaves == sorted(leaves)
    assert all(r.added.receipt for answer in answers for r in answer.results)


async def test_receipts_are_left_out_when_they_are_not_wanted() -> None:
    batch = _batch(1, append_request())
    batch.without_receipts = True
    async with serving() as server, server.as_principal(SYSTEM) as channel:
        call = RecordServiceStub(channel).AppendStream(iter([batch]), timeout=TIMEOUT_S)
        (answer,) = [answer async for answer in call]

    assert answer.results[0].added.receipt == b""
    assert answer.results[0].added.status == records_pb2.ENTRY_STATUS_CERTIFIED


async def test_a_record_that_is_refused_stops_no_other_of_its_batch() -> None:
    wrong = append_request(2)
    wrong.patient.value = ""
    busy = append_request(3, content=b"busy")
    batch = _batch(1, append_request(1), wrong, busy, append_request(4))
    async with serving() as server, server.as_principal(SYSTEM) as channel:
        server.peer.record_failures[b"busy"] = CallError(Reason.OVERLOADED, retry_after_ms=70)
        call = RecordServiceStub(channel).AppendStream(iter([batch]), timeout=TIMEOUT_S)
        (answer,) = [answer async for answer in call]

    kinds = [result.WhichOneof("result") for result in answer.results]
    assert kinds == ["added", "error_status", "error_status", "added"]
    refused = read_status(answer.results[1].error_status)
    assert refused.reason == "INVALID_FIELD"
    assert refused.fields == ("records[1].patient.value",)
    overloaded = read_status(answer.results[2].error_status)
    assert overloaded.reason == "OVERLOADED"
    assert overloaded.retry_ms == 70


async def test_a_batch_of_refused_records_alone_is_not_handed_to_the_peer() -> None:
    wrong = append_request()
    wrong.media_type = ""
    async with serving() as server, server.as_principal(SYSTEM) as channel:
        call = RecordServiceStub(channel).AppendStream(iter([_batch(1, wrong)]), timeout=TIMEOUT_S)
        (answer,) = [answer async for answer in call]

    assert read_status(answer.results[0].error_status).fields == ("records[0].media_type",)
    assert server.peer.calls == []


async def test_so_many_batches_of_a_stream_are_worked_on_at_once_and_not_one_more() -> None:
    sent: list[int] = []

    async def batches() -> AsyncIterator[records_pb2.AppendStreamRequest]:
        for number in range(3 * STREAM_BATCHES_MAX):
            sent.append(number)
            yield _batch(number, append_request(number))

    async with serving() as server, server.as_principal(SYSTEM) as channel:
        server.peer.gate = asyncio.Event()
        call = RecordServiceStub(channel).AppendStream(batches(), timeout=TIMEOUT_S)
        await until(lambda: len(sent) == 3 * STREAM_BATCHES_MAX)
        await until(lambda: server.peer.waiting == STREAM_BATCHES_MAX)
        await asyncio.sleep(0.1)  # time in which a batch too many would arrive
        server.peer.gate.set()
        answers = [answer.batch_number async for answer in call]

    assert server.peer.waiting_most == STREAM_BATCHES_MAX
    assert answers == list(range(3 * STREAM_BATCHES_MAX))


async def test_a_batch_is_given_less_time_than_its_stream() -> None:
    async with serving() as server, server.as_principal(SYSTEM) as channel:
        now = asyncio.get_running_loop().time()
        stub = RecordServiceStub(channel)
        for timeout_s in (600, 4):
            call = stub.AppendStream(iter([_batch(1, append_request())]), timeout=timeout_s)
            assert [answer async for answer in call]
        later = asyncio.get_running_loop().time()

    long, short = server.peer.deadlines
    assert now + BATCH_ANSWER_S_MAX - 1 < long < later + BATCH_ANSWER_S_MAX
    assert now + 3 < short < later + 4


async def test_the_answers_before_a_wrong_batch_arrive_and_then_the_stream_ends() -> None:
    batches = [_batch(1, append_request()), _batch(2), _batch(3, append_request(3))]
    async with serving() as server, server.as_principal(SYSTEM) as channel:
        call = RecordServiceStub(channel).AppendStream(iter(batches), timeout=TIMEOUT_S)
        first = await call.read()
        with pytest.raises(grpc.aio.AioRpcError) as caught:
            await call.read()

    assert isinstance(first, records_pb2.AppendStreamResponse)
    assert first.batch_number == 1
    assert refusal_of(caught.value).fields == ("records",)


async def test_a_stream_that_the_client_leaves_leaves_nothing_waiting() -> None:
    async with serving() as server, server.as_principal(SYSTEM) as channel:
        server.peer.gate = asyncio.Event()
        call = RecordServiceStub(channel).AppendStream(timeout=TIMEOUT_S)
        await call.write(_batch(1, append_request(1)))
        await call.write(_batch(2, append_request(2)))
        await until(lambda: server.peer.waiting == 2)
        call.cancel()
        await until(lambda: server.peer.cancelled == 2)

    assert server.peer.waiting == 0


async def test_what_is_no_message_is_refused_with_a_reason() -> None:
    junk = b"\xff\xff\xff"
    async with serving() as server, server.as_principal(SYSTEM) as channel:
        unary: AnyUnary = channel.unary_unary("/caretree.api.v1.RecordService/Append")
        stream: AnyStream = channel.stream_stream("/caretree.api.v1.RecordService/AppendStream")
        with pytest.raises(grpc.aio.AioRpcError) as single:
            await unary(junk, timeout=TIMEOUT_S)
        with pytest.raises(grpc.aio.AioRpcError) as streamed:
            await stream(iter([junk]), timeout=TIMEOUT_S).read()

    for caught in (single, streamed):
        refusal = refusal_of(caught.value)
        assert refusal.reason == "INVALID_FIELD"
        assert refusal.fields == ("request",)


async def test_a_record_is_read_byte_for_byte() -> None:
    async with serving() as server, server.as_principal(SYSTEM) as channel:
        stub = RecordServiceStub(channel)
        added = await stub.Append(append_request(content=b"\0\xff\n"), timeout=TIMEOUT_S)
        request = records_pb2.GetRecordRequest(record_id=added.record_id, acting_person=PERSON)
        answer = await stub.GetRecord(request, timeout=TIMEOUT_S)

    assert answer.record.content == b"\0\xff\n"
    assert answer.record.media_type == "text/plain"
    assert answer.record.record_id == added.record_id
    assert answer.reading.leaf_index > added.position.leaf_index


async def test_of_a_closed_record_custodian_and_time_are_told_and_nothing_else() -> None:
    async with serving() as server, server.as_principal(SYSTEM) as channel:
        stub = RecordServiceStub(channel)
        await stub.Append(append_request(content=b"closed to you"), timeout=TIMEOUT_S)
        _, (record,) = await _page(stub, _history())

    time_ms = record.time_ms
    assert time_ms > 0
    assert record == records_pb2.HistoryRecord(custodian="town", time_ms=time_ms, closed=True)


async def test_a_history_is_read_page_by_page_newest_first() -> None:
    async with serving() as server, server.as_principal(SYSTEM) as channel:
        stub = RecordServiceStub(channel)
        for number in range(1, 6):
            await stub.Append(append_request(number), timeout=TIMEOUT_S)
        token = ""
        contents: list[bytes] = []
        counts: list[int] = []
        while not counts or token:
            page, records = await _page(stub, _history(page_size=2, page_token=token))
            token = page.next_page_token
            counts.append(page.record_count)
            contents += [record.content for record in records]

    assert counts == [2, 2, 1]
    assert contents == [f"content {number}".encode() for number in (5, 4, 3, 2, 1)]


async def test_a_page_token_is_good_for_the_request_it_was_given_out_for_and_no_other() -> None:
    async with serving() as server, server.as_principal(SYSTEM) as channel:
        stub = RecordServiceStub(channel)
        for number in range(3):
            await stub.Append(append_request(number), timeout=TIMEOUT_S)
        page, _ = await _page(stub, _history(page_size=1))
        token = page.next_page_token
        changed = token[:5] + ("A" if token[5] != "A" else "B") + token[6:]
        other_role = records_pb2.ActingPerson(id="D-1047", role=records_pb2.PERSON_ROLE_NURSE)
        wrong = {
            "another patient": _history(patient=patient("C-2"), page_token=token),
            "another purpose": _history(
                purpose=records_pb2.ACCESS_PURPOSE_PAYMENT, page_token=token
            ),
            "another role": _history(acting_person=other_role, page_token=token),
            "changed": _history(page_token=changed),
            "cut": _history(page_token=token[:-4]),
            "no base64": _history(page_token="?"),
            "not ASCII": _history(page_token="页"),
            "long": _history(page_token="A" * 10_000),
        }
        reasons = {}
        for name, request in wrong.items():
            with pytest.raises(grpc.aio.AioRpcError) as caught:
                await _page(stub, request)
            reasons[name] = refusal_of(caught.value).reason
        _, records = await _page(stub, _history(page_size=2, page_token=token))

    assert reasons == dict.fromkeys(wrong, "BAD_PAGE_TOKEN")
    assert len(records) == 2  # how many a page holds may change on the way


async def test_a_reading_names_its_purpose_and_treatment_when_none_is_said() -> None:
    async with serving() as server, server.as_principal(SYSTEM) as channel:
        stub = RecordServiceStub(channel)
        await _page(stub, _history())
        await _page(stub, _history(purpose=records_pb2.ACCESS_PURPOSE_PUBLIC_HEALTH))

    commands = [call for call in server.peer.calls if isinstance(call, HistoryCommand)]
    assert [command.purpose for command in commands] == [Purpose.TREATMENT, Purpose.PUBLIC_HEALTH]
    assert commands[0].before == 2**64 - 1
