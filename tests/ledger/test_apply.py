"""Applying blocks: what voids one, how the tree grows, that a replay gives the same bytes."""

from dataclasses import replace
from pathlib import Path

import pytest
from caretree.ledger.apply import Applied, apply_genesis, void_reason
from caretree.ledger.leaves import parse_seal_leaf
from caretree.ledger.queries import leaf_place, outcomes_at, position_of, trail_page
from caretree.ledger.rows import decode_head
from caretree.ledger.tree import TreeReader, load_edge, tree_leaves
from caretree.ledger.values import EntryKind, HeldBlock, Outcome, Page, VoidReason
from caretree.merkle.fresh import FreshTree
from caretree.merkle.hashing import EMPTY_ROOT, leaf_hash, node_hash
from caretree.merkle.verify import verify_inclusion
from caretree.model.ids import LeafIndex, Place
from caretree.storage.keys import Owner, Table

from tests.ledger.builders import HOSPITAL, OFFICE, TOWN, found, founder
from tests.ledger.people import FIRST_PAGE, OTHER_PATIENT, PATIENT, patient, reader
from tests.ledger.replays import replay, rows_of
from tests.ledger.worlds import Step, World

APPLY_TABLES = [table for table in Table if table.owner is Owner.APPLY]


def naive_root(leaves: list[bytes]) -> bytes:
    """The root as RFC 6962 2.1 writes it down."""
    if not leaves:
        return EMPTY_ROOT
    if len(leaves) == 1:
        return leaf_hash(leaves[0])
    split = 1 << ((len(leaves) - 1).bit_length() - 1)
    return node_hash(naive_root(leaves[:split]), naive_root(leaves[split:]))


def chain_leaves(world: World) -> list[bytes]:
    """Every leaf of the chain, from its blocks and outcomes."""
    return [
        leaf for step in world.steps for leaf in tree_leaves(step.held.block, step.applied.outcomes)
    ]


def lively_world() -> World:
    """A chain with entries of every kind, refused ones among them, over several blocks."""
    world = World()
    town_key = world.open_keyring(TOWN, PATIENT)
    hospital_key = world.open_keyring(HOSPITAL, PATIENT)
    grant_id = world.new_id()
    world.run(
        TOWN,
        *(world.record(TOWN, PATIENT, town_key) for _ in range(5)),
        world.record(TOWN, PATIENT, replace(town_key, epoch=7)),
        world.grant(TOWN, PATIENT, town_key, HOSPITAL, grant_id=grant_id),
    )
    first = world.new_id()
    world.run(HOSPITAL, world.record(HOSPITAL, PATIENT, hospital_key, record_id=first))
    world.run(HOSPITAL, world.fresh_reading(reader(HOSPITAL), PATIENT))
    world.run(HOSPITAL, world.unparsed(HOSPITAL))
    world.run(TOWN, world.revoke(TOWN, PATIENT, grant_id))
    opened, key = world.keyring(TOWN, PATIENT, previous=town_key)
    world.add_block(
        world.block(
            world.batch(TOWN, opened, *(world.record(TOWN, PATIENT, key) for _ in range(3))),
            world.batch(OFFICE, world.denial(OFFICE, PATIENT, OTHER_PATIENT)),
            world.batch(HOSPITAL, world.fresh_reading(reader(HOSPITAL), PATIENT)),
        )
    )
    return world


