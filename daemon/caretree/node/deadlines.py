"""Waiting no longer than a call may."""

import asyncio
from typing import TypeVar

from caretree.model.reasons import CallError, Reason

T = TypeVar("T")


async def until(deadline: float, waited: "asyncio.Future[T]", *, late: Reason) -> T:
    """What `waited` gives, by `deadline` (the loop's time); what it waits for goes on regardless.

    Raises:
        CallError: `late`: the deadline passed.
    """
    if waited.done():
        return waited.result()
    try:
        async with asyncio.timeout_at(deadline):
            return await asyncio.shield(waited)
    except TimeoutError:
        raise CallError(late, retry_after_ms=500) from None
