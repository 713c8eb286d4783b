"""One clock of three an hour off, either way: the others go on, and the peer itself says so."""

from datetime import timedelta
from pathlib import Path
from typing import Final

import pytest
from caretree.node import transport
from caretree.node.calls import EntryStatus
from caretree.node.clock import SystemClock

from tests.ledger.builders import TOWN
from tests.node.asking import add, contents, history
from tests.node.cluster import Seat, cluster, level, others, until
from tests.node.steering import lead

pytestmark = [pytest.mark.processes, pytest.mark.asyncio]

HOUR_MS: Final = int(timedelta(hours=1) / timedelta(milliseconds=1))
AHEAD: Final = "caretree_node_clock_ahead_seconds"
HELD_BACK: Final = "caretree_node_blocks_ahead_of_clock_total"
# By how much a clock may seem off that is not: what was heard of the others is a moment old.
LEEWAY_S: Final = 5.0


@pytest.fixture(autouse=True)
def clocks_told_often(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(transport, "CLOCK_S", 0.1)


def shows(seat: Seat, seconds: float) -> bool:
    """Whether the seat's own metric says that its clock is so far ahead."""
    return abs(seat.metric(AHEAD) - seconds) < LEEWAY_S


async def write(seat: Seat, count: int) -> list[int]:
    """The block times of so many records, each certified."""
    times = []
    for number in range(count):
        answer = await add(seat, "C9", b"%d" % number)
        assert answer.entry.status is EntryStatus.CERTIFIED
        times.append(int(seat.parts.applier.head.time_ms))
    return times


@pytest.mark.parametrize("leads", [True, False], ids=["leading", "following"])
@pytest.mark.parametrize("hours", [1, -1])
async def test_commits_go_on_with_true_times_and_the_metric_of_the_wrong_clock_tells(
    tmp_path: Path, *, hours: int, leads: bool
) -> None:
    async with cluster(tmp_path) as seats:
        leader = await lead(seats, TOWN)
        wrong = leader if leads else others(seats, leader)[0]
        good = others(seats, wrong)
        await add(leader, "C9", b"before")
        await level(seats.values())

        wrong.clock.ahead_ms = hours * HOUR_MS

        await until(lambda: shows(wrong, hours * 3600))
        since = SystemClock().now_ms()
        times = [time for seat in good for time in await write(seat, 2)]
        for time in times:
            assert since - LEEWAY_S * 1000 < time < SystemClock().now_ms() + LEEWAY_S * 1000
        assert times == sorted(times)
        assert all(shows(seat, 0) for seat in good)
        assert all(seat.alive for seat in seats.values())
        if hours < 0 and not leads:
            # Behind, it holds its acknowledgements back, and says that too.
            await until(lambda: wrong.metric(HELD_BACK) > 0)
            assert wrong.logged("block time is ahead of this clock")
            wrong.clock.ahead_ms = 0
        else:
            assert wrong.metric(HELD_BACK) == 0
        await level(seats.values())
        assert all(seat.metric(HELD_BACK) == 0 for seat in good)


async def test_a_clock_that_was_behind_and_is_right_again_costs_nothing(tmp_path: Path) -> None:
    async with cluster(tmp_path) as seats:
        leader = await lead(seats, TOWN)
        wrong = others(seats, leader)[0]
        wrong.clock.ahead_ms = -HOUR_MS
        await until(lambda: shows(wrong, -3600))
        await write(leader, 3)
        wrong.clock.ahead_ms = 0
        await level(seats.values())
        await until(lambda: shows(wrong, 0))

        await add(wrong, "C9", b"after")

        assert contents(await history(wrong, "C9")) == [b"after"]
        assert contents(await history(leader, "C9")) == [b"2", b"1", b"0"]
