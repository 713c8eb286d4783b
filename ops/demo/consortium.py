"""A consortium of three, founded by the commands that real founders use, each in its own folder."""

import asyncio
import os
import socket
from collections.abc import Coroutine, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from ops.demo.commands import caretree
from ops.demo.errors import WalkFailedError, first_of

CONSORTIUM: Final = "yunhe.example"
TOWN, HOSPITAL, OFFICE = "town", "hospital", "office"
RECORD_SYSTEM, TOWN_DOCTOR = "his", "dr-li"
HOSPITAL_DOCTOR, AUDITOR, OPERATOR = "dr-wang", "auditor-zhao", "operator"

_NAMES: Final = {
    TOWN: "Qingxi Township Health Centre",
    HOSPITAL: "Yunhe District Hospital",
    OFFICE: "Yunhe Supervising Office",
}
# Who may call each peer: name, kind, roles.
_PRINCIPALS: Final = {
    TOWN: (
        (RECORD_SYSTEM, "system", ("physician", "nurse", "laboratory", "registrar")),
        (TOWN_DOCTOR, "person", ("physician",)),
        (OPERATOR, "operator", ()),
    ),
    HOSPITAL: ((HOSPITAL_DOCTOR, "person", ("physician",)), (OPERATOR, "operator", ())),
    OFFICE: ((AUDITOR, "person", ("auditor",)), (OPERATOR, "operator", ())),
}
# Below the ports that the system lends to outgoing connections: a peer that is started again
# must find its own ones free.
_PORTS: Final = range(20_000, 32_000)


@dataclass(frozen=True, slots=True, kw_only=True)
class Centre:
    """A member: its folder, and where its peer listens."""

    member: str
    name: str
    folder: Path
    client_address: str
    peer_address: str
    http_address: str

    @property
    def config(self) -> Path:
        """The daemon's configuration."""
        return self.folder / "caretree.toml"

    @property
    def policy(self) -> Path:
        """By what receipts are verified."""
        return self.folder / "policy"

    def client_file(self, principal: str) -> Path:
        """What a principal's client needs."""
        return self.folder / "principals" / principal / "client.toml"


@dataclass(frozen=True, slots=True, kw_only=True)
class Founded:
    """A consortium whose members have all imported its genesis."""

    folder: Path
    origin: str
    genesis_hash: str
    centres: dict[str, Centre]


async def found_consortium(folder: Path, *, identifier_systems: Sequence[str]) -> Founded:
    """A new consortium in an empty folder, its principals ready to call.

    Raises:
        WalkFailedError: a command was refused.
    """
    centres = _centres(folder)
    members = [part for member in centres for part in ("--member", member)]
    systems = [part for system in identifier_systems for part in ("--identifier-system", system)]
    await caretree(
        *("consortium", "create", CONSORTIUM, *members, *systems, "--out", "invitation"),
        folder=folder,
    )
    await _each(_join(centre, folder) for centre in centres.values())
    requests = [f"{member}/join-request" for member in centres]
    collected = await caretree(
        *("consortium", "found", "invitation", *requests, "--out", "genesis"), folder=folder
    )
    genesis_hash = str(collected["hash"])
    await _each(
        caretree(
            *("member", "sign", "genesis", "--directory", member, "--out", f"{member}.signature"),
            folder=folder,
        )
        for member in centres
    )
    await _each(_settle_in(member, list(centres), genesis_hash, folder) for member in centres)
    return Founded(
        folder=folder,
        origin=str(collected["origin"]),
        genesis_hash=genesis_hash,
        centres=centres,
    )


async def _join(centre: Centre, folder: Path) -> None:
    await caretree(
        *("member", "init", "invitation", "--member", centre.member, "--no-kit"),
        *("--display-name", centre.name, "--directory", centre.member),
        *("--address", centre.peer_address, "--peer-listen", centre.peer_address),
        *("--client-listen", centre.client_address, "--http-listen", centre.http_address),
        folder=folder,
    )


async def _settle_in(member: str, founders: Sequence[str], genesis_hash: str, folder: Path) -> None:
    """Import what all have signed, and say who may call the peer."""
    signatures = [f"{founder}.signature" for founder in founders]
    await caretree(
        *("member", "import", "genesis", *signatures, "--hash", genesis_hash),
        *("--directory", member),
        folder=folder,
    )
    for name, kind, roles in _PRINCIPALS[member]:
        held = [part for role in roles for part in ("--role", role)]
        await caretree(
            *("member", "principal", name, "--kind", kind, *held, "--directory", member),
            folder=folder,
        )


async def _each(steps: Iterable[Coroutine[None, None, object]]) -> None:
    """Take the same step for every member at once; the first refusal ends them all."""
    try:
        async with asyncio.TaskGroup() as group:
            for step in steps:
                group.create_task(step)
    except ExceptionGroup as refused:
        raise first_of(refused) from None


def _centres(folder: Path) -> dict[str, Centre]:
    addresses = iter(free_addresses(3 * len(_NAMES)))
    return {
        member: Centre(
            member=member,
            name=name,
            folder=folder / member,
            client_address=next(addresses),
            peer_address=next(addresses),
            http_address=next(addresses),
        )
        for member, name in _NAMES.items()
    }


def free_addresses(count: int) -> list[str]:
    """So many addresses of this machine that nobody listens at now.

    Raises:
        WalkFailedError: there are not so many.
    """
    # Two walks at one time begin their search at different places.
    start = os.getpid() * 64 % len(_PORTS)
    found: list[str] = []
    for port in (*_PORTS[start:], *_PORTS[:start]):
        if _is_free(port):
            found.append(f"127.0.0.1:{port}")
        if len(found) == count:
            return found
    raise WalkFailedError(f"fewer than {count} free ports on this machine")


def _is_free(port: int) -> bool:
    with socket.socket() as probe:
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            return False
    return True
