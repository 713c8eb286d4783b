"""Today's code reads what every release before it stored, and makes the same of it."""

import shutil
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Final

import pytest
from caretree.crypto.ed25519 import verify
from caretree.ledger.apply import Applied, apply_block, apply_genesis
from caretree.ledger.certificate import certification_policy
from caretree.ledger.holding import hold_block, no_holes
from caretree.ledger.receipts import verify_receipt
from caretree.ledger.stored_blocks import applied_ref, load_block
from caretree.model.ids import Height
from caretree.storage.keys import Owner, Table
from caretree.storage.memory import MemoryStore

from tests.golden.opening import Kept, Opened, kept_directories, opened, read_kept

KEPT_BYTES_MAX: Final = 500_000
APPLY_OWNED: Final = tuple(table for table in Table if table.owner is Owner.APPLY)

pytestmark = pytest.mark.parametrize("path", kept_directories(), ids=lambda path: str(path.name))


@asynccontextmanager
async def copied(path: Path, folder: Path) -> AsyncIterator[Opened]:
    """A peer on a copy of the kept data directory, which itself is never opened."""
    shutil.copytree(path / "data", folder / "data", dirs_exist_ok=True)
    async with opened(read_kept(path), folder / "data") as found:
        yield found


@pytest.mark.asyncio
async def test_a_start_finds_the_chain_and_all_that_was_shown(path: Path, tmp_path: Path) -> None:
    async with copied(path, tmp_path) as found:
        expected = found.kept.expected

        assert found.head() == expected["head"]
        assert found.shown() == expected["shown"]
        assert found.certified() == expected["certified"]


@pytest.mark.asyncio
async def test_every_record_opens_and_has_the_content_of_then(path: Path, tmp_path: Path) -> None:
    async with copied(path, tmp_path) as found:
        assert found.records() == found.kept.expected["records"]


@pytest.mark.asyncio
async def test_each_reader_sees_the_records_that_were_open_then(path: Path, tmp_path: Path) -> None:
    async with copied(path, tmp_path) as found:
        assert found.histories() == found.kept.expected["histories"]


@pytest.mark.asyncio
async def test_the_trail_tells_what_it_told_then(path: Path, tmp_path: Path) -> None:
    async with copied(path, tmp_path) as found:
        assert found.trail() == found.kept.expected["trail"]


@pytest.mark.asyncio
async def test_a_second_start_finds_what_the_first_one_found(path: Path, tmp_path: Path) -> None:
    async with copied(path, tmp_path) as found:
        before = found.everything()
    async with opened(found.kept, tmp_path / "data") as again:
        assert again.everything() == before


@pytest.mark.asyncio
async def test_a_receipt_of_then_and_one_of_now_prove_the_same(path: Path, tmp_path: Path) -> None:
    async with copied(path, tmp_path) as found:
        policy = certification_policy(found.kept.genesis)
        then = verify_receipt(found.kept.receipt, policy, verify)
        assert then.record_id is not None
        fresh = found.peer.receipt_of_record(then.record_id).receipt
        now = verify_receipt(fresh, policy, verify)

    assert (now.leaf_index, now.seal, now.body) == (then.leaf_index, then.seal, then.body)
    assert then.record is not None
    assert now.tree_size >= then.tree_size


@pytest.mark.asyncio
async def test_the_chain_applied_anew_gives_the_same_rows(path: Path, tmp_path: Path) -> None:
    async with copied(path, tmp_path) as found:
        anew = applied_anew(found.kept, found)

        for table in APPLY_OWNED:
            kept, made = dict(found.disk.store.scan(table)), dict(anew.scan(table))
            assert kept, f"nothing of {table.name} is kept"
            assert made == kept, f"{table.name} differs"


def test_what_is_kept_is_small(path: Path) -> None:
    files = [file for file in path.rglob("*") if file.is_file()]

    assert sum(file.stat().st_size for file in files) < KEPT_BYTES_MAX


def applied_anew(kept: Kept, found: Opened) -> MemoryStore:
    """Every block of the chain, held and applied again to an empty store."""
    rules, reads = kept.genesis, found.disk.store
    store = MemoryStore(storage_key=kept.keystore.storage_key)
    applied = apply_genesis(store, rules)
    store.write(applied.batch, sync=False)
    for number in range(1, found.parts.applier.head.height + 1):
        ref = applied_ref(reads, Height(number))
        assert ref is not None
        block = load_block(reads, ref)
        assert block is not None
        held = hold_block(block, rules, recorded_outcomes=None, holes_allowed=no_holes)
        result = apply_block(store, applied.head, held, rules, applied.edge)
        assert isinstance(result, Applied), result
        store.write(result.batch, sync=False)
        applied = result
    return store
