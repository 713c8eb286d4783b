"""Wrong calls: each told why and which field, and the next call answered as if it had not been."""

from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import Final

import grpc
import pytest
import pytest_asyncio
from caretree.model.limits import (
    CLIENT_BATCH_BYTES_MAX,
    CLIENT_BATCH_RECORDS_MAX,
    CONTENT_BYTES_MAX,
)
from caretree.proto.api.v1 import (
    access_pb2,
    access_pb2_grpc,
    operations_pb2,
    operations_pb2_grpc,
    proofs_pb2,
    proofs_pb2_grpc,
    records_pb2,
    records_pb2_grpc,
)
from caretree.rpc.server import MESSAGE_BYTES_MAX, METADATA_BYTES_MAX

from tests.ledger.builders import TOWN
from tests.node.cluster import cluster, leader_of
from tests.node.doors import channel_to, client_port
from tests.rpc.requests import PERSON, append_request, grant_request, patient, refusal_of

pytestmark = [pytest.mark.processes, pytest.mark.asyncio(loop_scope="module")]

TIMEOUT_S: Final = 20
RECORDS: Final = "/caretree.api.v1.RecordService"
Wrong = Callable[[grpc.aio.Channel], Awaitable[object]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Told:
    """What a wrong call must be told."""

    reason: str
    code: grpc.StatusCode
    fields: tuple[str, ...] = ()


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def channel(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[grpc.aio.Channel]:
    """The township's client port in front of its peer, one of three that run."""
    async with cluster(tmp_path_factory.mktemp("calls")) as seats:
        await leader_of(seats)
        async with (
            client_port(seats[TOWN]) as address,
            channel_to(seats[TOWN], address) as made,
        ):
            await append(made, append_request(1))
            yield made


async def append(
    channel: grpc.aio.Channel, request: records_pb2.AppendRequest
) -> records_pb2.AppendResponse:
    return await records_pb2_grpc.RecordServiceStub(channel).Append(request, timeout=TIMEOUT_S)


def changed(**fields: object) -> records_pb2.AppendRequest:
    request = append_request(7)
    request.MergeFrom(records_pb2.AppendRequest(**fields))  # type: ignore[arg-type]
    return request


def appending(request: records_pb2.AppendRequest) -> Wrong:
    return lambda channel: append(channel, request)


def raw(path: str, message: bytes, *more: tuple[str, str]) -> Wrong:
    """A call whose message was made by hand."""

    async def call(channel: grpc.aio.Channel) -> object:
        method: grpc.aio.UnaryUnaryMultiCallable[bytes, bytes] = channel.unary_unary(path)
        return await method(message, timeout=TIMEOUT_S, metadata=more)

    return call


def streaming(batch: records_pb2.AppendStreamRequest) -> Wrong:
    async def call(channel: grpc.aio.Channel) -> object:
        stub = records_pb2_grpc.RecordServiceStub(channel)
        return await stub.AppendStream(iter([batch]), timeout=TIMEOUT_S).read()

    return call


async def history_of_nobody(channel: grpc.aio.Channel) -> object:
    stub = records_pb2_grpc.RecordServiceStub(channel)
    request = records_pb2.ListHistoryRequest(patient=patient("C-404"), acting_person=PERSON)
    return await stub.ListHistory(request, timeout=TIMEOUT_S).read()


async def record_of_nobody(channel: grpc.aio.Channel) -> object:
    stub = records_pb2_grpc.RecordServiceStub(channel)
    request = records_pb2.GetRecordRequest(record_id=bytes(16), acting_person=PERSON)
    return await stub.GetRecord(request, timeout=TIMEOUT_S)


async def revoke_of_nothing(channel: grpc.aio.Channel) -> object:
    stub = access_pb2_grpc.AccessServiceStub(channel)
    request = access_pb2.RevokeGrantRequest(
        patient=patient(), grant_id=bytes(16), request_id=bytes(16), acting_person=PERSON
    )
    return await stub.RevokeGrant(request, timeout=TIMEOUT_S)


async def grant_of_nobody(channel: grpc.aio.Channel) -> object:
    request = grant_request(9)
    request.patient.CopyFrom(patient("C-404"))
    return await access_pb2_grpc.AccessServiceStub(channel).CreateGrant(request, timeout=TIMEOUT_S)


async def receipt_of_nothing(channel: grpc.aio.Channel) -> object:
    request = proofs_pb2.GetReceiptRequest(record_id=b"\xfe" * 16)
    return await proofs_pb2_grpc.ProofServiceStub(channel).GetReceipt(request, timeout=TIMEOUT_S)


async def no_deadline(channel: grpc.aio.Channel) -> object:
    stub = operations_pb2_grpc.OperationServiceStub(channel)
    return await stub.GetStatus(operations_pb2.GetStatusRequest())


def invalid(*fields: str) -> Told:
    return Told(reason="INVALID_FIELD", code=grpc.StatusCode.INVALID_ARGUMENT, fields=fields)


def too_large(field: str) -> Told:
    code = grpc.StatusCode.INVALID_ARGUMENT
    return Told(reason="CONTENT_TOO_LARGE", code=code, fields=(field,))


def batch_of(count: int, content: bytes) -> records_pb2.AppendStreamRequest:
    records = [append_request(100 + number, content=content) for number in range(count)]
    return records_pb2.AppendStreamRequest(records=records)


WRONG: Final[Mapping[str, tuple[Wrong, Told]]] = {
    "content too large": (
        appending(changed(content=bytes(CONTENT_BYTES_MAX + 1))),
        too_large("content"),
    ),
    "batch of too many": (
        streaming(batch_of(CLIENT_BATCH_RECORDS_MAX + 1, b"x")),
        too_large("records"),
    ),
    "batch too large": (
        streaming(batch_of(5, bytes(CLIENT_BATCH_BYTES_MAX // 5))),
        too_large("records"),
    ),
    "batch of none": (streaming(records_pb2.AppendStreamRequest()), invalid("records")),
    "empty message": (
        raw(f"{RECORDS}/Append", b""),
        Told(reason="ACTING_PERSON_REQUIRED", code=grpc.StatusCode.INVALID_ARGUMENT),
    ),
    "malformed protobuf": (raw(f"{RECORDS}/Append", b"\xff\xff\xff"), invalid("request")),
    "unknown method": (
        raw(f"{RECORDS}/Prepend", b""),
        Told(reason="UNKNOWN_METHOD", code=grpc.StatusCode.UNIMPLEMENTED),
    ),
    "unknown patient": (
        history_of_nobody,
        Told(reason="NOT_OPEN", code=grpc.StatusCode.PERMISSION_DENIED),
    ),
    "unknown record": (
        record_of_nobody,
        Told(reason="NOT_OPEN", code=grpc.StatusCode.PERMISSION_DENIED),
    ),
    "grant of an unknown patient": (
        grant_of_nobody,
        Told(reason="NO_RECORDS", code=grpc.StatusCode.FAILED_PRECONDITION),
    ),
    "unknown grant": (
        revoke_of_nothing,
        Told(reason="UNKNOWN_GRANT", code=grpc.StatusCode.NOT_FOUND),
    ),
    "unknown entry": (
        receipt_of_nothing,
        Told(reason="UNKNOWN_ENTRY", code=grpc.StatusCode.NOT_FOUND),
    ),
    "unknown identifier system": (
        appending(changed(patient=records_pb2.PatientIdentifier(system="urn:other"))),
        invalid("patient.system"),
    ),
    "request id reused": (
        appending(append_request(1, content=b"something else")),
        Told(reason="REQUEST_ID_REUSED", code=grpc.StatusCode.ALREADY_EXISTS),
    ),
    "no deadline": (
        no_deadline,
        Told(reason="NO_DEADLINE", code=grpc.StatusCode.INVALID_ARGUMENT),
    ),
}


@pytest.mark.parametrize("name", list(WRONG))
async def test_a_wrong_call_is_told_why_and_the_next_one_is_answered(
    channel: grpc.aio.Channel, name: str
) -> None:
    call, told = WRONG[name]
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await call(channel)
    refusal = refusal_of(caught.value)
    assert refusal.reason == told.reason
    assert refusal.code == told.code.value[0]
    assert refusal.fields == told.fields
    assert refusal.next_step
    again = await append(channel, append_request(1))
    assert again.already_added


@pytest.mark.parametrize("name", ["message", "metadata"])
async def test_what_grpc_itself_cuts_off_is_told_so_and_the_next_call_is_answered(
    channel: grpc.aio.Channel, name: str
) -> None:
    call = {
        "message": raw(f"{RECORDS}/Append", bytes(MESSAGE_BYTES_MAX + 1)),
        "metadata": raw(f"{RECORDS}/Append", b"", ("x", "y" * 4 * METADATA_BYTES_MAX)),
    }[name]
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await call(channel)
    assert caught.value.code() is grpc.StatusCode.RESOURCE_EXHAUSTED
    again = await append(channel, append_request(1))
    assert again.already_added


async def test_a_message_of_the_largest_size_is_told_what_is_too_large_in_it(
    channel: grpc.aio.Channel,
) -> None:
    room = MESSAGE_BYTES_MAX - append_request(7, content=b"x").ByteSize() - 16
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await append(channel, append_request(7, content=bytes(room)))
    assert refusal_of(caught.value).reason == "CONTENT_TOO_LARGE"


async def test_a_field_of_a_newer_client_is_passed_over(channel: grpc.aio.Channel) -> None:
    # Field 1000, length-delimited, of two bytes.
    unknown = b"\xc2\x3e\x02hi"
    request = append_request(2).SerializeToString() + unknown
    method: grpc.aio.UnaryUnaryMultiCallable[bytes, bytes] = channel.unary_unary(
        f"{RECORDS}/Append"
    )
    added = records_pb2.AppendResponse.FromString(await method(request, timeout=TIMEOUT_S))
    assert not added.already_added
    again = await append(channel, append_request(2))
    assert again.already_added
    assert again.record_id == added.record_id
