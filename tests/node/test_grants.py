"""Who reads what, before and after a grant: rules at every peer, keys behind the rules."""

import asyncio
from collections.abc import AsyncIterator
from dataclasses import replace

import pytest
import pytest_asyncio
from caretree.ledger.queries import custodian_state, grants_of
from caretree.ledger.values import Actor, EntryKind, Purpose, Role
from caretree.model.ids import RecordId
from caretree.model.reasons import Reason

from tests.ledger.builders import HOSPITAL, OFFICE, TOWN
from tests.node.asking import (
    DAY_MS,
    add,
    append,
    contents,
    grant,
    grant_command,
    history,
    history_command,
    patient_at,
    read,
    reason_of,
    refused,
    revoke,
    trail,
)
from tests.node.cluster import PHYSICIAN, Seat, Seats, cluster, level, record, soon, until

pytestmark = [pytest.mark.processes, pytest.mark.asyncio(loop_scope="module")]

NURSE = Actor(principal="ward-3", person="n-1", role=Role.NURSE)
REGISTRAR = Actor(principal="his", person="r-1", role=Role.REGISTRAR)
AUDITOR = Actor(principal="audit", person="", role=Role.AUDITOR)


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def seats(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Seats]:
    """One cluster for all tests of this module, each of which has patients of its own."""
    async with cluster(tmp_path_factory.mktemp("grants")) as running:
        yield running


def epoch_at(seat: Seat, card: str) -> int:
    state = custodian_state(seat.disk.store, patient_at(seat, card), seat.founder.member)
    assert state is not None
    return state.epoch


async def test_another_members_doctor_reads_after_the_grant_and_not_before(seats: Seats) -> None:
    town, hospital = seats[TOWN], seats[HOSPITAL]
    await add(town, "G1", b"first")
    await add(town, "G1", b"second")
    with refused(Reason.NOT_OPEN):
        await history(hospital, "G1")
    await grant(town, "G1", HOSPITAL)
    assert contents(await history(hospital, "G1")) == [b"second", b"first"]
    assert contents(await history(town, "G1")) == [b"second", b"first"]
    with refused(Reason.NOT_OPEN):
        await history(seats[OFFICE], "G1")


async def test_a_record_added_after_the_grant_is_open_too(seats: Seats) -> None:
    town, hospital = seats[TOWN], seats[HOSPITAL]
    await add(town, "G2", b"before")
    await grant(town, "G2", HOSPITAL)
    after = await add(town, "G2", b"after")
    assert contents(await history(hospital, "G2")) == [b"after", b"before"]
    assert (await read(hospital, after.record_id)).content == b"after"


@pytest.mark.parametrize(
    ("actor", "purpose"),
    [
        (NURSE, Purpose.TREATMENT),
        (PHYSICIAN, Purpose.PAYMENT),
        (PHYSICIAN, Purpose.PUBLIC_HEALTH),
    ],
)
async def test_a_grant_opens_to_its_roles_and_purpose_alone(
    seats: Seats, actor: Actor, purpose: Purpose
) -> None:
    card = f"G3-{actor.role.name}-{purpose.name}"
    await add(seats[TOWN], card)
    await grant(seats[TOWN], card, HOSPITAL)
    with refused(Reason.NOT_OPEN):
        await history(seats[HOSPITAL], card, actor=actor, purpose=purpose)
    assert len(await history(seats[HOSPITAL], card)) == 1


async def test_a_grant_to_a_principal_opens_to_that_one(seats: Seats) -> None:
    await add(seats[TOWN], "G4")
    await grant(seats[TOWN], "G4", HOSPITAL, roles=(), principals=("ward-3",))
    assert len(await history(seats[HOSPITAL], "G4", actor=NURSE)) == 1
    with refused(Reason.NOT_OPEN):
        await history(seats[HOSPITAL], "G4")


@pytest.mark.parametrize("actor", [REGISTRAR, AUDITOR])
async def test_who_keeps_books_never_reads_content(seats: Seats, actor: Actor) -> None:
    card = f"G5-{actor.role.name}"
    added = await add(seats[TOWN], card)
    with refused(Reason.ROLE_NOT_PERMITTED):
        await history(seats[TOWN], card, actor=actor)
    with refused(Reason.ROLE_NOT_PERMITTED):
        await read(seats[TOWN], added.record_id, actor=actor)


