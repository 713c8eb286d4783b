"""What the walk shows to people: steps, tables and progress bars; plain lines in a pipe.

Bundles, trails and logs hold text of others, so what is not printable is replaced.
"""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Final

from caretree.cli.output import printable
from rich.box import SIMPLE
from rich.console import Console
from rich.padding import Padding
from rich.progress import BarColumn, MofNCompleteColumn, Progress, ProgressColumn, Task, TextColumn
from rich.table import Table
from rich.text import Text
from typing_extensions import override

_PIPE_COLUMNS: Final = 110
_INDENT: Final = "   "


class Display:
    """Where the walk is told. Steps count themselves."""

    def __init__(self, console: Console | None = None) -> None:
        self._console = console or Console(highlight=False, markup=False, emoji=False)
        if not self._console.is_terminal:
            self._console.width = _PIPE_COLUMNS
        self._steps = 0

    def step(self, title: str) -> None:
        """Begin a step of the walk."""
        self._steps += 1
        self._console.print()
        self._console.print(Text(f"{self._steps}. {title}", style="bold"))

    def say(self, text: str, *, style: str = "") -> None:
        """Tell something within the step; the text may have several lines."""
        for line in printable(text, lines=True).splitlines():
            told = Padding(Text(line, style=style), (0, 0, 0, len(_INDENT)), expand=False)
            self._console.print(told)

    def alarm(self, text: str) -> None:
        """Tell that something was broken, on purpose or not."""
        self.say(text, style="bold red")

    def command(self, command: str, answer: str = "") -> None:
        """Show a command, and what it answered, in lines that can be copied."""
        self._console.print(Text(f"{_INDENT}$ {command}", style="bold cyan"), soft_wrap=True)
        for line in printable(answer, lines=True).splitlines():
            self._console.print(Text(_INDENT + line), soft_wrap=True)

    def table(self, columns: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
        """Show rows under their columns."""
        table = Table(box=SIMPLE, pad_edge=False)
        for column in columns:
            table.add_column(column, overflow="fold")
        for row in rows:
            table.add_row(*(Text(printable(cell)) for cell in row))
        self._console.print(table)

    @contextmanager
    def progress(self, what: str, total: int) -> Iterator[Callable[[], None]]:
        """A bar for as long as the context lasts; what it gives counts one more as done."""
        columns = (
            TextColumn(f"{_INDENT}{what}"),
            BarColumn(bar_width=40),
            MofNCompleteColumn(),
            _Rate(),
        )
        piped = not self._console.is_terminal
        with Progress(*columns, console=self._console, disable=piped) as bars:
            task = bars.add_task(what, total=total)
            yield lambda: bars.advance(task)


class _Rate(ProgressColumn):
    """How many a second."""

    @override
    def render(self, task: Task) -> Text:
        """The rate over the last moments, or over all when it is done."""
        return Text(f"{task.finished_speed or task.speed or 0:.0f}/s", style="dim")
