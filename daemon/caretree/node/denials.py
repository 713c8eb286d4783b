"""Refused readings, summed per actor and minute, and written as entries once the minute is over."""

from collections import OrderedDict
from dataclasses import dataclass, field
from typing import Final

from caretree.ledger.values import Actor, Attempt, Denial, Patient
from caretree.model.ids import TimeMs

MINUTE_MS: Final = 60_000
PATIENTS_NAMED_MAX: Final = 32  # proto Denial
# Actors of one minute; further ones are written at once, so that none is lost.
ACTORS_MAX: Final = 1024


@dataclass(slots=True)
class _Sum:
    counts: OrderedDict[Patient, int] = field(default_factory=OrderedDict)
    more: int = 0

    def add(self, patient: Patient, count: int) -> None:
        if patient in self.counts or len(self.counts) < PATIENTS_NAMED_MAX:
            self.counts[patient] = self.counts.get(patient, 0) + count
        else:
            self.more += count


class Denials:
    """Sums attempts; whoever writes entries takes them out."""

    def __init__(self) -> None:
        self._sums: dict[tuple[Actor, int], _Sum] = {}

    def note(self, actor: Actor, patient: Patient, now_ms: TimeMs) -> None:
        """Count one refused reading."""
        key = (actor, now_ms // MINUTE_MS)
        self._sums.setdefault(key, _Sum()).add(patient, 1)

    def put_back(self, actor: Actor, denial: Denial) -> None:
        """Take back a sum that could not be written now."""
        total = self._sums.setdefault((actor, denial.minute_ms // MINUTE_MS), _Sum())
        for attempt in denial.attempts:
            total.add(attempt.patient, attempt.count)
        total.more += denial.more

    def take(self, now_ms: TimeMs, *, everything: bool) -> list[tuple[Actor, Denial]]:
        """The sums of minutes that are over; with `everything` the current one's too."""
        current = now_ms // MINUTE_MS
        crowded = everything or len(self._sums) > ACTORS_MAX
        ready = [key for key in self._sums if crowded or key[1] < current]
        return [(key[0], _denial(key[1], self._sums.pop(key))) for key in ready]


def _denial(minute: int, total: _Sum) -> Denial:
    return Denial(
        minute_ms=TimeMs(minute * MINUTE_MS),
        attempts=tuple(
            Attempt(patient=patient, count=count) for patient, count in total.counts.items()
        ),
        more=total.more,
    )
