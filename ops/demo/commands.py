"""The programme `caretree`, run as a person runs it, and what it answered."""

import asyncio
import json
import shlex
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from ops.demo.errors import WalkFailedError

COMMAND_S_MAX: Final = 60.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Ran:
    """How a command ended."""

    command: str
    status: int
    stdout: str
    stderr: str


def programme() -> Path:
    """Where `caretree` is installed: beside the interpreter that runs this.

    Raises:
        WalkFailedError: it is not installed.
    """
    path = Path(sys.executable).with_name("caretree")
    if not path.exists():
        raise WalkFailedError("caretree is not installed here; run `make setup`")
    return path


async def run_caretree(*arguments: str | Path, folder: Path) -> Ran:
    """The command run in a folder, however it ended.

    Raises:
        WalkFailedError: it is not installed, or did not end within COMMAND_S_MAX.
    """
    words = [str(argument) for argument in arguments]
    process = await asyncio.create_subprocess_exec(
        programme(),
        *words,
        cwd=folder,
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    command = shlex.join(["caretree", *words])
    try:
        async with asyncio.timeout(COMMAND_S_MAX):
            stdout, stderr = await process.communicate()
    except TimeoutError:
        raise WalkFailedError(f"`{command}` did not end within {COMMAND_S_MAX:.0f} s") from None
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()
    assert process.returncode is not None
    return Ran(
        command=command,
        status=process.returncode,
        stdout=stdout.decode(errors="replace"),
        stderr=stderr.decode(errors="replace"),
    )


async def caretree(*arguments: str | Path, folder: Path) -> dict[str, object]:
    """What a command answers to programs, once it was done.

    Raises:
        WalkFailedError: it was refused; says by which words.
    """
    ran = await run_caretree(*arguments, "--json", folder=folder)
    if ran.status != 0:
        raise WalkFailedError(f"`{ran.command}` was refused: {ran.stderr.strip()}")
    answer = json.loads(ran.stdout)
    assert isinstance(answer, dict)
    return answer
