"""Payloads: a record's sealed content and its wrapped key, side by side (proto block.proto)."""

from dataclasses import dataclass, field
from functools import lru_cache
from typing import Final

from caretree.crypto.aead import ENVELOPE_EXTRA_BYTES
from caretree.crypto.sealing import PAYLOAD_BYTES_MAX as SEALED_CONTENT_BYTES_MAX
from caretree.crypto.sealing import WRAPPED_KEY_BYTES
from caretree.ledger.wire import check_length, check_range, parse_strict
from caretree.proto.ledger.v1 import block_pb2

# Two fields, each behind a tag byte and a length of at most four bytes.
PAYLOAD_BYTES_MAX: Final = SEALED_CONTENT_BYTES_MAX + WRAPPED_KEY_BYTES + 2 * 5

# The second field's tag and length stand before the wrapped key, which ends the payload.
_TAIL: Final = bytes((block_pb2.Payload.WRAPPED_KEY_FIELD_NUMBER << 3 | 2, WRAPPED_KEY_BYTES))
_TAIL_BYTES: Final = len(_TAIL) + WRAPPED_KEY_BYTES


@dataclass(frozen=True, slots=True, kw_only=True)
class Payload:
    """What opens to a record's content, for who holds the keyring's key."""

    sealed_content: bytes = field(repr=False)
    wrapped_key: bytes = field(repr=False)


def encode_payload(*, sealed_content: bytes, wrapped_key: bytes) -> bytes:
    """The payload's bytes, as they are carried and stored."""
    return block_pb2.Payload(
        sealed_content=sealed_content, wrapped_key=wrapped_key
    ).SerializeToString()


def sealed_content_of(encoded: bytes) -> bytes:
    """The sealed content of a payload that is as `parse_payload` demands.

    Voters ask this of every record. Two fields in order have one strict spelling, so bytes that
    begin and end as it does need no parser; all others go through it.

    Raises:
        MalformedError: naming the field.
    """
    head = _head(len(encoded))
    if head and encoded.startswith(head) and encoded[-_TAIL_BYTES:-WRAPPED_KEY_BYTES] == _TAIL:
        return encoded[len(head) : -_TAIL_BYTES]
    return parse_payload(encoded).sealed_content


@lru_cache(maxsize=256)  # padded content has few lengths
def _head(length: int) -> bytes:
    """How a payload of this length begins when its fields are in order; nothing if none has it."""
    for width in range(1, 5):
        content = length - 1 - width - _TAIL_BYTES
        if ENVELOPE_EXTRA_BYTES <= content <= SEALED_CONTENT_BYTES_MAX:
            payload = encode_payload(
                sealed_content=bytes(content), wrapped_key=bytes(WRAPPED_KEY_BYTES)
            )
            if len(payload) == length:
                return payload[: 1 + width]
    return b""


def parse_payload(encoded: bytes) -> Payload:
    """The payload of these bytes; whether they open is not known here.

    Raises:
        MalformedError: naming the field.
    """
    message = parse_strict(block_pb2.Payload, encoded, field="payload")
    check_range(
        len(message.sealed_content),
        least=ENVELOPE_EXTRA_BYTES,
        most=SEALED_CONTENT_BYTES_MAX,
        field="length of payload.sealed_content",
    )
    check_length(message.wrapped_key, WRAPPED_KEY_BYTES, field="payload.wrapped_key")
    return Payload(sealed_content=message.sealed_content, wrapped_key=message.wrapped_key)
