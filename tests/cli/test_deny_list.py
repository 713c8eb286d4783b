"""The deny list of a real daemon: checked at its start, and read again while it runs."""

import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Final

import pytest
from caretree.config.exit_status import ExitStatus

from tests.cli.commands import TOWN
from tests.cli.conftest import Founding
from tests.node.cluster import free_port

DENIED: Final = "ab" * 32
WAIT_S_MAX: Final = 30.0


def _config(founded: Founding, text: str | None) -> Path:
    """The township's configuration with a deny list that says this; on ports of its own."""
    home = founded.folder / TOWN
    config = home / "caretree.toml"
    lines = []
    for line in config.read_text().splitlines():
        ported = line.startswith(("client = ", "peer = "))
        lines.append(f'{line.split(" ")[0]} = "127.0.0.1:{free_port()}"' if ported else line)
        lines.extend(['deny_list = "denied"'] if line == "[tls]" else [])
    config.write_text("\n".join(lines))
    if text is not None:
        (home / "denied").write_text(text)
    return config


def _start(config: Path) -> "subprocess.Popen[bytes]":
    code = "from caretree.cli.main import main; main()"
    with config.with_name("log").open("wb") as log:
        return subprocess.Popen(
            [sys.executable, "-c", code, "serve", "--config", str(config)], stderr=log
        )


def _until_said(config: Path, words: str, *, times: int = 1) -> None:
    """Return once the daemon's log says this so often."""
    end = time.monotonic() + WAIT_S_MAX
    while config.with_name("log").read_text().count(words) < times:
        assert time.monotonic() < end, f"it never said: {words}"
        time.sleep(0.02)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("text", "complaint"),
    [(None, "denied: cannot be read"), (f"{DENIED}\nnobody\n", "denied:2: expected a SHA-256")],
    ids=["missing", "malformed"],
)
def test_a_start_with_a_list_that_is_none_is_refused_by_file_and_line(
    founded: Founding, text: str | None, complaint: str
) -> None:
    config = _config(founded, text)

    status = _start(config).wait(WAIT_S_MAX)

    assert status == ExitStatus.REFUSED
    assert complaint in config.with_name("log").read_text().splitlines()[-1]


@pytest.mark.slow
@pytest.mark.processes
def test_a_running_daemon_takes_a_changed_list_and_survives_sighup(founded: Founding) -> None:
    config = _config(founded, "# nobody\n")
    daemon = _start(config)
    try:
        _until_said(config, '"serving"')
        aside = config.with_name("aside")
        aside.write_text(f"{DENIED} lost\n")
        aside.replace(config.with_name("denied"))
        _until_said(config, '"deny list read"')
        config.with_name("denied").write_text("nobody\n")
        daemon.send_signal(signal.SIGHUP)
        _until_said(config, "the one before stays in force")
        aside.write_text(f"{DENIED}\n")
        aside.replace(config.with_name("denied"))
        daemon.send_signal(signal.SIGHUP)
        _until_said(config, '"deny list read"', times=2)
        assert daemon.poll() is None
    finally:
        daemon.terminate()
        status = daemon.wait(WAIT_S_MAX)
    assert status == ExitStatus.STOPPED
