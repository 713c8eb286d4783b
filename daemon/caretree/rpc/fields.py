"""All that is wrong with a request's fields, collected, with paths; never a field's value."""

from collections.abc import Callable
from typing import Final, TypeVar

from caretree.crypto.pseudonym import SYSTEM_FIELD, PatientIdentifier, normalise_identifier
from caretree.ledger.genesis import Genesis
from caretree.ledger.wire import check_length
from caretree.model.errors import MalformedError
from caretree.model.reasons import CallError, FieldViolation, Reason
from caretree.proto.api.v1 import records_pb2

ID_BYTES: Final = 16

T = TypeVar("T")


class FieldChecks:
    """Collects violations; `path` stands before each field, as in `records[3].`."""

    def __init__(self, path: str = "") -> None:
        self._path = path
        self._violations: list[FieldViolation] = []
        self._too_large = 0

    def refuse(self, field: str, expected: str) -> None:
        """Note that a field is not as expected."""
        self._violations.append(FieldViolation(field=self._path + field, description=expected))

    def refuse_size(self, field: str, expected: str) -> None:
        """Note that a field is too large."""
        self.refuse(field, expected)
        self._too_large += 1

    def take(self, check: Callable[[], T]) -> T | None:
        """What a check returns; None when it refused, which is noted."""
        try:
            return check()
        except MalformedError as error:
            self.refuse(error.field, error.expected)
            return None

    def id_bytes(self, field: str, value: bytes) -> bytes:
        """An id, 16 bytes."""
        if len(value) != ID_BYTES:
            self.take(lambda: check_length(value, ID_BYTES, field=field))
        return value

    def at_most_bytes(self, field: str, text: str, most: int) -> str:
        """A text of 1 to `most` bytes."""
        if not 1 <= len(text.encode()) <= most:
            self.refuse(field, f"expected 1 to {most} bytes of UTF-8")
        return text

    def patient(
        self, identifier: records_pb2.PatientIdentifier, genesis: Genesis
    ) -> PatientIdentifier | None:
        """A patient, normalised; None when that is not possible, which is noted."""
        if identifier.system not in genesis.identifier_systems:
            self.refuse(SYSTEM_FIELD, "expected an identifier system that the consortium accepts")
            return None
        return self.take(
            lambda: normalise_identifier(system=identifier.system, value=identifier.value)
        )

    def finish(self) -> None:
        """Return when nothing was refused.

        Raises:
            CallError: INVALID_FIELD, or CONTENT_TOO_LARGE when nothing else is wrong.
        """
        if not self._violations:
            return
        large = self._too_large == len(self._violations)
        reason = Reason.CONTENT_TOO_LARGE if large else Reason.INVALID_FIELD
        raise CallError(reason, violations=tuple(self._violations))
