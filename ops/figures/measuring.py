"""The measurements, on three daemons as separate processes, founded as the demo founds them.

The hospital's peer leads and the township's is called, so every record crosses to the leader and
back, as in the walk. The caller shares the machine with the three daemons.
"""

import asyncio
import time
from collections.abc import Callable
from pathlib import Path
from typing import Final

from caretree.client import CaretreeClient, EntryStatus, NewRecord
from caretree.crypto.ed25519 import verify
from caretree.crypto.pseudonym import normalise_identifier
from caretree.ledger.receipts import verify_receipt
from caretree.merkle.policy_text import parse_policy

from ops.demo.acknowledged import Acknowledgements
from ops.demo.bundles import Survey, survey, write_residents
from ops.demo.consortium import HOSPITAL, TOWN, found_consortium
from ops.demo.daemons import Daemon
from ops.demo.errors import WalkFailedError
from ops.demo.running import TOWN_PHYSICIAN, connected, lead_from, watched
from ops.demo.taking_in import TakingIn
from ops.figures.values import Figure, certified, idle_memory, import_rate, verifying

RESIDENTS: Final = 300
IDLE_S: Final = 5.0
WARM_UP: Final = 20
APPENDS: Final = 200
CONTENT_BYTES: Final = 1024
VERIFICATIONS: Final = 500
# The single appends are of nobody whom the import knows.
_CARD: Final = "urn:example:card"


async def measure(folder: Path, daemons: dict[str, Daemon], tell: Callable[[Figure], None]) -> None:
    """Measure every figure and tell it; the daemons are stopped by whoever gave the dict.

    Raises:
        WalkFailedError, CaretreeError: the daemons did not do what was asked of them.
    """
    await asyncio.to_thread(write_residents, folder / "bundles", count=RESIDENTS)
    taken = await asyncio.to_thread(survey, folder / "bundles")
    systems = (*taken.identifier_systems, _CARD)
    founded = await found_consortium(folder, identifier_systems=systems)
    daemons.update({member: Daemon(centre) for member, centre in founded.centres.items()})
    for daemon in daemons.values():
        daemon.start()
    async with watched(daemons), connected(founded) as callers:
        await lead_from(callers, HOSPITAL)
        tell(await _idle(daemons))
        waits, receipt = await _append_one_at_a_time(callers.record_system)
        for figure in certified(waits):
            tell(figure)
        policy = founded.centres[TOWN].policy.read_bytes()
        tell(await asyncio.to_thread(_verify, receipt, policy))
        tell(await _import(callers.record_system, taken))


async def _idle(daemons: dict[str, Daemon]) -> Figure:
    await asyncio.sleep(IDLE_S)
    resident = [_resident_bytes(daemon.pid) for daemon in daemons.values()]
    return idle_memory(resident_bytes=resident, after_s=IDLE_S)


def _resident_bytes(pid: int) -> int:
    for line in (Path("/proc") / str(pid) / "status").read_text(encoding="ascii").splitlines():
        name, _, value = line.partition(":")
        if name == "VmRSS":
            return int(value.removesuffix("kB")) * 1024
    raise WalkFailedError(f"process {pid} has ended")


async def _append_one_at_a_time(client: CaretreeClient) -> tuple[list[float], bytes]:
    """How long each append took until it was CERTIFIED and its receipt verified; one receipt."""
    waits: list[float] = []
    receipt = b""
    for number in range(WARM_UP + APPENDS):
        record = NewRecord(
            patient=normalise_identifier(system=_CARD, value="FIGURES-1"),
            content=f"{number:08}".encode() * (CONTENT_BYTES // 8),
            media_type="text/plain",
            acting=TOWN_PHYSICIAN,
        )
        begun = time.perf_counter()
        appended = await client.append(record)
        waits.append(time.perf_counter() - begun)
        if appended.status is not EntryStatus.CERTIFIED:
            raise WalkFailedError(f"append {number} was answered {appended.status.name}")
        receipt = appended.receipt_file
    return waits[WARM_UP:], receipt


def _verify(receipt: bytes, policy_file: bytes) -> Figure:
    policy = parse_policy(policy_file)
    took: list[float] = []
    for _ in range(VERIFICATIONS):
        begun = time.perf_counter()
        verify_receipt(receipt, policy, verify)
        took.append(time.perf_counter() - begun)
    return verifying(took)


async def _import(client: CaretreeClient, taken: Survey) -> Figure:
    """The walk's import, with nobody killed meanwhile."""
    imported = await TakingIn(
        client,
        Acknowledgements(),
        acting=TOWN_PHYSICIAN,
        blows=(),
        on_acknowledged=lambda: None,
    ).run(taken)
    if imported.acknowledged != taken.record_count:
        raise WalkFailedError(
            f"{imported.acknowledged} of {taken.record_count} records were acknowledged"
        )
    return import_rate(records=imported.acknowledged, seconds=imported.seconds)
