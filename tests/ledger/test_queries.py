"""What a reader, an auditor and a grantee are shown."""

from dataclasses import replace

import pytest
from caretree.ledger.queries import (
    NO_VIEW,
    custodians_of,
    first_answer,
    grants_of,
    history_page,
    live_grantees,
    patient_trail_page,
    record_place,
    record_view,
    trail_page,
)
from caretree.ledger.values import EntryKind, Page, Patient, Purpose, Role
from caretree.model.ids import RecordId
from caretree.storage.keys import Table

from tests.ledger.builders import HOSPITAL, OFFICE, TOWN
from tests.ledger.people import FIRST_PAGE, OTHER_PATIENT, PATIENT, reader
from tests.ledger.worlds import HOUR_MS, World


class TestHistory:
    def test_pages_join_to_the_whole_newest_first(self) -> None:
        world = World()
        key = world.open_keyring(TOWN, PATIENT)
        ids = [world.new_id() for _ in range(7)]
        for record_id in ids:
            world.take(TOWN, world.record(TOWN, PATIENT, key, record_id=record_id))
        found: list[bytes] = []
        sizes: list[int] = []
        before = FIRST_PAGE.before
        while True:
            page = Page(before=before, size=3)
            view = history_page(world.store, reader(TOWN), PATIENT, page, world.next_ms)
            found.extend(view.open_ids)
            sizes.append(len(view.items))
            if view.next_before is None:
                break
            before = view.next_before

        assert found == ids[::-1]
        assert sizes == [3, 3, 1]

    def test_a_full_last_page_has_no_next(self) -> None:
        world = World()
        key = world.open_keyring(TOWN, PATIENT)
        world.run(TOWN, *(world.record(TOWN, PATIENT, key) for _ in range(3)))

        view = history_page(
            world.store, reader(TOWN), PATIENT, replace(FIRST_PAGE, size=3), world.next_ms
        )

        assert len(view.items) == 3
        assert view.next_before is None

    def test_an_unknown_patient_and_a_closed_one_give_the_same(self) -> None:
        world = World()
        key = world.open_keyring(TOWN, PATIENT)
        world.take(TOWN, world.record(TOWN, PATIENT, key))

        views = [
            history_page(world.store, reader(OFFICE), whose, FIRST_PAGE, world.next_ms)
            for whose in (PATIENT, OTHER_PATIENT)
        ]

        assert views == [NO_VIEW, NO_VIEW]

    def test_a_custodian_of_the_patient_is_told_of_closed_records(self) -> None:
        world = World()
        town_key = world.open_keyring(TOWN, PATIENT)
        hospital_key = world.open_keyring(HOSPITAL, PATIENT)
        world.take(TOWN, world.record(TOWN, PATIENT, town_key))
        assert world.page(reader(HOSPITAL), PATIENT) == ()

        world.take(HOSPITAL, world.record(HOSPITAL, PATIENT, hospital_key))

        items = world.page(reader(HOSPITAL), PATIENT)
        assert [(item.row.custodian, item.is_open) for item in items] == [
            (HOSPITAL, True),
            (TOWN, False),
        ]

    def test_a_members_own_persons_read_for_any_purpose(self) -> None:
        world = World()
        key = world.open_keyring(TOWN, PATIENT)
        world.take(TOWN, world.record(TOWN, PATIENT, key))

        for role in (Role.PHYSICIAN, Role.NURSE, Role.LABORATORY):
            for purpose in Purpose:
                own = reader(TOWN, role=role, purpose=purpose)
                assert [item.is_open for item in world.page(own, PATIENT)] == [True]

    @pytest.mark.parametrize("role", [Role.AUDITOR, Role.REGISTRAR])
    def test_who_reads_no_content_is_shown_no_history(self, role: Role) -> None:
        world = World()
        key = world.open_keyring(TOWN, PATIENT)
        world.take(TOWN, world.record(TOWN, PATIENT, key))

        view = history_page(
            world.store, reader(TOWN, role=role), PATIENT, FIRST_PAGE, world.next_ms
        )

        assert view == NO_VIEW

    def test_one_record_is_viewed_by_its_patient_only(self) -> None:
        world = World()
        key = world.open_keyring(TOWN, PATIENT)
        record_id = RecordId(world.new_id())
        world.take(TOWN, world.record(TOWN, PATIENT, key, record_id=record_id))

        def view(whose: Patient, which: RecordId) -> bool | None:
            item = record_view(world.store, reader(TOWN), whose, which, world.next_ms)
            return None if item is None else item.is_open

        assert view(PATIENT, record_id) is True
        assert view(OTHER_PATIENT, record_id) is None
        assert view(PATIENT, RecordId(bytes(16))) is None

    def test_a_keyring_alone_makes_no_custodian(self) -> None:
        world = World()
        key = world.open_keyring(TOWN, PATIENT)
        assert custodians_of(world.store, PATIENT) == frozenset()

        world.take(TOWN, world.record(TOWN, PATIENT, key))

        assert custodians_of(world.store, PATIENT) == {TOWN}


