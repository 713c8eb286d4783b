import json
import subprocess
import sys

import pytest
from caretree.cli.app import build_app
from caretree.cli.examples import COMMANDS
from caretree.cli.output import grouped, printable, show_error
from typer.main import get_command

from tests.cli.commands import caretree, done

GROUPS = ("consortium", "member")


def test_every_command_has_a_runnable_example_in_its_help() -> None:
    for path, command_help in COMMANDS.items():
        ran = done(*path.split(), "--help")

        assert f"Example:\n    {command_help.example}\n" in ran.stdout
        assert command_help.example.startswith(f"caretree {path} ")


def test_no_command_lacks_an_example_and_no_example_a_command() -> None:
    assert set(_commands()) == set(COMMANDS)


def test_every_command_but_the_daemon_answers_programs_in_json() -> None:
    for path in COMMANDS.keys() - {"serve"}:
        assert "--json" in done(*path.split(), "--help").stdout, path


@pytest.mark.parametrize(
    "arguments", [("no-such",), ("member", "ini"), ("verify",), ("verify", "a", "--polici", "b")]
)
def test_a_misused_command_is_status_2_and_says_where_to_look(arguments: tuple[str, ...]) -> None:
    ran = caretree(*arguments)

    assert ran.status == 2
    assert "--help" in ran.stderr
    assert ran.stderr.count("\n") == 1


def test_a_misuse_is_json_for_a_program() -> None:
    ran = caretree("verify", "--json")

    assert ran.status == 2
    assert json.loads(ran.stderr)["error"]["reason"] == "USAGE"


def test_the_programme_starts_and_lists_its_commands() -> None:
    start = "from caretree.cli.main import main; main()"

    ran = subprocess.run(
        [sys.executable, "-c", start, "--help"], capture_output=True, text=True, check=True
    )

    assert "consortium" in ran.stdout
    assert "serve" in ran.stdout


def test_the_daemon_starts_without_the_command_line() -> None:
    # A module of the command line in an idle peer costs memory for its whole life. (structlog, by
    # which the daemon logs, brings rich along.)
    start = """
import sys
sys.argv = ["caretree", "serve", "--help"]
from caretree.cli.main import main
try:
    main()
except SystemExit as end:
    assert not end.code, end.code
print(sorted({"typer", "caretree.cli.app", "caretree.cli.output"} & sys.modules.keys()))
"""
    ran = subprocess.run([sys.executable, "-c", start], capture_output=True, text=True, check=True)

    assert ran.stdout.splitlines()[-1] == "[]"


def test_a_terminal_is_shown_nothing_that_it_would_obey() -> None:
    assert printable("a\x1b[2Jb\u202ec\n") == "a\ufffd[2Jb\ufffdc\ufffd"
    assert printable("a\tb\nc", tabs=True) == "a\tb\ufffdc"
    assert printable("a\tb\nc", lines=True) == "a\tb\nc"
    assert printable("区医院") == "区医院"


def test_a_hash_is_shown_in_groups() -> None:
    assert grouped(bytes.fromhex("0123456789abcdef" * 4)) == " ".join(["01234567", "89abcdef"] * 4)


def test_an_error_is_one_line_however_it_was_worded(capsys: pytest.CaptureFixture[str]) -> None:
    show_error("it\nfailed.", "Try again", reason="X", as_json=False, stream=sys.stderr)

    assert capsys.readouterr().err == "caretree: it\ufffdfailed. Try again.\n"


def _commands() -> list[str]:
    root = get_command(build_app())
    commands = root.commands  # type: ignore[attr-defined] # typer's group has no public type
    found = [name for name in commands if name not in GROUPS]
    for group in GROUPS:
        found += [f"{group} {name}" for name in commands[group].commands]
    return found