@pytest.mark.parametrize("actor", [NURSE, AUDITOR])
async def test_who_may_not_grant_gives_none(seats: Seats, actor: Actor) -> None:
    card = f"G6-{actor.role.name}"
    await add(seats[TOWN], card)
    with refused(Reason.ROLE_NOT_PERMITTED):
        await grant(seats[TOWN], card, HOSPITAL, actor=actor)
    assert grants_of(seats[TOWN].disk.store, patient_at(seats[TOWN], card)) == ()


async def test_who_may_not_add_adds_nothing(seats: Seats) -> None:
    town = seats[TOWN]
    (answer,) = await town.peer.append([record("G7", b"x", actor=AUDITOR)], deadline=soon())
    assert reason_of(answer) is Reason.ROLE_NOT_PERMITTED
    with refused(Reason.NOT_OPEN):
        await history(town, "G7")


async def test_a_grant_that_could_open_nothing_is_refused(seats: Seats) -> None:
    await add(seats[TOWN], "G8")
    with refused(Reason.GRANT_INVALID):
        await grant(seats[TOWN], "G8", TOWN)
    with refused(Reason.GRANT_INVALID):
        await grant(seats[TOWN], "G8", HOSPITAL, until_ms=1)
    with refused(Reason.GRANT_INVALID):
        await grant(seats[TOWN], "G8", HOSPITAL, roles=(), principals=())
    with refused(Reason.NO_RECORDS):
        await grant(seats[TOWN], "G8-nobody", HOSPITAL)
    with refused(Reason.NO_RECORDS):
        await grant(seats[OFFICE], "G8", HOSPITAL)


async def test_a_revoked_member_reads_nothing_and_holds_no_key_to_what_comes_after(
    seats: Seats,
) -> None:
    town, hospital = seats[TOWN], seats[HOSPITAL]
    await add(town, "G9", b"before")
    await grant(town, "G9", HOSPITAL)
    assert contents(await history(hospital, "G9")) == [b"before"]
    assert len(await revoke(town, "G9", HOSPITAL)) == 1
    with refused(Reason.NOT_OPEN):
        await history(hospital, "G9")
    await add(town, "G9", b"after")
    assert epoch_at(town, "G9") == 2
    with refused(Reason.NOT_OPEN):
        await history(hospital, "G9")

    await level(seats.values())
    whose = patient_at(hospital, "G9")
    assert hospital.parts.desk.keyrings.key(TOWN, whose, 1) is not None
    assert hospital.parts.desk.keyrings.key(TOWN, whose, 2) is None
    assert town.parts.desk.keyrings.key(TOWN, whose, 2) is not None
    assert contents(await history(town, "G9")) == [b"after", b"before"]
    with refused(Reason.UNKNOWN_GRANT):
        await revoke(town, "G9", HOSPITAL)


async def test_of_two_grantees_the_one_that_is_left_reads_what_comes_after(seats: Seats) -> None:
    town = seats[TOWN]
    await add(town, "G10", b"before")
    await grant(town, "G10", HOSPITAL)
    await grant(town, "G10", OFFICE)
    await revoke(town, "G10", HOSPITAL)
    await add(town, "G10", b"after")
    assert contents(await history(seats[OFFICE], "G10")) == [b"after", b"before"]
    with refused(Reason.NOT_OPEN):
        await history(seats[HOSPITAL], "G10")


async def test_closed_records_are_listed_to_who_has_standing(seats: Seats) -> None:
    await add(seats[TOWN], "G11", b"town's")
    await add(seats[HOSPITAL], "G11", b"hospital's")
    found = await history(seats[HOSPITAL], "G11")
    assert [(each.custodian, each.closed, each.content) for each in found] == [
        (HOSPITAL, False, b"hospital's"),
        (TOWN, True, b""),
    ]
    closed = found[1]
    assert closed.record_id is None
    assert closed.position is None
    await grant(seats[TOWN], "G11", HOSPITAL)
    assert contents(await history(seats[HOSPITAL], "G11")) == [b"hospital's", b"town's"]


async def test_an_unknown_patient_and_a_closed_one_give_the_same_error(seats: Seats) -> None:
    town, office = seats[TOWN], seats[OFFICE]
    added = await add(town, "G12")
    failures = []
    for card in ("G12", "G12-nobody"):
        with pytest.raises(Exception, match="open") as caught:
            await office.peer.history(history_command(card), deadline=soon())
        failures.append(caught.value)
    for record_id in (added.record_id, RecordId(b"n" * 16)):
        with pytest.raises(Exception, match="open") as caught:
            await read(office, record_id)
        failures.append(caught.value)
    assert len({(type(each), str(each), repr(vars(each))) for each in failures}) == 1


