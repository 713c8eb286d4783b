"""On which line of a TOML text each key stands: tomllib reads values, but forgets where they were.

Only used on a text that tomllib has accepted, so the scan looks for the ends of statements and
leaves every other question to tomllib.
"""

import re
import tomllib
from collections import Counter
from collections.abc import Iterator, Mapping
from typing import Final

# A key from the root; an int stands for the nth table of an array of tables.
KeyPath = tuple[str | int, ...]

_TOKEN: Final = re.compile(
    r'(?P<text>"""(?:\\.|[^\\])*?"{3,5}|'
    r"'''.*?'{3,5}"
    r'|"(?:\\.|[^"\\\n])*"'
    r"|'[^'\n]*')"
    r"|(?P<comment>#[^\n]*)|(?P<open>[\[{])|(?P<close>[\]}])|(?P<newline>\n)|(?P<equals>=)"
    r"|(?P<other>[^\"'#\[\]{}\n=]+)",
    re.DOTALL,
)


def line_of(lines: Mapping[KeyPath, int], path: KeyPath) -> int | None:
    """The line of a key, else of the nearest table or statement around it."""
    for length in range(len(path), 0, -1):
        if path[:length] in lines:
            return lines[path[:length]]
    return None


def key_lines(text: str) -> dict[KeyPath, int]:
    """The line, counted from 1, of every table header and key of a valid TOML text."""
    lines: dict[KeyPath, int] = {}
    tables: Counter[KeyPath] = Counter()
    table: KeyPath = ()
    for number, head in _statements(text):
        if head.startswith("["):
            table = _table_path(head, tables)
            lines.setdefault(table, number)
        else:
            path = table + _key_path(f"{head} = 0")
            for length in range(len(table) + 1, len(path) + 1):
                lines.setdefault(path[:length], number)
    return lines


def _statements(text: str) -> Iterator[tuple[int, str]]:
    """The line and the head of each statement: a table header, or what stands left of its `=`."""
    number, start, depth = 1, 1, 0
    head: list[str] = []
    in_value = False
    for token in _TOKEN.finditer(text):
        if not head:
            start = number
        number += token.group().count("\n")
        if token["newline"] and depth == 0:
            if "".join(head).strip():
                yield start, "".join(head).strip()
            head, in_value = [], False
            continue
        depth += bool(token["open"]) - bool(token["close"])
        in_value = in_value or bool(token["equals"])
        if not in_value and not token["comment"] and not token["newline"]:
            head.append(token.group())
    if "".join(head).strip():
        yield start, "".join(head).strip()


def _table_path(header: str, tables: Counter[KeyPath]) -> KeyPath:
    """Where a header's table stands; `tables` counts the arrays of tables met so far."""
    path: KeyPath = ()
    for part in _key_path(header):
        path += (part,)
        if tables[path] and not (header.startswith("[[") and path == _key_path(header)):
            path += (tables[path] - 1,)
    if header.startswith("[["):
        tables[path] += 1
        path += (tables[path] - 1,)
    return path


def _key_path(statement: str) -> KeyPath:
    """The parts of the dotted key that a statement with nothing else in it sets."""
    path: KeyPath = ()
    value: object = tomllib.loads(statement)
    while isinstance(value, dict | list) and value:
        if isinstance(value, dict):
            key, value = next(iter(value.items()))
            path += (key,)
        else:
            value = value[0]
    return path
