"""Fields in one exact form, for what is kept in a locked box.

    for each field: tag u8 || u32 big-endian length || value

Tags stand in rising order, each at most once; an unknown tag is refused, a missing one is the
reader's affair.
"""

from collections.abc import Collection, Mapping
from typing import Final

from caretree.crypto.framing import u32
from caretree.model.errors import MalformedError

_PREFIX_BYTES: Final = 5


def encode_fields(values: Mapping[int, bytes]) -> bytes:
    """The fields of `values`, tag by tag in rising order."""
    return b"".join([bytes((tag,)) + u32(len(values[tag])) + values[tag] for tag in sorted(values)])


def decode_fields(encoded: bytes, *, known: Collection[int], name: str) -> dict[int, bytes]:
    """The values by tag; only what `encode_fields` writes is taken.

    Raises:
        MalformedError: naming `name`; a field is cut, unknown, repeated or out of order.
    """
    values: dict[int, bytes] = {}
    previous, offset = -1, 0
    while offset < len(encoded):
        tag, value, offset = _next_field(encoded, offset, name=name)
        if tag not in known:
            raise MalformedError(name, f"has field {tag}, which this Caretree does not know")
        if tag <= previous:
            raise MalformedError(name, "expected every field once and in order")
        values[tag] = value
        previous = tag
    return values


def _next_field(encoded: bytes, offset: int, *, name: str) -> tuple[int, bytes, int]:
    start = offset + _PREFIX_BYTES
    end = start + int.from_bytes(encoded[offset + 1 : start], "big")
    if start > len(encoded) or end > len(encoded):
        raise MalformedError(name, "expected a whole field, found it cut")
    return encoded[offset], encoded[start:end], end
