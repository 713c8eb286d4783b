"""The referral walk as `make demo` takes it, with few residents: real daemons, real kills."""

import os
import re
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

import pytest

from tests.shared import PROJECT_ROOT

pytestmark = [pytest.mark.processes, pytest.mark.slow]

# The office sees a refusal when its minute is over, so the walk may wait for most of one.
WALK_S_MAX: Final = 170
TOLD_S_MAX: Final = 60.0
_PEER_ROW: Final = re.compile(r"^ (?:town|hospital|office) .* (\d+) *$", re.MULTILINE)


@contextmanager
def _walk(folder: Path, *arguments: str) -> Iterator["subprocess.Popen[str]"]:
    """A walk under way, its temporary files below a folder; told to end when the test does."""
    with (folder / "told").open("w") as told:
        process = subprocess.Popen(
            [sys.executable, "-m", "ops.demo", *arguments],
            cwd=PROJECT_ROOT,
            env={**os.environ, "TMPDIR": str(folder)},
            stdout=told,
            stderr=subprocess.STDOUT,
            text=True,
        )
    try:
        yield process
    finally:
        process.terminate()
        process.wait(timeout=30)


def _told(folder: Path) -> str:
    return (folder / "told").read_text(encoding="utf-8")


def _until_peers_run(folder: Path, process: "subprocess.Popen[str]") -> list[int]:
    """The daemons' processes, once the walk has shown them all."""
    until = time.monotonic() + TOLD_S_MAX
    while time.monotonic() < until and process.poll() is None:
        found = _PEER_ROW.findall(_told(folder))
        if len(found) == 3:
            return [int(pid) for pid in found]
        time.sleep(0.02)
    raise AssertionError(_told(folder))


def _is_running(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True


def _folders_left(folder: Path) -> list[Path]:
    return list(folder.glob("caretree-demo-*"))


@pytest.mark.timeout(WALK_S_MAX + 30)
def test_the_walk_finds_again_all_that_was_acknowledged(tmp_path: Path) -> None:
    with _walk(tmp_path, "--residents", "12") as process:
        status = process.wait(timeout=WALK_S_MAX)
    told = _told(tmp_path)
    assert status == 0, told
    for said in (
        "12 bundles, 36 records",
        "A consortium of three is founded",
        "at 12 acknowledgements SIGKILL to the leader, hospital",
        "at 24 acknowledgements SIGKILL to the importing centre's own peer, town",
        "36 records acknowledged",
        "all three are back and agree",
        "At cardiovascular risk",
        "PERMISSION_DENIED NOT_OPEN",
        "after, the doctor gets 3 records",
        "closed",
        "VERIFIED record.receipt",
        "opened the history to",
        "read 3 records for treatment",
        "was refused 1 time",
    ):
        assert said in told
    # The hospital's own note is one more than what the centre imported.
    assert "acknowledged 37, fetched and their receipts verified 37" in told
    pids = _PEER_ROW.findall(told) + re.findall(r"was started again after 1 s \((\d+)\)", told)
    assert len(pids) == 5
    assert not any(_is_running(int(pid)) for pid in pids)
    assert _folders_left(tmp_path) == []


def test_a_daemon_that_ends_unasked_fails_the_walk_with_its_last_line(tmp_path: Path) -> None:
    with _walk(tmp_path, "--residents", "40") as process:
        pids = _until_peers_run(tmp_path, process)
        os.kill(pids[2], signal.SIGKILL)
        status = process.wait(timeout=TOLD_S_MAX)
    told = " ".join(_told(tmp_path).split())
    assert status == 1, told
    assert "the walk failed: the daemon of office ended with status -9: {" in told
    assert not any(map(_is_running, pids))
    (kept,) = _folders_left(tmp_path)
    assert f"is in {kept}" in told
    shutil.rmtree(kept)


def test_a_walk_that_is_stopped_takes_its_daemons_along(tmp_path: Path) -> None:
    with _walk(tmp_path, "--residents", "40") as process:
        pids = _until_peers_run(tmp_path, process)
        process.send_signal(signal.SIGINT)
        status = process.wait(timeout=TOLD_S_MAX)
    assert status == 128 + signal.SIGINT, _told(tmp_path)
    assert "stopped by SIGINT" in _told(tmp_path)
    assert not any(map(_is_running, pids))
    assert _folders_left(tmp_path) == []
