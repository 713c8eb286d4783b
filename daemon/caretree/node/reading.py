"""Reading histories and records: the trace first, then the content.

1. The page is found in the applied state, and who may see which of its records.
2. An entry that names exactly those records is ordered. Apply judges it again, at its position, and
   refuses it when the page is another one there: then this begins anew.
3. Only when it is applied, and so COMMITTED, does the first byte of content leave.

Who has no standing learns nothing, not even whether the patient is known, and leaves a trace too.
"""

import asyncio
from collections.abc import AsyncIterator, Sequence
from functools import partial
from typing import Final

from caretree.crypto.aead import OpeningError
from caretree.ledger.access import Reader, may_read
from caretree.ledger.authoring import draft_reading, open_record
from caretree.ledger.bodies import parse_body
from caretree.ledger.queries import (
    HistoryItem,
    HistoryView,
    history_page,
    record_place,
    record_view,
)
from caretree.ledger.values import Outcome, Page, Patient, Position, Record
from caretree.model.errors import FatalError
from caretree.model.ids import LeafIndex, RecordId
from caretree.model.limits import KIB
from caretree.model.reasons import CallError, Reason
from caretree.node.author import Fate
from caretree.node.barrier import Barrier
from caretree.node.calls import HistoryAnswer, HistoryCommand, HistoryRecord, RecordCommand
from caretree.node.clock import Clock
from caretree.node.denials import Denials
from caretree.node.desk import Desk

ATTEMPTS_MAX: Final = 8
# Small records that are opened before others have a turn: about half a millisecond.
OPENED_A_TURN: Final = 8
# Hashing and deciphering so much lets other threads run, and takes longer than changing threads.
LARGE_BYTES: Final = 64 * KIB


class LostRecordError(FatalError):
    """A record's payload is missing, and nothing justifies that."""

    def __init__(self) -> None:
        super().__init__("a record's payload is missing from the store without an erasure")


