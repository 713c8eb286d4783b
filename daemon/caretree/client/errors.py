"""What a client raises: a call failed, or what the peer answered does not hold.

CallFailedError    the peer refused or could not be reached; it says why and when to try again
ReceiptError       a receipt does not verify, or is another entry's
InconsistentLogError   two certified checkpoints contradict each other: keep both, ask the members
AnswerError        the peer's answer is not what the protocol says
"""

from collections.abc import Mapping
from typing import Final

import grpc
from google.protobuf.message import DecodeError
from google.rpc import error_details_pb2, status_pb2  # type: ignore[import-untyped]

from caretree.ledger.receipts import ReceiptError
from caretree.model.errors import CaretreeError, RejectedError, VerificationError
from caretree.model.ids import RequestId
from caretree.model.reasons import ERROR_DOMAIN, FieldViolation, Reason

__all__ = [
    "AnswerError",
    "CallFailedError",
    "InconsistentLogError",
    "ReceiptError",
    "failed_call",
    "failed_record",
    "outcome_unknown",
]

DETAILS_KEY: Final = "grpc-status-details-bin"
_CODES: Final[Mapping[int, str]] = {code.value[0]: code.name for code in grpc.StatusCode}
_UNKNOWN: Final = grpc.StatusCode.UNKNOWN.name


class CallFailedError(CaretreeError):
    """A call failed. `reason` is None where the peer gave none: it could not be reached, say.

    `request_id` is set where the outcome is unknown: the same call with it takes effect at most
    once.
    """

    def __init__(
        self,
        message: str,
        *,
        code: str,
        reason: Reason | None,
        violations: tuple[FieldViolation, ...] = (),
        retry_after_ms: int | None = None,
        request_id: RequestId | None = None,
    ) -> None:
        super().__init__(message)
        self.code = code
        self.reason = reason
        self.violations = violations
        self.retry_after_ms = retry_after_ms
        self.request_id = request_id

    def again(self, *, request_id: RequestId | None = None) -> "CallFailedError":
        """Another error that says the same; with a request id where the outcome is unknown too."""
        return CallFailedError(
            self.message,
            code=self.code,
            reason=self.reason,
            violations=self.violations,
            retry_after_ms=self.retry_after_ms,
            request_id=request_id or self.request_id,
        )


class InconsistentLogError(VerificationError):
    """Two checkpoints that the quorum signed are not of one log that only grows."""


class AnswerError(RejectedError):
    """The peer's answer is not what the protocol says."""


def failed_call(error: grpc.aio.AioRpcError) -> CallFailedError:
    """Why a call failed, with the details that the peer gave."""
    metadata = error.trailing_metadata()
    details = metadata.get(DETAILS_KEY) if metadata is not None else None
    code = error.code().name
    if isinstance(details, bytes):
        found = _read(details)
        # What says another code than the call has is none of ours.
        if found is not None and found.code == code:
            return found
    return CallFailedError(error.details() or code, code=code, reason=None)


def failed_record(encoded: bytes) -> CallFailedError:
    """Why a record of a batch was not added.

    Raises:
        AnswerError: these bytes are no status.
    """
    found = _read(encoded)
    if found is None:
        raise AnswerError("expected the status of a record that was not added")
    return found


def outcome_unknown(request_id: RequestId | None) -> CallFailedError:
    """It was handed over, and nobody said what became of it."""
    explanation = Reason.OUTCOME_UNKNOWN.explanation
    return CallFailedError(
        explanation.cause,
        code=explanation.code.name,
        reason=Reason.OUTCOME_UNKNOWN,
        request_id=request_id,
    )


def _read(encoded: bytes) -> CallFailedError | None:
    try:
        status = status_pb2.Status.FromString(encoded)
        info = error_details_pb2.ErrorInfo()
        bad = error_details_pb2.BadRequest()
        retry = error_details_pb2.RetryInfo()
        retried = False
        for detail in status.details:
            retried |= detail.Unpack(retry)
            _ = detail.Unpack(info) or detail.Unpack(bad)
    except DecodeError:
        return None
    return CallFailedError(
        status.message,
        code=_CODES.get(status.code, _UNKNOWN),
        reason=Reason.__members__.get(info.reason) if info.domain == ERROR_DOMAIN else None,
        violations=tuple(
            FieldViolation(field=violation.field, description=violation.description)
            for violation in bad.field_violations
        ),
        retry_after_ms=max(retry.retry_delay.ToMilliseconds(), 0) if retried else None,
    )
