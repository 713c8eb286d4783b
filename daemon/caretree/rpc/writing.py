"""The answers of a stream, each written once its reader has room for it."""

import asyncio
from typing import Any, Final

import grpc

# A reader that takes nothing for so long is given up; it keeps what it was sent.
WRITE_S_MAX: Final = 30.0


async def write_in_time(context: grpc.aio.ServicerContext[Any, Any], message: object) -> None:
    """Return once the message is on its way, or waits in the little room that a stream has.

    Raises:
        CancelledError: the call is over, or the reader took nothing for WRITE_S_MAX. A status would
            have to wait behind what it does not take, so the call just ends.
    """
    try:
        async with asyncio.timeout(WRITE_S_MAX):
            await context.write(message)
    except (TimeoutError, grpc.aio.InternalError):
        raise asyncio.CancelledError from None
