"""How much of the streams of batches a peer holds at once."""

import asyncio
from collections.abc import AsyncIterator

import pytest
from caretree.rpc.in_order import Room, SharedRoom, answer_in_order

from tests.waiting import until

pytestmark = pytest.mark.asyncio
AT_ONCE = 4


class Stream:
    """A sender without end, whose requests are answered when the test says so."""

    def __init__(self, shared: SharedRoom) -> None:
        self.read = 0
        self.answers = asyncio.Semaphore(0)
        self.sent: list[int] = []
        self._room = Room(at_once=AT_ONCE, shared=shared)

    async def run(self) -> None:
        try:
            await answer_in_order(self._requests(), self._answer, self._send, room=self._room)
        finally:
            self._room.close()

    async def _requests(self) -> AsyncIterator[int]:
        while True:
            self.read += 1
            yield self.read

    async def _answer(self, request: int) -> int:
        await self.answers.acquire()
        return request

    async def _send(self, answer: int) -> None:
        self.sent.append(answer)


async def test_each_stream_holds_one_and_all_together_so_many_more() -> None:
    shared = SharedRoom(5)
    streams = [Stream(shared) for _ in range(4)]
    tasks = [asyncio.create_task(stream.run()) for stream in streams]
    await until(lambda: sum(stream.read for stream in streams) == len(streams) + 5)
    await asyncio.sleep(0.02)
    assert sum(stream.read for stream in streams) == len(streams) + 5
    assert max(stream.read for stream in streams) <= AT_ONCE
    assert min(stream.read for stream in streams) >= 1

    for stream in streams:
        stream.answers.release()
    await until(lambda: all(stream.sent == [1] for stream in streams))
    await until(lambda: sum(stream.read for stream in streams) == 2 * len(streams) + 5)

    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
    assert shared.free == 5


async def test_a_stream_alone_holds_its_own_bound_and_answers_in_order() -> None:
    stream = Stream(SharedRoom(64))
    task = asyncio.create_task(stream.run())
    await until(lambda: stream.read == AT_ONCE)
    for _ in range(10):
        stream.answers.release()
    await until(lambda: stream.sent == list(range(1, 11)))
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
