"""Opening and closing histories, and seeing who did."""

from collections.abc import AsyncIterator, Collection

from caretree.client.channel import DEADLINE_S, deadline_after
from caretree.client.messages import (
    patient_message,
    person_message,
    purpose_message,
    read_event,
    read_grant,
    read_id,
    role_message,
)
from caretree.client.receipts import check_grant, verified_entry
from caretree.client.session import Session, new_request_id
from caretree.client.values import ActingPerson, GrantDescription, Granted, TrailEvent
from caretree.crypto.pseudonym import PatientIdentifier
from caretree.ledger.values import Grant, Purpose, Revoke, Role
from caretree.model.ids import GrantId, RequestId, TimeMs
from caretree.proto.api.v1 import access_pb2


class AccessCalls(Session):
    """The calls of AccessService."""

    async def create_grant(
        self,
        patient: PatientIdentifier,
        grantee: str,
        *,
        roles: Collection[Role] = (),
        principals: Collection[str] = (),
        purpose: Purpose = Purpose.TREATMENT,
        until_ms: TimeMs,
        acting: ActingPerson | None = None,
        request_id: RequestId | None = None,
        deadline_s: float = DEADLINE_S,
    ) -> Granted:
        """The grant of this member's records of a patient, old and new, to another member.

        Raises:
            ReceiptError, InconsistentLogError: as `append`.
        """
        request_id = request_id or new_request_id()
        request = access_pb2.CreateGrantRequest(
            patient=patient_message(patient),
            grantee=grantee,
            roles=[role_message(role) for role in sorted(roles)],
            principals=sorted(principals),
            purpose=purpose_message(purpose),
            until_ms=until_ms,
            request_id=request_id,
            acting_person=person_message(acting),
        )
        deadline = deadline_after(deadline_s)
        answer = await self._ask(
            self._access.CreateGrant, request, deadline=deadline, request_id=request_id
        )
        granted = self._granted(answer)
        if granted.entry.receipt is not None:
            check_grant(granted.entry.receipt, Grant, grant_id=granted.grant_id, grantee=grantee)
            await self._prove_growth(deadline, always=False)
        return granted

    async def revoke_grant(
        self,
        patient: PatientIdentifier,
        *,
        grant_id: GrantId | None = None,
        grantee: str | None = None,
        acting: ActingPerson | None = None,
        request_id: RequestId | None = None,
        deadline_s: float = DEADLINE_S,
    ) -> tuple[Granted, ...]:
        """The grants that were taken back: the one with this id, or all that `grantee` has.

        Raises:
            ReceiptError, InconsistentLogError: as `append`.
        """
        request_id = request_id or new_request_id()
        request = access_pb2.RevokeGrantRequest(
            patient=patient_message(patient),
            grant_id=grant_id or b"",
            grantee=grantee or "",
            request_id=request_id,
            acting_person=person_message(acting),
        )
        deadline = deadline_after(deadline_s)
        answer = await self._ask(
            self._access.RevokeGrant, request, deadline=deadline, request_id=request_id
        )
        revoked = tuple(self._granted(item) for item in answer.revoked)
        for item in revoked:
            if item.entry.receipt is not None:
                check_grant(item.entry.receipt, Revoke, grant_id=item.grant_id)
        await self._prove_growth(deadline, always=False)
        return revoked

    async def list_grants(
        self,
        patient: PatientIdentifier,
        *,
        acting: ActingPerson | None = None,
        page_size: int = 0,
        deadline_s: float = DEADLINE_S,
    ) -> AsyncIterator[GrantDescription]:
        """A patient's grants that this member gave or received, oldest first."""
        request = access_pb2.ListGrantsRequest(
            patient=patient_message(patient),
            acting_person=person_message(acting),
            page_size=page_size,
        )
        while True:
            deadline = deadline_after(deadline_s)
            answer = await self._ask(self._access.ListGrants, request, deadline=deadline)
            for grant in answer.grants:
                yield read_grant(grant)
            if not answer.next_page_token:
                return
            request.page_token = answer.next_page_token

    async def list_trail(
        self,
        patient: PatientIdentifier | None = None,
        *,
        acting: ActingPerson | None = None,
        page_size: int = 0,
        deadline_s: float = DEADLINE_S,
    ) -> AsyncIterator[TrailEvent]:
        """What happened, newest first; for auditors."""
        request = access_pb2.ListTrailRequest(
            patient=None if patient is None else patient_message(patient),
            acting_person=person_message(acting),
            page_size=page_size,
        )
        while True:
            deadline = deadline_after(deadline_s)
            answer = await self._ask(self._access.ListTrail, request, deadline=deadline)
            for event in answer.events:
                yield read_event(event)
            if not answer.next_page_token:
                return
            request.page_token = answer.next_page_token

    def _granted(
        self, message: access_pb2.CreateGrantResponse | access_pb2.RevokedGrant
    ) -> Granted:
        entry = verified_entry(
            self._trust,
            position=message.position,
            status=message.status,
            receipt=message.receipt,
        )
        return Granted(grant_id=GrantId(read_id(message.grant_id)), entry=entry)
