"""A peer that answers from memory, with real receipts, and fails on demand."""

import asyncio
import hashlib
from collections.abc import AsyncIterator, Callable, Sequence
from dataclasses import dataclass, field, replace

from caretree.crypto.pseudonym import PatientIdentifier
from caretree.ledger.genesis import Genesis
from caretree.ledger.values import (
    Actor,
    Body,
    EntryKind,
    Happening,
    Position,
    Revoke,
)
from caretree.model.ids import (
    Digest,
    GrantId,
    Height,
    LeafIndex,
    PeerId,
    Place,
    RecordId,
    RequestId,
    TimeMs,
    TreeSize,
)
from caretree.model.reasons import CallError, Reason
from caretree.node.calls import (
    AppendAnswer,
    AppendCommand,
    CheckpointAnswer,
    EntryAnswer,
    EntryStatus,
    GrantAnswer,
    GrantCommand,
    GrantView,
    HistoryAnswer,
    HistoryCommand,
    HistoryRecord,
    PeerView,
    RaftRole,
    ReceiptAnswer,
    RecordCommand,
    RevokeCommand,
    StatusView,
    TrailAnswer,
    TrailEvent,
)

from tests.ledger.builders import FOUNDED_MS, HOSPITAL, TOWN
from tests.ledger.samples import GRANT, PATIENT, RECORD
from tests.rpc.fake_ledger import FakeLedger


