"""A start that is refused: by the file or key that is wrong, with what to do, and never a trace.

Every daemon here is a process of its own that runs `caretree serve`.
"""

import asyncio
import os
import re
import shutil
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import pytest
from caretree.cli.last_words import FULL_DISK, SECTIONS
from caretree.config.exit_status import ExitStatus
from caretree.storage.directory import DataDirectory

from ops.demo.consortium import OFFICE, TOWN
from tests.edges.daemons import found
from tests.edges.damage import flip
from tests.shared import PROJECT_ROOT, require_tool

pytestmark = [pytest.mark.processes, pytest.mark.slow]

STARTER: Final = Path(__file__).with_name("starter.py")
RUNBOOK: Final = PROJECT_ROOT / "ops" / "docs" / "runbook.md"
_SECTION: Final = re.compile(r"\. Runbook: (.+)$")

REFUSED, FATAL, FAILED = ExitStatus.REFUSED, ExitStatus.FATAL, ExitStatus.FAILED


@dataclass(frozen=True, slots=True, kw_only=True)
class Material:
    """What a case may use: its own copy of the township's directory, and those of others."""

    home: Path
    office: Path  # another member's directory
    namesake: Path  # the township of another consortium of the same name
    held: ExitStack  # what stays open until the daemon has been refused

    def occupy(self, key: str, *, shared: bool = False) -> None:
        """Name a port at which somebody else listens; a `shared` one would let a daemon join."""
        other = self.held.enter_context(socket.socket())
        if shared:
            other.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        other.bind(("127.0.0.1", 0))
        other.listen()
        self.configure(key, f'{key} = "127.0.0.1:{other.getsockname()[1]}"')

    def take(self, folder: Path, *names: str) -> None:
        """Put another's files in the place of the own ones."""
        for name in names:
            if (folder / name).is_dir():
                shutil.rmtree(self.home / name)
                shutil.copytree(folder / name, self.home / name)
            else:
                shutil.copy(folder / name, self.home / name)

    def configure(self, key: str, line: str) -> None:
        """Replace the configuration's line of a key; by nothing when the line is empty."""
        file = self.home / "caretree.toml"
        lines = [
            line if old.startswith(f"{key} =") else old for old in file.read_text().splitlines()
        ]
        file.write_text("\n".join(lines) + "\n")


@dataclass(frozen=True, slots=True, kw_only=True)
class Case:
    """What is done to a member's directory, and how the daemon must then be refused."""

    do: Callable[[Material], object]
    status: ExitStatus
    said: tuple[str, ...]  # in the last line


def _write(name: str, content: bytes) -> Callable[[Material], object]:
    return lambda at: (at.home / name).write_bytes(content)


def _remove(name: str) -> Callable[[Material], object]:
    def remove(at: Material) -> None:
        path = at.home / name
        shutil.rmtree(path) if path.is_dir() else path.unlink()

    return remove


def _file_for_directory(at: Material) -> None:
    shutil.rmtree(at.home / "data")
    (at.home / "data").write_text("no directory")


