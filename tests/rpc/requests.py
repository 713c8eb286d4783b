"""Requests that are in order, to be changed by a test; and what a refusal said."""

from dataclasses import dataclass
from typing import Final

import grpc
from caretree.proto.api.v1 import access_pb2, records_pb2
from google.rpc import error_details_pb2, status_pb2  # type: ignore[import-untyped]

CARD: Final = "urn:example:card"
PERSON: Final = records_pb2.ActingPerson(id="D-1047", role=records_pb2.PERSON_ROLE_PHYSICIAN)
AUDITING: Final = records_pb2.ActingPerson(id="A-1", role=records_pb2.PERSON_ROLE_AUDITOR)
TIMEOUT_S: Final = 10


def patient(value: str = "C-1") -> records_pb2.PatientIdentifier:
    """A patient by card."""
    return records_pb2.PatientIdentifier(system=CARD, value=value)


def append_request(number: int = 1, *, content: bytes | None = None) -> records_pb2.AppendRequest:
    """A record whose request id and content follow from its number."""
    return records_pb2.AppendRequest(
        patient=patient(),
        content=content or f"content {number}".encode(),
        media_type="text/plain",
        request_id=number.to_bytes(16, "big"),
        acting_person=PERSON,
    )


def grant_request(number: int = 1) -> access_pb2.CreateGrantRequest:
    """A grant to the hospital's physicians."""
    return access_pb2.CreateGrantRequest(
        patient=patient(),
        grantee="hospital",
        roles=[records_pb2.PERSON_ROLE_PHYSICIAN],
        purpose=records_pb2.ACCESS_PURPOSE_TREATMENT,
        until_ms=2_000_000_000_000,
        request_id=number.to_bytes(16, "big"),
        acting_person=PERSON,
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class Refusal:
    """A status with its details."""

    code: int
    message: str
    reason: str
    domain: str
    next_step: str
    fields: tuple[str, ...]
    retry_ms: int | None
    detail_counts: tuple[int, int, int]


def refusal_of(error: grpc.aio.AioRpcError) -> Refusal:
    """What a failed call said."""
    metadata = error.trailing_metadata()
    assert metadata is not None
    encoded = metadata["grpc-status-details-bin"]
    assert isinstance(encoded, bytes)
    refusal = read_status(encoded)
    assert refusal.code == error.code().value[0]
    assert refusal.message == error.details()
    return refusal


def read_status(encoded: bytes) -> Refusal:
    """What a serialised status says."""
    status = status_pb2.Status.FromString(encoded)
    info, bad, retry = (
        error_details_pb2.ErrorInfo(),
        error_details_pb2.BadRequest(),
        error_details_pb2.RetryInfo(),
    )
    counts = tuple(
        sum(detail.Unpack(kind) for detail in status.details) for kind in (info, bad, retry)
    )
    return Refusal(
        code=status.code,
        message=status.message,
        reason=info.reason,
        domain=info.domain,
        next_step=info.metadata["next_step"],
        fields=tuple(violation.field for violation in bad.field_violations),
        retry_ms=retry.retry_delay.ToMilliseconds() if counts[2] else None,
        detail_counts=(counts[0], counts[1], counts[2]),
    )
