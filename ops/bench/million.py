"""What a long history costs: start-up, rates and proofs with a million entries.

`writer` writes them. Two consortia are measured in turn, one with a hundredth of the entries, so
that a machine that drifts drifts for both.
"""

import asyncio
import time
from collections.abc import Callable, Mapping
from contextlib import AsyncExitStack
from dataclasses import dataclass
from typing import Final

from ops.bench.errors import BenchFailedError
from ops.bench.load import load
from ops.bench.machine import resident_bytes
from ops.bench.peers import BATCH_RECORDS, LEADS, Caller
from ops.bench.showing import Telling
from ops.bench.stopped import Receipts, answering, opened, proof_figures, start_figures
from ops.bench.supply import Supply
from ops.bench.values import Figure, Spread
from ops.bench.writer import write_ledgers
from ops.demo.consortium import TOWN, Founded
from ops.demo.daemons import Daemon, stop_all
from ops.demo.running import connected, lead_from, watched

ENTRIES: Final = 1_000_000
ENTRY_BYTES: Final = 64
SMALL, LARGE = "small", "large"
SHARE: Final = 100  # the smaller ledger has one in so many of the entries
IN_FLIGHT: Final = 4
SECONDS: Final = 4.0
SUSTAINED_S: Final = 30.0
_TELL_EVERY: Final = 20


@dataclass(frozen=True, slots=True, kw_only=True)
class Size:
    """How large the ledgers are, and how long they are loaded."""

    entries: int
    entry_bytes: int
    rounds: int
    seconds: float
    sustained_s: float
    patients: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Grown:
    """A consortium with a ledger of some length, its daemons running."""

    founded: Founded
    daemons: dict[str, Daemon]
    leaves: int
    starts: list[Figure]

    @property
    def pids(self) -> list[int]:
        """The daemons' processes."""
        return [daemon.pid for daemon in self.daemons.values()]


async def measure_million(
    founded: Mapping[str, Founded],
    size: Size,
    supply: Supply,
    daemons: list[Daemon],
    telling: Telling,
) -> list[Figure]:
    """The figures of the consortia SMALL and LARGE; who gave the list of daemons stops them.

    Raises:
        BenchFailedError, WalkFailedError, CaretreeError: something was not answered as it must be.
    """
    small = await grown(founded[SMALL], size, size.entries // SHARE, daemons, telling)
    large = await grown(founded[LARGE], size, size.entries, daemons, telling)
    telling.begin(f"batches with {small.leaves:,} and with {large.leaves:,} leaves")
    figures = [*large.starts, *await _rates(small, large, size, supply)]
    telling.begin(f"proofs out of {large.leaves:,} leaves")
    for each in (small, large):
        await asyncio.to_thread(_stop, each)
    return figures + await asyncio.to_thread(_proofs, large.founded)


async def grown(
    founded: Founded, size: Size, entries: int, daemons: list[Daemon], telling: Telling
) -> Grown:
    """A consortium with so many entries; its peers are started one by one, and measured."""
    telling.begin(f"writing {entries:,} entries")
    supply = Supply(content_bytes=size.entry_bytes, patients=size.patients)
    leaves = write_ledgers(founded, supply, entries=entries, tell=_telling_shares(entries, telling))
    telling.begin(f"starting peers with {leaves:,} leaves")
    seconds: list[float] = []
    memory: list[float] = []
    own: dict[str, Daemon] = {}
    for member, centre in founded.centres.items():
        own[member] = Daemon(centre)
        daemons.append(own[member])
        begun = time.monotonic()
        own[member].start()
        await answering(centre)
        seconds.append(time.monotonic() - begun)
        memory.append(resident_bytes(own[member].pid) / 1e6)
    starts = start_figures(("million.start", "million.memory"), leaves, seconds, memory)
    return Grown(founded=founded, daemons=own, leaves=leaves, starts=starts)


def _telling_shares(entries: int, telling: Telling) -> Callable[[int], None]:
    """Tell every twentieth part that is written; the bar goes on where there is one."""
    begun, told = time.monotonic(), [0]

    def tell(written: int) -> None:
        share = written * _TELL_EVERY // entries
        if share > told[0]:
            told[0] = share
            rate = written / (time.monotonic() - begun)
            telling.say(f"{written:,} of {entries:,} entries written, {rate:,.0f}/s")

    return tell


async def _rates(small: Grown, large: Grown, size: Size, supply: Supply) -> list[Figure]:
    async with AsyncExitStack() as stack:
        callers: list[Caller] = []
        for each in (small, large):
            await stack.enter_async_context(watched(each.daemons))
            connections = await stack.enter_async_context(connected(each.founded))
            await lead_from(connections, LEADS)
            connecting = Caller.connected(each.founded, connections.record_system, supply)
            callers.append(await stack.enter_async_context(connecting))
        before: list[float] = []
        after: list[float] = []
        for _ in range(size.rounds):
            for each, caller, rates in (
                (small, callers[0], before),
                (large, callers[1], after),
            ):
                rates.append(await _rate(each, caller, seconds=size.seconds))
        sustained = await _rate(large, callers[1], seconds=size.sustained_s)
    what = f"batches of {BATCH_RECORDS}, {IN_FLIGHT} in flight, at {{:,}} leaves"
    stored = f" (written with contents of {size.entry_bytes} bytes)"
    first, last = Spread.of(before), Spread.of(after)
    lost = [100 * (1 - new / old) for old, new in zip(before, after, strict=True)]
    loss = 100 * (1 - last.median / first.median)
    return [
        _figure("million.before", what.format(small.leaves) + stored, "records/s", first),
        _figure("million.after", what.format(large.leaves) + stored, "records/s", last),
        _figure(
            "million.loss",
            "what that costs of the rate",
            "%",
            Spread(median=loss, low=min(*lost, loss), high=max(*lost, loss)),
        ),
        _figure(
            "million.sustained",
            f"{what.format(large.leaves)}, for {size.sustained_s:g} s",
            "records/s",
            Spread.of([sustained]),
        ),
    ]


async def _rate(of: Grown, caller: Caller, *, seconds: float) -> float:
    async with caller.batches(receipts=True) as work:
        sample = await load(work, in_flight=IN_FLIGHT, seconds=seconds, pids=of.pids)
    return sample.records / sample.seconds


def _stop(which: Grown) -> None:
    faults = stop_all(list(which.daemons.values()))
    if faults:
        raise BenchFailedError(faults[0])


def _proofs(founded: Founded) -> list[Figure]:
    with opened(founded.centres[TOWN]) as ledger:
        return proof_figures("million", ledger, Receipts(ledger))


def _figure(name: str, what: str, unit: str, value: Spread) -> Figure:
    return Figure(name=name, what=what, unit=unit, value=value)
