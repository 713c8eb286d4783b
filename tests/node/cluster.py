"""Three real peers in one process: real sockets, mutual TLS, LevelDB and files.

async with cluster(tmp_path) as peers:
    answer = await peers[TOWN].peer.append([record(...)], deadline=...)
"""

import asyncio
import random
import socket
from collections.abc import AsyncIterator, Callable, Iterable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from pathlib import Path

from caretree.cli.certificates import Authority, create_authority, issue_peer
from caretree.config.values import Timing, TlsFiles
from caretree.crypto.custody import SystemCustody, SystemRandom
from caretree.crypto.keystore import Keystore, PeerKeys, PseudonymKey
from caretree.crypto.pseudonym import normalise_identifier
from caretree.ledger.genesis import FIRST_PSEUDONYM_EPOCH, Genesis
from caretree.ledger.values import Actor, Role
from caretree.model.errors import FatalError
from caretree.model.ids import MemberId, PeerId, RequestId, TimeMs
from caretree.node.assembly import PeerParts, PeerSettings
from caretree.node.calls import AppendCommand
from caretree.node.clock import SystemClock
from caretree.node.deny_list import DenyList
from caretree.node.disk import Disk
from caretree.node.founding import _begin, create_data_directory
from caretree.node.peer import Peer
from caretree.proto.peer.v1 import peer_pb2
from caretree.storage.directory import DataDirectory
from caretree.storage.leveldb import LevelDbStore
from caretree.storage.memory import MemoryStore
from caretree.storage.ports import Batch
from caretree.storage.row_cipher import RowCipher
from caretree.storage.watermark import WatermarkFile
from caretree.telemetry.health import Health
from caretree.telemetry.logs import build_logger
from caretree.telemetry.metrics import Metrics
from prometheus_client import CollectorRegistry

from tests.ledger.builders import (
    CONSORTIUM,
    HOSPITAL,
    OFFICE,
    PSEUDONYM_KEY,
    TOWN,
    Consortium,
    Founder,
    found,
    founder,
)

MEMBERS = (TOWN, HOSPITAL, OFFICE)
PHYSICIAN = Actor(principal="his", person="dr-li", role=Role.PHYSICIAN)
AUDITOR = Actor(principal="office-auditor", person="", role=Role.AUDITOR)
CARD = "urn:example:card"
QUICK = Timing(tick_ms=20, heartbeat_ticks=2, election_ticks=15)
STORAGE_KEY = b"\x07" * 32


def free_port() -> int:
    """A port that nobody listens on now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


@dataclass(slots=True)
class SkewedClock:
    """The machine's clock, and how far ahead of it this one goes."""

    ahead_ms: int = 0

    def now_ms(self) -> TimeMs:
        """See `Clock.now_ms`."""
        return TimeMs(SystemClock().now_ms() + self.ahead_ms)


