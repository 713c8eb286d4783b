"""Small files that a person or the peer itself writes, and what is typed on a command line."""

import atexit
import shutil
import tempfile
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Final

from caretree.cli.acting import FROM_INPUT, read_id, read_patient
from caretree.cli.errors import CommandError
from caretree.cli.home import read_hash
from caretree.cli.journal import Journal
from caretree.config.client import load_client_config
from caretree.config.deny_list import read_deny_list
from caretree.config.errors import ConfigError
from caretree.config.lines import key_lines
from caretree.config.parse import load_config
from caretree.config.text import read_text
from caretree.model.errors import FatalError, MalformedError
from caretree.storage.directory import DataDirectory
from caretree.storage.files import read_file

from tests.config.files import CLIENT, DAEMON
from tests.fuzz.target import Shape, Target
from tests.fuzz.targets.merkle import text_of

_ORIGIN: Final = "city.example/0a1b2c3d"
_JOURNAL: Final = f"caretree import journal v1 {_ORIGIN}\n".encode()
_TOML_WORDS: Final = (
    b"[peer]\n", b"[[principals]]\n", b"[peers]\n", b"[tls]\n", b"[timing]\n", b'deny_list = "d"\n',
    b"tick_ms = 50\n", b"roles = [", b'"""', b"'''", b"# ", b" = ", b"{", b"}", b"1979-05-27",
    b"2026-99-99", b"inf", b"nan", b"0x7fffffffffffffff", b"1_000", b"\\u0000", b"\\UFFFFFFFF",
    b"a.", b'"a".', b"\r\n", b"\x00", b"[" * 300, b"{a=" * 300, b"9" * 5000,
)  # fmt: skip
_MORE: Final = """
[peers]
hospital = "hospital.example:7400"

[[principals]]
name = "his"
kind = "system"
roles = ["physician", "nurse"]

[[principals]]
name = "operator"
kind = "operator"

[api]
reflection = true

[log]
level = "debug"

[timing]
tick_ms = 20
heartbeat_ticks = 1
election_ticks = 10
"""


@cache
def folder() -> Path:
    """A folder of this process alone, gone when it ends."""
    path = Path(tempfile.mkdtemp(prefix="caretree-fuzz-"))
    atexit.register(shutil.rmtree, path, ignore_errors=True)
    return path


def written(data: bytes, name: str = "file") -> Path:
    """A file of this process with these bytes."""
    path = folder() / name
    path.write_bytes(data)
    return path


def _run_lines(data: bytes) -> None:
    """Every line is one of the file; requires what the daemon's configuration takes."""
    path = written(data)
    load_config(path)
    text = read_text(path)
    assert all(1 <= line <= text.count("\n") + 1 for line in key_lines(text).values())


def _run_deny_list(data: bytes) -> None:
    assert all(len(digest) == 32 for digest in read_deny_list(written(data)))


def _run_journal(data: bytes) -> None:
    path = written(data, "journal")
    with Journal(path, origin=_ORIGIN):
        pass
    once = path.read_bytes()
    assert once.startswith(data[: data.rfind(b"\n") + 1])
    with Journal(path, origin=_ORIGIN):
        pass
    assert path.read_bytes() == once


def _run_version(data: bytes) -> None:
    """The VERSION file of a data directory in which the rest is there."""
    directory = folder() / "data"
    (directory / "database").mkdir(parents=True, exist_ok=True)
    (directory / "watermark").touch()
    (directory / "VERSION").write_bytes(data)
    DataDirectory.open(directory).close()


def _run_small_file(data: bytes) -> None:
    assert read_file(written(data)) == data


def _run_patient(data: bytes) -> None:
    text = text_of(data)
    if text != FROM_INPUT:
        read_patient(text)


def _run_typed(data: bytes) -> None:
    assert len(read_hash(text_of(data))) == 32


def _run_id(data: bytes) -> None:
    assert len(read_id(text_of(data), what="record")) == 16


def _deny_lists() -> Iterator[bytes]:
    digits = bytes(range(32)).hex()
    colons = ":".join(digits[at : at + 2] for at in range(0, 64, 2)).upper()
    yield f"# lost laptops\n{digits} a name\n\n{colons}  # gone\n".encode()
    yield b""


TARGETS: Final = (
    Target(
        name="daemon-config",
        run=_run_lines,
        errors=(ConfigError,),
        seeds=lambda: [DAEMON.encode(), f"{DAEMON}{_MORE}".encode()],
        covers=(load_config, read_text, key_lines),
        shape=Shape.TEXT,
        words=_TOML_WORDS,
        may_show=(ConfigError,),
    ),
    Target(
        name="client-config",
        run=lambda data: load_client_config(written(data)),
        errors=(ConfigError,),
        seeds=lambda: [CLIENT.encode()],
        covers=(load_client_config,),
        shape=Shape.TEXT,
        words=_TOML_WORDS,
        may_show=(ConfigError,),
    ),
    Target(
        name="deny-list",
        run=_run_deny_list,
        errors=(ConfigError,),
        seeds=_deny_lists,
        covers=(read_deny_list,),
        shape=Shape.TEXT,
    ),
    Target(
        name="import-journal",
        run=_run_journal,
        errors=(CommandError,),
        seeds=lambda: [_JOURNAL, _JOURNAL + b"%032x %032x\n" % (1, 2) * 2],
        covers=(Journal,),
        shape=Shape.TEXT,
        words=(_JOURNAL, b"%032x " % 7),
    ),
    Target(
        name="version-file",
        run=_run_version,
        errors=(FatalError,),
        seeds=lambda: [b"caretree data directory\nformat 1\nsuite 1\n"],
        covers=(DataDirectory.open,),
        shape=Shape.TEXT,
    ),
    Target(
        name="small-file",
        run=_run_small_file,
        errors=(FatalError,),
        seeds=lambda: [b"content"],
        covers=(read_file,),
    ),
    Target(
        name="genesis-hash",
        run=_run_typed,
        errors=(CommandError,),
        seeds=lambda: [b"ab" * 32 + b"\n", b":".join([b"ABCD"] * 16)],
        covers=(read_hash,),
        shape=Shape.TEXT,
    ),
    Target(
        name="typed-id",
        run=_run_id,
        errors=(CommandError,),
        seeds=lambda: [b"ab" * 16, b"0a1b2c3d-0a1b-2c3d-0a1b-2c3d0a1b2c3d"],
        covers=(read_id,),
        shape=Shape.TEXT,
    ),
    Target(
        name="typed-patient",
        run=_run_patient,
        errors=(MalformedError,),
        seeds=lambda: [b"urn:example:card|A-1", b"11010519491231002X"],
        covers=(read_patient,),
        shape=Shape.TEXT,
    ),
)
