"""ProofService: receipts, checkpoints and consistency proofs."""

from collections.abc import Awaitable

import grpc
from typing_extensions import override

from caretree.merkle.shape import TREE_SIZE_MAX
from caretree.model.ids import LeafIndex, RecordId, RequestId, TreeSize
from caretree.model.reasons import CallError, Reason
from caretree.node.calls import ReceiptAnswer
from caretree.proto.api.v1 import proofs_pb2, proofs_pb2_grpc
from caretree.rpc.fields import FieldChecks
from caretree.rpc.messages import receipt_message
from caretree.rpc.ports import Peer

_GetReceipt = grpc.aio.ServicerContext[
    proofs_pb2.GetReceiptRequest, Awaitable[proofs_pb2.GetReceiptResponse]
]
_GetCheckpoint = grpc.aio.ServicerContext[
    proofs_pb2.GetCheckpointRequest, Awaitable[proofs_pb2.GetCheckpointResponse]
]
_GetConsistencyProof = grpc.aio.ServicerContext[
    proofs_pb2.GetConsistencyProofRequest, Awaitable[proofs_pb2.GetConsistencyProofResponse]
]


class ProofService(proofs_pb2_grpc.ProofServiceServicer):
    """Serves `api.v1.ProofService`; the caller is admitted before."""

    def __init__(self, peer: Peer) -> None:
        self._peer = peer

    @override
    async def GetReceipt(
        self, request: proofs_pb2.GetReceiptRequest, context: _GetReceipt
    ) -> proofs_pb2.GetReceiptResponse:
        return receipt_message(self._receipt(request))

    @override
    async def GetCheckpoint(
        self, request: proofs_pb2.GetCheckpointRequest, context: _GetCheckpoint
    ) -> proofs_pb2.GetCheckpointResponse:
        answer = self._peer.checkpoint()
        return proofs_pb2.GetCheckpointResponse(checkpoint=answer.note, age_ms=answer.age_ms)

    @override
    async def GetConsistencyProof(
        self, request: proofs_pb2.GetConsistencyProofRequest, context: _GetConsistencyProof
    ) -> proofs_pb2.GetConsistencyProofResponse:
        checks = FieldChecks()
        if not 1 <= request.first_size <= TREE_SIZE_MAX:
            checks.refuse("first_size", "expected the size of a tree, at least 1")
        if request.second_size and not request.first_size <= request.second_size <= TREE_SIZE_MAX:
            checks.refuse("second_size", "expected 0, or a size of at least first_size")
        checks.finish()
        first = TreeSize(request.first_size)
        second = TreeSize(request.second_size) if request.second_size else None
        hashes, until = self._peer.consistency_proof(first, second)
        return proofs_pb2.GetConsistencyProofResponse(
            hashes=hashes, first_size=first, second_size=until
        )

    def _receipt(self, request: proofs_pb2.GetReceiptRequest) -> ReceiptAnswer:
        checks = FieldChecks()
        match request.WhichOneof("entry"):
            case "record_id":
                record_id = RecordId(checks.id_bytes("record_id", request.record_id))
                checks.finish()
                return self._peer.receipt_of_record(record_id)
            case "request_id":
                request_id = RequestId(checks.id_bytes("request_id", request.request_id))
                checks.finish()
                return self._peer.receipt_of_request(request_id)
            case "leaf_index":
                if request.leaf_index >= TREE_SIZE_MAX:
                    raise CallError(Reason.UNKNOWN_ENTRY)
                return self._peer.receipt_of_leaf(LeafIndex(request.leaf_index))
            case None:
                checks.refuse("entry", "expected a record id, a request id or a leaf index")
                checks.finish()
                raise AssertionError
