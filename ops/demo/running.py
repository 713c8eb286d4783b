"""The running consortium: its daemons, and who of its members calls them."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from typing import Final

from caretree.cli.session import read_settings
from caretree.client import CaretreeClient
from caretree.client.errors import CallFailedError
from caretree.client.values import ActingPerson, PeerState, Status
from caretree.ledger.values import Role

from ops.demo.consortium import (
    AUDITOR,
    HOSPITAL,
    HOSPITAL_DOCTOR,
    OFFICE,
    OPERATOR,
    RECORD_SYSTEM,
    TOWN,
    TOWN_DOCTOR,
    Founded,
)
from ops.demo.daemons import Daemon
from ops.demo.errors import WalkFailedError, first_of

READY_S_MAX: Final = 60.0
# For whom the centre's record system acts.
TOWN_PHYSICIAN: Final = ActingPerson(id="dr-zhou", role=Role.PHYSICIAN)
_STATUS_S: Final = 2.0
_LOOK_S: Final = 0.1

MEMBER_COLUMNS: Final = ("member", "name", "peer", "role", "clients call", "process")


@dataclass(frozen=True, slots=True, kw_only=True)
class Callers:
    """The connections of the walk, each to the own member's peer under an own certificate."""

    record_system: CaretreeClient
    town_doctor: CaretreeClient
    hospital_doctor: CaretreeClient
    auditor: CaretreeClient
    operators: dict[str, CaretreeClient]


@asynccontextmanager
async def watched(daemons: dict[str, Daemon]) -> AsyncIterator[None]:
    """While the context lasts, a daemon that ends unasked ends what is going on in it.

    Raises:
        WalkFailedError: that has happened.
    """
    try:
        async with asyncio.TaskGroup() as group:
            watching = [group.create_task(daemon.watch()) for daemon in daemons.values()]
            yield
            for task in watching:
                task.cancel()
    except ExceptionGroup as ended:
        raise first_of(ended) from None


@asynccontextmanager
async def connected(founded: Founded) -> AsyncIterator[Callers]:
    """The callers, for as long as the context lasts."""
    async with AsyncExitStack() as stack:

        async def connect(member: str, principal: str) -> CaretreeClient:
            settings = read_settings(founded.centres[member].client_file(principal))
            return await stack.enter_async_context(CaretreeClient.connect(settings))

        yield Callers(
            record_system=await connect(TOWN, RECORD_SYSTEM),
            town_doctor=await connect(TOWN, TOWN_DOCTOR),
            hospital_doctor=await connect(HOSPITAL, HOSPITAL_DOCTOR),
            auditor=await connect(OFFICE, AUDITOR),
            operators={member: await connect(member, OPERATOR) for member in founded.centres},
        )


async def until_ready(callers: Callers) -> dict[str, Status]:
    """What the peers say of themselves once all reach each other, agree and have one leader.

    Raises:
        WalkFailedError: they do not, for READY_S_MAX.
    """
    try:
        async with asyncio.timeout(READY_S_MAX):
            while True:
                found = await _statuses(callers)
                if found is not None and _agree(list(found.values())):
                    return found
                await asyncio.sleep(_LOOK_S)
    except TimeoutError:
        raise WalkFailedError(
            f"the peers did not find each other within {READY_S_MAX:.0f} s"
        ) from None


async def lead_from(callers: Callers, member: str) -> dict[str, Status]:
    """What the peers say of themselves once this member's peer leads.

    Raises:
        WalkFailedError: it does not come to that.
    """
    statuses = await until_ready(callers)
    try:
        async with asyncio.timeout(READY_S_MAX):
            while (leader := leader_of(statuses)).member != member:
                try:
                    await callers.operators[leader.member].transfer_leadership(member)
                except CallFailedError:
                    await asyncio.sleep(_LOOK_S)
                statuses = await until_ready(callers)
    except TimeoutError:
        raise WalkFailedError(f"leadership did not move to {member}") from None
    return statuses


def leader_of(statuses: dict[str, Status]) -> PeerState:
    """The leader that all agree on."""
    status = next(iter(statuses.values()))
    return next(peer for peer in status.peers if peer.peer == status.leader)


def member_rows(
    founded: Founded, statuses: dict[str, Status], daemons: dict[str, Daemon]
) -> list[tuple[str, ...]]:
    """The members as a table shows them."""
    return [
        (
            member,
            centre.name,
            statuses[member].peer,
            statuses[member].raft_role,
            centre.client_address,
            str(daemons[member].pid),
        )
        for member, centre in founded.centres.items()
    ]


async def _statuses(callers: Callers) -> dict[str, Status] | None:
    async def ask(client: CaretreeClient) -> Status | None:
        try:
            return await client.status(deadline_s=_STATUS_S)
        except CallFailedError:
            return None  # it is starting, or was just killed

    answers = await asyncio.gather(*map(ask, callers.operators.values()))
    found = {
        member: status
        for member, status in zip(callers.operators, answers, strict=True)
        if status is not None
    }
    return found if len(found) == len(callers.operators) else None


def _agree(statuses: list[Status]) -> bool:
    leaders = {status.leader for status in statuses}
    heights = {status.height for status in statuses}
    reached = all(peer.reachable for status in statuses for peer in status.peers)
    return reached and len(heights) == 1 and len(leaders) == 1 and leaders != {""}
