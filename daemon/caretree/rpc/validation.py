"""Requests -> commands. A command is complete and within bounds; everything wrong is told at once.

Fields that this version does not know are passed over, as gRPC has it: a newer client's request
means here what an older one's would.
"""

from collections.abc import Mapping, Sequence
from typing import Final, TypeVar

from caretree.ledger.body_fields import MEDIA_TYPE_LENGTH_MAX, RULE_PRINCIPALS_MAX
from caretree.ledger.genesis import Genesis
from caretree.ledger.values import Purpose, ReplaceReason, Replaces, Role, Rule
from caretree.ledger.wire import check_printable
from caretree.model.errors import MalformedError
from caretree.model.ids import (
    GrantId,
    MemberId,
    RecordId,
    RequestId,
    TimeMs,
    parse_member_id,
    parse_name,
)
from caretree.model.limits import (
    CLIENT_BATCH_BYTES_MAX,
    CLIENT_BATCH_RECORDS_MAX,
    CONTENT_BYTES_MAX,
    IDENTIFIER_BYTES_MAX,
    PAGE_SIZE_MAX,
)
from caretree.node.calls import (
    AppendCommand,
    GrantCommand,
    RecordCommand,
    RevokeCommand,
    Source,
)
from caretree.proto.api.v1 import access_pb2, records_pb2
from caretree.rpc.acting import acting_as
from caretree.rpc.fields import FieldChecks
from caretree.rpc.guard import Caller

ChoiceT = TypeVar("ChoiceT")

_PURPOSES: Final = {
    records_pb2.ACCESS_PURPOSE_UNSPECIFIED: Purpose.TREATMENT,
    **{purpose.value: purpose for purpose in Purpose},
}
_REPLACE_REASONS: Final = {reason.value: reason for reason in ReplaceReason}
_ROLES: Final = {role.value: role for role in Role}


def check_batch_bounds(batch: records_pb2.AppendStreamRequest) -> None:
    """Return when a batch is within its bounds.

    Raises:
        CallError: CONTENT_TOO_LARGE, or INVALID_FIELD when it is empty.
    """
    checks = FieldChecks()
    if not batch.records:
        checks.refuse("records", f"expected 1 to {CLIENT_BATCH_RECORDS_MAX} records")
    if len(batch.records) > CLIENT_BATCH_RECORDS_MAX:
        checks.refuse_size("records", f"expected at most {CLIENT_BATCH_RECORDS_MAX} records")
    elif sum(record.ByteSize() for record in batch.records) > CLIENT_BATCH_BYTES_MAX:
        checks.refuse_size("records", f"expected at most {CLIENT_BATCH_BYTES_MAX} bytes in all")
    checks.finish()


def append_command(
    request: records_pb2.AppendRequest, caller: Caller, genesis: Genesis, *, path: str = ""
) -> AppendCommand:
    """The record to add.

    Raises:
        CallError: who acts, or a field, is not as it should be.
    """
    checks = FieldChecks(path)
    actor = acting_as(caller, request.acting_person, checks)
    patient = checks.patient(request.patient, genesis)
    _check_content(request.content, checks)
    checks.take(
        lambda: check_printable(
            request.media_type, length_max=MEDIA_TYPE_LENGTH_MAX, field="media_type"
        )
    )
    source = _source(request, checks)
    if source is None:
        checks.id_bytes("request_id", request.request_id)
    elif request.request_id:
        checks.refuse("request_id", "expected none beside a source, from which it is derived")
    replaces = _replaces(request, checks)
    checks.finish()
    assert actor is not None
    assert patient is not None
    return AppendCommand(
        actor=actor,
        patient=patient,
        content=request.content,
        media_type=request.media_type,
        request_id=RequestId(request.request_id) if source is None else None,
        source=source,
        replaces=replaces,
    )


def record_command(request: records_pb2.GetRecordRequest, caller: Caller) -> RecordCommand:
    """The record to read.

    Raises:
        CallError: who acts, or a field, is not as it should be.
    """
    checks = FieldChecks()
    actor = acting_as(caller, request.acting_person, checks)
    record_id = RecordId(checks.id_bytes("record_id", request.record_id))
    purpose = read_purpose(request.purpose, checks)
    checks.finish()
    assert actor is not None
    assert purpose is not None
    return RecordCommand(actor=actor, record_id=record_id, purpose=purpose)


def grant_command(
    request: access_pb2.CreateGrantRequest, caller: Caller, genesis: Genesis
) -> GrantCommand:
    """The grant to give. Whether it can be given is the ledger's to say.

    Raises:
        CallError: who acts, or a field, is not as it should be.
    """
    checks = FieldChecks()
    actor = acting_as(caller, request.acting_person, checks)
    patient = checks.patient(request.patient, genesis)
    grantee = _grantee(request.grantee, checks)
    rule = _rule(request, checks)
    request_id = RequestId(checks.id_bytes("request_id", request.request_id))
    checks.finish()
    assert actor is not None
    assert patient is not None
    assert grantee is not None
    assert rule is not None
    return GrantCommand(
        actor=actor, patient=patient, grantee=grantee, rule=rule, request_id=request_id
    )


