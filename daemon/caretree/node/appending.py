"""Adding records: sealed here, ordered by the leader, answered when certified."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from caretree.crypto.derive import (
    document_id_for,
    record_id_from_request,
    request_digest,
    source_ids,
)
from caretree.crypto.framing import u32
from caretree.ledger.authoring import Draft, NewRecord, RecordDrafts, Request
from caretree.ledger.queries import first_answer
from caretree.ledger.rows import FirstAnswer
from caretree.ledger.values import Outcome, Patient, Position
from caretree.model.ids import Digest, RecordId, RequestId
from caretree.model.reasons import CallError, Reason
from caretree.node.author import Told
from caretree.node.calls import AppendAnswer, AppendCommand
from caretree.node.desk import Desk, OpenedEpoch
from caretree.node.keyrings import Prepared

# How often a record is sealed anew because its keyring epoch was closed meanwhile.
ATTEMPTS_MAX: Final = 5


@dataclass(slots=True, kw_only=True)
class _Job:
    """One record on its way; `done` once its answer or error is known."""

    command: AppendCommand
    patient: Patient
    request_id: RequestId
    digest: Digest
    record_id: RecordId
    document_id: bytes
    done: "tuple[Position, bool] | CallError | None" = None


class Appending:
    """Appends for one peer."""

    def __init__(self, desk: Desk) -> None:
        self._desk = desk
        self._records = RecordDrafts(desk.author)

    async def append(
        self, commands: Sequence[AppendCommand], *, deadline: float, receipts: bool
    ) -> list[AppendAnswer | CallError]:
        """What became of each record, in order.

        Raises:
            CallError: nothing was handed in: NO_QUORUM, OVERLOADED.
        """
        jobs = [self._job(command) for command in commands]
        for _ in range(ATTEMPTS_MAX):
            open_jobs = [job for job in jobs if job.done is None]
            if not open_jobs:
                break
            await self._attempt(open_jobs, deadline)
        for job in jobs:
            if job.done is None:
                job.done = CallError(Reason.CONTENDED, retry_after_ms=100)
        await self._await_certificate(jobs, deadline)
        return [self._answer(job, receipts=receipts) for job in jobs]

    def _job(self, command: AppendCommand) -> _Job:
        desk = self._desk
        source, member = command.source, desk.author.member
        if source is not None:
            record_id, request_id = source_ids(
                desk.id_key,
                member=member,
                system=source.system,
                source_id=source.id,
                part=source.part,
            )
            document_id: bytes = document_id_for(
                desk.id_key, member=member, system=source.system, source_id=source.id
            )
        else:
            assert command.request_id is not None
            request_id = command.request_id
            record_id = record_id_from_request(desk.id_key, member=member, request_id=request_id)
            document_id = record_id
        return _Job(
            command=command,
            patient=desk.patient(command.patient),
            request_id=request_id,
            digest=self._digest(command),
            record_id=record_id,
            document_id=document_id,
        )

    def _digest(self, command: AppendCommand) -> Digest:
        replaces = command.replaces
        return request_digest(
            self._desk.digest_key,
            b"record",
            command.patient.system.encode(),
            command.patient.value.encode(),
            command.media_type.encode(),
            command.content,
            b"" if replaces is None else replaces.record_id + u32(replaces.reason),
        )

    async def _attempt(self, jobs: Sequence[_Job], deadline: float) -> None:
        for job in jobs:
            self._answer_repeated(job)
        fresh = [job for job in jobs if job.done is None]
        if not fresh:
            return
        desk = self._desk
        desk.queue.check_open()
        prepared = await desk.keyrings.prepare(
            [job.patient for job in fresh], desk.block_time_ms(), deadline=deadline
        )
        # From here to the queue nothing else has a turn: what was looked up stays as it is.
        with desk.keyrings.drafting():
            drafts, places, opened = self._drafts(fresh, prepared)
            submission = desk.submit(drafts, opened)
        told = await submission.fates(deadline)
        for job, place in zip(fresh, places, strict=True):
            self._settle(job, told[place])

    def _drafts(
        self, jobs: Sequence[_Job], prepared: Prepared
    ) -> tuple[list[Draft], list[int], list[OpenedEpoch]]:
        """The entries, each job's place among them, and the keyring epochs that come before."""
        desk, now_ms = self._desk, self._desk.block_time_ms()
        drafts: list[Draft] = []
        places: list[int] = []
        opened: list[OpenedEpoch] = []
        for job in jobs:
            patient, actor = job.patient, job.command.actor
            key = desk.keyrings.key_at_hand(patient)
            if key is None:
                key, opening = desk.keyrings.open_epoch(
                    desk.own_request(actor), patient, now_ms, prepared
                )
                opened.append(OpenedEpoch(place=len(drafts), patient=patient, epoch_key=key))
                drafts.append(opening)
            places.append(len(drafts))
            request = Request(request_id=job.request_id, request_digest=job.digest, actor=actor)
            new = self._new_record(job)
            drafts.append(self._records.draft(request, new, key, desk.custody))
        return drafts, places, opened

    @staticmethod
    def _new_record(job: _Job) -> NewRecord:
        source = job.command.source
        return NewRecord(
            record_id=job.record_id,
            patient=job.patient,
            content=job.command.content,
            media_type=job.command.media_type,
            document_id=job.document_id,
            part=0 if source is None else source.part,
            replaces=job.command.replaces,
        )

    def _answer_repeated(self, job: _Job) -> None:
        """Answer a request that has taken effect already as it was answered first."""
        first = first_answer(self._desk.reads, self._desk.author.member, job.request_id)
        if first is not None:
            job.done = self._repeated(job, first)

    @staticmethod
    def _repeated(job: _Job, first: FirstAnswer) -> tuple[Position, bool] | CallError:
        if first.request_digest != job.digest:
            return CallError(Reason.REQUEST_ID_REUSED)
        return first.position, True

    def _settle(self, job: _Job, fate: Told) -> None:
        if isinstance(fate, CallError):
            job.done = fate
            return
        match fate.outcome:
            case Outcome.APPLIED:
                assert fate.position is not None
                job.done = (fate.position, False)
            case Outcome.DUPLICATE | Outcome.REQUEST_ID_REUSED:
                self._answer_repeated(job)
            case Outcome.EPOCH_CLOSED:
                # Not done: it is sealed again under the epoch that is open now.
                self._desk.keyrings.doubt(job.patient)
            case Outcome.UNKNOWN_RECORD:
                job.done = CallError(Reason.UNKNOWN_RECORD)
            case Outcome.RECORD_EXISTS:
                job.done = CallError(Reason.REQUEST_ID_REUSED)
            case Outcome.NOT_PERMITTED:
                job.done = CallError(Reason.ROLE_NOT_PERMITTED)
            case _:
                job.done = CallError(Reason.INTERNAL)

    async def _await_certificate(self, jobs: Sequence[_Job], deadline: float) -> None:
        leaves = [job.done[0].leaf_index for job in jobs if isinstance(job.done, tuple)]
        if leaves:
            await self._desk.certified(max(leaves), deadline=deadline)

    def _answer(self, job: _Job, *, receipts: bool) -> AppendAnswer | CallError:
        done = job.done
        assert done is not None
        if isinstance(done, CallError):
            return done
        position, already_added = done
        entry = self._desk.entry_answer(position, receipt=receipts)
        return AppendAnswer(record_id=job.record_id, entry=entry, already_added=already_added)
