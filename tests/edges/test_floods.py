"""Floods against a daemon that leads: others' records go on, and it comes out as it went in.

After each flood: a caller's records were acknowledged all the while, a new connection's calls are
answered, the process holds not much more memory and no more descriptors than before, and the leader
is the same, in the same term.
"""

import asyncio
import os
import re
import resource
import socket
import ssl
import time
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager, contextmanager, suppress
from dataclasses import dataclass
from typing import Final

import pytest
import pytest_asyncio
from caretree.cli.serve import DESCRIPTORS
from caretree.cli.session import read_settings
from caretree.client import CaretreeClient
from caretree.model.limits import MIB
from caretree.node import peer_server
from caretree.proto.api.v1 import records_pb2
from caretree.rpc import server as client_server
from caretree.rpc.guard import CALLS_PER_PRINCIPAL_MAX

from ops.demo.consortium import HOSPITAL, HOSPITAL_DOCTOR, OFFICE, OPERATOR, TOWN, TOWN_DOCTOR
from tests.edges.callers import tls_of
from tests.edges.daemons import CARD, Three, descriptors, new_record, resident_bytes, three_daemons
from tests.edges.http2 import (
    APPEND,
    APPEND_STREAM,
    CONTINUATION,
    ENHANCE_YOUR_CALM,
    HEADERS,
    LIST_HISTORY,
    SETTINGS,
    STATUS,
    Wire,
    block,
    frame,
    headers,
    message,
    opened,
    ping,
    reset,
)

pytestmark = [
    pytest.mark.processes,
    pytest.mark.slow,
    pytest.mark.asyncio(loop_scope="module"),
]

GROWTH_BYTES_MAX: Final = 64 * MIB
FLOOD_S: Final = 2.0
UP_S_MAX: Final = 60.0
# Connections of our own that come and go meanwhile: of a client to the peer, and between peers.
DESCRIPTORS_SPARE: Final = 8
CONNECTS: Final = 1000
LARGE_BYTES: Final = 250_000


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def three(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Three]:
    """Three daemons for all tests of this module; the township's leads."""
    async with three_daemons(tmp_path_factory.mktemp("floods")) as running:
        await running.town.append(new_record("P1", b"first"))
        await running.lead_from(TOWN)
        yield running


@dataclass(frozen=True, slots=True, kw_only=True)
class Flood:
    """The daemon under it, and how to reach that by hand."""

    three: Three
    stack: AsyncExitStack

    @property
    def client_address(self) -> str:
        """The client port."""
        return self.three.founded.centres[TOWN].client_address

    @property
    def peer_address(self) -> str:
        """The peer port."""
        return self.three.founded.centres[TOWN].peer_address

    async def wire(self, principal: str = TOWN_DOCTOR, *, member: str = TOWN) -> Wire:
        """A connection to the client port under a principal's certificate."""
        town = self.three.founded.centres[TOWN].client_file(TOWN_DOCTOR)
        tls = tls_of(self.three.founded.centres[member].client_file(principal).parent)
        tls.load_verify_locations(town.parent / "ca.pem")
        name = read_settings(town).server_name
        return await self.stack.enter_async_context(opened(self.client_address, tls, name=name))

    async def wires(self, count: int, *principals: str) -> list[Wire]:
        """So many connections, of these principals in turn."""
        return [await self.wire(principals[n % len(principals)]) for n in range(count)]


