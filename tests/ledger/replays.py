"""A chain applied anew, as a peer that starts or lags behind applies it."""

from collections.abc import Callable
from dataclasses import dataclass

from caretree.ledger.apply import Applied, apply_block, apply_genesis
from caretree.ledger.stored_blocks import store_block
from caretree.ledger.tree import EMPTY_EDGE, TreeEdge
from caretree.ledger.values import Head, HeldBlock
from caretree.storage.keys import Table
from caretree.storage.memory import MemoryStore
from caretree.storage.ports import Batch as StorageBatch

from tests.ledger.worlds import Step, World


@dataclass(frozen=True, slots=True, kw_only=True)
class Replayed:
    """A chain applied anew."""

    store: MemoryStore
    head: Head
    edge: TreeEdge


def replay(
    world: World, hold: Callable[[Step], HeldBlock], *, store: MemoryStore | None = None
) -> Replayed:
    """The world's chain applied to an empty store, each block as `hold` gives it."""
    target = store or MemoryStore()
    head, edge = world.head, EMPTY_EDGE
    for step in world.steps:
        batch = StorageBatch()
        if step is world.steps[0]:
            held, applied = step.held, apply_genesis(target, world.rules)
        else:
            held = hold(step)
            result = apply_block(target, head, held, world.rules, edge)
            assert isinstance(result, Applied), result
            applied = result
        store_block(batch, held)
        batch.rows.extend(applied.batch.rows)
        target.write(batch, sync=False)
        head, edge = applied.head, applied.edge
    return Replayed(store=target, head=head, edge=edge)


def rows_of(store: MemoryStore, table: Table) -> dict[bytes, bytes]:
    """All rows of a table."""
    return dict(store.scan(table))
