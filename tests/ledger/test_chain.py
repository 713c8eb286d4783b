"""The check at a start, blocks and proofs out of the store: nothing damaged passes."""

from collections.abc import Callable
from dataclasses import replace

import pytest
from caretree.ledger import chain
from caretree.ledger.blocks import block_ref, strip_openings
from caretree.ledger.chain import BrokenChainError, check_chain, load_head
from caretree.ledger.queries import block_place
from caretree.ledger.row_keys import HEAD_KEY, block_key, height_key, tile_key
from caretree.ledger.rows import DamagedRowError, encode_block_place, encode_head
from caretree.ledger.stored_blocks import (
    BrokenBlockError,
    StoredBlocks,
    applied_ref,
    has_block,
    load_block,
)
from caretree.ledger.tree import BrokenTreeError, TreeReader, load_edge, tree_leaves
from caretree.merkle.bundle import decode_entries
from caretree.merkle.hashing import leaf_hash
from caretree.merkle.tiles import EntryBundle
from caretree.merkle.verify import verify_consistency, verify_inclusion
from caretree.model.errors import FatalError
from caretree.model.ids import Digest, Height, LeafIndex, Place, TimeMs, TreeSize
from caretree.storage.keys import Table
from caretree.storage.memory import MemoryStore
from caretree.storage.ports import Batch as StorageBatch

from tests.ledger.builders import HOSPITAL, TOWN, found, founder
from tests.ledger.people import PATIENT, patient
from tests.ledger.worlds import World


def grown_world() -> World:
    """A chain of some blocks and more than one tile of leaves."""
    world = World()
    key = world.open_keyring(TOWN, PATIENT)
    for number in range(3):
        world.run(TOWN, *(world.denial(TOWN, patient(f"{number}/{n}")) for n in range(90)))
        world.run(TOWN, world.record(TOWN, PATIENT, key), world.unparsed(TOWN))
    return world


