"""Between log and apply memory may change: nothing is applied then, and the peer must stop."""

from dataclasses import replace

import pytest
from caretree.ledger.blocks import block_ref
from caretree.ledger.holes import HOLE_MARK
from caretree.ledger.row_keys import block_key, entry_key
from caretree.ledger.tree import TreeEdge, load_edge
from caretree.ledger.values import HeldBlock, VoidReason
from caretree.model.errors import FatalError
from caretree.model.ids import Place
from caretree.node.applier import (
    AppliedBlock,
    BlockChangedError,
    BlockMissingError,
    TreeChangedError,
    VoidBlock,
)
from caretree.storage.errors import StorageError
from caretree.storage.keys import Owner, Table
from caretree.storage.memory import MemoryStore
from caretree.storage.ports import Batch

from tests.ledger.builders import HOSPITAL, TOWN
from tests.ledger.people import PATIENT
from tests.ledger.worlds import World
from tests.node.bench import Bench, row, write_rows


def grown(blocks: int = 4, entries: int = 3) -> World:
    """A chain with blocks of a few entries each."""
    world = World()
    for _ in range(blocks):
        world.add(TOWN, *(world.denial(TOWN, PATIENT) for _ in range(entries)))
    return world


def flipped(content: bytes, at: int = 0) -> bytes:
    """The bytes with one bit changed."""
    changed = bytearray(content)
    changed[at] ^= 1
    return bytes(changed)


def with_flipped_leaf(held: HeldBlock) -> HeldBlock:
    """The block with one bit of a leaf changed in memory."""
    (batch,) = held.block.batches
    leaves = (flipped(batch.leaves[0], at=-1), *batch.leaves[1:])
    block = replace(held.block, batches=(replace(batch, leaves=leaves),))
    return replace(held, block=block)


def apply_rows(store: MemoryStore) -> dict[tuple[Table, bytes], bytes]:
    """Every row that apply owns."""
    tables = [table for table in Table if table.owner is Owner.APPLY]
    return {(table, key): value for table in tables for key, value in store.scan(table)}


def test_blocks_from_the_stage_and_from_the_store_come_to_the_same_rows() -> None:
    world, fresh, again = grown(), Bench(), Bench()
    for step in world.steps[1:]:
        fresh.feed(step.held)
        again.feed(step.held, staged=False)
    assert fresh.applier.head == again.applier.head == world.head
    assert fresh.applier.edge == again.applier.edge == world.edge
    assert apply_rows(fresh.store) == apply_rows(again.store) == apply_rows(world.store)


def test_a_leaf_flipped_after_it_was_held_is_not_applied() -> None:
    world, bench = grown(), Bench()
    entry = bench.write(world.steps[1].held)
    bench.stage.drop(block_ref(world.steps[1].held.block))
    bench.stage.put(with_flipped_leaf(world.steps[1].held))
    before = bench.applier.head
    with pytest.raises(BlockChangedError):
        bench.applier.apply([entry], None)
    assert bench.applier.head == before
    assert bench.log.applied() == 0


@pytest.mark.parametrize("size", [4, 254, 255, 256, 257, 700])
def test_a_flipped_frontier_is_noticed_before_the_next_block(size: int) -> None:
    world, bench = grown(blocks=1, entries=size - 3), Bench()
    bench.follow(world)
    world.add(TOWN, *(world.denial(TOWN, PATIENT) for _ in range(2)))
    edge = bench.applier.edge
    for place in range(len(edge.frontier.roots)):
        roots = list(edge.frontier.roots)
        roots[place] = flipped(roots[place], at=7)
        wrong = replace(edge.frontier, roots=tuple(roots))
        assert_noticed(bench, world, TreeEdge(frontier=wrong, partial_tiles=edge.partial_tiles))
    bench.applier.edge = edge
    bench.follow(world)
    assert bench.applier.head == world.head


@pytest.mark.parametrize("size", [4, 254, 255, 257, 700])
def test_a_flipped_tile_edge_is_noticed_before_the_next_block(size: int) -> None:
    world, bench = grown(blocks=1, entries=size - 3), Bench()
    bench.follow(world)
    world.add(TOWN, *(world.denial(TOWN, PATIENT) for _ in range(2)))
    edge = bench.applier.edge
    for level, content in edge.partial_tiles.items():
        for at in range(5, len(content), 32 * 61):
            tiles = {**edge.partial_tiles, level: flipped(content, at)}
            assert_noticed(bench, world, TreeEdge(frontier=edge.frontier, partial_tiles=tiles))