CASES: Final[Mapping[str, Case]] = {
    "configuration-with-a-flipped-key": Case(
        do=lambda at: at.configure("client", 'cliemt = "127.0.0.1:1"'),
        status=REFUSED,
        said=("caretree.toml", "listen.client", "missing"),
    ),
    "configuration-missing": Case(
        do=_remove("caretree.toml"), status=REFUSED, said=("caretree.toml: cannot be read",)
    ),
    "keystore-flipped": Case(
        do=lambda at: flip(at.home / "keystore", 90),
        status=REFUSED,
        said=("/keystore does not open", "Put both back"),
    ),
    "keystore-missing": Case(
        do=_remove("keystore"), status=REFUSED, said=("/keystore is missing", "Put it back")
    ),
    "keystore-key-of-another": Case(
        do=_write("keystore.key", b"k" * 32),
        status=REFUSED,
        said=("does not open with", "/keystore.key", "wrong key or damaged"),
    ),
    "keystore-key-missing": Case(
        do=_remove("keystore.key"), status=REFUSED, said=("/keystore.key is missing", "Put it back")
    ),
    "keystore-key-not-named-and-no-credential": Case(
        do=lambda at: at.configure("keystore_key", ""),
        status=REFUSED,
        said=("caretree.toml", "peer.keystore_key", "systemd credential"),
    ),
    "keystore-readable-by-the-group": Case(
        do=lambda at: (at.home / "keystore").chmod(0o640),
        status=FATAL,
        said=("/keystore has mode 0640", "chmod 600"),
    ),
    "keystore-key-readable-by-all": Case(
        do=lambda at: (at.home / "keystore.key").chmod(0o604),
        status=FATAL,
        said=("/keystore.key has mode 0604", "chmod 600"),
    ),
    "certificate-key-readable-by-the-group": Case(
        do=lambda at: (at.home / "peer.key").chmod(0o640),
        status=FATAL,
        said=("/peer.key has mode 0640", "chmod 600"),
    ),
    "keystore-of-another-member": Case(
        do=lambda at: at.take(at.office, "keystore", "keystore.key"),
        status=REFUSED,
        said=("/keystore: the keystore belongs to another member", "Name the keystore"),
    ),
    "genesis-flipped": Case(
        do=lambda at: flip(at.home / "genesis", 700),
        status=REFUSED,
        said=("/genesis", "was changed", "from another member"),
    ),
    "genesis-missing": Case(
        do=_remove("genesis"), status=REFUSED, said=("/genesis is missing", "member import")
    ),
    "genesis-of-another-consortium": Case(
        do=lambda at: at.take(at.namesake, "genesis", "genesis-hash"),
        status=REFUSED,
        said=("/keystore", "does not name the peer", "Put the genesis back"),
    ),
    "certificate-flipped": Case(
        do=lambda at: flip(at.home / "peer.pem", 300),
        status=REFUSED,
        said=("tls.peer_certificate", "/peer.pem", "member renew"),
    ),
    "certificate-of-another-peer": Case(
        do=lambda at: at.take(at.office, "peer.pem", "peer.key"),
        status=REFUSED,
        said=("tls.peer_certificate", "/peer.pem", "another than this peer", "member renew"),
    ),
    "certificate-with-another-s-key": Case(
        do=lambda at: at.take(at.office, "peer.key"),
        status=REFUSED,
        said=("tls.peer_key", "/peer.key", "not the key of", "member renew"),
    ),
    "certificate-missing": Case(
        do=_remove("peer.pem"),
        status=REFUSED,
        said=("tls.peer_certificate", "/peer.pem", "missing"),
    ),
    "data-directory-missing": Case(
        do=_remove("data"), status=FATAL, said=("/data", "holds no peer's data", "Runbook")
    ),
    "data-directory-is-a-file": Case(
        do=_file_for_directory,
        status=FATAL,
        said=("/data", "holds no peer's data", "Runbook"),
    ),
    "data-directory-of-a-newer-release": Case(
        do=_write("data/VERSION", b"caretree data directory\nformat 2\nsuite 1\n"),
        status=FATAL,
        said=("/data has format version 2", "knows up to 1", "start the release that wrote it"),
    ),
    "data-directory-of-another-peer": Case(
        do=lambda at: at.take(at.office, "data"),
        status=FATAL,
        said=("/data", "do not belong together", "Runbook"),
    ),
    "data-directory-of-another-consortium": Case(
        do=lambda at: at.take(at.namesake, "data"),
        status=FATAL,
        said=("/data", "do not belong together", "Runbook"),
    ),
    "data-directory-in-use": Case(
        do=lambda at: at.held.callback(DataDirectory.open(at.home / "data").close),
        status=FATAL,
        said=("/data: in use by another process", "Runbook"),
    ),
    "data-directory-without-its-watermark": Case(
        do=_remove("data/watermark"), status=FATAL, said=("/data", "no watermark", "Lost storage")
    ),
    "data-directory-without-its-database": Case(
        do=_remove("data/database/CURRENT"),
        status=FATAL,
        said=("/data/database is missing", "Lost storage"),
    ),
    "client-port-taken": Case(
        do=lambda at: at.occupy("client"),
        status=FAILED,
        said=("listen.client", "already in use", "Runbook: Port taken"),
    ),
    "client-port-taken-by-one-that-shares": Case(
        do=lambda at: at.occupy("client", shared=True),
        status=FAILED,
        said=("listen.client", "already in use", "Runbook: Port taken"),
    ),
    "peer-port-taken": Case(
        do=lambda at: at.occupy("peer", shared=True),
        status=FAILED,
        said=("listen.peer", "already in use", "Runbook: Port taken"),
    ),
    "http-port-taken": Case(
        do=lambda at: at.occupy("http"),
        status=FAILED,
        said=("listen.http", "already in use", "Runbook: Port taken"),
    ),
    "address-of-another-machine": Case(
        do=lambda at: at.configure("client", 'client = "192.0.2.1:7401"'),
        status=FAILED,
        said=("listen.client", "192.0.2.1:7401", "Cannot assign", "Runbook: Port taken"),
    ),
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Ended:
    """How a daemon ended: its exit status, all that it wrote, and the last line of that."""

    status: int
    stderr: str

    @property
    def last_line(self) -> str:
        return self.stderr.splitlines()[-1]


@contextmanager
def prepared(folder: Path) -> Iterator[Mapping[str, Path]]:
    """By case, the configuration of a directory to which its damage was done."""
    ours = asyncio.run(found(_made(folder / "ours")))
    namesake = asyncio.run(found(_made(folder / "namesake")))
    configs = {}
    with ExitStack() as held:
        for name, case in CASES.items():
            home = folder / name
            shutil.copytree(ours.centres[TOWN].folder, home)
            case.do(
                Material(
                    home=home,
                    office=ours.centres[OFFICE].folder,
                    namesake=namesake.centres[TOWN].folder,
                    held=held,
                )
            )
            configs[name] = home / "caretree.toml"
        yield configs


@pytest.fixture(scope="module")
def ended(tmp_path_factory: pytest.TempPathFactory) -> Mapping[str, Ended]:
    """How the daemon of each case ended."""
    with prepared(tmp_path_factory.mktemp("starts")) as configs:
        subprocess.run([sys.executable, STARTER, *configs.values()], timeout=100, check=True)
    return {
        name: Ended(
            status=int(config.with_name("status.txt").read_text()),
            stderr=config.with_name("stderr.txt").read_text(),
        )
        for name, config in configs.items()
    }


@pytest.mark.parametrize("name", CASES)
def test_a_start_with_something_wrong_is_refused_by_its_name(
    ended: Mapping[str, Ended], name: str
) -> None:
    case, found_end = CASES[name], ended[name]

    assert found_end.status == case.status, found_end.stderr
    kind = "fatal" if case.status is FATAL else "error"
    assert found_end.last_line.startswith(f"caretree: {kind}: ")
    assert [words for words in case.said if words not in found_end.last_line] == []
    assert "Traceback" not in found_end.stderr
    assert "serving" not in found_end.stderr


def test_every_section_that_a_last_line_may_name_is_in_the_runbook(
    ended: Mapping[str, Ended],
) -> None:
    lines = RUNBOOK.read_text(encoding="utf-8").splitlines()
    headings = {line.removeprefix("## ") for line in lines if line.startswith("## ")}
    known = {FULL_DISK, *(section for _, section in SECTIONS if section is not None)}
    named = {match[1] for end in ended.values() if (match := _SECTION.search(end.last_line))}

    assert named >= {"Lost storage", "Data directory refused", "Port taken"}
    assert named <= known
    assert known - headings == set()


def test_a_data_directory_that_may_not_be_written_is_refused(
    tmp_path_factory: pytest.TempPathFactory,
) -> None:
    folder = tmp_path_factory.mktemp("unwritable")
    home = asyncio.run(found(folder)).centres[TOWN].folder
    (home / "data" / "LOCK").unlink(missing_ok=True)
    (home / "data").chmod(0o500)
    # Root may write whatever the mode; so it gives up what makes it so.
    powerless = [require_tool("setpriv"), "--bounding-set=-all"] if os.geteuid() == 0 else []

    started = subprocess.run(
        [*powerless, sys.executable, STARTER, home / "caretree.toml"], timeout=60, check=True
    )

    (home / "data").chmod(0o700)
    assert started.returncode == 0
    assert int((home / "status.txt").read_text()) == FATAL
    last_line = (home / "stderr.txt").read_text().splitlines()[-1]
    assert f"locking of data directory {home}/data failed: Permission denied" in last_line
    assert last_line.endswith("Runbook: Storage error")


def _made(folder: Path) -> Path:
    folder.mkdir()
    return folder
