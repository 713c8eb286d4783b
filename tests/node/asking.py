"""What principals ask of a peer in these tests, in a line each."""

import random
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import pytest
from caretree.crypto.pseudonym import normalise_identifier
from caretree.ledger.values import FIRST_PAGE_BEFORE, Actor, Patient, Purpose, Role, Rule
from caretree.model.ids import MemberId, RecordId, RequestId, TimeMs
from caretree.model.reasons import CallError, Reason
from caretree.node.calls import (
    AppendAnswer,
    AppendCommand,
    GrantAnswer,
    GrantCommand,
    HistoryCommand,
    HistoryRecord,
    RecordCommand,
    RevokeCommand,
    TrailEvent,
)

from tests.node.cluster import CARD, PHYSICIAN, Seat, record, soon

DAY_MS = 86_400_000


@contextmanager
def refused(reason: Reason) -> Iterator[None]:
    """The call within fails for this reason."""
    with pytest.raises(CallError) as caught:
        yield
    assert caught.value.reason is reason


async def append(seat: Seat, *commands: AppendCommand, seconds: float = 10.0) -> list[AppendAnswer]:
    """The answers to records that must all be added."""
    answers = await seat.peer.append(commands, deadline=soon(seconds))
    return [added(answer) for answer in answers]


def added(answer: AppendAnswer | CallError) -> AppendAnswer:
    """The answer, which must be no error."""
    assert isinstance(answer, AppendAnswer), answer
    return answer


def reason_of(answer: AppendAnswer | CallError) -> Reason:
    """Why a record was not added."""
    assert isinstance(answer, CallError), answer
    return answer.reason


async def add(seat: Seat, card: str, content: bytes = b"a check-up") -> AppendAnswer:
    """One record of the patient with this card, added."""
    (answer,) = await append(seat, record(card, content))
    return answer


def grant_command(
    card: str,
    grantee: MemberId,
    *,
    roles: Sequence[Role] = (Role.PHYSICIAN,),
    principals: Sequence[str] = (),
    purpose: Purpose = Purpose.TREATMENT,
    until_ms: int | None = None,
    actor: Actor = PHYSICIAN,
    request: bytes | None = None,
) -> GrantCommand:
    """The patient with this card opened to a member."""
    return GrantCommand(
        actor=actor,
        patient=normalise_identifier(system=CARD, value=card),
        grantee=grantee,
        rule=Rule(
            roles=frozenset(roles),
            principals=frozenset(principals),
            purpose=purpose,
            until_ms=TimeMs(until_ms or 2**45),
        ),
        request_id=RequestId(request or random.randbytes(16)),
    )


async def grant(seat: Seat, card: str, grantee: MemberId, **terms: object) -> GrantAnswer:
    """A grant, given."""
    command = grant_command(card, grantee, **terms)  # type: ignore[arg-type]
    return await seat.peer.grant(command, deadline=soon())


async def revoke(
    seat: Seat, card: str, grantee: MemberId, *, actor: Actor = PHYSICIAN
) -> list[GrantAnswer]:
    """All that a member holds of this patient, taken back."""
    command = RevokeCommand(
        actor=actor,
        patient=normalise_identifier(system=CARD, value=card),
        grant_id=None,
        grantee=grantee,
        request_id=RequestId(random.randbytes(16)),
    )
    return await seat.peer.revoke(command, deadline=soon())


def history_command(
    card: str,
    *,
    actor: Actor = PHYSICIAN,
    purpose: Purpose = Purpose.TREATMENT,
    page_size: int = 100,
    before: int = FIRST_PAGE_BEFORE,
) -> HistoryCommand:
    """A page of a history."""
    return HistoryCommand(
        actor=actor,
        patient=normalise_identifier(system=CARD, value=card),
        purpose=purpose,
        page_size=page_size,
        before=before,
    )


async def history(
    seat: Seat,
    card: str,
    *,
    actor: Actor = PHYSICIAN,
    purpose: Purpose = Purpose.TREATMENT,
    seconds: float = 10.0,
) -> list[HistoryRecord]:
    """The first page of a history, newest first."""
    command = history_command(card, actor=actor, purpose=purpose)
    answer = await seat.peer.history(command, deadline=soon(seconds))
    return [each async for each in answer.records]


async def read(seat: Seat, record_id: RecordId, *, actor: Actor = PHYSICIAN) -> HistoryRecord:
    """One record."""
    command = RecordCommand(actor=actor, record_id=record_id, purpose=Purpose.TREATMENT)
    _, found = await seat.peer.record(command, deadline=soon())
    return found


def contents(records: Sequence[HistoryRecord]) -> list[bytes]:
    """The contents of the records that are open."""
    return [each.content for each in records if not each.closed]


def patient_at(seat: Seat, card: str) -> Patient:
    """The patient with this card, as the ledger knows him or her."""
    return seat.parts.desk.patient(normalise_identifier(system=CARD, value=card))


def trail(seat: Seat, card: str | None = None) -> list[TrailEvent]:
    """The first page of the trail, newest first."""
    patient = None if card is None else normalise_identifier(system=CARD, value=card)
    return list(seat.peer.trail(patient, before=FIRST_PAGE_BEFORE, limit=100).events)
