"""Questions to the person at the terminal; asked on the error stream, answered on the input."""

from collections.abc import Callable
from typing import Final

import typer

from caretree.cli.errors import CommandError
from caretree.crypto.recovery_code import RecoveryCode, read_recovery_code
from caretree.model.errors import MalformedError

ATTEMPTS_MAX: Final = 5

Ask = Callable[[str], str]


def ask_person(question: str) -> str:
    """The line typed in answer to a question."""
    answer: str = typer.prompt(question, err=True)
    return answer


def tell_person(text: str) -> None:
    """Tell what belongs to a question, also where the answer is JSON for a program."""
    typer.echo(text, err=True)


def ask_code(question: str, ask: Ask) -> RecoveryCode:
    """The recovery code that the person types, asked again while it is mistyped.

    Raises:
        CommandError: it was mistyped too often.
    """
    for _ in range(ATTEMPTS_MAX):
        try:
            return read_recovery_code(ask(question))
        except MalformedError as error:
            tell_person(error.message)
    raise CommandError(
        f"no recovery code was typed in {ATTEMPTS_MAX} attempts",
        next_step="Find the paper with the code, and run the command again.",
    )


def have_code_typed_back(code: RecoveryCode, ask: Ask) -> None:
    """Return once the person has typed the code that was shown, and so has it on paper.

    Raises:
        CommandError: it was not typed.
    """
    tell_person(
        "The recovery kit opens with this code alone. It is shown once. Write it on paper and keep"
        f" it away from the kit:\n\n    {code.printed()}\n"
    )
    for _ in range(ATTEMPTS_MAX):
        try:
            typed = read_recovery_code(ask("Type the code back from the paper"))
        except MalformedError as error:
            tell_person(error.message)
            continue
        if typed == code:
            return
        tell_person("That is the code of another kit.")
    raise CommandError(
        "the recovery code was not typed back, so nothing was made",
        next_step="Run the command again, and write down the code that it shows.",
    )
