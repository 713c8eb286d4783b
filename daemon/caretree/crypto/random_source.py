"""Where random bytes come from, as an argument: in a daemon it is custody.SystemRandom."""

from typing import Protocol


class RandomSource(Protocol):
    """A source of bytes that nobody can guess."""

    def random_bytes(self, length: int) -> bytes:
        """`length` fresh random bytes."""
        ...
