"""A parser for scenario files: a directive, input lines, ----, and the expected output.

The output ends at an empty line, or, when it begins with a second ----, at a doubled ----.
"""

import re
from dataclasses import dataclass

_ARGUMENT = re.compile(r"([^\s=()]+)(?:=(\([^)]*\)|\S*))?")


@dataclass(frozen=True, slots=True, kw_only=True)
class Case:
    """One directive of a file, and what it shall print."""

    line: int
    command: str
    # Arguments without "=" have no values.
    arguments: tuple[tuple[str, tuple[str, ...]], ...]
    text: str
    expected: str

    def plain(self) -> list[str]:
        """The arguments that are no assignment."""
        return [key for key, values in self.arguments if not values]

    def values(self, key: str) -> tuple[str, ...]:
        """What is assigned to `key`; nothing when it is not there."""
        return tuple(value for name, values in self.arguments if name == key for value in values)

    def value(self, key: str, default: str) -> str:
        """The one thing assigned to `key`."""
        return next(iter(self.values(key)), default)

    def flag(self, key: str) -> bool:
        """Whether `key` is assigned true."""
        return self.value(key, "false") == "true"


def parse_cases(text: str) -> list[Case]:
    """The cases of a file, in order."""
    cases: list[Case] = []
    lines = text.split("\n")
    place = 0
    while place < len(lines):
        if not lines[place].strip() or lines[place].startswith("#"):
            place += 1
            continue
        start = place
        while lines[place] != "----":
            place += 1
        expected, after = _expected(lines, place + 1)
        command, arguments = _directive(lines[start])
        cases.append(
            Case(
                line=start + 1,
                command=command,
                arguments=arguments,
                text="\n".join(lines[start + 1 : place]),
                expected=expected,
            )
        )
        place = after
    return cases


def _expected(lines: list[str], place: int) -> tuple[str, int]:
    doubled = place < len(lines) and lines[place] == "----"
    start = place = place + doubled
    while place < len(lines):
        ends = lines[place : place + 2] == ["----", "----"] if doubled else not lines[place]
        if ends:
            break
        place += 1
    return "\n".join(lines[start:place]), place + 2 * doubled


def _directive(line: str) -> tuple[str, tuple[tuple[str, tuple[str, ...]], ...]]:
    command, _, rest = line.partition(" ")
    arguments = []
    for key, value in _ARGUMENT.findall(rest):
        inner = value.strip("()")
        values = tuple(part.strip() for part in inner.split(",")) if inner else ()
        arguments.append((key, values))
    return command, tuple(arguments)
