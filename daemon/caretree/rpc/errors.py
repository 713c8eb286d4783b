"""Why a call fails, as the status that travels: google.rpc.Status with its usual details.

Every status has an ErrorInfo whose reason stands in the table of `model.reasons`; a BadRequest when
fields were wrong; a RetryInfo when trying again may help. Nothing here knows a patient: messages
come from that table or say what was expected, never what was found.
"""

from dataclasses import dataclass
from typing import Final

import grpc
from google.protobuf.duration_pb2 import Duration
from google.rpc import error_details_pb2, status_pb2  # type: ignore[import-untyped]
from grpc_status import rpc_status  # type: ignore[import-untyped]

from caretree.model.reasons import ERROR_DOMAIN, CallError, Code

# For whoever gave no better advice; a caller adds jitter.
RETRY_MS_DEFAULT: Final = 500
_RETRIED: Final = frozenset((Code.UNAVAILABLE, Code.RESOURCE_EXHAUSTED, Code.ABORTED))
# gRPC's own retries ask for the delay here (gRFC A6).
_PUSHBACK: Final = "grpc-retry-pushback-ms"


@dataclass(frozen=True, slots=True, kw_only=True)
class Refusal(grpc.Status):
    """A status as gRPC asks for it."""

    code: grpc.StatusCode
    details: str
    trailing_metadata: tuple[tuple[str, str | bytes], ...]


def encode_status(error: CallError) -> bytes:
    """The status of one record of a batch, serialised."""
    encoded = _status(error).SerializeToString()
    assert isinstance(encoded, bytes)
    return encoded


def grpc_status(error: CallError) -> grpc.Status:
    """The status that ends a call."""
    status = rpc_status.to_status(_status(error))
    metadata: tuple[tuple[str, str | bytes], ...] = tuple(status.trailing_metadata)
    retry_ms = retry_after_ms(error)
    if retry_ms is not None:
        metadata = (*metadata, (_PUSHBACK, str(retry_ms)))
    return Refusal(code=status.code, details=status.details, trailing_metadata=metadata)


def retry_after_ms(error: CallError) -> int | None:
    """After how long to try again; None where the same call would fail again."""
    if error.retry_after_ms is not None:
        return error.retry_after_ms
    return RETRY_MS_DEFAULT if error.reason.explanation.code in _RETRIED else None


def _status(error: CallError) -> status_pb2.Status:
    status = status_pb2.Status(code=error.reason.explanation.code.value, message=error.message)
    info = error_details_pb2.ErrorInfo(
        reason=error.reason.name,
        domain=ERROR_DOMAIN,
        metadata={"next_step": error.reason.explanation.next_step},
    )
    status.details.add().Pack(info)
    if error.violations:
        violations = [
            error_details_pb2.BadRequest.FieldViolation(
                field=violation.field, description=violation.description
            )
            for violation in error.violations
        ]
        status.details.add().Pack(error_details_pb2.BadRequest(field_violations=violations))
    retry_ms = retry_after_ms(error)
    if retry_ms is not None:
        delay = Duration()
        delay.FromMilliseconds(retry_ms)
        status.details.add().Pack(error_details_pb2.RetryInfo(retry_delay=delay))
    return status
