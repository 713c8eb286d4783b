"""The project's own files, as the tests about the project itself see them."""

import ast
import subprocess
from functools import cache
from pathlib import Path
from typing import Final

import pytest

from tests.shared import PROJECT_ROOT, require_tool

PACKAGE: Final = PROJECT_ROOT / "daemon" / "caretree"
GENERATED: Final = tuple(PACKAGE / "proto" / name for name in ("ledger", "api", "peer"))


@cache
def project_files() -> tuple[Path, ...]:
    """Every file that is tracked, or would be by the next `git add`."""
    if not (PROJECT_ROOT / ".git").exists():
        pytest.skip("not-a-clone: only a clone knows which files belong to the project")
    # A checkout may belong to another user than the one who runs CI.
    command = [require_tool("git"), "-c", "safe.directory=*", "ls-files", "-z"]
    command += ["--cached", "--others", "--exclude-standard"]
    listing = subprocess.run(command, cwd=PROJECT_ROOT, check=True, capture_output=True).stdout
    paths = [PROJECT_ROOT / name for name in listing.decode().split("\0") if name]
    return tuple(sorted(path for path in set(paths) if path.is_file()))


def is_generated(path: Path) -> bool:
    """Whether protoc wrote the file."""
    return any(path.is_relative_to(folder) for folder in GENERATED)


@cache
def text_files() -> dict[Path, str]:
    """The project's files that are text, with their text."""
    texts: dict[Path, str] = {}
    for path in project_files():
        try:
            texts[path] = path.read_text(encoding="utf-8")
        except UnicodeDecodeError:
            continue
    return texts


@cache
def python_sources() -> dict[Path, str]:
    """The Python files that are written by hand, with their text."""
    return {
        path: text
        for path, text in text_files().items()
        if path.suffix == ".py" and not is_generated(path)
    }


@cache
def syntax_trees() -> dict[Path, ast.Module]:
    """The Python files that are written by hand, parsed."""
    return {path: ast.parse(text) for path, text in python_sources().items()}


def shown(path: Path) -> str:
    """The path as people say it: from the project's root."""
    return path.relative_to(PROJECT_ROOT).as_posix()


def module_name(path: Path) -> str:
    """The dotted name under which a Python file of the project is imported."""
    inside = path.relative_to(PROJECT_ROOT / "daemon" if PACKAGE in path.parents else PROJECT_ROOT)
    parts = inside.with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)
