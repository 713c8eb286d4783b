"""Options that several commands share."""

from pathlib import Path
from typing import Annotated, TypeAlias

import typer

Json: TypeAlias = Annotated[bool, typer.Option("--json", help="Answer in JSON, for programs.")]
Directory: TypeAlias = Annotated[
    Path, typer.Option(help="The member's directory, made by `caretree member init`.")
]
