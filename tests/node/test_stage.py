"""Held blocks wait in a bounded memory."""

import pytest
from caretree.ledger.blocks import block_ref
from caretree.ledger.values import HeldBlock
from caretree.node import stage as staging
from caretree.node.stage import BlockStage

from tests.ledger.builders import TOWN
from tests.ledger.people import PATIENT
from tests.ledger.worlds import World


def blocks(count: int) -> list[HeldBlock]:
    world = World()
    for _ in range(count):
        world.add(TOWN, world.denial(TOWN, PATIENT))
    return [step.held for step in world.steps[1:]]


def test_a_block_is_found_by_height_and_hash_until_it_is_dropped() -> None:
    stage, (first, second) = BlockStage(), blocks(2)
    assert stage.put(first) == block_ref(first.block)
    stage.put(second)
    assert stage.get(block_ref(first.block)) is first
    stage.drop(block_ref(first.block))
    stage.drop(block_ref(first.block))
    assert stage.get(block_ref(first.block)) is None
    assert stage.get(block_ref(second.block)) is second


def test_the_same_block_again_takes_no_more_room() -> None:
    stage, (held,) = BlockStage(), blocks(1)
    stage.put(held)
    stage.put(held)
    assert stage._bytes == len(held.block.encoded)
    stage.drop(block_ref(held.block))
    assert stage._bytes == 0


def test_at_the_limit_all_are_kept_and_above_it_the_oldest_goes(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    held = blocks(3)
    sizes = [len(each.block.encoded) for each in held]
    monkeypatch.setattr(staging, "STAGED_BYTES_MAX", sum(sizes))
    full = BlockStage()
    for each in held:
        full.put(each)
    assert all(full.get(block_ref(each.block)) for each in held)

    monkeypatch.setattr(staging, "STAGED_BYTES_MAX", sum(sizes) - 1)
    above = BlockStage()
    for each in held:
        above.put(each)
    assert [above.get(block_ref(each.block)) is not None for each in held] == [False, True, True]


def test_one_block_larger_than_the_bound_is_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(staging, "STAGED_BYTES_MAX", 1)
    stage, (held,) = BlockStage(), blocks(1)
    stage.put(held)
    assert stage.get(block_ref(held.block)) is held
