"""The pieces that the C2SP texts share: decimals and base64, each in its one canonical spelling."""

import binascii
import re
from collections.abc import Sequence
from typing import cast

from caretree.merkle.hashing import HASH_BYTES
from caretree.model.errors import MalformedError
from caretree.model.ids import Digest

_DECIMAL = re.compile(r"0|[1-9][0-9]{0,18}")  # 19 digits hold any signed 64-bit integer


def parse_decimal(text: str, *, field: str, maximum: int) -> int:
    """The number written in plain decimal digits without leading zeros.

    Raises:
        MalformedError: another spelling, or above `maximum`; names `field`.
    """
    number = int(text) if _DECIMAL.fullmatch(text) is not None else None
    if number is None or number > maximum:
        raise MalformedError(field, f"expected a decimal without leading zeros up to {maximum}")
    return number


def encode_base64(content: bytes) -> str:
    """Standard padded base64 (RFC 4648 section 4) on one line."""
    return binascii.b2a_base64(content, newline=False).decode("ascii")


def decode_base64(text: str | bytes, *, field: str) -> bytes:
    """The bytes behind standard padded base64, which is given as text or in ASCII.

    The encoding is compared back, because decoders pass over stray bits in the last character, and
    two spellings of one signature would be two notes.

    Raises:
        MalformedError: not base64, or not in its canonical spelling; names `field`.
    """
    try:
        content = binascii.a2b_base64(text)
    except ValueError as error:  # binascii.Error is one; so is non-ASCII text
        raise MalformedError(field, "expected base64") from error
    canonical = binascii.b2a_base64(content, newline=False)
    if (canonical if isinstance(text, bytes) else canonical.decode("ascii")) != text:
        raise MalformedError(field, "expected canonical standard base64 with padding")
    return content


def encode_hash_lines(hashes: Sequence[bytes]) -> bytes:
    """Each hash in base64 on a line of its own, newlines included."""
    return b"".join([binascii.b2a_base64(value) for value in hashes])


def decode_hash_lines(lines: list[bytes], *, field: str) -> tuple[Digest, ...]:
    """The hashes behind base64 lines, which come without newlines; as `decode_hash`, for many.

    A proof has twenty, so they are decoded and compared back together: a third of the time.

    Raises:
        MalformedError: one is not canonical base64 of 32 bytes; names `field`.
    """
    try:
        hashes = [binascii.a2b_base64(line) for line in lines]
    except ValueError as error:
        raise MalformedError(field, "expected base64") from error
    if [binascii.b2a_base64(value, newline=False) for value in hashes] != lines:
        raise MalformedError(field, "expected canonical standard base64 with padding")
    if not set(map(len, hashes)) <= {HASH_BYTES}:
        raise MalformedError(field, f"expected {HASH_BYTES} bytes in each line")
    return cast("tuple[Digest, ...]", tuple(hashes))


def decode_hash(text: str, *, field: str) -> Digest:
    """The 32-byte hash behind a base64 line.

    Raises:
        MalformedError: not canonical base64 of 32 bytes; names `field`.
    """
    content = decode_base64(text, field=field)
    if len(content) != HASH_BYTES:
        raise MalformedError(field, f"expected {HASH_BYTES} bytes, found {len(content)}")
    return Digest(content)
