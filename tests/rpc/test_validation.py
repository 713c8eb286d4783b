"""Every bound of a request: taken at the limit, refused one above, named by its field."""

from collections.abc import Callable

import pytest
from caretree.config.values import Principal, PrincipalKind
from caretree.ledger.body_fields import (
    MEDIA_TYPE_LENGTH_MAX,
    PERSON_LENGTH_MAX,
    RULE_PRINCIPALS_MAX,
)
from caretree.ledger.values import Purpose, ReplaceReason, Role
from caretree.model.limits import (
    CLIENT_BATCH_BYTES_MAX,
    CLIENT_BATCH_RECORDS_MAX,
    CONTENT_BYTES_MAX,
    IDENTIFIER_BYTES_MAX,
    PAGE_SIZE_MAX,
)
from caretree.model.reasons import CallError, Reason
from caretree.proto.api.v1 import access_pb2, records_pb2
from caretree.rpc.fields import FieldChecks
from caretree.rpc.guard import Caller
from caretree.rpc.permissions import PERMISSIONS
from caretree.rpc.validation import (
    append_command,
    check_batch_bounds,
    grant_command,
    read_page_size,
    record_command,
    revoke_command,
)

from tests.ledger.builders import founders
from tests.rpc.requests import PERSON, append_request, grant_request, patient
from tests.rpc.serving import SHOWN

_GENESIS = founders().genesis
_RECORD_ID = bytes(range(16))


def _caller(method: str) -> Caller:
    principal = Principal(name="clinic-system", kind=PrincipalKind.SYSTEM, roles=frozenset(Role))
    permission = PERMISSIONS[f"/caretree.api.v1.{method}"]
    return Caller(principal=principal, permission=permission, deadline=0.0, shown=SHOWN)


_APPENDING = _caller("RecordService/Append")
_GRANTING = _caller("AccessService/CreateGrant")
_READING = _caller("RecordService/GetRecord")


def _append(request: records_pb2.AppendRequest) -> None:
    append_command(request, _APPENDING, _GENESIS)


def _grant(request: access_pb2.CreateGrantRequest) -> None:
    grant_command(request, _GRANTING, _GENESIS)


def _fields(call: Callable[[], object]) -> tuple[str, ...]:
    with pytest.raises(CallError) as caught:
        call()
    assert caught.value.reason in {Reason.INVALID_FIELD, Reason.CONTENT_TOO_LARGE}
    return tuple(violation.field for violation in caught.value.violations)


def test_content_is_taken_at_its_limit_and_refused_one_byte_above() -> None:
    _append(append_request(content=bytes(CONTENT_BYTES_MAX)))

    with pytest.raises(CallError) as caught:
        _append(append_request(content=bytes(CONTENT_BYTES_MAX + 1)))
    assert caught.value.reason is Reason.CONTENT_TOO_LARGE
    assert [violation.field for violation in caught.value.violations] == ["content"]


def test_empty_content_is_refused() -> None:
    request = append_request()
    request.content = b""

    assert _fields(lambda: _append(request)) == ("content",)


def test_a_media_type_is_taken_at_its_limit_and_refused_one_above() -> None:
    request = append_request()
    request.media_type = "m" * MEDIA_TYPE_LENGTH_MAX
    _append(request)
    for wrong in ("m" * (MEDIA_TYPE_LENGTH_MAX + 1), "", "text/plain\n", "文本"):
        request.media_type = wrong
        assert _fields(lambda: _append(request)) == ("media_type",)


@pytest.mark.parametrize("length", [0, 15, 17])
def test_an_id_has_sixteen_bytes(length: int) -> None:
    append, grant, wrong = append_request(), grant_request(), bytes(length)
    append.request_id = grant.request_id = wrong
    read = records_pb2.GetRecordRequest(record_id=wrong, acting_person=PERSON)

    assert _fields(lambda: _append(append)) == ("request_id",)
    assert _fields(lambda: _grant(grant)) == ("request_id",)
    assert _fields(lambda: record_command(read, _READING)) == ("record_id",)


