"""Holding a block: bytes fit leaves, or the message was lost."""

from collections.abc import Callable
from dataclasses import replace

import pytest
from caretree.ledger.holding import (
    BATCH_BYTES_MAX,
    NotHeldError,
    check_batch_fits,
    hold_batch,
    hold_block,
    hold_genesis,
)
from caretree.ledger.leaves import encode_seal_leaf
from caretree.ledger.payloads import encode_payload, parse_payload
from caretree.ledger.values import Batch, Block, Opening, Outcome, Seal
from caretree.model.errors import MalformedError
from caretree.model.ids import Digest, Height, TimeMs
from caretree.model.limits import BLOCK_ENTRIES_MAX

from tests.ledger.builders import HOSPITAL, TOWN, found, founder
from tests.ledger.people import PATIENT
from tests.ledger.worlds import World

HOLE = Opening(salt=b"", body=None, payload=None)


def batch_of(world: World, count: int = 3) -> Batch:
    """A batch of a keyring and records under it."""
    draft, key = world.keyring(TOWN, PATIENT)
    return world.batch(TOWN, draft, *(world.record(TOWN, PATIENT, key) for _ in range(count - 1)))


def opened(batch: Batch, change: Callable[[Opening], Opening], at: int = 1) -> Batch:
    """The batch with one opening changed."""
    openings = list(batch.openings)
    openings[at] = change(openings[at])
    return replace(batch, openings=tuple(openings))


def refuse(world: World, block: Block, *, reason: str) -> NotHeldError:
    with pytest.raises(NotHeldError, match=reason) as refusal:
        world.hold(block)
    return refusal.value


def test_a_block_is_held_with_its_bodies_parsed() -> None:
    world = World()
    draft, key = world.keyring(TOWN, PATIENT)
    record = world.record(TOWN, PATIENT, key)
    other = world.denial(HOSPITAL, PATIENT)

    held = world.hold(world.block(world.batch(TOWN, draft, record), world.batch(HOSPITAL, other)))

    assert [entry.body for entry in held.entries] == [draft.body, record.body, other.body]
    assert [entry.place for entry in held.entries] == [0, 1, 2]
    assert held.recorded_outcomes is None


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        (lambda o: replace(o, salt=bytes(32)), "not what the leaf commits to"),
        (lambda o: replace(o, salt=bytes(31)), "salt"),
        (lambda o: replace(o, body=o.body + b"\x00"), "not what the leaf commits to"),
        (lambda o: replace(o, body=b""), "not what the leaf commits to"),
        (lambda o: replace(o, payload=None), "without its payload"),
        (lambda o: replace(o, payload=o.payload + b"\x00"), "payload"),
        (lambda o: replace(o, payload=None, payload_erased=True), "is missing"),
        (lambda _: HOLE, "is missing"),
    ],
)
def test_what_does_not_fit_its_leaf_is_not_held(
    change: Callable[[Opening], Opening], reason: str
) -> None:
    world = World()

    error = refuse(world, world.block(opened(batch_of(world), change)), reason=reason)

    assert error.place == 1


def test_another_ciphertext_is_not_held_and_another_wrapped_key_is() -> None:
    world = World()

    def change(opening: Opening, *, of: str) -> Opening:
        assert opening.payload is not None
        payload = parse_payload(opening.payload)
        parts = {"sealed_content": payload.sealed_content, "wrapped_key": payload.wrapped_key}
        parts[of] = parts[of][:-1] + bytes((parts[of][-1] ^ 1,))
        return replace(opening, payload=encode_payload(**parts))

    batch = batch_of(world)
    refuse(
        world,
        world.block(opened(batch, lambda o: change(o, of="sealed_content"))),
        reason="not what the body names",
    )
    # Wrapped keys stand beside the body undigested and may be replaced.
    world.hold(world.block(opened(batch, lambda o: change(o, of="wrapped_key"))))


def test_a_payload_that_no_record_names_is_not_held() -> None:
    world = World()
    batch = batch_of(world)
    payload = batch.openings[1].payload

    changes: tuple[Callable[[Opening], Opening], ...] = (
        lambda o: replace(o, payload=payload),
        lambda o: replace(o, payload_erased=True),
    )
    for change in changes:
        block = world.block(opened(batch, change, at=0))
        refuse(world, block, reason="no record names")


def test_a_seal_among_the_entries_is_not_held() -> None:
    world = World()
    seal = Seal(
        height=Height(1),
        time_ms=TimeMs(1),
        membership_epoch=1,
        ledger_version=1,
        block_hash=Digest(bytes(32)),
        map_root=bytes(32),
    )
    batch = batch_of(world)
    leaves = (encode_seal_leaf(seal), *batch.leaves[1:])

    refuse(world, replace_batch(world, replace(batch, leaves=leaves)), reason="leaf")


def test_openings_for_fewer_entries_are_not_held() -> None:
    world = World()
    batch = batch_of(world)

    refuse(world, replace_batch(world, replace(batch, openings=())), reason="openings")


def test_a_batch_of_another_author_does_not_fit_its_leaves() -> None:
    world = World()
    batch = replace(batch_of(world), author=world.consortium[HOSPITAL].peer.peer)

    refuse(world, replace_batch(world, batch), reason="not what the leaf commits to")


