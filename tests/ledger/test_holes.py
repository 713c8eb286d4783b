"""Bodies, salts and payloads gone where that was decided: replay, start and proofs go on."""

from dataclasses import replace

import pytest
from caretree.ledger.apply import Applied, apply_block
from caretree.ledger.blocks import block_ref
from caretree.ledger.chain import check_chain
from caretree.ledger.holding import NotHeldError, hold_block, no_holes
from caretree.ledger.holes import HOLE_MARK, is_justified, needs_recorded_outcomes
from caretree.ledger.row_keys import entry_key
from caretree.ledger.stored_blocks import StoredBlocks, load_block, recorded_outcomes
from caretree.ledger.tree import TreeReader
from caretree.ledger.values import BlockRef, HeldBlock, Outcome, Reading, Record
from caretree.merkle.hashing import leaf_hash
from caretree.merkle.verify import verify_inclusion
from caretree.model.ids import Height, LeafIndex, Place
from caretree.storage.keys import Table
from caretree.storage.memory import MemoryStore
from caretree.storage.ports import Batch as StorageBatch

from tests.ledger.builders import HOSPITAL, TOWN
from tests.ledger.people import PATIENT, reader
from tests.ledger.replays import Replayed, replay, rows_of
from tests.ledger.worlds import Step, World

# Rows that need no body: these must be the same with holes and without.
BODILESS_TABLES = (Table.STATE, Table.HEIGHT, Table.OUTCOME, Table.TILE, Table.LEAVES)
DERIVED_TABLES = (
    Table.REQUEST,
    Table.RECORD,
    Table.HISTORY,
    Table.CUSTODIAN,
    Table.KEYRING,
    Table.GRANT,
    Table.TRAIL,
    Table.PATIENT_TRAIL,
)


def read_world() -> World:
    """Records by two members, a grant, readings that rest on them, and a few refusals."""
    world = World()
    town_key = world.open_keyring(TOWN, PATIENT)
    hospital_key = world.open_keyring(HOSPITAL, PATIENT)
    world.take(TOWN, world.grant(TOWN, PATIENT, town_key, HOSPITAL))
    for _ in range(4):
        world.run(
            TOWN,
            world.record(TOWN, PATIENT, town_key),
            world.record(TOWN, PATIENT, replace(town_key, epoch=5)),
            world.record(TOWN, PATIENT, town_key),
        )
        world.run(HOSPITAL, world.record(HOSPITAL, PATIENT, hospital_key))
        world.run(
            HOSPITAL,
            world.fresh_reading(reader(HOSPITAL), PATIENT),
            world.reading(reader(HOSPITAL), PATIENT, []),
        )
    return world


def erased_entries(world: World) -> list[tuple[BlockRef, Place]]:
    """Every second RECORD and READING that the chain holds."""
    found = [
        (block_ref(step.held.block), entry.place)
        for step in world.steps
        for entry in step.held.entries
        if entry.body is not None and isinstance(entry.body.happening, Record | Reading)
    ]
    return found[::2]


def erase(world: World) -> list[tuple[BlockRef, Place]]:
    """Those entries' bodies, salts and payloads gone from the store, and marked as erased."""
    places = erased_entries(world)
    marks = StorageBatch()
    for ref, place in places:
        key = entry_key(ref, place)
        marks.put(Table.HOLE, key, HOLE_MARK)
        world.store.make_hole(Table.BODY, key)
        world.store.make_hole(Table.PAYLOAD, key)
    world.store.write(marks, sync=False)
    return places


def serve(world: World, step: Step) -> HeldBlock:
    """The block as this peer hands it on, held by one that knows the same erasures."""
    ref = block_ref(step.held.block)
    block = load_block(world.store, ref)
    assert block is not None
    return hold_block(
        block,
        world.rules,
        recorded_outcomes=recorded_outcomes(world.store, ref),
        holes_allowed=lambda height, place: is_justified(world.store, height, block.hash, place),
    )


def replayed_with_holes(world: World) -> Replayed:
    """The chain applied anew by a peer that knows the same erasures."""
    store, known = MemoryStore(), StorageBatch()
    for key, mark in rows_of(world.store, Table.HOLE).items():
        known.put(Table.HOLE, key, mark)
    store.write(known, sync=False)
    return replay(world, lambda step: serve(world, step), store=store)


def test_a_lagging_peer_comes_to_the_same_head_through_the_holes() -> None:
    world = read_world()
    erased = erase(world)
    assert len(erased) >= 8

    again = replayed_with_holes(world)

    assert again.head == world.head
    assert again.edge == world.edge
    for table in BODILESS_TABLES:
        assert rows_of(again.store, table) == rows_of(world.store, table), table


def test_rows_that_no_erased_body_is_needed_for_are_the_same() -> None:
    world = read_world()
    erase(world)

    again = replayed_with_holes(world)

    for table in DERIVED_TABLES:
        before, after = rows_of(world.store, table), rows_of(again.store, table)
        assert after.keys() <= before.keys(), table
        if table is not Table.CUSTODIAN:  # it counts records, and some are not known any more
            assert after.items() <= before.items(), table
    left_out = len(rows_of(world.store, Table.REQUEST)) - len(rows_of(again.store, Table.REQUEST))
    assert left_out > 0


