"""Many requests of a stream worked on at once, answered in the order of their arrival."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import TypeVar

from caretree.model.reasons import CallError

RequestT = TypeVar("RequestT")
ResponseT = TypeVar("ResponseT")


async def answer_in_order(
    requests: AsyncIterator[RequestT],
    answer: Callable[[RequestT], Awaitable[ResponseT]],
    send: Callable[[ResponseT], Awaitable[None]],
    *,
    at_once: int,
) -> None:
    """Send the answers, in the order of the requests.

    At most `at_once` requests are worked on or wait for their turn to be answered; no further one
    is read meanwhile, so that flow control stops the sender. A request that fails ends the stream,
    after the answers to all before it.

    Raises:
        CallError: of the first request that fails, or of reading.
    """
    slots = asyncio.Semaphore(at_once)
    under_way: asyncio.Queue[asyncio.Task[ResponseT | CallError] | CallError | None]
    under_way = asyncio.Queue()
    failure: CallError | None = None
    async with asyncio.TaskGroup() as group:

        async def read() -> None:
            # Read only when there is room, so that a slot is what bounds the memory held here.
            await slots.acquire()
            try:
                async for request in requests:
                    under_way.put_nowait(group.create_task(_outcome(answer, request)))
                    await slots.acquire()
            except CallError as error:
                under_way.put_nowait(error)
            else:
                under_way.put_nowait(None)

        reader = group.create_task(read())
        while (turn := await under_way.get()) is not None:
            outcome = await turn if isinstance(turn, asyncio.Task) else turn
            if isinstance(outcome, CallError):
                failure = outcome
                break
            await send(outcome)
            slots.release()
        reader.cancel()
        while not under_way.empty():
            left = under_way.get_nowait()
            if isinstance(left, asyncio.Task):
                left.cancel()
    if failure is not None:
        raise failure


async def _outcome(
    answer: Callable[[RequestT], Awaitable[ResponseT]], request: RequestT
) -> ResponseT | CallError:
    try:
        return await answer(request)
    except CallError as error:
        return error
