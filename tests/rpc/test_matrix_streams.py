"""A certificate that stops counting amid a stream ends it at the next message, either way."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import grpc
import pytest
from caretree.node.calls import HistoryAnswer, HistoryCommand, HistoryRecord
from caretree.node.deny_list import DenyList
from caretree.proto.api.v1 import operations_pb2, records_pb2
from caretree.proto.api.v1.operations_pb2_grpc import OperationServiceStub
from caretree.proto.api.v1.records_pb2_grpc import RecordServiceStub
from caretree.rpc import records as answering
from caretree.telemetry.health import HealthState
from caretree.telemetry.metrics import Metrics
from grpc_health.v1 import health_pb2, health_pb2_grpc  # type: ignore[import-untyped]
from prometheus_client import CollectorRegistry
from typing_extensions import override

from tests.rpc.fake_ledger import FakeLedger
from tests.rpc.fake_peer import FakePeer
from tests.rpc.matrix_certificates import fingerprint_of
from tests.rpc.requests import PERSON, TIMEOUT_S, append_request, patient, refusal_of
from tests.rpc.serving import DOCTOR, SILENT, SYSTEM, Serving, principal_pair, serving, trusted
from tests.waiting import until

pytestmark = pytest.mark.asyncio


@dataclass(slots=True)
class SlowPeer(FakePeer):
    """Gives out the records of a history one by one, as it is told."""

    turns: asyncio.Semaphore = field(default_factory=lambda: asyncio.Semaphore(0))
    given: int = 0

    @override
    async def history(self, command: HistoryCommand, *, deadline: float) -> HistoryAnswer:
        answer = await FakePeer.history(self, command, deadline=deadline)
        return replace(answer, records=self._slowly(answer.records))

    async def _slowly(self, records: AsyncIterator[HistoryRecord]) -> AsyncIterator[HistoryRecord]:
        async for record in records:
            await self.turns.acquire()
            self.given += 1
            yield record


@dataclass(slots=True)
class Door:
    """A server whose deny list and clock a test may change."""

    server: Serving
    peer: SlowPeer
    path: Path
    deny_list: DenyList
    ahead: timedelta = timedelta()

    def deny(self) -> None:
        """Put the record system's certificate on the list."""
        self.path.write_text(fingerprint_of(principal_pair(SYSTEM)))
        self.deny_list.look()

    def outlive(self) -> None:
        """Let so much time pass that the certificate has ended."""
        self.ahead = timedelta(days=40)


@asynccontextmanager
async def door(folder: Path) -> AsyncIterator[Door]:
    path = folder / "denied"
    path.write_text("")
    peer = SlowPeer(ledger=FakeLedger(trusted().consortium))
    deny_list = DenyList(path, metrics=Metrics(CollectorRegistry()), log=SILENT)
    made: list[Door] = []

    def now() -> datetime:
        return datetime.now(UTC) + (made[0].ahead if made else timedelta())

    async with serving(peer, deny_list=deny_list, now=now) as server:
        made.append(Door(server=server, peer=peer, path=path, deny_list=deny_list))
        yield made[0]


Stopping = Callable[[Door], None]
both_ways = pytest.mark.parametrize(
    ("stop", "reason"),
    [(Door.deny, "CERTIFICATE_DENIED"), (Door.outlive, "CERTIFICATE_EXPIRED")],
    ids=["denied", "expired"],
)


@both_ways
async def test_a_stream_of_appends_ends_at_its_next_message_and_every_later_call_is_refused(
    tmp_path: Path, stop: Stopping, reason: str
) -> None:
    async with door(tmp_path) as opened, opened.server.as_principal(SYSTEM) as channel:
        stream = RecordServiceStub(channel).AppendStream(timeout=TIMEOUT_S)
        await stream.write(records_pb2.AppendStreamRequest(records=[append_request(1)]))
        first = await stream.read()
        stop(opened)
        await stream.write(records_pb2.AppendStreamRequest(records=[append_request(2)]))
        with pytest.raises(grpc.aio.AioRpcError) as caught:
            await stream.read()
        with pytest.raises(grpc.aio.AioRpcError) as later:
            await _status(channel)

        assert isinstance(first, records_pb2.AppendStreamResponse)
        assert first.results[0].WhichOneof("result") == "added"
        assert opened.peer.batch_sizes == [1]
        assert refusal_of(caught.value).reason == refusal_of(later.value).reason == reason
        assert refusal_of(caught.value).next_step
        # Who else calls is not concerned.
        if stop is Door.deny:
            async with opened.server.as_principal(DOCTOR) as other:
                await _status(other)


