"""Certificates of running peers: denied, ended, renewed and aged, without a failed call of others.

The ages are seconds here and ten minutes by default; what they do is the same.
"""

import asyncio
import itertools
import socket
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path
from typing import Any, Final

import grpc
import pytest
from caretree.cli.certificates import Issued, issue_peer
from caretree.client import ActingPerson, CallFailedError, CaretreeClient, ClientSettings, NewRecord
from caretree.crypto.pseudonym import normalise_identifier
from caretree.ledger.certificate import policy_text
from caretree.ledger.genesis import FIRST_MEMBERSHIP_EPOCH
from caretree.ledger.values import FIRST_PAGE_BEFORE, Role
from caretree.node import peer_server, transport
from caretree.node.calls import EntryStatus, HistoryRecord
from caretree.node.identity import channel_credentials, server_name
from caretree.node.line import Line, dial
from caretree.proto.peer.v1 import peer_pb2, peer_pb2_grpc
from caretree.rpc import server as client_server
from cryptography import x509
from cryptography.hazmat.primitives.hashes import SHA256
from grpc_health.v1 import health_pb2, health_pb2_grpc  # type: ignore[import-untyped]

from tests.ledger.builders import CONSORTIUM, HOSPITAL, OFFICE, TOWN
from tests.node.asking import add, contents, history, history_command
from tests.node.cluster import CARD, Seat, cluster, leader_of, level, soon, until
from tests.node.doors import channel_to, client_port, counting_wire, record_system
from tests.node.steering import lead

pytestmark = [pytest.mark.processes, pytest.mark.asyncio]

AGE_S: Final = 1.0
GRACE_S: Final = 0.5
LOAD_S: Final = 4.5
ACTING: Final = ActingPerson(id="D-1", role=Role.PHYSICIAN)


def fingerprint(certificate: x509.Certificate) -> str:
    return certificate.fingerprint(SHA256()).hex()


def renew(seat: Seat) -> Issued:
    """Put a new certificate, with a new key, in the place of the seat's."""
    issued = issue_peer(
        seat.authority,
        consortium=CONSORTIUM,
        member=seat.founder.member,
        peer=seat.peer_id,
        now=datetime.now(UTC),
        key_pem=None,
    )
    seat.tls.peer_certificate.write_bytes(issued.certificate_pem)
    seat.tls.peer_key.write_bytes(issued.key_pem)
    return issued


def refused_by(seat: Seat, reason: str) -> float:
    """How often the seat's peer port refused a certificate for this reason."""
    labels = {"port": "peer", "reason": reason}
    name = "caretree_node_certificates_refused_total"
    counted = seat.settings.metrics.registry.get_sample_value(name, labels)
    assert counted is not None
    return counted


def said(seat: Seat, *words: str) -> bool:
    """Whether one line of the seat's log says all this."""
    return any(all(word.encode() in line for word in words) for line in seat.log_lines)


