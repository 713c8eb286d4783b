"""Adding and reading records."""

import asyncio
from collections import deque
from collections.abc import AsyncIterator, Iterable
from functools import partial
from typing import Final

import grpc

from caretree.client.channel import DEADLINE_S, deadline_after, remaining_s, repeated
from caretree.client.errors import AnswerError, CallFailedError, failed_call
from caretree.client.messages import (
    append_message,
    patient_message,
    person_message,
    purpose_message,
    read_id,
    read_position,
    read_record,
)
from caretree.client.receipts import check_record, verified_entry
from caretree.client.session import Session, new_request_id
from caretree.client.values import ActingPerson, Appended, HistoryPage, HistoryRecord, NewRecord
from caretree.crypto.pseudonym import PatientIdentifier
from caretree.ledger.values import Purpose
from caretree.model.ids import RecordId
from caretree.proto.api.v1 import records_pb2

# Appends of append_many that are under way at once: two full batches.
APPENDS_AT_ONCE: Final = 512


class RecordCalls(Session):
    """The calls of RecordService."""

    async def append(self, record: NewRecord, *, deadline_s: float = DEADLINE_S) -> Appended:
        """The record, in the history. Appends made at the same time share a stream.

        Where signatures are missing the peer answers COMMITTED after 10 s; with a shorter deadline
        the call then ends with OUTCOME_UNKNOWN.

        Raises:
            ReceiptError: the receipt does not verify, or is another record's.
            InconsistentLogError: see `client.errors`.
        """
        request_id = record.request_id
        if request_id is None and record.source is None:
            request_id = new_request_id()
        request = append_message(record, request_id)
        deadline = deadline_after(deadline_s)
        added = await repeated(
            partial(self._appends.append, request, deadline=deadline), deadline=deadline
        )
        appended = Appended(
            record_id=RecordId(read_id(added.record_id)),
            entry=verified_entry(
                self._trust, position=added.position, status=added.status, receipt=added.receipt
            ),
            already_added=added.already_added,
        )
        if appended.receipt is not None:
            check_record(
                appended.receipt,
                record_id=appended.record_id,
                request_id=request_id,
                media_type=record.media_type,
                maybe_erased=appended.already_added,
            )
            await self._prove_growth(deadline, always=False)
        return appended

    async def append_many(
        self,
        records: Iterable[NewRecord],
        *,
        deadline_s: float = DEADLINE_S,
        at_once: int = APPENDS_AT_ONCE,
    ) -> AsyncIterator[Appended | CallFailedError]:
        """What became of each record, in order; one that fails stops no other.

        At most `at_once` are under way, and no further one is taken meanwhile. `deadline_s` is for
        each.

        Raises:
            ReceiptError, InconsistentLogError: as `append`; what is under way is given up.
        """
        under_way: deque[asyncio.Task[Appended | CallFailedError]] = deque()
        try:
            for record in records:
                under_way.append(asyncio.create_task(self._outcome(record, deadline_s)))
                await asyncio.sleep(0)  # however fast records come, the loop gets its turn
                while under_way and (under_way[0].done() or len(under_way) >= at_once):
                    yield await under_way.popleft()
            while under_way:
                yield await under_way.popleft()
        finally:
            for task in under_way:
                task.cancel()
            await asyncio.gather(*under_way, return_exceptions=True)

    async def get_record(
        self,
        record_id: RecordId,
        *,
        acting: ActingPerson | None = None,
        purpose: Purpose = Purpose.TREATMENT,
        deadline_s: float = DEADLINE_S,
    ) -> HistoryRecord:
        """One record. The reading is an entry, which the supervising office sees."""
        request = records_pb2.GetRecordRequest(
            record_id=record_id,
            acting_person=person_message(acting),
            purpose=purpose_message(purpose),
        )
        deadline = deadline_after(deadline_s)
        answer = await self._ask(self._records.GetRecord, request, deadline=deadline)
        return read_record(answer.record)

    async def history(
        self,
        patient: PatientIdentifier,
        *,
        acting: ActingPerson | None = None,
        purpose: Purpose = Purpose.TREATMENT,
        page_size: int = 0,
        deadline_s: float = DEADLINE_S,
    ) -> AsyncIterator[HistoryPage]:
        """A patient's history, newest first, page by page; each page is a reading of its own.

        `deadline_s` is for each page.
        """
        request = records_pb2.ListHistoryRequest(
            patient=patient_message(patient),
            acting_person=person_message(acting),
            purpose=purpose_message(purpose),
            page_size=page_size,
        )
        while True:
            deadline = deadline_after(deadline_s)
            page, token = await repeated(partial(self._page, request, deadline), deadline=deadline)
            yield page
            if not token:
                return
            request.page_token = token

    async def _outcome(self, record: NewRecord, deadline_s: float) -> Appended | CallFailedError:
        try:
            return await self.append(record, deadline_s=deadline_s)
        except CallFailedError as error:
            return error

    async def _page(
        self, request: records_pb2.ListHistoryRequest, deadline: float
    ) -> tuple[HistoryPage, str]:
        try:
            stream = self._records.ListHistory(request, timeout=remaining_s(deadline))
            parts = [part async for part in stream]
        except grpc.aio.AioRpcError as error:
            raise failed_call(error) from error
        page = parts[0].page if parts else records_pb2.HistoryPage()
        records = tuple(read_record(record) for part in parts for record in part.records)
        first = [part.HasField("page") for part in parts] == [True] + [False] * (len(parts) - 1)
        if not first or parts[0].records or len(records) != page.record_count:
            raise AnswerError("expected a page and as many records as it announces")
        return HistoryPage(
            reading=read_position(page.reading), records=records
        ), page.next_page_token
