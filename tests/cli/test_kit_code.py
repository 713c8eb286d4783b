"""`member init` refuses to finish until the code of its recovery kit was typed back."""

from collections.abc import Callable
from pathlib import Path

import pytest
from caretree.cli.asking import ATTEMPTS_MAX, have_code_typed_back
from caretree.cli.errors import CommandError
from caretree.crypto.recovery_code import RecoveryCode, draw_recovery_code

from tests.cli.commands import CODE, TOWN, caretree, invite
from tests.ledger.builders import FixedRandom

SHOWN = draw_recovery_code(FixedRandom(1))
OTHER = draw_recovery_code(FixedRandom(2))


@pytest.mark.parametrize(
    "typed",
    [SHOWN.printed(), SHOWN.printed().lower(), SHOWN.characters, SHOWN.printed().replace("-", " ")],
)
def test_the_code_may_be_typed_as_a_person_types(typed: str) -> None:
    have_code_typed_back(SHOWN, _typing(typed))


def test_a_mistyped_code_is_asked_for_again(capsys: pytest.CaptureFixture[str]) -> None:
    typed = SHOWN.printed()
    flipped = typed[:-1] + ("0" if typed[-1] != "0" else "1")

    have_code_typed_back(SHOWN, _typing("", flipped, OTHER.printed(), typed))

    told = capsys.readouterr().err
    assert "compare every group with the paper" in told
    assert "That is the code of another kit." in told


def test_it_is_given_up_after_so_many_attempts() -> None:
    with pytest.raises(CommandError, match="nothing was made"):
        have_code_typed_back(SHOWN, _typing(*[OTHER.printed()] * ATTEMPTS_MAX, SHOWN.printed()))


def test_without_the_code_typed_back_nothing_is_made(tmp_path: Path) -> None:
    invite(tmp_path)

    ran = caretree(
        *("member", "init", tmp_path / "invitation", "--member", TOWN, "--display-name", "x"),
        *("--directory", tmp_path / TOWN, "--address", "127.0.0.1:7402"),
        typed="no\n" * ATTEMPTS_MAX,
    )

    assert ran.status == 1
    assert "nothing was made" in ran.stderr
    assert CODE.search(ran.stderr) is not None
    assert CODE.search(ran.stdout) is None
    assert not (tmp_path / TOWN).exists()


def test_an_input_that_ends_stops_the_command(tmp_path: Path) -> None:
    invite(tmp_path)

    ran = caretree(
        *("member", "init", tmp_path / "invitation", "--member", TOWN, "--display-name", "x"),
        *("--directory", tmp_path / TOWN, "--address", "127.0.0.1:7402"),
    )

    assert ran.status == 130
    assert "Traceback" not in ran.stderr
    assert not (tmp_path / TOWN).exists()


def _typing(*lines: str) -> "Callable[[str], str]":
    waiting = iter(lines)
    return lambda _question: next(waiting)


def test_the_code_is_in_no_repr() -> None:
    assert isinstance(SHOWN, RecoveryCode)
    assert SHOWN.characters not in repr(SHOWN)
