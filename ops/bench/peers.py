"""Caretree's side: three daemons founded as the demo founds them, and calls to one of them.

The hospital's peer leads and the township's is called, so every record crosses to the leader and
back, as in the walk.
"""

import itertools
import os
from collections.abc import AsyncGenerator, AsyncIterator, Iterable, Sequence
from contextlib import AsyncExitStack, aclosing, asynccontextmanager
from dataclasses import dataclass, field
from typing import Final, Self

import grpc
from caretree.cli.session import read_settings
from caretree.client import CallFailedError, CaretreeClient, EntryStatus, NewRecord
from caretree.client.channel import open_channel
from caretree.client.values import Appended
from caretree.crypto.pseudonym import PatientIdentifier
from caretree.proto.api.v1 import records_pb2

from ops.bench import wire
from ops.bench.errors import BenchFailedError
from ops.bench.load import Work
from ops.bench.supply import Supply
from ops.demo.consortium import HOSPITAL, RECORD_SYSTEM, TOWN, TOWN_DOCTOR, Founded
from ops.demo.running import TOWN_PHYSICIAN

LEADS, CALLED = HOSPITAL, TOWN
BATCH_RECORDS: Final = 100
# A peer bounds the calls of a connection and those of a principal. 128 calls in flight are within
# both when two principals share them, each over two connections.
LINES_EACH: Final = 2
MEDIA_TYPE: Final = "application/octet-stream"
CALL_S_MAX: Final = 30.0
STREAM_S_MAX: Final = 200.0

_CERTIFIED: Final = records_pb2.ENTRY_STATUS_CERTIFIED


@dataclass(frozen=True, slots=True, kw_only=True)
class Line:
    """A connection without any library over it, and for whom it acts."""

    channel: grpc.aio.Channel
    acting: bytes


