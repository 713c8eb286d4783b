"""What peers acknowledged: kept by the walk itself, and asked for again at its end."""

import asyncio
import hashlib
from collections import defaultdict
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Final

from caretree.client import CaretreeClient
from caretree.client.values import ActingPerson
from caretree.crypto.pseudonym import PatientIdentifier
from caretree.model.errors import CaretreeError
from caretree.model.ids import RecordId

HISTORIES_AT_ONCE: Final = 24
RECEIPTS_AT_ONCE: Final = 64
DEADLINE_S: Final = 60.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Acknowledged:
    """A record that a member's peer said it has."""

    member: str
    patient: PatientIdentifier
    content_hash: bytes


@dataclass(slots=True)
class Acknowledgements:
    """Every acknowledgement of the walk, by record id."""

    records: dict[RecordId, Acknowledged] = field(default_factory=dict)

    def note(
        self, record_id: RecordId, *, member: str, patient: PatientIdentifier, content: bytes
    ) -> None:
        """Note that a member's peer acknowledged a record with this content."""
        self.records[record_id] = Acknowledged(
            member=member, patient=patient, content_hash=content_hash(content)
        )

    def of(self, member: str) -> dict[PatientIdentifier, set[RecordId]]:
        """The ids that a member's peer acknowledged, by patient."""
        ids: defaultdict[PatientIdentifier, set[RecordId]] = defaultdict(set)
        for record_id, acknowledged in self.records.items():
            if acknowledged.member == member:
                ids[acknowledged.patient].add(record_id)
        return ids


@dataclass(slots=True)
class Found:
    """What was found of the acknowledged records, and what went wrong on the way."""

    fetched: set[RecordId] = field(default_factory=set)  # byte for byte as they were sent
    verified: set[RecordId] = field(default_factory=set)  # their receipts
    faults: list[str] = field(default_factory=list)


@dataclass(frozen=True, slots=True, kw_only=True)
class Account:
    """The two numbers of the walk's end."""

    acknowledged: int
    fetched_and_verified: int

    @property
    def holds(self) -> bool:
        """Whether nothing that was acknowledged is missing."""
        return self.acknowledged == self.fetched_and_verified


def settle(acknowledgements: Mapping[RecordId, Acknowledged], found: Found) -> Account:
    """The account: a record counts when both it and its receipt were found good."""
    good = found.fetched & found.verified & acknowledgements.keys()
    return Account(acknowledged=len(acknowledgements), fetched_and_verified=len(good))


def content_hash(content: bytes) -> bytes:
    """By what the walk knows a content again."""
    return hashlib.sha256(content).digest()


class Fetching:
    """Asks one member's peer for all that it acknowledged: each record, and each receipt."""

    def __init__(
        self,
        client: CaretreeClient,
        acknowledgements: Acknowledgements,
        found: Found,
        *,
        acting: ActingPerson | None,
    ) -> None:
        self._client = client
        self._expected = acknowledgements.records
        self._found = found
        self._acting = acting
        self._histories = asyncio.Semaphore(HISTORIES_AT_ONCE)
        self._receipts = asyncio.Semaphore(RECEIPTS_AT_ONCE)

    async def fetch(
        self, asked: Mapping[PatientIdentifier, set[RecordId]], on_record: Callable[[], None]
    ) -> None:
        """Fetch every record of these patients, and verify the receipt of each.

        What fails is noted among the faults and is simply not found.
        """
        async with asyncio.TaskGroup() as group:
            for patient, record_ids in asked.items():
                group.create_task(self._history(patient, record_ids))
                for record_id in record_ids:
                    group.create_task(self._receipt(record_id, on_record))

    async def _history(self, patient: PatientIdentifier, asked: set[RecordId]) -> None:
        async with self._histories:
            try:
                pages = self._client.history(patient, acting=self._acting, deadline_s=DEADLINE_S)
                async for page in pages:
                    for record in page.records:
                        self._compare(record.record_id, record.content, asked)
            except CaretreeError as error:
                self._found.faults.append(f"a history: {error.message}")

    def _compare(self, record_id: RecordId | None, content: bytes, asked: set[RecordId]) -> None:
        if record_id is None or record_id not in asked:
            return  # closed, or another member's
        if content_hash(content) == self._expected[record_id].content_hash:
            self._found.fetched.add(record_id)
        else:
            self._found.faults.append(f"record {record_id.hex()}: not the content that was sent")

    async def _receipt(self, record_id: RecordId, on_record: Callable[[], None]) -> None:
        async with self._receipts:
            try:
                await self._client.receipt(record_id=record_id, deadline_s=DEADLINE_S)
            except CaretreeError as error:
                fault = f"the receipt of record {record_id.hex()}: {error.message}"
                self._found.faults.append(fault)
            else:
                self._found.verified.add(record_id)
        on_record()
