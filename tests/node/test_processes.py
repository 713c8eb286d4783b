"""Three daemons as processes of their own: they share nothing but sockets, and survive SIGKILL."""

import asyncio
import contextlib
import re
import stat
from collections.abc import AsyncIterator, Mapping
from contextlib import AsyncExitStack
from dataclasses import dataclass
from pathlib import Path

import pytest
import pytest_asyncio
from caretree.cli.session import read_settings
from caretree.client import ActingPerson, CallFailedError, CaretreeClient, NewRecord
from caretree.config.exit_status import ExitStatus
from caretree.crypto.pseudonym import normalise_identifier
from caretree.ledger.values import Role

from ops.demo import consortium
from ops.demo.consortium import HOSPITAL, OFFICE, RECORD_SYSTEM, TOWN, Founded
from ops.demo.daemons import Daemon, stop_all
from tests.cli.commands import done

pytestmark = [
    pytest.mark.processes,
    pytest.mark.slow,
    pytest.mark.asyncio(loop_scope="module"),
]

CARD = "urn:example:card"
UP_S_MAX = 30.0
ACTING = ActingPerson(id="D-1", role=Role.PHYSICIAN)


@dataclass(frozen=True, slots=True, kw_only=True)
class Running:
    """The consortium, its daemons, and a client of the town's record system."""

    founded: Founded
    daemons: dict[str, Daemon]
    town: CaretreeClient

    async def led(self) -> str:
        """The member whose peer leads, once the town's peer knows one."""
        async with asyncio.timeout(UP_S_MAX):
            while True:
                try:
                    status = await self.town.status(deadline_s=1)
                except CallFailedError:
                    pass  # it does not listen yet
                else:
                    for peer in status.peers:
                        if peer.leader:
                            return str(peer.member)
                await asyncio.sleep(0.05)


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def running(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Running]:
    """Founded, started and led."""
    folder = tmp_path_factory.mktemp("processes")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(consortium, "caretree", founded_here)
        founded = await consortium.found_consortium(folder, identifier_systems=[CARD])
    daemons = {member: Daemon(centre) for member, centre in founded.centres.items()}
    for daemon in daemons.values():
        daemon.start()
    try:
        async with AsyncExitStack() as stack:
            settings = read_settings(founded.centres[TOWN].client_file(RECORD_SYSTEM))
            town = await stack.enter_async_context(CaretreeClient.connect(settings))
            made = Running(founded=founded, daemons=daemons, town=town)
            await made.led()
            yield made
    finally:
        faults = stop_all(list(daemons.values()))
    assert faults == []


async def founded_here(*arguments: str | Path, folder: Path) -> Mapping[str, object]:
    """A founder's command run in this process: starting one for each takes long."""
    with contextlib.chdir(folder):
        return done(*arguments, "--json").json


def new_record(card: str, content: bytes) -> NewRecord:
    return NewRecord(
        patient=normalise_identifier(system=CARD, value=card),
        content=content,
        media_type="text/plain",
        acting=ACTING,
    )


def open_files(pid: int) -> set[str]:
    """What the process's descriptors are, sockets and the like as the kernel names them."""
    return {str(link.readlink()) for link in Path(f"/proc/{pid}/fd").iterdir()}


def mapped_files(pid: int) -> dict[str, set[str]]:
    """The files mapped into the process, each with the permissions of its mappings."""
    found: dict[str, set[str]] = {}
    for line in Path(f"/proc/{pid}/maps").read_text().splitlines():
        fields = line.split(maxsplit=5)
        if len(fields) == 6 and fields[5].startswith("/"):
            found.setdefault(fields[5], set()).add(fields[1])
    return found


def descriptor_inodes(pid: int) -> set[tuple[int, int]]:
    """Device and inode of each file, socket and pipe that the process has open."""
    found = set()
    for link in Path(f"/proc/{pid}/fd").iterdir():
        try:
            facts = link.stat()
        except FileNotFoundError:
            continue  # closed meanwhile
        # Event queues have one inode for the whole machine, and nobody else in them.
        if any(is_kind(facts.st_mode) for is_kind in (stat.S_ISREG, stat.S_ISSOCK, stat.S_ISFIFO)):
            found.add((facts.st_dev, facts.st_ino))
    return found