@dataclass(slots=True, kw_only=True)
class Seat:
    """One member's place: what outlives its peer, and the peer while it runs.

    With a store in memory, a crash can be told to lose what was not fsynced.
    """

    founder: Founder
    genesis: Genesis
    directory: Path
    tls: TlsFiles
    address: str
    addresses: dict[MemberId, str]
    log_lines: list[bytes]
    authority: Authority
    timing: Timing
    clock: SkewedClock = field(default_factory=SkewedClock)
    memory: MemoryStore | None = None
    peer: Peer = None  # type: ignore[assignment]
    running: "asyncio.Task[None] | None" = None
    settings: PeerSettings = None  # type: ignore[assignment]
    disk: Disk = None  # type: ignore[assignment]

    @property
    def parts(self) -> PeerParts:
        """What the running peer is made of."""
        return self.peer._parts

    @property
    def peer_id(self) -> PeerId:
        """The peer's id."""
        return self.founder.peer.peer

    @property
    def alive(self) -> bool:
        """Whether the peer runs."""
        return self.running is not None and not self.running.done()

    def metric(self, name: str) -> float:
        """What the peer's metric of this name counts now."""
        value = self.settings.metrics.registry.get_sample_value(name)
        assert value is not None, name
        return value

    def logged(self, event: str) -> bool:
        """Whether the log says this."""
        return any(event.encode() in line for line in self.log_lines)

    async def start(self) -> None:
        """Start, or start again, from what the directory holds."""
        self.disk = open_disk(self.directory, memory=self.memory)
        self.settings = self._settings()
        try:
            self.peer = Peer(self.settings, self.disk)
        except FatalError:
            self.disk.close()
            raise
        self.running = asyncio.create_task(self.peer.run())
        ready = asyncio.create_task(self.peer.ready.wait())
        running = self.running
        await asyncio.wait({ready, running}, return_when=asyncio.FIRST_COMPLETED)
        ready.cancel()
        if running.done():
            running.result()

    async def stop(self) -> None:
        """Stop as on SIGTERM."""
        if self.running is not None and not self.running.done():
            await self.peer.stop()
            await self.running

    async def kill(self) -> None:
        """End at once, without a word to anyone."""
        await self._end()
        if self.memory is not None:
            self.memory = self.memory.crash(surviving=self.memory.unsynced_batches)

    async def lose_power(self) -> None:
        """End at once, and lose every row that was not fsynced."""
        assert self.memory is not None
        await self._end()
        self.memory = self.memory.crash()

    async def _end(self) -> None:
        assert self.running is not None
        self.running.cancel()
        await asyncio.gather(self.running, return_exceptions=True)

    def write_offline(self, batch: Batch) -> None:
        """Change the store of a peer that does not run."""
        disk = open_disk(self.directory, memory=self.memory)
        disk.store.write(batch, sync=True)
        disk.close()
        if self.memory is not None:
            self.memory = self.memory.crash()

    async def ended(self) -> BaseException | None:
        """What ended the peer, within some seconds."""
        assert self.running is not None
        await asyncio.wait({self.running}, timeout=5)
        assert self.running.done(), "the peer goes on"
        return self.running.exception()

    def drop(self, unwanted: "Callable[[PeerId, peer_pb2.PeerMessage], bool]") -> None:
        """Lose each message from (a peer) that is unwanted, as a bad network does."""
        received = type(self.peer).receive

        async def receive(sender: PeerId, request: peer_pb2.DeliverRequest) -> None:
            if kept := [said for said in request.messages if not unwanted(sender, said)]:
                del request.messages[:]
                request.messages.extend(kept)
                await received(self.peer, sender, request)

        self.peer.receive = receive  # type: ignore[method-assign]

    def change(
        self, changed: "Callable[[PeerId, peer_pb2.PeerMessage], peer_pb2.PeerMessage]"
    ) -> None:
        """Take in what `changed` makes of each message."""
        received = type(self.peer).receive

        async def receive(sender: PeerId, request: peer_pb2.DeliverRequest) -> None:
            said = [changed(sender, message) for message in request.messages]
            del request.messages[:]
            request.messages.extend(said)
            await received(self.peer, sender, request)

        self.peer.receive = receive  # type: ignore[method-assign]

    def _settings(self) -> PeerSettings:
        keys = PeerKeys(
            batch=self.founder.peer.batch,
            log=self.founder.peer.log,
            cosigner=self.founder.peer.cosigner,
        )
        metrics = Metrics(CollectorRegistry())
        log = build_logger(self.log_lines.append, level="info")
        return PeerSettings(
            genesis=self.genesis,
            member=self.founder.member,
            own=self.founder.peer.peer,
            keystore=Keystore(
                consortium=CONSORTIUM,
                member=self.founder.member,
                member_key=self.founder.member_key,
                sealing_key=self.founder.sealing,
                member_secret=self.founder.secret,
                storage_key=STORAGE_KEY,
                pseudonym_keys=(PseudonymKey(epoch=FIRST_PSEUDONYM_EPOCH, key=PSEUDONYM_KEY),),
                peer_keys=keys,
            ),
            peer_keys=keys,
            pseudonym_key=PSEUDONYM_KEY,
            custody=SystemCustody(),
            clock=self.clock,
            jitter=random.Random(self.founder.member).randrange,
            timing=self.timing,
            listen_peer=self.address,
            tls=self.tls,
            deny_list=DenyList(self.tls.deny_list, metrics=metrics, log=log),
            addresses=self.addresses,
            version="0.0.0",
            metrics=metrics,
            health=Health(),
            log=log,
        )


def open_disk(directory: Path, *, memory: MemoryStore | None = None) -> Disk:
    """The open data directory; with `memory`, its rows are there instead of in LevelDB."""
    data = DataDirectory.open(directory)
    try:
        watermark = WatermarkFile.open(data.watermark_path)
    except FatalError:
        data.close()
        raise
    if memory is not None:
        return Disk(memory, watermark, directory=data)
    cipher = RowCipher(STORAGE_KEY, random=SystemRandom())
    store = LevelDbStore.open(data.database_path, cipher=cipher)
    return Disk(store, watermark, directory=data)


