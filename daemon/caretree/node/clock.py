"""The clocks of this room, behind a Protocol so that tests can set them wrong."""

import time
from datetime import UTC, datetime
from typing import Protocol

from caretree.model.ids import TimeMs


class Clock(Protocol):
    """A wall clock. Timers use the event loop's monotonic clock instead."""

    def now_ms(self) -> TimeMs:
        """POSIX milliseconds."""
        ...


class SystemClock:
    """The machine's clock."""

    def now_ms(self) -> TimeMs:
        """POSIX milliseconds."""
        return TimeMs(time.time_ns() // 1_000_000)


def utc_now() -> datetime:
    """The machine's time, as certificates have it."""
    return datetime.now(UTC)


class VoterClocks:
    """What the voters' clocks said when last heard, as differences to this peer's own."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._ahead_ms: dict[int, int] = {}

    def heard(self, peer: int, clock_ms: int) -> None:
        """Note what `peer`'s clock says now."""
        self._ahead_ms[peer] = clock_ms - self._clock.now_ms()

    def median_ms(self, voters: tuple[int, ...], *, own: int) -> TimeMs:
        """The median of the voters' clocks; of those never heard, nothing is assumed.

        With an even number the lower of the two in the middle, so that one fast clock of two does
        not set the time.
        """
        now = self._clock.now_ms()
        known = sorted(
            self._ahead_ms.get(voter, 0) if voter != own else 0
            for voter in voters
            if voter == own or voter in self._ahead_ms
        )
        return TimeMs(now + known[(len(known) - 1) // 2])

    def ahead_s(self, voters: tuple[int, ...], *, own: int) -> float:
        """How far the own clock is ahead of the voters' median."""
        return (self._clock.now_ms() - self.median_ms(voters, own=own)) / 1000
