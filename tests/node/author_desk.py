"""An author with nobody around it: a door that notes, and a ledger to order in."""

import asyncio
from dataclasses import dataclass, field

from caretree.ledger.authoring import Draft
from caretree.ledger.values import Batch, VoidReason
from caretree.model.ids import LogIndex, PeerId
from caretree.node.applier import AppliedBlock, VoidBlock
from caretree.node.author import Author, Submission
from caretree.node.pool import HeldBatch

from tests.ledger.builders import TOWN
from tests.ledger.people import PATIENT
from tests.ledger.worlds import World
from tests.node.bench import metrics

LEADER = PeerId(77)


@dataclass(slots=True)
class Desk:
    """An author of the town, a door that notes what it is given, and a ledger to order it in."""

    world: World = field(default_factory=World)
    given: list[tuple[PeerId, Batch]] = field(default_factory=list)
    open: bool = True
    now: float = 1000.0
    author: Author = field(init=False)

    def __post_init__(self) -> None:
        keys = self.world.consortium[TOWN].peer
        self.author = Author(
            origin=self.world.rules.origin,
            own=keys.peer,
            sign=keys.batch.sign,
            door=self,
            metrics=metrics(),
        )

    def hand_over(self, leader: PeerId, held: HeldBatch) -> bool:
        if self.open:
            self.given.append((leader, held.batch))
        return self.open

    def drafts(self, count: int) -> list[Draft]:
        return [self.world.denial(TOWN, PATIENT) for _ in range(count)]

    async def submit(self, count: int = 1) -> Submission:
        submission = self.author.submit(self.drafts(count))
        await self.turn()
        return submission

    async def turn(self) -> None:
        for _ in range(3):
            await asyncio.sleep(0)

    def lead(self) -> None:
        self.author.on_leader(LEADER)
        self.author.on_majority(in_reach=True)

    async def order(self, *batches: Batch) -> None:
        """A block of these batches is applied."""
        applied = self.world.add_block(self.world.block(*batches))
        held = self.world.steps[-1].held
        result = AppliedBlock(log_index=LogIndex(1), held=held, applied=applied, seconds=0)
        self.author.on_result(result)
        await self.turn()

    async def void(self, *batches: Batch) -> None:
        """A block of these batches is void."""
        held = self.world.hold(self.world.block(*batches))
        self.author.on_result(VoidBlock(log_index=LogIndex(1), held=held, reason=VoidReason.PARENT))
        await self.turn()

    def pass_time(self, seconds: float) -> None:
        self.now += seconds
        self.author.sweep()