def test_a_tile_edge_cut_short_is_noticed() -> None:
    world, bench = grown(), Bench()
    bench.follow(world)
    world.add(TOWN, world.denial(TOWN, PATIENT))
    edge = bench.applier.edge
    assert_noticed(bench, world, TreeEdge(frontier=edge.frontier, partial_tiles={}))


def test_a_flipped_root_is_noticed_before_the_next_block() -> None:
    world, bench = grown(), Bench()
    bench.follow(world)
    world.add(TOWN, world.denial(TOWN, PATIENT))
    head = bench.applier.head
    bench.applier.head = replace(head, root=type(head.root)(flipped(head.root)))
    assert_noticed(bench, world, bench.applier.edge)


def assert_noticed(bench: Bench, world: World, edge: TreeEdge) -> None:
    """With this edge in memory, the world's last block is not applied."""
    bench.applier.edge = edge
    entry = bench.write(world.steps[-1].held)
    applied = bench.log.applied()
    with pytest.raises(TreeChangedError):
        bench.applier.apply([entry], None)
    assert bench.log.applied() == applied


def test_the_edge_in_memory_is_that_of_the_stored_tree() -> None:
    world, bench = grown(blocks=20, entries=40), Bench()
    bench.follow(world)
    assert bench.applier.edge == load_edge(bench.store, bench.applier.head)


def test_a_row_whose_block_is_nowhere_is_fatal() -> None:
    world, bench = grown(), Bench()
    entry = bench.write(world.steps[1].held, staged=False)
    bench.store.make_hole(Table.BLOCK, block_key(block_ref(world.steps[1].held.block)))
    with pytest.raises(BlockMissingError):
        bench.applier.apply([entry], None)


def test_a_body_missing_without_an_erasure_is_fatal() -> None:
    world, bench = grown(), Bench()
    entry = bench.write(world.steps[1].held, staged=False)
    bench.store.make_hole(Table.BODY, entry_key(block_ref(world.steps[1].held.block), Place(1)))
    with pytest.raises(FatalError, match="missing"):
        bench.applier.apply([entry], None)


def test_a_body_missing_under_a_mark_but_with_nothing_recorded_is_fatal() -> None:
    world, bench = grown(), Bench()
    entry = bench.write(world.steps[1].held, staged=False)
    key = entry_key(block_ref(world.steps[1].held.block), Place(1))
    marks = Batch()
    marks.put(Table.HOLE, key, HOLE_MARK)
    bench.store.write(marks, sync=True)
    bench.store.make_hole(Table.BODY, key)
    with pytest.raises(FatalError, match="recorded"):
        bench.applier.apply([entry], None)


def test_a_void_block_takes_no_height_and_leaves_a_row_that_says_why() -> None:
    world, bench = grown(), Bench()
    wrong = world.hold(
        world.block(world.batch(TOWN, world.denial(TOWN, PATIENT)), parent=b"x" * 32)
    )
    bench.follow(world)
    before = bench.applier.head
    result = bench.feed(wrong)
    assert isinstance(result, VoidBlock)
    assert result.reason is VoidReason.PARENT
    assert bench.applier.head == before
    assert dict(bench.store.scan(Table.VOID)) == {
        bench.log.last_index().to_bytes(8, "big"): b"PARENT"
    }
    good = world.block(world.batch(HOSPITAL, world.denial(HOSPITAL, PATIENT)))
    world.add_block(good)
    assert isinstance(bench.feed(world.steps[-1].held), AppliedBlock)
    assert bench.applier.head == world.head


def test_rows_without_a_block_move_only_the_applied_index() -> None:
    bench = Bench()
    before = bench.applier.head
    write_rows(bench.log, bench.store, row(1), row(2))
    assert bench.applier.apply([row(1), row(2)], None) == []
    assert bench.log.applied() == 2
    assert bench.applier.head == before


def test_a_crash_loses_whole_blocks_and_the_index_with_them() -> None:
    world, bench = grown(), Bench()
    for step in world.steps[1:]:
        bench.write(step.held)
    for index in range(1, len(world.steps)):
        from_log = bench.log.entry(type(bench.log.last_index())(index))
        bench.applier.apply([from_log], None)
    for surviving in range(bench.store.unsynced_batches + 1):
        found = bench.store.crash(surviving=surviving)
        rows = dict(found.scan(Table.HEIGHT))
        assert len(rows) - 1 == surviving


def test_a_failed_write_is_told_and_nothing_after_it_is_stored() -> None:
    world, bench = grown(), Bench()
    entry = bench.write(world.steps[1].held)
    bench.store.fail_write(0, stored=False)
    with pytest.raises(StorageError):
        bench.applier.apply([entry], None)
    with pytest.raises(StorageError):
        bench.applier.apply([entry], None)
