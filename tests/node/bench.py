"""Parts of a peer on a store in memory, fed with the blocks of a World; no sockets, no loop.

bench = Bench()
bench.feed(world.steps[1].held)      -> what came of it
"""

from dataclasses import dataclass, field

from caretree.ledger.apply import apply_genesis
from caretree.ledger.blocks import encode_block_ref
from caretree.ledger.holding import hold_genesis
from caretree.ledger.stored_blocks import store_block
from caretree.ledger.values import HeldBlock
from caretree.model.ids import LogIndex, Term, TimeMs
from caretree.node.applier import Applier, Result
from caretree.node.raft_log import StoredLog
from caretree.node.stage import BlockStage
from caretree.raft.messages import Entry, EntryType, HardState
from caretree.storage.memory import MemoryStore
from caretree.storage.ports import Batch
from caretree.telemetry.logs import Logger, build_logger
from caretree.telemetry.metrics import Metrics
from prometheus_client import CollectorRegistry

from tests.ledger.builders import founders
from tests.ledger.worlds import World

VOTERS = tuple(peer.peer for peer in founders().genesis.voters)


def metrics() -> Metrics:
    """Metrics of their own registry."""
    return Metrics(CollectorRegistry())


def log_to(lines: list[bytes]) -> Logger:
    """A log that is kept here."""
    return build_logger(lines.append, level="info")


def row(index: int, *, term: int = 1, data: bytes = b"", payload_bytes: int = 0) -> Entry:
    """A row of Raft's log."""
    return Entry(
        index=LogIndex(index),
        term=Term(term),
        type=EntryType.NORMAL,
        data=data,
        payload_bytes=payload_bytes,
    )


def write_rows(log: StoredLog, store: MemoryStore, *entries: Entry) -> None:
    """Rows appended as the loop appends them."""
    batch = Batch()
    log.stage(batch, entries)
    store.write(batch, sync=True)
    log.written(entries)


@dataclass(slots=True)
class FixedClock:
    """A clock that is moved by hand."""

    ms: int = 1_800_000_000_000

    def now_ms(self) -> TimeMs:
        """The time it was set to."""
        return TimeMs(self.ms)


@dataclass(slots=True)
class Bench:
    """An applier with its log and stage, at block 0."""

    store: MemoryStore = field(default_factory=MemoryStore)
    stage: BlockStage = field(default_factory=BlockStage)
    log: StoredLog = field(init=False)
    applier: Applier = field(init=False)

    def __post_init__(self) -> None:
        rules = founders().genesis
        applied = apply_genesis(self.store, rules)
        batch = applied.batch
        store_block(batch, hold_genesis(rules))
        self.store.write(batch, sync=True)
        self.log = StoredLog(self.store, VOTERS)
        self.applier = Applier(
            store=self.store,
            log=self.log,
            stage=self.stage,
            genesis=rules,
            head=applied.head,
            edge=applied.edge,
        )

    def write(self, held: HeldBlock, *, staged: bool = True) -> Entry:
        """A log row that names the block, and the block's rows, durable; not applied yet."""
        ref = self.stage.put(held)
        batch = Batch()
        store_block(batch, held)
        entry = row(
            self.log.last_index() + 1,
            data=encode_block_ref(ref),
            payload_bytes=len(held.block.encoded),
        )
        self.log.stage(batch, [entry])
        self.store.write(batch, sync=True)
        self.log.written([entry])
        if not staged:
            self.stage.drop(ref)
        return entry

    def feed(self, held: HeldBlock, *, staged: bool = True) -> Result:
        """What applying the block gives."""
        (result,) = self.applier.apply([self.write(held, staged=staged)], None)
        return result

    def follow(self, world: World, *, hard_state: HardState | None = None) -> None:
        """Apply every block of the world that is not applied here yet."""
        for step in world.steps[self.applier.head.height + 1 :]:
            entry = self.write(step.held)
            self.applier.apply([entry], hard_state)
