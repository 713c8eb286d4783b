"""Opening histories to other members, closing them, and telling of both."""

from collections.abc import Sequence
from typing import Final

from caretree.crypto.derive import record_id_from_request, request_digest
from caretree.crypto.framing import length_prefixed, u64
from caretree.crypto.pseudonym import PatientIdentifier
from caretree.ledger.authoring import NewGrant, Request, draft_grant, draft_revoke
from caretree.ledger.patient_rows import GrantState
from caretree.ledger.queries import (
    custodian_state,
    first_answer,
    grants_of,
)
from caretree.ledger.values import (
    Outcome,
    Patient,
    Position,
)
from caretree.model.ids import Digest, GrantId, RequestId
from caretree.model.reasons import CallError, Reason
from caretree.node.author import Fate
from caretree.node.barrier import Barrier
from caretree.node.calls import (
    GrantAnswer,
    GrantCommand,
    GrantView,
    RevokeCommand,
)
from caretree.node.desk import Desk, OpenedEpoch

ATTEMPTS_MAX: Final = 5
RETRY_AFTER_MS: Final = 100


class Granting:
    """Grants for one peer."""

    def __init__(self, desk: Desk, barrier: Barrier) -> None:
        self._desk = desk
        self._barrier = barrier

    async def grant(self, command: GrantCommand, *, deadline: float) -> GrantAnswer:
        """Open this member's records of a patient to another member.

        Raises:
            CallError: NO_RECORDS, GRANT_INVALID, REQUEST_ID_REUSED, NO_QUORUM, ...
        """
        desk = self._desk
        patient = desk.patient(command.patient)
        digest = self._grant_digest(command)
        request = Request(request_id=command.request_id, request_digest=digest, actor=command.actor)
        # Derived, so that the same call again names the same grant.
        grant_id = GrantId(
            record_id_from_request(
                desk.id_key, member=desk.author.member, request_id=command.request_id
            )
        )
        for _ in range(ATTEMPTS_MAX):
            first = first_answer(desk.reads, desk.author.member, command.request_id)
            if first is not None:
                position = _same(first.request_digest, digest, first.position)
                return await self._answer(grant_id, position, deadline)
            fate = await self._give(command, request, patient, grant_id, deadline)
            if fate.outcome is Outcome.APPLIED:
                assert fate.position is not None
                return await self._answer(grant_id, fate.position, deadline)
            _check_repeatable(fate)
        raise CallError(Reason.CONTENDED, retry_after_ms=RETRY_AFTER_MS)

    async def revoke(self, command: RevokeCommand, *, deadline: float) -> list[GrantAnswer]:
        """Take one grant back, or all that a member holds of a patient.

        Raises:
            CallError: UNKNOWN_GRANT: there is none to take back; and as `grant`.
        """
        desk = self._desk
        await self._barrier.pass_by(deadline)
        patient = desk.patient(command.patient)
        chosen = self._revocable(command, patient)
        requests = [self._revoke_request(command, grant.grant_id) for grant in chosen]
        done = [
            first_answer(desk.reads, desk.author.member, request.request_id) for request in requests
        ]
        drafts = [
            draft_revoke(desk.author, request, patient, grant.grant_id, desk.custody)
            for grant, request, first in zip(chosen, requests, done, strict=True)
            if first is None
        ]
        fates = iter(await desk.submit(drafts).fates(deadline) if drafts else ())
        answers: list[GrantAnswer] = []
        for grant, first in zip(chosen, done, strict=True):
            if first is not None:
                answers.append(await self._answer(grant.grant_id, first.position, deadline))
                continue
            fate = next(fates)
            if isinstance(fate, CallError):
                raise fate
            if fate.position is not None:
                answers.append(await self._answer(grant.grant_id, fate.position, deadline))
        if not answers:
            raise CallError(Reason.UNKNOWN_GRANT)
        return answers

    def grants(
        self, patient: PatientIdentifier, *, after: bytes | None, limit: int
    ) -> tuple[list[GrantView], bytes | None]:
        """The grants of a patient that this member gave or received, oldest first."""
        desk = self._desk
        own = desk.author.member
        known = [
            grant
            for grant in grants_of(desk.reads, desk.patient(patient))
            if own in (grant.custodian, grant.grantee)
        ]
        ids = [bytes(grant.grant_id) for grant in known]
        start = ids.index(after) + 1 if after in ids else 0
        page = known[start : start + limit]
        more = start + limit < len(known)
        return [_view(grant) for grant in page], ids[start + limit - 1] if more else None

    async def _give(
        self,
        command: GrantCommand,
        request: Request,
        patient: Patient,
        grant_id: GrantId,
        deadline: float,
    ) -> Fate:
        desk = self._desk
        if custodian_state(desk.reads, patient, desk.author.member) is None:
            await self._barrier.pass_by(deadline)
        if custodian_state(desk.reads, patient, desk.author.member) is None:
            raise CallError(Reason.NO_RECORDS)
        grantee = desk.genesis.member(command.grantee)
        if grantee is None:
            raise CallError(Reason.GRANT_INVALID)
        prepared = await desk.keyrings.prepare([patient], desk.block_time_ms(), deadline=deadline)
        with desk.keyrings.drafting():
            key, opening = desk.keyrings.key_at_hand(patient), None
            if key is None:
                own_request = desk.own_request(command.actor)
                key, opening = desk.keyrings.open_epoch(
                    own_request, patient, desk.block_time_ms(), prepared
                )
            new = NewGrant(
                grant_id=grant_id,
                patient=patient,
                grantee=command.grantee,
                sealing_key=grantee.sealing_key,
                rule=command.rule,
            )
            grant = draft_grant(desk.author, request, new, key, desk.custody)
            if opening is None:
                submission = desk.submit([grant])
            else:
                opened = OpenedEpoch(place=0, patient=patient, epoch_key=key)
                submission = desk.submit([opening, grant], [opened])
        return await submission.fate(deadline)

    def _revocable(self, command: RevokeCommand, patient: Patient) -> Sequence[GrantState]:
        """The grants meant: live ones, and those that this very request took back before."""
        member = self._desk.author.member
        return [
            grant
            for grant in grants_of(self._desk.reads, patient)
            if grant.custodian == member
            and (
                grant.grant_id == command.grant_id
                if command.grant_id is not None
                else grant.grantee == command.grantee
            )
            and (grant.revoked_ms is None or self._revoked_by(command, grant.grant_id))
        ]

    def _revoked_by(self, command: RevokeCommand, grant_id: GrantId) -> bool:
        request = self._revoke_request(command, grant_id)
        desk = self._desk
        return first_answer(desk.reads, desk.author.member, request.request_id) is not None

    def _revoke_request(self, command: RevokeCommand, grant_id: GrantId) -> Request:
        """A request id of its own for each grant, the same when the call is repeated."""
        desk = self._desk
        digest = request_digest(desk.digest_key, b"revoke", command.request_id, grant_id)
        return Request(
            request_id=RequestId(digest[:16]), request_digest=digest, actor=command.actor
        )

    def _grant_digest(self, command: GrantCommand) -> Digest:
        rule = command.rule
        return request_digest(
            self._desk.digest_key,
            b"grant",
            command.patient.system.encode(),
            command.patient.value.encode(),
            command.grantee.encode(),
            bytes(sorted(rule.roles)),
            length_prefixed(*(name.encode() for name in sorted(rule.principals))),
            bytes((rule.purpose,)),
            u64(rule.until_ms),
        )

    async def _answer(self, grant_id: GrantId, position: Position, deadline: float) -> GrantAnswer:
        await self._desk.certified(position.leaf_index, deadline=deadline)
        entry = self._desk.entry_answer(position, receipt=True)
        return GrantAnswer(grant_id=grant_id, entry=entry)


def _same(found: Digest, asked: Digest, position: Position) -> Position:
    if found != asked:
        raise CallError(Reason.REQUEST_ID_REUSED)
    return position


def _check_repeatable(fate: Fate) -> None:
    match fate.outcome:
        case Outcome.DUPLICATE | Outcome.EPOCH_CLOSED | Outcome.EPOCH_TAKEN:
            return
        case Outcome.REQUEST_ID_REUSED:
            raise CallError(Reason.REQUEST_ID_REUSED)
        case Outcome.GRANT_INVALID:
            raise CallError(Reason.GRANT_INVALID)
        case Outcome.NOT_PERMITTED:
            raise CallError(Reason.ROLE_NOT_PERMITTED)
        case _:
            raise CallError(Reason.INTERNAL)


def _view(grant: GrantState) -> GrantView:
    return GrantView(
        grant_id=grant.grant_id,
        custodian=grant.custodian,
        grantee=grant.grantee,
        rule=grant.rule,
        granted_ms=grant.granted_ms,
        revoked_ms=grant.revoked_ms,
    )