class TestVoidBlocks:
    def test_a_wrong_header_voids_the_block(self) -> None:
        world = World()
        world.open_keyring(TOWN, PATIENT)
        batch = world.batch(TOWN, world.denial(TOWN, PATIENT))

        wrong = [
            (world.block(batch, height=1), VoidReason.HEIGHT),
            (world.block(batch, height=3), VoidReason.HEIGHT),
            (world.block(batch, parent=bytes(32)), VoidReason.PARENT),
            (world.block(batch, epoch=0), VoidReason.EPOCH),
            (world.block(batch, epoch=2), VoidReason.EPOCH),
            (world.block(batch, version=2), VoidReason.VERSION),
        ]

        for block, reason in wrong:
            assert world.try_block(block) is reason

    def test_the_time_must_advance(self) -> None:
        world = World()
        batch = world.batch(TOWN, world.denial(TOWN, PATIENT))
        now = world.head.time_ms

        results = [world.try_block(world.block(batch, time_ms=now + late)) for late in (-1, 0)]

        assert results == [VoidReason.TIME, VoidReason.TIME]
        assert isinstance(world.try_block(world.block(batch, time_ms=now + 1)), Applied)

    def test_a_block_without_entries_is_void(self) -> None:
        world = World()

        assert world.try_block(world.block()) is VoidReason.EMPTY

    def test_a_batch_by_a_stranger_voids_the_block(self) -> None:
        world = World()
        strangers = found([founder("elsewhere"), founder("nowhere")])
        batch = world.batch(TOWN, world.denial(TOWN, PATIENT))
        stranger = replace(batch, author=strangers.founders[0].peer.peer)

        reason = void_reason(world.head, world.block(batch, stranger), world.rules)

        assert reason is VoidReason.AUTHOR

    def test_a_batch_signed_by_another_or_for_other_leaves_voids_the_block(self) -> None:
        world = World()
        town, hospital = (
            world.batch(member, world.denial(member, PATIENT)) for member in (TOWN, HOSPITAL)
        )
        swapped = replace(town, signature=hospital.signature)
        twice = world.batch(TOWN, world.denial(TOWN, PATIENT), world.denial(TOWN, PATIENT))
        reordered = replace(twice, leaves=twice.leaves[::-1])

        for batch in (swapped, reordered):
            block = world.block(town, batch)
            assert void_reason(world.head, block, world.rules) is VoidReason.SIGNATURE

    def test_every_reason_is_reached(self) -> None:
        told = Path(__file__).read_text(encoding="utf-8")

        assert [r.name for r in VoidReason if f"VoidReason.{r.name}" not in told] == []


class TestGenesis:
    def test_block_0_makes_two_leaves(self) -> None:
        world = World()

        assert world.head.height == 0
        assert world.head.tree_size == 2
        assert world.head.time_ms == world.rules.time_ms
        (_, seal) = chain_leaves(world)
        assert parse_seal_leaf(seal).block_hash == world.head.block_hash

    def test_the_trail_begins_with_it(self) -> None:
        (item,) = trail_page(World().store, FIRST_PAGE).items

        assert (item.leaf_index, item.kind) == (0, EntryKind.GENESIS)

    def test_it_is_applied_to_an_empty_store_only(self) -> None:
        world = World()

        with pytest.raises(AssertionError):
            apply_genesis(world.store, world.rules)


class TestTree:
    def test_the_root_is_that_of_all_applied_leaves_and_seals(self) -> None:
        world = lively_world()

        leaves = chain_leaves(world)

        assert len(leaves) == world.head.tree_size
        assert naive_root(leaves) == world.head.root

    def test_every_fresh_leaf_is_proved_without_reading(self) -> None:
        world = lively_world()
        for step in world.steps:
            applied = step.applied
            first = applied.place.first_leaf
            leaves = tree_leaves(step.held.block, applied.outcomes)
            fresh = FreshTree(growths_max=1)
            fresh.add(applied.growth)
            for index, leaf in enumerate(leaves, start=first):
                proof = fresh.prove(index=LeafIndex(index), size=applied.head.tree_size)
                assert proof is not None
                verify_inclusion(
                    index=LeafIndex(index),
                    size=applied.head.tree_size,
                    leaf_hash=leaf_hash(leaf),
                    proof=proof,
                    root=applied.head.root,
                )

    def test_the_edge_read_back_is_the_one_kept(self) -> None:
        world = lively_world()

        assert load_edge(world.store, world.head) == world.edge

    def test_a_block_of_refused_entries_adds_its_seal(self) -> None:
        world = World()
        before = world.head.tree_size

        applied = world.add(TOWN, world.unparsed(TOWN), world.unparsed(TOWN))

        assert applied.outcomes == (Outcome.MALFORMED, Outcome.MALFORMED)
        assert applied.head.tree_size == before + 1
        assert applied.place.leaf_count == 1

    def test_tiles_grow_past_their_width(self) -> None:
        world = World()
        for _ in range(3):
            world.run(TOWN, *(world.denial(TOWN, patient(f"{n}")) for n in range(100)))

        assert world.head.tree_size > 256
        assert load_edge(world.store, world.head) == world.edge
        assert naive_root(chain_leaves(world)) == world.head.root


