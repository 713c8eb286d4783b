"""Values that must not be found anywhere, and a searcher that knows them in their disguises.

found = search({"daemon.log": content}, [Canary(what="resident number", value="9999...")])
"""

import base64
import json
import urllib.parse
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Final

TEXT_ENCODINGS: Final = ("utf-8", "gb18030", "utf-16-le", "utf-16-be")
# Shorter needles would be found by chance.
NEEDLE_BYTES_MIN: Final = 12

# LevelDB's log (doc/log_format.md of LevelDB): blocks of 32 KiB; before each fragment of a record
# stand checksum u32, length u16, type u8; what is left of a block is zeros.
_LOG_BLOCK_BYTES: Final = 32 * 1024
_LOG_HEADER_BYTES: Final = 7


@dataclass(frozen=True, slots=True, kw_only=True)
class Canary:
    """A secret value: bytes as they are, or a text in any encoding."""

    what: str
    value: bytes | str = field(repr=False)


def search(haystacks: Mapping[str, bytes], canaries: Iterable[Canary]) -> list[str]:
    """Which canary stands where, in which disguise; never the canary itself."""
    needles = [(canary.what, *needle) for canary in canaries for needle in disguises(canary)]
    return [
        f"{what} as {disguise} in {place}"
        for place, content in haystacks.items()
        for what, disguise, needle in needles
        if needle in content
    ]


def disguises(canary: Canary) -> Iterator[tuple[str, bytes]]:
    """Every spelling of a canary that is searched for, and its name."""
    value = canary.value
    if isinstance(value, bytes):
        yield from _spellings("", value)
        return
    for encoding in TEXT_ENCODINGS:
        yield from _spellings(f"{encoding} ", value.encode(encoding))
    yield "escaped in JSON", json.dumps(value)[1:-1].encode("ascii")
    yield "escaped in a URL", urllib.parse.quote(value).encode("ascii")


def joined_log(content: bytes) -> bytes:
    """The records of a LevelDB log without the headers that cut them into fragments."""
    parts: list[bytes] = []
    for start in range(0, len(content), _LOG_BLOCK_BYTES):
        block, at = content[start : start + _LOG_BLOCK_BYTES], 0
        while at + _LOG_HEADER_BYTES <= len(block):
            begin = at + _LOG_HEADER_BYTES
            at = begin + int.from_bytes(block[at + 4 : at + 6], "little")
            parts.append(block[begin:at])
    return b"".join(parts)


def _spellings(prefix: str, value: bytes) -> Iterator[tuple[str, bytes]]:
    assert len(value) >= NEEDLE_BYTES_MIN, "a canary this short is found by chance"
    yield f"{prefix}bytes", value
    yield f"{prefix}hex", value.hex().encode("ascii")
    yield f"{prefix}HEX", value.hex().upper().encode("ascii")
    yield f"{prefix}escaped bytes", repr(value)[2:-1].encode("ascii")
    for shift in range(3):
        for name, encode in (("", base64.b64encode), ("url-safe ", base64.urlsafe_b64encode)):
            yield f"{prefix}{name}base64 at {shift}", _within(encode(bytes(shift) + value), shift)


def _within(encoded: bytes, shift: int) -> bytes:
    """The characters of a base64 text that tell of the value alone, not of its neighbours."""
    length = len(encoded.rstrip(b"="))
    # The first `shift` bytes and the value's first bits share a character; so do its last ones.
    first = (0, 2, 3)[shift]
    bits_over = length * 6 % 8
    return encoded[first : length - 1 if bits_over else length]
