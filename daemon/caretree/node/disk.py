"""The one thread that writes: store, watermark, and what is computed on the way to them.

Everything that this peer shows to others rests on what this thread wrote before. The first storage
error raised here ends the process (ARCHITECTURE section 8).
"""

import asyncio
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from typing import ParamSpec, TypeVar

from caretree.model.ids import TreeSize
from caretree.raft.messages import NO_PEER, HardState
from caretree.storage.ports import KeyValue
from caretree.storage.watermark import Watermark, WatermarkFile

P = ParamSpec("P")
T = TypeVar("T")


class Disk:
    """Store and watermark behind one writer thread."""

    def __init__(self, store: KeyValue, watermark: WatermarkFile) -> None:
        self.store = store
        self.watermark = watermark
        self._thread = ThreadPoolExecutor(max_workers=1, thread_name_prefix="caretree-disk")

    async def run(self, work: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
        """Do `work` on the writer thread. Once handed over it is done, whatever becomes of the caller."""
        future = self._thread.submit(work, *args, **kwargs)
        return await asyncio.shield(asyncio.wrap_future(future))

    def close(self) -> None:
        """Finish what was handed over, and release the files."""
        self._thread.shutdown(wait=True)
        self.watermark.close()
        self.store.close()


def watermark_of_log(
    mark: Watermark, state: HardState, last_row: tuple[int, int, bytes]
) -> Watermark:
    """The watermark once the log ends in `last_row` (term, log index, hash) under `state`."""
    term, index, digest = last_row
    return replace(
        mark,
        last_index=index,
        last_term=term,
        last_hash=digest,
        term=state.term,
        vote=state.vote if state.vote != NO_PEER else None,
    )


def watermark_of_signature(mark: Watermark, size: TreeSize, root: bytes) -> Watermark:
    """The watermark before a signature over (size, root) leaves."""
    return replace(mark, signed_size=size, signed_root=root)