def revoke_command(
    request: access_pb2.RevokeGrantRequest, caller: Caller, genesis: Genesis
) -> RevokeCommand:
    """The grants to take back: one by its id, or a member's.

    Raises:
        CallError: who acts, or a field, is not as it should be.
    """
    checks = FieldChecks()
    actor = acting_as(caller, request.acting_person, checks)
    patient = checks.patient(request.patient, genesis)
    grantee: MemberId | None = None
    if bool(request.grant_id) == bool(request.grantee):
        checks.refuse("grant_id", "expected either a grant's id or a grantee")
    elif request.grant_id:
        checks.id_bytes("grant_id", request.grant_id)
    else:
        grantee = _grantee(request.grantee, checks)
    request_id = RequestId(checks.id_bytes("request_id", request.request_id))
    checks.finish()
    assert actor is not None
    assert patient is not None
    return RevokeCommand(
        actor=actor,
        patient=patient,
        grant_id=GrantId(request.grant_id) if request.grant_id else None,
        grantee=grantee,
        request_id=request_id,
    )


def read_purpose(number: int, checks: FieldChecks) -> Purpose | None:
    """What a reading or a grant is for; None when it is unknown, which is noted."""
    return _choice(number, _PURPOSES, checks, field="purpose")


def read_page_size(size: int, checks: FieldChecks) -> int:
    """How many items a page holds."""
    if size > PAGE_SIZE_MAX:
        checks.refuse("page_size", f"expected at most {PAGE_SIZE_MAX}")
    return size or PAGE_SIZE_MAX


def _check_content(content: bytes, checks: FieldChecks) -> None:
    if not content:
        checks.refuse("content", f"expected 1 to {CONTENT_BYTES_MAX} bytes")
    if len(content) > CONTENT_BYTES_MAX:
        checks.refuse_size("content", f"expected at most {CONTENT_BYTES_MAX} bytes")


def _source(request: records_pb2.AppendRequest, checks: FieldChecks) -> Source | None:
    if not request.HasField("source"):
        return None
    source = request.source
    return Source(
        system=checks.at_most_bytes("source.system", source.system, IDENTIFIER_BYTES_MAX),
        id=checks.at_most_bytes("source.id", source.id, IDENTIFIER_BYTES_MAX),
        part=source.part,
    )


def _replaces(request: records_pb2.AppendRequest, checks: FieldChecks) -> Replaces | None:
    if not request.HasField("replaces"):
        return None
    record_id = RecordId(checks.id_bytes("replaces.record_id", request.replaces.record_id))
    reason = _choice(request.replaces.reason, _REPLACE_REASONS, checks, field="replaces.reason")
    return None if reason is None else Replaces(record_id=record_id, reason=reason)


def _rule(request: access_pb2.CreateGrantRequest, checks: FieldChecks) -> Rule | None:
    if not request.roles and not request.principals:
        checks.refuse("roles", "expected at least one role or principal")
    roles = [
        _choice(number, _ROLES, checks, field=f"roles[{place}]")
        for place, number in enumerate(request.roles)
    ]
    principals = _principals(request.principals, checks)
    purpose = read_purpose(request.purpose, checks)
    if request.until_ms == 0:
        checks.refuse("until_ms", "expected the time at which the grant ends")
    if purpose is None:
        return None
    return Rule(
        roles=frozenset(role for role in roles if role is not None),
        principals=principals,
        purpose=purpose,
        until_ms=TimeMs(request.until_ms),
    )


def _grantee(text: str, checks: FieldChecks) -> MemberId | None:
    try:
        return parse_member_id(text)
    except MalformedError as error:
        checks.refuse("grantee", error.expected)
        return None


def _principals(names: Sequence[str], checks: FieldChecks) -> frozenset[str]:
    if len(names) > RULE_PRINCIPALS_MAX:
        checks.refuse("principals", f"expected at most {RULE_PRINCIPALS_MAX}")
        return frozenset()
    for place, name in enumerate(names):
        try:
            parse_name(name, field=f"principals[{place}]")
        except MalformedError as error:
            checks.refuse(error.field, error.expected)
    return frozenset(names)


def _choice(
    number: int, choices: Mapping[int, ChoiceT], checks: FieldChecks, *, field: str
) -> ChoiceT | None:
    choice = choices.get(number)
    if choice is None:
        checks.refuse(field, "expected one of the values that the API names")
    return choice
