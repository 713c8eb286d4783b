"""ops/docs/configuration.md says of every key what the code says, and of no other."""

import dataclasses
import re
from enum import Enum
from pathlib import Path

from caretree.config.exit_status import ExitStatus
from caretree.config.parse import load_config
from caretree.config.values import ClientConfig, Config, Principal

from tests.shared import PROJECT_ROOT

PAGE = (PROJECT_ROOT / "ops" / "docs" / "configuration.md").read_text(encoding="utf-8")


def test_every_key_of_the_daemon_is_documented_with_its_default() -> None:
    tables = {field.name: _section_of(field.type) for field in dataclasses.fields(Config)} | {
        "principals": Principal
    }
    expected = {
        f"{table}.{key}": default
        for table, section in tables.items()
        if section is not None
        for key, default in _defaults(section).items()
    }

    documented = _rows("The daemon's file")

    assert documented.pop("peers.<member>") == "the genesis' address"
    assert documented == expected


def test_every_key_of_the_command_line_is_documented() -> None:
    assert _rows("The command line's file") == _defaults(ClientConfig)


def test_every_exit_status_is_documented() -> None:
    assert list(_rows("Exit status of the daemon")) == [str(int(status)) for status in ExitStatus]


def test_the_example_is_a_whole_file(tmp_path: Path) -> None:
    example = re.search(r"```toml\n(.*?)```", PAGE, re.DOTALL)
    assert example is not None
    path = tmp_path / "caretree.toml"
    path.write_text(example[1], encoding="utf-8")

    assert load_config(path).peer.member == "town"


def _section_of(annotation: object) -> type | None:
    return (
        annotation
        if isinstance(annotation, type) and dataclasses.is_dataclass(annotation)
        else None
    )


def _defaults(section: type) -> dict[str, str]:
    return {field.name: _shown(field) for field in dataclasses.fields(section)}


def _shown(field: dataclasses.Field[object]) -> str:
    match field.default:
        case dataclasses.MISSING:
            return "required"
        case None:
            return "none"
        case bool(flag):
            return str(flag).lower()
        case Enum() as choice:
            return str(choice.value)
        case frozenset():
            return "none"
        case value:
            return str(value)


def _rows(heading: str) -> dict[str, str]:
    """The third column by the first, of the table under a heading."""
    section = PAGE.split(f"## {heading}\n")[1].split("\n## ")[0]
    rows = [line.strip("|").split("|") for line in section.splitlines() if line.startswith("| ")]
    return {row[0].strip().strip("`"): row[2].strip() for row in rows[1:]}
