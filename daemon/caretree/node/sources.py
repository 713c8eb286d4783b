"""Blocks for other peers: out of the stage, or out of the store with their recorded outcomes."""

from caretree.ledger.rows import encode_outcomes
from caretree.ledger.stored_blocks import load_block, recorded_outcomes
from caretree.ledger.values import BlockRef
from caretree.node.applier import BlockMissingError
from caretree.node.disk import Disk
from caretree.node.stage import BlockStage
from caretree.proto.peer.v1 import peer_pb2


class StageAndStore:
    """A BlockSource (see `transport`)."""

    def __init__(self, stage: BlockStage, disk: Disk) -> None:
        self._stage = stage
        self._disk = disk

    async def block_bytes(self, ref: BlockRef) -> peer_pb2.BlockBytes:
        """The block as it travels.

        Raises:
            FatalError: it cannot be read, or is in the log and nowhere else.
        """
        held = self._stage.get(ref)
        if held is not None:
            return peer_pb2.BlockBytes(block=held.block.encoded)
        return await self._disk.run(self._load, ref)

    def _load(self, ref: BlockRef) -> peer_pb2.BlockBytes:
        block = load_block(self._disk.store, ref)
        if block is None:
            raise BlockMissingError(ref.height)
        outcomes = recorded_outcomes(self._disk.store, ref)
        return peer_pb2.BlockBytes(
            block=block.encoded, outcomes=b"" if outcomes is None else encode_outcomes(outcomes)
        )
