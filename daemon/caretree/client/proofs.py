"""Fetching what anyone can check: receipts, checkpoints, consistency proofs."""

from caretree.client.channel import DEADLINE_S, deadline_after
from caretree.client.messages import read_position
from caretree.client.receipts import check_asked_for, verified_receipt
from caretree.client.session import Session
from caretree.client.values import FetchedCheckpoint, FetchedReceipt
from caretree.model.ids import LeafIndex, RecordId, RequestId, TreeSize
from caretree.proto.api.v1 import proofs_pb2


class ProofCalls(Session):
    """The calls of ProofService."""

    async def receipt(
        self,
        *,
        record_id: RecordId | None = None,
        request_id: RequestId | None = None,
        leaf_index: LeafIndex | None = None,
        deadline_s: float = DEADLINE_S,
    ) -> FetchedReceipt:
        """The receipt of an entry of this member, by exactly one of the three.

        Raises:
            ReceiptError: it does not verify, or is another entry's.
            InconsistentLogError: see `client.errors`.
        """
        request = _receipt_request(record_id, request_id, leaf_index)
        deadline = deadline_after(deadline_s)
        answer = await self._ask(self._proofs.GetReceipt, request, deadline=deadline)
        position = read_position(answer.position)
        receipt = verified_receipt(self._trust, answer.receipt, position)
        check_asked_for(receipt, record_id=record_id, request_id=request_id, leaf_index=leaf_index)
        await self._prove_growth(deadline, always=False)
        return FetchedReceipt(
            receipt=receipt, file=answer.receipt, position=position, age_ms=answer.age_ms
        )

    async def checkpoint(self, *, deadline_s: float = DEADLINE_S) -> FetchedCheckpoint:
        """The newest certified checkpoint, proven to extend the newest one proven before.

        Raises:
            MalformedError: it is none.
            VerificationError: it is not certified, or contradicts another (InconsistentLogError).
        """
        deadline = deadline_after(deadline_s)
        request = proofs_pb2.GetCheckpointRequest()
        answer = await self._ask(self._proofs.GetCheckpoint, request, deadline=deadline)
        checkpoint = self._trust.checkpoint(answer.checkpoint)
        await self._prove_growth(deadline, always=True)
        return FetchedCheckpoint(
            note=answer.checkpoint,
            tree_size=checkpoint.size,
            root=checkpoint.root,
            age_ms=answer.age_ms,
        )

    async def consistency(
        self, first: TreeSize, second: TreeSize | None = None, *, deadline_s: float = DEADLINE_S
    ) -> tuple[tuple[bytes, ...], TreeSize]:
        """The proof that the tree of `second`, by default the newest, begins with that of `first`.

        Whoever holds both roots verifies it; the size that it ends at comes with it.
        """
        return await self._consistency(first, second, deadline_after(deadline_s))


def _receipt_request(
    record_id: RecordId | None, request_id: RequestId | None, leaf_index: LeafIndex | None
) -> proofs_pb2.GetReceiptRequest:
    assert [record_id, request_id, leaf_index].count(None) == 2, "expected exactly one of the three"
    if record_id is not None:
        return proofs_pb2.GetReceiptRequest(record_id=record_id)
    if request_id is not None:
        return proofs_pb2.GetReceiptRequest(request_id=request_id)
    assert leaf_index is not None
    return proofs_pb2.GetReceiptRequest(leaf_index=leaf_index)
