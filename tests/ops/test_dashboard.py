"""The dashboard is what its generator writes, and keeps the rules of a good one."""

import json
import re
import subprocess
from pathlib import Path
from typing import Any, Final

import pytest

from ops.grafana.generate import DASHBOARD, render
from tests.ops.series import names_in, scraped_names
from tests.shared import require_tool

BOARD: Final[dict[str, Any]] = json.loads(render())
PANELS: Final = [panel for panel in BOARD["panels"] if panel["type"] != "row"]
EXPRESSIONS: Final = [target["expr"] for panel in PANELS for target in panel["targets"]]
_CHOSEN: Final = 'job=~"$job", instance=~"$instance"'


def test_the_committed_dashboard_is_what_the_generator_writes() -> None:
    assert DASHBOARD.read_text(encoding="utf-8") == render()


def test_data_source_job_and_instance_can_be_chosen() -> None:
    assert [variable["name"] for variable in BOARD["templating"]["list"]] == [
        "datasource",
        "job",
        "instance",
    ]
    assert not BOARD["editable"]


@pytest.mark.parametrize("panel", PANELS, ids=lambda panel: str(panel["title"]))
def test_every_panel_explains_itself(panel: dict[str, Any]) -> None:
    assert panel["description"].endswith(".")
    assert panel["fieldConfig"]["defaults"]["unit"]
    assert panel["targets"]
    for key in ("refId", "legendFormat"):
        assert len({target[key] for target in panel["targets"]}) == len(panel["targets"])
    assert panel["datasource"] == {"type": "prometheus", "uid": "${datasource}"}


def test_titles_are_different_and_panels_do_not_overlap() -> None:
    cells = [
        (panel["gridPos"]["x"] + column, panel["gridPos"]["y"] + line)
        for panel in BOARD["panels"]
        for column in range(panel["gridPos"]["w"])
        for line in range(panel["gridPos"]["h"])
    ]

    assert len({panel["title"] for panel in PANELS}) == len(PANELS)
    assert len(set(cells)) == len(cells)
    assert all(column < 24 for column, _ in cells)


def test_every_series_is_of_the_chosen_job_and_instance() -> None:
    for expression in EXPRESSIONS:
        assert expression.count(_CHOSEN) == len(_series_in(expression)) > 0


def test_counters_are_shown_by_their_increase_over_the_interval() -> None:
    for expression in EXPRESSIONS:
        for window in re.findall(r"\[([^\]]+)\]", expression):
            assert window in {"$__rate_interval", "$__range"}
        # A difference of two counters is how many are under way.
        if "_total{" in expression and ") - sum" not in expression:
            assert re.search(r"(?:rate|increase)\(\w+_total\{", expression), expression


def test_the_dashboard_asks_only_for_series_that_exist() -> None:
    asked = frozenset().union(*(names_in(expression) for expression in EXPRESSIONS))

    assert asked - scraped_names() == set()


def test_promtool_parses_every_expression(tmp_path: Path) -> None:
    rules = tmp_path / "panels.yml"
    # A JSON document is a YAML document, so no quoting can go wrong.
    recorded = [
        {"record": f"panel:{number}", "expr": _substituted(expression)}
        for number, expression in enumerate(EXPRESSIONS)
    ]
    rules.write_text(json.dumps({"groups": [{"name": "panels", "rules": recorded}]}))

    command = [require_tool("promtool"), "check", "rules", str(rules)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)

    assert done.returncode == 0, done.stdout + done.stderr
    assert f"{len(EXPRESSIONS)} rules found" in done.stdout


def _series_in(expression: str) -> list[str]:
    return re.findall(r"[a-z_]+\{", expression)


def _substituted(expression: str) -> str:
    for name, value in (
        ("$__rate_interval", "1m"),
        ("$__range", "3h"),
        ("$job", ".+"),
        ("$instance", ".+"),
    ):
        expression = expression.replace(name, value)
    return expression
