"""Results as JSON, for programmes and for the page of plots; and read back."""

import json
from collections.abc import Mapping
from dataclasses import asdict
from typing import Final, TypeAlias

from ops.bench.errors import BenchFailedError
from ops.bench.goals import judge
from ops.bench.values import Baseline, Fact, Figure, LoadResult, Results, Spread, System

FORMAT: Final = 1
_DIGITS: Final = 4

Json: TypeAlias = "Mapping[str, Json] | list[Json] | str | int | float | bool | None"


def to_json(results: Results) -> str:
    """The results and what becomes of the goals; the same results give the same bytes."""
    document: dict[str, object] = {
        "format": FORMAT,
        "machine": dict(results.machine),
        "settings": dict(results.settings),
        "baseline": asdict(results.baseline),
        "rows": [asdict(load) | {"system": load.system.value} for load in results.loads],
        "figures": [asdict(figure) for figure in results.figures],
        "goals": [
            {
                "name": each.goal.name,
                "promise": each.goal.promise,
                "value": each.value,
                "unit": each.goal.unit,
                "reached": each.reached,
            }
            for each in judge(results)
        ],
    }
    return json.dumps(_rounded(document), indent=1, ensure_ascii=False) + "\n"


def from_json(text: str) -> Results:
    """The results of a document; its goals are judged anew.

    Raises:
        BenchFailedError: it is none, or of another format.
    """
    try:
        document = json.loads(text)
        if document["format"] != FORMAT:
            raise BenchFailedError(f"expected results of format {FORMAT}")
        return Results(
            machine=_facts(document["machine"]),
            settings=_facts(document["settings"]),
            baseline=Baseline(**document["baseline"]),
            loads=tuple(_load(row) for row in document["rows"]),
            figures=tuple(_figure(each) for each in document["figures"]),
        )
    except (ValueError, KeyError, TypeError) as error:
        raise BenchFailedError(f"these are no results of the bench: {error}") from error


def _rounded(value: object) -> object:
    """The value with every number as exact as it is meant."""
    if isinstance(value, float):
        return float(f"{value:.{_DIGITS}g}") if abs(value) < 10**_DIGITS else round(value)
    if isinstance(value, dict):
        return {key: _rounded(each) for key, each in value.items()}
    if isinstance(value, list | tuple):
        return [_rounded(each) for each in value]
    return value


def _facts(found: object) -> dict[str, Fact]:
    if not isinstance(found, dict):
        raise TypeError("expected facts by name")
    return {str(name): fact for name, fact in found.items() if isinstance(fact, str | int | float)}


def _load(row: dict[str, object]) -> LoadResult:
    spreads = {
        name: _spread(row[name])
        for name in (
            *("rate", "servers_cpu_s_per_1000", "caller_cpu_s_per_1000"),
            *("wire_bytes_per_record", "resident_mb"),
        )
    }
    baseline = row["baseline"]
    return LoadResult(
        name=str(row["name"]),
        what=str(row["what"]),
        system=System(row["system"]),
        in_flight=_whole(row["in_flight"]),
        baseline=None if baseline is None else str(baseline),
        rounds=_whole(row["rounds"]),
        records=_whole(row["records"]),
        p50_ms=None if row["p50_ms"] is None else _spread(row["p50_ms"]),
        p99_ms=None if row["p99_ms"] is None else _spread(row["p99_ms"]),
        **spreads,
    )


def _figure(found: dict[str, object]) -> Figure:
    return Figure(
        name=str(found["name"]),
        what=str(found["what"]),
        unit=str(found["unit"]),
        value=_spread(found["value"]),
    )


def _spread(found: object) -> Spread:
    if not isinstance(found, dict):
        raise TypeError("expected a median with low and high")
    return Spread(**{name: float(value) for name, value in found.items()})


def _whole(found: object) -> int:
    if not isinstance(found, int):
        raise TypeError("expected a whole number")
    return found
