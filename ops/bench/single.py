"""What is measured on running peers one thing at a time: idling, disk, a history, an import."""

import asyncio
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from caretree.client.values import HistoryPage
from caretree.crypto.sealing import RecordContext, seal_content
from caretree.ledger.values import Purpose, Role
from caretree.model.ids import MemberId, Origin, RecordId, TimeMs

from ops.bench.errors import BenchFailedError
from ops.bench.machine import cpu_seconds, disk_bytes, resident_bytes
from ops.bench.peers import Caller
from ops.bench.values import Figure, Spread, percentile
from ops.demo.acknowledged import Acknowledgements
from ops.demo.bundles import survey, write_residents
from ops.demo.consortium import HOSPITAL
from ops.demo.running import TOWN_PHYSICIAN, Callers
from ops.demo.taking_in import TakingIn

IDLE_S: Final = 5.0
HISTORY_RECORDS: Final = 100
HISTORIES: Final = 200
WARM_UP: Final = 10
GRANT_MS: Final = 3_600_000
# LevelDB merges in the background; what it is about to remove shall not be counted.
SETTLED_S: Final = 0.5
SETTLING_S_MAX: Final = 10.0


async def idle(pids: Sequence[int]) -> list[Figure]:
    """What peers need that nobody calls."""
    begun, before = time.monotonic(), [cpu_seconds([pid]) for pid in pids]
    await asyncio.sleep(IDLE_S)
    seconds = time.monotonic() - begun
    spent = [cpu_seconds([pid]) - earlier for pid, earlier in zip(pids, before, strict=True)]
    return [
        Figure(
            name="idle.memory",
            what=f"resident memory of a peer, idle for {IDLE_S:g} s; the largest counts",
            unit="MB",
            value=_largest([resident_bytes(pid) / 1e6 for pid in pids]),
        ),
        Figure(
            name="idle.cpu",
            what="processor time of an idle peer; the largest counts",
            unit="ms/s",
            value=_largest([each / seconds * 1000 for each in spent]),
        ),
    ]


async def settled_disk_bytes(folders: Sequence[Path]) -> list[int]:
    """What each folder occupies once it stays the same for a moment."""
    until = time.monotonic() + SETTLING_S_MAX
    found = [disk_bytes(folder) for folder in folders]
    while time.monotonic() < until:
        await asyncio.sleep(SETTLED_S)
        before, found = found, [disk_bytes(folder) for folder in folders]
        if before == found:
            break
    return found


def disk_figures(grown: Sequence[int], records: int, content_bytes: int) -> list[Figure]:
    """What a record takes on the disk of each peer, and how much more that is than its ciphertext.

    The records are those of all rows of load together, the keyrings of new patients among them.
    """
    each = [size / records for size in grown]
    sealed = ciphertext_bytes(content_bytes)
    return [
        Figure(
            name="disk.per_record",
            what=f"disk of a peer for each of {records:,} records of {content_bytes} bytes",
            unit="B",
            value=_largest(each),
        ),
        Figure(
            name="disk.ratio",
            what=f"the same, against the ciphertext of {sealed} bytes",
            unit="x",
            value=_largest([size / sealed for size in each]),
        ),
    ]


def ciphertext_bytes(content_bytes: int) -> int:
    """How long a content is once it is padded and sealed."""
    context = RecordContext(
        origin=Origin("origin"), custodian=MemberId("member"), record_id=RecordId(bytes(16))
    )
    sealed = seal_content(
        record_key=bytes(32), nonce=bytes(12), context=context, content=bytes(content_bytes)
    )
    return len(sealed)


async def history(caller: Caller, callers: Callers) -> list[Figure]:
    """How long the hospital's doctor waits for what the township opened to the hospital.

    Raises:
        BenchFailedError: the history is not what was written.
    """
    patient = caller.supply.referred()
    await caller.introduce([patient])
    await caller.introduce([patient] * (HISTORY_RECORDS - 1))
    await callers.town_doctor.create_grant(
        patient,
        HOSPITAL,
        roles=[Role.PHYSICIAN],
        purpose=Purpose.TREATMENT,
        until_ms=TimeMs(time.time_ns() // 1_000_000 + GRANT_MS),
    )
    waits: list[float] = []
    for _ in range(WARM_UP + HISTORIES):
        begun = time.perf_counter()
        pages = [page async for page in callers.hospital_doctor.history(patient)]
        waits.append(time.perf_counter() - begun)
        _check_history(pages, caller.supply.content_bytes)
    what = f"history of {HISTORY_RECORDS} records of another member, {HISTORIES} readings"
    return [
        Figure(
            name=f"history.p{percent}",
            what=f"{what}: p{percent}",
            unit="ms",
            value=Spread.of([percentile(waits[WARM_UP:], percent) * 1000]),
        )
        for percent in (50, 99)
    ]


async def importing(folder: Path, callers: Callers, *, residents: int) -> list[Figure]:
    """The walk's import, with nobody killed meanwhile.

    Raises:
        BenchFailedError: a record is missing.
    """
    await asyncio.to_thread(write_residents, folder, count=residents)
    taken = await asyncio.to_thread(survey, folder)
    imported = await TakingIn(
        callers.record_system,
        Acknowledgements(),
        acting=TOWN_PHYSICIAN,
        blows=(),
        on_acknowledged=lambda: None,
    ).run(taken)
    if imported.acknowledged != taken.record_count:
        raise BenchFailedError(
            f"{imported.acknowledged} of {taken.record_count} records were acknowledged"
        )
    return [
        Figure(
            name="import.rate",
            what=f"import of {imported.acknowledged} FHIR records, as `make demo` takes them in",
            unit="records/s",
            value=Spread.of([imported.acknowledged / imported.seconds]),
        )
    ]


def _check_history(pages: Sequence[HistoryPage], content_bytes: int) -> None:
    records = [record for page in pages for record in page.records]
    whole = all(len(record.content) == content_bytes for record in records)
    if len(records) != HISTORY_RECORDS or not whole:
        raise BenchFailedError(f"expected {HISTORY_RECORDS} open records, found {len(records)}")


def _largest(values: Sequence[float]) -> Spread:
    """What the largest of the peers needs; the others lie between."""
    return Spread(median=max(values), low=min(values), high=max(values))