@asynccontextmanager
async def flooded(three: Three, card: str) -> AsyncIterator[Flood]:
    """While a flood lasts somebody adds records; then everything is as it was."""
    daemon = three.daemons[TOWN]
    before = await three.status(TOWN)
    memory, files = resident_bytes(daemon), descriptors(daemon)
    logged = len(daemon.log_text())
    async with three.caller(card, workers=2) as caller:
        await caller.until_more(2)
        async with AsyncExitStack() as stack:
            yield Flood(three=three, stack=stack)
            await caller.until_more(2)
            await check_new_caller(three)
            held = resident_bytes(daemon)
        await caller.until_more(2)
    await until_quiet(lambda: descriptors(daemon) <= files + DESCRIPTORS_SPARE)
    await check_new_caller(three)
    assert held - memory < GROWTH_BYTES_MAX
    assert resident_bytes(daemon) - memory < GROWTH_BYTES_MAX
    assert caller.lost(await three.contents(card)) == []
    after = await three.status(TOWN)
    assert (after.leader, after.term) == (before.leader, before.term)
    assert daemon.runs
    # A flood is no fault of the daemon: neither an error nor a trace of Python.
    assert re.findall(r'.*(?:"level":"error"|Traceback).*', daemon.log_text()[logged:]) == []


async def check_new_caller(three: Three) -> None:
    """Somebody who connects now is answered."""
    settings = read_settings(three.founded.centres[TOWN].client_file(OPERATOR))
    async with CaretreeClient.connect(settings) as client:
        status = await client.status(deadline_s=UP_S_MAX)
    assert status.member == TOWN


async def until_quiet(holds: Callable[[], bool]) -> None:
    """Return once it holds."""
    async with asyncio.timeout(UP_S_MAX):
        while not holds():  # noqa: ASYNC110 (another process makes it so)
            await asyncio.sleep(0.05)


async def for_a_while(
    wires: Sequence[Wire], say: Callable[[int], Sequence[bytes]], *, seconds: float = FLOOD_S
) -> int:
    """How often each wire said what `say` makes of a number, as fast as the daemon takes it."""
    end, said = time.monotonic() + seconds, 0
    while time.monotonic() < end:
        for wire in wires:
            with suppress(TimeoutError):
                # A wire that the daemon reads no more of does not keep the others back.
                async with asyncio.timeout(1):
                    await wire.say(*say(said))
        said += 1
        await asyncio.sleep(0)
    return said


async def test_calls_opened_and_reset_as_fast_as_possible(three: Three) -> None:
    async with flooded(three, "P-reset") as flood:

        def burst(number: int) -> list[bytes]:
            streams = range(100 * number + 1, 100 * number + 101, 2)
            return [part for each in streams for part in (headers(each, STATUS), reset(each))]

        assert await for_a_while(await flood.wires(2, TOWN_DOCTOR), burst) > 10


@pytest.mark.parametrize("principals", [(TOWN_DOCTOR,), (TOWN_DOCTOR, OPERATOR)])
async def test_calls_of_one_principal_and_of_many(
    three: Three, principals: tuple[str, ...]
) -> None:
    async with flooded(three, f"P-calls-{len(principals)}") as flood:

        def burst(number: int) -> list[bytes]:
            streams = range(64 * number + 1, 64 * number + 65, 2)
            return [part for s in streams for part in (headers(s, STATUS), message(s, b""))]

        wires = await flood.wires(4, *principals)
        await for_a_while(wires, burst)
        await until_quiet(lambda: all(len(wire.ended) > 10 for wire in wires))


async def test_more_streams_than_a_connection_or_a_principal_may_have(three: Three) -> None:
    async with flooded(three, "P-streams") as flood:
        wires = await flood.wires(8, TOWN_DOCTOR)
        most = client_server.STREAMS_PER_CONNECTION_MAX
        streams = range(1, 2 * (most + 100), 2)
        for wire in wires:
            await wire.say(*(headers(s, APPEND_STREAM, timeout="60S") for s in streams))
        await until_quiet(
            lambda: all(len(wire.resets | wire.ended) >= len(streams) - most for wire in wires)
        )


async def test_calls_that_say_nothing(three: Three) -> None:
    async with flooded(three, "P-silent") as flood:
        # More than all the calls that a daemon answers at once.
        wires = await flood.wires(24, TOWN_DOCTOR)
        for wire in wires:
            await wire.say(*(headers(s, APPEND, timeout="60S") for s in range(1, 128, 2)))
        await until_quiet(
            lambda: sum(len(wire.ended) for wire in wires) >= 24 * 64 - 2 * CALLS_PER_PRINCIPAL_MAX
        )


