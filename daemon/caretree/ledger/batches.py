"""Batches: entries of one author peer, signed once and carried as they are (proto block.proto).

    batch header    u8 version, u8 suite, u64 author peer id, u32 number of entries
    batch signature by the author peer's batch key over
                    lp("caretree/v1/batch", origin, u64 author peer id, lp(leaves...))

The signature covers leaves, not openings: an erasure breaks no signature.
"""

import struct
from collections.abc import Callable, Sequence
from typing import Final

from caretree.crypto.commitments import SALT_BYTES
from caretree.crypto.ed25519 import SIGNATURE_BYTES
from caretree.crypto.framing import LABEL_BATCH, length_prefixed, u32
from caretree.crypto.suite import FORMAT_VERSION, SUITE_1
from caretree.ledger.genesis import GENESIS_BYTES_MAX
from caretree.ledger.leaves import ENTRY_LEAF_BYTES
from caretree.ledger.payloads import PAYLOAD_BYTES_MAX
from caretree.ledger.values import NO_PEER, Batch, Opening
from caretree.ledger.wire import (
    check_at_most,
    check_format,
    check_length,
    check_range,
    parse_strict,
)
from caretree.model.errors import MalformedError
from caretree.model.ids import Origin, PeerId, peer_id_bytes
from caretree.model.limits import BLOCK_BYTES_MAX, BLOCK_ENTRIES_MAX, BODY_BYTES_MAX
from caretree.proto.ledger.v1 import block_pb2

_HEADER: Final = struct.Struct(">BBQI")
_LEAF_LENGTH: Final = u32(ENTRY_LEAF_BYTES)
_FIELD_BYTES_MAX: Final = 5  # a tag byte and a length below 2^28

BATCH_HEADER_BYTES: Final = _HEADER.size
# What a batch costs in a block beside its entries: three fields, the batch's own included.
BATCH_BASE_BYTES: Final = BATCH_HEADER_BYTES + SIGNATURE_BYTES + 3 * _FIELD_BYTES_MAX


def build_batch(
    *,
    origin: Origin,
    author: PeerId,
    drafts: Sequence[tuple[bytes, Opening]],
    sign: Callable[[bytes], bytes],
) -> Batch:
    """The batch of these leaves and their openings, signed by the author peer's batch key."""
    assert author != NO_PEER
    leaves = tuple(leaf for leaf, _ in drafts)
    signature = sign(batch_message(origin=origin, author=author, leaves=leaves))
    assert len(signature) == SIGNATURE_BYTES
    return assemble_batch(
        author=author,
        leaves=leaves,
        signature=signature,
        openings=tuple(opening for _, opening in drafts),
    )


def batch_message(*, origin: Origin, author: PeerId, leaves: Sequence[bytes]) -> bytes:
    """What the author peer signs."""
    return length_prefixed(
        LABEL_BATCH, origin.encode(), peer_id_bytes(author), frame_leaves(leaves)
    )


def frame_leaves(leaves: Sequence[bytes]) -> bytes:
    """lp(leaves...), for entry leaves, which all have one length; at least one."""
    return _LEAF_LENGTH + _LEAF_LENGTH.join(leaves)


def assemble_batch(
    *,
    author: PeerId,
    leaves: tuple[bytes, ...],
    signature: bytes,
    openings: tuple[Opening, ...],
) -> Batch:
    """A batch from its parts; with no openings at all it is a batch as stored."""
    assert 1 <= len(leaves) <= BLOCK_ENTRIES_MAX
    assert all(len(leaf) == ENTRY_LEAF_BYTES for leaf in leaves)
    assert len(openings) in {0, len(leaves)}
    header = _HEADER.pack(FORMAT_VERSION, SUITE_1, author, len(leaves))
    encoded = block_pb2.Batch(
        header=header,
        leaves=leaves,
        signature=signature,
        openings=[_encode_opening(opening) for opening in openings],
    ).SerializeToString()
    return Batch(
        header=header,
        author=author,
        leaves=leaves,
        signature=signature,
        openings=openings,
        encoded=encoded,
    )


def parse_batch(encoded: bytes) -> Batch:
    """The batch of these bytes, with all its openings or with none. Nothing is verified yet.

    Raises:
        MalformedError: naming the field.
    """
    check_at_most(len(encoded), BLOCK_BYTES_MAX, field="batch", unit="bytes")
    message = parse_strict(block_pb2.Batch, encoded, field="batch")
    check_length(message.header, BATCH_HEADER_BYTES, field="batch.header")
    version, suite, author, count = _HEADER.unpack(message.header)
    check_format(version, suite, field="batch.header")
    check_range(count, least=1, most=BLOCK_ENTRIES_MAX, field="batch.header entries")
    leaves = tuple(message.leaves)
    _check_leaves(leaves, count=count)
    # Block 0 is nobody's: its one batch alone has no author and no signature.
    signature_bytes = 0 if author == NO_PEER else SIGNATURE_BYTES
    check_length(message.signature, signature_bytes, field="batch.signature")
    if len(message.openings) not in {0, count}:
        raise MalformedError("batch.openings", f"expected none or {count}")
    body_bytes_max = GENESIS_BYTES_MAX if author == NO_PEER else BODY_BYTES_MAX
    return Batch(
        header=message.header,
        author=PeerId(author),
        leaves=leaves,
        signature=message.signature,
        openings=tuple(
            _parse_opening(opening, body_bytes_max=body_bytes_max) for opening in message.openings
        ),
        encoded=encoded,
    )


def entry_bytes_max(opening: Opening) -> int:
    """The most that an entry with this opening adds to a block's bytes."""
    content = len(opening.body or b"") + len(opening.payload or b"")
    # Leaf, opening, salt, body, payload: five fields; two flags of two bytes.
    return ENTRY_LEAF_BYTES + SALT_BYTES + content + 5 * _FIELD_BYTES_MAX + 4


def _check_leaves(leaves: Sequence[bytes], *, count: int) -> None:
    if len(leaves) != count:
        raise MalformedError("batch.leaves", f"expected {count}, found {len(leaves)}")
    if set(map(len, leaves)) != {ENTRY_LEAF_BYTES}:
        raise MalformedError("batch.leaves", f"expected {ENTRY_LEAF_BYTES} bytes each")


def _encode_opening(opening: Opening) -> block_pb2.Opening:
    return block_pb2.Opening(
        salt=opening.salt,
        body=opening.body or b"",
        payload=opening.payload or b"",
        body_hole=opening.body is None,
        payload_hole=opening.payload_erased,
    )


def _parse_opening(message: block_pb2.Opening, *, body_bytes_max: int) -> Opening:
    salt, body, payload = message.salt, message.body, message.payload
    if (
        len(salt) == SALT_BYTES
        and len(body) <= body_bytes_max
        and len(payload) <= PAYLOAD_BYTES_MAX
        and not message.body_hole
        and not message.payload_hole
    ):
        return Opening(salt=salt, body=body, payload=payload or None)
    if len(payload) > PAYLOAD_BYTES_MAX or (payload and message.payload_hole):
        raise MalformedError("opening.payload", f"expected a hole, or {PAYLOAD_BYTES_MAX} at most")
    if message.body_hole:
        if salt or body or payload:
            raise MalformedError("opening.body_hole", "expected neither salt, body nor payload")
        return Opening(salt=b"", body=None, payload=None, payload_erased=message.payload_hole)
    check_length(salt, SALT_BYTES, field="opening.salt")
    check_at_most(len(body), body_bytes_max, field="opening.body", unit="bytes")
    return Opening(salt=salt, body=body, payload=None, payload_erased=message.payload_hole)
