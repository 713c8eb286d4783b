"""Whether this peer can commit: the one answer that gRPC health and the HTTP port both give."""

from collections.abc import Callable
from dataclasses import dataclass
from enum import Enum


class HealthState(Enum):
    """Healthy means "can commit", not "the process lives"."""

    STARTING = "starting"
    CAN_COMMIT = "can-commit"
    CANNOT_COMMIT = "cannot-commit"
    STOPPING = "stopping"


@dataclass(frozen=True, slots=True, kw_only=True)
class HealthReport:
    """A state, and for people a reason; never about a patient."""

    state: HealthState
    reason: str

    @property
    def ready(self) -> bool:
        """Whether calls that add or read may be sent here."""
        return self.state is HealthState.CAN_COMMIT


HealthListener = Callable[[HealthReport], None]


class Health:
    """The state now, and who wants to hear of a change. Used from the event loop alone."""

    __slots__ = ("_listeners", "_report")

    def __init__(self) -> None:
        self._report = HealthReport(state=HealthState.STARTING, reason="starting")
        self._listeners: list[HealthListener] = []

    @property
    def report(self) -> HealthReport:
        """The state now."""
        return self._report

    def change(self, state: HealthState, *, reason: str) -> None:
        """Enter a state; there is no way back from STOPPING, so a late change is passed over."""
        report = HealthReport(state=state, reason=reason)
        if report == self._report or self._report.state is HealthState.STOPPING:
            return
        self._report = report
        for listener in self._listeners:
            listener(report)

    def subscribe(self, listener: HealthListener) -> None:
        """Call `listener` now, and again after each change."""
        self._listeners.append(listener)
        listener(self._report)
