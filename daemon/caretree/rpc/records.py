"""RecordService: adds and reads records."""

import asyncio
from collections.abc import AsyncIterator, Awaitable
from typing import Final

import grpc
from typing_extensions import override

from caretree.model.limits import KIB
from caretree.model.reasons import CallError
from caretree.node.calls import (
    AppendCommand,
    HistoryAnswer,
    HistoryCommand,
    HistoryRecord,
)
from caretree.proto.api.v1 import records_pb2, records_pb2_grpc
from caretree.rpc.acting import acting_as
from caretree.rpc.errors import encode_status
from caretree.rpc.fields import FieldChecks
from caretree.rpc.guard import Caller, answer_by, current_caller
from caretree.rpc.in_order import Room, SharedRoom, answer_in_order
from caretree.rpc.messages import (
    append_message,
    fill_append_message,
    position_message,
    record_message,
)
from caretree.rpc.page_tokens import Pages, PageTokens
from caretree.rpc.ports import Peer
from caretree.rpc.validation import (
    append_command,
    check_batch_bounds,
    read_page_size,
    read_purpose,
    record_command,
)
from caretree.rpc.writing import write_in_time

# Batches of one stream that are worked on at once: one in a block, one behind it, two to spare.
STREAM_BATCHES_MAX: Final = 4
# Batches beyond the first of each stream, of all streams together: what many streams may hold.
MORE_BATCHES_MAX: Final = 64
# A stream may live long; what became of a batch is told within this time all the same.
BATCH_ANSWER_S_MAX: Final = 10.0
# One message of a history holds no more than this; a slow reader keeps one or two in memory.
PART_RECORDS_MAX: Final = 64
PART_BYTES_MAX: Final = 512 * KIB

_Append = grpc.aio.ServicerContext[records_pb2.AppendRequest, Awaitable[records_pb2.AppendResponse]]
_AppendStream = grpc.aio.ServicerContext[
    records_pb2.AppendStreamRequest, records_pb2.AppendStreamResponse
]
_GetRecord = grpc.aio.ServicerContext[
    records_pb2.GetRecordRequest, Awaitable[records_pb2.GetRecordResponse]
]
_ListHistory = grpc.aio.ServicerContext[
    records_pb2.ListHistoryRequest, AsyncIterator[records_pb2.ListHistoryResponse]
]


