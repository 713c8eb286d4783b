"""The pieces that the C2SP texts share: decimals and base64, each in its one canonical spelling."""

import binascii
import re

from caretree.merkle.hashing import HASH_BYTES
from caretree.model.errors import MalformedError
from caretree.model.ids import Digest

_DECIMAL = re.compile(r"0|[1-9][0-9]{0,18}")  # 19 digits hold any signed 64-bit integer


def parse_decimal(text: str, *, field: str, maximum: int) -> int:
    """The number written in plain decimal digits without leading zeros.

    Raises:
        MalformedError: another spelling, or above `maximum`; names `field`.
    """
    if _DECIMAL.fullmatch(text) is None or int(text) > maximum:
        raise MalformedError(field, f"expected a decimal without leading zeros up to {maximum}")
    return int(text)


def encode_base64(content: bytes) -> str:
    """Standard padded base64 (RFC 4648 section 4) on one line."""
    return binascii.b2a_base64(content, newline=False).decode("ascii")


def decode_base64(text: str, *, field: str) -> bytes:
    """The bytes behind standard padded base64.

    The encoding is compared back, because decoders pass over stray bits in the last character, and
    two spellings of one signature would be two notes.

    Raises:
        MalformedError: not base64, or not in its canonical spelling; names `field`.
    """
    try:
        content = binascii.a2b_base64(text)
    except ValueError as error:  # binascii.Error is one; so is non-ASCII text
        raise MalformedError(field, "expected base64") from error
    if encode_base64(content) != text:
        raise MalformedError(field, "expected canonical standard base64 with padding")
    return content


def decode_hash(text: str, *, field: str) -> Digest:
    """The 32-byte hash behind a base64 line.

    Raises:
        MalformedError: not canonical base64 of 32 bytes; names `field`.
    """
    content = decode_base64(text, field=field)
    if len(content) != HASH_BYTES:
        raise MalformedError(field, f"expected {HASH_BYTES} bytes, found {len(content)}")
    return Digest(content)
