"""Why a file is not taken in. No message bears patient data: types, places, sizes and systems only.

A place is the index in Bundle.entry, from 0. A resource's own id is never shown: it may be a number
by which a person is known.
"""

from collections.abc import Sequence

from caretree.model.errors import RejectedError

SYSTEMS_SHOWN_MAX = 10


class EncodingError(RejectedError):
    """The bytes are not UTF-8, or not what the named encoding says. Carries the likely encoding."""

    def __init__(self, message: str, *, likely: str | None) -> None:
        super().__init__(message)
        self.likely = likely


class NotABundleError(RejectedError):
    """The file is something else than a FHIR bundle, or of a type that carries no resources in."""


class NoPatientError(RejectedError):
    """The bundle is about no patient: whoever reads a folder lists the file as skipped."""

    def __init__(self) -> None:
        super().__init__("no Patient in the bundle")


class PatientsError(RejectedError):
    """The bundle is about more than one patient; whose record it becomes is not ours to guess."""


class NoIdentifierError(RejectedError):
    """The Patient has no identifier of an accepted system. Carries the systems it has."""

    def __init__(self, *, accepted: Sequence[str], found: Sequence[str]) -> None:
        shown = ", ".join(found[:SYSTEMS_SHOWN_MAX]) or "none"
        super().__init__(
            f"the Patient has no identifier of {' or '.join(accepted) or 'any accepted system'}; "
            f"systems found: {shown}"
        )
        self.found = tuple(found)


class EncounterIdentityError(RejectedError):
    """An Encounter has no identity, or two share one: a second import could not tell them apart."""


class OversizeError(RejectedError):
    """The file, or what every record of it begins with, is larger than can be taken."""
