"""A run of the bench: everything is started, loaded in rounds, measured and stopped."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from ops.bench import groups
from ops.bench.etcd import EtcdCaller, Members
from ops.bench.founding import found_all
from ops.bench.load import load
from ops.bench.machine import facts
from ops.bench.million import LARGE, SMALL, Size, measure_million
from ops.bench.peers import LEADS, Caller
from ops.bench.rows import Rounds, Row, work_of
from ops.bench.showing import Telling
from ops.bench.single import disk_figures, history, idle, importing, settled_disk_bytes
from ops.bench.stopped import measure_stopped, restarts
from ops.bench.supply import Supply
from ops.bench.values import Fact, Figure, LoadResult, System
from ops.demo.consortium import Founded
from ops.demo.daemons import Daemon, stop_all
from ops.demo.running import Callers, connected, lead_from, watched

RESIDENTS: Final = 300
# The consortium that begins with nothing; those that begin with a ledger are named in `million`.
NEW: Final = "new"
_MILLION_STEPS: Final = 6


@dataclass(frozen=True, slots=True, kw_only=True)
class Order:
    """What is to be measured, and for how long."""

    groups: frozenset[str]
    rows: tuple[Row, ...]
    rounds: int
    seconds: float
    supply: Supply
    etcd: Path | None  # without it there is no baseline
    million: Size

    @property
    def consortia(self) -> tuple[str, ...]:
        """Those that it takes."""
        new = (NEW,) if self.groups - {groups.MILLION} else ()
        return (*new, SMALL, LARGE) if groups.MILLION in self.groups else new

    @property
    def steps(self) -> int:
        """How often something new is begun."""
        million = _MILLION_STEPS if groups.MILLION in self.groups else 0
        return self.rounds * len(self.rows) + len(self.groups & groups.SINGLE) + 2 + million


@dataclass(slots=True)
class Run:
    """What runs, and what was found so far. Whoever makes one calls `stop`, whatever happens."""

    folder: Path
    machine: dict[str, Fact] = field(default_factory=dict)
    rounds: list[Rounds] = field(default_factory=list)
    figures: list[Figure] = field(default_factory=list)
    daemons: dict[str, Daemon] = field(default_factory=dict)
    others: list[Daemon] = field(default_factory=list)  # of long ledgers
    members: Members | None = None

    @property
    def loads(self) -> tuple[LoadResult, ...]:
        """The rows of load that were measured at least once."""
        return tuple(each.result() for each in self.rounds if each.samples)

    @property
    def peers(self) -> list[int]:
        """The daemons' processes."""
        return [daemon.pid for daemon in self.daemons.values()]

    def stop(self) -> list[str]:
        """End every process; what went wrong with that."""
        if self.members is not None:
            self.members.stop()
        return stop_all([*self.daemons.values(), *self.others])


async def run(run: Run, order: Order, telling: Telling) -> None:
    """Measure what was ordered.

    Raises:
        BenchFailedError, WalkFailedError, CaretreeError: something was not answered as it must be.
    """
    telling.begin("founding consortia of three")
    run.machine = await asyncio.to_thread(facts, run.folder)
    founded = await found_all(run.folder, order.consortia)
    if NEW in founded:
        await _measure_new(run, order, founded[NEW], telling)
    if groups.MILLION in order.groups:
        found = await measure_million(founded, order.million, order.supply, run.others, telling)
        telling.found(run.figures, found)


async def _measure_new(run: Run, order: Order, founded: Founded, telling: Telling) -> None:
    run.daemons.update({name: Daemon(centre) for name, centre in founded.centres.items()})
    for daemon in run.daemons.values():
        daemon.start()
    async with watched(run.daemons), connected(founded) as callers:
        await lead_from(callers, LEADS)
        await _measure_running(run, order, founded, callers, telling)
    if groups.START in order.groups:
        telling.begin("starting each peer again")
        telling.found(run.figures, await restarts(founded, run.daemons))
    stop_all(list(run.daemons.values()))
    if order.groups & {groups.PROOFS, groups.VERIFY}:
        telling.begin("proofs and receipts of a stopped peer's ledger")
        telling.found(run.figures, await asyncio.to_thread(measure_stopped, founded, order.groups))


async def _measure_running(
    run: Run, order: Order, founded: Founded, callers: Callers, telling: Telling
) -> None:
    if groups.IDLE in order.groups:
        telling.begin("peers that nobody calls")
        telling.found(run.figures, await idle(run.peers))
    async with Caller.connected(founded, callers.record_system, order.supply) as caller:
        telling.begin(f"introducing {len(order.supply.patients)} patients")
        await caller.introduce(order.supply.patients)
        disks = [centre.folder / "data" for centre in founded.centres.values()]
        before, introduced = await settled_disk_bytes(disks), caller.acknowledged
        async with _etcd_caller(run, order) as etcd_caller:
            await _rounds(run, order, caller, etcd_caller, telling)
        records = caller.acknowledged - introduced
        if groups.DISK in order.groups and records:
            telling.begin("disk")
            after = await settled_disk_bytes(disks)
            grown = [new - old for old, new in zip(before, after, strict=True)]
            telling.found(run.figures, disk_figures(grown, records, order.supply.content_bytes))
        if groups.HISTORY in order.groups:
            telling.begin("histories of 100 records")
            telling.found(run.figures, await history(caller, callers))
    if groups.IMPORT in order.groups:
        telling.begin("import of FHIR bundles")
        imported = await importing(run.folder / "bundles", callers, residents=RESIDENTS)
        telling.found(run.figures, imported)


async def _rounds(
    run: Run, order: Order, caller: Caller, etcd_caller: EtcdCaller | None, telling: Telling
) -> None:
    """The rows, round by round, so that a machine that drifts drifts for all of them."""
    run.rounds = [Rounds(row) for row in order.rows]
    for number in range(order.rounds):
        for rounds in run.rounds:
            row = rounds.row
            telling.begin(f"round {number + 1} of {order.rounds}: {row.title}")
            members = [] if run.members is None else run.members.pids
            async with work_of(row, caller, etcd_caller) as work:
                sample = await load(
                    work,
                    in_flight=row.workers,
                    seconds=order.seconds,
                    pids=members if row.system is System.ETCD else run.peers,
                )
            rounds.samples.append(sample)
            telling.say(f"{row.title}: {sample.records / sample.seconds:,.0f} records/s")


@asynccontextmanager
async def _etcd_caller(run: Run, order: Order) -> AsyncIterator[EtcdCaller | None]:
    if order.etcd is None or all(row.system is not System.ETCD for row in order.rows):
        yield None
        return
    # The daemons listen by now: nobody is given a port that is another's.
    run.members = Members(order.etcd, run.folder)
    run.members.start()
    async with EtcdCaller.connected(run.members, order.supply) as caller:
        yield caller
    run.members.stop()
