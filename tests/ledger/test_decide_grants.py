"""Which keyrings, grants and revokes take effect, one claim at a time."""

from dataclasses import replace

import pytest
from caretree.ledger.queries import custodian_state, grants_of
from caretree.ledger.values import (
    Keyring,
    Outcome,
    Role,
)
from caretree.model.ids import MemberId

from tests.ledger.builders import HOSPITAL, OFFICE, TOWN
from tests.ledger.people import OTHER_PATIENT, PATIENT, actor, reader
from tests.ledger.worlds import HOUR_MS, World

UNKNOWN_GRANT_ID = bytes(15) + b"\x01"


class TestKeyrings:
    def test_the_first_epoch_applied_wins(self) -> None:
        world = World()
        first, _ = world.keyring(TOWN, PATIENT)
        second, _ = world.keyring(TOWN, PATIENT)

        assert world.run(TOWN, first, second) == (Outcome.APPLIED, Outcome.EPOCH_TAKEN)

    def test_an_epoch_follows_only_after_a_revoke(self) -> None:
        world = World()
        key = world.open_keyring(TOWN, PATIENT)

        draft, _ = world.keyring(TOWN, PATIENT, previous=key)

        assert world.outcome(TOWN, draft) is Outcome.EPOCH_TAKEN

    def test_after_a_revoke_the_next_epoch_names_the_one_before(self) -> None:
        world = World()
        key = world.closed_epoch(TOWN, PATIENT)
        skipping, _ = world.keyring(TOWN, PATIENT, previous=replace(key, epoch=2))
        foreign_key = world.open_keyring(TOWN, OTHER_PATIENT)
        foreign, _ = world.keyring(TOWN, PATIENT, previous=foreign_key)
        right, opened = world.keyring(TOWN, PATIENT, previous=key)

        outcomes = world.run(TOWN, skipping, foreign, right)

        assert outcomes == (Outcome.EPOCH_TAKEN, Outcome.EPOCH_TAKEN, Outcome.APPLIED)
        state = custodian_state(world.store, PATIENT, TOWN)
        assert state is not None
        assert (state.epoch, state.key_id, state.closed) == (2, opened.key_id, False)

    def test_another_members_keyring_is_not_opened(self) -> None:
        world = World()
        draft, _ = world.keyring(TOWN, PATIENT)

        stolen = world.entry(HOSPITAL, draft.body.happening)

        assert world.outcome(HOSPITAL, stolen) is Outcome.WRONG_CUSTODIAN

    def test_an_auditor_opens_no_keyring(self) -> None:
        world = World()
        draft, _ = world.keyring(TOWN, PATIENT, who=actor(Role.AUDITOR))

        assert world.outcome(TOWN, draft) is Outcome.NOT_PERMITTED

    @pytest.mark.parametrize("to", [(), (HOSPITAL,), (TOWN, HOSPITAL), (TOWN, OFFICE)])
    def test_a_first_epoch_is_sealed_to_its_custodian_alone(self, to: tuple[MemberId, ...]) -> None:
        world = World()
        draft, _ = world.keyring(TOWN, PATIENT, to=to)

        # Nobody at all is no keyring even as bytes.
        expected = Outcome.WRONG_GRANTEES if to else Outcome.MALFORMED
        assert world.outcome(TOWN, draft) is expected

    def test_a_next_epoch_is_sealed_to_every_live_grantee_and_no_revoked_one(self) -> None:
        world = World()
        key = world.open_keyring(TOWN, PATIENT)
        revoked = world.new_id()
        world.take(TOWN, world.grant(TOWN, PATIENT, key, HOSPITAL, grant_id=revoked))
        world.take(TOWN, world.grant(TOWN, PATIENT, key, OFFICE))
        world.take(TOWN, world.revoke(TOWN, PATIENT, revoked))

        without, _ = world.keyring(TOWN, PATIENT, previous=key, to=(TOWN,))
        revoked_too, _ = world.keyring(TOWN, PATIENT, previous=key, to=(TOWN, OFFICE, HOSPITAL))
        right, _ = world.keyring(TOWN, PATIENT, previous=key, to=(TOWN, OFFICE))

        assert world.run(TOWN, without, revoked_too, right) == (
            Outcome.WRONG_GRANTEES,
            Outcome.WRONG_GRANTEES,
            Outcome.APPLIED,
        )

    @pytest.mark.parametrize("to", [(TOWN,), (TOWN, HOSPITAL)])
    def test_a_grant_that_ran_out_may_still_be_served(self, to: tuple[MemberId, ...]) -> None:
        world = World()
        key = world.open_keyring(TOWN, PATIENT)
        world.take(TOWN, world.grant(TOWN, PATIENT, key, HOSPITAL))
        revoked = world.new_id()
        world.take(TOWN, world.grant(TOWN, PATIENT, key, OFFICE, grant_id=revoked))
        world.take(TOWN, world.revoke(TOWN, PATIENT, revoked))
        world.pass_time(2 * HOUR_MS)

        draft, _ = world.keyring(TOWN, PATIENT, previous=key, to=to)

        assert world.outcome(TOWN, draft) is Outcome.APPLIED

    def test_a_key_sealed_twice_to_one_member_is_malformed(self) -> None:
        world = World()
        draft, _ = world.keyring(TOWN, PATIENT)
        keyring = draft.body.happening
        assert isinstance(keyring, Keyring)
        doubled = replace(keyring, sealed_keys=keyring.sealed_keys * 2)

        assert world.outcome(TOWN, world.entry(TOWN, doubled)) is Outcome.MALFORMED


