"""Files damaged under real daemons: the peer does not start, or stops at the read; others go on.

A damaged byte is never served, a shortened log never voted on, nothing acknowledged is lost.
"""

import asyncio
import fcntl
import os
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Final

import pytest
import pytest_asyncio
from caretree.cli.home import Home
from caretree.client import CallFailedError
from caretree.config.exit_status import ExitStatus
from caretree.crypto.custody import SystemCustody
from caretree.storage.keys import Table
from caretree.storage.leveldb import LevelDbStore
from caretree.storage.row_cipher import RowCipher
from caretree.storage.watermark import PAGE_BYTES, find_newest

from ops.demo.consortium import HOSPITAL, OFFICE, TOWN
from tests.edges.daemons import EdgeDaemon, Three, new_record, three_daemons
from tests.edges.damage import cut, flip, inside_a_record, largest, put_right_whole
from tests.waiting import until

pytestmark = [
    pytest.mark.processes,
    pytest.mark.slow,
    pytest.mark.asyncio(loop_scope="module"),
]

PIPE_BYTES: Final = 4096
LOG_BYTES: Final = 50_000  # some twenty records: a part of them is something that was shown

Damage = tuple[str, Callable[[Path], Path], Callable[[Path], object], str]


def _log(data: Path) -> Path:
    return largest(data / "database", "*.log")


def _table(data: Path) -> Path:
    return largest(data / "database", "*.ldb")


def _manifest(data: Path) -> Path:
    return largest(data / "database", "MANIFEST-*")


def _watermark(data: Path) -> Path:
    return data / "watermark"


# What is hurt, which file of the data directory, how, and what the last line says of it.
DAMAGES: Final[tuple[Damage, ...]] = (
    ("log", _log, lambda path: flip(path, inside_a_record(path)), "log file"),
    ("cut log", _log, lambda path: cut(path, share=0.4), "the log ends at term"),
    ("table", _table, lambda path: flip(path, -3), "table file"),
    ("manifest", _manifest, lambda path: flip(path, 30), "manifest"),
    ("CURRENT", lambda data: data / "database" / "CURRENT", lambda path: flip(path, 12), "CURRENT"),
    (
        "watermark",
        _watermark,
        lambda path: flip(path, 20, PAGE_BYTES + 90),
        "both copies of a slot are damaged",
    ),
)


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def three(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Three]:
    """Founded, started and led."""
    async with three_daemons(tmp_path_factory.mktemp("files")) as made:
        yield made


def place_of_largest_payload(daemon: EdgeDaemon) -> tuple[Path, int]:
    """Where the largest ciphertext of a daemon that does not run lies: in which table, and where.

    The database was opened for this, so that there is a table of all that was in its log.
    """
    storage_key = Home(path=daemon.centre.folder).read_keystore().storage_key
    cipher = RowCipher(storage_key, random=SystemCustody())
    store = LevelDbStore.open(daemon.data / "database", cipher=cipher)
    payload = max((value for _, value in store.scan(Table.PAYLOAD)), key=len)
    store.close()
    places = {table: table.read_bytes().find(payload) for table in daemon.data.rglob("*.ldb")}
    return next((table, place) for table, place in places.items() if place >= 0)


async def start_again(three: Three, daemon: EdgeDaemon) -> None:
    """Start it; return once it answers and knows a leader."""
    daemon.start()
    await three.led(daemon.centre.member)


async def test_a_peer_with_a_damaged_file_does_not_start_and_the_others_go_on(
    three: Three,
) -> None:
    victim = three.daemons[OFFICE]
    async with three.caller("P1", workers=1, filling=os.urandom(2048)) as caller:
        await caller.until_more()
        victim.kill()
        await start_again(three, victim)  # which makes a table of the log
        await until(lambda: _log(victim.data).stat().st_size > LOG_BYTES)
        victim.kill()
        for name, find, hurt, said in DAMAGES:
            with put_right_whole(victim.data):
                hurt(find(victim.data))
                victim.start()
                last_line = await victim.ended(ExitStatus.FATAL)
            assert said in last_line, name
            assert str(victim.data) in last_line, name
            assert "Runbook: " in last_line, name
            await caller.until_more()
        await start_again(three, victim)
        await caller.until_more()
    await three.level()

    assert caller.lost(await three.contents("P1")) == []
    assert "Traceback" not in victim.log_text()


