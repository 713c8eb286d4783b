"""Who did what: the trail of every entry but records, for auditors."""

from dataclasses import dataclass

from caretree.crypto.pseudonym import PatientIdentifier
from caretree.ledger.bodies import parse_body
from caretree.ledger.genesis import Genesis
from caretree.ledger.queries import TrailItem, leaf_place, patient_trail_page, trail_page
from caretree.ledger.values import (
    Body,
    Denial,
    EntryKind,
    Grant,
    Keyring,
    Page,
    Position,
    Purpose,
    Reading,
    Record,
    Revoke,
)
from caretree.model.ids import GrantId, MemberId, TimeMs
from caretree.node.calls import TrailAnswer, TrailEvent
from caretree.node.desk import Desk


class Trail:
    """The trail of one peer, out of the applied state."""

    def __init__(self, desk: Desk) -> None:
        self._desk = desk

    def page(self, patient: PatientIdentifier | None, *, before: int, limit: int) -> TrailAnswer:
        """The `limit` events with the largest leaf indexes below `before`, newest first."""
        desk, page = self._desk, Page(before=before, size=limit)
        if patient is None:
            found = trail_page(desk.reads, page)
        else:
            found = patient_trail_page(desk.reads, desk.patient(patient), page)
        return TrailAnswer(
            events=tuple(self._event(item) for item in found.items),
            next_before=found.next_before,
        )

    def _event(self, item: TrailItem) -> TrailEvent:
        desk = self._desk
        place = leaf_place(desk.reads, item.leaf_index)
        assert place is not None
        assert place.place is not None
        position = Position(height=place.height, place=place.place, leaf_index=item.leaf_index)
        time_ms = place.block.time_ms
        if item.kind is EntryKind.GENESIS:
            return _event(item.kind, position, time_ms, member=None, body=None)
        entry = desk.blocks.entry(place.height, place.place)
        assert entry is not None
        member = _member(desk.genesis, entry.author)
        body = None if entry.opening.body is None else parse_body(entry.opening.body)
        return _event(item.kind, position, time_ms, member=member, body=body)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Told:
    """What an entry tells beyond who and when."""

    pseudonyms: tuple[bytes, ...]
    grantee: MemberId | None = None
    grant_id: GrantId | None = None
    purpose: Purpose | None = None
    until_ms: TimeMs | None = None
    count: int = 0


def _told(body: Body) -> _Told:
    match body.happening:
        case Record(patient=patient) | Keyring(patient=patient):
            return _Told(pseudonyms=(patient.pseudonym,))
        case Grant(patient=patient, grantee=grantee, grant_id=grant_id, rule=rule):
            return _Told(
                pseudonyms=(patient.pseudonym,),
                grantee=grantee,
                grant_id=grant_id,
                purpose=rule.purpose,
                until_ms=rule.until_ms,
            )
        case Revoke(patient=patient, grant_id=grant_id):
            return _Told(pseudonyms=(patient.pseudonym,), grant_id=grant_id)
        case Reading(patient=patient, purpose=purpose, record_ids=record_ids):
            return _Told(pseudonyms=(patient.pseudonym,), purpose=purpose, count=len(record_ids))
        case Denial(attempts=attempts, more=more):
            return _Told(
                pseudonyms=tuple(attempt.patient.pseudonym for attempt in attempts),
                count=sum(attempt.count for attempt in attempts) + more,
            )


def _event(
    kind: EntryKind,
    position: Position,
    time_ms: TimeMs,
    *,
    member: MemberId | None,
    body: Body | None,
) -> TrailEvent:
    told = _Told(pseudonyms=()) if body is None else _told(body)
    return TrailEvent(
        kind=kind,
        position=position,
        time_ms=time_ms,
        member=member,
        actor=None if body is None else body.actor,
        pseudonyms=told.pseudonyms,
        grantee=told.grantee,
        grant_id=told.grant_id,
        purpose=told.purpose,
        until_ms=told.until_ms,
        count=told.count,
        erased=body is None and kind is not EntryKind.GENESIS,
    )


def _member(genesis: Genesis, author: int) -> MemberId | None:
    peer = next((each for each in genesis.peers if each.peer == author), None)
    return None if peer is None else peer.member
