"""The referral itself: who is at risk, opening their histories, and reading one elsewhere."""

import asyncio
import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from caretree.client import CaretreeClient
from caretree.client.errors import CallFailedError
from caretree.client.values import Appended, HistoryRecord, NewRecord
from caretree.crypto.pseudonym import PatientIdentifier
from caretree.intake.files import read_bundle_file
from caretree.ledger.receipt_text import utc_text
from caretree.ledger.values import Purpose, Role
from caretree.model.ids import TimeMs
from caretree.model.reasons import Reason

from ops.demo.bundles import Survey, read_split
from ops.demo.consortium import HOSPITAL
from ops.demo.errors import WalkFailedError
from ops.demo.findings import glance
from ops.demo.screening import Screening, screen

GRANT_DAYS: Final = 30
GRANTS_AT_ONCE: Final = 16
DEADLINE_S: Final = 60.0
CONSULTATION: Final = (
    "Referred from the township for cardiovascular risk. Earlier check-ups read in full; none of"
    " the basic examinations was repeated."
)
_DAY_MS: Final = 86_400_000

HistoryRow = tuple[str, str, str, str]
HISTORY_COLUMNS: Final = ("date", "custodian", "kind", "findings")


@dataclass(frozen=True, slots=True, kw_only=True)
class Screened:
    """A patient, and what the rule says of the bundle."""

    patient: PatientIdentifier
    screening: Screening


def screen_all(survey: Survey) -> list[Screened]:
    """What the rule says of every patient, whose own centre reads its own bundles."""
    return [
        Screened(
            patient=read_split(file, survey.identifier_systems).patient,
            screening=screen([read_bundle_file(file)]),
        )
        for file in survey.files
    ]


def whom_to_refer(screened: Sequence[Screened]) -> list[Screened]:
    """Those at risk, the one with most signs first; when nobody is, who comes closest."""
    ranked = sorted(screened, key=lambda item: -len(item.screening.signs))
    at_risk = [item for item in ranked if item.screening.at_risk]
    return at_risk or ranked[:1]


async def try_to_read(client: CaretreeClient, patient: PatientIdentifier) -> str:
    """The words in which a doctor is refused to whom nothing is open.

    Raises:
        WalkFailedError: the history was not refused.
    """
    try:
        async for _ in client.history(patient, deadline_s=DEADLINE_S):
            break
    except CallFailedError as error:
        if error.reason is not Reason.NOT_OPEN:
            raise
        return f"{error.code} {error.reason.name}: {error.message}"
    raise WalkFailedError("the hospital's doctor read a history that nobody had opened")


async def open_to_hospital(client: CaretreeClient, patients: Sequence[PatientIdentifier]) -> None:
    """Open these histories to the hospital's physicians, to treat these patients."""
    until_ms = TimeMs(time.time_ns() // 1_000_000 + GRANT_DAYS * _DAY_MS)
    room = asyncio.Semaphore(GRANTS_AT_ONCE)

    async def open_one(patient: PatientIdentifier) -> None:
        async with room:
            await client.create_grant(
                patient,
                HOSPITAL,
                roles=[Role.PHYSICIAN],
                purpose=Purpose.TREATMENT,
                until_ms=until_ms,
                deadline_s=DEADLINE_S,
            )

    async with asyncio.TaskGroup() as group:
        for patient in patients:
            group.create_task(open_one(patient))


async def read_history(
    client: CaretreeClient, patient: PatientIdentifier
) -> tuple[HistoryRecord, ...]:
    """All that a doctor gets of a patient, newest first."""
    pages = client.history(patient, deadline_s=DEADLINE_S)
    return tuple([record async for page in pages for record in page.records])


async def add_consultation(client: CaretreeClient, patient: PatientIdentifier) -> Appended:
    """The hospital's own note of the visit, under the hospital's own keys."""
    record = NewRecord(patient=patient, content=CONSULTATION.encode(), media_type="text/plain")
    return await client.append(record, deadline_s=DEADLINE_S)


def history_rows(records: Sequence[HistoryRecord], *, shown_max: int) -> list[HistoryRow]:
    """A history as a table shows it; of what is closed, custodian and time."""
    rows = [_row(record) for record in records[:shown_max]]
    more = len(records) - len(rows)
    return [*rows, ("", "", f"and {more} more", "")] if more else rows


def _row(record: HistoryRecord) -> HistoryRow:
    added = utc_text(record.time_ms)[:10]
    if record.closed:
        return (added, record.custodian, "closed", "")
    if record.media_type == "text/plain":
        return (added, record.custodian, "note", record.content.decode(errors="replace"))
    seen = glance(record.content)
    return (seen.day or added, record.custodian, seen.kind, seen.findings)