@dataclass(slots=True)
class FakePeer:
    """The town's peer. `failures` are raised by the next calls, in order."""

    ledger: FakeLedger
    failures: list[CallError] = field(default_factory=list)
    record_failures: dict[bytes, CallError] = field(default_factory=dict)  # by content
    certified: bool = True
    gate: asyncio.Event | None = None  # appends wait for it
    calls: list[object] = field(default_factory=list)
    deadlines: list[float] = field(default_factory=list)
    batch_sizes: list[int] = field(default_factory=list)
    waiting: int = 0
    waiting_most: int = 0
    cancelled: int = 0
    crash: Exception | None = None
    # What a lying peer makes of its answers.
    forge_entry: Callable[[EntryAnswer], EntryAnswer] = lambda entry: entry
    forge_receipt: Callable[[ReceiptAnswer], ReceiptAnswer] = lambda answer: answer
    forge_note: Callable[[bytes], bytes] = lambda note: note
    forge_proof: Callable[[Sequence[bytes]], Sequence[bytes]] = lambda proof: proof
    _records: dict[RecordId, tuple[AppendCommand, Position]] = field(default_factory=dict)
    _grants: dict[GrantId, GrantView] = field(default_factory=dict)
    _requests: dict[bytes, Position] = field(default_factory=dict)

    @property
    def genesis(self) -> Genesis:
        return self.ledger.consortium.genesis

    async def append(
        self, commands: Sequence[AppendCommand], *, deadline: float, receipts: bool = True
    ) -> list[AppendAnswer | CallError]:
        self._begin(commands, deadline)
        self.batch_sizes.append(len(commands))
        await self._pass_gate()
        return [self._append(command, receipts=receipts) for command in commands]

    async def history(self, command: HistoryCommand, *, deadline: float) -> HistoryAnswer:
        self._begin(command, deadline)
        below = [
            (record_id, given, position)
            for record_id, (given, position) in reversed(self._records.items())
            if given.patient == command.patient and position.leaf_index < command.before
        ]
        page = below[: command.page_size]
        more = len(below) > len(page)
        return HistoryAnswer(
            reading=_position(self.ledger.size),
            record_count=len(page),
            next_before=page[-1][2].leaf_index if more else None,
            records=_each([_opened(*found) for found in page]),
        )

    async def record(
        self, command: RecordCommand, *, deadline: float
    ) -> tuple[Position, HistoryRecord]:
        self._begin(command, deadline)
        found = self._records.get(command.record_id)
        if found is None:
            raise CallError(Reason.NOT_OPEN)
        return _position(self.ledger.size), _opened(command.record_id, *found)

    async def grant(self, command: GrantCommand, *, deadline: float) -> GrantAnswer:
        self._begin(command, deadline)
        grant_id = GrantId(_digest(command.request_id))
        happening = replace(GRANT, grant_id=grant_id, grantee=command.grantee, rule=command.rule)
        position = self._enter(happening, command.request_id, command.actor)
        self._grants[grant_id] = GrantView(
            grant_id=grant_id,
            custodian=TOWN,
            grantee=command.grantee,
            rule=command.rule,
            granted_ms=FOUNDED_MS,
            revoked_ms=None,
        )
        return GrantAnswer(grant_id=grant_id, entry=self._entry(position))

    async def revoke(self, command: RevokeCommand, *, deadline: float) -> list[GrantAnswer]:
        self._begin(command, deadline)
        found = [
            view.grant_id
            for view in self._grants.values()
            if view.revoked_ms is None
            and (view.grant_id == command.grant_id or view.grantee == command.grantee)
        ]
        if not found:
            raise CallError(Reason.UNKNOWN_GRANT)
        return [self._revoke(grant_id, command) for grant_id in found]

    def grants(
        self, patient: PatientIdentifier, *, after: bytes | None, limit: int
    ) -> tuple[list[GrantView], bytes | None]:
        self._begin(patient, 0)
        views = list(self._grants.values())
        start = 0 if after is None else int.from_bytes(after, "big")
        end = start + limit
        return views[start:end], end.to_bytes(2, "big") if end < len(views) else None

    def trail(self, patient: PatientIdentifier | None, *, before: int, limit: int) -> TrailAnswer:
        self._begin(patient, 0)
        newest = min(before, int(self.ledger.size))
        indexes = list(range(newest - 1, max(newest - 1 - limit, -1), -1))
        return TrailAnswer(
            events=tuple(_event(index) for index in indexes),
            next_before=indexes[-1] if indexes and indexes[-1] > 0 else None,
        )

    def receipt_of_record(self, record_id: RecordId) -> ReceiptAnswer:
        self._begin(record_id, 0)
        found = self._records.get(record_id)
        return self._receipt(None if found is None else found[1])

    def receipt_of_request(self, request_id: RequestId) -> ReceiptAnswer:
        self._begin(request_id, 0)
        return self._receipt(self._requests.get(request_id))

    def receipt_of_leaf(self, leaf_index: LeafIndex) -> ReceiptAnswer:
        self._begin(leaf_index, 0)
        known = {position.leaf_index: position for position in self._requests.values()}
        return self._receipt(known.get(leaf_index))

    def checkpoint(self) -> CheckpointAnswer:
        self._begin(None, 0)
        return CheckpointAnswer(
            note=self.forge_note(self.ledger.note()), tree_size=self.ledger.size, age_ms=7
        )

    def consistency_proof(
        self, first: TreeSize, second: TreeSize | None
    ) -> tuple[Sequence[bytes], TreeSize]:
        self._begin((first, second), 0)
        until = second or self.ledger.size
        return self.forge_proof(self.ledger.consistency(first, until)), until

    def status(self) -> StatusView:
        self._begin(None, 0)
        own = self.ledger.consortium[TOWN].peer.peer
        return StatusView(
            origin=self.genesis.origin,
            member=TOWN,
            peer=own,
            raft_role=RaftRole.LEADER,
            leader=own,
            term=3,
            commit_index=12,
            applied_index=11,
            height=5,
            tree_size=self.ledger.size,
            block_time_ms=FOUNDED_MS,
            certified_size=self.ledger.size,
            certified_age_ms=8,
            membership_epoch=1,
            certification_quorum=2,
            peers=(
                PeerView(
                    peer=own,
                    member=TOWN,
                    display_name="Township Health Centre",
                    voter=True,
                    leader=True,
                    reachable=True,
                    match_index=12,
                    signed_size=9,
                ),
            ),
            pool_entries=0,
            can_commit=True,
        )

    async def transfer_leadership(self, to: PeerId | None, *, deadline: float) -> PeerId:
        self._begin(to, deadline)
        return to or self.ledger.consortium[HOSPITAL].peer.peer

    def _begin(self, call: object, deadline: float) -> None:
        self.calls.append(call)
        self.deadlines.append(deadline)
        if self.crash is not None:
            raise self.crash
        if self.failures:
            raise self.failures.pop(0)

    async def _pass_gate(self) -> None:
        if self.gate is None:
            return
        self.waiting += 1
        self.waiting_most = max(self.waiting_most, self.waiting)
        try:
            await self.gate.wait()
        except asyncio.CancelledError:
            self.cancelled += 1
            raise
        finally:
            self.waiting -= 1

    def _append(self, command: AppendCommand, *, receipts: bool) -> AppendAnswer | CallError:
        failure = self.record_failures.get(command.content)
        if failure is not None:
            return failure
        if command.source is not None:
            source = command.source
            named = f"{source.system}|{source.id}|{source.part}".encode()
            request_id = RequestId(_digest(named))
        else:
            assert command.request_id is not None
            request_id = command.request_id
        record_id = RecordId(_digest(b"record" + request_id))
        known = self._records.get(record_id)
        if known is not None and known[0].content != command.content:
            return CallError(Reason.REQUEST_ID_REUSED)
        if known is None:
            happening = replace(RECORD, record_id=record_id, media_type=command.media_type)
            position = self._enter(happening, request_id, command.actor)
            self._records[record_id] = (command, position)
        else:
            position = known[1]
        return AppendAnswer(
            record_id=record_id,
            entry=self._entry(position, receipts=receipts),
            already_added=known is not None,
        )

    def _revoke(self, grant_id: GrantId, command: RevokeCommand) -> GrantAnswer:
        happening = Revoke(grant_id=grant_id, patient=PATIENT, custodian=TOWN)
        position = self._enter(happening, command.request_id, command.actor)
        self._grants[grant_id] = replace(self._grants[grant_id], revoked_ms=TimeMs(FOUNDED_MS + 1))
        return GrantAnswer(grant_id=grant_id, entry=self._entry(position))

    def _enter(self, happening: Happening, request_id: RequestId, actor: Actor) -> Position:
        body = Body(
            request_id=request_id,
            request_digest=Digest(b"e" * 32),
            actor=actor,
            happening=happening,
        )
        (position,) = self.ledger.add([body])
        self._requests[request_id] = position
        return position

    def _entry(self, position: Position, *, receipts: bool = True) -> EntryAnswer:
        receipt = self.ledger.receipt(position.leaf_index)
        return self.forge_entry(
            EntryAnswer(
                position=position,
                status=EntryStatus.CERTIFIED if self.certified else EntryStatus.COMMITTED,
                receipt=receipt if self.certified and receipts else b"",
            )
        )

    def _receipt(self, position: Position | None) -> ReceiptAnswer:
        if position is None:
            raise CallError(Reason.UNKNOWN_ENTRY)
        receipt = self.ledger.receipt(position.leaf_index)
        return self.forge_receipt(ReceiptAnswer(receipt=receipt, position=position, age_ms=5))


