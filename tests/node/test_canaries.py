"""No secret of a patient or member is in any file, row, log, metric, error or core dump."""

import asyncio
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Final

import pytest
from caretree.model.reasons import Reason

from tests.node.canaries import Canary, search
from tests.node.canary_facts import CHINESE, contents
from tests.node.canary_walk import Left, files_left, rows_left, walk
from tests.node.wrong_calls import reasons_of

UP_S_MAX: Final = 30.0
# Raises the limit on core dumps as far as it goes, and becomes the programme named behind it.
UNLIMITED: Final = 'ulimit -S -c "$(ulimit -H -c)" && exec "$@"'

pytestmark = [pytest.mark.processes, pytest.mark.slow]


@pytest.fixture(scope="module")
def left(tmp_path_factory: pytest.TempPathFactory) -> Left:
    """The consortium after its life; no daemon of it runs."""
    return asyncio.run(walk(tmp_path_factory.mktemp("canaries")))


def test_the_canaries_lived(left: Left) -> None:
    assert left.read == frozenset(contents())
    assert all(len(content) > 2000 for content in left.metrics.values())
    expected = {Reason.INVALID_FIELD, Reason.CONTENT_TOO_LARGE, Reason.REQUEST_ID_REUSED}
    assert reasons_of(left.refusals) > expected | {Reason.NOT_OPEN, Reason.ROLE_NOT_PERMITTED}


def test_no_file_of_any_member_holds_a_canary(left: Left) -> None:
    files = files_left(left.founded)

    assert any(name.endswith(".log, joined") for name in files)
    assert search(files, left.canaries) == []


def test_no_log_line_holds_a_canary(left: Left) -> None:
    logs = {
        centre.member: (centre.folder / "daemon.log").read_bytes()
        for centre in left.founded.centres.values()
    }

    assert all(b'"event":"serving"' in log for log in logs.values())
    assert search(logs, left.canaries) == []


def test_no_metric_holds_a_canary(left: Left) -> None:
    assert search(left.metrics, left.canaries) == []


def test_no_answer_to_a_wrong_call_holds_a_canary(left: Left) -> None:
    assert search({**left.refusals, **left.pages}, left.canaries) == []


def test_no_file_is_named_after_a_canary(left: Left) -> None:
    names = "\n".join(files_left(left.founded)).encode()

    assert search({"names": names}, left.canaries) == []


@pytest.mark.parametrize("compact", [False, True])
def test_no_row_holds_a_canary_before_or_after_compaction(left: Left, compact: bool) -> None:
    rows = rows_left(left.founded, compact=compact)

    assert all(rows.values())
    assert search(rows, left.canaries) == []
    assert search(files_left(left.founded), left.canaries) == []


def test_a_canary_planted_in_a_file_is_found(left: Left) -> None:
    planted = left.founded.folder / "planted"
    planted.write_text(f"a note: {CHINESE}", encoding="gb18030")
    try:
        found = search(files_left(left.founded), left.canaries)
    finally:
        planted.unlink()

    assert found == ["the Chinese complaint as gb18030 bytes in planted"]


def test_a_daemon_that_aborts_leaves_no_core_dump(left: Left, tmp_path: Path) -> None:
    config = next(iter(left.founded.centres.values())).config
    programme = Path(sys.executable).with_name("caretree")
    command = ["sh", "-c", UNLIMITED, "sh", str(programme), "serve", "--config", str(config)]
    log = tmp_path / "log"
    with log.open("wb") as output:
        process = subprocess.Popen(command, cwd=tmp_path, stdout=output, stderr=output)
    try:
        _wait_for(log, b'"event":"serving"')
        facts = Path("/proc") / str(process.pid)
        limits = (facts / "limits").read_text().splitlines()
        (core,) = [line.split()[4:6] for line in limits if line.startswith("Max core file size")]
        dumped = int((facts / "coredump_filter").read_text(), 16)
        os.kill(process.pid, signal.SIGABRT)
        _, status = os.waitpid(process.pid, 0)
        process.returncode = -signal.SIGABRT
    finally:
        if process.returncode is None:
            process.kill()
            process.wait()

    assert (core, dumped) == (["0", "0"], 0)
    assert os.WTERMSIG(status) == signal.SIGABRT
    assert not os.WCOREDUMP(status)
    assert [path.name for path in tmp_path.iterdir()] == ["log"]
    assert search({"log": log.read_bytes()}, left.canaries) == []


def _wait_for(log: Path, line: bytes) -> None:
    end = time.monotonic() + UP_S_MAX
    while line not in log.read_bytes():
        assert time.monotonic() < end, log.read_text()
        time.sleep(0.05)


def test_a_canary_shows_itself_to_nobody_who_prints_it() -> None:
    assert CHINESE not in repr(Canary(what="complaint", value=CHINESE))
