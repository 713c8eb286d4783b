"""The judgement on a skip: allowed for a named reason, or a failure."""

import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

SKIPS_FILE: Final = Path(__file__).with_name("skips.toml")
_PYTEST_PREFIX: Final = "Skipped: "


@dataclass(frozen=True, slots=True, kw_only=True)
class SkipRule:
    """One reason for which a test may skip, as tests/skips.toml states it."""

    id: str
    reason: str
    remedy: str
    allowed_in_ci: bool


def load_rules(path: Path = SKIPS_FILE) -> dict[str, SkipRule]:
    """The rules of tests/skips.toml by id."""
    rows = tomllib.loads(path.read_text(encoding="utf-8"))["skip"]
    rules = [SkipRule(**row) for row in rows]
    by_id = {rule.id: rule for rule in rules}
    assert len(by_id) == len(rules), "an id stands twice in tests/skips.toml"
    return by_id


def rule_of(reason: str, rules: Mapping[str, SkipRule]) -> SkipRule | None:
    """The rule whose id `reason` begins with, or None."""
    skip_id, colon, _ = reason.removeprefix(_PYTEST_PREFIX).partition(":")
    return rules.get(skip_id) if colon else None


def complaint(reason: str, rules: Mapping[str, SkipRule], *, strict: bool) -> str | None:
    """Why a skip for `reason` is a failure, or None when it is allowed."""
    rule = rule_of(reason, rules)
    if rule is None:
        return f"skipped for a reason that tests/skips.toml does not list: {reason}"
    if strict and not rule.allowed_in_ci:
        return f"CI_STRICT does not allow this skip: {reason} ({rule.remedy})"
    return None
