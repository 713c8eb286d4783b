"""Values -> request messages, and response messages -> values, checked as foreign bytes are."""

from collections.abc import Iterable
from typing import Final

from caretree.client.errors import AnswerError
from caretree.client.values import (
    ActingPerson,
    EntryStatus,
    GrantDescription,
    HistoryRecord,
    NewRecord,
    PeerState,
    Status,
    TrailEvent,
)
from caretree.crypto.pseudonym import PatientIdentifier
from caretree.ledger.values import EntryKind, Position, Purpose, Role
from caretree.model.ids import GrantId, Height, LeafIndex, Place, RecordId, RequestId, TimeMs
from caretree.proto.api.v1 import access_pb2, operations_pb2, records_pb2

ID_BYTES: Final = 16

_ROLES: Final = {role.value: role for role in Role}
_PURPOSES: Final = {purpose.value: purpose for purpose in Purpose}
_KINDS: Final = {
    access_pb2.TRAIL_KIND_GENESIS: EntryKind.GENESIS,
    access_pb2.TRAIL_KIND_KEYRING: EntryKind.KEYRING,
    access_pb2.TRAIL_KIND_GRANT: EntryKind.GRANT,
    access_pb2.TRAIL_KIND_REVOKE: EntryKind.REVOKE,
    access_pb2.TRAIL_KIND_READING: EntryKind.READING,
    access_pb2.TRAIL_KIND_DENIAL: EntryKind.DENIAL,
}
_STATUSES: Final = {
    records_pb2.ENTRY_STATUS_COMMITTED: EntryStatus.COMMITTED,
    records_pb2.ENTRY_STATUS_CERTIFIED: EntryStatus.CERTIFIED,
}


def patient_message(patient: PatientIdentifier) -> records_pb2.PatientIdentifier:
    """A patient; the peer makes its value uniform."""
    return records_pb2.PatientIdentifier(system=patient.system, value=patient.value)


def person_message(acting: ActingPerson | None) -> records_pb2.ActingPerson | None:
    """For whom the caller acts."""
    if acting is None:
        return None
    message = records_pb2.ActingPerson(id=acting.id)
    if acting.role is not None:
        message.role = role_message(acting.role)
    return message


def role_message(role: Role) -> records_pb2.PersonRole.ValueType:
    """A role."""
    return records_pb2.PersonRole.ValueType(role.value)


def purpose_message(purpose: Purpose) -> records_pb2.AccessPurpose.ValueType:
    """A purpose."""
    return records_pb2.AccessPurpose.ValueType(purpose.value)


def append_message(record: NewRecord, request_id: RequestId | None) -> records_pb2.AppendRequest:
    """A record to add."""
    message = records_pb2.AppendRequest(
        patient=patient_message(record.patient),
        content=record.content,
        media_type=record.media_type,
        request_id=request_id or b"",
        acting_person=person_message(record.acting),
    )
    if record.source is not None:
        source = record.source
        message.source.CopyFrom(
            records_pb2.Source(system=source.system, id=source.id, part=source.part)
        )
    if record.replaces is not None:
        message.replaces.record_id = record.replaces.record_id
        message.replaces.reason = records_pb2.ReplacementReason.ValueType(
            record.replaces.reason.value
        )
    return message


def read_position(message: records_pb2.EntryPosition) -> Position:
    """Where an entry stands."""
    return Position(
        height=Height(message.height),
        place=Place(message.place),
        leaf_index=LeafIndex(message.leaf_index),
    )


def read_status(number: int) -> EntryStatus:
    """How far an entry has come.

    Raises:
        AnswerError: the number is no status.
    """
    status = _STATUSES.get(records_pb2.EntryStatus.ValueType(number))
    if status is None:
        raise AnswerError("expected an entry's status")
    return status


def read_id(value: bytes) -> bytes:
    """An id.

    Raises:
        AnswerError: it has not 16 bytes.
    """
    if len(value) != ID_BYTES:
        raise AnswerError(f"expected an id of {ID_BYTES} bytes, found {len(value)}")
    return value


def read_record(message: records_pb2.HistoryRecord) -> HistoryRecord:
    """A record of a history.

    Raises:
        AnswerError: an id that is none.
    """
    return HistoryRecord(
        custodian=message.custodian,
        time_ms=TimeMs(message.time_ms),
        closed=message.closed,
        erased=message.erased,
        record_id=None if message.closed else RecordId(read_id(message.record_id)),
        position=None if message.closed else read_position(message.position),
        content=message.content,
        media_type=message.media_type,
        replaced_by=RecordId(read_id(message.replaced_by)) if message.replaced_by else None,
        document_id=message.document_id,
        part=message.part,
    )


def read_grant(message: access_pb2.GrantDescription) -> GrantDescription:
    """A grant, described.

    Raises:
        AnswerError: an id that is none.
    """
    return GrantDescription(
        grant_id=GrantId(read_id(message.grant_id)),
        custodian=message.custodian,
        grantee=message.grantee,
        roles=_roles(message.roles),
        principals=frozenset(message.principals),
        purpose=_PURPOSES.get(message.purpose),
        until_ms=TimeMs(message.until_ms),
        granted_ms=TimeMs(message.granted_ms),
        revoked_ms=TimeMs(message.revoked_ms) if message.revoked_ms else None,
    )


def read_event(message: access_pb2.TrailEvent) -> TrailEvent:
    """One thing that happened.

    Raises:
        AnswerError: of a kind that this client does not know.
    """
    kind = _KINDS.get(message.kind)
    if kind is None:
        raise AnswerError("expected an event of a known kind; a newer client may know it")
    return TrailEvent(
        kind=kind,
        position=read_position(message.position),
        time_ms=TimeMs(message.time_ms),
        member=message.member,
        principal=message.principal,
        person=message.person,
        role=_ROLES.get(message.role),
        pseudonyms=tuple(message.pseudonyms),
        grantee=message.grantee,
        grant_id=GrantId(message.grant_id) if message.grant_id else None,
        purpose=_PURPOSES.get(message.purpose),
        until_ms=TimeMs(message.until_ms) if message.until_ms else None,
        count=message.count,
        erased=message.erased,
    )


def read_peer_status(message: operations_pb2.GetStatusResponse) -> Status:
    """A peer's account of itself."""
    return Status(
        origin=message.origin,
        member=message.member,
        peer=message.peer,
        raft_role=message.raft_role,
        leader=message.leader,
        term=message.term,
        commit_index=message.commit_index,
        applied_index=message.applied_index,
        height=message.height,
        tree_size=message.tree_size,
        block_time_ms=message.block_time_ms,
        certified_size=message.certified_size,
        certified_age_ms=message.certified_age_ms,
        membership_epoch=message.membership_epoch,
        certification_quorum=message.certification_quorum,
        version=message.version,
        peers=tuple(_peer(peer) for peer in message.peers),
    )


def _peer(message: operations_pb2.PeerStatus) -> PeerState:
    return PeerState(
        peer=message.peer,
        member=message.member,
        display_name=message.display_name,
        voter=message.voter,
        leader=message.leader,
        reachable=message.reachable,
        match_index=message.match_index,
        signed_size=message.signed_size,
    )


def _roles(numbers: Iterable[int]) -> frozenset[Role]:
    return frozenset(_ROLES[number] for number in numbers if number in _ROLES)
