"""What is said of each file in ../shared/vectors, collected from tests/*/vector_status.py.

Each vector_status.py holds one mapping: a path relative to ../shared/vectors, a glob or
`folder/**`, to "passed", "later: reason" or "refused: ADR-nnnn reason"; a pair adds a note for the
reader. A glob is read from the right as in pathlib, so a file's bare name suffices where it is
the only one of that name.
"""

import importlib
import re
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from enum import Enum
from pathlib import Path, PurePosixPath
from types import ModuleType
from typing import Final

from tests.shared import PROJECT_ROOT

# What no room speaks for yet.
_UNCLAIMED: Final = {"porcupine/**": "later: the linearizability checker comes with the faults"}

_STATUS: Final = re.compile(r"(passed)|(later): \S.*|(refused): ADR-(\d{4})\b.*", re.DOTALL)
_NO_VECTORS: Final = ("LICENSE*", "SOURCE.txt", "README.md")


class Outcome(Enum):
    """What becomes of a vector file."""

    PASSED = "passed"
    LATER = "later"
    REFUSED = "refused"


@dataclass(frozen=True, slots=True, kw_only=True)
class Claim:
    """One line of a vector_status.py."""

    source: str
    pattern: str
    outcome: Outcome
    text: str
    adr: str | None

    def covers(self, name: str) -> bool:
        """Whether the claim speaks of the file `name`."""
        if self.pattern.endswith("/**"):
            return name.startswith(self.pattern.removesuffix("**"))
        return PurePosixPath(name).match(self.pattern)


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """One line of the table: a group of files and what is said of them."""

    group: str
    counts: Mapping[Outcome, int]
    reasons: tuple[str, ...]


def vector_files(root: Path) -> tuple[str, ...]:
    """The vector files below `root`, without licences and notes on their origin."""
    return tuple(
        sorted(
            path.relative_to(root).as_posix()
            for path in root.rglob("*")
            if path.is_file() and not any(path.match(pattern) for pattern in _NO_VECTORS)
        )
    )


def load_claims() -> tuple[Claim, ...]:
    """Every claim of tests/*/vector_status.py, and those on what no room speaks for yet."""
    claims = [_claim("tests/vector_table.py", *item) for item in _UNCLAIMED.items()]
    for path in sorted((PROJECT_ROOT / "tests").glob("*/vector_status.py")):
        module = importlib.import_module(f"tests.{path.parent.name}.vector_status")
        source = f"tests/{path.parent.name}/vector_status.py"
        claims += [_claim(source, *item) for item in _mapping_of(module).items()]
    return tuple(claims)


def problems(files: Iterable[str], claims: Iterable[Claim]) -> list[str]:
    """Why the claims do not speak exactly once of every file, and of nothing else."""
    files, claims = tuple(files), tuple(claims)
    found = [
        f"{claim.source}: {claim.pattern} matches no file"
        for claim in claims
        if not any(claim.covers(name) for name in files)
    ]
    for name in files:
        sources = [claim.source for claim in claims if claim.covers(name)]
        if not sources:
            found.append(f"{name}: no vector_status.py speaks of it")
        elif len(sources) > 1:
            found.append(f"{name}: claimed more than once ({', '.join(sources)})")
    return found


def unread(files: Iterable[str], claims: Iterable[Claim], opened: frozenset[str]) -> list[str]:
    """The files that are claimed to pass but that no test of this run opened."""
    passing = [claim for claim in claims if claim.outcome is Outcome.PASSED]
    return [
        name
        for name in files
        if name not in opened and any(claim.covers(name) for claim in passing)
    ]


def table(files: Iterable[str], claims: Iterable[Claim]) -> list[Row]:
    """The files by folder, counted by what becomes of them."""
    claims = tuple(claims)
    counts: dict[str, Counter[Outcome]] = {}
    reasons: dict[str, set[str]] = {}
    for name in files:
        group = _group(name)
        for claim in claims:
            if claim.covers(name):
                counts.setdefault(group, Counter())[claim.outcome] += 1
                reasons.setdefault(group, set()).add(claim.text)
    return [
        Row(group=group, counts=counts[group], reasons=tuple(sorted(reasons[group] - {"passed"})))
        for group in sorted(counts)
    ]


def _group(name: str) -> str:
    """The folder of a file, at most two deep, or the file where a folder is all there is."""
    parts = PurePosixPath(name).parts
    return "/".join(parts[:2]) if len(parts) > 2 else parts[0]


def _mapping_of(module: ModuleType) -> Mapping[str, object]:
    mappings = [
        value for name, value in vars(module).items() if name.isupper() and isinstance(value, dict)
    ]
    assert len(mappings) == 1, f"{module.__name__} holds {len(mappings)} mappings, expected one"
    return mappings[0]


def _claim(source: str, pattern: str, said: object) -> Claim:
    words = (said,) if isinstance(said, str) else said
    assert isinstance(words, tuple), f"{source}: {pattern}: expected text or (text, note)"
    assert all(isinstance(word, str) for word in words), f"{source}: {pattern}: expected text"
    match = _STATUS.fullmatch(words[0])
    assert match is not None, f"{source}: {pattern}: not a status: {words[0]!r}"
    outcome = Outcome(match[1] or match[2] or match[3])
    return Claim(
        source=source, pattern=pattern, outcome=outcome, text="; ".join(words), adr=match[4]
    )
