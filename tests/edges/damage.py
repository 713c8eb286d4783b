"""Damage to files: one flipped bit, a cut, and the way back."""

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

BLOCK_BYTES: Final = 32 * 1024
HEADER_BYTES: Final = 7


def flipped(content: bytes, at: int) -> bytes:
    """The content with one bit of the byte at `at` changed; which bit depends on the place."""
    return content[:at] + bytes((content[at] ^ 1 << at % 8,)) + content[at + 1 :]


def places(length: int, *, count: int = 200) -> list[int]:
    """At most `count` places, spread over a file of this length, the first and last among them."""
    assert length > 0
    taken = min(count, length)
    return sorted({place * (length - 1) // max(taken - 1, 1) for place in range(taken)})


def flip(path: Path, *at: int) -> None:
    """Change one bit at each of these places; a negative one counts from the end."""
    content = path.read_bytes()
    for place in at:
        content = flipped(content, place % len(content))
    path.write_bytes(content)


def cut(path: Path, *, share: float) -> None:
    """Cut off the file's end, so that this share of it is left."""
    content = path.read_bytes()
    path.write_bytes(content[: int(len(content) * share)])


@contextmanager
def put_right(*paths: Path) -> Iterator[None]:
    """When the block ends, the files hold what they held before it, to the bit."""
    kept = {path: path.read_bytes() for path in paths}
    try:
        yield
    finally:
        for path, content in kept.items():
            path.write_bytes(content)


@contextmanager
def put_right_whole(folder: Path) -> Iterator[None]:
    """When the block ends, the folder is what it was before it.

    LevelDB writes while it opens, so a damage to one of its files may lead to changes of others.
    """
    kept = folder.with_name(f"{folder.name}.kept")
    shutil.copytree(folder, kept)
    try:
        yield
    finally:
        shutil.rmtree(folder)
        kept.rename(folder)


def inside_a_record(log: Path) -> int:
    """The middle of what a record near the middle of LevelDB's log holds: no byte of a header.

    A log is blocks of 32 KiB; a piece of a record is checksum (4), length (2, little-endian), kind,
    content, and what is left of a block that no header fits into is zeros.
    """
    content, at, length = log.read_bytes(), 0, 0
    while at + length < len(content) // 2:
        at += length
        if BLOCK_BYTES - at % BLOCK_BYTES < HEADER_BYTES:
            at += BLOCK_BYTES - at % BLOCK_BYTES
        length = HEADER_BYTES + int.from_bytes(content[at + 4 : at + 6], "little")
    return at + HEADER_BYTES + (length - HEADER_BYTES) // 2


def largest(folder: Path, pattern: str) -> Path:
    """The largest of the files that the pattern names."""
    found = sorted(folder.glob(pattern), key=lambda path: path.stat().st_size)
    assert found, f"no {pattern} in {folder}"
    return found[-1]
