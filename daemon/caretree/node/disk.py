"""The one thread that writes: store, watermark, and what is computed on the way to them.

Everything that this peer shows to others rests on what this thread wrote before. The first storage
error raised here ends the process (ARCHITECTURE section 8).
"""

import asyncio
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from functools import partial
from typing import ParamSpec, TypeVar

from caretree.model.ids import Digest, LogIndex, Term, TreeSize
from caretree.raft.messages import NO_PEER, HardState
from caretree.storage.directory import DataDirectory
from caretree.storage.ports import KeyValue
from caretree.storage.watermark import Watermark, WatermarkFile

P = ParamSpec("P")
T = TypeVar("T")

# The last log row: its term, its log index, its identifying hash.
LastRow = tuple[Term, LogIndex, bytes]


class Disk:
    """Store and watermark behind one writer thread."""

    def __init__(
        self, store: KeyValue, watermark: WatermarkFile, *, directory: DataDirectory
    ) -> None:
        self.store = store
        self.watermark = watermark
        self._directory = directory
        self._thread = ThreadPoolExecutor(max_workers=1, thread_name_prefix="caretree-disk")

    async def run(self, work: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
        """Do `work` on the writer thread; once handed over it is done, whoever waits for it."""
        loop = asyncio.get_running_loop()
        done: asyncio.Future[T] = loop.create_future()

        def do() -> None:
            try:
                settle = partial(done.set_result, work(*args, **kwargs))
            # Raised where the work was asked for, whatever it is: a panic of a library in Rust is
            # no Exception, and who waits for the disk would wait for ever.
            except BaseException as error:  # noqa: BLE001
                settle = partial(done.set_exception, error)
            loop.call_soon_threadsafe(_settle, done, settle)

        # A block waits here several times: this takes one turn of the loop where wrapping and
        # shielding the thread's own future takes three.
        self._thread.submit(do)
        return await done

    def close(self) -> None:
        """Finish what was handed over, and release the files."""
        self._thread.shutdown(wait=True)
        self.watermark.close()
        self.store.close()
        self._directory.close()


def _settle(done: "asyncio.Future[T]", settle: Callable[[], None]) -> None:
    if not done.done():  # who waited may be gone
        settle()


def watermark_of_row(mark: Watermark, last_row: LastRow) -> Watermark:
    """The watermark of a log that ends in `last_row`; term and vote as they are."""
    term, index, digest = last_row
    return replace(mark, last_index=index, last_term=term, last_hash=digest)


def watermark_of_log(mark: Watermark, state: HardState, last_row: LastRow) -> Watermark:
    """The watermark of a log that ends in `last_row`, under the term and vote of `state`."""
    vote = state.vote if state.vote != NO_PEER else None
    return replace(watermark_of_row(mark, last_row), term=state.term, vote=vote)


def watermark_of_signature(mark: Watermark, size: TreeSize, root: Digest) -> Watermark:
    """The watermark before a signature over (size, root) leaves."""
    return replace(mark, signed_size=size, signed_root=root)
