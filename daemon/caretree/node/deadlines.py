"""Waiting no longer than a call may."""

import asyncio
from collections.abc import Awaitable
from typing import TypeVar

from caretree.model.reasons import CallError, Reason

T = TypeVar("T")


async def until(deadline: float, waited: Awaitable[T], *, late: Reason) -> T:
    """What `waited` gives, by `deadline` (the loop's time); what it waits for goes on regardless.

    Raises:
        CallError: `late`: the deadline passed.
    """
    remaining = deadline - asyncio.get_running_loop().time()
    try:
        return await asyncio.wait_for(asyncio.shield(_ensure(waited)), max(remaining, 0))
    except TimeoutError:
        raise CallError(late, retry_after_ms=500) from None


def _ensure(waited: Awaitable[T]) -> "asyncio.Future[T]":
    return asyncio.ensure_future(waited)