def test_a_chain_longer_than_is_taken_at_once_is_checked_to_its_end(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    world = grown_world()

    for leaves_at_once in (1, 2, 91, 200, 10_000):
        monkeypatch.setattr(chain, "LEAVES_AT_ONCE", leaves_at_once)
        assert check_chain(world.store, world.rules) == world.head


def put(world: World, table: Table, key: bytes, value: bytes) -> None:
    batch = StorageBatch()
    batch.put(table, key, value)
    world.store.write(batch, sync=False)


def drop(world: World, table: Table, key: bytes) -> None:
    world.store.make_hole(table, key)


def flip(world: World, table: Table, key: bytes, at: int = 0) -> None:
    """One bit of a row changed in a way that no checksum below notices."""
    value = bytearray(world.store.get(table, key) or b"")
    value[at] ^= 1
    put(world, table, key, bytes(value))


def block_at(world: World, height: int) -> bytes:
    return block_key(block_ref(world.steps[height].held.block))


def other_block(world: World) -> None:
    """The block of height 3 replaced by a sound one that was never applied."""
    block = world.steps[3].held.block
    rival = world.block(*block.batches, height=3, parent=block.header.parent, time_ms=1)
    put(world, Table.BLOCK, block_at(world, 3), strip_openings(rival))


def move_place(world: World, **changes: object) -> None:
    place = block_place(world.store, Height(3))
    assert place is not None
    changed = replace(place, **changes)  # type: ignore[arg-type]
    put(world, Table.HEIGHT, height_key(3), encode_block_place(changed))


def move_head(world: World, **changes: object) -> None:
    put(world, Table.STATE, HEAD_KEY, encode_head(replace(world.head, **changes)))  # type: ignore[arg-type]


LAST = 7  # the head's height in `grown_world`


@pytest.mark.parametrize(
    ("damage", "error", "named"),
    [
        (lambda w: drop(w, Table.STATE, HEAD_KEY), BrokenChainError, "height 0"),
        (lambda w: drop(w, Table.HEIGHT, height_key(0)), BrokenChainError, "height 0"),
        (lambda w: drop(w, Table.HEIGHT, height_key(3)), BrokenChainError, "height 3"),
        (lambda w: drop(w, Table.HEIGHT, height_key(LAST)), BrokenChainError, f"height {LAST}"),
        (lambda w: drop(w, Table.BLOCK, block_at(w, 3)), BrokenChainError, "height 3"),
        (lambda w: drop(w, Table.OUTCOME, height_key(3)), BrokenChainError, "height 3"),
        (lambda w: put(w, Table.OUTCOME, height_key(3), b""), BrokenChainError, "height 3"),
        (lambda w: put(w, Table.OUTCOME, height_key(3), b"\xff"), DamagedRowError, "OUTCOME"),
        (lambda w: flip(w, Table.BLOCK, block_at(w, 3), 90), BrokenBlockError, "height 3"),
        (
            lambda w: put(w, Table.BLOCK, block_at(w, 3), b"x"),
            BrokenBlockError,
            "height 3",
        ),
        (other_block, BrokenBlockError, "height 3"),
        (lambda w: move_place(w, first_leaf=LeafIndex(0)), BrokenChainError, "height 3"),
        (lambda w: move_place(w, leaf_count=1), BrokenChainError, "height 3"),
        (lambda w: move_place(w, time_ms=TimeMs(5)), BrokenChainError, "height 3"),
        (lambda w: move_place(w, block_hash=Digest(bytes(32))), BrokenChainError, "height 3"),
        (lambda w: move_head(w, height=Height(LAST + 1)), BrokenChainError, "height 8"),
        (lambda w: move_head(w, height=Height(LAST - 1)), BrokenChainError, "height 8"),
        (lambda w: move_head(w, membership_epoch=2), BrokenChainError, "head"),
        (lambda w: move_head(w, time_ms=TimeMs(5)), BrokenChainError, "head"),
        (lambda w: move_head(w, block_hash=Digest(bytes(32))), BrokenChainError, "head"),
        (lambda w: put(w, Table.STATE, HEAD_KEY, b"\xff"), DamagedRowError, "STATE"),
        (lambda w: put(w, Table.STATE, HEAD_KEY, b""), DamagedRowError, "version"),
        (lambda w: flip(w, Table.TILE, tile_key(level=0, first=0)), BrokenChainError, "tile"),
        (lambda w: flip(w, Table.TILE, tile_key(level=0, first=4), 70), BrokenChainError, "tile"),
        (lambda w: flip(w, Table.TILE, tile_key(level=0, first=256)), BrokenTreeError, "tile"),
        (lambda w: flip(w, Table.TILE, tile_key(level=1, first=0)), BrokenTreeError, "tile"),
        (lambda w: drop(w, Table.TILE, tile_key(level=0, first=256)), BrokenTreeError, "missing"),
        (lambda w: drop(w, Table.TILE, tile_key(level=0, first=0)), BrokenTreeError, "missing"),
        (lambda w: drop(w, Table.TILE, tile_key(level=0, first=4)), BrokenTreeError, "missing"),
        (lambda w: put(w, Table.TILE, tile_key(level=1, first=0), b""), BrokenTreeError, "tile"),
    ],
)
def test_a_damaged_chain_or_tree_stops_the_start(
    damage: Callable[[World], None], error: type[FatalError], named: str
) -> None:
    world = grown_world()
    assert world.head.height == LAST
    assert check_chain(world.store, world.rules) == world.head

    damage(world)

    with pytest.raises(error, match=named):
        check_chain(world.store, world.rules)


def test_a_header_that_does_not_follow_stops_the_start() -> None:
    world = grown_world()
    last = world.steps[-1].held.block

    for wrong in ({"parent": bytes(32)}, {"time_ms": 1}):
        parts = {"parent": last.header.parent, "time_ms": world.next_ms, **wrong}
        rival = world.block(*last.batches, height=LAST, **parts)  # type: ignore[arg-type]
        ref = block_ref(rival)
        put(world, Table.BLOCK, block_key(ref), strip_openings(rival))
        place = replace(
            world.steps[-1].applied.place, block_hash=rival.hash, time_ms=rival.header.time_ms
        )
        put(world, Table.HEIGHT, height_key(LAST), encode_block_place(place))
        with pytest.raises(BrokenChainError, match=r"parent|time"):
            check_chain(world.store, world.rules)


def test_another_consortiums_chain_stops_the_start() -> None:
    world = grown_world()
    other = found([founder("town"), founder("hospital")])

    with pytest.raises(BrokenChainError, match="genesis"):
        check_chain(world.store, other.genesis)


def test_an_empty_store_has_no_head() -> None:
    store = MemoryStore()

    assert load_head(store) is None
    with pytest.raises(BrokenChainError):
        check_chain(store, World().rules)


def test_a_head_of_another_tree_is_found_when_the_edge_is_loaded() -> None:
    world = grown_world()
    wrong = replace(world.head, frontier=(bytes(32), *world.head.frontier[1:]))

    with pytest.raises(BrokenTreeError):
        load_edge(world.store, wrong)


class TestStoredBlocks:
    def test_a_block_comes_out_as_it_was_carried(self) -> None:
        world = grown_world()

        for step in world.steps:
            ref = block_ref(step.held.block)
            assert has_block(world.store, ref)
            assert applied_ref(world.store, ref.height) == ref
            assert load_block(world.store, ref) == step.held.block

    def test_a_rival_block_of_the_same_height_stands_apart(self) -> None:
        world = grown_world()
        rival = world.block(world.batch(TOWN, world.denial(TOWN, PATIENT)))
        applied = world.add(HOSPITAL, world.denial(HOSPITAL, PATIENT))
        ref = block_ref(rival)
        assert ref.height == applied.head.height

        assert not has_block(world.store, ref)
        assert load_block(world.store, ref) is None

    def test_every_entry_is_found_by_its_place(self) -> None:
        world = grown_world()
        blocks = StoredBlocks(world.store, blocks_max=2)

        for step in world.steps:
            height = step.applied.head.height
            for entry in step.held.entries:
                stored = blocks.entry(height, entry.place)
                assert stored is not None
                assert (stored.author, stored.leaf, stored.opening) == (
                    entry.author,
                    entry.leaf,
                    entry.opening,
                )
            assert blocks.entry(height, Place(len(step.held.entries))) is None
        assert len(blocks._blocks) == 2

    def test_a_height_that_was_not_applied_is_broken(self) -> None:
        world = grown_world()

        with pytest.raises(BrokenBlockError, match="height 99"):
            StoredBlocks(world.store).block(Height(99))

    def test_entry_bundles_hold_the_leaves_of_their_tiles(self) -> None:
        world = grown_world()
        blocks = StoredBlocks(world.store)
        leaves = [
            leaf
            for step in world.steps
            for leaf in tree_leaves(step.held.block, step.applied.outcomes)
        ]
        size = world.head.tree_size

        first = decode_entries(blocks.entry_bundle(EntryBundle(index=0, width=256)), width=256)
        rest = size - 256
        last = decode_entries(blocks.entry_bundle(EntryBundle(index=1, width=rest)), width=rest)

        assert [*first, *last] == leaves


class TestProofs:
    def test_every_leaf_is_proved_in_every_later_tree_of_a_block_end(self) -> None:
        world = grown_world()
        proofs = TreeReader(world.store)
        heads = [step.applied.head for step in world.steps]
        for head in heads:
            assert proofs.root(head.tree_size) == head.root
            for index in range(0, head.tree_size, 7):
                verify_inclusion(
                    index=index,
                    size=head.tree_size,
                    leaf_hash=proofs.leaf_hash(LeafIndex(index)),
                    proof=proofs.inclusion_proof(index=LeafIndex(index), size=head.tree_size),
                    root=head.root,
                )

    def test_every_two_heads_are_proved_consistent(self) -> None:
        world = grown_world()
        proofs = TreeReader(world.store)
        heads = [step.applied.head for step in world.steps]
        for older in heads:
            for newer in heads[older.height :]:
                sizes = {"size1": older.tree_size, "size2": newer.tree_size}
                verify_consistency(
                    **sizes,
                    proof=proofs.consistency_proof(**sizes),
                    root1=older.root,
                    root2=newer.root,
                )

    def test_a_reader_follows_the_tree_as_it_grows(self) -> None:
        world = World()
        proofs = TreeReader(world.store, expanded_tiles_max=1)
        for number in range(20):
            applied = world.add(TOWN, *(world.denial(TOWN, patient(f"{number}")),) * 20)
            size = TreeSize(applied.head.tree_size)
            assert proofs.root(size) == applied.head.root
            seal = tree_leaves(world.steps[-1].held.block, applied.outcomes)[-1]
            assert proofs.leaf_hash(applied.place.seal_index) == leaf_hash(seal)