def test_the_start_up_check_passes_with_holes() -> None:
    world = read_world()
    erase(world)

    assert check_chain(world.store, world.rules) == world.head
    again = replayed_with_holes(world)
    assert check_chain(again.store, world.rules) == world.head


def test_proofs_of_erased_entries_still_verify() -> None:
    world = read_world()
    places = erase(world)
    proofs, blocks = TreeReader(world.store), StoredBlocks(world.store)
    proved = 0
    for step in world.steps:
        ref = block_ref(step.held.block)
        for entry, position in zip(step.held.entries, step.applied.positions, strict=True):
            if (ref, entry.place) not in places or position is None:
                continue
            index, size = position.leaf_index, world.head.tree_size
            stored = blocks.entry(ref.height, entry.place)
            assert stored is not None
            assert stored.opening.body is None
            verify_inclusion(
                index=index,
                size=size,
                leaf_hash=leaf_hash(stored.leaf),
                proof=proofs.inclusion_proof(index=LeafIndex(index), size=size),
                root=world.head.root,
            )
            proved += 1
    assert proved >= 6


def test_readings_that_rest_on_erased_records_keep_their_recorded_outcome() -> None:
    world = read_world()
    erase(world)
    last = world.steps[-1]
    assert last.applied.outcomes == (Outcome.APPLIED, Outcome.READING_STALE)
    again = replay_before_last(world)
    held = replace(serve(world, last), recorded_outcomes=None)

    # Decided anew it would be refused, for the histories are not whole any more.
    decided = apply_block(again.store, again.head, held, world.rules, again.edge)

    assert isinstance(decided, Applied)
    assert decided.outcomes[0] is not Outcome.APPLIED
    assert decided.head.root != world.head.root


def test_what_others_say_was_recorded_counts_for_nothing_where_nothing_was_erased() -> None:
    world = World()
    key = world.open_keyring(TOWN, PATIENT)
    stranger = world.reading(reader(HOSPITAL), PATIENT, [])
    world.run(TOWN, world.record(TOWN, PATIENT, key))
    world.run(HOSPITAL, stranger)
    last = world.steps[-1]
    assert last.applied.outcomes == (Outcome.NOT_OPEN,)

    again = replay(
        world,
        lambda step: replace(step.held, recorded_outcomes=(Outcome.APPLIED,)),
    )

    assert again.head == world.head


def test_a_payload_alone_may_be_gone() -> None:
    world = read_world()
    step = next(s for s in world.steps if any(e.opening.payload for e in s.held.entries))
    ref = block_ref(step.held.block)
    key = entry_key(ref, Place(0))
    marks = StorageBatch()
    marks.put(Table.HOLE, key, HOLE_MARK)
    world.store.write(marks, sync=False)
    world.store.make_hole(Table.PAYLOAD, key)

    held = serve(world, step)

    assert held.entries[0].opening.payload_erased
    assert held.entries[0].body == step.held.entries[0].body
    again = replayed_with_holes(world)
    for table in (*BODILESS_TABLES, *DERIVED_TABLES):
        assert rows_of(again.store, table) == rows_of(world.store, table), table


@pytest.mark.parametrize("table", [Table.BODY, Table.PAYLOAD])
def test_what_is_missing_without_a_mark_is_not_held(table: Table) -> None:
    world = read_world()
    step = next(s for s in world.steps if any(e.opening.payload for e in s.held.entries))
    ref = block_ref(step.held.block)
    world.store.make_hole(table, entry_key(ref, Place(0)))

    block = load_block(world.store, ref)

    assert block is not None
    with pytest.raises(NotHeldError, match=r"missing|without its payload"):
        hold_block(block, world.rules, recorded_outcomes=None, holes_allowed=no_holes)


def test_outcomes_are_handed_on_from_the_first_hole_up() -> None:
    world = read_world()
    heights = [step.applied.head.height for step in world.steps]
    refs = [block_ref(step.held.block) for step in world.steps]
    assert [recorded_outcomes(world.store, ref) for ref in refs] == [None] * len(refs)

    first = min(ref.height for ref, _ in erase(world))

    for step, ref in zip(world.steps, refs, strict=True):
        expected = step.applied.outcomes if ref.height >= first else None
        assert recorded_outcomes(world.store, ref) == expected
    assert [needs_recorded_outcomes(world.store, height) for height in heights] == [
        height >= first for height in heights
    ]


def test_a_hole_is_justified_at_its_own_place_in_its_own_block_only() -> None:
    store, world = MemoryStore(), World()
    ref = block_ref(world.steps[0].held.block)
    marks = StorageBatch()
    marks.put(Table.HOLE, entry_key(ref, Place(3)), HOLE_MARK)
    store.write(marks, sync=False)
    other = world.block(world.batch(TOWN, world.denial(TOWN, PATIENT))).hash

    assert is_justified(store, ref.height, ref.hash, Place(3))
    assert not is_justified(store, ref.height, ref.hash, Place(2))
    assert not is_justified(store, ref.height, other, Place(3))
    assert not is_justified(store, Height(ref.height + 1), ref.hash, Place(3))


def replay_before_last(world: World) -> Replayed:
    """The chain applied through its holes up to the last block but one."""
    short = World()
    short.store, short.steps = world.store, world.steps[:-1]
    return replayed_with_holes(short)
