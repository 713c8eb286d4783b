"""A closed loop of calls: so many under way at once, each followed by the next.

Calls that end between the end of the warming up and the end of the row are counted, and no others.
"""

import asyncio
import time
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from typing import Final, TypeAlias

from ops.bench.errors import BenchFailedError
from ops.bench.machine import cpu_seconds, loopback_bytes, resident_bytes
from ops.bench.values import Sample

# One call, made by the worker of this number: how many records its answer acknowledges.
Work: TypeAlias = Callable[[int], Awaitable[int]]

WARM_UP_S: Final = 0.4
# What is under way when the row ends is waited for, so that no row disturbs the next.
DRAIN_S_MAX: Final = 60.0


@dataclass(frozen=True, slots=True, kw_only=True)
class _Gauges:
    """Counters that only grow, read at one moment."""

    time_s: float
    servers_cpu_s: float
    caller_cpu_s: float
    wire_bytes: int


@dataclass(slots=True)
class _Count:
    """What the workers have done."""

    waits_s: list[float]
    calls_min: int  # a slow machine has more time: an answer for each worker
    enough: asyncio.Event = field(default_factory=asyncio.Event)
    records: int = 0
    counting: bool = False
    over: bool = False


async def load(
    work: Work,
    *,
    in_flight: int,
    seconds: float,
    pids: Sequence[int],
    warm_up_s: float = WARM_UP_S,
) -> Sample:
    """What so many workers bring about in this time.

    Raises:
        BenchFailedError: some worker's calls were not answered in time.
        Whatever a call raises: the row ends.
    """
    count = _Count([], calls_min=in_flight)
    try:
        async with asyncio.timeout(warm_up_s + seconds + DRAIN_S_MAX), asyncio.TaskGroup() as group:
            for worker in range(in_flight):
                group.create_task(_repeat(work, worker, count))
            await asyncio.sleep(warm_up_s)
            before = _read(pids)
            count.counting = True
            await asyncio.sleep(seconds)
            await count.enough.wait()
            count.counting, count.over = False, True
            after = _read(pids)
    except TimeoutError:
        raise BenchFailedError("calls were not answered in time") from None
    return Sample(
        seconds=after.time_s - before.time_s,
        records=count.records,
        waits_s=tuple(count.waits_s),
        servers_cpu_s=after.servers_cpu_s - before.servers_cpu_s,
        caller_cpu_s=after.caller_cpu_s - before.caller_cpu_s,
        wire_bytes=after.wire_bytes - before.wire_bytes,
        resident_bytes=max((resident_bytes(pid) for pid in pids), default=0),
    )


async def _repeat(work: Work, worker: int, count: _Count) -> None:
    while not count.over:
        begun = time.perf_counter()
        records = await work(worker)
        if count.counting:
            count.waits_s.append(time.perf_counter() - begun)
            count.records += records
            if len(count.waits_s) >= count.calls_min:
                count.enough.set()


def _read(pids: Sequence[int]) -> _Gauges:
    return _Gauges(
        time_s=time.perf_counter(),
        servers_cpu_s=cpu_seconds(pids),
        caller_cpu_s=time.process_time(),
        wire_bytes=loopback_bytes(),
    )
