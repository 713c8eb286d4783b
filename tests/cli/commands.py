"""Commands run as a person runs them, and a consortium of three founded by them."""

import io
import json
import re
import subprocess
import sys
from collections.abc import Mapping
from contextlib import redirect_stderr, redirect_stdout
from dataclasses import dataclass
from pathlib import Path
from typing import Final
from unittest.mock import patch

from caretree.cli.app import run

TOWN: Final = "town"
MEMBERS: Final = (TOWN, "hospital", "office")
CONSORTIUM: Final = "city.example"
PORTS: Final = {"town": 17400, "hospital": 17410, "office": 17420}
CODE: Final = re.compile(r"(?:[0-9A-Z]{4}-){6}[0-9A-Z]{4}")


@dataclass(frozen=True, slots=True, kw_only=True)
class Ran:
    """How a command ended."""

    status: int
    stdout: str
    stderr: str

    @property
    def json(self) -> Mapping[str, object]:
        parsed = json.loads(self.stdout)
        assert isinstance(parsed, dict)
        return parsed


def caretree(*arguments: object, typed: str = "") -> Ran:
    """The command run in this process, with `typed` on its input."""
    stdout, stderr = _Stream(), _Stream()
    with (
        redirect_stdout(stdout),
        redirect_stderr(stderr),
        patch.object(sys, "stdin", io.TextIOWrapper(io.BytesIO(typed.encode()))),
    ):
        status = run([str(argument) for argument in arguments])
    return Ran(status=status, stdout=stdout.text(), stderr=stderr.text())


def done(*arguments: object, typed: str = "") -> Ran:
    """As `caretree`, and it must have been done."""
    ran = caretree(*arguments, typed=typed)
    assert ran.status == 0, ran.stderr
    return ran


def check_refused(ran: Ran, said: str) -> None:
    """One line that says what failed and what to do; no trace of Python."""
    assert ran.status == 1
    assert said in ran.stderr
    assert ran.stderr.count("\n") == 1
    assert "Traceback" not in ran.stderr
    assert ran.stdout == ""


def init_with_kit(folder: Path, *arguments: str) -> str:
    """`member init` in a process of its own, its code typed back; the code."""
    start = "from caretree.cli.main import main; main()"
    command = [sys.executable, "-c", start, "member", "init", *map(str, arguments)]
    with subprocess.Popen(
        command, cwd=folder, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE
    ) as process:
        assert process.stdin is not None
        assert process.stderr is not None
        told = b""
        while (code := CODE.search(told.decode())) is None:
            told += process.stderr.readline()
        process.stdin.write(code[0].lower().encode() + b"\n")
        process.stdin.close()
        process.stderr.read()
        assert process.wait() == 0
    return code[0]


def init_member(folder: Path, member: str, *more: str) -> Ran:
    """`member init` without a kit, at ports of its own."""
    port = PORTS[member]
    return done(
        *("member", "init", folder / "invitation", "--member", member, "--display-name", member),
        *("--directory", folder / member, "--address", f"127.0.0.1:{port}", "--no-kit"),
        *("--client-listen", f"127.0.0.1:{port + 1}", "--http-listen", f"127.0.0.1:{port + 2}"),
        *more,
    )


def invite(folder: Path) -> None:
    """An invitation to the three members."""
    members = [part for member in MEMBERS for part in ("--member", member)]
    done("consortium", "create", CONSORTIUM, *members, "--out", folder / "invitation")


def collect(folder: Path, *, out: str = "genesis") -> str:
    """The genesis of the three join requests; its hash."""
    requests = [folder / member / "join-request" for member in MEMBERS]
    ran = done(
        *("consortium", "found", folder / "invitation", *requests),
        *("--out", folder / out, "--json"),
    )
    return str(ran.json["hash"])


def sign(folder: Path, member: str, *, genesis: str = "genesis") -> Path:
    """The member's signature of a genesis."""
    out = folder / f"{member}.{genesis}.signature"
    done("member", "sign", folder / genesis, "--directory", folder / member, "--out", out)
    return out


class _Stream(io.TextIOWrapper):
    """A text stream over bytes, as the standard streams are."""

    def __init__(self) -> None:
        super().__init__(io.BytesIO(), encoding="utf-8", write_through=True)

    def text(self) -> str:
        self.flush()
        assert isinstance(self.buffer, io.BytesIO)
        return self.buffer.getvalue().decode()
