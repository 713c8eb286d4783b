"""What all calls of a client share: the connection, and what was proven of the log so far."""

import asyncio
import secrets
from functools import partial
from typing import Final, TypeVar

import grpc

from caretree.client.channel import call, repeated
from caretree.client.coalescer import STREAM_S_MAX, Coalescer, Stream
from caretree.client.errors import CallFailedError
from caretree.client.trust import Trust
from caretree.model.ids import RequestId, TreeSize
from caretree.proto.api.v1 import proofs_pb2
from caretree.proto.api.v1.access_pb2_grpc import AccessServiceStub
from caretree.proto.api.v1.operations_pb2_grpc import OperationServiceStub
from caretree.proto.api.v1.proofs_pb2_grpc import ProofServiceStub
from caretree.proto.api.v1.records_pb2_grpc import RecordServiceStub

# How often, at most, receipts lead to a consistency proof being asked for.
CONSISTENCY_S: Final = 10.0
# A stream's deadline leaves its last batches time to be answered.
_STREAM_DEADLINE_S: Final = STREAM_S_MAX + 60.0

RequestT = TypeVar("RequestT")
ResponseT = TypeVar("ResponseT")


class Session:
    """A connection's stubs, and the trust in what comes over it."""

    def __init__(self, channel: grpc.aio.Channel, trust: Trust) -> None:
        self._records = RecordServiceStub(channel)
        self._access = AccessServiceStub(channel)
        self._proofs = ProofServiceStub(channel)
        self._operations = OperationServiceStub(channel)
        self._trust = trust
        self._appends = Coalescer(self._open_stream)
        self._prove_after = 0.0

    async def _ask(
        self,
        method: grpc.aio.UnaryUnaryMultiCallable[RequestT, ResponseT],
        request: RequestT,
        *,
        deadline: float,
        request_id: RequestId | None = None,
    ) -> ResponseT:
        """The answer to a call, repeated where that is safe; see `channel`."""
        attempt = partial(call, method, request, deadline=deadline, request_id=request_id)
        return await repeated(attempt, deadline=deadline)

    def _open_stream(self) -> Stream:
        return self._records.AppendStream(timeout=_STREAM_DEADLINE_S)

    async def _prove_growth(self, deadline: float, *, always: bool) -> None:
        """Prove that the newest tree seen extends the one proven before, now and then or always."""
        due = self._trust.unproven
        now = asyncio.get_running_loop().time()
        if due is None or (now < self._prove_after and not always):
            return
        self._prove_after = now + CONSISTENCY_S
        try:
            hashes, _ = await self._consistency(due[0], due[1], deadline)
        except CallFailedError:
            if always:
                raise
            return  # an entry that is certified stays so; the proof is asked for again later
        self._trust.extend(due, hashes)

    async def _consistency(
        self, first: TreeSize, second: TreeSize | None, deadline: float
    ) -> tuple[tuple[bytes, ...], TreeSize]:
        request = proofs_pb2.GetConsistencyProofRequest(first_size=first, second_size=second or 0)
        answer = await self._ask(self._proofs.GetConsistencyProof, request, deadline=deadline)
        return tuple(answer.hashes), TreeSize(answer.second_size)


def new_request_id() -> RequestId:
    """A request id that nobody used."""
    return RequestId(secrets.token_bytes(16))
