"""How a daemon that cannot run ends: one clear last line, a status, nothing it must not show."""

import subprocess
import sys
from pathlib import Path
from typing import Final

from caretree.config.exit_status import ExitStatus

from tests.cli.commands import TOWN
from tests.cli.conftest import Founding

SECRET: Final = "999999199001011238"
_START: Final = "from caretree.cli.main import main; main()"
_FULL_DISK: Final = (
    "import os, types;os.statvfs = lambda path: types.SimpleNamespace(f_bavail=100, f_frsize=4096);"
)
_BROKEN: Final = f"""
import caretree.cli.serve as serve

def broken(path):
    raise KeyError("{SECRET}")

serve.load_config = broken
"""


def test_a_disk_without_room_for_a_start_refuses_it(founded: Founding) -> None:
    ended = _serve(founded.folder / TOWN / "caretree.toml", _FULL_DISK)

    assert ended.returncode == ExitStatus.FATAL
    assert "bytes free" in _last_line(ended)


def test_a_credential_that_an_access_list_opens_is_read(founded: Founding, tmp_path: Path) -> None:
    home, handed_in = founded.folder / TOWN, tmp_path / "credentials"
    handed_in.mkdir()
    key = (home / "keystore.key").rename(handed_in / "keystore-key")
    key.chmod(0o440)
    config = home / "caretree.toml"
    lines = config.read_text().splitlines(keepends=True)
    config.write_text("".join(line for line in lines if not line.startswith("keystore_key")))

    ended = _serve(config, _FULL_DISK, CREDENTIALS_DIRECTORY=str(handed_in))

    # It came as far as the data directory, so the keystore was open.
    assert "bytes free" in _last_line(ended)


def test_a_fault_of_the_daemon_is_told_without_what_it_quotes(founded: Founding) -> None:
    ended = _serve(founded.folder / TOWN / "caretree.toml", _BROKEN)

    assert ended.returncode == ExitStatus.FAILED
    assert _last_line(ended).startswith("caretree: error: ended by a fault of its own (KeyError)")
    assert '"builtins.KeyError"' in ended.stderr
    assert SECRET not in ended.stderr
    assert "Traceback" not in ended.stderr


def _serve(config: Path, before: str, **environment: str) -> "subprocess.CompletedProcess[str]":
    """A daemon in a process of its own, in which something was put out of order before."""
    return subprocess.run(
        [sys.executable, "-c", f"{before}\n{_START}", "serve", "--config", str(config)],
        env=environment,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


def _last_line(ended: "subprocess.CompletedProcess[str]") -> str:
    return ended.stderr.splitlines()[-1]
