"""Leadership handed over, on command and on a stop, while records come in."""

import asyncio
from collections import Counter
from pathlib import Path

import pytest
from caretree.model.ids import MemberId, PeerId
from caretree.model.reasons import CallError, Reason
from caretree.node.calls import AppendAnswer
from caretree.telemetry.health import HealthState

from tests.ledger.builders import HOSPITAL, OFFICE, TOWN
from tests.node.asking import append, contents, history, refused
from tests.node.cluster import Seats, cluster, leader_of, level, record, soon, until
from tests.node.steering import lead

pytestmark = [pytest.mark.processes, pytest.mark.asyncio]

GAP_S = 1.0


class Writer:
    """Adds records one after another at the town, and notes when each was answered."""

    def __init__(self, seats: Seats, card: str) -> None:
        self._town = seats[TOWN]
        self._card = card
        self._going = True
        self.acknowledged: list[bytes] = []
        self.failed: list[Reason] = []
        self.answered_at: list[float] = []

    async def run(self) -> None:
        number = 0
        while self._going:
            content = b"%d" % number
            number += 1
            command = record(self._card, content)
            while True:
                try:
                    (answer,) = await self._town.peer.append([command], deadline=soon(5))
                except CallError as error:
                    answer = error
                if isinstance(answer, AppendAnswer):
                    break
                self.failed.append(answer.reason)
                await asyncio.sleep(0.02)
            self.acknowledged.append(content)
            self.answered_at.append(asyncio.get_running_loop().time())

    def stop(self) -> None:
        self._going = False

    @property
    def longest_gap_s(self) -> float:
        pairs = zip(self.answered_at, self.answered_at[1:], strict=False)
        return max(after - before for before, after in pairs)


async def test_transfers_under_load_leave_no_gap_above_a_second_and_lose_nothing(
    tmp_path: Path,
) -> None:
    async with cluster(tmp_path) as seats:
        await lead(seats, TOWN)
        writer = Writer(seats, "T1")
        writing = asyncio.create_task(writer.run())
        for member in (HOSPITAL, OFFICE, TOWN, OFFICE):
            await asyncio.sleep(0.15)
            leader = await leader_of(seats)
            target = seats[member].peer_id
            assert await leader.peer.transfer_leadership(target, deadline=soon()) == target
        await asyncio.sleep(0.2)
        writer.stop()
        await writing
        assert writer.longest_gap_s <= GAP_S
        assert len(writer.acknowledged) > 20
        found = Counter(contents(await history(seats[TOWN], "T1")))
        assert found == Counter(writer.acknowledged[-100:])


@pytest.mark.parametrize("stopping", [TOWN, HOSPITAL])
async def test_a_leader_that_stops_hands_over_first(tmp_path: Path, stopping: MemberId) -> None:
    async with cluster(tmp_path) as seats:
        leader = await lead(seats, stopping)
        term = leader.parts.consensus.raft.term
        author = seats[HOSPITAL if stopping == TOWN else TOWN]
        await append(author, *(record("T2", b"%d" % n) for n in range(10)))
        started = asyncio.get_running_loop().time()
        await leader.stop()
        new = await leader_of(seats)
        assert asyncio.get_running_loop().time() - started <= GAP_S
        assert new.parts.consensus.raft.term == term + 1  # handed over, not waited for
        assert leader.settings.health.report.state is HealthState.STOPPING
        await append(author, record("T2", b"after"))
        await leader.start()
        await level(seats.values())
        assert len(await history(author, "T2")) == 11


async def test_entries_on_their_way_are_finished_before_a_stop(tmp_path: Path) -> None:
    async with cluster(tmp_path) as seats:
        town = seats[TOWN]
        await leader_of(seats)
        calls = [asyncio.create_task(append(town, record("T3", b"%d" % n))) for n in range(20)]
        await asyncio.sleep(0)
        await town.stop()
        answers = await asyncio.gather(*calls, return_exceptions=True)
        assert not [each for each in answers if isinstance(each, BaseException)]
        await town.start()
        await until(lambda: not town.parts.author.stuck())
        await leader_of(seats)
        await append(town, record("T3", b"again"))
        assert len(await history(town, "T3")) == 21


async def test_leadership_goes_to_voters_that_can_be_reached_alone(tmp_path: Path) -> None:
    async with cluster(tmp_path) as seats:
        leader = await lead(seats, TOWN)
        with refused(Reason.UNKNOWN_PEER):
            await leader.peer.transfer_leadership(PeerId(12345), deadline=soon())
        await seats[OFFICE].kill()
        with refused(Reason.UNFINISHED_TRANSFER):
            await leader.peer.transfer_leadership(seats[OFFICE].peer_id, deadline=soon(0.3))
        assert await leader.peer.transfer_leadership(None, deadline=soon()) == (
            seats[HOSPITAL].peer_id
        )
        await append(leader, record("T4", b"x"))
