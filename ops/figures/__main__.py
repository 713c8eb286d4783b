"""`python -m ops.figures`: measures what this stage promises, on this machine.

Prints a table and the same as one line of JSON. Exit status 0 when every goal is reached, 1 when
one is missed or could not be measured.
"""

import asyncio
import json
import os
import signal
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from caretree.model.errors import CaretreeError

from ops.demo.daemons import Daemon, stop_all
from ops.demo.display import Display
from ops.demo.errors import WalkFailedError
from ops.figures.measuring import measure
from ops.figures.values import Figure, Goal

REACHED, MISSED = 0, 1
_COLUMNS: Final = ("figure", "measured", "goal", "")


def main() -> int:
    """Measure, show, judge; the exit status."""
    # The daemons have sessions of their own: who asks this process to end means them too.
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    display, figures = Display(), list[Figure]()
    display.step("Three daemons on this machine, measured for about half a minute")
    daemons: dict[str, Daemon] = {}
    failure: Exception | None = None
    with tempfile.TemporaryDirectory(prefix="caretree-figures-") as folder:
        try:
            asyncio.run(measure(Path(folder), daemons, figures.append))
        except (WalkFailedError, CaretreeError, OSError) as error:
            failure = error
        finally:
            faults = stop_all(list(daemons.values()))
    display.table(_COLUMNS, table_rows(figures))
    print(as_json(figures))
    for fault in (*([] if failure is None else [str(failure)]), *faults):
        display.alarm(fault)
    whole = failure is None and not faults
    return REACHED if whole and all(figure.reached for figure in figures) else MISSED


def table_rows(figures: Sequence[Figure]) -> list[tuple[str, str, str, str]]:
    """The figures as a table shows them."""
    return [
        (figure.what, f"{_shown(figure.value)} {figure.unit}", figure.goal_text, _verdict(figure))
        for figure in figures
    ]


def as_json(figures: Sequence[Figure]) -> str:
    """The figures for a programme: one line of JSON."""
    measured = {
        figure.name: {
            "value": round(figure.value, 4),
            "unit": figure.unit,
            "goal": figure.goal_text or None,
            "reached": figure.reached,
        }
        for figure in figures
    }
    return json.dumps({"processors": os.cpu_count(), "figures": measured})


def _shown(value: float) -> str:
    return f"{value:.0f}" if value >= 100 else f"{value:.3g}"


def _verdict(figure: Figure) -> str:
    if figure.goal is Goal.NONE:
        return ""
    return "reached" if figure.reached else "MISSED"


if __name__ == "__main__":
    sys.exit(main())