class TestGrants:
    def test_grants_are_told_oldest_first(self) -> None:
        world = World()
        key = world.open_keyring(TOWN, PATIENT)
        ids = [world.new_id() for _ in range(5)]
        for grant_id in ids:
            world.take(TOWN, world.grant(TOWN, PATIENT, key, HOSPITAL, grant_id=grant_id))

        assert [grant.grant_id for grant in grants_of(world.store, PATIENT)] == ids
        assert grants_of(world.store, OTHER_PATIENT) == ()

    def test_live_grantees_are_those_of_one_custodian_at_one_time(self) -> None:
        world = World()
        key = world.open_keyring(TOWN, PATIENT)
        office_key = world.open_keyring(OFFICE, PATIENT)
        rule = world.rule(for_ms=HOUR_MS)
        world.take(TOWN, world.grant(TOWN, PATIENT, key, HOSPITAL, rule=rule))
        world.take(OFFICE, world.grant(OFFICE, PATIENT, office_key, TOWN))

        assert live_grantees(world.store, PATIENT, TOWN, world.next_ms) == {HOSPITAL}
        assert live_grantees(world.store, PATIENT, TOWN, rule.until_ms) == frozenset()


class TestTrail:
    def test_it_tells_every_entry_but_records_newest_first(self) -> None:
        world = World()
        key = world.open_keyring(TOWN, PATIENT)
        world.take(TOWN, world.record(TOWN, PATIENT, key))
        grant_id = world.new_id()
        world.take(TOWN, world.grant(TOWN, PATIENT, key, HOSPITAL, grant_id=grant_id))
        world.take(HOSPITAL, world.fresh_reading(reader(HOSPITAL), PATIENT))
        world.take(TOWN, world.revoke(TOWN, PATIENT, grant_id))
        world.take(OFFICE, world.denial(OFFICE, OTHER_PATIENT))

        kinds = [item.kind for item in trail_page(world.store, FIRST_PAGE).items]
        of_patient = patient_trail_page(world.store, PATIENT, FIRST_PAGE)
        of_other = patient_trail_page(world.store, OTHER_PATIENT, FIRST_PAGE)

        expected = [EntryKind.REVOKE, EntryKind.READING, EntryKind.GRANT, EntryKind.KEYRING]
        assert kinds == [EntryKind.DENIAL, *expected, EntryKind.GENESIS]
        assert [item.kind for item in of_patient.items] == expected
        assert [item.kind for item in of_other.items] == [EntryKind.DENIAL]

    def test_a_denial_stands_in_the_trail_of_each_patient_it_names(self) -> None:
        world = World()
        world.take(OFFICE, world.denial(OFFICE, PATIENT, OTHER_PATIENT))

        for whose in (PATIENT, OTHER_PATIENT):
            assert len(patient_trail_page(world.store, whose, FIRST_PAGE).items) == 1


def test_a_record_and_its_request_lead_to_one_position() -> None:
    world = World()
    key = world.open_keyring(TOWN, PATIENT)
    draft = world.record(TOWN, PATIENT, key)
    position = world.take(TOWN, draft)

    assert draft.record_id is not None
    place = record_place(world.store, draft.record_id)
    answer = first_answer(world.store, TOWN, draft.body.request_id)

    assert place is not None
    assert (place.position, place.custodian, place.pseudonym) == (
        position,
        TOWN,
        PATIENT.pseudonym,
    )
    assert answer is not None
    assert (answer.position, answer.record_id) == (position, draft.record_id)
    assert first_answer(world.store, HOSPITAL, draft.body.request_id) is None


def test_no_row_key_shows_a_pseudonym() -> None:
    world = World()
    key = world.open_keyring(TOWN, PATIENT)
    grant_id = world.new_id()
    world.take(TOWN, world.record(TOWN, PATIENT, key))
    world.take(TOWN, world.grant(TOWN, PATIENT, key, HOSPITAL, grant_id=grant_id))
    world.take(HOSPITAL, world.fresh_reading(reader(HOSPITAL), PATIENT))
    world.take(TOWN, world.revoke(TOWN, PATIENT, grant_id))
    world.take(HOSPITAL, world.denial(HOSPITAL, PATIENT))
    pseudonym = bytes(PATIENT.pseudonym)

    for table in Table:
        for row_key, value in world.store.scan(table):
            assert pseudonym not in row_key
            if not table.encrypted:
                assert pseudonym not in value, table