async def test_a_denied_peer_is_out_at_its_next_message_and_back_with_a_new_certificate(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # A peer with nothing to say tells its clock, and that is its next message.
    monkeypatch.setattr(transport, "CLOCK_S", 0.1)
    async with cluster(tmp_path, start=False) as seats:
        town, hospital, office = (seats[member] for member in (TOWN, HOSPITAL, OFFICE))
        for seat in seats.values():
            path = seat.directory.parent / "denied"
            path.write_text("# nobody\n")
            seat.tls = replace(seat.tls, deny_list=path)
        await asyncio.gather(*(seat.start() for seat in seats.values()))
        await lead(seats, TOWN)
        await add(town, "P1", b"before")
        await level(seats.values())
        shown = x509.load_pem_x509_certificate(hospital.tls.peer_certificate.read_bytes())

        for seat in (town, office):
            assert seat.tls.deny_list is not None
            seat.tls.deny_list.write_text(f"{fingerprint(shown)} hospital's, lost\n")
            seat.settings.deny_list.look()

        why = "CERTIFICATE_DENIED"
        await until(lambda: said(town, "stream ended for its certificate", why))
        await until(lambda: said(office, "stream ended for its certificate", why))
        await until(lambda: said(hospital, "peer link down", why))
        # Without it the others go on.
        answer = await add(office, "P1", b"meanwhile")
        assert answer.entry.status is EntryStatus.CERTIFIED
        assert refused_by(town, why) > 0

        renew(hospital)
        await until(lambda: hospital.parts.transport.connected(town.peer_id))
        await add(hospital, "P1", b"after")
        await level(seats.values())
        # Each reads what it wrote itself: nothing was opened to the others.
        for seat, written in ((town, b"before"), (office, b"meanwhile"), (hospital, b"after")):
            assert contents(await history(seat, "P1")) == [written]


async def test_peers_whose_certificates_end_are_out_at_their_next_message_and_come_back(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    ahead = timedelta()
    monkeypatch.setattr("caretree.node.peer.utc_now", lambda: datetime.now(UTC) + ahead)
    async with cluster(tmp_path) as seats:
        town = await lead(seats, TOWN)
        await add(town, "P2", b"before")

        ahead = timedelta(days=400)

        for seat in seats.values():
            await until(partial(said, seat, "stream ended", "CERTIFICATE_EXPIRED"))
            await until(partial(said, seat, "peer link down", "CERTIFICATE_EXPIRED"))
        ahead = timedelta()
        await leader_of(seats)
        await until(lambda: seats[OFFICE].parts.transport.connected(town.peer_id))
        await add(town, "P2", b"after")
        await level(seats.values())
        assert contents(await history(town, "P2")) == [b"after", b"before"]


async def test_by_default_no_connection_lives_longer_than_ten_minutes() -> None:
    for options in (dict(client_server.SERVER_OPTIONS), dict(peer_server.SERVER_OPTIONS)):
        assert options["grpc.max_connection_age_ms"] == 600_000
        assert options["grpc.max_connection_age_grace_ms"] == 10_000
    # gRPC takes a tenth off at most, by chance; a link renews itself well before.
    assert transport.RENEW_S + transport.RENEW_JITTER_MS / 1000 < 0.9 * 600 - 60


@pytest.fixture
def short_ages(monkeypatch: pytest.MonkeyPatch) -> None:
    """Connections that age within a second."""
    short = {
        "grpc.max_connection_age_ms": int(AGE_S * 1000),
        "grpc.max_connection_age_grace_ms": int(GRACE_S * 1000),
    }
    for module in (client_server, peer_server):
        options = tuple({**dict(module.SERVER_OPTIONS), **short}.items())
        monkeypatch.setattr(module, "SERVER_OPTIONS", options)


@dataclass(slots=True)
class Load:
    """Calls of one client, made again and again until told to stop."""

    client: CaretreeClient
    made: int = 0
    failed: list[str] = field(default_factory=list)
    added: set[bytes] = field(default_factory=set)
    stopping: bool = False

    async def append(self, worker: int) -> None:
        """Records with contents of their own."""
        patient = normalise_identifier(system=CARD, value="P3")
        for number in itertools.count():
            if self.stopping:
                return
            content = b"%d/%d" % (worker, number)
            record = NewRecord(
                patient=patient, content=content, media_type="text/plain", acting=ACTING
            )
            if await self._count(self.client.append(record, deadline_s=30)):
                self.added.add(content)

    async def ask(self) -> None:
        """A call that changes nothing."""
        while not self.stopping:
            await self._count(self.client.status(deadline_s=30))
            await asyncio.sleep(0.01)

    async def _count(self, call: Awaitable[object]) -> bool:
        self.made += 1
        try:
            await call
        except CallFailedError as error:
            self.failed.append(f"{error.code} {error}")
            return False
        return True

    async def run(self, *, seconds: float, meanwhile: Callable[[], Awaitable[None]]) -> None:
        """Calls at once for so long, and `meanwhile` again and again."""
        end = asyncio.get_running_loop().time() + seconds
        async with asyncio.TaskGroup() as group:
            for worker in range(4):
                group.create_task(self.append(worker))
            group.create_task(self.ask())
            while asyncio.get_running_loop().time() < end:
                await meanwhile()
            self.stopping = True


@asynccontextmanager
async def client_of(seat: Seat, address: str) -> AsyncIterator[CaretreeClient]:
    """The seat's record system, with our own client."""
    issued = record_system(seat)
    settings = ClientSettings(
        address=address,
        server_name=server_name(seat.genesis, seat.peer_id),
        ca_certificate=seat.authority.certificate_pem(),
        certificate=issued.certificate_pem,
        key=issued.key_pem,
        policy_text=policy_text(seat.genesis),
        origin=seat.genesis.origin,
    )
    async with CaretreeClient.connect(settings) as client:
        yield client


def shown_at(seat: Seat, address: str) -> str:
    """The fingerprint of the certificate that a handshake is answered with."""
    context = ssl.create_default_context(cadata=seat.authority.certificate_pem().decode())
    context.set_alpn_protocols(["h2"])
    context.load_cert_chain(seat.tls.peer_certificate, seat.tls.peer_key)
    host, port = address.rsplit(":", 1)
    name = server_name(seat.genesis, seat.peer_id)
    with (
        socket.create_connection((host, int(port)), timeout=10) as plain,
        context.wrap_socket(plain, server_hostname=name) as secure,
    ):
        shown = secure.getpeercert(binary_form=True)
    assert shown is not None
    return fingerprint(x509.load_der_x509_certificate(shown))


@pytest.mark.slow
@pytest.mark.usefixtures("short_ages")
async def test_streams_on_which_nothing_is_said_end_with_the_age_of_their_connections(
    tmp_path: Path,
) -> None:
    async with cluster(tmp_path) as seats:
        town, hospital = seats[TOWN], seats[HOSPITAL]
        async with (
            client_port(town) as address,
            channel_to(town, address) as client,
            _channel_of_peer(hospital, town) as peer,
        ):
            watch = health_pb2_grpc.HealthStub(client).Watch(health_pb2.HealthCheckRequest())
            deliver = peer_pb2_grpc.PeerServiceStub(peer).Deliver()
            await deliver.write(_greeting(hospital))
            answers = await asyncio.gather(watch.read(), deliver.read())
            async with asyncio.timeout(10 * (AGE_S + GRACE_S)):
                codes = await asyncio.gather(_end_of(watch), _end_of(deliver))

        assert grpc.aio.EOF not in answers
        assert set(codes) == {grpc.StatusCode.UNAVAILABLE}


@pytest.mark.slow
@pytest.mark.usefixtures("short_ages")
async def test_certificates_are_replaced_again_and_again_under_load_and_no_call_fails(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(transport, "RENEW_S", AGE_S / 4)
    monkeypatch.setattr(transport, "RENEW_JITTER_MS", 1)
    lines = _count_lines(monkeypatch)
    async with cluster(tmp_path) as seats:
        town = await lead(seats, TOWN)
        async with (
            client_port(town) as address,
            counting_wire(address) as wire,
            client_of(town, wire.address) as client,
        ):
            load, late = Load(client), []

            async def rotate() -> None:
                for seat in seats.values():
                    renewed = x509.load_pem_x509_certificate(renew(seat).certificate_pem)
                    ports = [seat.address, *([address] if seat is town else [])]
                    for port in ports:
                        shown = await asyncio.to_thread(shown_at, seat, port)
                        late.extend([port] if shown != fingerprint(renewed) else [])
                await asyncio.sleep(0.2)

            await load.run(seconds=LOAD_S, meanwhile=rotate)

        assert load.failed == []
        assert late == []  # the next handshake already shows the new one
        assert load.made > 20
        await level(seats.values())
        assert set(contents(await _whole_history(town))) == load.added
        assert wire.dialled >= LOAD_S / (1.1 * AGE_S + GRACE_S)
        # Six links, each renewed several times; none was cut by the other side.
        assert len(lines) >= 6 * LOAD_S / AGE_S
        assert not any(said(seat, "peer link down", "UNAVAILABLE") for seat in seats.values())


@pytest.mark.slow
@pytest.mark.usefixtures("short_ages")
async def test_links_that_the_other_side_cuts_at_their_age_cost_no_call(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    lines = _count_lines(monkeypatch)
    async with cluster(tmp_path) as seats:
        town = await lead(seats, TOWN)
        async with client_port(town) as address, client_of(town, address) as client:
            load = Load(client)
            await load.run(seconds=LOAD_S, meanwhile=lambda: asyncio.sleep(0.1))

        assert load.failed == []
        await level(seats.values())
        assert set(contents(await _whole_history(town))) == load.added
        assert len(lines) > 6
        assert all(said(seat, "peer link down") for seat in seats.values())


async def _end_of(call: "grpc.aio.StreamStreamCall[Any, Any]") -> grpc.StatusCode:
    """How a stream ends, once everything that was said on it is read."""
    try:
        while await call.read() is not grpc.aio.EOF:
            pass
    except grpc.aio.AioRpcError as error:
        return error.code()
    return await call.code()


def _channel_of_peer(seat: Seat, other: Seat) -> grpc.aio.Channel:
    """A channel to another seat's peer port, with the certificate of this one."""
    credentials = channel_credentials(seat.tls, seat.genesis, other.founder.member)
    name = server_name(seat.genesis, other.peer_id)
    options = (("grpc.ssl_target_name_override", name), ("grpc.use_local_subchannel_pool", 1))
    return grpc.aio.secure_channel(other.address, credentials, options)


def _greeting(seat: Seat) -> peer_pb2.DeliverRequest:
    return peer_pb2.DeliverRequest(
        origin=seat.genesis.origin,
        membership_epoch=FIRST_MEMBERSHIP_EPOCH,
        clock_ms=seat.clock.now_ms(),
        greeting=peer_pb2.Greeting(peer=seat.peer_id, version="9", ledger_version_max=1),
    )


def _count_lines(patch: pytest.MonkeyPatch) -> list[Line]:
    """Every line to a peer that comes about from now on."""
    lines: list[Line] = []

    async def counted(channel: grpc.aio.Channel, greeting: peer_pb2.DeliverRequest) -> Line:
        lines.append(await dial(channel, greeting))
        return lines[-1]

    patch.setattr(transport, "dial", counted)
    return lines


async def _whole_history(seat: Seat) -> list[HistoryRecord]:
    """All records of the patient, page by page."""
    found: list[HistoryRecord] = []
    before: int | None = FIRST_PAGE_BEFORE
    while before is not None:
        command = history_command("P3", before=before)
        answer = await seat.peer.history(command, deadline=soon())
        found.extend([each async for each in answer.records])
        before = answer.next_before
    return found
