"""A client whose answers a test sets, in the place of the one that calls a peer."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

import pytest
from caretree.cli import imports, session
from caretree.client.errors import CallFailedError
from caretree.client.settings import ClientSettings
from caretree.client.values import (
    ActingPerson,
    Appended,
    Entry,
    EntryStatus,
    GrantDescription,
    Granted,
    HistoryPage,
    HistoryRecord,
    NewRecord,
    TrailEvent,
)
from caretree.crypto.pseudonym import PatientIdentifier
from caretree.ledger.values import Position, Purpose
from caretree.model.ids import GrantId, Height, LeafIndex, Place, RecordId, TimeMs

POSITION: Final = Position(height=Height(7), place=Place(2), leaf_index=LeafIndex(40))
RECORD: Final = RecordId(bytes(range(16)))
GRANT: Final = GrantId(bytes(range(1, 17)))
ENTRY: Final = Entry(
    position=POSITION, status=EntryStatus.CERTIFIED, receipt=None, receipt_file=b"receipt\n"
)


@dataclass(slots=True, kw_only=True)
class FakeClient:
    """Answers as it was told, and remembers what it was asked."""

    failure: CallFailedError | None = None
    status: EntryStatus = EntryStatus.CERTIFIED
    records: tuple[HistoryRecord, ...] = ()
    events: tuple[TrailEvent, ...] = ()
    descriptions: tuple[GrantDescription, ...] = ()
    connected: int = 0
    asked: list[object] = field(default_factory=list)
    settings: ClientSettings | None = None

    @asynccontextmanager
    async def connect(self, settings: ClientSettings) -> AsyncIterator["FakeClient"]:
        self.settings, self.connected = settings, self.connected + 1
        yield self

    async def append(self, record: NewRecord, *, deadline_s: float = 0.0) -> Appended:
        self._ask(record, deadline_s)
        file = b"receipt\n" if self.status is EntryStatus.CERTIFIED else b""
        entry = Entry(position=POSITION, status=self.status, receipt=None, receipt_file=file)
        return Appended(record_id=RECORD, entry=entry, already_added=False)

    async def get_record(
        self, record_id: RecordId, *, acting: ActingPerson | None, purpose: Purpose
    ) -> HistoryRecord:
        self._ask(record_id, acting, purpose)
        return self.records[0]

    async def history(
        self,
        patient: PatientIdentifier,
        *,
        acting: ActingPerson | None,
        purpose: Purpose,
        page_size: int,
    ) -> AsyncIterator[HistoryPage]:
        self._ask(patient, acting, purpose)
        for start in range(0, len(self.records), page_size):
            page = self.records[start : start + page_size]
            yield HistoryPage(reading=POSITION, records=page)

    async def create_grant(
        self, patient: PatientIdentifier, grantee: str, **asked: object
    ) -> Granted:
        self._ask(patient, grantee, asked)
        return Granted(grant_id=GRANT, entry=ENTRY)

    async def revoke_grant(
        self, patient: PatientIdentifier, **asked: object
    ) -> tuple[Granted, ...]:
        self._ask(patient, asked)
        return (Granted(grant_id=GRANT, entry=ENTRY),)

    async def list_grants(
        self, patient: PatientIdentifier, **asked: object
    ) -> AsyncIterator[GrantDescription]:
        self._ask(patient, asked)
        for description in self.descriptions:
            yield description

    async def list_trail(
        self, patient: PatientIdentifier | None, **asked: object
    ) -> AsyncIterator[TrailEvent]:
        self._ask(patient, asked)
        for event in self.events:
            yield event

    def _ask(self, *asked: object) -> None:
        self.asked += asked
        if self.failure is not None:
            raise self.failure


def put_in_place(fake: FakeClient, monkeypatch: pytest.MonkeyPatch) -> None:
    """Have every command of this test use the fake."""
    monkeypatch.setattr(session, "CaretreeClient", fake)
    monkeypatch.setattr(imports, "CaretreeClient", fake)


def client_file(folder: Path) -> Path:
    """A client.toml, and the files that it names."""
    for name in ("ca.pem", "certificate.pem", "policy"):
        (folder / name).write_text(name)
    (folder / "key.pem").touch(mode=0o600)
    path = folder / "client.toml"
    path.write_text(
        'address = "127.0.0.1:7401"\nserver_name = "00000000000000aa.town.city.example"\n'
        'ca_certificate = "ca.pem"\ncertificate = "certificate.pem"\nkey = "key.pem"\n'
        'policy = "policy"\norigin = "city.example/0a1b2c3d"\n'
    )
    return path


def open_record(content: bytes, *, number: int = 0, erased: bool = False) -> HistoryRecord:
    """A record of the hospital's that is open to the caller."""
    return HistoryRecord(
        custodian="hospital",
        time_ms=TimeMs(1_767_225_600_000),
        closed=False,
        erased=erased,
        record_id=RecordId(number.to_bytes(16, "big")),
        position=POSITION,
        content=content,
        media_type="application/fhir+json",
        replaced_by=None,
        document_id=bytes(16),
        part=0,
    )


def closed_record() -> HistoryRecord:
    """A record of which custodian and time are all that is told."""
    return HistoryRecord(
        custodian="hospital",
        time_ms=TimeMs(1_767_225_600_000),
        closed=True,
        erased=False,
        record_id=None,
        position=None,
        content=b"",
        media_type="",
        replaced_by=None,
        document_id=b"",
        part=0,
    )
