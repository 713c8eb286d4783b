"""Many single appends on one stream: what arrives while a batch is under way goes into the next.

No timer gathers them. The first append leaves at once; under load the batches fill by themselves.
Nothing is repeated here: when the stream breaks, everything that waits fails with an error that may
be repeated, and its caller decides.
"""

import asyncio
from collections import deque
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from itertools import islice
from typing import Final, TypeAlias

import grpc

from caretree.client.errors import CallFailedError, failed_call, failed_record, outcome_unknown
from caretree.model.errors import CaretreeError
from caretree.model.ids import RequestId
from caretree.model.limits import CLIENT_BATCH_BYTES_MAX, CLIENT_BATCH_RECORDS_MAX
from caretree.model.reasons import Reason
from caretree.proto.api.v1 import records_pb2

# As many as the peer works on at once; more would wait there instead of filling up here.
BATCHES_IN_FLIGHT_MAX: Final = 4
# Answers that are handed out before what follows from them is sent: with 128 callers two batches
# travel, and a tenth more records get through than with one (measured on three peers).
ANSWERS_AT_ONCE: Final = 64
# Records that wait here, sent ones included; who appends more waits for room.
WAITING_RECORDS_MAX: Final = 4096
# A stream ends by itself well before the peer's limit on a connection's age ends it.
STREAM_S_MAX: Final = 240.0
STREAM_IDLE_S_MAX: Final = 30.0

# How a stream ends that neither side refused; without a reason these say nothing of a record.
# INTERNAL without a reason is grpcio's own word for a stream that broke while it was written to.
_BROKEN: Final = frozenset(("UNAVAILABLE", "CANCELLED", "DEADLINE_EXCEEDED", "UNKNOWN", "INTERNAL"))

Stream: TypeAlias = (
    "grpc.aio.StreamStreamCall[records_pb2.AppendStreamRequest, records_pb2.AppendStreamResponse]"
)


@dataclass(slots=True, eq=False)
class _Item:
    request: records_pb2.AppendRequest
    size_bytes: int
    answer: "asyncio.Future[records_pb2.AppendResponse]"
    sent: bool = False


@dataclass(slots=True)
class _Flight:
    """The batches that were sent on one stream and not answered yet, oldest first."""

    batches: deque[tuple[int, list[_Item]]] = field(default_factory=deque)
    slots: asyncio.Semaphore = field(
        default_factory=lambda: asyncio.Semaphore(BATCHES_IN_FLIGHT_MAX)
    )


class Coalescer:
    """Appends records over streams that `open_stream` opens, one at a time."""

    def __init__(self, open_stream: Callable[[], Stream]) -> None:
        self._open_stream = open_stream
        self._waiting: deque[_Item] = deque()
        self._arrived = asyncio.Event()
        self._room = asyncio.Semaphore(WAITING_RECORDS_MAX)
        self._next_number = 1
        self._closed = False

    async def append(
        self, request: records_pb2.AppendRequest, *, deadline: float
    ) -> records_pb2.AppendResponse:
        """What became of the record, by `deadline`, the loop's time.

        Raises:
            CallFailedError: it was not added, or nobody knows.
        """
        loop = asyncio.get_running_loop()
        item = _Item(request=request, size_bytes=request.ByteSize(), answer=loop.create_future())
        if item.size_bytes > CLIENT_BATCH_BYTES_MAX:
            raise _refusal(Reason.CONTENT_TOO_LARGE)
        await self._take_room(deadline)
        # A timer of its own ends the wait: asyncio.timeout_at would cost 4 us of every append.
        expiry = loop.call_at(deadline, _expire, item)
        try:
            if self._closed:
                raise _refusal(None)
            self._waiting.append(item)
            self._arrived.set()
            return await item.answer
        finally:
            expiry.cancel()
            self._room.release()

    async def _take_room(self, deadline: float) -> None:
        if not self._room.locked():
            await self._room.acquire()  # at once
            return
        try:
            async with asyncio.timeout_at(deadline):
                await self._room.acquire()
        except TimeoutError:
            raise _refusal(Reason.DEADLINE) from None

    async def run(self) -> None:
        """Keep a stream open while there is something to append; ends when it is cancelled."""
        try:
            while True:
                await self._arrived.wait()
                await self._use_stream()
        finally:
            self._closed = True
            _fail(self._waiting, _refusal(None))
            self._waiting.clear()

    async def _use_stream(self) -> None:
        """Append over one stream until it is idle, old or broken."""
        flight = _Flight()
        stream = self._open_stream()
        failure: CallFailedError | None = None
        try:
            async with asyncio.TaskGroup() as group:
                writer = group.create_task(self._write(stream, flight))
                failure = await self._read(stream, flight)
                writer.cancel()
        finally:
            stream.cancel()
            for _, items in flight.batches:
                _fail(items, failure or _refusal(None))
        if failure is not None:
            # The next stream would likely fare the same; so they pause, and then come again.
            _fail(self._waiting, failure)
            self._waiting.clear()
            self._arrived.clear()

    async def _write(self, stream: Stream, flight: _Flight) -> None:
        loop = asyncio.get_running_loop()
        ends = loop.time() + STREAM_S_MAX
        while True:
            await flight.slots.acquire()
            items = await self._next_batch(min(ends, loop.time() + STREAM_IDLE_S_MAX))
            number, self._next_number = self._next_number, self._next_number + 1
            if items:
                flight.batches.append((number, items))
            try:
                # Before there is a connection nothing is sent, and no outcome can be unknown.
                await stream.wait_for_connection()
                if not items:
                    await stream.done_writing()
                    return
                for item in items:
                    item.sent = True
                records = [item.request for item in items]
                await stream.write(
                    records_pb2.AppendStreamRequest(batch_number=number, records=records)
                )
            except (grpc.aio.AioRpcError, grpc.aio.UsageError, asyncio.InvalidStateError):
                return  # the stream is broken; who reads it is told why

    async def _next_batch(self, until: float) -> list[_Item]:
        """The next records within the bounds of a batch; none when none came in time."""
        while True:
            try:
                async with asyncio.timeout_at(until):
                    await self._arrived.wait()
            except TimeoutError:
                return []
            await asyncio.sleep(0)  # whoever appends in this turn of the loop comes along
            items = self._take()
            if items:
                return items

    def _take(self) -> list[_Item]:
        items: list[_Item] = []
        size_bytes = 0
        while self._waiting and len(items) < CLIENT_BATCH_RECORDS_MAX:
            item = self._waiting[0]
            if item.answer.done():  # its caller went away
                self._waiting.popleft()
                continue
            size_bytes += item.size_bytes
            if size_bytes > CLIENT_BATCH_BYTES_MAX:
                break
            items.append(self._waiting.popleft())
        if not self._waiting:
            self._arrived.clear()
        return items

    async def _read(self, stream: Stream, flight: _Flight) -> CallFailedError | None:
        """Hand out answers until the stream ends; why it broke, None when it did not."""
        try:
            while isinstance(response := await stream.read(), records_pb2.AppendStreamResponse):
                number, items = flight.batches[0] if flight.batches else (0, [])
                if response.batch_number != number or len(response.results) != len(items):
                    return _refusal(Reason.INTERNAL)
                flight.batches.popleft()
                flight.slots.release()
                await _hand_out(items, response.results)
        except grpc.aio.AioRpcError as error:
            return failed_call(error)
        return _refusal(None) if flight.batches else None


