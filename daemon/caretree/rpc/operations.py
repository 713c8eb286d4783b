"""OperationService: how the consortium and this peer are doing."""

from collections.abc import Awaitable

import grpc
from typing_extensions import override

from caretree.ledger.genesis import Genesis
from caretree.model.errors import MalformedError
from caretree.model.ids import PeerId, parse_member_id, parse_peer_id, show_peer_id
from caretree.model.reasons import CallError, FieldViolation, Reason
from caretree.proto.api.v1 import operations_pb2, operations_pb2_grpc
from caretree.rpc.guard import current_caller
from caretree.rpc.messages import status_message
from caretree.rpc.ports import Peer

_GetStatus = grpc.aio.ServicerContext[
    operations_pb2.GetStatusRequest, Awaitable[operations_pb2.GetStatusResponse]
]
_TransferLeadership = grpc.aio.ServicerContext[
    operations_pb2.TransferLeadershipRequest, Awaitable[operations_pb2.TransferLeadershipResponse]
]


class OperationService(operations_pb2_grpc.OperationServiceServicer):
    """Serves `api.v1.OperationService`; the caller is admitted before."""

    def __init__(self, peer: Peer, *, version: str) -> None:
        self._peer = peer
        self._version = version

    @override
    async def GetStatus(
        self, request: operations_pb2.GetStatusRequest, context: _GetStatus
    ) -> operations_pb2.GetStatusResponse:
        return status_message(self._peer.status(), version=self._version)

    @override
    async def TransferLeadership(
        self, request: operations_pb2.TransferLeadershipRequest, context: _TransferLeadership
    ) -> operations_pb2.TransferLeadershipResponse:
        to = find_voter(self._peer.genesis, request.to) if request.to else None
        leader = await self._peer.transfer_leadership(to, deadline=current_caller().deadline)
        return operations_pb2.TransferLeadershipResponse(leader=show_peer_id(leader))


def find_voter(genesis: Genesis, name: str) -> PeerId:
    """The voter with this id, or the one voter of this member.

    A member's name may be 16 hex digits too; a peer's id is looked for first.

    Raises:
        CallError: INVALID_FIELD: the name is neither; UNKNOWN_PEER: there is no such voter, or the
            member has several.
    """
    voters = {voter.peer: voter for voter in genesis.voters}
    try:
        peer = parse_peer_id(name)
    except MalformedError:
        pass
    else:
        if peer in voters:
            return peer
    try:
        member = parse_member_id(name)
    except MalformedError:
        expected = "expected a peer's 16 hex digits or a member's id"
        violation = FieldViolation(field="to", description=expected)
        raise CallError(Reason.INVALID_FIELD, violations=(violation,)) from None
    found = [voter.peer for voter in voters.values() if voter.member == member]
    if len(found) != 1:
        raise CallError(Reason.UNKNOWN_PEER)
    return found[0]