def test_a_body_that_does_not_parse_is_held_all_the_same() -> None:
    world = World()

    held = world.hold(world.block(world.batch(TOWN, world.unparsed(TOWN))))

    assert held.entries[0].body is None
    assert held.entries[0].opening.body == b"no body"


class TestHoles:
    @pytest.mark.parametrize("hole", [HOLE, None])
    def test_a_hole_is_held_where_one_may_be_with_the_outcomes(self, hole: Opening | None) -> None:
        world = World()
        batch = opened(
            batch_of(world), lambda o: hole or replace(o, payload=None, payload_erased=True)
        )
        block = world.block(batch)
        outcomes = (Outcome.APPLIED,) * 3

        held = hold_block(
            block,
            world.rules,
            recorded_outcomes=outcomes,
            holes_allowed=lambda height, place: (height, place) == (1, 1),
        )

        assert held.recorded_outcomes == outcomes
        assert (held.entries[1].body is None) == (hole is not None)

    def test_a_hole_elsewhere_is_not_held(self) -> None:
        world = World()
        block = world.block(opened(batch_of(world), lambda _: HOLE, at=2))

        with pytest.raises(NotHeldError, match="missing") as refusal:
            hold_block(
                block,
                world.rules,
                recorded_outcomes=(Outcome.APPLIED,) * 3,
                holes_allowed=lambda _, place: place == 1,
            )

        assert refusal.value.place == 2

    def test_a_hole_without_recorded_outcomes_is_not_held(self) -> None:
        world = World()
        block = world.block(opened(batch_of(world), lambda _: HOLE))

        with pytest.raises(NotHeldError, match="without recorded outcomes"):
            hold_block(block, world.rules, recorded_outcomes=None, holes_allowed=lambda *_: True)

    def test_recorded_outcomes_are_one_for_each_entry(self) -> None:
        world = World()

        with pytest.raises(NotHeldError, match="outcomes"):
            hold_block(
                world.block(batch_of(world)),
                world.rules,
                recorded_outcomes=(Outcome.APPLIED,) * 2,
                holes_allowed=lambda *_: True,
            )


class TestLeadersDoor:
    def test_a_batch_is_taken_with_its_entries_opened(self) -> None:
        world = World()
        batch = batch_of(world)

        assert [entry.place for entry in hold_batch(batch, world.rules)] == [0, 1, 2]

    def test_a_strangers_batch_is_refused(self) -> None:
        world = World()
        strangers = found([founder("elsewhere"), founder("nowhere")])
        batch = replace(batch_of(world), author=strangers.founders[0].peer.peer)

        with pytest.raises(NotHeldError, match="no peer of a member"):
            hold_batch(batch, world.rules)

    def test_a_batch_that_its_author_did_not_sign_is_refused(self) -> None:
        world = World()
        batch = batch_of(world)
        other = world.batch(TOWN, world.denial(TOWN, PATIENT))

        with pytest.raises(NotHeldError, match="signature"):
            hold_batch(replace(batch, signature=other.signature), world.rules)

    def test_a_malformed_body_is_named_by_its_field(self) -> None:
        world = World()

        with pytest.raises(MalformedError) as refusal:
            hold_batch(world.batch(TOWN, world.unparsed(TOWN)), world.rules)

        assert refusal.value.field == "body"

    @pytest.mark.parametrize("hole", [HOLE, None])
    def test_a_hole_is_refused(self, hole: Opening | None) -> None:
        world = World()
        batch = opened(
            batch_of(world), lambda o: hole or replace(o, payload=None, payload_erased=True)
        )

        with pytest.raises(NotHeldError, match="missing"):
            hold_batch(batch, world.rules)

    def test_a_batch_as_large_as_a_block_has_room_for_fits_and_one_byte_more_does_not(self) -> None:
        world = World()
        batch = batch_of(world)

        check_batch_fits(replace(batch, encoded=bytes(BATCH_BYTES_MAX)))
        with pytest.raises(NotHeldError, match="bytes"):
            check_batch_fits(replace(batch, encoded=bytes(BATCH_BYTES_MAX + 1)))

    def test_a_batch_of_as_many_entries_as_a_block_fits_and_one_more_does_not(self) -> None:
        world = World()
        batch = batch_of(world)
        leaf = batch.leaves[0]

        check_batch_fits(replace(batch, leaves=(leaf,) * BLOCK_ENTRIES_MAX))
        with pytest.raises(NotHeldError, match="entries"):
            check_batch_fits(replace(batch, leaves=(leaf,) * (BLOCK_ENTRIES_MAX + 1)))

    def test_the_largest_batch_makes_a_block(self) -> None:
        world = World()
        _, key = world.keyring(TOWN, PATIENT)
        drafts = [world.record(TOWN, PATIENT, key, content=bytes(250_000)) for _ in range(16)]
        room = BATCH_BYTES_MAX - len(world.batch(TOWN, *drafts).encoded)
        assert room >= 0

        hold_batch(world.batch(TOWN, *drafts), world.rules)
        world.hold(world.block(world.batch(TOWN, *drafts)))


def test_the_genesis_block_is_held_as_derived() -> None:
    world = World()

    held = hold_genesis(world.rules)

    assert held.entries[0].opening.body == world.rules.encoded
    assert held.recorded_outcomes == (Outcome.APPLIED,)


def replace_batch(world: World, batch: Batch) -> Block:
    """The next block with its one batch replaced by what no honest codec would build."""
    return replace(world.block(batch_of(World())), batches=(batch,))
