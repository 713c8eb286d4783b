"""A disk that fills up: the peer stops at the first write that fails, and comes back with room."""

import os
import resource
import subprocess
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

import pytest
import pytest_asyncio
from caretree.config.exit_status import ExitStatus

from ops.demo.consortium import HOSPITAL, OFFICE
from tests.edges.daemons import EdgeDaemon, Three, three_daemons
from tests.edges.damage import largest
from tests.shared import require_tool

pytestmark = [
    pytest.mark.processes,
    pytest.mark.slow,
    pytest.mark.asyncio(loop_scope="module"),
]

ROOMY: Final = "64m"
TIGHT: Final = "4m"
NO_NAMESPACES: Final = "user-namespaces-refused"
FILLING: Final = os.urandom(40_000)

# What is on the disk is taken back when nobody needs the disk any more.
_MOUNT: Final = """
set -e
mount -t tmpfs -o size="$3" tmpfs "$1"
cp -a "$2"/. "$1"
echo ready
cat
rm -r "$2"
cp -a "$1" "$2"
"""


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def three(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Three]:
    """Founded, started and led."""
    async with three_daemons(tmp_path_factory.mktemp("disks")) as made:
        yield made


class SmallDisk:
    """A tmpfs over a data directory, in a mount namespace that a process of ours holds open."""

    def __init__(self, holder: int, path: Path) -> None:
        self._path = path
        self.inside: Final = (
            *(require_tool("nsenter"), f"--target={holder}"),
            *("--user", "--mount", "--preserve-credentials"),
        )

    def resize(self, size: str) -> None:
        """Give the file system another size."""
        mount = require_tool("mount")
        subprocess.run(
            [*self.inside, mount, "-o", f"remount,size={size}", self._path], check=True, timeout=30
        )


@contextmanager
def small_disk(data: Path) -> Iterator[SmallDisk]:
    """A roomy disk in place of the data directory, with all that it held.

    It is seen by who enters its namespace. Afterwards the data directory holds what the disk held.
    """
    kept = data.with_name("data.before")
    data.rename(kept)
    data.mkdir(mode=0o700)
    words = ("-rm", "sh", "-c", _MOUNT, "sh", str(data), str(kept), ROOMY)
    command = [require_tool("unshare"), *words]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as holder:
        assert holder.stdin is not None
        assert holder.stdout is not None
        try:
            assert holder.stdout.readline() == b"ready\n"
            yield SmallDisk(holder.pid, data)
        finally:
            holder.stdin.close()
            holder.wait(timeout=30)
            data.rmdir()
            kept.rename(data)


def require_namespaces() -> None:
    """Skip, by a name of tests/skips.toml, where the kernel lets nobody make a namespace."""
    tried = subprocess.run(
        [require_tool("unshare"), "-rm", "true"], capture_output=True, check=False, timeout=30
    )
    if tried.returncode != 0:
        pytest.skip(f"{NO_NAMESPACES}: unshare -rm")


def limit_files(daemon: EdgeDaemon, *, more: int) -> None:
    """Let no file of the running daemon grow by more than so much beyond its newest log."""
    size = largest(daemon.data / "database", "*.log").stat().st_size
    resource.prlimit(daemon.pid, resource.RLIMIT_FSIZE, (size + more, resource.RLIM_INFINITY))


async def test_a_leader_on_a_full_disk_stops_and_comes_back_with_room(three: Three) -> None:
    require_namespaces()
    victim = three.daemons[HOSPITAL]
    await victim.stop()  # while little was added, so that it fits the smallest disk
    with small_disk(victim.data) as disk:
        victim.start_under(*disk.inside)
        await three.led(HOSPITAL)
        await three.lead_from(HOSPITAL)
        async with three.caller("P2", workers=1, filling=FILLING) as caller:
            await caller.until_more(2)
            disk.resize(TIGHT)

            last_line = await victim.ended(ExitStatus.FATAL)

            assert f"of database {victim.data}/database failed: " in last_line
            assert "the disk is full (No space left on device)" in last_line
            assert last_line.endswith("Runbook: Full disk")
            await caller.until_more(2)
            assert await three.led() != HOSPITAL
        victim.start_under(*disk.inside)
        last_line = await victim.ended(ExitStatus.FATAL)
        assert f"{victim.data} has " in last_line
        assert "bytes free and 33554432 are needed to start" in last_line
        assert last_line.endswith("Runbook: Full disk")
        disk.resize(ROOMY)
        victim.start_under(*disk.inside)
        await three.led(HOSPITAL)
        await three.level()

        # The only other copy is the township's own now: what it acknowledges rests on both.
        await three.daemons[OFFICE].stop()
        assert caller.lost(await three.contents("P2")) == []
        assert victim.log_text().count("caretree: fatal: ") == 2
        assert victim.log_text().count("caretree: fatal: ") == 2
        await victim.stop()
    for daemon in (victim, three.daemons[OFFICE]):
        daemon.start()
    await three.led(HOSPITAL)
    await three.led(OFFICE)


async def test_a_follower_whose_files_may_not_grow_stops_and_comes_back(three: Three) -> None:
    victim = three.daemons[OFFICE]
    await three.lead_from(HOSPITAL)
    async with three.caller("P1", workers=1, filling=FILLING) as caller:
        await caller.until_more(2)
        limit_files(victim, more=100_000)

        last_line = await victim.ended(ExitStatus.FATAL)

        assert f"of database {victim.data}/database failed: log file" in last_line
        assert "File too large" in last_line
        assert last_line.endswith("Runbook: Storage error")
        await caller.until_more(2)
        victim.start()
        await three.led(OFFICE)
        await caller.until_more(2)
    await three.level()

    assert caller.lost(await three.contents("P1")) == []
    assert victim.log_text().count("caretree: fatal: ") == 1
