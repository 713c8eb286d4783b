"""What was measured, as tables."""

from collections.abc import Sequence
from typing import Final, TypeAlias

from ops.bench.goals import Judged
from ops.bench.values import Figure, LoadResult, Results, Spread

# Columns, and rows under them.
Table: TypeAlias = tuple[tuple[str, ...], Sequence[tuple[str, ...]]]

LOAD_COLUMNS: Final = (
    *("row", "in flight", "records/s", "rounds", "to etcd", "p50 ms", "p99 ms"),
    *("servers CPU", "caller CPU", "wire B", "memory MB"),
)
LOAD_NOTE: Final = (
    "rounds: from the slowest to the fastest. CPU: seconds for 1,000 records, of all three servers"
    " and of the caller. Wire: all bytes over the loopback for one record, from the caller and"
    " among the servers, headers too. Memory: resident, the largest server, afterwards."
)
FIGURE_COLUMNS: Final = ("figure", "measured", "from - to")
GOAL_COLUMNS: Final = ("goal", "promised", "measured", "")
REACHED, MISSED, NOT_MEASURED = "reached", "MISSED", "not measured"


def load_table(results: Results) -> Table:
    """The rows of load; a ratio stands only where both sides were measured."""
    return LOAD_COLUMNS, [_load_row(load, results) for load in results.loads]


def figure_table(figures: Sequence[Figure]) -> Table:
    """The single figures."""
    rows = [
        (figure.what, f"{shown(figure.value)} {figure.unit}", _range(figure.value))
        for figure in figures
    ]
    return FIGURE_COLUMNS, rows


def goal_table(judged: Sequence[Judged]) -> Table:
    """The goals and what became of them."""
    return GOAL_COLUMNS, [
        (
            each.goal.what,
            each.goal.promise,
            "" if each.value is None else f"{number(each.value)} {each.goal.unit}",
            verdict(each),
        )
        for each in judged
    ]


def verdict(judged: Judged) -> str:
    """Whether a goal is reached, in a word or two."""
    if judged.reached is None:
        return NOT_MEASURED
    return REACHED if judged.reached else MISSED


def shown(spread: Spread | None) -> str:
    """A median as people read it; nothing when there is none."""
    return "" if spread is None else number(spread.median)


def number(value: float) -> str:
    """A number as people read it: three digits, or all before the point."""
    return f"{value:,.0f}" if abs(value) >= 100 else f"{value:.3g}"


def _load_row(load: LoadResult, results: Results) -> tuple[str, ...]:
    baseline = None if load.baseline is None else results.load(load.baseline)
    ratio = "" if baseline is None else f"{load.rate.median / baseline.rate.median:.2f} x"
    return (
        load.what,
        str(load.in_flight),
        shown(load.rate),
        _range(load.rate),
        ratio,
        shown(load.p50_ms),
        shown(load.p99_ms),
        shown(load.servers_cpu_s_per_1000),
        shown(load.caller_cpu_s_per_1000),
        shown(load.wire_bytes_per_record),
        shown(load.resident_mb),
    )


def _range(spread: Spread) -> str:
    return f"{number(spread.low)} - {number(spread.high)}" if spread.low != spread.high else ""
