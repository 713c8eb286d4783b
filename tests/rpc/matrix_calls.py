"""One call of every method that a port serves, made from its descriptor, and what it is answered.

The methods are those of the handlers that the server was really given; their messages come from the
descriptors of the same names.
"""

import itertools
from collections.abc import AsyncIterator, Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any, Final

import grpc
import pytest
from caretree.ledger.genesis import FIRST_MEMBERSHIP_EPOCH
from caretree.model.reasons import Reason
from caretree.proto.api.v1 import access_pb2, operations_pb2, proofs_pb2, records_pb2
from caretree.proto.peer.v1 import peer_pb2
from google.protobuf.descriptor import MethodDescriptor
from google.protobuf.descriptor_pool import Default
from google.protobuf.message import Message
from google.protobuf.message_factory import GetMessageClass
from grpc_reflection.v1alpha import reflection_pb2

from tests.ledger.builders import HOSPITAL
from tests.rpc.matrix_policy import OK, Caller, Kind
from tests.rpc.requests import append_request, grant_request, patient, read_status, refusal_of
from tests.rpc.serving import trusted

CALL_S: Final = 20.0
ATTEMPTS_MAX: Final = 5
_FIRST_NUMBER: Final = 10_000  # of request ids, which no other call of the server may have used


@dataclass(slots=True)
class Served:
    """The methods of the servers that were made meanwhile."""

    paths: set[str] = field(default_factory=set)

    @property
    def methods(self) -> Mapping[str, MethodDescriptor]:
        """By path, their descriptors; whole services, so a method that nobody serves shows too."""
        services = {path.split("/")[1] for path in self.paths}
        return {
            f"/{service}/{method.name}": method
            for service in sorted(services)
            for method in Default().FindServiceByName(service).methods
        }


@contextmanager
def watched_servers(patch: pytest.MonkeyPatch) -> Iterator[Served]:
    """What every server made within is given to serve."""
    served, make = Served(), grpc.aio.server

    def server(*args: Any, **options: Any) -> grpc.aio.Server:  # noqa: ANN401
        made = make(*args, **options)
        take = made.add_generic_rpc_handlers

        def note(handlers: tuple[Any, ...]) -> None:
            for handler in handlers:
                served.paths.update(handler._method_handlers)
            take(handlers)

        patch.setattr(made, "add_generic_rpc_handlers", note)
        return made

    patch.setattr(grpc.aio, "server", server)
    yield served


class Requests:
    """Requests that would be answered, if only their caller may ask."""

    def __init__(self, record_id: bytes) -> None:
        self._record_id = record_id
        self._numbers = itertools.count(_FIRST_NUMBER)
        self._make: Mapping[str, Callable[[Caller], Message]] = {
            "Append": self._append,
            "AppendStream": lambda c: records_pb2.AppendStreamRequest(records=[self._append(c)]),
            "GetRecord": lambda c: records_pb2.GetRecordRequest(
                record_id=self._record_id, acting_person=acting(c)
            ),
            "ListHistory": lambda c: records_pb2.ListHistoryRequest(
                patient=patient(), acting_person=acting(c)
            ),
            "CreateGrant": self._grant,
            "RevokeGrant": lambda c: access_pb2.RevokeGrantRequest(
                patient=patient(),
                grant_id=bytes(16),
                request_id=self._id(),
                acting_person=acting(c),
            ),
            "ListGrants": lambda c: access_pb2.ListGrantsRequest(
                patient=patient(), acting_person=acting(c)
            ),
            "ListTrail": lambda c: access_pb2.ListTrailRequest(acting_person=acting(c)),
            "GetReceipt": lambda _: proofs_pb2.GetReceiptRequest(record_id=self._record_id),
            "GetConsistencyProof": lambda _: proofs_pb2.GetConsistencyProofRequest(first_size=1),
            "TransferLeadership": lambda _: operations_pb2.TransferLeadershipRequest(to=HOSPITAL),
            "ServerReflectionInfo": lambda _: reflection_pb2.ServerReflectionRequest(
                list_services=""
            ),
            "Deliver": lambda _: greeting(),
        }

    def of(self, method: MethodDescriptor, caller: Caller) -> Message:
        """The request; empty for a method that asks for nothing."""
        make = self._make.get(method.name)
        request = GetMessageClass(method.input_type)() if make is None else make(caller)
        assert request.DESCRIPTOR.full_name == method.input_type.full_name
        return request

    def _append(self, caller: Caller) -> records_pb2.AppendRequest:
        request = append_request(next(self._numbers))
        request.acting_person.CopyFrom(acting(caller))
        return request

    def _grant(self, caller: Caller) -> access_pb2.CreateGrantRequest:
        request = grant_request(next(self._numbers))
        request.acting_person.CopyFrom(acting(caller))
        return request

    def _id(self) -> bytes:
        return next(self._numbers).to_bytes(16, "big")


def acting(caller: Caller) -> records_pb2.ActingPerson:
    """For whom the caller says that it acts."""
    role = records_pb2.PersonRole.Value(f"PERSON_ROLE_{caller.role.upper()}")
    # A person acts for itself; everybody else names somebody, also who may not act at all.
    return records_pb2.ActingPerson(id="" if caller.kind is Kind.PERSON else "P-1", role=role)


def greeting() -> peer_pb2.DeliverRequest:
    """How the hospital's peer begins a stream."""
    genesis = trusted().consortium.genesis
    return peer_pb2.DeliverRequest(
        origin=genesis.origin,
        membership_epoch=FIRST_MEMBERSHIP_EPOCH,
        clock_ms=1,
        greeting=peer_pb2.Greeting(
            peer=trusted().consortium[HOSPITAL].peer.peer, version="1", ledger_version_max=1
        ),
    )


async def answer_to(
    channel: grpc.aio.Channel, path: str, method: MethodDescriptor, request: Message
) -> str:
    """OK, the reason of the refusal, or the code of a failure that has none."""
    found = ""
    for _ in range(ATTEMPTS_MAX):
        found = await _attempt(channel, path, method, request)
        # What grpcio itself says of a stream that is ended while it is being written to.
        if found != grpc.StatusCode.INTERNAL.name or not method.client_streaming:
            return found
    return found


async def _attempt(
    channel: grpc.aio.Channel, path: str, method: MethodDescriptor, request: Message
) -> str:
    shape = (method.client_streaming, method.server_streaming)
    kind = "_".join("stream" if streams else "unary" for streams in shape)
    call = getattr(channel, kind)(
        path,
        request_serializer=type(request).SerializeToString,
        response_deserializer=GetMessageClass(method.output_type).FromString,
    )
    sent = _once(request) if method.client_streaming else request
    try:
        under_way = call(sent, timeout=CALL_S)
        first = await under_way.read() if method.server_streaming else await under_way
        if method.server_streaming:
            under_way.cancel()
    except grpc.aio.AioRpcError as error:
        return _reason(error)
    if isinstance(first, records_pb2.AppendStreamResponse) and first.results[0].error_status:
        return read_status(first.results[0].error_status).reason
    return OK


async def _once(request: Message) -> AsyncIterator[Message]:
    yield request


def _reason(error: grpc.aio.AioRpcError) -> str:
    metadata = error.trailing_metadata()
    if metadata is not None and "grpc-status-details-bin" in metadata:
        return refusal_of(error).reason
    # The peer port says a reason's name alone.
    details = error.details() or ""
    if details not in Reason.__members__:
        return error.code().name
    assert Reason[details].explanation.code.value == error.code().value[0]
    return details
