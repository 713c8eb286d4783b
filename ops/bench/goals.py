"""The goals, each a ratio of the same run or a figure, and whether they are reached."""

from collections.abc import Callable
from dataclasses import dataclass
from enum import Enum
from typing import Final

from ops.bench.values import LoadResult, Results

MILLION: Final = 1_000_000


class Side(Enum):
    """On which side of its bound a value should be."""

    AT_LEAST = "at least"
    AT_MOST = "at most"
    BELOW = "below"


@dataclass(frozen=True, slots=True, kw_only=True)
class Goal:
    """What is promised, and how it is read out of what was measured."""

    name: str
    what: str
    side: Side
    bound: float
    unit: str
    measure: Callable[[Results], float | None]

    @property
    def promise(self) -> str:
        """The goal as people read it."""
        return f"{self.side.value} {self.bound:g} {self.unit}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Judged:
    """A goal and what was measured; both None where it was not."""

    goal: Goal
    value: float | None
    reached: bool | None


def judge(results: Results) -> list[Judged]:
    """Every goal, judged by these results."""
    found: list[Judged] = []
    for goal in GOALS:
        value = goal.measure(results)
        reached = None if value is None else _holds(goal, value)
        found.append(Judged(goal=goal, value=value, reached=reached))
    return found


def _holds(goal: Goal, value: float) -> bool:
    match goal.side:
        case Side.AT_LEAST:
            return value >= goal.bound
        case Side.AT_MOST:
            return value <= goal.bound
        case Side.BELOW:
            return value < goal.bound


def _rate(name: str) -> Callable[[Results], float | None]:
    def rate(results: Results) -> float | None:
        load = results.load(name)
        return None if load is None else load.rate.median

    return rate


def _best(group: str) -> Callable[[Results], float | None]:
    """The best rate of a group of rows, whatever was in flight."""

    def best(results: Results) -> float | None:
        rates = [load.rate.median for load in results.loads if load.name.startswith(f"{group}.")]
        return max(rates, default=None)

    return best


def _p50(name: str) -> Callable[[Results], float | None]:
    def p50(results: Results) -> float | None:
        load: LoadResult | None = results.load(name)
        return None if load is None or load.p50_ms is None else load.p50_ms.median

    return p50


def _figure(name: str) -> Callable[[Results], float | None]:
    def figure(results: Results) -> float | None:
        found = results.figure(name)
        return None if found is None else found.value.median

    return figure


def _million(name: str) -> Callable[[Results], float | None]:
    """A figure of the long ledger, where that has a million entries; fewer prove nothing."""
    measure = _figure(name)

    def figure(results: Results) -> float | None:
        entries = results.settings.get("entries", 0)
        enough = isinstance(entries, int) and entries >= MILLION
        return measure(results) if enough else None

    return figure


def _old_proofs(results: Results) -> float | None:
    """By the larger tree that was measured."""
    large = _million("million.old")(results)
    return _figure("proofs.old")(results) if large is None else large


def _ratio(
    above: Callable[[Results], float | None], below: Callable[[Results], float | None]
) -> Callable[[Results], float | None]:
    """One over the other; None where either was not measured."""

    def ratio(results: Results) -> float | None:
        value, unit = above(results), below(results)
        return None if value is None or not unit else value / unit

    return ratio


GOALS: Final = (
    Goal(
        name="batches",
        what="batches of 100, against etcd's transactions of 100, each at its best",
        side=Side.AT_LEAST,
        bound=1.25,
        unit="x",
        measure=_ratio(_best("batches"), _best("txns")),
    ),
    Goal(
        name="client",
        what="client library, 128 in flight, against etcd's puts",
        side=Side.AT_LEAST,
        bound=1.5,
        unit="x",
        measure=_ratio(_rate("client.128"), _rate("puts.128")),
    ),
    Goal(
        name="unary",
        what="bare unary calls, 128 in flight, against etcd's puts",
        side=Side.AT_LEAST,
        bound=0.25,
        unit="x",
        measure=_ratio(_rate("unary.128"), _rate("puts.128")),
    ),
    Goal(
        name="certified",
        what="one at a time until certified and verified, p50, against etcd's put",
        side=Side.AT_MOST,
        bound=4,
        unit="x",
        measure=_ratio(_p50("client.1"), _p50("puts.1")),
    ),
    Goal(
        name="million",
        what="what a million entries cost of the batch rate at ten thousand",
        side=Side.AT_MOST,
        bound=10,
        unit="%",
        measure=_million("million.loss"),
    ),
    Goal(
        name="proofs",
        what="proofs of random old leaves, one core",
        side=Side.AT_LEAST,
        bound=2000,
        unit="/s",
        measure=_old_proofs,
    ),
    Goal(
        name="history",
        what="a history of 100 records, granted, audited, decrypted, p50",
        side=Side.AT_MOST,
        bound=20,
        unit="ms",
        measure=_figure("history.p50"),
    ),
    Goal(
        name="disk",
        what="disk of a peer, against the ciphertext",
        side=Side.AT_MOST,
        bound=1.7,
        unit="x",
        measure=_figure("disk.ratio"),
    ),
    Goal(
        name="start",
        what="start-up with a million entries",
        side=Side.AT_MOST,
        bound=10,
        unit="s",
        measure=_million("million.start"),
    ),
    Goal(
        name="start_memory",
        what="memory after a start-up with a million entries",
        side=Side.BELOW,
        bound=250,
        unit="MB",
        measure=_million("million.memory"),
    ),
    Goal(
        name="idle",
        what="memory of an idle peer",
        side=Side.BELOW,
        bound=100,
        unit="MB",
        measure=_figure("idle.memory"),
    ),
    Goal(
        name="import",
        what="import of FHIR records through the client library",
        side=Side.AT_LEAST,
        bound=300,
        unit="records/s",
        measure=_figure("import.rate"),
    ),
    Goal(
        name="verify",
        what="verifying a receipt, every signature anew",
        side=Side.AT_MOST,
        bound=1,
        unit="ms",
        measure=_figure("verify.anew"),
    ),
)
