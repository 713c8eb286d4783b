"""The rules about the project itself: sizes, walls that no linter knows, what must not be in it."""

import ast
import hashlib
import io
import os
import re
import tokenize
import tomllib
from pathlib import Path
from typing import Final

from tests.repository import (
    PACKAGE,
    module_name,
    project_files,
    python_sources,
    shown,
    syntax_trees,
    text_files,
)
from tests.shared import PROJECT_ROOT, shared_path

FUNCTION_LINES_MAX: Final = 70
FILE_LINES_MAX: Final = 400
TOP_LEVEL: Final = frozenset(
    {".ci", ".gitignore", "CHANGELOG.md", "LICENSE", "Makefile", "README.md", "buf.yaml"}
    | {"daemon", "ops", "proto", "pyproject.toml", "requirements.lock", "tests"}
)
ADR_FOLDER: Final = PROJECT_ROOT / "ops" / "docs" / "adr"
GOLDEN: Final = PROJECT_ROOT / "tests" / "golden"
INVARIANTS_PAGE: Final = PROJECT_ROOT / "ops" / "docs" / "invariants.md"

# Written so that they do not match themselves.
_UNFINISHED: Final = re.compile(r"\b(?:TO[D]O|FIX[M]E|X[X]X)\b")
_MACHINE_PATH: Final = re.compile(r"(?<![\w.>*~-])/(?:work|tmp|root|home|Users)/")
_REGISTRY: Final = re.compile(
    r"(?:pypi|pythonhosted|npmjs|crates|golang)\.(?:org|com|io)/(?:simple|packages|project)"
    r"|(?<![\w-])--(?:extra-)?index-url|registry\.npmjs|proxy\.golang|deb\.debian\.org"
)
_INVARIANT: Final = re.compile(r"\bINV-\d+\b")


def test_functions_are_at_most_seventy_lines() -> None:
    long_ones = [
        f"{shown(path)}:{node.lineno} {node.name} has {_lines(node)} lines"
        for path, tree in syntax_trees().items()
        for node in ast.walk(tree)
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
        and _lines(node) > FUNCTION_LINES_MAX
    ]

    assert long_ones == []


def test_files_are_at_most_four_hundred_lines() -> None:
    lengths = {shown(path): len(text.splitlines()) for path, text in python_sources().items()}

    assert {name: lines for name, lines in lengths.items() if lines > FILE_LINES_MAX} == {}


def test_every_package_says_what_it_is_for() -> None:
    silent = [
        shown(path)
        for path, tree in syntax_trees().items()
        if path.name == "__init__.py" and not ast.get_docstring(tree)
    ]

    assert silent == []


def test_every_room_is_a_package() -> None:
    folders = {path.parent for path in python_sources() if PACKAGE in path.parents}
    rooms = {folder for folder in folders if folder != PACKAGE}

    assert [shown(room) for room in rooms if not (room / "__init__.py").is_file()] == []


def test_nothing_is_left_for_later() -> None:
    assert _matches(_UNFINISHED) == []


def test_no_file_names_a_path_of_some_machine() -> None:
    assert _matches(_MACHINE_PATH) == []


def test_no_file_names_a_package_registry() -> None:
    assert _matches(_REGISTRY) == []


def test_no_file_of_others_is_copied_into_the_project() -> None:
    theirs = _shared_digests()
    copied = [
        f"{shown(path)} is {theirs[digest]}"
        for path in project_files()
        if (digest := _digest(path)) in theirs
    ]

    assert copied == []


def test_only_golden_data_directories_hold_what_is_no_text() -> None:
    binary = [path for path in project_files() if path not in text_files()]

    assert [shown(path) for path in binary if GOLDEN not in path.parents] == []


def test_the_top_level_holds_only_what_it_should() -> None:
    names = {path.relative_to(PROJECT_ROOT).parts[0] for path in project_files()}

    assert names - TOP_LEVEL == set()


def test_identifiers_are_ascii() -> None:
    foreign = [
        f"{shown(path)}:{token.start[0]} {token.string}"
        for path, text in python_sources().items()
        if not text.isascii()
        for token in tokenize.generate_tokens(io.StringIO(text).readline)
        if token.type == tokenize.NAME and not token.string.isascii()
    ]

    assert foreign == []


def test_every_module_is_imported_or_started() -> None:
    imported = {name for path, tree in syntax_trees().items() for name in _imports(path, tree)}
    dead = [
        shown(path)
        for path in python_sources()
        if PACKAGE in path.parents
        and path.name not in {"__init__.py", "__main__.py"}
        and module_name(path) not in imported | _entry_points()
    ]

    assert dead == []


def test_every_invariant_is_cited_and_every_cited_one_is_defined() -> None:
    page = INVARIANTS_PAGE.read_text(encoding="utf-8") if INVARIANTS_PAGE.exists() else ""
    defined = set(_INVARIANT.findall(page))
    cited = {name for text in python_sources().values() for name in _INVARIANT.findall(text)}

    assert defined - cited == set(), "defined, but cited by no code and no test"
    assert cited - defined == set(), "cited, but not on the invariants page"


def test_every_decision_stands_in_the_index_once() -> None:
    files = {path.name for path in ADR_FOLDER.glob("[0-9]*.md")}
    index = ADR_FOLDER / "README.md"
    text = index.read_text(encoding="utf-8") if index.exists() else ""
    linked = re.findall(r"\]\((?:\./)?(\d{4}-[\w-]+\.md)\)", text)

    assert sorted(linked) == sorted(files)
    assert len({name[:4] for name in files}) == len(files), "two decisions bear one number"


def test_ci_runs_the_tests_and_then_the_checks() -> None:
    script = PROJECT_ROOT / ".ci" / "run"
    lines = script.read_text(encoding="utf-8").splitlines()

    assert os.access(script, os.X_OK)
    assert lines.index("make test") < lines.index("make check")


def _lines(node: ast.FunctionDef | ast.AsyncFunctionDef) -> int:
    assert node.end_lineno is not None
    return node.end_lineno - node.lineno + 1


def _matches(pattern: re.Pattern[str]) -> list[str]:
    return [
        f"{shown(path)}:{number} {line.strip()[:80]}"
        for path, text in text_files().items()
        for number, line in enumerate(text.splitlines(), start=1)
        if pattern.search(line)
    ]


def _digest(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


def _shared_digests() -> dict[str, str]:
    # A licence's text is the same wherever it applies, and short files may agree by chance.
    root = shared_path(".")
    return {
        _digest(path): path.relative_to(root).as_posix()
        for path in root.rglob("*")
        if path.is_file() and not path.name.startswith("LICENSE") and path.stat().st_size > 64
    }


def _imports(path: Path, tree: ast.Module) -> set[str]:
    """The modules that the file imports, other than itself."""
    names: set[str] = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            names.update(alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module is not None:
            names.add(node.module)
            names.update(f"{node.module}.{alias.name}" for alias in node.names)
    return names - {module_name(path)}


def _entry_points() -> set[str]:
    project = tomllib.loads((PROJECT_ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    return {target.partition(":")[0] for target in project["project"]["scripts"].values()}
