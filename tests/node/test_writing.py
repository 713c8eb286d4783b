"""What the writer thread puts into the store when Raft's log grows, and what it hands back."""

import asyncio
from dataclasses import replace
from pathlib import Path
from typing import NoReturn, cast

import pytest
from caretree.ledger.blocks import block_ref, encode_block_ref, with_openings
from caretree.ledger.payloads import encode_payload, parse_payload
from caretree.ledger.stored_blocks import load_block
from caretree.node.consensus import Consensus, Parts
from caretree.node.disk import Disk
from caretree.storage.directory import DataDirectory
from caretree.storage.watermark import WatermarkFile

from tests.ledger.builders import TOWN
from tests.ledger.people import PATIENT
from tests.ledger.worlds import World
from tests.node.bench import Bench, metrics, row
from tests.node.test_applier import flipped


def loop_on(bench: Bench, path: Path) -> Consensus:
    """A loop that nobody runs, with what its writes need."""
    watermark = WatermarkFile.create(path / "watermark")
    disk = Disk(bench.store, watermark, directory=cast("DataDirectory", None))
    names = Parts.__dataclass_fields__
    parts = {**dict.fromkeys(names), "log": bench.log, "disk": disk, "metrics": metrics()}
    return Consensus(Parts(**parts))  # type: ignore[arg-type]


def test_a_later_claim_of_a_stored_block_replaces_no_wrapped_key(tmp_path: Path) -> None:
    world, bench = World(), Bench()
    epoch = world.open_keyring(TOWN, PATIENT)
    held = world.hold(world.block(world.batch(TOWN, world.record(TOWN, PATIENT, epoch))))
    (opening,) = (each for batch in held.block.batches for each in batch.openings)
    assert opening.payload is not None
    payload = parse_payload(opening.payload)
    other = encode_payload(
        sealed_content=payload.sealed_content, wrapped_key=flipped(payload.wrapped_key)
    )
    claimed = world.hold(with_openings(held.block, [replace(opening, payload=other)]))
    loop, data = loop_on(bench, tmp_path), encode_block_ref(block_ref(held.block))
    for index, each in enumerate((held, claimed), 1):
        entry = row(index, data=data)
        loop._write_log([entry], [each], None)
        bench.log.written([entry])
    assert load_block(bench.store, block_ref(held.block)) == held.block


class Panic(BaseException):
    """As a library in Rust raises it: not an Exception."""


def panic() -> NoReturn:
    raise Panic


@pytest.mark.asyncio
async def test_who_waits_for_the_disk_is_told_whatever_happens_there(tmp_path: Path) -> None:
    watermark = WatermarkFile.create(tmp_path / "watermark")
    disk = Disk(Bench().store, watermark, directory=cast("DataDirectory", None))

    with pytest.raises(Panic):
        await asyncio.wait_for(disk.run(panic), timeout=10)

    assert await disk.run(lambda: 1) == 1
