"""Which requests and records take effect, one claim at a time."""

from dataclasses import replace
from pathlib import Path

import pytest
from caretree.ledger.authoring import Request
from caretree.ledger.queries import first_answer, record_place
from caretree.ledger.values import (
    Outcome,
    ReplaceReason,
    Replaces,
    Role,
)
from caretree.model.ids import Digest, RecordId

from tests.ledger.builders import HOSPITAL, TOWN
from tests.ledger.people import OTHER_PATIENT, PATIENT, actor, patient, reader
from tests.ledger.worlds import World

UNKNOWN_ID = bytes(15) + b"\x01"


def other_digest(request: Request) -> Request:
    return replace(request, request_digest=Digest(bytes(32)))


class TestRequests:  # INV-11
    def test_the_same_request_again_is_a_duplicate_with_the_first_answer(self) -> None:
        world = World()
        key = world.open_keyring(TOWN, PATIENT)
        request = world.request()
        first = world.record(TOWN, PATIENT, key, request=request)
        position = world.take(TOWN, first)

        again = world.record(TOWN, PATIENT, key, request=request)

        assert world.outcome(TOWN, again) is Outcome.DUPLICATE
        answer = first_answer(world.store, TOWN, request.request_id)
        assert answer is not None
        assert answer.position == position
        assert answer.record_id == first.record_id

    def test_a_request_twice_in_one_block_takes_effect_once(self) -> None:
        world = World()
        key = world.open_keyring(TOWN, PATIENT)
        draft = world.record(TOWN, PATIENT, key)

        assert world.run(TOWN, draft, draft) == (Outcome.APPLIED, Outcome.DUPLICATE)

    def test_other_content_under_a_used_request_id_is_refused(self) -> None:
        world = World()
        key = world.open_keyring(TOWN, PATIENT)
        request = world.request()
        world.take(TOWN, world.record(TOWN, PATIENT, key, request=request))

        other = world.record(TOWN, PATIENT, key, request=other_digest(request))

        assert world.outcome(TOWN, other) is Outcome.REQUEST_ID_REUSED

    def test_members_do_not_share_request_ids(self) -> None:
        world = World()
        town_key = world.open_keyring(TOWN, PATIENT)
        hospital_key = world.open_keyring(HOSPITAL, PATIENT)
        request = world.request()
        world.take(TOWN, world.record(TOWN, PATIENT, town_key, request=request))

        world.take(HOSPITAL, world.record(HOSPITAL, PATIENT, hospital_key, request=request))

    def test_a_refused_request_may_be_made_again(self) -> None:
        world = World()
        draft, key = world.keyring(TOWN, PATIENT)
        request = world.request()
        early = world.record(TOWN, PATIENT, key, request=request)
        assert world.outcome(TOWN, early) is Outcome.EPOCH_CLOSED
        world.take(TOWN, draft)

        world.take(TOWN, world.record(TOWN, PATIENT, key, request=request))


