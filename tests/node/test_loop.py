"""What may happen between two awaits: nothing that was checked is lost, and nobody waits long."""

import asyncio
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest
from caretree.ledger.blocks import block_ref, encode_block_ref
from caretree.ledger.stored_blocks import load_block
from caretree.node.consensus import Consensus, Parts
from caretree.node.disk import Disk
from caretree.proto.peer.v1 import peer_pb2
from caretree.raft.errors import LogLostError
from caretree.raft.messages import Message, MessageType
from caretree.raft.ready import Ready
from caretree.storage.directory import DataDirectory
from caretree.storage.watermark import WatermarkFile

from tests.ledger.builders import TOWN
from tests.ledger.people import PATIENT
from tests.ledger.worlds import World
from tests.node.bench import Bench, metrics, row
from tests.node.test_inbound import LEADER, Door
from tests.raft.builders import append, make, message

ANSWER = message(MessageType.HEARTBEAT_RESP, sender=1, to=2)


def loop_of(**parts: object) -> Consensus:
    """A loop that nobody runs, with these parts and no others."""
    return Consensus(Parts(**{**dict.fromkeys(Parts.__dataclass_fields__), **parts}))  # type: ignore[arg-type]


@pytest.mark.asyncio
async def test_a_block_forgotten_while_messages_leave_is_written_all_the_same(
    tmp_path: Path,
) -> None:
    world, bench = World(), Bench()
    held = world.hold(world.block(world.batch(TOWN, world.denial(TOWN, PATIENT))))
    ref = bench.stage.put(held)
    watermark = WatermarkFile.create(tmp_path / "watermark")
    forget: Callable[[Message], None] = lambda _: bench.stage.drop(ref)  # noqa: E731
    loop = loop_of(
        log=bench.log,
        disk=Disk(bench.store, watermark, directory=cast("DataDirectory", None)),
        stage=bench.stage,
        outlet=SimpleNamespace(send_raft=forget),
        metrics=metrics(),
    )
    entries = (row(1, data=encode_block_ref(ref)),)
    nothing: dict[str, Any] = dict.fromkeys(("soft_state", "hard_state", "snapshot"))
    none: dict[str, Any] = dict.fromkeys(
        ("messages_after_persist", "committed_entries", "read_states"), ()
    )
    ready = Ready(entries=entries, messages_now=(ANSWER,), must_sync=True, **nothing, **none)

    await loop._handle(ready)

    assert bench.stage.get(ref) is None
    assert load_block(bench.store, block_ref(held.block)) == held.block


def taken_in(*messages: Message, shown: int) -> int:
    """The commit index of a peer with rows 1 to 4 of term 1, after these messages."""
    peer = make(log=[row(index) for index in range(1, 5)], term=1)
    mark = SimpleNamespace(last_index=shown)
    disk = SimpleNamespace(watermark=SimpleNamespace(read=lambda: mark), store=None)
    loop = loop_of(raft=peer.node, log=peer.store, disk=disk)

    async def take() -> None:
        for each in messages:
            await loop.take(each)
        loop._take_in()

    asyncio.run(take())
    return peer.node.basic_status().commit


def test_a_heartbeat_that_commits_what_its_own_leader_just_replaced_is_lost() -> None:
    replaced = append(term=2, index=1, log_term=1, entries=[row(2, term=2)])
    beat = message(MessageType.HEARTBEAT, term=2, commit=3)
    assert taken_in(replaced, beat, shown=4) == 0
    assert taken_in(beat, shown=4) == 3


def test_a_heartbeat_that_commits_what_the_watermark_had_and_the_log_lacks_stops_the_peer() -> None:
    with pytest.raises(LogLostError):
        taken_in(message(MessageType.HEARTBEAT, term=2, commit=6), shown=6)


def test_a_bundle_of_many_messages_keeps_nobody_waiting_for_long(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("caretree.node.inbound.TURN_S", -1.0)
    door, turns = Door(), 0
    refused = peer_pb2.BatchRefused(signature=b"s", retry_after_ms=500)
    messages = [peer_pb2.PeerMessage(batch_refused=refused)] * 20
    request = peer_pb2.DeliverRequest(clock_ms=door.clock.ms, messages=messages)

    async def count() -> None:
        nonlocal turns
        while True:
            turns += 1
            await asyncio.sleep(0)

    async def receive() -> None:
        counting = asyncio.create_task(count())
        await door.inbound.receive(LEADER, request)
        counting.cancel()

    asyncio.run(receive())
    assert len(door.taken.refusals) == 20
    assert turns >= 20
