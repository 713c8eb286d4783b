"""The page of edges says what is so: its tests exist, its bounds are those of the code."""

import ast
import importlib
import re
from collections.abc import Iterator
from functools import cache
from typing import Final

import pytest

from tests.repository import PACKAGE
from tests.shared import PROJECT_ROOT

PAGE: Final = PROJECT_ROOT / "ops" / "docs" / "edges.md"
SECTIONS: Final = (
    "Calls and streams",
    "Floods",
    "Certificates and rights",
    "Files and disks",
    "Bounds",
)
# What a row about calls, streams and floods must stand for.
EDGES: Final = (
    *("too large", "empty", "malformed", "unknown field", "unknown method", "unknown patient"),
    *("request id reused", "wrong consortium", "another member's peer", "replayed batch"),
    *("cancelled call", "deadline passed", "no quorum", "slow reader", "slow sender"),
    *("flood of calls", "flood of streams", "flood of pings", "rapid reset"),
    *("connection storms", "half-open", "junk bytes", "HTTP/1", "slowloris", "huge headers"),
    *("unknown paths", "huge ranges", "a peer that lies"),
)
# The rooms that face callers and other peers: each bound of theirs stands on the page.
FACING: Final = ("rpc", "console", "node")
UNITS: Final = {"ms": 1, "s": 1, "bytes": 1, "KiB": 1024, "MiB": 1024**2, "": 1}

_NAMED: Final = re.compile(r"`(tests/[\w/]+\.py)::(\w+)`")
_BOUND: Final = re.compile(
    r"^\| .+ \| `(caretree\.[\w.]+)\.(\w+)` \| ([\d,.]+) ?(\w*) \|$", re.MULTILINE
)


@cache
def sections() -> dict[str, str]:
    """The page's sections by their headings."""
    parts = re.split(r"^## (.+)$", PAGE.read_text(encoding="utf-8"), flags=re.MULTILINE)
    return dict(zip(parts[1::2], parts[2::2], strict=True))


def rows(section: str) -> Iterator[list[str]]:
    """The cells of each row of a section's table."""
    for line in sections()[section].splitlines():
        if line.startswith("| ") and not line.startswith("| edge |"):
            yield [cell.strip() for cell in line.strip("|").split(" | ")]


@cache
def functions(file: str) -> frozenset[str]:
    """The tests that a file defines."""
    tree = ast.parse((PROJECT_ROOT / file).read_text(encoding="utf-8"))
    return frozenset(
        node.name
        for node in ast.walk(tree)
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
    )


def test_the_page_has_its_sections() -> None:
    assert tuple(sections()) == SECTIONS


@pytest.mark.parametrize("section", SECTIONS[:4])
def test_each_row_says_who_sees_what_and_names_tests_that_exist(section: str) -> None:
    found = list(rows(section))
    assert found, "no row"
    for cells in found:
        assert len(cells) == 4, cells[0]
        assert all(cells), cells[0]
        named = _NAMED.findall(cells[3])
        assert named, cells[0]
        assert cells[3].count("`") == 2 * len(named), cells[0]
        missing = [
            f"{file}::{name}"
            for file, name in named
            if not (PROJECT_ROOT / file).is_file() or name not in functions(file)
        ]
        assert missing == []


@pytest.mark.parametrize("edge", EDGES)
def test_the_edge_has_a_row(edge: str) -> None:
    first_cells = [cells[0] for section in SECTIONS[:2] for cells in rows(section)]
    assert [cell for cell in first_cells if edge in cell]


def test_every_bound_on_the_page_is_the_one_in_the_code() -> None:
    listed = _BOUND.findall(sections()["Bounds"])
    table = [line for line in sections()["Bounds"].splitlines() if line.startswith("| ")]
    assert len(listed) == len(table) - 1, "a row that is not read"
    wrong = []
    for module, name, number, unit in listed:
        value = getattr(importlib.import_module(module), name)
        if value != float(number.replace(",", "")) * UNITS[unit]:
            wrong.append(f"{module}.{name} is {value}")
    assert wrong == []


def test_every_bound_of_the_rooms_that_face_others_is_on_the_page() -> None:
    listed = {f"{module}.{name}" for module, name, *_ in _BOUND.findall(sections()["Bounds"])}
    assert set(constants()) - listed == set()


def constants() -> Iterator[str]:
    """The public bounds that those rooms define."""
    for room in FACING:
        for path in (PACKAGE / room).glob("*.py"):
            for node in ast.parse(path.read_text(encoding="utf-8")).body:
                target = node.target if isinstance(node, ast.AnnAssign) else None
                if isinstance(target, ast.Name) and re.fullmatch(r"[A-Z]\w*_MAX", target.id):
                    yield f"caretree.{room}.{path.stem}.{target.id}"
