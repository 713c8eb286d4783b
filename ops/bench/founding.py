"""Consortia founded beside each other, each on ports of its own."""

import asyncio
import socket
from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path

from caretree.crypto.resident_number import RESIDENT_NUMBER_SYSTEM

from ops.bench.supply import CARD
from ops.demo.consortium import Founded, found_consortium


async def found_all(folder: Path, names: Sequence[str]) -> dict[str, Founded]:
    """A consortium of three under each of these names, in folders of their own.

    They are founded before anything is called: founding starts commands, and the threads of gRPC,
    once there is a connection, do not like forks.

    Raises:
        WalkFailedError: a command was refused.
    """
    found: dict[str, Founded] = {}
    with ExitStack() as held:
        for name in names:
            await asyncio.to_thread((folder / name).mkdir, mode=0o700)
            found[name] = await found_consortium(
                folder / name, identifier_systems=[RESIDENT_NUMBER_SYSTEM, CARD]
            )
            _hold_ports(found[name], held)
    return found


def _hold_ports(founded: Founded, held: ExitStack) -> None:
    """Keep the ports of daemons that are not started yet from being found free."""
    for centre in founded.centres.values():
        for address in (centre.client_address, centre.peer_address, centre.http_address):
            host, _, port = address.rpartition(":")
            held.enter_context(socket.socket()).bind((host, int(port)))