class Reading:
    """Readings for one peer."""

    def __init__(self, desk: Desk, *, barrier: Barrier, denials: Denials, clock: Clock) -> None:
        self._desk = desk
        self._barrier = barrier
        self._denials = denials
        self._clock = clock

    async def history(self, command: HistoryCommand, *, deadline: float) -> HistoryAnswer:
        """A page of a patient's history, answered as of its reading entry.

        Raises:
            CallError: NOT_OPEN, NO_QUORUM, OUTCOME_UNKNOWN, CONTENDED, ...
        """
        desk = self._desk
        patient = desk.patient(command.patient)
        reader = Reader(actor=command.actor, member=desk.author.member, purpose=command.purpose)
        page = Page(before=command.before, size=command.page_size)
        for _ in range(ATTEMPTS_MAX):
            view = await self._view(reader, patient, page, deadline)
            fate = await self._order(reader, patient, page, view.open_ids, deadline)
            if fate.outcome is Outcome.APPLIED:
                assert fate.position is not None
                return self._page_answer(reader, patient, page, view, fate.position)
            self._check_repeatable(fate, reader, patient)
        raise CallError(Reason.CONTENDED, retry_after_ms=100)

    async def record(
        self, command: RecordCommand, *, deadline: float
    ) -> tuple[Position, HistoryRecord]:
        """One record, and the position of its reading entry.

        Raises:
            CallError: NOT_OPEN also for a record that does not exist; and as `history`.
        """
        desk = self._desk
        reader = Reader(actor=command.actor, member=desk.author.member, purpose=command.purpose)
        for _ in range(ATTEMPTS_MAX):
            patient, item = await self._find(reader, command.record_id, deadline)
            fate = await self._order(
                reader, patient, command.record_id, (command.record_id,), deadline
            )
            if fate.outcome is Outcome.APPLIED:
                assert fate.position is not None
                return fate.position, await self._open(patient, item)
            self._check_repeatable(fate, reader, patient)
        raise CallError(Reason.CONTENDED, retry_after_ms=100)

    async def _view(
        self, reader: Reader, patient: Patient, page: Page, deadline: float
    ) -> HistoryView:
        """The page as seen here; before a refusal, as of all that is committed anywhere."""
        if not may_read(reader.actor.role):
            raise CallError(Reason.ROLE_NOT_PERMITTED)
        desk = self._desk
        view = history_page(desk.reads, reader, patient, page, desk.block_time_ms())
        if not view.standing:
            await self._barrier.pass_by(deadline)
            view = history_page(desk.reads, reader, patient, page, desk.block_time_ms())
        if not view.standing:
            self._deny(reader, patient)
        return view

    async def _find(
        self, reader: Reader, record_id: RecordId, deadline: float
    ) -> tuple[Patient, HistoryItem]:
        if not may_read(reader.actor.role):
            raise CallError(Reason.ROLE_NOT_PERMITTED)
        found = self._look_up(reader, record_id)
        if found is None or not found[1].is_open:
            await self._barrier.pass_by(deadline)
            found = self._look_up(reader, record_id)
        if found is None:
            raise CallError(Reason.NOT_OPEN)
        if not found[1].is_open:
            self._deny(reader, found[0])
        return found

    def _look_up(self, reader: Reader, record_id: RecordId) -> tuple[Patient, HistoryItem] | None:
        desk = self._desk
        place = record_place(desk.reads, record_id)
        if place is None:
            return None
        patient = Patient(pseudonym_epoch=place.pseudonym_epoch, pseudonym=place.pseudonym)
        item = record_view(desk.reads, reader, patient, record_id, desk.block_time_ms())
        return None if item is None else (patient, item)

    def _deny(self, reader: Reader, patient: Patient) -> None:
        self._denials.note(reader.actor, patient, self._clock.now_ms())
        raise CallError(Reason.NOT_OPEN)

    def _check_repeatable(self, fate: Fate, reader: Reader, patient: Patient) -> None:
        match fate.outcome:
            case Outcome.READING_STALE:
                return  # the page changed on the way: read it again
            case Outcome.NOT_OPEN | Outcome.UNKNOWN_RECORD:
                self._deny(reader, patient)
            case _:
                raise CallError(Reason.INTERNAL)

    async def _order(
        self,
        reader: Reader,
        patient: Patient,
        scope: Page | RecordId,
        record_ids: tuple[RecordId, ...],
        deadline: float,
    ) -> Fate:
        desk = self._desk
        draft = draft_reading(
            desk.author,
            desk.own_request(reader.actor),
            patient,
            purpose=reader.purpose,
            scope=scope,
            record_ids=record_ids,
            random=desk.custody,
        )
        return await desk.submit([draft]).fate(deadline)

    def _page_answer(
        self, reader: Reader, patient: Patient, page: Page, view: HistoryView, at: Position
    ) -> HistoryAnswer:
        """The page as of the reading's position, of which exactly the named records are open."""
        desk = self._desk
        as_of = Page(before=min(page.before, at.leaf_index), size=page.size)
        now = history_page(desk.reads, reader, patient, as_of, desk.block_time_ms())
        shown = now if now.standing else view
        return HistoryAnswer(
            reading=at,
            record_count=len(shown.items),
            next_before=shown.next_before,
            records=self._records(patient, shown.items, frozenset(view.open_ids)),
        )

    async def _records(
        self, patient: Patient, items: Sequence[HistoryItem], named: frozenset[RecordId]
    ) -> AsyncIterator[HistoryRecord]:
        for number, item in enumerate(items, 1):
            if number % OPENED_A_TURN == 0:
                await asyncio.sleep(0)
            if item.row.record_id in named:
                yield await self._open(patient, item)
            else:
                yield _closed(item)

    async def _open(self, patient: Patient, item: HistoryItem) -> HistoryRecord:
        """The record decrypted, away from the loop when it is large."""
        desk, row = self._desk, item.row
        opening = desk.blocks.opening(row.height, row.place)
        if opening.body is None or opening.payload_erased:
            return _described(item, record=None, content=b"")
        happening = parse_body(opening.body).happening
        assert isinstance(happening, Record)
        if opening.payload is None:
            raise LostRecordError
        key = desk.keyrings.key(row.custodian, patient, row.keyring_epoch)
        if key is None:
            raise OpeningError("epoch key: none was sealed to this member")
        opened = partial(open_record, opening.payload, happening, key, desk.author.origin)
        large = len(opening.payload) >= LARGE_BYTES
        content = await asyncio.to_thread(opened) if large else opened()
        return _described(item, record=happening, content=content)


def _described(item: HistoryItem, *, record: Record | None, content: bytes) -> HistoryRecord:
    row = item.row
    return HistoryRecord(
        custodian=row.custodian,
        time_ms=row.time_ms,
        closed=False,
        record_id=row.record_id,
        position=_position(item),
        erased=record is None,
        content=content,
        media_type="" if record is None else record.media_type,
        replaced_by=row.replaced_by,
        document_id=b"" if record is None else record.document_id,
        part=0 if record is None else record.part,
    )


def _closed(item: HistoryItem) -> HistoryRecord:
    return HistoryRecord(
        custodian=item.row.custodian,
        time_ms=item.row.time_ms,
        closed=True,
        record_id=None,
        position=None,
        erased=False,
        content=b"",
        media_type="",
        replaced_by=None,
        document_id=b"",
        part=0,
    )


def _position(item: HistoryItem) -> Position:
    row = item.row
    return Position(height=row.height, place=row.place, leaf_index=LeafIndex(item.leaf_index))
