"""Many requests of a stream worked on at once, answered in the order of their arrival."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import TypeVar

from caretree.model.reasons import CallError

RequestT = TypeVar("RequestT")
ResponseT = TypeVar("ResponseT")


class SharedRoom:
    """Places that all streams share."""

    def __init__(self, places: int) -> None:
        self.free = places
        self._waiting: list[asyncio.Future[None]] = []

    async def changed(self) -> None:
        """Return when a place, of whichever stream, was left."""
        waiting: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._waiting.append(waiting)
        await waiting

    def tell(self) -> None:
        """Wake who waits for a change."""
        waiting, self._waiting = self._waiting, []
        for each in waiting:
            if not each.done():
                each.set_result(None)


class Room:
    """What one stream holds at once: a request always, further ones as far as shared places go."""

    def __init__(self, *, at_once: int, shared: SharedRoom) -> None:
        self._slots = asyncio.Semaphore(at_once)
        self._shared = shared
        self._inside = 0
        self._borrowed = 0

    async def enter(self) -> None:
        """Return when there is room for one more."""
        await self._slots.acquire()
        while self._inside and not self._shared.free:
            await self._shared.changed()
        if self._inside:
            self._shared.free -= 1
            self._borrowed += 1
        self._inside += 1

    def leave(self) -> None:
        """One has been answered."""
        self._inside -= 1
        self._slots.release()
        self._give_back(min(self._borrowed, 1))

    def close(self) -> None:
        """The stream is over, whatever it still held."""
        self._give_back(self._borrowed)

    def _give_back(self, places: int) -> None:
        self._borrowed -= places
        self._shared.free += places
        self._shared.tell()


async def answer_in_order(
    requests: AsyncIterator[RequestT],
    answer: Callable[[RequestT], Awaitable[ResponseT]],
    send: Callable[[ResponseT], Awaitable[None]],
    *,
    room: Room,
) -> None:
    """Send the answers, in the order of the requests.

    Only what has `room` is worked on or waits for its turn to be answered; no further one is read
    meanwhile, so that flow control stops the sender. A request that fails ends the stream, after
    the answers to all before it.

    Raises:
        CallError: of the first request that fails, or of reading.
    """
    under_way: asyncio.Queue[asyncio.Task[ResponseT | CallError] | CallError | None]
    under_way = asyncio.Queue()
    failure: CallError | None = None
    async with asyncio.TaskGroup() as group:

        async def read() -> None:
            # Read only when there is room, so that the room is what bounds the memory held here.
            await room.enter()
            try:
                async for request in requests:
                    under_way.put_nowait(group.create_task(_outcome(answer, request)))
                    await room.enter()
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
            room.leave()
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