class TestGrants:
    def test_a_grant_opens_old_records_and_new(self) -> None:
        world = World()
        key = world.open_keyring(TOWN, PATIENT)
        world.take(TOWN, world.record(TOWN, PATIENT, key))
        world.take(TOWN, world.grant(TOWN, PATIENT, key, HOSPITAL))
        world.take(TOWN, world.record(TOWN, PATIENT, key))

        assert [item.is_open for item in world.page(reader(HOSPITAL), PATIENT)] == [True, True]

    def test_another_members_records_are_not_granted(self) -> None:
        world = World()
        key = world.open_keyring(TOWN, PATIENT)
        draft = world.grant(TOWN, PATIENT, key, OFFICE)

        stolen = world.entry(HOSPITAL, draft.body.happening)

        assert world.outcome(HOSPITAL, stolen) is Outcome.WRONG_CUSTODIAN

    @pytest.mark.parametrize("role", list(Role))
    def test_physicians_and_registrars_grant(self, role: Role) -> None:
        world = World()
        key = world.open_keyring(TOWN, PATIENT)

        outcome = world.outcome(TOWN, world.grant(TOWN, PATIENT, key, HOSPITAL, who=actor(role)))

        may = role in {Role.PHYSICIAN, Role.REGISTRAR}
        assert outcome is (Outcome.APPLIED if may else Outcome.NOT_PERMITTED)

    def test_a_grant_without_or_under_a_closed_epoch_is_refused(self) -> None:
        world = World()
        _, unopened = world.keyring(TOWN, OTHER_PATIENT)
        closed = world.closed_epoch(TOWN, PATIENT)

        without = world.grant(TOWN, OTHER_PATIENT, unopened, HOSPITAL)
        late = world.grant(TOWN, PATIENT, closed, HOSPITAL)

        assert world.run(TOWN, without, late) == (Outcome.EPOCH_CLOSED, Outcome.EPOCH_CLOSED)

    def test_a_grant_to_itself_or_to_a_stranger_is_invalid(self) -> None:
        world = World()
        key = world.open_keyring(TOWN, PATIENT)

        to_itself = world.grant(TOWN, PATIENT, key, TOWN)
        to_stranger = world.grant(TOWN, PATIENT, key, MemberId("stranger"))

        outcomes = world.run(TOWN, to_itself, to_stranger)
        assert outcomes == (Outcome.GRANT_INVALID, Outcome.GRANT_INVALID)

    def test_a_grant_that_lets_nobody_read_is_invalid(self) -> None:
        world = World()
        key = world.open_keyring(TOWN, PATIENT)
        rules = [
            world.rule(roles=()),
            world.rule(roles=(Role.AUDITOR, Role.REGISTRAR)),
            world.rule(for_ms=0),
        ]

        drafts = [world.grant(TOWN, PATIENT, key, HOSPITAL, rule=rule) for rule in rules]

        assert world.run(TOWN, *drafts) == (Outcome.GRANT_INVALID,) * 3

    def test_a_grant_id_is_used_once_for_a_patient(self) -> None:
        world = World()
        key = world.open_keyring(TOWN, PATIENT)
        grant_id = world.new_id()
        first = world.grant(TOWN, PATIENT, key, HOSPITAL, grant_id=grant_id)
        second = world.grant(TOWN, PATIENT, key, OFFICE, grant_id=grant_id)

        assert world.run(TOWN, first, second) == (Outcome.APPLIED, Outcome.GRANT_INVALID)


