"""A figure, its goal, and whether it is reached."""

from collections.abc import Sequence
from dataclasses import dataclass
from enum import Enum
from typing import Final


class Goal(Enum):
    """On which side of its goal a figure should be."""

    AT_LEAST = "at least"
    AT_MOST = "at most"
    BELOW = "below"
    NONE = "no goal yet"


@dataclass(frozen=True, slots=True, kw_only=True)
class Figure:
    """What was measured. Without a goal it is shown for what it tells about the others."""

    name: str
    what: str
    value: float
    unit: str
    goal: Goal = Goal.NONE
    bound: float = 0.0

    @property
    def reached(self) -> bool:
        """Whether the figure is as good as promised."""
        match self.goal:
            case Goal.AT_LEAST:
                return self.value >= self.bound
            case Goal.AT_MOST:
                return self.value <= self.bound
            case Goal.BELOW:
                return self.value < self.bound
            case Goal.NONE:
                return True

    @property
    def goal_text(self) -> str:
        """The goal as people read it."""
        return "" if self.goal is Goal.NONE else f"{self.goal.value} {self.bound:g} {self.unit}"


IMPORT_RATE_MIN: Final = 300.0
IDLE_MB_MAX: Final = 120.0
CERTIFIED_P50_MS_MAX: Final = 15.0
VERIFY_MS_MAX: Final = 1.0


def import_rate(*, records: int, seconds: float) -> Figure:
    """Records a second of the walk's import."""
    return Figure(
        name="import_rate",
        what=f"import of {records} records, one by one through the client library",
        value=records / seconds,
        unit="records/s",
        goal=Goal.AT_LEAST,
        bound=IMPORT_RATE_MIN,
    )


def idle_memory(*, resident_bytes: Sequence[int], after_s: float) -> Figure:
    """What the largest of the idle peers holds."""
    return Figure(
        name="idle_memory",
        what=f"resident memory of the largest peer, idle for {after_s:g} s",
        value=max(resident_bytes) / 1e6,
        unit="MB",
        goal=Goal.BELOW,
        bound=IDLE_MB_MAX,
    )


def certified(seconds: Sequence[float]) -> tuple[Figure, Figure]:
    """The median and the 99th percentile of the waits for a certified append."""
    what = f"append of 1 KiB, one at a time until CERTIFIED, {len(seconds)} of them"
    median = Figure(
        name="certified_p50",
        what=f"{what}: median",
        value=percentile(seconds, 50) * 1000,
        unit="ms",
        goal=Goal.AT_MOST,
        bound=CERTIFIED_P50_MS_MAX,
    )
    slow = Figure(
        name="certified_p99",
        what=f"{what}: 99th percentile",
        value=percentile(seconds, 99) * 1000,
        unit="ms",
    )
    return median, slow


def verifying(seconds: Sequence[float]) -> Figure:
    """The median time that verifying a receipt takes."""
    return Figure(
        name="verify_receipt",
        what=f"verifying a receipt, all signatures anew, {len(seconds)} times: median",
        value=percentile(seconds, 50) * 1000,
        unit="ms",
        goal=Goal.AT_MOST,
        bound=VERIFY_MS_MAX,
    )


def percentile(values: Sequence[float], percent: int) -> float:
    """The smallest value that so many percent of the values do not exceed."""
    assert values
    assert 0 < percent <= 100
    rank = -(-len(values) * percent // 100)
    return sorted(values)[rank - 1]
