"""Which readings take effect, one claim at a time: the rule of access as apply keeps it."""

from collections.abc import Sequence

import pytest
from caretree.ledger.apply import Applied
from caretree.ledger.queries import grants_of
from caretree.ledger.values import (
    Outcome,
    Page,
    Purpose,
    Role,
)
from caretree.model.ids import RecordId

from tests.ledger.builders import HOSPITAL, OFFICE, TOWN
from tests.ledger.people import FIRST_PAGE, OTHER_PATIENT, PATIENT, TREATMENT, reader
from tests.ledger.worlds import World

UNKNOWN_RECORD_ID = RecordId(bytes(15) + b"\x01")


class TestReadings:
    def test_a_reading_of_exactly_what_is_open_takes_effect(self) -> None:
        world = World()
        key = world.open_keyring(TOWN, PATIENT)
        ids = [world.new_id() for _ in range(3)]
        for record_id in ids:
            world.take(TOWN, world.record(TOWN, PATIENT, key, record_id=record_id))

        world.take(TOWN, world.reading(reader(TOWN), PATIENT, ids[::-1]))

    def test_a_reading_that_misses_adds_or_reorders_a_record_is_stale(self) -> None:
        world = World()
        key = world.open_keyring(TOWN, PATIENT)
        older, newer = world.new_id(), world.new_id()
        for record_id in (older, newer):
            world.take(TOWN, world.record(TOWN, PATIENT, key, record_id=record_id))
        lists: tuple[list[bytes], ...] = (
            [newer],
            [older, newer],
            [newer, older, UNKNOWN_RECORD_ID],
            [],
        )

        drafts = [world.reading(reader(TOWN), PATIENT, ids) for ids in lists]

        assert world.run(TOWN, *drafts) == (Outcome.READING_STALE,) * len(lists)

    def test_a_reading_overtaken_by_a_record_is_stale(self) -> None:
        world = World()
        key = world.open_keyring(TOWN, PATIENT)
        world.take(TOWN, world.record(TOWN, PATIENT, key))
        reading = world.fresh_reading(reader(TOWN), PATIENT)
        overtaking = world.record(TOWN, PATIENT, key)

        assert world.run(TOWN, overtaking, reading) == (Outcome.APPLIED, Outcome.READING_STALE)

    def test_a_reading_of_one_record_names_that_one(self) -> None:
        world = World()
        key = world.open_keyring(TOWN, PATIENT)
        record_id = RecordId(world.new_id())
        world.take(TOWN, world.record(TOWN, PATIENT, key, record_id=record_id))

        empty = world.reading(reader(TOWN), PATIENT, [], scope=record_id)
        right = world.reading(reader(TOWN), PATIENT, [record_id], scope=record_id)

        assert world.run(TOWN, empty, right) == (Outcome.READING_STALE, Outcome.APPLIED)

    def test_one_record_that_is_unknown_or_anothers_is_unknown(self) -> None:
        world = World()
        key = world.open_keyring(TOWN, PATIENT)
        record_id = RecordId(world.new_id())
        world.take(TOWN, world.record(TOWN, PATIENT, key, record_id=record_id))

        drafts = [
            world.reading(reader(TOWN), PATIENT, [UNKNOWN_RECORD_ID], scope=UNKNOWN_RECORD_ID),
            world.reading(reader(TOWN), OTHER_PATIENT, [record_id], scope=record_id),
        ]

        assert world.run(TOWN, *drafts) == (Outcome.UNKNOWN_RECORD,) * 2

    def test_one_closed_record_is_not_open_even_to_who_holds_others(self) -> None:
        world = World()
        town_key = world.open_keyring(TOWN, PATIENT)
        record_id = RecordId(world.new_id())
        world.take(TOWN, world.record(TOWN, PATIENT, town_key, record_id=record_id))
        hospital_key = world.open_keyring(HOSPITAL, PATIENT)
        world.take(HOSPITAL, world.record(HOSPITAL, PATIENT, hospital_key))

        draft = world.reading(reader(HOSPITAL), PATIENT, [record_id], scope=record_id)

        assert world.outcome(HOSPITAL, draft) is Outcome.NOT_OPEN

    @pytest.mark.parametrize("role", [Role.REGISTRAR, Role.AUDITOR])
    def test_registrars_and_auditors_read_no_content_not_even_their_own(self, role: Role) -> None:
        world = World()
        key = world.open_keyring(TOWN, PATIENT)
        record_id = world.new_id()
        world.take(TOWN, world.record(TOWN, PATIENT, key, record_id=record_id))

        draft = world.reading(reader(TOWN, role=role), PATIENT, [record_id])

        assert world.outcome(TOWN, draft) is Outcome.NOT_PERMITTED

    def test_an_unknown_patient_and_a_closed_one_are_both_not_open(self) -> None:
        world = World()
        key = world.open_keyring(TOWN, PATIENT)
        world.take(TOWN, world.record(TOWN, PATIENT, key))

        drafts = [world.reading(reader(HOSPITAL), whose, []) for whose in (PATIENT, OTHER_PATIENT)]

        assert world.run(HOSPITAL, *drafts) == (Outcome.NOT_OPEN, Outcome.NOT_OPEN)

    def test_a_page_counts_closed_records(self) -> None:
        world = World()
        town_key = world.open_keyring(TOWN, PATIENT)
        hospital_key = world.open_keyring(HOSPITAL, PATIENT)
        town_id, hospital_id = world.new_id(), world.new_id()
        world.take(HOSPITAL, world.record(HOSPITAL, PATIENT, hospital_key, record_id=hospital_id))
        closed = world.take(TOWN, world.record(TOWN, PATIENT, town_key, record_id=town_id))
        newest_only = Page(before=FIRST_PAGE.before, size=1)
        below = Page(before=closed.leaf_index, size=1)

        drafts = [
            world.reading(reader(HOSPITAL), PATIENT, [hospital_id], scope=newest_only),
            world.reading(reader(HOSPITAL), PATIENT, [], scope=newest_only),
            world.reading(reader(HOSPITAL), PATIENT, [hospital_id], scope=below),
        ]

        outcomes = world.run(HOSPITAL, *drafts)
        assert outcomes == (Outcome.READING_STALE, Outcome.APPLIED, Outcome.APPLIED)