async def _hand_out(items: Sequence[_Item], results: Sequence[records_pb2.AppendResult]) -> None:
    """Settle a batch's records, some at a time.

    Callers that come back with their next record all at once would make one batch of it, and client
    and peer would only ever work in turn: while one verifies or orders them, the other is idle.
    """
    pending = zip(items, results, strict=True)
    try:
        for start in range(0, len(items), ANSWERS_AT_ONCE):
            if start:
                # In the first turn those before come back, in the second what they bring is sent.
                await asyncio.sleep(0)
                await asyncio.sleep(0)
            for item, result in islice(pending, ANSWERS_AT_ONCE):
                _settle(item, result)
    finally:
        for item, result in pending:  # the client ends; what is known is told all the same
            _settle(item, result)


def _expire(item: _Item) -> None:
    """End the wait of who has waited until the deadline."""
    if not item.answer.done():
        late = (
            outcome_unknown(_request_id(item.request)) if item.sent else _refusal(Reason.DEADLINE)
        )
        item.answer.set_exception(late)


def _fail(items: Iterable[_Item], failure: CallFailedError) -> None:
    """Tell who still waits why; each gets an error of its own, for raising changes it."""
    for item in items:
        if not item.answer.done():
            item.answer.set_exception(_failure_of(item, failure))


def _failure_of(item: _Item, failure: CallFailedError) -> CallFailedError:
    if failure.reason is Reason.INTERNAL and item.sent:
        # The fault may be another record's on the same stream, and this one may take effect.
        return failure.again(request_id=_request_id(item.request))
    if failure.reason is not None or failure.code not in _BROKEN:
        return failure.again()
    if item.sent:
        return outcome_unknown(_request_id(item.request))
    return CallFailedError(failure.message, code="UNAVAILABLE", reason=None)


def _settle(item: _Item, result: records_pb2.AppendResult) -> None:
    if item.answer.done():
        return
    if result.WhichOneof("result") == "added":
        item.answer.set_result(result.added)
        return
    try:
        item.answer.set_exception(failed_record(result.error_status))
    except CaretreeError as error:
        item.answer.set_exception(error)


def _request_id(request: records_pb2.AppendRequest) -> RequestId | None:
    """The request id; None where the peer derives it from the source."""
    return RequestId(request.request_id) if request.request_id else None


def _refusal(reason: Reason | None) -> CallFailedError:
    """A failure found on this side; without a reason the stream was lost."""
    if reason is None:
        return CallFailedError("the stream of appends was lost", code="UNAVAILABLE", reason=None)
    explanation = reason.explanation
    return CallFailedError(explanation.cause, code=explanation.code.name, reason=reason)
