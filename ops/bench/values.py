"""What the bench measures, as values: rows of load, single figures, and how far they spread."""

import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import Enum
from typing import Self, TypeAlias

Fact: TypeAlias = str | int | float


@dataclass(frozen=True, slots=True, kw_only=True)
class Spread:
    """The median of several rounds, and how far they lay apart."""

    median: float
    low: float
    high: float

    @classmethod
    def of(cls, values: Sequence[float]) -> Self:
        """The spread of what the rounds gave."""
        assert values
        return cls(median=statistics.median(values), low=min(values), high=max(values))


class System(Enum):
    """Who was loaded."""

    CARETREE = "Caretree"
    ETCD = "etcd"


@dataclass(frozen=True, slots=True, kw_only=True)
class Sample:
    """One round of one row: what happened between its beginning and its end."""

    seconds: float
    records: int
    waits_s: Sequence[float]  # of each call
    servers_cpu_s: float
    caller_cpu_s: float
    wire_bytes: int
    resident_bytes: int  # of the largest server, afterwards


@dataclass(frozen=True, slots=True, kw_only=True)
class LoadResult:
    """A row of load. `baseline` names the row of etcd that it is compared with."""

    name: str
    what: str
    system: System
    in_flight: int
    baseline: str | None
    rounds: int
    records: int
    rate: Spread
    p50_ms: Spread | None  # None where no single record's wait is known
    p99_ms: Spread | None
    servers_cpu_s_per_1000: Spread
    caller_cpu_s_per_1000: Spread
    wire_bytes_per_record: Spread
    resident_mb: Spread


@dataclass(frozen=True, slots=True, kw_only=True)
class Figure:
    """A single figure."""

    name: str
    what: str
    unit: str
    value: Spread


@dataclass(frozen=True, slots=True, kw_only=True)
class Baseline:
    """Whether etcd was measured in the same run: its release, or why not."""

    measured: bool
    release: str = ""
    why: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Results:
    """All that a run measured, and on what."""

    machine: Mapping[str, Fact]
    settings: Mapping[str, Fact]
    baseline: Baseline
    loads: tuple[LoadResult, ...]
    figures: tuple[Figure, ...]

    def load(self, name: str) -> LoadResult | None:
        """A row of load; None when it was not measured."""
        return next((load for load in self.loads if load.name == name), None)

    def figure(self, name: str) -> Figure | None:
        """A figure; None when it was not measured."""
        return next((figure for figure in self.figures if figure.name == name), None)


def percentile(values: Sequence[float], percent: int) -> float:
    """The smallest value that so many percent of the values do not exceed."""
    assert values
    assert 0 < percent <= 100
    rank = -(-len(values) * percent // 100)
    return sorted(values)[rank - 1]