class RecordService(records_pb2_grpc.RecordServiceServicer):
    """Serves `api.v1.RecordService`; the caller is admitted before."""

    def __init__(self, peer: Peer, tokens: PageTokens) -> None:
        self._peer = peer
        self._tokens = tokens
        self._more_batches = SharedRoom(MORE_BATCHES_MAX)

    @override
    async def Append(
        self, request: records_pb2.AppendRequest, context: _Append
    ) -> records_pb2.AppendResponse:
        caller = current_caller()
        command = append_command(request, caller, self._peer.genesis)
        (answer,) = await self._peer.append([command], deadline=caller.deadline)
        if isinstance(answer, CallError):
            raise answer
        return append_message(answer)

    # It writes to the context itself: a generator may not yield within a task group.
    @override
    async def AppendStream(  # type: ignore[override]
        self,
        request_iterator: AsyncIterator[records_pb2.AppendStreamRequest],
        context: _AppendStream,
    ) -> None:
        async def answer(
            batch: records_pb2.AppendStreamRequest,
        ) -> records_pb2.AppendStreamResponse:
            return await self._answer_batch(batch, deadline=_batch_deadline(context))

        async def send(answered: records_pb2.AppendStreamResponse) -> None:
            await write_in_time(context, answered)

        room = Room(at_once=STREAM_BATCHES_MAX, shared=self._more_batches)
        try:
            await answer_in_order(request_iterator, answer, send, room=room)
        finally:
            room.close()

    @override
    async def GetRecord(
        self, request: records_pb2.GetRecordRequest, context: _GetRecord
    ) -> records_pb2.GetRecordResponse:
        caller = current_caller()
        command = record_command(request, caller)
        reading, record = await self._peer.record(command, deadline=caller.deadline)
        return records_pb2.GetRecordResponse(
            record=record_message(record), reading=position_message(reading)
        )

    @override
    async def ListHistory(
        self, request: records_pb2.ListHistoryRequest, context: _ListHistory
    ) -> AsyncIterator[records_pb2.ListHistoryResponse]:
        caller = current_caller()
        command, pages = self._history_command(request, caller)
        answer = await self._peer.history(command, deadline=caller.deadline)
        yield records_pb2.ListHistoryResponse(page=_page(answer, pages))
        async for part in _parts(answer.records):
            yield part

    async def _answer_batch(
        self, batch: records_pb2.AppendStreamRequest, *, deadline: float
    ) -> records_pb2.AppendStreamResponse:
        """What became of each record of a batch; one that is refused at the door stops no other."""
        check_batch_bounds(batch)
        caller = current_caller()
        checked = [
            self._checked(record, caller, path=f"records[{place}].")
            for place, record in enumerate(batch.records)
        ]
        commands = [command for command in checked if isinstance(command, AppendCommand)]
        answers = iter(
            await self._peer.append(
                commands, deadline=deadline, receipts=not batch.without_receipts
            )
            if commands
            else ()
        )
        answer = records_pb2.AppendStreamResponse(batch_number=batch.batch_number)
        for command in checked:
            outcome = command if isinstance(command, CallError) else next(answers)
            if isinstance(outcome, CallError):
                answer.results.add(error_status=encode_status(outcome))
            else:
                fill_append_message(answer.results.add().added, outcome)
        return answer

    def _checked(
        self, record: records_pb2.AppendRequest, caller: Caller, *, path: str
    ) -> AppendCommand | CallError:
        try:
            return append_command(record, caller, self._peer.genesis, path=path)
        except CallError as error:
            return error

    def _history_command(
        self, request: records_pb2.ListHistoryRequest, caller: Caller
    ) -> tuple[HistoryCommand, Pages]:
        checks = FieldChecks()
        actor = acting_as(caller, request.acting_person, checks)
        patient = checks.patient(request.patient, self._peer.genesis)
        purpose = read_purpose(request.purpose, checks)
        page_size = read_page_size(request.page_size, checks)
        checks.finish()
        assert actor is not None
        assert patient is not None
        assert purpose is not None
        pages = self._tokens.of("history", actor, patient, purpose.name)
        command = HistoryCommand(
            actor=actor,
            patient=patient,
            purpose=purpose,
            page_size=page_size,
            before=pages.before(request.page_token),
        )
        return command, pages


def _batch_deadline(context: _AppendStream) -> float:
    loop_time = asyncio.get_running_loop().time()
    return answer_by(loop_time, context.time_remaining(), longest_s=BATCH_ANSWER_S_MAX)


async def _parts(
    records: AsyncIterator[HistoryRecord],
) -> AsyncIterator[records_pb2.ListHistoryResponse]:
    """The records, several a message: a message costs more than a record in it."""
    part, part_bytes = records_pb2.ListHistoryResponse(), 0
    async for record in records:
        if part.records and part_bytes + len(record.content) > PART_BYTES_MAX:
            yield part
            part, part_bytes = records_pb2.ListHistoryResponse(), 0
        part.records.append(record_message(record))
        part_bytes += len(record.content)
        if len(part.records) == PART_RECORDS_MAX:
            yield part
            part, part_bytes = records_pb2.ListHistoryResponse(), 0
    if part.records:
        yield part


def _page(answer: HistoryAnswer, pages: Pages) -> records_pb2.HistoryPage:
    return records_pb2.HistoryPage(
        reading=position_message(answer.reading),
        record_count=answer.record_count,
        next_page_token=pages.token_before(answer.next_before),
    )
