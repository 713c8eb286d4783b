"""Waiting in a test for what another task does."""

import asyncio
from collections.abc import Callable
from typing import Final

WAIT_S_MAX: Final = 20.0


async def until(condition: Callable[[], bool]) -> None:
    """Return when the condition holds.

    Raises:
        TimeoutError: it does not, for WAIT_S_MAX.
    """
    async with asyncio.timeout(WAIT_S_MAX):
        while not condition():  # noqa: ASYNC110 (what is waited for knows of no event)
            await asyncio.sleep(0.005)
