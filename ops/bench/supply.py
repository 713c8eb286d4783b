"""What is written: contents that no compression makes smaller, and the patients they are of."""

import random
from typing import Final

from caretree.crypto.pseudonym import PatientIdentifier, normalise_identifier

SEED: Final = 20_260_101
PATIENTS: Final = 1_000
CONTENT_BYTES: Final = 1024
# The patients of the bench are nobody whom the import knows.
CARD: Final = "urn:example:card"
_POOL: Final = 4_096


class Supply:
    """Contents of one size, and patients over whom records are spread; a number chooses both."""

    def __init__(self, *, content_bytes: int = CONTENT_BYTES, patients: int = PATIENTS) -> None:
        chance = random.Random(SEED)
        self.content_bytes = content_bytes
        self._pool = [chance.randbytes(content_bytes) for _ in range(_POOL)]
        self.patients = [_patient(f"BENCH-{number:06}") for number in range(patients)]
        # Neighbouring records are of patients that are not neighbours.
        chance.shuffle(self.patients)

    def content(self, number: int) -> bytes:
        """The content of this number; neighbours differ."""
        return self._pool[number % _POOL]

    def patient(self, number: int) -> PatientIdentifier:
        """The patient of this number; all come by in turn."""
        return self.patients[number % len(self.patients)]

    @staticmethod
    def newcomer(number: int) -> PatientIdentifier:
        """A patient of whom there is nothing yet."""
        return _patient(f"NEW-{number:09}")

    @staticmethod
    def referred() -> PatientIdentifier:
        """The patient whose history is opened to another member."""
        return _patient("REFERRED")


def _patient(value: str) -> PatientIdentifier:
    return normalise_identifier(system=CARD, value=value)
