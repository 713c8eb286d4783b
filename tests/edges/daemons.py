"""Three real daemons for the tests of edges: a consortium whose peers may be hurt.

async with three_daemons(folder) as three:
    await three.town.append(new_record(b"..."))
    line = await three.daemons[OFFICE].ended(ExitStatus.FATAL)

One `caller` adds through the township's record system for as long as it is open, and remembers what
was acknowledged; so the victim of a test is best the hospital's or the office's daemon.
"""

import asyncio
import contextlib
import resource
import subprocess
import time
from collections.abc import AsyncIterator, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

import pytest
from caretree.cli.session import read_settings
from caretree.client import ActingPerson, CallFailedError, CaretreeClient, NewRecord
from caretree.client.values import Status
from caretree.config.exit_status import ExitStatus
from caretree.crypto.pseudonym import normalise_identifier
from caretree.ledger.values import Role

from ops.demo import consortium
from ops.demo.commands import programme
from ops.demo.consortium import HOSPITAL, OFFICE, OPERATOR, RECORD_SYSTEM, TOWN, Founded
from ops.demo.daemons import Daemon, stop_all
from tests.cli.commands import done

CARD: Final = "urn:example:card"
ACTING: Final = ActingPerson(id="D-1", role=Role.PHYSICIAN)
MEMBERS: Final = (TOWN, HOSPITAL, OFFICE)
UP_S_MAX: Final = 40.0
LOOK_S: Final = 0.05
PAUSE_S: Final = 0.02  # so that who is looked at has a share of the processor too


class EdgeDaemon(Daemon):
    """A daemon that may be started under another programme, and that may end by itself."""

    def start_under(self, *wrapper: str) -> None:
        """Start it under a programme that becomes it, as `nsenter` does."""
        with self.log_file.open("ab") as log:
            self.start_into(log.fileno(), *wrapper)

    def start_into(self, log: int, *wrapper: str) -> None:
        """Start it with an open file or pipe for its log, under a programme that becomes it."""
        self._process = subprocess.Popen(
            [*wrapper, str(programme()), "serve", "--config", str(self.centre.config)],
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            start_new_session=True,
        )

    @property
    def runs(self) -> bool:
        """Whether the process is there."""
        return self._process is not None and self._process.poll() is None

    async def ended(self, status: ExitStatus) -> str:
        """The last line of its log, once it ended by itself with this status."""
        process, self._process = self._process, None
        assert process is not None
        try:
            found = await asyncio.to_thread(process.wait, UP_S_MAX)
        finally:
            if process.poll() is None:
                process.kill()
                process.wait()
        assert found == status, self.last_line()
        return self.last_line()

    async def stop(self) -> None:
        """Ask it to stop, and see that it does so cleanly."""
        self.ask_to_stop()
        fault = await asyncio.to_thread(self.make_sure, until=time.monotonic() + UP_S_MAX)
        assert fault is None, fault

    @property
    def data(self) -> Path:
        """Its data directory."""
        return self.centre.folder / "data"

    def log_text(self) -> str:
        """All that it wrote, over all its lives."""
        return self.log_file.read_text(errors="replace")


@dataclass(frozen=True, slots=True, kw_only=True)
class Three:
    """The consortium, its daemons, the township's record system and each member's operator."""

    founded: Founded
    daemons: dict[str, EdgeDaemon]
    town: CaretreeClient
    operators: dict[str, CaretreeClient]

    async def status(self, member: str) -> Status:
        """What the member's peer says of itself, once it answers."""
        async with asyncio.timeout(UP_S_MAX):
            while True:
                try:
                    return await self.operators[member].status(deadline_s=1)
                except CallFailedError:
                    await asyncio.sleep(LOOK_S)

    async def led(self, by: str = TOWN) -> str:
        """The member whose peer leads, once `by`'s peer knows one."""
        async with asyncio.timeout(UP_S_MAX):
            while True:
                for peer in (await self.status(by)).peers:
                    if peer.leader:
                        return str(peer.member)
                await asyncio.sleep(LOOK_S)

    async def lead_from(self, member: str) -> None:
        """Move the lead to the member's peer."""
        async with asyncio.timeout(UP_S_MAX):
            while (leader := await self.led()) != member:
                with contextlib.suppress(CallFailedError):
                    await self.operators[leader].transfer_leadership(member, deadline_s=5)
                await asyncio.sleep(LOOK_S)

    async def level(self) -> None:
        """Return once every peer has applied the same tree."""
        async with asyncio.timeout(UP_S_MAX):
            while True:
                if len({(await self.status(member)).tree_size for member in MEMBERS}) == 1:
                    return
                await asyncio.sleep(LOOK_S)

    async def contents(self, patient: str, *, deadline_s: float = UP_S_MAX) -> dict[bytes, bytes]:
        """Each record of a patient by its id, as a history gives it."""
        held: dict[bytes, bytes] = {}
        identifier = normalise_identifier(system=CARD, value=patient)
        async for page in self.town.history(identifier, acting=ACTING, deadline_s=deadline_s):
            held.update((bytes(each.record_id or b""), each.content) for each in page.records)
        return held

    @asynccontextmanager
    async def caller(
        self, patient: str, *, workers: int = 3, filling: bytes = b""
    ) -> AsyncIterator["Caller"]:
        """Somebody who adds records of the patient all the while, several at a time."""
        made = Caller(client=self.town, patient=patient, filling=filling)
        adding = [asyncio.create_task(made.add(worker)) for worker in range(workers)]
        try:
            yield made
        finally:
            made.stopping.set()
            await asyncio.gather(*adding)