def test_a_person_is_taken_at_its_limit_and_refused_one_above() -> None:
    request = append_request()
    request.acting_person.id = "D" * PERSON_LENGTH_MAX
    _append(request)
    request.acting_person.id += "D"

    assert _fields(lambda: _append(request)) == ("acting_person.id",)


def test_a_patient_value_is_taken_at_its_limit_and_refused_one_above() -> None:
    request = append_request()
    request.patient.value = "C" * IDENTIFIER_BYTES_MAX
    _append(request)
    request.patient.value += "C"

    assert _fields(lambda: _append(request)) == ("patient.value",)


def test_an_identifier_system_that_the_consortium_does_not_accept_is_refused() -> None:
    request = append_request()
    request.patient.system = "urn:example:other"

    assert _fields(lambda: _append(request)) == ("patient.system",)


def test_a_source_stands_in_for_a_request_id_and_is_bounded() -> None:
    request = append_request()
    request.ClearField("request_id")
    longest = "s" * IDENTIFIER_BYTES_MAX
    request.source.CopyFrom(records_pb2.Source(system=longest, id=longest, part=2**32 - 1))
    command = append_command(request, _APPENDING, _GENESIS)
    assert command.request_id is None
    assert command.source is not None
    assert command.source.part == 2**32 - 1

    request.source.system += "s"
    request.source.id += "s"
    assert _fields(lambda: _append(request)) == ("source.system", "source.id")
    request.source.CopyFrom(records_pb2.Source())
    assert _fields(lambda: _append(request)) == ("source.system", "source.id")
    request.source.CopyFrom(records_pb2.Source(system="s", id="i"))
    request.request_id = bytes(16)
    assert _fields(lambda: _append(request)) == ("request_id",)


def test_a_replacement_names_a_record_and_a_known_reason() -> None:
    request = append_request()
    known = records_pb2.REPLACEMENT_REASON_CORRECTED
    request.replaces.CopyFrom(records_pb2.Replacement(record_id=_RECORD_ID, reason=known))
    command = append_command(request, _APPENDING, _GENESIS)
    assert command.replaces is not None
    assert command.replaces.reason is ReplaceReason.CORRECTED

    request.replaces.CopyFrom(records_pb2.Replacement(record_id=b"short"))
    assert _fields(lambda: _append(request)) == ("replaces.record_id", "replaces.reason")


def test_everything_that_is_wrong_is_told_at_once() -> None:
    request = records_pb2.AppendRequest(
        patient=patient(""), acting_person=PERSON, content=bytes(CONTENT_BYTES_MAX + 1)
    )

    with pytest.raises(CallError) as caught:
        append_command(request, _APPENDING, _GENESIS, path="records[3].")
    assert caught.value.reason is Reason.INVALID_FIELD
    assert [violation.field for violation in caught.value.violations] == [
        "records[3].patient.value",
        "records[3].content",
        "records[3].media_type",
        "records[3].request_id",
    ]


def test_a_refusal_never_repeats_a_value() -> None:
    request = append_request()
    request.patient.value = "SECRET-VALUE\x07"
    request.media_type = "SECRET-VALUE\x07"
    request.acting_person.id = "SECRET VALUE"

    with pytest.raises(CallError) as caught:
        _append(request)
    assert "SECRET" not in str(caught.value)
    assert "SECRET" not in str(caught.value.violations)


def _batch(count: int, *, bytes_in_all: int | None = None) -> records_pb2.AppendStreamRequest:
    batch = records_pb2.AppendStreamRequest(records=[records_pb2.AppendRequest()] * count)
    if bytes_in_all is not None:
        batch.records[0].content = bytes(bytes_in_all - 4)  # a tag, a length of 3 bytes
        assert sum(record.ByteSize() for record in batch.records) == bytes_in_all
    return batch


