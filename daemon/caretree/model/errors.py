"""The base errors, by fate: rejected (the caller's fault), unavailable (try again), fatal (stop).

A room defines its own errors as subclasses of one of these three. One table, `model.reasons`, maps
reasons to gRPC status codes. An error carries the values a caller needs, never an identifier, key
or content.
"""

from typing_extensions import override


class CaretreeError(Exception):
    """Base of every error that Caretree raises on purpose."""

    def __init__(self, message: str) -> None:
        super().__init__(message)
        self.message = message

    @override
    def __str__(self) -> str:
        return self.message


class RejectedError(CaretreeError):
    """What was handed in is wrong; handing in the same again will fail again."""


class MalformedError(RejectedError):
    """Foreign bytes are not what their format says. Carries the field and what was expected."""

    def __init__(self, field: str, expected: str) -> None:
        super().__init__(f"{field}: {expected}")
        self.field = field
        self.expected = expected


class VerificationError(RejectedError):
    """A proof, signature or hash does not hold."""


class UnavailableError(CaretreeError):
    """Not now; the same call may succeed after `retry_after_ms`."""

    def __init__(self, message: str, *, retry_after_ms: int) -> None:
        super().__init__(message)
        self.retry_after_ms = retry_after_ms


class FatalError(CaretreeError):
    """Going on is unsafe: the process ends with this message as its last line."""
