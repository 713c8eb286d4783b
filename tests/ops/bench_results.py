"""Results of the bench as tests need them: made up, with the values that matter as arguments."""

from ops.bench.values import Baseline, Figure, LoadResult, Results, Spread, System

MEASURED = Baseline(measured=True, release="etcd 3.4.23")
NOT_MEASURED = Baseline(measured=False, why="etcd is not installed here")


def spread(median: float, *, low: float | None = None, high: float | None = None) -> Spread:
    """A spread; without bounds every round gave the same."""
    return Spread(
        median=float(median),
        low=float(median if low is None else low),
        high=float(median if high is None else high),
    )


def load(
    group: str,
    in_flight: int,
    *,
    rate: float,
    p50_ms: float = 1.0,
    system: System = System.CARETREE,
    baseline: str | None = None,
) -> LoadResult:
    """A row of load."""
    return LoadResult(
        name=f"{group}.{in_flight}",
        what=group,
        system=system,
        in_flight=in_flight,
        baseline=None if baseline is None else f"{baseline}.{in_flight}",
        rounds=3,
        records=1000,
        rate=spread(rate, low=rate * 0.9, high=rate * 1.1),
        p50_ms=spread(p50_ms),
        p99_ms=spread(p50_ms * 3),
        servers_cpu_s_per_1000=spread(0.5),
        caller_cpu_s_per_1000=spread(0.1),
        wire_bytes_per_record=spread(8123.4),
        resident_mb=spread(90.0),
    )


def figure(name: str, value: float, unit: str = "ms") -> Figure:
    """A figure."""
    return Figure(name=name, what=f"what {name} is", unit=unit, value=spread(value))


def results(
    *loads: LoadResult,
    figures: tuple[Figure, ...] = (),
    baseline: Baseline = MEASURED,
    entries: int = 0,
) -> Results:
    """The results of a run, whose long ledger had so many entries."""
    return Results(
        machine={"processors": 2, "kernel": "Linux 6.1", "fsync_ms": 0.15},
        settings={"rounds": 3, "content_bytes": 1024, "entries": entries},
        baseline=baseline,
        loads=loads,
        figures=figures,
    )


def puts(in_flight: int, *, rate: float, p50_ms: float = 1.0) -> LoadResult:
    """etcd's puts."""
    return load("puts", in_flight, rate=rate, p50_ms=p50_ms, system=System.ETCD)


def txns(in_flight: int, *, rate: float) -> LoadResult:
    """etcd's transactions."""
    return load("txns", in_flight, rate=rate, system=System.ETCD)
