"""Writes ops/grafana/caretree.json, the dashboard of a consortium, from panels.py.

    python -m ops.grafana.generate [--check]

With --check nothing is written, and the exit status is 1 when the file is not what it should be.
"""

import json
import sys
from pathlib import Path
from typing import Final

from ops.grafana.panels import ROWS, Panel, Query

DASHBOARD: Final = Path(__file__).with_name("caretree.json")

_COLUMNS: Final = 24
_PANEL_HEIGHT: Final = 8
_SOURCE: Final = {"type": "prometheus", "uid": "${datasource}"}
# Every series is chosen by these; the expressions below write it as {@}.
_CHOSEN: Final = 'job=~"$job", instance=~"$instance"'

Json = dict[str, object]


def render() -> str:
    """The dashboard as Grafana imports it."""
    return json.dumps(_dashboard(), indent=2, ensure_ascii=True) + "\n"


def _dashboard() -> Json:
    return {
        "uid": "caretree",
        "title": "Caretree",
        "description": "A consortium's peers: consensus, ledger, certification, calls and disk.",
        "tags": ["caretree"],
        "editable": False,
        "graphTooltip": 1,
        "refresh": "30s",
        "schemaVersion": 38,
        "time": {"from": "now-3h", "to": "now"},
        "timezone": "browser",
        "templating": {"list": _variables()},
        "panels": _panels(),
    }


def _variables() -> list[Json]:
    source: Json = {
        "name": "datasource",
        "label": "Data source",
        "type": "datasource",
        "query": "prometheus",
    }
    job = _label_variable("job", "label_values(caretree_node_has_leader, job)")
    instance = _label_variable(
        "instance", 'label_values(caretree_node_has_leader{job=~"$job"}, instance)'
    )
    return [source, job, instance]


def _label_variable(name: str, query: str) -> Json:
    return {
        "name": name,
        "label": name.capitalize(),
        "type": "query",
        "datasource": _SOURCE,
        "query": {"query": query, "refId": name},
        "refresh": 2,
        "multi": True,
        "includeAll": True,
        "allValue": ".+",
        "current": {"selected": True, "text": "All", "value": "$__all"},
    }


def _panels() -> list[Json]:
    rendered: list[Json] = []
    top = 0
    for row in ROWS:
        place = {"x": 0, "y": top, "w": _COLUMNS, "h": 1}
        rendered.append(
            {
                "id": len(rendered) + 1,
                "type": "row",
                "title": row.title,
                "gridPos": place,
                "collapsed": False,
                "panels": [],
            }
        )
        top += 1
        across = min(len(row.panels), 4)
        width = _COLUMNS // across
        for number, panel in enumerate(row.panels):
            line, column = divmod(number, across)
            position = {
                "x": column * width,
                "y": top + line * _PANEL_HEIGHT,
                "w": width,
                "h": _PANEL_HEIGHT,
            }
            rendered.append(_panel(panel, len(rendered) + 1, position))
        top += -(-len(row.panels) // across) * _PANEL_HEIGHT
    return rendered


def _panel(panel: Panel, number: int, position: dict[str, int]) -> Json:
    return {
        "id": number,
        "type": "stat" if panel.stat else "timeseries",
        "title": panel.title,
        "description": panel.description,
        "datasource": _SOURCE,
        "gridPos": position,
        "fieldConfig": {"defaults": {"unit": panel.unit, "min": 0}, "overrides": []},
        "targets": [_target(query, place) for place, query in enumerate(panel.queries)],
    }


def _target(query: Query, place: int) -> Json:
    return {
        "refId": chr(ord("A") + place),
        "datasource": _SOURCE,
        "expr": query.expression.replace("@", _CHOSEN),
        "legendFormat": query.legend,
    }


def main() -> int:
    """0, or 1 when --check finds another file than would be written."""
    if sys.argv[1:] == ["--check"]:
        return int(DASHBOARD.read_text(encoding="utf-8") != render())
    DASHBOARD.write_text(render(), encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
