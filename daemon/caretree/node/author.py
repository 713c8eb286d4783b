"""This peer as an author: entries wait, are signed as a batch, handed to the leader, followed up.

An entry's fate is told once, by the block that holds it. Until then its batch is kept and handed to
every new leader again; entries take effect at most once, by their request ids.

1. `submit` puts entries into the queue, in order.
2. `pump` cuts a batch when a leader is known and few are under way: the next batch fills meanwhile.
3. `on_result` tells each entry of an applied block its outcome.
4. Without a leader or a majority in reach nothing is handed over. After a while what waits is given
   up (NO_QUORUM), and what was handed over is told to be unknown (OUTCOME_UNKNOWN) but followed up
   all the same. A leader may have been silent for a while before that is noticed, so what has
   waited for long by then is given up at once: a caller hears within 2 s.
"""

import asyncio
from collections import OrderedDict, deque
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final, Protocol

from caretree.ledger.authoring import Draft
from caretree.ledger.batches import build_batch, entry_bytes_max
from caretree.ledger.bodies import parse_body
from caretree.ledger.values import Batch, HeldEntry, Outcome, Position
from caretree.model.ids import Origin, PeerId, Place
from caretree.model.limits import MIB, POOL_BYTES_MAX
from caretree.model.reasons import CallError, Reason
from caretree.node.applier import AppliedBlock, Result
from caretree.node.deadlines import until
from caretree.node.pool import HeldBatch
from caretree.raft.messages import NO_PEER
from caretree.telemetry.metrics import Metrics

BATCH_BYTES_MAX: Final = 1 * MIB
BATCH_ENTRIES_MAX: Final = 1024
# Batches under way. A second small one would travel while the first is ordered, and halve both:
# what a block costs whatever it holds is more than that saves (with 100 callers a tenth, measured).
UNDER_WAY_SMALL_MAX: Final = 1
UNDER_WAY_MAX: Final = 8
STUCK_S: Final = 1.5
WAITED_S: Final = 1.8
RESEND_AFTER_S: Final = 3.0
RETRY_AFTER_MS: Final = 500


@dataclass(frozen=True, slots=True, kw_only=True)
class Fate:
    """What became of an entry; a position when it was applied."""

    outcome: Outcome
    position: Position | None


# Of an entry that was given up: NO_QUORUM, or OUTCOME_UNKNOWN when it may still take effect.
Told = Fate | CallError
Listener = Callable[[Told], None]
NOBODY: Final[Mapping[int, Listener]] = {}


class Submission:
    """Entries handed in together, and what became of each once it is known.

    One future for all of them: a future for each would cost more than sealing a record.
    """

    __slots__ = ("_done", "_listeners", "_untold", "told")

    def __init__(self, count: int, listeners: Mapping[int, Listener]) -> None:
        self.told: list[Told | None] = [None] * count
        self._untold = count
        self._listeners = listeners
        self._done: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    async def fates(self, deadline: float) -> list[Told]:
        """What became of each entry, in order; OUTCOME_UNKNOWN for what is not known in time."""
        try:
            await until(deadline, self._done, late=Reason.OUTCOME_UNKNOWN)
        except CallError as late:
            return [late if told is None else told for told in self.told]
        return [told for told in self.told if told is not None]

    async def fate(self, deadline: float) -> Fate:
        """What became of the last entry, for which those before it were handed in.

        Raises:
            CallError: it was given up, or is not known in time.
        """
        last = (await self.fates(deadline))[-1]
        if isinstance(last, CallError):
            raise last
        return last

    async def done(self) -> None:
        """Return once each fate is known."""
        await asyncio.shield(self._done)

    def tell(self, place: int, told: Told) -> None:
        """Note what became of the entry at this place; what is told later changes nothing."""
        if self.told[place] is not None:
            return
        self.told[place] = told
        self._untold -= 1
        listener = self._listeners.get(place)
        if listener is not None:
            listener(told)
        if self._untold == 0:
            self._done.set_result(None)


@dataclass(slots=True, kw_only=True)
class Waiting:
    """An entry on its way, and where its fate is told."""

    draft: Draft
    size: int
    since: float
    submission: Submission
    place: int

    @property
    def told(self) -> bool:
        """Whether its fate was told."""
        return self.submission.told[self.place] is not None


@dataclass(slots=True, kw_only=True)
class UnderWay:
    """A signed batch that no applied block holds yet."""

    held: HeldBatch
    entries: Sequence[Waiting]
    handed_at: float = 0.0  # by the loop's clock; 0 asks for it to be handed over (again)
    not_before: float = 0.0  # the leader asked for time
    handed: bool = False


