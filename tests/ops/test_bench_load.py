"""What the closed loop counts, and how it ends."""

import asyncio
import os
import socket
from pathlib import Path

import pytest

from ops.bench import machine
from ops.bench.errors import BenchFailedError
from ops.bench.load import load


@pytest.mark.asyncio
async def test_as_many_calls_are_under_way_as_workers_and_never_more() -> None:
    under_way = [0, 0]

    async def work(_: int) -> int:
        under_way[0] += 1
        under_way[1] = max(under_way)
        await asyncio.sleep(0.001)
        under_way[0] -= 1
        return 1

    await load(work, in_flight=7, seconds=0.1, pids=[], warm_up_s=0)

    assert under_way == [0, 7]


@pytest.mark.asyncio
async def test_records_and_waits_are_counted_by_call() -> None:
    async def work(_: int) -> int:
        await asyncio.sleep(0.01)
        return 100

    sample = await load(work, in_flight=2, seconds=0.2, pids=[os.getpid()], warm_up_s=0)

    assert sample.records == 100 * len(sample.waits_s)
    assert len(sample.waits_s) >= 2
    assert min(sample.waits_s) >= 0.009
    assert sample.seconds >= 0.2
    assert sample.resident_bytes > 1_000_000


@pytest.mark.asyncio
async def test_what_is_answered_while_warming_up_does_not_count() -> None:
    calls = 0

    async def work(_: int) -> int:
        nonlocal calls
        calls += 1
        await asyncio.sleep(0.01)
        return 1

    sample = await load(work, in_flight=1, seconds=0.05, pids=[], warm_up_s=0.2)

    assert sample.records < calls


@pytest.mark.asyncio
async def test_a_slow_callee_has_the_time_for_one_answer_to_each_worker() -> None:
    async def work(worker: int) -> int:
        await asyncio.sleep(0.1 * (worker + 1))
        return 1

    sample = await load(work, in_flight=3, seconds=0.001, pids=[], warm_up_s=0)

    assert len(sample.waits_s) >= 3


@pytest.mark.asyncio
async def test_a_call_that_fails_ends_the_row_with_its_error() -> None:
    async def work(worker: int) -> int:
        await asyncio.sleep(0)
        if worker == 1:
            raise BenchFailedError("a record was answered ENTRY_STATUS_COMMITTED")
        return 1

    with pytest.raises(ExceptionGroup) as ended:
        await load(work, in_flight=2, seconds=60, pids=[], warm_up_s=0)

    assert ended.group_contains(BenchFailedError, match="ENTRY_STATUS_COMMITTED")


def test_a_process_has_its_processor_time_and_its_memory() -> None:
    before = machine.cpu_seconds([os.getpid()])
    while machine.cpu_seconds([os.getpid()]) < before + 0.02:
        sum(range(10_000))

    assert machine.resident_bytes(os.getpid()) > 1_000_000


def test_a_process_that_has_ended_is_an_error_and_no_zero() -> None:
    ended = 2**22 + 1  # above the largest that Linux gives

    with pytest.raises(BenchFailedError, match="has ended"):
        machine.cpu_seconds([ended])
    with pytest.raises(BenchFailedError, match="has ended"):
        machine.resident_bytes(ended)


def test_what_goes_over_the_loopback_is_counted() -> None:
    part, parts = 10_000, 100
    with (
        socket.create_server(("127.0.0.1", 0)) as server,
        socket.create_connection(server.getsockname()) as sender,
        server.accept()[0] as taker,
    ):
        before = machine.loopback_bytes()
        for _ in range(parts):
            sender.sendall(bytes(part))
            assert len(taker.recv(part, socket.MSG_WAITALL)) == part

        assert machine.loopback_bytes() - before >= part * parts


def test_a_folder_takes_what_its_files_occupy(tmp_path: Path) -> None:
    (tmp_path / "below").mkdir()
    (tmp_path / "below" / "file").write_bytes(os.urandom(100_000))

    assert 100_000 <= machine.disk_bytes(tmp_path) < 200_000


def test_the_facts_name_machine_libraries_and_disk(tmp_path: Path) -> None:
    facts = machine.facts(tmp_path)

    assert facts["processors"] == os.cpu_count()
    assert {"date", "kernel", "python", "grpcio", "plyvel", "cryptography"} <= facts.keys()
    assert isinstance(facts["fsync_ms"], float)
    assert list(tmp_path.iterdir()) == []
