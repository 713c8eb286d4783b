"""Bytes changed at random from a seed, by what no format knows of."""

from collections.abc import Callable, Sequence
from random import Random
from typing import Final

from tests.fuzz.target import CANARY, INPUT_BYTES_MAX

_EDGES: Final = (0, 1, 2, 127, 128, 255, 256, 32_767, 65_535, 65_536, 2**31 - 1, 2**31, 2**32 - 1)
_WIDE_EDGES: Final = (*_EDGES, 2**53, 2**63 - 1, 2**63, 2**64 - 1)
NUMBERS: Final = (*_WIDE_EDGES, 2**64, 10**18, 10**19)
_BYTES: Final = (0x00, 0x01, 0x0A, 0x0D, 0x20, 0x22, 0x2F, 0x3D, 0x5C, 0x7F, 0x80, 0xC0, 0xFF)
_REPEATS_MAX: Final = 4096

Change = Callable[[Random, bytes], bytes]


def change_bytes(random: Random, data: bytes) -> bytes:
    """The bytes with one change."""
    return random.choice(_CHANGES)(random, data)[:INPUT_BYTES_MAX]


def insert_word(random: Random, data: bytes, words: Sequence[bytes]) -> bytes:
    """The bytes with one of the words put in, or in the place of as many others."""
    word = random.choice(words)
    at = random.randint(0, len(data))
    end = at if random.random() < 0.5 else at + len(word)
    return data[:at] + word + data[end:]


def splice(random: Random, data: bytes, other: bytes) -> bytes:
    """The beginning of one and the end of the other, or a piece of the other put in."""
    at, start, end = _place(random, data), *_range(random, other)
    if random.random() < 0.5:
        return data[:at] + other[start:]
    return data[:at] + other[start:end] + data[at:]


def _flip_bit(random: Random, data: bytes) -> bytes:
    if not data:
        return b"\x01"
    at = _place(random, data)
    return data[:at] + bytes((data[at] ^ 1 << random.randrange(8),)) + data[at + 1 :]


def _set_byte(random: Random, data: bytes) -> bytes:
    at = _place(random, data)
    value = random.choice(_BYTES) if random.random() < 0.5 else random.randrange(256)
    return data[:at] + bytes((value,)) + data[at + 1 :]


def _set_number(random: Random, data: bytes) -> bytes:
    width = random.choice((2, 4, 8))
    number = random.choice(_WIDE_EDGES) & ((1 << 8 * width) - 1)
    encoded = number.to_bytes(width, "big" if random.random() < 0.7 else "little")
    at = _place(random, data)
    return data[:at] + encoded + data[at + width :]


def _insert_random(random: Random, data: bytes) -> bytes:
    at = random.randint(0, len(data))
    return data[:at] + random.randbytes(random.randint(1, 16)) + data[at:]


def _delete(random: Random, data: bytes) -> bytes:
    start, end = _range(random, data)
    return data[:start] + data[end:]


def _truncate(random: Random, data: bytes) -> bytes:
    return data[: _place(random, data)]


def _double(random: Random, data: bytes) -> bytes:
    start, end = _range(random, data)
    return data[:end] + data[start:]


def _repeat(random: Random, data: bytes) -> bytes:
    """A short piece many times over: what grows faster than its input shows here."""
    start = _place(random, data)
    piece = data[start : start + random.randint(1, 8)] or b"\x00"
    times = random.choice((2, 16, 256, _REPEATS_MAX))
    return data[:start] + piece * times + data[start:]


def _swap(random: Random, data: bytes) -> bytes:
    first, second = sorted((_place(random, data), _place(random, data)))
    width = random.randint(1, 8)
    one, two = data[first : first + width], data[second : second + width]
    return data[:first] + two + data[first + width : second] + one + data[second + width :]


def _put_canary(random: Random, data: bytes) -> bytes:
    return insert_word(random, data, (CANARY,))


def _place(random: Random, data: bytes) -> int:
    return random.randrange(len(data)) if data else 0


def _range(random: Random, data: bytes) -> tuple[int, int]:
    first, second = random.randint(0, len(data)), random.randint(0, len(data))
    return min(first, second), max(first, second)


_CHANGES: Final[tuple[Change, ...]] = (
    _flip_bit,
    _flip_bit,
    _set_byte,
    _set_number,
    _insert_random,
    _delete,
    _truncate,
    _double,
    _repeat,
    _swap,
    _put_canary,
)
