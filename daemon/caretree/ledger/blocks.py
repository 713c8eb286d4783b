"""Blocks: batches ordered together (proto block.proto has the layout of what is hashed).

    block header  u8 version, u8 suite, u64 height, 32 bytes parent block hash, u64 time in ms,
                  u64 membership epoch, u32 ledger version, u64 leader peer id, u32 batches
    block hash    = SHA-256(lp("caretree/v1/block", header,
                               for each batch: batch header, lp(leaves...), signature))

A batch's bytes pass through a block untouched (INV-13). A block is stored without openings; body
and payload are rows of their own, put back when the block is handed on.
"""

import hashlib
import struct
from collections.abc import Sequence
from itertools import islice
from typing import Final

from caretree.crypto.commitments import ZERO_SALT, leaf_commitment
from caretree.crypto.framing import LABEL_BLOCK, length_prefixed
from caretree.crypto.suite import DIGEST_BYTES, FORMAT_VERSION, SUITE_1
from caretree.ledger.batches import (
    BATCH_BASE_BYTES,
    assemble_batch,
    frame_leaves,
    parse_batch,
)
from caretree.ledger.genesis import FIRST_MEMBERSHIP_EPOCH, Genesis
from caretree.ledger.leaves import encode_entry_leaf
from caretree.ledger.values import (
    NO_PEER,
    Batch,
    Block,
    BlockHeader,
    BlockRef,
    Opening,
)
from caretree.ledger.wire import check_at_most, check_format, check_length, parse_strict
from caretree.model.errors import MalformedError
from caretree.model.ids import Digest, Height, PeerId, TimeMs
from caretree.model.limits import BLOCK_BYTES_MAX, BLOCK_ENTRIES_MAX
from caretree.proto.ledger.v1 import block_pb2

_HEADER: Final = struct.Struct(">BBQ32sQQIQI")
_REF: Final = struct.Struct(">Q32s")

NO_PARENT: Final = Digest(bytes(DIGEST_BYTES))
BLOCK_HEADER_BYTES: Final = _HEADER.size
BLOCK_REF_BYTES: Final = _REF.size
# What is left for batches, each counted as its entries' `entry_bytes_max` and BATCH_BASE_BYTES.
BATCHES_BYTES_MAX: Final = BLOCK_BYTES_MAX - BLOCK_HEADER_BYTES - 2
ENTRIES_BYTES_MAX: Final = BATCHES_BYTES_MAX - BATCH_BASE_BYTES


def encode_block_ref(ref: BlockRef) -> bytes:
    """The 40 bytes by which a Raft log row names a block."""
    return _REF.pack(ref.height, ref.hash)


def parse_block_ref(encoded: bytes) -> BlockRef:
    """The inverse of `encode_block_ref`.

    Raises:
        MalformedError: another length.
    """
    check_length(encoded, BLOCK_REF_BYTES, field="block reference")
    height, digest = _REF.unpack(encoded)
    return BlockRef(height=Height(height), hash=Digest(digest))


def encode_block_header(header: BlockHeader) -> bytes:
    """The header's bytes, which the block hash covers."""
    return _HEADER.pack(
        FORMAT_VERSION,
        SUITE_1,
        header.height,
        header.parent,
        header.time_ms,
        header.membership_epoch,
        header.ledger_version,
        header.leader,
        header.batch_count,
    )


def parse_block_header(encoded: bytes) -> BlockHeader:
    """The inverse of `encode_block_header`.

    Raises:
        MalformedError: another length, version or suite.
    """
    check_length(encoded, BLOCK_HEADER_BYTES, field="block.header")
    version, suite, height, parent, time_ms, epoch, ledger_version, leader, count = _HEADER.unpack(
        encoded
    )
    check_format(version, suite, field="block.header")
    return BlockHeader(
        height=Height(height),
        parent=Digest(parent),
        time_ms=TimeMs(time_ms),
        membership_epoch=epoch,
        ledger_version=ledger_version,
        leader=PeerId(leader),
        batch_count=count,
    )


def build_block(
    *,
    height: Height,
    parent: Digest,
    time_ms: TimeMs,
    membership_epoch: int,
    ledger_version: int,
    leader: PeerId,
    batches: Sequence[Batch],
) -> Block:
    """The block of these batches, in this order, as their authors made them.

    Raises:
        MalformedError: they are more than BLOCK_ENTRIES_MAX entries or BLOCK_BYTES_MAX bytes.
    """
    header = BlockHeader(
        height=height,
        parent=parent,
        time_ms=time_ms,
        membership_epoch=membership_epoch,
        ledger_version=ledger_version,
        leader=leader,
        batch_count=len(batches),
    )
    block = _assemble(header, encode_block_header(header), tuple(batches))
    _check_size(block)
    return block