@dataclass(frozen=True, slots=True, kw_only=True)
class Caller:
    """Adds record after record, and keeps what was acknowledged by its id."""

    client: CaretreeClient
    patient: str
    filling: bytes
    acknowledged: dict[bytes, bytes] = field(default_factory=dict)
    stopping: asyncio.Event = field(default_factory=asyncio.Event)

    async def add(self, worker: int) -> None:
        """Add until told to stop. A call that failed may have been done: it counts as neither."""
        number = 0
        while not self.stopping.is_set():
            number += 1
            content = b"%d/%d " % (worker, number) + self.filling
            with contextlib.suppress(CallFailedError):
                record = new_record(self.patient, content)
                added = await self.client.append(record, deadline_s=15)
                self.acknowledged[bytes(added.record_id)] = content
            await asyncio.sleep(PAUSE_S)

    async def until_more(self, count: int = 5) -> None:
        """Return once so many more have been acknowledged."""
        before = len(self.acknowledged)
        async with asyncio.timeout(UP_S_MAX):
            while len(self.acknowledged) < before + count:  # noqa: ASYNC110 (many tasks fill it)
                await asyncio.sleep(LOOK_S)

    def lost(self, held: Mapping[bytes, bytes]) -> list[bytes]:
        """The contents that were acknowledged, and are not among those held."""
        return [
            content
            for record_id, content in self.acknowledged.items()
            if held.get(record_id) != content
        ]


def new_record(patient: str, content: bytes) -> NewRecord:
    """A record of the patient for `client.append`."""
    return NewRecord(
        patient=normalise_identifier(system=CARD, value=patient),
        content=content,
        media_type="text/plain",
        acting=ACTING,
    )


async def found(folder: Path) -> Founded:
    """A consortium of three in an empty folder, each peer at ports of its own; none runs."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(consortium, "caretree", _founded_here)
        return await consortium.found_consortium(folder, identifier_systems=[CARD])


@asynccontextmanager
async def three_daemons(folder: Path) -> AsyncIterator[Three]:
    """Founded, started and led; when the context ends, whatever still runs must stop cleanly."""
    founded = await found(folder)
    daemons = {member: EdgeDaemon(centre) for member, centre in founded.centres.items()}
    async with AsyncExitStack() as stack:

        async def connected(member: str, principal: str) -> CaretreeClient:
            settings = read_settings(founded.centres[member].client_file(principal))
            return await stack.enter_async_context(CaretreeClient.connect(settings))

        three = Three(
            founded=founded,
            daemons=daemons,
            town=await connected(TOWN, RECORD_SYSTEM),
            operators={member: await connected(member, OPERATOR) for member in MEMBERS},
        )
        try:
            for daemon in daemons.values():
                daemon.start()
            for member in MEMBERS:
                await three.led(member)
            yield three
        finally:
            # Before the daemons stop: they would wait for the calls that are open.
            await stack.aclose()
            faults = await asyncio.to_thread(stop_all, list(daemons.values()))
    assert faults == []


def resident_bytes(daemon: Daemon) -> int:
    """How much memory the process holds now."""
    pages = int(Path(f"/proc/{daemon.pid}/statm").read_text().split()[1])
    return pages * resource.getpagesize()


def descriptors(daemon: Daemon) -> int:
    """How many files, sockets and pipes the process has open."""
    return sum(1 for _ in Path(f"/proc/{daemon.pid}/fd").iterdir())


async def _founded_here(*arguments: str | Path, folder: Path) -> Mapping[str, object]:
    """A founder's command run in this process: starting one for each takes long."""
    with contextlib.chdir(folder):
        return done(*arguments, "--json").json