class TestRevokes:
    def test_a_revoke_marks_the_grant_and_closes_the_epoch(self) -> None:
        world = World()
        world.closed_epoch(TOWN, PATIENT)

        (grant,) = grants_of(world.store, PATIENT)
        state = custodian_state(world.store, PATIENT, TOWN)

        assert grant.revoked_ms == world.head.time_ms
        assert state is not None
        assert state.closed

    @pytest.mark.parametrize("role", list(Role))
    def test_physicians_and_registrars_revoke(self, role: Role) -> None:
        world = World()
        key = world.open_keyring(TOWN, PATIENT)
        grant_id = world.new_id()
        world.take(TOWN, world.grant(TOWN, PATIENT, key, HOSPITAL, grant_id=grant_id))

        outcome = world.outcome(TOWN, world.revoke(TOWN, PATIENT, grant_id, who=actor(role)))

        may = role in {Role.PHYSICIAN, Role.REGISTRAR}
        assert outcome is (Outcome.APPLIED if may else Outcome.NOT_PERMITTED)

    def test_only_the_members_own_standing_grant_of_that_patient_is_revoked(self) -> None:
        world = World()
        key = world.open_keyring(TOWN, PATIENT)
        world.open_keyring(HOSPITAL, PATIENT)
        grant_id = world.new_id()
        world.take(TOWN, world.grant(TOWN, PATIENT, key, HOSPITAL, grant_id=grant_id))

        unknown = world.revoke(TOWN, PATIENT, UNKNOWN_GRANT_ID)
        of_other = world.revoke(TOWN, OTHER_PATIENT, grant_id)
        by_other = world.revoke(HOSPITAL, PATIENT, grant_id)
        right = world.revoke(TOWN, PATIENT, grant_id)
        again = world.revoke(TOWN, PATIENT, grant_id)

        assert world.outcome(HOSPITAL, by_other) is Outcome.UNKNOWN_GRANT
        assert world.run(TOWN, unknown, of_other, right, again) == (
            Outcome.UNKNOWN_GRANT,
            Outcome.UNKNOWN_GRANT,
            Outcome.APPLIED,
            Outcome.UNKNOWN_GRANT,
        )

    def test_a_revoke_in_the_name_of_another_custodian_is_refused(self) -> None:
        world = World()
        key = world.open_keyring(TOWN, PATIENT)
        grant_id = world.new_id()
        world.take(TOWN, world.grant(TOWN, PATIENT, key, HOSPITAL, grant_id=grant_id))

        stolen = world.entry(HOSPITAL, world.revoke(TOWN, PATIENT, grant_id).body.happening)

        assert world.outcome(HOSPITAL, stolen) is Outcome.WRONG_CUSTODIAN