def _opened(record_id: RecordId, command: AppendCommand, position: Position) -> HistoryRecord:
    return HistoryRecord(
        custodian=TOWN,
        time_ms=TimeMs(FOUNDED_MS + position.height),
        closed=command.content.startswith(b"closed"),
        record_id=record_id,
        position=position,
        erased=False,
        content=command.content,
        media_type=command.media_type,
        replaced_by=None,
        document_id=b"d" * 16,
        part=0,
    )


def _event(index: int) -> TrailEvent:
    return TrailEvent(
        kind=EntryKind.GENESIS if index == 0 else EntryKind.GRANT,
        position=_position(index),
        time_ms=TimeMs(FOUNDED_MS + index),
        member=TOWN if index else None,
        actor=None,
        pseudonyms=(b"p" * 32,),
        grantee=HOSPITAL,
        grant_id=GrantId(b"g" * 16),
        purpose=None,
        until_ms=None,
        count=0,
        erased=False,
    )


def _position(index: int) -> Position:
    return Position(height=Height(5), place=Place(0), leaf_index=LeafIndex(index))


async def _each(records: Sequence[HistoryRecord]) -> AsyncIterator[HistoryRecord]:
    for record in records:
        await asyncio.sleep(0)
        yield record


def _digest(content: bytes) -> bytes:
    return hashlib.sha256(content).digest()[:16]
