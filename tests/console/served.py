"""A console on a free port in front of a log made for the test, and a client for it."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

import aiohttp
from caretree.console.pages import Pages
from caretree.console.server import serve_console
from caretree.merkle.bundle import encode_entries
from caretree.merkle.hashing import HASH_BYTES
from caretree.merkle.tiles import TileKey
from caretree.model.errors import FatalError
from caretree.model.ids import TreeSize
from caretree.model.reasons import CallError, Reason
from caretree.node.calls import CheckpointAnswer
from caretree.telemetry.health import Health
from caretree.telemetry.metrics import Metrics
from prometheus_client import CollectorRegistry

from tests.merkle.builders import TiledLog, make_leaves

APPLIED = 600


class FakeLog:
    """600 applied leaves, of which `certified` are under a checkpoint."""

    def __init__(self, *, certified: int) -> None:
        self.certified = certified
        self.leaves = make_leaves(APPLIED)
        self.tiled = TiledLog()
        self.tiled.append(self.leaves)
        self.failure: CallError | FatalError | None = None

    def checkpoint(self) -> CheckpointAnswer:
        """A note that is none, of the certified size."""
        if self.failure is not None:
            raise self.failure
        if self.certified == 0:
            raise CallError(Reason.NOT_CERTIFIED)
        note = b"note of %d\n" % self.certified
        return CheckpointAnswer(note=note, tree_size=TreeSize(self.certified), age_ms=0)

    def tile(self, level: int, index: int, width: int) -> bytes | None:
        """A tile as applied, certified or not."""
        content = self.tiled.tiles.get(TileKey(level, index), b"")[: width * HASH_BYTES]
        return content if len(content) == width * HASH_BYTES else None

    def entry_bundle(self, index: int, width: int) -> bytes | None:
        """A bundle as applied, certified or not."""
        leaves = self.leaves[256 * index : 256 * index + width]
        return encode_entries(leaves) if len(leaves) == width else None


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """A status, headers and body."""

    status: int
    headers: dict[str, str]
    body: bytes


@dataclass(slots=True, kw_only=True)
class Served:
    """An open console and what it stands in front of."""

    host: str
    port: int
    health: Health
    metrics: Metrics
    session: aiohttp.ClientSession
    fatal: list[FatalError] = field(default_factory=list)

    async def get(self, path: str, *, method: str = "GET") -> Answer:
        """What the console answers."""
        url = f"http://{self.host}:{self.port}{path}"
        async with self.session.request(method, url) as response:
            headers = dict(response.headers)
            return Answer(status=response.status, headers=headers, body=await response.read())


@asynccontextmanager
async def open_console(
    log: FakeLog | None = None, *, connections_max: int = 8, idle_s_max: float = 5
) -> AsyncIterator[Served]:
    """A console on a free port of this machine."""
    health, metrics = Health(), Metrics(CollectorRegistry())
    fatal: list[FatalError] = []
    pages = Pages(exposition=metrics.exposition, health=health, log=log, on_fatal=fatal.append)
    serving = serve_console(
        pages, address="127.0.0.1:0", connections_max=connections_max, idle_s_max=idle_s_max
    )
    async with serving as (host, port), aiohttp.ClientSession() as session:
        yield Served(
            host=host, port=port, health=health, metrics=metrics, session=session, fatal=fatal
        )