async def test_calls_of_another_member_that_say_nothing(three: Three) -> None:
    async with flooded(three, "P-foreign") as flood:
        wire = await flood.wire(HOSPITAL_DOCTOR, member=HOSPITAL)
        await wire.say(*(headers(s, APPEND, timeout=None) for s in range(1, 128, 2)))
        await until_quiet(lambda: len(wire.ended) == 64)


async def test_histories_that_nobody_reads(three: Three) -> None:
    for number in range(40):
        await three.town.append(new_record("P-large", bytes([number]) * LARGE_BYTES))
    patient = records_pb2.PatientIdentifier(system=CARD, value="P-large")
    asked = records_pb2.ListHistoryRequest(patient=patient).SerializeToString()
    async with flooded(three, "P-readers") as flood:
        wires = await flood.wires(24, TOWN_DOCTOR)
        for wire in wires:
            await wire.say(headers(1, LIST_HISTORY, timeout="60S"), message(1, asked))
        await until_quiet(lambda: all(wire.data_bytes > 60_000 for wire in wires))


async def test_pings(three: Three) -> None:
    async with flooded(three, "P-pings") as flood:
        wires = await flood.wires(4, TOWN_DOCTOR)
        # One by one: what a connection still carries when it is closed takes the answer with it.
        async with asyncio.timeout(UP_S_MAX):
            while not all(wire.closed.is_set() for wire in wires):
                for wire in wires:
                    await wire.say(ping())
                await asyncio.sleep(0.02)
        assert [wire.goaway for wire in wires] == [(ENHANCE_YOUR_CALM, b"too_many_pings")] * 4


async def test_settings_and_headers_without_an_end(three: Three) -> None:
    async with flooded(three, "P-frames") as flood:
        settings = await flood.wires(2, TOWN_DOCTOR)
        endless = await flood.wires(2, TOWN_DOCTOR)
        for wire in endless:
            await wire.say(frame(HEADERS, block(STATUS, "5S"), stream=1))
        filling = block(STATUS, "5S", [("x", "y" * 8000)])

        async def fill(wires: Sequence[Wire], part: bytes) -> None:
            await for_a_while(wires, lambda _: [part] * 20, seconds=1)

        await asyncio.gather(
            fill(settings, frame(SETTINGS)), fill(endless, frame(CONTINUATION, filling, stream=1))
        )