async def test_refused_attempts_are_entries_summed_by_actor(seats: Seats) -> None:
    office = seats[OFFICE]
    await add(seats[TOWN], "G13")
    stranger = replace(PHYSICIAN, person="dr-curious")
    for _ in range(3):
        with refused(Reason.NOT_OPEN):
            await history(office, "G13", actor=stranger)
    with refused(Reason.NOT_OPEN):
        await history(office, "G13-nobody", actor=stranger)
    office.clock.ahead_ms += 60_000  # the minute is over
    try:
        await until(lambda: any(e.actor == stranger for e in trail(seats[TOWN])))
    finally:
        office.clock.ahead_ms -= 60_000
    (event,) = [each for each in trail(seats[TOWN]) if each.actor == stranger]
    assert event.kind is EntryKind.DENIAL
    assert event.member == OFFICE
    assert event.count == 4
    assert len(event.pseudonyms) == 2
    assert trail(seats[TOWN], "G13")[0].kind is EntryKind.DENIAL


async def test_the_trail_tells_grant_reading_and_revoke(seats: Seats) -> None:
    await add(seats[TOWN], "G14")
    given = await grant(seats[TOWN], "G14", HOSPITAL)
    await history(seats[HOSPITAL], "G14")
    await revoke(seats[TOWN], "G14", HOSPITAL)
    await level(seats.values())
    told = [
        [(each.kind, each.member, each.actor, each.count) for each in trail(seat, "G14")]
        for seat in seats.values()
    ]
    assert told[0] == told[1] == told[2]
    assert told[0] == [
        (EntryKind.REVOKE, TOWN, PHYSICIAN, 0),
        (EntryKind.READING, HOSPITAL, PHYSICIAN, 1),
        (EntryKind.GRANT, TOWN, PHYSICIAN, 0),
        (EntryKind.KEYRING, TOWN, PHYSICIAN, 0),
    ]
    (grant_event,) = [e for e in trail(seats[OFFICE], "G14") if e.kind is EntryKind.GRANT]
    assert (grant_event.grant_id, grant_event.grantee) == (given.grant_id, HOSPITAL)


async def test_concurrent_first_records_of_a_patient_open_one_keyring_epoch(seats: Seats) -> None:
    town = seats[TOWN]
    answers = await asyncio.gather(*(add(town, "G15", b"%d" % n) for n in range(20)))
    assert len({answer.record_id for answer in answers}) == 20
    assert epoch_at(town, "G15") == 1
    keyrings = [each for each in trail(town, "G15") if each.kind is EntryKind.KEYRING]
    assert len(keyrings) == 1
    assert sorted(contents(await history(town, "G15"))) == sorted(b"%d" % n for n in range(20))


async def test_records_added_while_a_grant_is_taken_back_are_sealed_again(seats: Seats) -> None:
    town, hospital = seats[TOWN], seats[HOSPITAL]
    await add(town, "G16", b"first")
    for _ in range(3):
        await grant(town, "G16", HOSPITAL)
        before = len(contents(await history(town, "G16")))
        await asyncio.gather(
            *(append(town, record("G16", b"x"), record("G16", b"y")) for _ in range(4)),
            revoke(town, "G16", HOSPITAL),
            *(append(town, record("G16", b"z")) for _ in range(4)),
        )
        assert len(contents(await history(town, "G16"))) == before + 12
        with refused(Reason.NOT_OPEN):
            await history(hospital, "G16")
    await add(town, "G16", b"last")
    assert epoch_at(town, "G16") == 4
    keys = {hospital.parts.desk.keyrings.key(TOWN, patient_at(town, "G16"), e) for e in (4,)}
    assert keys == {None}


async def test_a_grant_runs_out_by_block_time(seats: Seats) -> None:
    town, hospital = seats[TOWN], seats[HOSPITAL]
    await add(town, "G17")
    until_ms = town.clock.now_ms() + DAY_MS
    await grant(town, "G17", HOSPITAL, until_ms=until_ms)
    assert len(await history(hospital, "G17")) == 1
    for seat in seats.values():
        seat.clock.ahead_ms += DAY_MS
    # No block has this time yet; the reading's own block is the first, and it is judged there.
    with refused(Reason.NOT_OPEN):
        await history(hospital, "G17")
    assert town.parts.applier.head.time_ms >= until_ms
    with refused(Reason.GRANT_INVALID):
        await town.peer.grant(grant_command("G17", HOSPITAL, until_ms=until_ms), deadline=soon())
