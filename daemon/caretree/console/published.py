"""What the console asks of a peer, and how far a tile of it is published."""

from typing import Protocol

from caretree.merkle.tiles import EntryBundle, Tile, tile_width
from caretree.node.calls import CheckpointAnswer


class PublishedLog(Protocol):
    """A peer's log as others may fetch it. Calls answer from what is applied, without waiting.

    Any of them raises FatalError when the store failed: the process must then end.
    """

    def checkpoint(self) -> CheckpointAnswer:
        """The newest certified checkpoint.

        Raises:
            CallError: there is none yet, or the peer is starting.
        """
        ...

    def tile(self, level: int, index: int, width: int) -> bytes | None:
        """The tile's first `width` hashes, or None where it has not as many."""
        ...

    def entry_bundle(self, index: int, width: int) -> bytes | None:
        """The bundle's first `width` entries, each behind its length, or None."""
        ...


def read_published(log: PublishedLog, wanted: Tile | EntryBundle) -> bytes | None:
    """A tile or bundle as far as the newest certified checkpoint reaches; None beyond it.

    What is applied but not certified is not shown: a client could not check it.

    Raises:
        CallError: nothing is certified yet, or the peer is starting.
        FatalError: the store failed.
    """
    size = log.checkpoint().tree_size
    level = wanted.level if isinstance(wanted, Tile) else 0
    if wanted.width > tile_width(level=level, index=wanted.index, size=size):
        return None
    if isinstance(wanted, Tile):
        return log.tile(wanted.level, wanted.index, wanted.width)
    return log.entry_bundle(wanted.index, wanted.width)
