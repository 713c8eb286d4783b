"""The same request takes effect once, however often and from wherever it is sent again."""

import asyncio
from collections.abc import AsyncIterator
from dataclasses import replace

import pytest
import pytest_asyncio
from caretree.ledger.queries import grants_of
from caretree.ledger.values import ReplaceReason, Replaces
from caretree.model.ids import RecordId
from caretree.model.reasons import Reason
from caretree.node.calls import AppendCommand, EntryStatus, Source

from tests.ledger.builders import HOSPITAL, OFFICE, TOWN
from tests.node.asking import (
    add,
    added,
    append,
    contents,
    grant_command,
    history,
    patient_at,
    reason_of,
    refused,
)
from tests.node.cluster import Seats, cluster, record, soon

pytestmark = [pytest.mark.processes, pytest.mark.asyncio(loop_scope="module")]


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def seats(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Seats]:
    """One cluster for all tests of this module, each of which has patients of its own."""
    async with cluster(tmp_path_factory.mktemp("repeats")) as running:
        yield running


def sourced(card: str, content: bytes, *, source_id: str, part: int = 0) -> AppendCommand:
    """A record that the record system names."""
    source = Source(system="urn:his", id=source_id, part=part)
    return replace(record(card, content), request_id=None, source=source)


async def test_the_same_content_again_gets_the_first_answer(seats: Seats) -> None:
    command = record("R1", b"x", request=b"request-1-------")
    (first,) = await append(seats[TOWN], command)
    (again,) = await append(seats[TOWN], command)
    assert not first.already_added
    assert again.already_added
    assert (again.record_id, again.entry.position) == (first.record_id, first.entry.position)
    assert again.entry.status is EntryStatus.CERTIFIED
    assert contents(await history(seats[TOWN], "R1")) == [b"x"]


@pytest.mark.parametrize(
    "changed",
    [
        record("R2", b"y", request=b"request-2-------"),
        record("R2-other", b"x", request=b"request-2-------"),
        replace(record("R2", b"x", request=b"request-2-------"), media_type="text/html"),
    ],
)
async def test_other_content_under_the_same_request_id_is_refused(
    seats: Seats, changed: AppendCommand
) -> None:
    await append(seats[TOWN], record("R2", b"x", request=b"request-2-------"))
    (answer,) = await seats[TOWN].peer.append([changed], deadline=soon())
    assert reason_of(answer) is Reason.REQUEST_ID_REUSED
    assert contents(await history(seats[TOWN], "R2")) == [b"x"]


async def test_request_ids_of_two_members_do_not_meet(seats: Seats) -> None:
    command = record("R3", b"x", request=b"request-3-------")
    for member in (TOWN, HOSPITAL, OFFICE):
        (answer,) = await append(seats[member], command)
        assert not answer.already_added


async def test_a_second_import_of_the_same_sources_adds_nothing(seats: Seats) -> None:
    commands = [sourced("R4", b"%d" % n, source_id="visit-1", part=n) for n in range(3)]
    first = await append(seats[TOWN], *commands)
    again = await append(seats[TOWN], *commands)
    assert [each.already_added for each in (*first, *again)] == [False] * 3 + [True] * 3
    assert [each.record_id for each in first] == [each.record_id for each in again]
    found = await history(seats[TOWN], "R4")
    assert len(found) == 3
    assert len({each.document_id for each in found}) == 1
    assert sorted(each.part for each in found) == [0, 1, 2]


async def test_other_content_under_the_same_source_id_is_refused(seats: Seats) -> None:
    await append(seats[TOWN], sourced("R5", b"x", source_id="visit-5"))
    (answer,) = await seats[TOWN].peer.append(
        [sourced("R5", b"y", source_id="visit-5")], deadline=soon()
    )
    assert reason_of(answer) is Reason.REQUEST_ID_REUSED


async def test_concurrent_duplicates_take_effect_once(seats: Seats) -> None:
    command = record("R6", b"x", request=b"request-6-------")
    calls = (append(seats[TOWN], command) for _ in range(12))
    answers = [answer for answers in await asyncio.gather(*calls) for answer in answers]
    assert sum(not answer.already_added for answer in answers) == 1
    assert len({answer.entry.position for answer in answers}) == 1
    assert contents(await history(seats[TOWN], "R6")) == [b"x"]


async def test_of_concurrent_rivals_for_one_request_id_one_takes_effect(seats: Seats) -> None:
    rivals = [record("R7", b"%d" % n, request=b"request-7-------") for n in range(6)]
    calls = (seats[TOWN].peer.append([rival], deadline=soon()) for rival in rivals)
    answers = [answer for answers in await asyncio.gather(*calls) for answer in answers]
    won = [n for n, answer in enumerate(answers) if not isinstance(answer, Exception)]
    assert len(won) == 1
    lost = [answer for n, answer in enumerate(answers) if n not in won]
    assert {reason_of(answer) for answer in lost} == {Reason.REQUEST_ID_REUSED}
    assert contents(await history(seats[TOWN], "R7")) == [b"%d" % won[0]]


async def test_duplicates_within_one_call_take_effect_once(seats: Seats) -> None:
    command = record("R8", b"x", request=b"request-8-------")
    first, second = await append(seats[TOWN], command, command)
    assert (first.already_added, second.already_added) == (False, True)
    assert first.entry.position == second.entry.position


async def test_a_wrong_record_of_a_call_does_not_keep_the_others_back(seats: Seats) -> None:
    replaces = Replaces(record_id=RecordId(b"n" * 16), reason=ReplaceReason.CORRECTED)
    wrong = replace(record("R9", b"wrong"), replaces=replaces)
    answers = await seats[TOWN].peer.append(
        [record("R9", b"a"), wrong, record("R9", b"b")], deadline=soon()
    )
    added(answers[0])
    assert reason_of(answers[1]) is Reason.UNKNOWN_RECORD
    added(answers[2])
    assert contents(await history(seats[TOWN], "R9")) == [b"b", b"a"]


async def test_a_record_takes_the_place_of_another(seats: Seats) -> None:
    first = await add(seats[TOWN], "R10", b"wrong dose")
    replaces = Replaces(record_id=first.record_id, reason=ReplaceReason.CORRECTED)
    (second,) = await append(seats[TOWN], replace(record("R10", b"right dose"), replaces=replaces))
    newest, older = await history(seats[TOWN], "R10")
    assert older.replaced_by == second.record_id == newest.record_id
    assert newest.replaced_by is None


async def test_the_same_grant_again_is_the_same_grant(seats: Seats) -> None:
    town = seats[TOWN]
    await add(town, "R11")
    command = grant_command("R11", HOSPITAL, request=b"grant-1---------")
    first = await town.peer.grant(command, deadline=soon())
    again = await town.peer.grant(command, deadline=soon())
    assert first.grant_id == again.grant_id
    assert first.entry.position == again.entry.position
    assert len(grants_of(town.disk.store, patient_at(town, "R11"))) == 1
    other = grant_command("R11", OFFICE, request=b"grant-1---------")
    with refused(Reason.REQUEST_ID_REUSED):
        await town.peer.grant(other, deadline=soon())
