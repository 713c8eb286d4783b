"""An fsync that fails: the peer stops at the first, acknowledges nothing more, comes back clean.

strace makes the k-th fdatasync of a file by a thread fail with EIO, and each after it, as a dying
disk does.
"""

import re
from collections.abc import AsyncIterator, Callable, Sequence
from pathlib import Path
from typing import Final

import pytest
import pytest_asyncio
from caretree.client import CallFailedError
from caretree.config.exit_status import ExitStatus

from ops.demo.consortium import HOSPITAL, OFFICE, TOWN
from tests.edges.daemons import EdgeDaemon, Three, new_record, three_daemons
from tests.shared import require_tool

pytestmark = [
    pytest.mark.processes,
    pytest.mark.slow,
    pytest.mark.asyncio(loop_scope="module"),
]

INJECTED: Final = re.compile(r"fdatasync\(\d+<([^>]*)>\) *= -1 EIO")


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def three(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Three]:
    """Founded, started and led."""
    require_tool("strace")
    async with three_daemons(tmp_path_factory.mktemp("faults")) as made:
        yield made


def start_on_a_dying_disk(
    daemon: EdgeDaemon, trace: Path, *, files: Sequence[Path], fails_at: int
) -> None:
    """Start it on a disk on which the `fails_at`-th fsync of these files by a thread fails."""
    # -D: strace is the child, so that the process started is the daemon itself.
    daemon.start_under(
        *(require_tool("strace"), "-D", "-f", "-qq", "-y", "-o", str(trace), "--seccomp-bpf"),
        *(word for file in files for word in ("-P", str(file))),
        *("-e", "signal=none", "-e", "trace=fdatasync"),
        *("-e", f"inject=fdatasync:error=EIO:when={fails_at}+"),
    )


def watermark(daemon: EdgeDaemon) -> list[Path]:
    """The watermark's file."""
    return [daemon.data / "watermark"]


def next_logs(daemon: EdgeDaemon) -> list[Path]:
    """What LevelDB's log may be called in the next life of a daemon that has stopped."""
    newest = int(max((daemon.data / "database").glob("*.log")).stem)
    return [daemon.data / "database" / f"{newest + more:06}.log" for more in range(1, 9)]


def files_failed(trace: Path) -> list[str]:
    """The names of the files whose fsync failed, in order."""
    return [Path(name).name for name in INJECTED.findall(trace.read_text())]


@pytest.mark.parametrize(
    ("member", "find", "fails_at"),
    [(TOWN, watermark, 8), (TOWN, next_logs, 3), (HOSPITAL, next_logs, 12)],
    ids=["watermark-8", "log-3", "log-12"],
)
async def test_a_peer_stops_at_the_first_fsync_that_fails_and_loses_nothing_acknowledged(
    three: Three,
    tmp_path: Path,
    member: str,
    find: Callable[[EdgeDaemon], list[Path]],
    fails_at: int,
) -> None:
    victim, trace = three.daemons[member], tmp_path / "trace"
    patient = f"P{fails_at}"
    victim.kill()
    start_on_a_dying_disk(victim, trace, files=find(victim), fails_at=fails_at)
    async with three.caller(patient, workers=1) as caller:
        last_line = await victim.ended(ExitStatus.FATAL)
        if member == TOWN:  # whom the caller calls
            acknowledged = len(caller.acknowledged)
            with pytest.raises(CallFailedError):
                await three.town.append(new_record(patient, b"late"), deadline_s=0.5)
            assert len(caller.acknowledged) == acknowledged
        victim.start()
        await three.led(member)
        await caller.until_more()
    await three.level()

    assert "Input/output error" in last_line
    assert ("the watermark file" if find is watermark else ": log file ") in last_line
    assert last_line.endswith("Runbook: Storage error")
    # Nothing was tried again: one fsync failed, and it was the last.
    assert len(files_failed(trace)) == 1
    assert caller.lost(await three.contents(patient)) == []


async def test_a_peer_whose_disk_fails_at_the_start_does_not_start_and_the_others_go_on(
    three: Three, tmp_path: Path
) -> None:
    victim, trace = three.daemons[OFFICE], tmp_path / "trace"
    victim.kill()
    start_on_a_dying_disk(victim, trace, files=watermark(victim), fails_at=1)

    last_line = await victim.ended(ExitStatus.FATAL)

    assert "repair of the watermark file" in last_line
    assert "Input/output error" in last_line
    assert files_failed(trace) == ["watermark"]
    await three.town.append(new_record("P0", b"meanwhile"))
    victim.start()
    await three.led(OFFICE)
    await three.level()
