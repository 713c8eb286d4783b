"""The leader's pool: each batch once, in order, within the bounds of pool and block."""

from dataclasses import replace

import pytest
from caretree.ledger.holding import NotHeldError, hold_block, no_holes
from caretree.ledger.values import Batch
from caretree.model.ids import Height, PeerId, TimeMs
from caretree.model.limits import BLOCK_BYTES_MAX, BLOCK_ENTRIES_MAX
from caretree.node import pool as pooling
from caretree.node.pool import HeldBatch, Pool, check_batch

from tests.ledger.builders import HOSPITAL, OFFICE, TOWN
from tests.ledger.people import PATIENT
from tests.ledger.worlds import World

LEADER = PeerId(77)


def batches(count: int, *, entries: int = 1, world: World | None = None) -> list[Batch]:
    known = world or World()
    return [
        known.batch(TOWN, *(known.denial(TOWN, PATIENT) for _ in range(entries)))
        for _ in range(count)
    ]


def held(batch: Batch) -> HeldBatch:
    return check_batch(batch, World().rules)


def padded(batch: Batch, size: int) -> HeldBatch:
    """The batch as if it were so many bytes long: only its length is asked for here."""
    return replace(held(batch), batch=replace(batch, encoded=bytes(size)))


def test_a_batch_counts_once_however_often_it_is_handed_in() -> None:
    pool, (batch,) = Pool(), batches(1, entries=3)
    assert pool.add(held(batch))
    assert pool.add(held(batch))
    assert (len(pool), pool.entries, pool.size_bytes) == (1, 3, len(batch.encoded))
    pool.remove(batch.signature)
    pool.remove(batch.signature)
    assert (len(pool), pool.entries, pool.size_bytes) == (0, 0, 0)


def test_a_pool_is_full_at_its_limit_and_takes_what_it_holds_again(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    first, second, third = batches(3)
    size = len(first.encoded)
    monkeypatch.setattr(pooling, "POOL_BYTES_MAX", 2 * size)
    pool = Pool()
    assert pool.add(held(first))
    assert pool.add(held(second))
    assert not pool.add(held(third))
    assert pool.add(held(first))
    pool.remove(first.signature)
    assert pool.add(held(third))
    pool.clear()
    assert (len(pool), pool.size_bytes) == (0, 0)


def test_nothing_waiting_gives_no_block() -> None:
    assert Pool().draft(World().head, now_ms=TimeMs(0), leader=LEADER) is None


def test_a_draft_extends_the_head_and_is_what_a_voter_would_hold() -> None:
    world, pool = World(), Pool()
    mine = [world.batch(m, world.denial(m, PATIENT)) for m in (TOWN, HOSPITAL, OFFICE)]
    for batch in mine:
        pool.add(held(batch))
    now = TimeMs(world.head.time_ms + 5_000)

    draft = pool.draft(world.head, now_ms=now, leader=LEADER)

    assert draft is not None
    header = draft.block.header
    assert (header.height, header.parent, header.time_ms, header.leader) == (
        Height(1),
        world.head.block_hash,
        now,
        LEADER,
    )
    assert draft.block.batches == tuple(mine)
    assert draft == hold_block(
        draft.block, world.rules, recorded_outcomes=None, holes_allowed=no_holes
    )
    assert len(pool) == 3  # they leave the pool once a block with them is applied


def test_the_block_time_passes_its_parents_whatever_the_clock_says() -> None:
    world, pool = World(), Pool()
    pool.add(held(batches(1, world=world)[0]))
    for now in (0, world.head.time_ms - 10, world.head.time_ms, world.head.time_ms + 1):
        draft = pool.draft(world.head, now_ms=TimeMs(now), leader=LEADER)
        assert draft is not None
        assert draft.block.header.time_ms == world.head.time_ms + 1


def test_entries_beyond_a_blocks_bound_wait_for_the_next() -> None:
    world, pool = World(), Pool()
    half = BLOCK_ENTRIES_MAX // 2
    for batch in batches(2, entries=half, world=world):
        pool.add(held(batch))
    one_more = batches(1, world=world)[0]
    full = pool.draft(world.head, now_ms=TimeMs(0), leader=LEADER)
    assert full is not None
    assert full.block.entry_count == BLOCK_ENTRIES_MAX
    pool.add(held(one_more))
    again = pool.draft(world.head, now_ms=TimeMs(0), leader=LEADER)
    assert again is not None
    assert again.block.entry_count == BLOCK_ENTRIES_MAX
    assert one_more not in again.block.batches


def test_bytes_beyond_a_blocks_bound_wait_for_the_next() -> None:
    first, second = batches(2)
    for above in (0, 1):
        pool = Pool()
        overhead = pooling._BLOCK_OVERHEAD_BYTES + 2 * pooling._BATCH_OVERHEAD_BYTES
        pool.add(padded(first, BLOCK_BYTES_MAX - overhead - 1000 + above))
        pool.add(padded(second, 1000))
        assert [each.batch.signature for each in pool._choose()] == [
            first.signature,
            second.signature,
        ][: 2 - above]


def test_what_a_block_adds_to_its_batches_is_within_the_overhead() -> None:
    world, pool = World(), Pool()
    for batch in batches(200, world=world):
        pool.add(held(batch))
    draft = pool.draft(world.head, now_ms=TimeMs(0), leader=LEADER)
    assert draft is not None
    counted = (
        pooling._BLOCK_OVERHEAD_BYTES + pool.size_bytes + len(pool) * pooling._BATCH_OVERHEAD_BYTES
    )
    assert len(draft.block.encoded) <= counted


def test_a_batch_that_no_voter_would_hold_is_refused_at_the_leaders_door() -> None:
    world = World()
    (batch,) = batches(1, world=world)
    other = replace(batch, signature=batches(1, world=world)[0].signature)
    with pytest.raises(NotHeldError):
        held(other)
    opening = replace(batch.openings[0], salt=b"x" * 32)
    with pytest.raises(NotHeldError):
        held(replace(batch, openings=(opening,)))