class Door(Protocol):
    """Where batches are handed in."""

    def hand_over(self, leader: PeerId, held: HeldBatch) -> bool:
        """Hand a batch to the leader; False when it cannot be now."""
        ...


class Author:
    """The queue of entries of this peer."""

    def __init__(
        self,
        *,
        origin: Origin,
        own: PeerId,
        sign: Callable[[bytes], bytes],
        door: Door,
        metrics: Metrics,
    ) -> None:
        self._metrics = metrics
        self._origin = origin
        self._own = own
        self._sign = sign
        self._door = door
        self._queue: deque[Waiting] = deque()
        self._queued_bytes = 0
        self._under_way: OrderedDict[bytes, UnderWay] = OrderedDict()
        self._leader = NO_PEER
        self._majority = False
        self._stuck_since: float | None = self._now()
        self._pump_scheduled = False

    @property
    def queued_entries(self) -> int:
        """How many entries wait to be signed."""
        return len(self._queue)

    @property
    def queued_bytes(self) -> int:
        """How many bytes wait to be signed."""
        return self._queued_bytes

    async def drained(self) -> None:
        """Return once nothing is on its way."""
        while self._queue or self._under_way:
            waiting = [each for under_way in self._under_way.values() for each in under_way.entries]
            untold = [each.submission for each in (*waiting, *self._queue) if not each.told]
            if not untold:
                return
            await untold[0].done()

    def stuck(self) -> bool:
        """Whether no leader, or no majority, has been in reach for longer than elections take."""
        since = self._stuck_since
        return since is not None and self._now() - since >= STUCK_S

    def check_open(self) -> None:
        """Return while entries are taken in at all.

        Raises:
            CallError: NO_QUORUM: no leader or no majority is known.
        """
        if self.stuck():
            raise CallError(Reason.NO_QUORUM, retry_after_ms=RETRY_AFTER_MS)

    def submit(
        self, drafts: Sequence[Draft], listeners: Mapping[int, Listener] = NOBODY
    ) -> Submission:
        """Put entries into the queue, next to each other and in order.

        A listener is told of the entry at its place as soon as its fate is known.

        Raises:
            CallError: OVERLOADED: the queue is full; NO_QUORUM: no leader is known.
        """
        self.check_open()
        sizes = [entry_bytes_max(draft.opening) for draft in drafts]
        size = sum(sizes)
        if self._queued_bytes + size > POOL_BYTES_MAX:
            raise CallError(Reason.OVERLOADED, retry_after_ms=RETRY_AFTER_MS)
        submission, now = Submission(len(drafts), listeners), self._now()
        self._queue.extend(
            Waiting(draft=draft, size=size, since=now, submission=submission, place=place)
            for place, (draft, size) in enumerate(zip(drafts, sizes, strict=True))
        )
        self._queued_bytes += size
        self._schedule_pump()
        return submission

    def held(self, batch: Batch) -> Sequence[HeldEntry] | None:
        """The entries of a batch that this peer has made itself and that is under way."""
        under_way = self._under_way.get(batch.signature)
        if under_way is None or under_way.held.batch.encoded != batch.encoded:
            return None
        return under_way.held.entries

    def on_leader(self, leader: PeerId) -> None:
        """Hand everything to the new leader, or note that there is none."""
        self._leader = leader
        for under_way in self._under_way.values():
            under_way.handed_at = under_way.not_before = 0.0
        self._note_progress()

    def on_majority(self, *, in_reach: bool) -> None:
        """Note whether a majority of voters, this one included, is in reach."""
        if self._majority != in_reach:
            self._majority = in_reach
            self._note_progress()

    def _note_progress(self) -> None:
        if self._leader != NO_PEER and self._majority:
            self._stuck_since = None
            self._schedule_pump()
        elif self._stuck_since is None:
            self._stuck_since = self._now()

    def on_result(self, result: Result) -> None:
        """Tell the entries of this peer's batches in the block what became of them."""
        place = 0
        for batch in result.held.block.batches:
            first, place = place, place + len(batch.leaves)
            if batch.author != self._own:
                continue
            under_way = self._under_way.get(batch.signature)
            if under_way is None:
                continue
            if isinstance(result, AppliedBlock):
                del self._under_way[batch.signature]
                self._tell(under_way, result, first)
            else:
                under_way.handed_at = 0.0  # a void block: the batch is ordered again
        self._schedule_pump()

    def refused(self, signature: bytes, *, retry_after_ms: int) -> None:
        """The leader did not take a batch: it is handed over again after the delay, not sooner."""
        under_way = self._under_way.get(signature)
        if under_way is not None:
            under_way.handed_at = 0.0
            under_way.not_before = self._now() + min(retry_after_ms / 1000, RESEND_AFTER_S)

    def sweep(self) -> None:
        """Give up and hand over again what has waited too long; called a few times a second."""
        now = self._now()
        if self._stuck_since is not None:
            self._give_up(waiting_since=now if self.stuck() else now - WAITED_S)
        for under_way in self._under_way.values():
            if now - under_way.handed_at > RESEND_AFTER_S:
                under_way.handed_at = 0.0
        self._schedule_pump()

    def _give_up(self, *, waiting_since: float) -> None:
        """Tell who has waited since then that there is no quorum.

        What was handed over is followed up all the same.
        """
        while self._queue and self._queue[0].since <= waiting_since:
            waiting = self._queue.popleft()
            self._queued_bytes -= waiting.size
            _refuse(waiting, Reason.NO_QUORUM)
        for signature, under_way in tuple(self._under_way.items()):
            if under_way.handed:
                for waiting in under_way.entries:
                    if waiting.since <= waiting_since:
                        _refuse(waiting, Reason.OUTCOME_UNKNOWN)
            elif under_way.entries[0].since <= waiting_since:
                # Whole: what was told not to be handed over must never be.
                del self._under_way[signature]
                for waiting in under_way.entries:
                    _refuse(waiting, Reason.NO_QUORUM)

    @staticmethod
    def _tell(under_way: UnderWay, result: AppliedBlock, first: int) -> None:
        applied = result.applied
        for offset, waiting in enumerate(under_way.entries):
            fate = Fate(
                outcome=applied.outcomes[first + offset],
                position=applied.positions[first + offset],
            )
            waiting.submission.tell(waiting.place, fate)

    def _schedule_pump(self) -> None:
        # Entries submitted in one turn of the loop go into one batch.
        if not self._pump_scheduled:
            self._pump_scheduled = True
            asyncio.get_running_loop().call_soon(self._pump)

    def _pump(self) -> None:
        self._pump_scheduled = False
        if self._stuck_since is not None:
            return
        while self._may_cut():
            self._cut()
        for under_way in self._under_way.values():
            if under_way.handed_at > 0.0 or under_way.not_before > self._now():
                continue
            if self._door.hand_over(self._leader, under_way.held):
                under_way.handed_at = self._now()
                under_way.handed = True

    def _may_cut(self) -> bool:
        if not self._queue:
            return False
        if len(self._under_way) < UNDER_WAY_SMALL_MAX:
            return True
        full = self._queued_bytes >= BATCH_BYTES_MAX or len(self._queue) >= BATCH_ENTRIES_MAX
        return full and len(self._under_way) < UNDER_WAY_MAX

    def _cut(self) -> None:
        chosen: list[Waiting] = []
        size = 0
        while self._queue and len(chosen) < BATCH_ENTRIES_MAX:
            waiting = self._queue[0]
            if chosen and size + waiting.size > BATCH_BYTES_MAX:
                break
            chosen.append(self._queue.popleft())
            size += waiting.size
            self._queued_bytes -= waiting.size
        batch = build_batch(
            origin=self._origin,
            author=self._own,
            drafts=[(each.draft.leaf, each.draft.opening) for each in chosen],
            sign=self._sign,
        )
        self._metrics.batch_signed()
        held = HeldBatch(batch=batch, entries=self._held_entries(chosen))
        self._under_way[batch.signature] = UnderWay(held=held, entries=chosen)

    def _held_entries(self, chosen: Sequence[Waiting]) -> tuple[HeldEntry, ...]:
        # Leaf and opening were just made from each other. The body is read back: every peer goes by
        # what its bytes say, and none may go by what was meant.
        return tuple(
            HeldEntry(
                place=Place(place),
                author=self._own,
                leaf=waiting.draft.leaf,
                opening=waiting.draft.opening,
                body=parse_body(waiting.draft.opening.body or b""),
            )
            for place, waiting in enumerate(chosen)
        )

    @staticmethod
    def _now() -> float:
        return asyncio.get_running_loop().time()


def _refuse(waiting: Waiting, reason: Reason) -> None:
    waiting.submission.tell(waiting.place, CallError(reason, retry_after_ms=RETRY_AFTER_MS))