class TestGranteesReading:
    """The reader at another member: every way in which a grant may not fit."""

    def test_the_grantee_reads_what_was_granted(self) -> None:
        world, record_id, _ = granted_world()

        assert reads(world, record_id) is Outcome.APPLIED

    def test_nobody_reads_without_a_grant(self) -> None:
        world, record_id, _ = granted_world()
        stranger = reader(OFFICE)

        draft = world.reading(stranger, PATIENT, [record_id])

        assert world.outcome(OFFICE, draft) is Outcome.NOT_OPEN

    def test_another_role_does_not_read(self) -> None:
        world, record_id, _ = granted_world()

        assert reads(world, record_id, role=Role.NURSE) is Outcome.NOT_OPEN

    def test_another_purpose_does_not_read(self) -> None:
        world, record_id, _ = granted_world()

        assert reads(world, record_id, purpose=Purpose.PAYMENT) is Outcome.NOT_OPEN

    def test_a_named_principal_reads_and_another_does_not(self) -> None:
        world, record_id, _ = granted_world(roles=(), principals=("doctor-wang",))

        assert reads(world, record_id, principal="doctor-wang") is Outcome.APPLIED
        assert reads(world, record_id, principal="doctor-li") is Outcome.NOT_OPEN

    @pytest.mark.parametrize("role", [Role.AUDITOR, Role.REGISTRAR])
    def test_a_rule_does_not_make_readers_of_who_reads_no_content(self, role: Role) -> None:
        world, record_id, _ = granted_world(roles=(Role.PHYSICIAN, role))

        assert reads(world, record_id, role=role) is Outcome.NOT_PERMITTED

    def test_a_grant_is_dead_from_its_end_on_by_block_time(self) -> None:
        world, record_id, _ = granted_world()
        (grant,) = grants_of(world.store, PATIENT)
        draft = world.reading(reader(HOSPITAL), PATIENT, [record_id])
        batch = world.batch(HOSPITAL, draft)
        end = grant.rule.until_ms

        results = [world.try_block(world.block(batch, time_ms=ms)) for ms in (end - 1, end)]

        assert [r.outcomes for r in results if isinstance(r, Applied)] == [
            (Outcome.APPLIED,),
            (Outcome.NOT_OPEN,),
        ]

    def test_a_revoked_grant_opens_nothing_from_its_revoke_on(self) -> None:
        world, record_id, grant_id = granted_world()
        reading = world.reading(reader(HOSPITAL), PATIENT, [record_id])
        block = world.block(
            world.batch(TOWN, world.revoke(TOWN, PATIENT, grant_id)),
            world.batch(HOSPITAL, reading),
        )

        assert world.add_block(block).outcomes == (Outcome.APPLIED, Outcome.NOT_OPEN)

    def test_a_grant_is_one_patients_alone(self) -> None:
        world, _, _ = granted_world()
        key = world.open_keyring(TOWN, OTHER_PATIENT)
        record_id = world.new_id()
        world.take(TOWN, world.record(TOWN, OTHER_PATIENT, key, record_id=record_id))

        draft = world.reading(reader(HOSPITAL), OTHER_PATIENT, [record_id])

        assert world.outcome(HOSPITAL, draft) is Outcome.NOT_OPEN

    def test_who_was_granted_one_custodians_records_sees_anothers_as_closed(self) -> None:
        world, record_id, _ = granted_world()
        office_key = world.open_keyring(OFFICE, PATIENT)
        world.take(OFFICE, world.record(OFFICE, PATIENT, office_key))

        assert [item.is_open for item in world.page(reader(HOSPITAL), PATIENT)] == [False, True]
        assert reads(world, record_id) is Outcome.APPLIED

    def test_a_grant_by_who_has_no_record_gives_no_standing(self) -> None:
        world, _, _ = granted_world()
        office_key = world.open_keyring(OFFICE, OTHER_PATIENT)
        world.take(OFFICE, world.grant(OFFICE, OTHER_PATIENT, office_key, HOSPITAL))
        town_key = world.open_keyring(TOWN, OTHER_PATIENT)
        world.take(TOWN, world.record(TOWN, OTHER_PATIENT, town_key))

        draft = world.reading(reader(HOSPITAL), OTHER_PATIENT, [])

        assert world.outcome(HOSPITAL, draft) is Outcome.NOT_OPEN


def granted_world(
    *, roles: Sequence[Role] = (Role.PHYSICIAN,), principals: Sequence[str] = ()
) -> tuple[World, RecordId, bytes]:
    """A record of the town's, granted to the hospital: the world, the record's and grant's ids."""
    world = World()
    key = world.open_keyring(TOWN, PATIENT)
    record_id, grant_id = RecordId(world.new_id()), world.new_id()
    world.take(TOWN, world.record(TOWN, PATIENT, key, record_id=record_id))
    rule = world.rule(roles=roles, principals=principals)
    world.take(TOWN, world.grant(TOWN, PATIENT, key, HOSPITAL, rule=rule, grant_id=grant_id))
    return world, record_id, grant_id


def reads(
    world: World,
    record_id: RecordId,
    *,
    role: Role = Role.PHYSICIAN,
    principal: str = "doctor-li",
    purpose: Purpose = TREATMENT,
) -> Outcome:
    """The outcome of someone of the hospital reading that record."""
    by = reader(HOSPITAL, role=role, principal=principal, purpose=purpose)
    return world.outcome(HOSPITAL, world.reading(by, PATIENT, [record_id], scope=record_id))