def test_a_batch_is_taken_at_its_limits_and_refused_one_above() -> None:
    check_batch_bounds(_batch(CLIENT_BATCH_RECORDS_MAX))
    check_batch_bounds(_batch(3, bytes_in_all=CLIENT_BATCH_BYTES_MAX))

    for wrong in (
        _batch(CLIENT_BATCH_RECORDS_MAX + 1),
        _batch(3, bytes_in_all=CLIENT_BATCH_BYTES_MAX + 1),
    ):
        with pytest.raises(CallError) as caught:
            check_batch_bounds(wrong)
        assert caught.value.reason is Reason.CONTENT_TOO_LARGE


def test_an_empty_batch_is_refused() -> None:
    assert _fields(lambda: check_batch_bounds(_batch(0))) == ("records",)


def test_a_page_is_taken_at_its_limit_and_refused_one_above() -> None:
    checks = FieldChecks()
    assert read_page_size(PAGE_SIZE_MAX, checks) == PAGE_SIZE_MAX
    assert read_page_size(0, checks) == PAGE_SIZE_MAX
    checks.finish()
    read_page_size(PAGE_SIZE_MAX + 1, checks)

    assert _fields(checks.finish) == ("page_size",)


def test_a_grants_principals_are_taken_at_their_limit_and_refused_one_above() -> None:
    request = grant_request()
    request.principals.extend(f"ward-{number}" for number in range(RULE_PRINCIPALS_MAX))
    command = grant_command(request, _GRANTING, _GENESIS)
    assert len(command.rule.principals) == RULE_PRINCIPALS_MAX
    assert command.rule.roles == {Role.PHYSICIAN}
    assert command.rule.purpose is Purpose.TREATMENT
    request.principals.append("one-more")

    assert _fields(lambda: _grant(request)) == ("principals",)


def test_everything_that_is_wrong_with_a_grant_is_told_at_once() -> None:
    request = access_pb2.CreateGrantRequest(
        patient=patient(), acting_person=PERSON, grantee="No Member"
    )
    assert _fields(lambda: _grant(request)) == ("grantee", "roles", "until_ms", "request_id")

    request.roles.extend([records_pb2.PERSON_ROLE_NURSE, records_pb2.PERSON_ROLE_UNSPECIFIED])
    request.principals.extend(["fine", "Not Fine"])
    wrong = ("grantee", "roles[1]", "principals[1]", "until_ms", "request_id")
    assert _fields(lambda: _grant(request)) == wrong


def test_a_revocation_names_a_grant_or_a_grantee_and_not_both() -> None:
    request = access_pb2.RevokeGrantRequest(
        patient=patient(), acting_person=PERSON, request_id=bytes(16)
    )

    def revoke() -> object:
        return revoke_command(request, _GRANTING, _GENESIS)

    assert _fields(revoke) == ("grant_id",)
    request.grantee = "hospital"
    revoke()
    request.grant_id = _RECORD_ID
    assert _fields(revoke) == ("grant_id",)
    request.ClearField("grantee")
    revoke()
    request.grant_id = b"short"
    assert _fields(revoke) == ("grant_id",)
    request.ClearField("grant_id")
    request.grantee = "No Member"
    assert _fields(revoke) == ("grantee",)


def test_the_numbers_of_the_api_are_those_of_the_ledger() -> None:
    def names(enum: type, prefix: str) -> dict[str, int]:
        return {
            name.removeprefix(prefix): number
            for name, number in enum.items()  # type: ignore[attr-defined]
            if number
        }

    assert names(records_pb2.PersonRole, "PERSON_ROLE_") == {r.name: r.value for r in Role}
    assert names(records_pb2.AccessPurpose, "ACCESS_PURPOSE_") == {
        purpose.name: purpose.value for purpose in Purpose
    }
    assert names(records_pb2.ReplacementReason, "REPLACEMENT_REASON_") == {
        reason.name: reason.value for reason in ReplaceReason
    }