async def test_connections_without_a_byte_and_handshakes_that_stop_half_way(three: Three) -> None:
    async with flooded(three, "P-connects") as flood:
        with (
            connected(flood.client_address, CONNECTS // 2) as silent,
            connected(flood.client_address, CONNECTS // 2) as half_open,
            connected(flood.peer_address, peer_server.CONNECTIONS_MAX // 2) as at_peers,
        ):
            begun = hello()[:60]
            for each in half_open:
                each.send(begun)
            everyone = [*silent, *half_open, *at_peers]
            assert all(is_open(each) for each in everyone)
            await check_new_caller(three)
            # Each is closed once it had the time of a handshake, and said nothing.
            await until_quiet(lambda: not any(is_open(each) for each in everyone))


async def test_more_connections_than_a_port_takes(three: Three) -> None:
    daemon = three.daemons[TOWN]
    before = descriptors(daemon)
    ports = {
        three.founded.centres[TOWN].client_address: client_server.CONNECTIONS_MAX,
        three.founded.centres[TOWN].peer_address: peer_server.CONNECTIONS_MAX,
    }
    async with flooded_closed(three):
        for address, most in ports.items():
            with connected(address, most + 200) as sockets:
                bound = before + most + DESCRIPTORS_SPARE
                await until_quiet(lambda: descriptors(daemon) <= bound)  # noqa: B023
                await until_quiet(lambda: sum(is_open(each) for each in sockets) <= most)  # noqa: B023
                assert descriptors(daemon) <= bound


@asynccontextmanager
async def flooded_closed(three: Three) -> AsyncIterator[None]:
    """As `flooded`; while a port is full nobody new gets in, so nobody tries."""
    daemon = three.daemons[TOWN]
    memory, files = resident_bytes(daemon), descriptors(daemon)
    async with three.caller("P-full", workers=1) as caller:
        await caller.until_more(2)
        yield
        await caller.until_more(2)
    await until_quiet(lambda: descriptors(daemon) <= files + DESCRIPTORS_SPARE)
    await check_new_caller(three)
    assert resident_bytes(daemon) - memory < GROWTH_BYTES_MAX
    assert caller.lost(await three.contents("P-full")) == []


async def test_a_daemon_allows_itself_the_descriptors_that_a_storm_takes(three: Three) -> None:
    office = three.daemons[OFFICE]
    for limits, allowed in (("256:8192", DESCRIPTORS), ("256:1000", 1000)):
        await office.stop()
        office.start_under("prlimit", f"--nofile={limits}", "--")
        await three.led(OFFICE)
        soft, _ = resource.prlimit(office.pid, resource.RLIMIT_NOFILE)
        assert soft == allowed
    assert office.log_text().count("few descriptors allowed") == 1


JUNK: Final = {
    "random bytes": os.urandom(20_000),
    "http/1": b"GET / HTTP/1.1\r\nHost: x\r\n\r\n",
    "http/2 without tls": b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + bytes(9),
    "tls record of 16 KiB": b"\x16\x03\x01\x40\x00" + bytes(16384),
    "tls alert": b"\x15\x03\x03\x00\x02\x02\x28",
    "nothing": b"",
}


async def test_junk_on_each_port(three: Three) -> None:
    centre = three.founded.centres[TOWN]
    async with flooded(three, "P-junk") as flood:
        for address in (centre.client_address, centre.peer_address, centre.http_address):
            for junk in JUNK.values():
                with connected(address, 5) as sockets:
                    for each in sockets:
                        with suppress(OSError):
                            each.send(junk)
                            each.shutdown(socket.SHUT_WR)
        await check_within_tls(flood)


async def check_within_tls(flood: Flood) -> None:
    """What is no HTTP/2 ends its connection after a good handshake too."""
    folder = flood.three.founded.centres[TOWN].client_file(TOWN_DOCTOR).parent
    name = read_settings(folder / "client.toml").server_name
    for junk in (JUNK["random bytes"], JUNK["http/1"]):
        host, port = flood.client_address.split(":")
        reader, writer = await asyncio.open_connection(
            host, int(port), ssl=tls_of(folder), server_hostname=name
        )
        writer.write(junk)
        with suppress(ConnectionError, ssl.SSLError):
            async with asyncio.timeout(UP_S_MAX):
                await reader.read()
        writer.transport.abort()


@contextmanager
def connected(address: str, count: int) -> Iterator[list[socket.socket]]:
    """So many connections, on which nothing was said."""
    host, port = address.split(":")
    sockets: list[socket.socket] = []
    try:
        for _ in range(count):
            made = socket.create_connection((host, int(port)), timeout=20)
            made.setblocking(False)
            sockets.append(made)
        yield sockets
    finally:
        for each in sockets:
            each.close()


def is_open(connection: socket.socket) -> bool:
    """Whether the other side has not closed it."""
    try:
        return connection.recv(4096) != b""
    except BlockingIOError:
        return True
    except OSError:
        return False


def hello() -> bytes:
    """The first message of a TLS handshake."""
    incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
    context = ssl.create_default_context()
    handshake = context.wrap_bio(incoming, outgoing, server_hostname="localhost")
    with suppress(ssl.SSLWantReadError):
        handshake.do_handshake()
    return outgoing.read()