class TestRecords:
    def test_a_record_for_another_custodian_is_refused(self) -> None:
        world = World()
        key = world.open_keyring(TOWN, PATIENT)
        draft = world.record(TOWN, PATIENT, key)

        stolen = world.entry(HOSPITAL, draft.body.happening, payload=draft.opening.payload)

        assert world.outcome(HOSPITAL, stolen) is Outcome.WRONG_CUSTODIAN

    def test_an_auditor_adds_nothing(self) -> None:
        world = World()
        key = world.open_keyring(TOWN, PATIENT)

        draft = world.record(TOWN, PATIENT, key, who=actor(Role.AUDITOR))

        assert world.outcome(TOWN, draft) is Outcome.NOT_PERMITTED

    @pytest.mark.parametrize("role", [role for role in Role if role is not Role.AUDITOR])
    def test_everyone_else_adds_records(self, role: Role) -> None:
        world = World()
        key = world.open_keyring(TOWN, PATIENT)

        world.take(TOWN, world.record(TOWN, PATIENT, key, who=actor(role)))

    def test_a_record_before_any_keyring_names_a_closed_epoch(self) -> None:
        world = World()
        _, key = world.keyring(TOWN, PATIENT)

        assert world.outcome(TOWN, world.record(TOWN, PATIENT, key)) is Outcome.EPOCH_CLOSED

    def test_a_record_under_another_epoch_or_key_is_refused(self) -> None:
        world = World()
        key = world.open_keyring(TOWN, PATIENT)
        other_key = world.open_keyring(TOWN, OTHER_PATIENT)

        later = world.record(TOWN, PATIENT, replace(key, epoch=2))
        foreign = world.record(TOWN, PATIENT, other_key)

        assert world.run(TOWN, later, foreign) == (Outcome.EPOCH_CLOSED, Outcome.EPOCH_CLOSED)

    def test_a_record_after_a_revoke_in_the_same_block_is_refused(self) -> None:
        world = World()
        key = world.open_keyring(TOWN, PATIENT)
        grant_id = world.new_id()
        world.take(TOWN, world.grant(TOWN, PATIENT, key, HOSPITAL, grant_id=grant_id))

        revoke = world.revoke(TOWN, PATIENT, grant_id)
        late = world.record(TOWN, PATIENT, key)

        assert world.run(TOWN, revoke, late) == (Outcome.APPLIED, Outcome.EPOCH_CLOSED)

    def test_a_record_id_is_given_once_in_the_consortium(self) -> None:
        world = World()
        town_key = world.open_keyring(TOWN, PATIENT)
        hospital_key = world.open_keyring(HOSPITAL, OTHER_PATIENT)
        record_id = world.new_id()
        world.take(TOWN, world.record(TOWN, PATIENT, town_key, record_id=record_id))

        again = world.record(HOSPITAL, OTHER_PATIENT, hospital_key, record_id=record_id)

        assert world.outcome(HOSPITAL, again) is Outcome.RECORD_EXISTS

    def test_a_replaced_record_says_by_what(self) -> None:
        world = World()
        key = world.open_keyring(TOWN, PATIENT)
        earlier, later = world.new_id(), world.new_id()
        world.take(TOWN, world.record(TOWN, PATIENT, key, record_id=earlier))
        replaces = Replaces(record_id=RecordId(earlier), reason=ReplaceReason.CORRECTED)

        world.take(TOWN, world.record(TOWN, PATIENT, key, record_id=later, replaces=replaces))

        view = world.page(reader(TOWN), PATIENT)
        assert [(item.row.record_id, item.row.replaced_by) for item in view] == [
            (later, None),
            (earlier, later),
        ]

    @pytest.mark.parametrize("reason", list(ReplaceReason))
    def test_only_a_wrong_patient_is_a_reason_to_replace_across_patients(
        self, reason: ReplaceReason
    ) -> None:
        world = World()
        key = world.open_keyring(TOWN, PATIENT)
        other_key = world.open_keyring(TOWN, OTHER_PATIENT)
        earlier = world.new_id()
        world.take(TOWN, world.record(TOWN, PATIENT, key, record_id=earlier))
        replaces = Replaces(record_id=RecordId(earlier), reason=reason)

        draft = world.record(TOWN, OTHER_PATIENT, other_key, replaces=replaces)

        allowed = reason is ReplaceReason.WRONG_PATIENT
        expected = Outcome.APPLIED if allowed else Outcome.UNKNOWN_RECORD
        assert world.outcome(TOWN, draft) is expected
        replaced_by = draft.record_id if allowed else None
        assert [item.row.replaced_by for item in world.page(reader(TOWN), PATIENT)] == [replaced_by]

    def test_another_custodians_record_is_not_replaced(self) -> None:
        world = World()
        town_key = world.open_keyring(TOWN, PATIENT)
        hospital_key = world.open_keyring(HOSPITAL, PATIENT)
        earlier = world.new_id()
        world.take(TOWN, world.record(TOWN, PATIENT, town_key, record_id=earlier))
        replaces = Replaces(record_id=RecordId(earlier), reason=ReplaceReason.WRONG_PATIENT)

        draft = world.record(HOSPITAL, PATIENT, hospital_key, replaces=replaces)

        assert world.outcome(HOSPITAL, draft) is Outcome.UNKNOWN_RECORD

    def test_a_record_that_is_not_there_is_not_replaced(self) -> None:
        world = World()
        key = world.open_keyring(TOWN, PATIENT)
        replaces = Replaces(record_id=RecordId(UNKNOWN_ID), reason=ReplaceReason.CORRECTED)

        draft = world.record(TOWN, PATIENT, key, replaces=replaces)

        assert world.outcome(TOWN, draft) is Outcome.UNKNOWN_RECORD

    def test_a_pseudonym_of_another_epoch_is_malformed(self) -> None:
        world = World()
        key = world.open_keyring(TOWN, PATIENT)
        stranger = replace(PATIENT, pseudonym_epoch=2)

        assert world.outcome(TOWN, world.record(TOWN, stranger, key)) is Outcome.MALFORMED


class TestOtherEntries:
    @pytest.mark.parametrize("role", list(Role))
    def test_a_denial_is_kept_whatever_the_role(self, role: Role) -> None:
        world = World()

        draft = world.denial(TOWN, PATIENT, patient("nobody"), who=actor(role))

        assert world.outcome(TOWN, draft) is Outcome.APPLIED

    def test_a_body_that_does_not_parse_is_malformed_and_takes_no_leaf(self) -> None:
        world = World()
        size = world.head.tree_size

        outcome = world.outcome(TOWN, world.unparsed(TOWN))

        assert outcome is Outcome.MALFORMED
        assert world.head.tree_size == size + 1  # the seal alone

    def test_refused_entries_take_no_leaf_and_leave_no_trace(self) -> None:
        world = World()
        key = world.open_keyring(TOWN, PATIENT)
        good, bad, also_good = (world.record(TOWN, PATIENT, key) for _ in range(3))
        bad = world.record(TOWN, PATIENT, replace(key, epoch=9))
        size = world.head.tree_size

        applied = world.add(TOWN, good, bad, also_good)

        indexes = [position and position.leaf_index for position in applied.positions]
        assert indexes == [size, None, size + 1]
        assert bad.record_id is not None
        assert record_place(world.store, bad.record_id) is None
        assert first_answer(world.store, TOWN, bad.body.request_id) is None


def test_every_outcome_is_reached_by_a_test() -> None:
    files = Path(__file__).parent.glob("test_decide_*.py")
    told = "".join(file.read_text(encoding="utf-8") for file in files)

    assert [o.name for o in Outcome if f"Outcome.{o.name}" not in told] == []
