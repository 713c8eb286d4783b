"""A client connected to the real server in front of a fake peer."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Final

from caretree.client import ActingPerson, CaretreeClient, ClientSettings, NewRecord
from caretree.crypto.pseudonym import PatientIdentifier
from caretree.ledger.certificate import policy_text
from caretree.ledger.values import Role

from tests.ledger.builders import TOWN
from tests.rpc.fake_peer import FakePeer
from tests.rpc.serving import SERVER_NAME, SYSTEM, Serving, principal_pair, serving, trusted

PATIENT: Final = PatientIdentifier(system="urn:example:card", value="C-1")
PHYSICIAN: Final = ActingPerson(id="D-1047", role=Role.PHYSICIAN)
AUDITING: Final = ActingPerson(id="A-1", role=Role.AUDITOR)


def settings_for(address: str, *, principal: str = SYSTEM) -> ClientSettings:
    """The settings of a principal of the town."""
    pair = principal_pair(principal)
    return ClientSettings(
        address=address,
        server_name=SERVER_NAME,
        ca_certificate=trusted().authorities[TOWN].pem,
        certificate=pair.certificate,
        key=pair.key,
        policy_text=policy_text(trusted().consortium.genesis),
        origin=trusted().consortium.origin,
    )


@asynccontextmanager
async def connected(
    peer: FakePeer | None = None, *, principal: str = SYSTEM
) -> AsyncIterator[tuple[CaretreeClient, Serving]]:
    """A client and the server it is connected to."""
    async with (
        serving(peer) as server,
        CaretreeClient.connect(settings_for(server.address, principal=principal)) as client,
    ):
        yield client, server


def new_record(number: int = 1, *, content: bytes | None = None) -> NewRecord:
    """A record of a physician."""
    return NewRecord(
        patient=PATIENT,
        content=content or f"content {number}".encode(),
        media_type="text/plain",
        acting=PHYSICIAN,
    )