Seats = dict[MemberId, Seat]


@asynccontextmanager
async def cluster(
    path: Path, *, start: bool = True, memory: bool = False, timing: Timing = QUICK
) -> AsyncIterator[dict[MemberId, Seat]]:
    """Three peers, started, and stopped at the end."""
    now = datetime.now(UTC)
    authorities: dict[MemberId, Authority] = {
        member: create_authority(consortium=CONSORTIUM, member=member, now=now)
        for member in MEMBERS
    }
    consortium = found(
        [
            replace(founder(member), ca_certificate=authorities[member].certificate_der())
            for member in MEMBERS
        ]
    )
    seats = _seats(path, consortium, authorities, timing, now)
    for seat in seats.values() if memory else ():
        seat.memory = MemoryStore()
        _begin(seat.memory, seat.genesis, seat.directory)
    try:
        if start:
            await asyncio.gather(*(seat.start() for seat in seats.values()))
        yield seats
    finally:
        await asyncio.gather(*(seat.kill() for seat in seats.values() if seat.alive))


def _seats(
    path: Path,
    consortium: Consortium,
    authorities: dict[MemberId, Authority],
    timing: Timing,
    now: datetime,
) -> dict[MemberId, Seat]:
    addresses = {member: f"127.0.0.1:{free_port()}" for member in MEMBERS}
    seats: dict[MemberId, Seat] = {}
    for member in MEMBERS:
        home = path / member
        home.mkdir(parents=True)
        issued = issue_peer(
            authorities[member],
            consortium=CONSORTIUM,
            member=member,
            peer=consortium[member].peer.peer,
            now=now,
            key_pem=None,
        )
        tls = TlsFiles(peer_certificate=home / "peer.pem", peer_key=home / "peer.key")
        tls.peer_certificate.write_bytes(issued.certificate_pem)
        tls.peer_key.write_bytes(issued.key_pem)
        create_data_directory(
            home / "data",
            genesis=consortium.genesis,
            cipher=RowCipher(STORAGE_KEY, random=SystemRandom()),
        )
        seats[member] = Seat(
            founder=consortium[member],
            genesis=consortium.genesis,
            directory=home / "data",
            tls=tls,
            address=addresses[member],
            addresses=addresses,
            log_lines=[],
            authority=authorities[member],
            timing=timing,
        )
    return seats


async def until(holds: Callable[[], bool], *, seconds: float = 8.0) -> None:
    """Return once something holds."""
    end = asyncio.get_running_loop().time() + seconds
    while not holds():
        assert asyncio.get_running_loop().time() < end, "it never came to hold"
        await asyncio.sleep(0.01)


async def leader_of(seats: Seats) -> Seat:
    """The seat that leads, once all that run agree on it."""

    def agreed() -> Seat | None:
        alive = [seat for seat in seats.values() if seat.alive]
        for seat in alive:
            if seat.parts.consensus.leads and all(
                each.parts.consensus.lead == seat.peer_id for each in alive
            ):
                return seat
        return None

    await until(lambda: agreed() is not None)
    leader = agreed()
    assert leader is not None
    return leader


def others(seats: Seats, *but: Seat) -> list[Seat]:
    """All seats but these."""
    return [seat for seat in seats.values() if all(seat is not each for each in but)]


async def level(seats: Iterable[Seat]) -> None:
    """Return once these peers have applied the same blocks, and know them to be certified."""
    chosen = list(seats)

    def same() -> bool:
        heads = {seat.parts.applier.head for seat in chosen}
        newest = [seat.parts.certifier.newest for seat in chosen]
        certified = {0 if each is None else each.size for each in newest}
        return len(heads) == 1 and certified == {next(iter(heads)).tree_size}

    await until(same)


def soon(seconds: float = 10.0) -> float:
    """A deadline so far from now, by the loop's clock."""
    return asyncio.get_running_loop().time() + seconds


def record(
    card: str, content: bytes, *, request: bytes | None = None, actor: Actor = PHYSICIAN
) -> AppendCommand:
    """A record of the patient with this card."""
    return AppendCommand(
        actor=actor,
        patient=normalise_identifier(system=CARD, value=card),
        content=content,
        media_type="text/plain",
        request_id=RequestId(request or random.randbytes(16)),
        source=None,
        replaces=None,
    )
