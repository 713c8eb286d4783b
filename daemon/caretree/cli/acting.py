"""What several client commands ask for: whose history, for whom the caller acts, which record.

A patient's number on a command line stands in the list of processes, where others on the machine
may read it. So `--patient -` takes it from the standard input, and the variable CARETREE_PATIENT
from the environment.
"""

import re
import sys
from pathlib import Path
from typing import Annotated, Final, TypeAlias

import typer

from caretree.cli.errors import CommandError
from caretree.cli.roles import PurposeName, RoleName
from caretree.client.values import ActingPerson
from caretree.crypto.pseudonym import PatientIdentifier, normalise_identifier
from caretree.crypto.resident_number import RESIDENT_NUMBER_SYSTEM

FROM_INPUT: Final = "-"
_ID: Final = re.compile(r"[0-9a-f]{32}")

_CLIENT = typer.Option(
    "--client",
    envvar="CARETREE_CLIENT",
    help="The client.toml that `caretree member principal` made.",
)
ClientFile: TypeAlias = Annotated[Path, _CLIENT]
OptionalClientFile: TypeAlias = Annotated[Path | None, _CLIENT]
Person: TypeAlias = Annotated[
    str | None,
    typer.Option(help="For whom a system acts: the person's id within the member."),
]
ActingRole: TypeAlias = Annotated[
    RoleName | None, typer.Option("--role", help="In what role the person acts.")
]
PatientOption: TypeAlias = Annotated[
    str,
    typer.Option(
        "--patient",
        envvar="CARETREE_PATIENT",
        help="SYSTEM|VALUE, or a resident identity number alone; - reads it from the input, so that"
        " no list of processes shows it.",
    ),
]


PurposeOption: TypeAlias = Annotated[PurposeName, typer.Option("--purpose", help="What for.")]


def acting_as(person: str | None, role: RoleName | None) -> ActingPerson | None:
    """For whom the caller acts, as the options say; None where they say nothing."""
    if person is None and role is None:
        return None
    return ActingPerson(id=person or "", role=None if role is None else role.role())


def read_patient(text: str) -> PatientIdentifier:
    """The patient that an option names, its value made uniform.

    Raises:
        MalformedError: it is no identifier of its system; never shows it.
    """
    named = sys.stdin.readline().rstrip("\r\n") if text == FROM_INPUT else text
    system, separator, value = named.partition("|")
    if not separator:
        system, value = RESIDENT_NUMBER_SYSTEM, named
    return normalise_identifier(system=system, value=value)


def read_id(text: str, *, what: str) -> bytes:
    """The 16 bytes of an id that a person copied, with or without hyphens.

    Raises:
        CommandError: it is none.
    """
    digits = text.strip().lower().replace("-", "")
    if _ID.fullmatch(digits) is None:
        raise CommandError(
            f"{what}: expected 32 hex digits", next_step=f"Copy the {what} id whole."
        )
    return bytes.fromhex(digits)
