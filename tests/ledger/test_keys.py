"""Who opens what: paths to epoch keys, and records under them, with real sealing."""

from dataclasses import replace

import pytest
from caretree.crypto.aead import OpeningError
from caretree.ledger.authoring import Draft, keyring_context, open_record
from caretree.ledger.key_paths import EpochKey, key_path, open_key_path
from caretree.ledger.values import Record
from caretree.model.errors import MalformedError, VerificationError
from caretree.model.ids import MemberId

from tests.ledger.builders import HOSPITAL, OFFICE, TOWN
from tests.ledger.people import OTHER_PATIENT, PATIENT
from tests.ledger.worlds import World


class TestKeyPaths:
    """With real sealing: who can open what, by keys alone."""

    def opened(self, world: World, member: MemberId, epoch: int) -> EpochKey | None:
        """The town's key of that epoch, as the member comes to it."""
        context = keyring_context(world.rules.origin, TOWN, PATIENT)
        path = key_path(world.store, context, PATIENT, member=member, epoch=epoch)
        if path is None:
            return None
        sealing_key = world.consortium[member].sealing
        return open_key_path(path, context, custody=world.custody, sealing_key=sealing_key)

    def test_a_custodian_opens_every_epoch_directly(self) -> None:
        world, keys = rekeyed_world()
        context = keyring_context(world.rules.origin, TOWN, PATIENT)

        for number, key in enumerate(keys, start=1):
            path = key_path(world.store, context, PATIENT, member=TOWN, epoch=number)
            assert path is not None
            assert path.links == ()
            assert self.opened(world, TOWN, number) == key

    def test_a_grantee_of_a_later_epoch_opens_all_before_link_by_link(self) -> None:
        world, keys = rekeyed_world()
        world.take(TOWN, world.grant(TOWN, PATIENT, keys[-1], OFFICE))
        context = keyring_context(world.rules.origin, TOWN, PATIENT)

        path = key_path(world.store, context, PATIENT, member=OFFICE, epoch=1)

        assert path is not None
        assert [link.epoch for link in path.links] == [2, 1]
        assert [self.opened(world, OFFICE, number) for number in (1, 2, 3)] == keys

    # INV-25
    def test_a_revoked_grantee_never_opens_what_came_after(self) -> None:
        world, keys = rekeyed_world()

        opened = [self.opened(world, HOSPITAL, number) for number in (1, 2, 3)]
        assert opened == [keys[0], keys[1], None]

    def test_who_was_never_granted_anything_has_no_path(self) -> None:
        world, _ = rekeyed_world()

        assert [self.opened(world, OFFICE, number) for number in (1, 2, 3)] == [None] * 3

    def test_a_live_grantee_is_carried_into_the_next_epoch(self) -> None:
        world = World(quick=False)
        key = world.open_keyring(TOWN, PATIENT)
        revoked = world.new_id()
        world.take(TOWN, world.grant(TOWN, PATIENT, key, OFFICE))
        world.take(TOWN, world.grant(TOWN, PATIENT, key, HOSPITAL, grant_id=revoked))
        world.take(TOWN, world.revoke(TOWN, PATIENT, revoked))
        second = world.open_keyring(TOWN, PATIENT, previous=key)

        assert [self.opened(world, OFFICE, number) for number in (1, 2)] == [key, second]

    def test_another_members_sealing_key_does_not_open_the_path(self) -> None:
        world, _ = rekeyed_world()
        context = keyring_context(world.rules.origin, TOWN, PATIENT)
        path = key_path(world.store, context, PATIENT, member=TOWN, epoch=1)
        assert path is not None

        with pytest.raises(OpeningError):
            open_key_path(
                path,
                context,
                custody=world.custody,
                sealing_key=world.consortium[OFFICE].sealing,
            )

    def test_an_epoch_not_opened_yet_has_no_path(self) -> None:
        world, _ = rekeyed_world()

        assert self.opened(world, TOWN, 4) is None


def rekeyed_world() -> tuple[World, list[EpochKey]]:
    """The town's keyring in its third epoch; the hospital was given, and lost, the first two."""
    world = World(quick=False)
    keys = [world.open_keyring(TOWN, PATIENT)]
    grant_id = world.new_id()
    world.take(TOWN, world.grant(TOWN, PATIENT, keys[0], HOSPITAL, grant_id=grant_id))
    world.take(TOWN, world.revoke(TOWN, PATIENT, grant_id))
    keys.append(world.open_keyring(TOWN, PATIENT, previous=keys[0]))
    grant_id = world.new_id()
    again = world.grant(TOWN, PATIENT, keys[1], HOSPITAL, grant_id=grant_id)
    world.run(TOWN, again, world.revoke(TOWN, PATIENT, grant_id))
    keys.append(world.open_keyring(TOWN, PATIENT, previous=keys[1]))
    return world, keys


class TestOpening:
    def test_a_record_opens_to_the_content_it_was_made_of(self) -> None:
        world = World(quick=False)
        key = world.open_keyring(TOWN, PATIENT)
        draft = world.record(TOWN, PATIENT, key, content=b"what was found")

        assert open_draft(world, draft_parts(draft), key) == b"what was found"

    def test_the_key_payload_and_record_must_belong_together(self) -> None:
        world = World()
        key = world.open_keyring(TOWN, PATIENT)
        other_key = world.open_keyring(TOWN, OTHER_PATIENT)
        payload, record = draft_parts(world.record(TOWN, PATIENT, key))
        other_payload, other_record = draft_parts(world.record(TOWN, PATIENT, key))

        for wrong in (
            ((payload, record), other_key),
            ((other_payload, record), key),
            ((payload, other_record), key),
            ((payload, replace(record, custodian=HOSPITAL)), key),
            ((payload, replace(record, content_commitment=bytes(32))), key),
        ):
            with pytest.raises(VerificationError):
                open_draft(world, *wrong)

    def test_what_is_no_payload_is_malformed(self) -> None:
        world = World()
        key = world.open_keyring(TOWN, PATIENT)
        _, record = draft_parts(world.record(TOWN, PATIENT, key))

        with pytest.raises(MalformedError):
            open_draft(world, (b"\xff", record), key)

    # INV-24
    def test_no_draw_is_used_twice(self) -> None:
        world = World()
        key = world.open_keyring(TOWN, PATIENT)
        drafts = [world.record(TOWN, PATIENT, key, record_id=bytes(16)) for _ in range(8)]

        assert len({draft.opening.salt for draft in drafts}) == 8
        assert len({draft.opening.payload for draft in drafts}) == 8


def draft_parts(draft: Draft) -> tuple[bytes, Record]:
    assert draft.opening.payload is not None
    assert isinstance(draft.body.happening, Record)
    return draft.opening.payload, draft.body.happening


def open_draft(world: World, parts: tuple[bytes, Record], key: EpochKey) -> bytes:
    payload, record = parts
    return open_record(payload, record, key, world.rules.origin)
