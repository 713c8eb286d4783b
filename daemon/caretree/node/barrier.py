"""A look as far as anything is committed: Raft's ReadIndex, with a bound on the wait."""

import asyncio
from collections.abc import Callable
from typing import Final

from caretree.model.reasons import CallError, Reason
from caretree.node.consensus import Consensus
from caretree.raft.errors import DroppedError

# Some heartbeats: an answer that did not come by then was lost.
ATTEMPT_S: Final = 0.5
GIVE_UP_S: Final = 1.5
RETRY_AFTER_MS: Final = 500
CONTEXT_BYTES: Final = 16


class Barrier:
    """Read barriers for one peer; every context is random, and so was never used before."""

    def __init__(self, consensus: Consensus, random_bytes: Callable[[int], bytes]) -> None:
        self._consensus = consensus
        self._random_bytes = random_bytes

    async def pass_by(self, deadline: float) -> None:
        """Return once all that was committed before this call is applied here.

        Raises:
            CallError: NO_QUORUM: nobody confirmed it in time.
        """
        loop = asyncio.get_running_loop()
        end = min(deadline, loop.time() + GIVE_UP_S)
        while loop.time() < end:
            attempt_end = min(end, loop.time() + ATTEMPT_S)
            try:
                async with asyncio.timeout_at(attempt_end):
                    await self._consensus.read_barrier(self._random_bytes(CONTEXT_BYTES))
            except TimeoutError:
                continue
            except DroppedError:
                await asyncio.sleep(max(min(0.1, attempt_end - loop.time()), 0))
                continue
            return
        raise CallError(Reason.NO_QUORUM, retry_after_ms=RETRY_AFTER_MS)
