"""How a command answers: tables and colour at a terminal, plain lines in a pipe, JSON for programs.

Everything that is shown came from somewhere: what is not printable is replaced, so that no text of
another member's can move the cursor.
"""

import json
import sys
from collections.abc import Mapping, Sequence
from typing import Final, TextIO, TypeAlias

from rich.box import SIMPLE
from rich.console import Console
from rich.table import Table
from rich.text import Text

from caretree.ledger.receipt_text import utc_text
from caretree.model.ids import TimeMs

JsonValue: TypeAlias = "str | int | bool | Mapping[str, JsonValue] | Sequence[JsonValue] | None"

_UNPRINTABLE: Final = "\ufffd"
_HASH_GROUP: Final = 8
_SECONDS_SHOWN: Final = len("2026-01-01 00:00:00")


class Output:
    """Where a command's answer goes. Notes and questions go to the error stream, answers do not."""

    def __init__(self, *, as_json: bool) -> None:
        self.as_json = as_json
        self._answers = Console(highlight=False, markup=False, emoji=False)
        self._notes = Console(stderr=True, highlight=False, markup=False, emoji=False)

    @property
    def notes(self) -> Console:
        """The console of notes, for a progress bar."""
        return self._notes

    @property
    def for_people(self) -> bool:
        """Whether the answer is shown at a terminal."""
        return not self.as_json and self._answers.is_terminal

    def fields(
        self, title: str, rows: Sequence[tuple[str, str]], *, data: Mapping[str, JsonValue]
    ) -> None:
        """Answer with labelled lines, or with `data`."""
        if self.as_json:
            self._write_json(data)
        elif not self.for_people:
            self._lines([title, *(f"{label}: {text}" for label, text in rows)])
        else:
            grid = Table.grid(padding=(0, 2))
            grid.add_column(style="dim", no_wrap=True)
            grid.add_column(overflow="fold")
            for label, text in rows:
                grid.add_row(Text(printable(label)), Text(printable(text)))
            self._answers.print(Text(printable(title), style="bold"))
            self._answers.print(grid)

    def table(
        self,
        title: str,
        columns: Sequence[str],
        rows: Sequence[Sequence[str]],
        *,
        data: Mapping[str, JsonValue] | None,
    ) -> None:
        """Answer with a table, in a pipe as lines of cells between tabs, or with `data`.

        Without data the table belongs to an answer that a program has already.
        """
        if self.as_json:
            if data is not None:
                self._write_json(data)
        elif not self.for_people:
            self._lines(["\t".join(columns), *("\t".join(map(_cell, row)) for row in rows)])
        else:
            table = Table(box=SIMPLE, title_justify="left", title=Text(printable(title)))
            for place, column in enumerate(columns):
                # What a row begins with stays in one piece, to be found and to be copied.
                table.add_column(column, overflow="fold", no_wrap=place == 0)
            for row in rows:
                table.add_row(*(Text(printable(cell)) for cell in row))
            self._answers.print(table)

    def raw(self, content: bytes) -> None:
        """Answer with bytes as they are; at a terminal, with what of them is printable."""
        if self.for_people:
            self._answers.print(Text(printable(content.decode(errors="replace"), lines=True)))
            return
        sys.stdout.flush()
        sys.stdout.buffer.write(content)
        sys.stdout.buffer.flush()

    def note(self, text: str) -> None:
        """Tell a person something beside the answer; a program is told nothing."""
        if not self.as_json:
            self._notes.print(Text(printable(text, lines=True)))

    def _write_json(self, data: Mapping[str, JsonValue]) -> None:
        self._lines([json.dumps(data, ensure_ascii=False, indent=2)])

    def _lines(self, lines: Sequence[str]) -> None:
        for line in lines:
            print(line if self.as_json else printable(line, tabs=True))


def show_error(message: str, next_step: str, *, reason: str, as_json: bool, stream: TextIO) -> None:
    """One line that says what failed and what to do next; for a program, as JSON."""
    if as_json:
        error = {"reason": reason, "message": message, "next_step": next_step}
        print(json.dumps({"error": error}, ensure_ascii=False), file=stream)
        return
    line = " ".join(_sentence(part) for part in (message, next_step) if part.strip())
    print(f"caretree: {printable(line)}", file=stream)


def printable(text: str, *, tabs: bool = False, lines: bool = False) -> str:
    """The text with whatever a terminal might obey, rather than show, replaced."""
    kept = ("\t" if tabs else "") + ("\n\t" if lines else "")
    return "".join(
        character if character.isprintable() or character in kept else _UNPRINTABLE
        for character in text
    )


def short_time(time_ms: TimeMs) -> str:
    """A time as a cell of a table: UTC, to the second."""
    return utc_text(time_ms)[:_SECONDS_SHOWN]


def grouped(digest: bytes) -> str:
    """A hash as people compare it: hex digits in groups of eight."""
    digits = digest.hex()
    starts = range(0, len(digits), _HASH_GROUP)
    return " ".join(digits[at : at + _HASH_GROUP] for at in starts)


def _sentence(text: str) -> str:
    stripped = text.strip()
    return stripped if stripped.endswith((".", "?", "!")) else f"{stripped}."


def _cell(text: str) -> str:
    return printable(text)
