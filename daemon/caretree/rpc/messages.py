"""Answers of the peer -> response messages."""

from typing import Final

from caretree.ledger.values import Position
from caretree.model.ids import show_peer_id
from caretree.node.calls import (
    AppendAnswer,
    EntryAnswer,
    EntryStatus,
    GrantAnswer,
    GrantView,
    HistoryRecord,
    PeerView,
    ReceiptAnswer,
    StatusView,
    TrailEvent,
)
from caretree.proto.api.v1 import access_pb2, operations_pb2, proofs_pb2, records_pb2

_STATUSES: Final = {
    EntryStatus.COMMITTED: records_pb2.ENTRY_STATUS_COMMITTED,
    EntryStatus.CERTIFIED: records_pb2.ENTRY_STATUS_CERTIFIED,
}


def position_message(position: Position) -> records_pb2.EntryPosition:
    """Where an entry stands."""
    return records_pb2.EntryPosition(
        height=position.height, place=position.place, leaf_index=position.leaf_index
    )


def append_message(answer: AppendAnswer) -> records_pb2.AppendResponse:
    """What became of a record."""
    message = records_pb2.AppendResponse()
    fill_append_message(message, answer)
    return message


def fill_append_message(message: records_pb2.AppendResponse, answer: AppendAnswer) -> None:
    """Set what became of a record, in place: within a batch's answer nothing is copied."""
    entry, position = answer.entry, message.position
    message.record_id = answer.record_id
    position.height = entry.position.height
    position.place = entry.position.place
    position.leaf_index = entry.position.leaf_index
    message.status = _status(entry)
    message.receipt = entry.receipt
    message.already_added = answer.already_added


def record_message(record: HistoryRecord) -> records_pb2.HistoryRecord:
    """A record of a history; of a closed one custodian and time alone, whatever else is there."""
    if record.closed:
        return records_pb2.HistoryRecord(
            custodian=record.custodian, time_ms=record.time_ms, closed=True
        )
    return records_pb2.HistoryRecord(
        record_id=record.record_id or b"",
        custodian=record.custodian,
        time_ms=record.time_ms,
        position=None if record.position is None else position_message(record.position),
        erased=record.erased,
        content=record.content,
        media_type=record.media_type,
        replaced_by=record.replaced_by or b"",
        document_id=record.document_id,
        part=record.part,
    )


def grant_message(answer: GrantAnswer) -> access_pb2.CreateGrantResponse:
    """A grant, given."""
    return access_pb2.CreateGrantResponse(
        grant_id=answer.grant_id,
        position=position_message(answer.entry.position),
        status=_status(answer.entry),
        receipt=answer.entry.receipt,
    )


def revoked_message(answer: GrantAnswer) -> access_pb2.RevokedGrant:
    """A grant, taken back."""
    return access_pb2.RevokedGrant(
        grant_id=answer.grant_id,
        position=position_message(answer.entry.position),
        status=_status(answer.entry),
        receipt=answer.entry.receipt,
    )


def grant_description(view: GrantView) -> access_pb2.GrantDescription:
    """A grant, described."""
    return access_pb2.GrantDescription(
        grant_id=view.grant_id,
        custodian=view.custodian,
        grantee=view.grantee,
        roles=[_role(role.value) for role in sorted(view.rule.roles)],
        principals=sorted(view.rule.principals),
        purpose=_purpose(view.rule.purpose.value),
        until_ms=view.rule.until_ms,
        granted_ms=view.granted_ms,
        revoked_ms=view.revoked_ms or 0,
    )


def trail_message(event: TrailEvent) -> access_pb2.TrailEvent:
    """One thing that happened."""
    message = access_pb2.TrailEvent(
        kind=access_pb2.TrailKind.Value(f"TRAIL_KIND_{event.kind.name}"),
        position=position_message(event.position),
        time_ms=event.time_ms,
        member=event.member or "",
        pseudonyms=event.pseudonyms,
        grantee=event.grantee or "",
        grant_id=event.grant_id or b"",
        until_ms=event.until_ms or 0,
        count=event.count,
        erased=event.erased,
    )
    if event.purpose is not None:
        message.purpose = _purpose(event.purpose.value)
    if event.actor is not None:
        message.principal = event.actor.principal
        message.person = event.actor.person
        message.role = _role(event.actor.role.value)
    return message


def receipt_message(answer: ReceiptAnswer) -> proofs_pb2.GetReceiptResponse:
    """A receipt."""
    return proofs_pb2.GetReceiptResponse(
        receipt=answer.receipt, position=position_message(answer.position), age_ms=answer.age_ms
    )


def status_message(view: StatusView, *, version: str) -> operations_pb2.GetStatusResponse:
    """A status."""
    return operations_pb2.GetStatusResponse(
        origin=view.origin,
        member=view.member,
        peer=show_peer_id(view.peer),
        raft_role=view.raft_role.value,
        leader="" if view.leader is None else show_peer_id(view.leader),
        term=view.term,
        commit_index=view.commit_index,
        applied_index=view.applied_index,
        height=view.height,
        tree_size=view.tree_size,
        block_time_ms=view.block_time_ms,
        certified_size=view.certified_size,
        certified_age_ms=view.certified_age_ms,
        peers=[_peer_message(peer) for peer in view.peers],
        version=version,
        membership_epoch=view.membership_epoch,
        certification_quorum=view.certification_quorum,
    )


def _peer_message(view: PeerView) -> operations_pb2.PeerStatus:
    return operations_pb2.PeerStatus(
        peer=show_peer_id(view.peer),
        member=view.member,
        display_name=view.display_name,
        voter=view.voter,
        leader=view.leader,
        reachable=view.reachable,
        match_index=view.match_index,
        signed_size=view.signed_size,
    )


def _status(entry: EntryAnswer) -> records_pb2.EntryStatus.ValueType:
    return _STATUSES[entry.status]


def _role(number: int) -> records_pb2.PersonRole.ValueType:
    return records_pb2.PersonRole.ValueType(number)


def _purpose(number: int) -> records_pb2.AccessPurpose.ValueType:
    return records_pb2.AccessPurpose.ValueType(number)