async def test_three_peers_share_nothing_but_sockets(running: Running) -> None:
    for number in range(3):
        await running.town.append(new_record("P1", b"%d" % number))
    pids = {member: daemon.pid for member, daemon in running.daemons.items()}
    assert len(set(pids.values())) == 3
    for member, pid in pids.items():
        own = f"{running.founded.centres[member].folder}/"
        others = {other for other in pids if other != member}
        files = {name for name in open_files(pid) if name.startswith("/")}
        # 1. Every file it has open is in its own folder, or /dev/null.
        assert {name for name in files if not name.startswith(own)} <= {"/dev/null"}
        assert any("/data/" in name for name in files)
        # 2. What else it has is sockets, pipes to itself and event queues.
        kinds = {name.split(":")[0] for name in open_files(pid) - files}
        assert kinds <= {"socket", "pipe", "anon_inode"}
        assert "socket" in kinds
        # 3. No descriptor leads to the same inode as one of another's: no shared pipe or socket.
        for other in others:
            assert descriptor_inodes(pid).isdisjoint(descriptor_inodes(pids[other]))
        # 4. What two of them map is libraries, which no mapping of theirs may write through.
        mine = mapped_files(pid)
        for other in others:
            for name in mine.keys() & mapped_files(pids[other]).keys():
                assert not [each for each in mine[name] if each[1] == "w" and each[3] == "s"]
                assert re.search(r"\.so(\.|$)|/python|/locale|gconv|/bin/", name), name
                assert not name.startswith(str(running.founded.folder))
        # 5. Nothing of the others' folders is mapped either.
        foreign = [running.founded.centres[other].folder for other in others]
        assert not [name for name in mine for folder in foreign if name.startswith(str(folder))]
        assert mine
        assert_no_shared_memory(pid)


def assert_no_shared_memory(pid: int) -> None:
    """No System V or POSIX shared memory is mapped."""
    text = Path(f"/proc/{pid}/maps").read_text()
    assert "/SYSV" not in text
    assert "/dev/shm" not in text


async def test_every_peer_killed_in_turn_amid_appends_loses_nothing_acknowledged(
    running: Running,
) -> None:
    acknowledged: dict[bytes, bytes] = {}
    stopping = asyncio.Event()

    async def write(worker: int) -> None:
        number = 0
        while not stopping.is_set():
            content = b"%d/%d" % (worker, number)
            try:
                added = await running.town.append(new_record("P2", content), deadline_s=15)
            except CallFailedError:
                continue  # unknown, or not added; the next one has a request id of its own
            acknowledged[bytes(added.record_id)] = content
            number += 1

    writing = [asyncio.create_task(write(worker)) for worker in range(3)]
    for member in (await running.led(), HOSPITAL, OFFICE, TOWN):
        await asyncio.sleep(0.3)
        running.daemons[member].kill()
        await asyncio.sleep(0.2)
        running.daemons[member].start()
        await running.led()
    stopping.set()
    await asyncio.gather(*writing)
    assert len(acknowledged) > 10

    patient = new_record("P2", b"").patient
    found: list[tuple[bytes, bytes]] = []
    async for page in running.town.history(patient, acting=ACTING, deadline_s=30):
        found.extend((bytes(each.record_id or b""), each.content) for each in page.records)
    held = dict(found)
    assert len(held) == len(found)
    assert {record_id: held.get(record_id) for record_id in acknowledged} == acknowledged


async def test_a_peer_that_lost_its_watermark_says_so_and_does_not_start(running: Running) -> None:
    daemon = running.daemons[OFFICE]
    daemon.kill()
    (watermark,) = [path for path in daemon.centre.folder.rglob("*") if "watermark" in path.name]
    kept = watermark.with_name("aside")
    watermark.rename(kept)
    try:
        daemon.start()
        process = daemon._process
        assert process is not None
        status = await asyncio.to_thread(process.wait, UP_S_MAX)
    finally:
        kept.rename(watermark)
    assert status == ExitStatus.FATAL
    assert daemon.last_line().startswith("caretree: fatal: ")
    assert "no watermark: this peer has lost its storage" in daemon.last_line()
    daemon.start()
    await running.led()