@dataclass(slots=True, kw_only=True)
class Caller:
    """Who writes records: the same ones over bare lines or through the client library."""

    lines: Sequence[Line]
    client: CaretreeClient
    supply: Supply
    acknowledged: int = 0  # records, since the connection was made
    _patients: list[bytes]
    _numbers: "itertools.count[int]" = field(default_factory=itertools.count)
    _newcomers: "itertools.count[int]" = field(default_factory=itertools.count)
    _run: bytes = field(default_factory=lambda: os.urandom(8))
    _media_type: bytes = field(default_factory=lambda: wire.sized_field(3, MEDIA_TYPE.encode()))

    @classmethod
    @asynccontextmanager
    async def connected(
        cls, founded: Founded, client: CaretreeClient, supply: Supply
    ) -> AsyncIterator[Self]:
        """The township's own callers, over lines beside the connection of the client library."""
        physician = wire.acting_field(
            person=TOWN_PHYSICIAN.id, role=records_pb2.PERSON_ROLE_PHYSICIAN
        )
        async with AsyncExitStack() as stack:
            lines: list[Line] = []
            for principal, acting in ((RECORD_SYSTEM, physician), (TOWN_DOCTOR, b"")):
                settings = read_settings(founded.centres[CALLED].client_file(principal))
                for _ in range(LINES_EACH):
                    channel = await stack.enter_async_context(open_channel(settings))
                    lines.append(Line(channel=channel, acting=acting))
            patients = [_patient_field(patient) for patient in supply.patients]
            yield cls(lines=lines, client=client, supply=supply, _patients=patients)

    def unary(self) -> Work:
        """One record a call, without any library."""
        calls: list[tuple[grpc.aio.UnaryUnaryMultiCallable[bytes, bytes], bytes]]
        calls = [(line.channel.unary_unary(wire.APPEND), line.acting) for line in self.lines]

        async def append(worker: int) -> int:
            call, acting = calls[worker % len(calls)]
            answer = await call(self._request(acting), timeout=CALL_S_MAX)
            _check(records_pb2.AppendResponse.FromString(answer))
            self.acknowledged += 1
            return 1

        return append

    @asynccontextmanager
    async def batches(self, *, receipts: bool) -> AsyncIterator[Work]:
        """BATCH_RECORDS records a message; each worker has a stream of its own."""
        streams: dict[int, grpc.aio.StreamStreamCall[bytes, bytes]] = {}
        batches = itertools.count(1)

        async def append(worker: int) -> int:
            line = self.lines[worker % len(self.lines)]
            if worker not in streams:
                open_stream: grpc.aio.StreamStreamMultiCallable[bytes, bytes]
                open_stream = line.channel.stream_stream(wire.APPEND_STREAM)
                streams[worker] = open_stream(timeout=STREAM_S_MAX)
            batch = next(batches)
            records = [self._request(line.acting) for _ in range(BATCH_RECORDS)]
            await streams[worker].write(
                wire.append_stream_request(batch, records, receipts=receipts)
            )
            answer = await streams[worker].read()
            if not isinstance(answer, bytes):
                raise BenchFailedError(f"the stream ended before batch {batch} was answered")
            _check_batch(records_pb2.AppendStreamResponse.FromString(answer), batch)
            self.acknowledged += BATCH_RECORDS
            return BATCH_RECORDS

        try:
            yield append
        finally:
            for stream in streams.values():
                stream.cancel()

    def library(self) -> Work:
        """One record a call of the client library, which verifies each receipt."""

        async def append(_: int) -> int:
            await self.append(self.supply.patient(next(self._numbers)))
            return 1

        return append

    def newcomers(self) -> Work:
        """As `library`, each record the first of its patient, whose keyring it opens."""

        async def append(_: int) -> int:
            await self.append(self.supply.newcomer(next(self._newcomers)))
            return 1

        return append

    async def append(self, patient: PatientIdentifier) -> None:
        """One more record of a patient, certified, its receipt verified.

        Raises:
            BenchFailedError: it is not certified.
        """
        self._take(await self.client.append(self.record(patient)))

    @asynccontextmanager
    async def many(self) -> AsyncIterator[Work]:
        """The client library's way for many: it is given records without end."""
        endless = (self.record(self.supply.patient(number)) for number in self._numbers)
        outcomes = self.client.append_many(endless)
        assert isinstance(outcomes, AsyncGenerator)

        async def take(_: int) -> int:
            self._take(await anext(outcomes))
            return 1

        async with aclosing(outcomes):
            yield take

    async def introduce(self, patients: Iterable[PatientIdentifier]) -> None:
        """One record of each of these patients.

        Raises:
            BenchFailedError: one of them is not certified.
        """
        async for outcome in self.client.append_many(map(self.record, patients)):
            self._take(outcome)

    def record(self, patient: PatientIdentifier) -> NewRecord:
        """A new record of a patient."""
        return NewRecord(
            patient=patient,
            content=self.supply.content(next(self._numbers)),
            media_type=MEDIA_TYPE,
            acting=TOWN_PHYSICIAN,
        )

    def _take(self, outcome: Appended | CallFailedError) -> None:
        if isinstance(outcome, CallFailedError):
            raise outcome
        if outcome.status is not EntryStatus.CERTIFIED:
            raise BenchFailedError(f"a record was answered {outcome.status.name}")
        self.acknowledged += 1

    def _request(self, acting: bytes) -> bytes:
        number = next(self._numbers)
        return wire.append_request(
            patient=self._patients[number % len(self._patients)],
            content=self.supply.content(number),
            media_type=self._media_type,
            request_id=self._run + number.to_bytes(8, "big"),
            acting=acting,
        )


def _patient_field(patient: PatientIdentifier) -> bytes:
    return wire.patient_field(system=patient.system, value=patient.value)


def _check(answer: records_pb2.AppendResponse) -> None:
    if answer.status != _CERTIFIED:
        raise BenchFailedError(
            f"a record was answered {records_pb2.EntryStatus.Name(answer.status)}"
        )


def _check_batch(answer: records_pb2.AppendStreamResponse, number: int) -> None:
    if answer.batch_number != number or len(answer.results) != BATCH_RECORDS:
        raise BenchFailedError(f"expected the whole of batch {number} to be answered")
    for result in answer.results:
        if result.added.status != _CERTIFIED:
            refused = result.WhichOneof("result") != "added"
            status = "an error" if refused else records_pb2.EntryStatus.Name(result.added.status)
            raise BenchFailedError(f"a record of batch {number} was answered {status}")
