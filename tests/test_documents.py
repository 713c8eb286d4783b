"""The documents say what is so: links lead somewhere, commands exist, what they show runs."""

import re
import shlex
import subprocess
import sys
from collections.abc import Iterator, Mapping
from functools import cache
from pathlib import Path
from typing import Final

import pytest
import typer
from caretree.ledger.certificate import policy_text
from typer.core import TyperGroup

from tests.ledger.samples import History, history
from tests.repository import shown, text_files
from tests.shared import PROJECT_ROOT

README_LINES_MAX: Final = 150
VERIFYING: Final = PROJECT_ROOT / "ops" / "docs" / "verifying.md"

_FENCE: Final = re.compile(r"^```(\w*)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
_LINK: Final = re.compile(r"\]\(([^()\s]+)\)")
_INLINE: Final = re.compile(r"`((?:make|caretree) [^`\n]+)`")
_TARGET: Final = re.compile(r"^([a-z-]+):", re.MULTILINE)
_NO_ANCHOR: Final = re.compile(r"[^\w\- ]")


@cache
def documents() -> Mapping[Path, str]:
    """Every page of the project, with its text."""
    return {path: text for path, text in text_files().items() if path.suffix == ".md"}


def test_every_relative_link_leads_to_a_file_and_a_heading_of_it() -> None:
    dead = [
        f"{shown(path)}: {link}"
        for path, text in documents().items()
        for link in _LINK.findall(_without_fences(text))
        if ":" not in link and not _leads_somewhere(path, link)
    ]

    assert dead == []


def test_every_make_target_that_a_document_names_exists() -> None:
    targets = set(_TARGET.findall((PROJECT_ROOT / "Makefile").read_text(encoding="utf-8")))
    named = {
        (shown(path), word)
        for path, words in _commands("make")
        for word in words
        if "=" not in word
    }

    assert named, "no document names a target"
    assert {(page, word) for page, word in named if word not in targets} == set()


def test_every_command_and_option_that_a_document_names_exists() -> None:
    named = list(_commands("caretree"))
    wrong = [f"{shown(path)}: {' '.join(words)}" for path, words in named if not _is_known(words)]

    assert named, "no document names a command"
    assert wrong == []


@pytest.mark.parametrize(
    ("words", "known"),
    [
        (["verify", "file", "--policy", "policy"], True),
        (["member", "init", "--directory=town"], True),
        (["verify", "file", "--guess"], False),
        (["member"], True),
        (["member", "dismiss"], False),
        (["verity"], False),
    ],
)
def test_a_command_is_known_by_its_path_and_its_options(words: list[str], *, known: bool) -> None:
    assert _is_known(words) is known


def test_the_readme_is_short() -> None:
    text = documents()[PROJECT_ROOT / "README.md"]

    assert len(text.splitlines()) < README_LINES_MAX


class TestTheProgrammeThatChecksReceipts:
    """The one in verifying.md, run by itself, on what our own verifier was tested with."""

    def test_it_takes_the_receipt_of_every_entry_and_says_its_block_and_time(
        self, tmp_path: Path
    ) -> None:
        past = history(later_blocks=2)
        entries = [0, 2, 10, 12, 14]

        answers = [_check(tmp_path, past, past.receipt(index)) for index in entries]

        assert [answer.stderr for answer in answers] == [""] * len(entries)
        told = [answer.stdout.split(", ")[:2] for answer in answers]
        origin = past.consortium.genesis.origin
        blocks = [0, 1, 1, 2, 3]
        assert told == [
            [f"leaf {index} of {origin}", f"in block {block}"]
            for index, block in zip(entries, blocks, strict=True)
        ]

    def test_it_takes_the_receipt_of_an_erased_entry(self, tmp_path: Path) -> None:
        past = history()

        assert _check(tmp_path, past, past.receipt(3, erased=True)).returncode == 0

    @pytest.mark.parametrize(
        ("line", "complaint"),
        [
            (1, "refused: "),  # the opened entry and its seals
            (2, "refused: leaf "),  # the index
            (3, "refused: leaf "),  # the first hash of the proof
            (-1, "refused: a signature by "),
        ],
    )
    def test_it_refuses_a_receipt_with_a_spoilt_line(
        self, tmp_path: Path, line: int, complaint: str
    ) -> None:
        past = history()
        lines = past.receipt(5).decode().rstrip("\n").split("\n")
        lines[line] = _spoilt(lines[line])

        answer = _check(tmp_path, past, ("\n".join(lines) + "\n").encode())

        assert answer.returncode == 1
        assert answer.stderr.startswith(complaint)

    def test_it_refuses_a_checkpoint_with_one_signature_too_few(self, tmp_path: Path) -> None:
        past = history()
        receipt = past.receipt(5).decode().rstrip("\n").rpartition("\n")[0] + "\n"

        answer = _check(tmp_path, past, receipt.encode())

        assert (answer.returncode, answer.stderr) == (1, "refused: too few signatures\n")

    def test_it_uses_nothing_of_ours(self) -> None:
        assert "import caretree" not in _programme()
        assert "from caretree" not in _programme()


def _without_fences(text: str) -> str:
    return _FENCE.sub("", text)


def _leads_somewhere(page: Path, link: str) -> bool:
    name, _, anchor = link.partition("#")
    target = (page.parent / name).resolve() if name else page
    if not target.exists():
        return False
    return not anchor or anchor in _anchors(documents()[target])


def _anchors(text: str) -> set[str]:
    """The anchors that a page's headings have where pages are shown."""
    headings = re.findall(r"^#+ (.+)$", _without_fences(text), re.MULTILINE)
    return {_NO_ANCHOR.sub("", heading.lower()).replace(" ", "-") for heading in headings}


def _commands(programme: str) -> Iterator[tuple[Path, list[str]]]:
    """Each call of the programme that a page shows in a shell's block, an indented one, or inline.

    A shell's line ends at the first `#`, and what follows a pipe is another programme's.
    """
    for path, text in documents().items():
        blocks = [block for kind, block in _FENCE.findall(text) if kind in {"sh", "console", ""}]
        lines = [line.removeprefix("$ ") for block in blocks for line in block.splitlines()]
        outside = _without_fences(text)
        lines += [line.strip() for line in outside.splitlines() if line.startswith("    ")]
        lines += _INLINE.findall(outside)
        for line in lines:
            if line.startswith(f"{programme} "):
                yield path, shlex.split(line.partition(" | ")[0], comments=True)[1:]


def _is_known(words: list[str]) -> bool:
    """Whether the command line has such a command, and the command such options."""
    group, rest = _command_tree(), list(words)
    while rest and isinstance(inner := group.commands.get(rest[0]), TyperGroup):
        group, rest = inner, rest[1:]
    if not rest or rest == ["--help"]:
        return True  # a group by itself shows its help
    command = group.commands.get(rest[0])
    if command is None:
        return False
    options = {option for parameter in command.params for option in parameter.opts}
    named = {word.partition("=")[0] for word in rest if word.startswith("--")}
    return named <= options | {"--help"}


@cache
def _command_tree() -> TyperGroup:
    # The command line loads every room, which only these tests need.
    from caretree.cli.app import build_app  # noqa: PLC0415

    tree = typer.main.get_command(build_app())
    assert isinstance(tree, TyperGroup)
    return tree


@cache
def _programme() -> str:
    blocks = _FENCE.findall(documents()[VERIFYING])
    (programme,) = [str(block) for kind, block in blocks if kind == "python"]
    return programme


def _check(folder: Path, past: History, receipt: bytes) -> subprocess.CompletedProcess[str]:
    (folder / "check.py").write_text(_programme(), encoding="utf-8")
    (folder / "receipt").write_bytes(receipt)
    (folder / "policy").write_text(policy_text(past.consortium.genesis), encoding="utf-8")
    return subprocess.run(
        [sys.executable, "-I", "check.py", "receipt", "policy"],
        cwd=folder,
        capture_output=True,
        text=True,
        check=False,
    )


def _spoilt(line: str) -> str:
    """The line with another character near its end, of the same alphabet."""
    if line.startswith("index "):
        return f"index {int(line.removeprefix('index ')) + 1}"
    place = len(line) - 8
    return line[:place] + ("A" if line[place] != "A" else "B") + line[place + 1 :]