def parse_block(encoded: bytes) -> Block:
    """The block of these bytes, its hash computed from them. Nothing is verified yet.

    Raises:
        MalformedError: naming the field.
    """
    check_at_most(len(encoded), BLOCK_BYTES_MAX, field="block", unit="bytes")
    message = parse_strict(block_pb2.Block, encoded, field="block")
    header = parse_block_header(message.header)
    if len(message.batches) != header.batch_count:
        raise MalformedError(
            "block.batches", f"expected {header.batch_count}, found {len(message.batches)}"
        )
    check_at_most(header.batch_count, BLOCK_ENTRIES_MAX, field="block.batches", unit="batches")
    batches = tuple(parse_batch(batch) for batch in message.batches)
    if header.height and any(batch.author == NO_PEER for batch in batches):
        raise MalformedError("batch.header", "expected an author in every block but block 0")
    block = Block(
        header=header,
        header_bytes=message.header,
        batches=batches,
        hash=block_hash(message.header, batches),
        encoded=encoded,
    )
    _check_size(block)
    return block


def block_hash(header: bytes, batches: Sequence[Batch]) -> Digest:
    """The hash over header, batch headers, leaves and signatures; bodies are not in it."""
    parts = [LABEL_BLOCK, header]
    for batch in batches:
        parts += (batch.header, frame_leaves(batch.leaves), batch.signature)
    return Digest(hashlib.sha256(length_prefixed(*parts)).digest())


def block_ref(block: Block) -> BlockRef:
    """How a Raft log row names this block."""
    return BlockRef(height=block.header.height, hash=block.hash)


def strip_openings(block: Block) -> bytes:
    """The block's bytes as they are stored: without openings, under the same hash."""
    return _replace_openings(block, ()).encoded


def with_openings(block: Block, openings: Sequence[Opening]) -> Block:
    """The stored block with an opening for each of its entries, as it is carried; the same hash.

    Requires as many openings as the block has entries, in their order.
    """
    assert len(openings) == block.entry_count
    return _replace_openings(block, openings)


def genesis_block(genesis: Genesis) -> Block:
    """Block 0, which every peer derives from the genesis (ARCHITECTURE section 4).

    Its one entry is the genesis itself: no author, no signature, and a salt of zeros, for it hides
    nothing.
    """
    commitment = leaf_commitment(
        origin=genesis.origin, author_peer=None, salt=ZERO_SALT, body=genesis.encoded
    )
    batch = assemble_batch(
        author=NO_PEER,
        leaves=(encode_entry_leaf(commitment),),
        signature=b"",
        openings=(Opening(salt=ZERO_SALT, body=genesis.encoded, payload=None),),
    )
    return build_block(
        height=Height(0),
        parent=NO_PARENT,
        time_ms=genesis.time_ms,
        membership_epoch=FIRST_MEMBERSHIP_EPOCH,
        ledger_version=genesis.ledger_version,
        leader=NO_PEER,
        batches=(batch,),
    )


def _replace_openings(block: Block, openings: Sequence[Opening]) -> Block:
    following = iter(openings)
    batches = tuple(
        assemble_batch(
            author=batch.author,
            leaves=batch.leaves,
            signature=batch.signature,
            openings=tuple(islice(following, len(batch.leaves))),
        )
        for batch in block.batches
    )
    replaced = _assemble(block.header, block.header_bytes, batches)
    assert replaced.hash == block.hash, "openings are not in the hash"
    return replaced


def _assemble(header: BlockHeader, header_bytes: bytes, batches: tuple[Batch, ...]) -> Block:
    encoded = block_pb2.Block(
        header=header_bytes, batches=[batch.encoded for batch in batches]
    ).SerializeToString()
    return Block(
        header=header,
        header_bytes=header_bytes,
        batches=batches,
        hash=block_hash(header_bytes, batches),
        encoded=encoded,
    )


def _check_size(block: Block) -> None:
    check_at_most(block.entry_count, BLOCK_ENTRIES_MAX, field="block", unit="entries")
    check_at_most(len(block.encoded), BLOCK_BYTES_MAX, field="block", unit="bytes")
