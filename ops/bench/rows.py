"""The rows of load, and which of them an order on the command line means."""

from collections.abc import Callable, Sequence
from contextlib import AbstractAsyncContextManager, nullcontext
from dataclasses import dataclass, field
from typing import Final

from caretree.client.records import APPENDS_AT_ONCE

from ops.bench.etcd import TXN_PUTS, EtcdCaller
from ops.bench.groups import BATCHES, CLIENT, FIRST, MANY, PLAIN, PUTS, TXNS, UNARY
from ops.bench.load import Work
from ops.bench.peers import BATCH_RECORDS, Caller
from ops.bench.values import LoadResult, Sample, Spread, System, percentile

CALLS_IN_FLIGHT: Final = (1, 16, 128)
BATCHES_IN_FLIGHT: Final = (1, 4, 16)


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """A row of load: what is done, and by how many at once."""

    group: str
    what: str
    system: System
    in_flight: int
    baseline: str | None = None

    @property
    def title(self) -> str:
        """The row in a line."""
        return f"{self.what}, {self.in_flight} in flight"

    @property
    def workers(self) -> int:
        """How many call; append_many is one call that has many records under way."""
        return 1 if self.group == MANY else self.in_flight

    @property
    def name(self) -> str:
        """By what a goal, or a reader of the JSON, finds it."""
        return f"{self.group}.{self.in_flight}"


def rows() -> list[Row]:
    """Every row, each of etcd before those that are compared with it."""
    found: list[Row] = []
    for count in CALLS_IN_FLIGHT:
        found += (
            _etcd(PUTS, "etcd: put", count),
            _caretree(UNARY, "unary call", count, baseline=PUTS),
            _caretree(CLIENT, "client append", count, baseline=PUTS),
        )
    found += (
        _caretree(FIRST, "client append, new patient", 128),
        _caretree(MANY, "client append_many", APPENDS_AT_ONCE),
    )
    for count in BATCHES_IN_FLIGHT:
        found += (
            _etcd(TXNS, f"etcd: txn of {TXN_PUTS} puts", count),
            _caretree(BATCHES, f"batch of {BATCH_RECORDS}", count, baseline=TXNS),
            _caretree(PLAIN, f"batch of {BATCH_RECORDS}, no receipts", count, baseline=TXNS),
        )
    return found


def chosen(only: frozenset[str], *, etcd: bool) -> tuple[Row, ...]:
    """The rows of these groups, and those that they are compared with when there is etcd."""
    wanted = [row for row in rows() if row.group in only]
    names = {row.name for row in wanted} | {row.baseline for row in wanted}
    return tuple(
        row for row in rows() if row.name in names and (etcd or row.system is not System.ETCD)
    )


def work_of(row: Row, caller: Caller, etcd: EtcdCaller | None) -> AbstractAsyncContextManager[Work]:
    """What a row's workers do, for as long as the context lasts."""
    if row.system is System.ETCD:
        assert etcd is not None
        return nullcontext(etcd.puts() if row.group == PUTS else etcd.transactions())
    works: dict[str, Callable[[], AbstractAsyncContextManager[Work]]] = {
        UNARY: lambda: nullcontext(caller.unary()),
        CLIENT: lambda: nullcontext(caller.library()),
        FIRST: lambda: nullcontext(caller.newcomers()),
        MANY: caller.many,
        BATCHES: lambda: caller.batches(receipts=True),
        PLAIN: lambda: caller.batches(receipts=False),
    }
    return works[row.group]()


@dataclass(slots=True)
class Rounds:
    """The rounds of a row so far."""

    row: Row
    samples: list[Sample] = field(default_factory=list)

    def result(self) -> LoadResult:
        """What the rounds say together."""
        row, samples = self.row, self.samples
        return LoadResult(
            name=row.name,
            what=row.what,
            system=row.system,
            in_flight=row.in_flight,
            baseline=row.baseline,
            rounds=len(samples),
            records=sum(sample.records for sample in samples),
            rate=_spread(samples, lambda sample: sample.records / sample.seconds),
            p50_ms=_waits(row, samples, 50),
            p99_ms=_waits(row, samples, 99),
            servers_cpu_s_per_1000=_each(samples, lambda sample: sample.servers_cpu_s * 1000),
            caller_cpu_s_per_1000=_each(samples, lambda sample: sample.caller_cpu_s * 1000),
            wire_bytes_per_record=_each(samples, lambda sample: sample.wire_bytes),
            resident_mb=_spread(samples, lambda sample: sample.resident_bytes / 1e6),
        )


def _spread(samples: Sequence[Sample], value: Callable[[Sample], float]) -> Spread:
    return Spread.of([value(sample) for sample in samples])


def _waits(row: Row, samples: Sequence[Sample], percent: int) -> Spread | None:
    # append_many hands out answers in order: the time between two is nobody's wait.
    if row.group == MANY:
        return None
    return _spread(samples, lambda sample: percentile(sample.waits_s, percent) * 1000)


def _each(samples: Sequence[Sample], value: Callable[[Sample], float]) -> Spread:
    return _spread(samples, lambda sample: value(sample) / sample.records)


def _etcd(group: str, what: str, in_flight: int) -> Row:
    return Row(group=group, what=what, system=System.ETCD, in_flight=in_flight)


def _caretree(group: str, what: str, in_flight: int, *, baseline: str | None = None) -> Row:
    return Row(
        group=group,
        what=what,
        system=System.CARETREE,
        in_flight=in_flight,
        baseline=None if baseline is None else f"{baseline}.{in_flight}",
    )