@both_ways
async def test_a_call_whose_message_comes_late_is_judged_when_it_comes(
    tmp_path: Path, stop: Stopping, reason: str
) -> None:
    async with door(tmp_path) as opened, opened.server.as_principal(SYSTEM) as channel:
        method: grpc.aio.StreamUnaryMultiCallable[records_pb2.AppendRequest, bytes]
        method = channel.stream_unary(
            "/caretree.api.v1.RecordService/Append",
            request_serializer=records_pb2.AppendRequest.SerializeToString,
        )
        append = method(timeout=TIMEOUT_S)
        await until(lambda: len(opened.server.recorder.started) == 1)
        stop(opened)
        await append.write(append_request())
        with pytest.raises(grpc.aio.AioRpcError) as caught:
            await append

        assert refusal_of(caught.value).reason == reason
        assert opened.peer.calls == []


@both_ways
async def test_no_record_of_a_history_follows_the_moment_at_which_its_reader_is_out(
    tmp_path: Path, stop: Stopping, reason: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(answering, "PART_RECORDS_MAX", 1)
    async with door(tmp_path) as opened, opened.server.as_principal(SYSTEM) as channel:
        stub = RecordServiceStub(channel)
        for number in range(3):
            await stub.Append(append_request(number), timeout=TIMEOUT_S)
        history = stub.ListHistory(
            records_pb2.ListHistoryRequest(patient=patient(), acting_person=PERSON),
            timeout=TIMEOUT_S,
        )
        opened.peer.turns.release()
        page, record = await history.read(), await history.read()
        stop(opened)
        opened.peer.turns.release()
        opened.peer.turns.release()
        with pytest.raises(grpc.aio.AioRpcError) as caught:
            await history.read()

        assert isinstance(page, records_pb2.ListHistoryResponse)
        assert isinstance(record, records_pb2.ListHistoryResponse)
        assert (page.page.record_count, len(record.records)) == (3, 1)
        assert refusal_of(caught.value).reason == reason
        assert opened.peer.given == 2  # the second was opened and not sent


@both_ways
async def test_who_watches_health_is_told_nothing_more(
    tmp_path: Path, stop: Stopping, reason: str
) -> None:
    async with door(tmp_path) as opened, opened.server.as_principal(SYSTEM) as channel:
        watch = health_pb2_grpc.HealthStub(channel).Watch(health_pb2.HealthCheckRequest())
        first = await watch.read()
        stop(opened)
        opened.server.health.change(HealthState.CANNOT_COMMIT, reason="no leader")
        with pytest.raises(grpc.aio.AioRpcError) as caught:
            await watch.read()

        assert first.status == health_pb2.HealthCheckResponse.SERVING
        assert refusal_of(caught.value).reason == reason


async def test_who_is_taken_off_the_list_is_let_in_on_the_same_connection(tmp_path: Path) -> None:
    async with door(tmp_path) as opened, opened.server.as_principal(SYSTEM) as channel:
        opened.deny()
        with pytest.raises(grpc.aio.AioRpcError):
            await _status(channel)
        opened.path.write_text("# nobody\n")
        opened.deny_list.look()

        assert (await _status(channel)).member == "town"


async def _status(channel: grpc.aio.Channel) -> operations_pb2.GetStatusResponse:
    request = operations_pb2.GetStatusRequest()
    return await OperationServiceStub(channel).GetStatus(request, timeout=TIMEOUT_S)
