"""A seat's real client port, and a wire in between that counts the bytes going to the client."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime

import grpc
from caretree.cli.certificates import Issued, issue_principal
from caretree.config.values import (
    Api,
    Config,
    Http,
    Listen,
    Log,
    PeerSection,
    Principal,
    PrincipalKind,
    Timing,
)
from caretree.ledger.values import Role
from caretree.node.identity import peer_server_name
from caretree.rpc.server import build_server

from tests.ledger.builders import CONSORTIUM
from tests.node.cluster import Seat, free_port

SYSTEM = "his"


@asynccontextmanager
async def client_port(seat: Seat) -> AsyncIterator[str]:
    """The address of the seat's client port, open."""
    address = f"127.0.0.1:{free_port()}"
    principal = Principal(name=SYSTEM, kind=PrincipalKind.SYSTEM, roles=frozenset(Role))
    config = Config(
        peer=PeerSection(
            member=seat.founder.member,
            data_directory=seat.directory,
            keystore=seat.directory / "keystore",
        ),
        listen=Listen(client=address, peer=seat.address),
        tls=seat.tls,
        peers={},
        principals=(principal,),
        api=Api(),
        http=Http(),
        log=Log(),
        timing=Timing(),
    )
    server = build_server(
        seat.peer,
        config,
        metrics=seat.settings.metrics,
        health=seat.settings.health,
        deny_list=seat.settings.deny_list,
        version="0.0.0",
        log=seat.settings.log,
    )
    await server.start()
    try:
        yield address
    finally:
        await server.stop(None)


def record_system(seat: Seat) -> Issued:
    """A certificate of the seat's own record system."""
    return issue_principal(
        seat.authority,
        consortium=CONSORTIUM,
        member=seat.founder.member,
        principal=SYSTEM,
        now=datetime.now(UTC),
        key_pem=None,
    )


def channel_to(seat: Seat, address: str) -> grpc.aio.Channel:
    """A channel of the seat's own record system."""
    issued = record_system(seat)
    credentials = grpc.ssl_channel_credentials(
        root_certificates=seat.authority.certificate_pem(),
        private_key=issued.key_pem,
        certificate_chain=issued.certificate_pem,
    )
    name = peer_server_name(consortium=CONSORTIUM, member=seat.founder.member, peer=seat.peer_id)
    options = (
        ("grpc.ssl_target_name_override", name),
        ("grpc.use_local_subchannel_pool", 1),
    )
    return grpc.aio.secure_channel(address, credentials, options)


@dataclass(slots=True)
class Wire:
    """A connection's middle: where it listens, how often somebody dialled, and how many bytes went
    back to who did.
    """

    address: str
    returned: int = 0
    dialled: int = 0


@asynccontextmanager
async def counting_wire(target: str) -> AsyncIterator[Wire]:
    """A wire to this address."""
    wire = Wire(address=f"127.0.0.1:{free_port()}")
    host, port = target.split(":")
    writers: list[asyncio.StreamWriter] = []

    async def copy(
        reader: asyncio.StreamReader, writer: asyncio.StreamWriter, *, back: bool
    ) -> None:
        while chunk := await reader.read(65536):
            if back:
                wire.returned += len(chunk)
            writer.write(chunk)
            await writer.drain()
        writer.close()

    async def carry(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        wire.dialled += 1
        far_reader, far_writer = await asyncio.open_connection(host, int(port))
        writers.extend((writer, far_writer))
        await asyncio.gather(
            copy(reader, far_writer, back=False),
            copy(far_reader, writer, back=True),
            return_exceptions=True,
        )

    own_host, own_port = wire.address.split(":")
    server = await asyncio.start_server(carry, own_host, int(own_port))
    try:
        yield wire
    finally:
        server.close()
        for writer in writers:
            writer.close()
        await server.wait_closed()
