"""What the bench shows: a bar while it measures, lines in a pipe, and tables at the end."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Final, Self

from caretree.cli.output import printable
from rich.box import SIMPLE
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn
from rich.table import Table as Shown
from rich.text import Text

from ops.bench.goals import judge
from ops.bench.report import (
    LOAD_NOTE,
    MISSED,
    REACHED,
    Table,
    figure_table,
    goal_table,
    load_table,
    shown,
)
from ops.bench.values import Figure, Results

_PIPE_COLUMNS: Final = 140
# Processors that others may keep busy before a quiet machine is called noisy.
BUSY_MAX: Final = 0.2
_INDENT: Final = "   "
_STYLES: Final = {REACHED: "green", MISSED: "bold red"}


def console() -> Console:
    """Where the bench is shown; in a pipe wide enough for its tables."""
    made = Console(highlight=False, markup=False, emoji=False)
    if not made.is_terminal:
        made.width = _PIPE_COLUMNS
    return made


def show(on: Console, results: Results) -> None:
    """The results, the goals last."""
    if results.loads:
        _show_table(on, load_table(results))
        on.print(Text(LOAD_NOTE, style="dim"))
    if results.figures:
        _show_table(on, figure_table(results.figures))
    busy = results.machine.get("busy_before", 0)
    if isinstance(busy, float) and busy > BUSY_MAX:
        alarm(on, f"Before the bench began others kept {busy:g} processors busy: trust ratios.")
    judged = judge(results)
    measured = [each for each in judged if each.reached is not None]
    if measured:
        _show_table(on, goal_table(measured))
    missing = [each.goal.name for each in judged if each.reached is None]
    if missing:
        on.print(Text(f"goals not measured: {', '.join(missing)}", style="dim"))


def alarm(on: Console, text: str) -> None:
    """Tell that something went wrong."""
    on.print(Text(printable(text, lines=True), style="bold red"))


def _show_table(on: Console, table: Table) -> None:
    columns, rows = table
    made = Shown(box=SIMPLE, pad_edge=False)
    for column in columns:
        made.add_column(column, overflow="fold")
    for row in rows:
        made.add_row(*(Text(printable(cell), style=_STYLES.get(cell, "")) for cell in row))
    on.print(made)


class Telling:
    """Where the bench tells what it does, and what it found."""

    def __init__(self, bars: Progress, steps: int) -> None:
        self._bars = bars
        self._task = bars.add_task("", total=steps)
        self._begun = False

    @classmethod
    @contextmanager
    def on(cls, console: Console, steps: int) -> Iterator[Self]:
        """Tell it here, for as long as the context lasts; so many steps are expected."""
        columns = (
            BarColumn(bar_width=30),
            MofNCompleteColumn(),
            TimeElapsedColumn(),
            TextColumn("{task.description}", markup=False),
        )
        with Progress(
            *columns, console=console, disable=not console.is_terminal, transient=True
        ) as bars:
            yield cls(bars, steps)

    def begin(self, what: str) -> None:
        """Begin a step; the one before is done."""
        if self._begun:
            self._bars.advance(self._task)
        self._begun = True
        self._bars.update(self._task, description=what)

    def say(self, text: str) -> None:
        """Tell what came of it."""
        self._bars.console.print(Text(_INDENT + text, style="dim"), soft_wrap=True)

    def found(self, figures: list[Figure], more: Sequence[Figure]) -> None:
        """Add figures to those that were found, and tell them."""
        for figure in more:
            figures.append(figure)
            self.say(f"{figure.what}: {shown(figure.value)} {figure.unit}")