class TestPlaces:
    def test_every_leaf_leads_to_its_entry_and_back(self) -> None:
        world = lively_world()
        for step in world.steps:
            for position in filter(None, step.applied.positions):
                place = leaf_place(world.store, position.leaf_index)
                assert place is not None
                assert (place.height, place.place) == (position.height, position.place)
                assert position_of(world.store, position.height, position.place) == position
            seal = leaf_place(world.store, step.applied.place.seal_index)
            assert seal is not None
            assert (seal.height, seal.place) == (step.applied.head.height, None)

    def test_there_is_nothing_beyond_the_tree(self) -> None:
        world = lively_world()

        for index in (world.head.tree_size, 2**62, 2**63, 2**64):
            assert leaf_place(world.store, LeafIndex(index)) is None

    def test_a_refused_entry_has_no_position(self) -> None:
        world = World()
        applied = world.add(TOWN, world.unparsed(TOWN))

        assert position_of(world.store, applied.head.height, Place(0)) is None
        assert position_of(world.store, applied.head.height, Place(1)) is None


class TestReplay:  # INV-10
    def test_a_replay_of_the_chain_gives_the_same_bytes_in_every_table_of_apply(self) -> None:
        world = lively_world()

        again = replay(world, lambda step: world.hold(step.held.block))

        assert again.head == world.head
        for table in APPLY_TABLES:
            assert rows_of(again.store, table) == rows_of(world.store, table), table
        assert all(rows_of(again.store, table) for table in APPLY_TABLES), "each table is in use"

    def test_recorded_outcomes_give_the_same_bytes_where_nothing_is_missing(self) -> None:
        world = lively_world()

        def hold(step: Step) -> HeldBlock:
            return replace(step.held, recorded_outcomes=step.applied.outcomes)

        again = replay(world, hold)

        for table in APPLY_TABLES:
            assert rows_of(again.store, table) == rows_of(world.store, table), table

    def test_apply_writes_its_own_tables_only_and_each_row_once(self) -> None:
        world = lively_world()

        for step in world.steps:
            rows = step.applied.batch.rows
            assert {table.owner for table, _, _ in rows} == {Owner.APPLY}
            keys = [table.prefix + key for table, key, _ in rows]
            assert len(keys) == len(set(keys))

    def test_applying_writes_nothing_itself(self) -> None:
        world = lively_world()
        writes = world.store.writes
        block = world.block(world.batch(TOWN, world.denial(TOWN, PATIENT)))

        results = [world.try_block(block), world.try_block(block)]

        assert world.store.writes == writes
        first, second = results
        assert isinstance(first, Applied)
        assert isinstance(second, Applied)
        assert first.batch.rows == second.batch.rows

    def test_the_stored_head_is_the_one_returned(self) -> None:
        world = lively_world()

        (value,) = rows_of(world.store, Table.STATE).values()

        assert decode_head(value) == world.head

    def test_outcomes_stand_beside_the_block(self) -> None:
        world = lively_world()

        for step in world.steps:
            assert outcomes_at(world.store, step.applied.head.height) == step.applied.outcomes


def test_a_trail_page_continues_where_the_last_one_ended() -> None:
    world = lively_world()
    whole = trail_page(world.store, FIRST_PAGE).items
    pages, before = [], FIRST_PAGE.before
    while True:
        page = trail_page(world.store, Page(before=before, size=2))
        pages.append(page.items)
        if page.next_before is None:
            break
        before = page.next_before

    assert [item for page in pages for item in page] == list(whole)
    assert [item.leaf_index for item in whole] == sorted(
        (item.leaf_index for item in whole), reverse=True
    )
    assert all(item.kind is not EntryKind.RECORD for item in whole)


def test_a_block_writes_the_hashes_that_it_adds_to_the_tiles_and_no_other_again() -> None:
    world = World()
    for number in range(130):  # a leaf and a seal each: past the end of the first tile
        world.run(TOWN, world.denial(TOWN, patient(f"n{number}")))

    pieces = [
        (key, value)
        for step in world.steps
        for table, key, value in step.applied.batch.rows
        if table is Table.TILE and value is not None
    ]
    assert len({key for key, _ in pieces}) == len(pieces)
    size = world.head.tree_size
    assert sum(len(value) for key, value in pieces if key[0] == 0) == 32 * size
    assert sum(len(value) for key, value in pieces if key[0] == 1) == 32 * (size // 256)
    tree = TreeReader(world.store)
    for index in (0, 1, 100, 255, 256, size - 1):
        leaf_index = LeafIndex(index)
        verify_inclusion(
            index=leaf_index,
            size=size,
            leaf_hash=tree.leaf_hash(leaf_index),
            proof=tree.inclusion_proof(index=leaf_index, size=size),
            root=world.head.root,
        )
