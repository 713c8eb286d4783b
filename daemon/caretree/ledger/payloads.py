"""Payloads: a record's sealed content and its wrapped key, side by side (proto block.proto)."""

from dataclasses import dataclass, field
from typing import Final

from caretree.crypto.aead import ENVELOPE_EXTRA_BYTES
from caretree.crypto.sealing import PAYLOAD_BYTES_MAX as SEALED_CONTENT_BYTES_MAX
from caretree.crypto.sealing import WRAPPED_KEY_BYTES
from caretree.ledger.wire import check_length, check_range, parse_strict
from caretree.proto.ledger.v1 import block_pb2

# Two fields, each behind a tag byte and a length of at most four bytes.
PAYLOAD_BYTES_MAX: Final = SEALED_CONTENT_BYTES_MAX + WRAPPED_KEY_BYTES + 2 * 5


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
