"""How figures are judged and shown; they themselves are measured by `make figures`."""

import json

import pytest

from ops.figures.__main__ import as_json, table_rows
from ops.figures.values import (
    Figure,
    certified,
    idle_memory,
    import_rate,
    percentile,
    verifying,
)


@pytest.mark.parametrize(
    ("figure", "reached"),
    [
        (import_rate(records=900, seconds=3.0), True),
        (import_rate(records=899, seconds=3.0), False),
        (idle_memory(resident_bytes=[1, 119_999_999], after_s=5), True),
        (idle_memory(resident_bytes=[120_000_000, 1], after_s=5), False),
        (certified([0.015] * 200)[0], True),
        (certified([0.0151] * 200)[0], False),
        (certified([9.0] * 200)[1], True),  # no goal of its own
        (verifying([0.001]), True),
        (verifying([0.00101]), False),
    ],
)
def test_a_figure_is_reached_up_to_its_goal_and_not_beyond(figure: Figure, reached: bool) -> None:
    assert figure.reached is reached


@pytest.mark.parametrize(
    ("values", "percent", "expected"),
    [
        ([3.0], 50, 3.0),
        ([1.0, 2.0], 50, 1.0),
        ([3.0, 1.0, 2.0], 50, 2.0),
        (list(map(float, range(1, 201))), 99, 198.0),
        (list(map(float, range(1, 201))), 100, 200.0),
    ],
)
def test_a_percentile_is_a_value_that_was_measured(
    values: list[float], percent: int, expected: float
) -> None:
    assert percentile(values, percent) == expected


def test_goals_stand_beside_what_was_measured() -> None:
    median, slow = certified([0.02])

    assert table_rows([import_rate(records=9000, seconds=2), median, slow]) == [
        (
            "import of 9000 records, one by one through the client library",
            "4500 records/s",
            "at least 300 records/s",
            "reached",
        ),
        (median.what, "20 ms", "at most 15 ms", "MISSED"),
        (slow.what, "20 ms", "", ""),
    ]


def test_a_programme_reads_the_figures_as_json() -> None:
    read = json.loads(as_json([idle_memory(resident_bytes=[95_000_000], after_s=5)]))

    assert read["figures"] == {
        "idle_memory": {"value": 95.0, "unit": "MB", "goal": "below 120 MB", "reached": True}
    }
