"""What the supervising office sees: who opened what to whom, who read, and who was refused."""

import asyncio
import time
from collections import Counter
from collections.abc import Callable, Sequence
from typing import Final

from caretree.client import CaretreeClient
from caretree.client.values import TrailEvent
from caretree.crypto.pseudonym import PatientIdentifier
from caretree.ledger.receipt_text import utc_text
from caretree.ledger.values import EntryKind

from ops.demo.errors import WalkFailedError

# Refusals are entries once their minute is over.
REFUSAL_S_MAX: Final = 90.0
_LOOK_S: Final = 0.5
_MINUTE_S: Final = 60

TRAIL_COLUMNS: Final = ("time (UTC)", "at", "who", "what", "until")
_DONE: Final = {
    EntryKind.GENESIS: "founded the consortium",
    EntryKind.KEYRING: "made a key for the records",
    EntryKind.REVOKE: "closed the history to",
}


def seconds_to_next_minute() -> int:
    """How long until the minute is over, whose refusals are then written as one entry."""
    return _MINUTE_S - int(time.time()) % _MINUTE_S


async def trail_of(
    client: CaretreeClient, patient: PatientIdentifier, *, on_wait: Callable[[], None]
) -> list[TrailEvent]:
    """One patient's trail, oldest first, once it holds the refusal; `on_wait` if not yet.

    Raises:
        WalkFailedError: the refusal did not turn up.
    """
    until = time.monotonic() + REFUSAL_S_MAX
    waiting = False
    while time.monotonic() < until:
        events = [event async for event in client.list_trail(patient)]
        if any(event.kind is EntryKind.DENIAL for event in events):
            return events[::-1]
        if not waiting:
            on_wait()
        waiting = True
        await asyncio.sleep(_LOOK_S)
    raise WalkFailedError("the refused reading left no entry in the trail")


async def totals(client: CaretreeClient) -> Counter[EntryKind]:
    """How many entries of each kind the whole trail holds."""
    return Counter([event.kind async for event in client.list_trail()])


def trail_rows(events: Sequence[TrailEvent]) -> list[tuple[str, ...]]:
    """A trail as a table shows it."""
    return [
        (
            utc_text(event.time_ms)[:19],
            event.member,
            _who(event),
            _what(event),
            "" if not event.until_ms else utc_text(event.until_ms)[:10],
        )
        for event in events
    ]


def counted(count: int, noun: str, plural: str = "") -> str:
    """So many of something, in words."""
    return f"{count} {noun}" if count == 1 else f"{count} {plural or noun + 's'}"


def _who(event: TrailEvent) -> str:
    role = "" if event.role is None else event.role.name.lower()
    if not event.person:
        return f"{role} {event.principal}".strip()
    return f"{role} {event.person}, through {event.principal}".strip()


def _what(event: TrailEvent) -> str:
    purpose = "" if event.purpose is None else f" for {event.purpose.name.lower()}"
    match event.kind:
        case EntryKind.GRANT:
            return f"opened the history to {event.grantee}{purpose}"
        case EntryKind.READING:
            return f"read {counted(event.count, 'record')}{purpose}"
        case EntryKind.DENIAL:
            return f"was refused {counted(event.count, 'time')}"
        case _:
            return f"{_DONE.get(event.kind, event.kind.name.lower())} {event.grantee}".strip()