async def test_a_damaged_record_stops_the_peer_at_its_read_and_is_never_served(
    three: Three,
) -> None:
    victim = three.daemons[TOWN]
    contents = [os.urandom(200_000) for _ in range(4)]
    for content in contents:
        await three.town.append(new_record("P2", content))
    await three.level()
    victim.kill()
    table, place = place_of_largest_payload(victim)
    # Only this byte may be put right later: the peer starts, and shows more than before.
    flip(table, place + 100_000)
    await start_again(three, victim)  # records are checked when they are read
    with pytest.raises(CallFailedError):
        await three.contents("P2", deadline_s=3)
    last_line = await victim.ended(ExitStatus.FATAL)
    flip(table, place + 100_000)
    assert f"of database {victim.data}/database failed: table file is damaged" in last_line
    assert last_line.endswith("Runbook: Storage error")
    assert await three.led(HOSPITAL) in {HOSPITAL, OFFICE}

    await start_again(three, victim)

    assert sorted((await three.contents("P2")).values()) == sorted(contents)


async def test_a_page_damaged_in_each_slot_of_the_watermark_is_repaired_and_told(
    three: Three,
) -> None:
    victim = three.daemons[OFFICE]
    await victim.stop()
    flip(_watermark(victim.data), 40, 3 * PAGE_BYTES + 40)

    await start_again(three, victim)

    assert '"watermark pages were damaged","pages":2' in victim.log_text()
    await three.town.append(new_record("P3", b"after"))
    await three.level()
    assert find_newest(_watermark(victim.data).read_bytes()).damaged_pages == 0


async def test_a_second_daemon_on_a_data_directory_is_refused_and_the_first_goes_on(
    three: Three,
) -> None:
    first = three.daemons[HOSPITAL]
    second = EdgeDaemon(first.centre)
    second.start()

    last_line = await second.ended(ExitStatus.FATAL)

    assert f"data directory {first.data}: in use by another process" in last_line
    assert first.runs
    await three.town.append(new_record("P3", b"more"))
    await three.level()


async def test_a_log_whose_reader_is_gone_does_not_hold_up_the_peer(three: Three) -> None:
    daemon = three.daemons[HOSPITAL]
    await daemon.stop()
    readable, writable = os.pipe()
    daemon.start_into(writable)
    os.close(writable)
    assert (await asyncio.to_thread(os.read, readable, 1)) == b"{"
    os.close(readable)

    await three.led(HOSPITAL)
    await three.daemons[OFFICE].stop()  # which the others write a line about
    await start_again(three, three.daemons[OFFICE])
    await three.town.append(new_record("P3", b"reader gone"))
    await three.level()


async def test_a_log_that_nobody_reads_holds_up_neither_the_peer_nor_its_end(
    three: Three,
) -> None:
    daemon = three.daemons[HOSPITAL]
    await daemon.stop()
    readable, writable = os.pipe()
    size = fcntl.fcntl(writable, fcntl.F_SETPIPE_SZ, PIPE_BYTES)
    os.write(writable, b"x" * size)
    try:
        daemon.start_into(writable)
        await three.led(HOSPITAL)
        await three.town.append(new_record("P3", b"nobody reads"))
        await three.level()
        refused = EdgeDaemon(daemon.centre)
        refused.start_into(writable)
        await refused.ended(ExitStatus.FATAL)
        await daemon.stop()
    finally:
        os.close(writable)
        os.close(readable)
    daemon.start()
