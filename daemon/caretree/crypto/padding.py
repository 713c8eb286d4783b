"""Padded content: how much was written is hidden within steps of at most 12 % (Padme).

A padded content is u32 big-endian content length || content || zeros, as long as Padme says for 4 +
content length.
"""

from typing import Final

from caretree.crypto.framing import u32
from caretree.model.errors import MalformedError
from caretree.model.limits import CONTENT_BYTES_MAX

LENGTH_BYTES: Final = 4


def padded_length(length: int) -> int:
    """The smallest Padme length of at least `length`.

    A length in [2^e, 2^(e+1)) keeps its e's bit length of leading bits below the first and the rest
    are rounded up, so an observer learns O(log log length) bits. The most is added at 9, which
    becomes 10.
    """
    if length < 2:
        return length
    exponent = length.bit_length() - 1
    free_bits = exponent - exponent.bit_length()
    mask = (1 << max(free_bits, 0)) - 1
    return (length + mask) & ~mask


def pad(content: bytes) -> bytes:
    """The content with its length before it and zeros after it.

    Raises:
        MalformedError: the content is longer than CONTENT_BYTES_MAX.
    """
    if len(content) > CONTENT_BYTES_MAX:
        raise MalformedError(
            "content", f"expected at most {CONTENT_BYTES_MAX} bytes, found {len(content)}"
        )
    framed = u32(len(content)) + content
    return framed.ljust(padded_length(len(framed)), b"\0")


def unpad(padded: bytes) -> bytes:
    """The content that `pad` was given; only what `pad` makes is taken.

    Raises:
        MalformedError: a length or a padding byte is another than `pad` would write.
    """
    if len(padded) < LENGTH_BYTES:
        raise MalformedError("padded content", f"expected at least {LENGTH_BYTES} bytes")
    length = int.from_bytes(padded[:LENGTH_BYTES], "big")
    end = LENGTH_BYTES + length
    if length > CONTENT_BYTES_MAX or len(padded) != padded_length(end):
        raise MalformedError("padded content", "expected the padded length of its content length")
    if any(padded[end:]):
        raise MalformedError("padded content", "expected zeros after the content")
    return padded[LENGTH_BYTES:end]
