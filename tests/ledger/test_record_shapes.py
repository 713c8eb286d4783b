"""Shapes of records' bodies: they give what the strict parser gives, to no other bytes."""

from collections.abc import Sequence
from dataclasses import replace

import pytest
from caretree.ledger.bodies import encode_body, parse_body, parse_body_strictly
from caretree.ledger.record_shapes import LAYOUTS_MAX, RecordShapes
from caretree.ledger.values import Actor, Body, Record, ReplaceReason, Replaces, Role
from caretree.model.ids import MemberId, RecordId
from hypothesis import given
from hypothesis import strategies as st

from tests.ledger.builders import HOSPITAL, TOWN
from tests.ledger.people import PATIENT, actor
from tests.ledger.worlds import World

KEY_TOWN = World().keyring(TOWN, PATIENT)[1]


def draft_body(number: int, *, member: MemberId = TOWN, who: Actor | None = None) -> Body:
    """A record's body; ids and digests differ by number."""
    world = World(seed=number + 1)
    for _ in range(number):
        world.new_id()
    return world.record(member, PATIENT, KEY_TOWN, who=who, content=bytes([number])).body


def record_of(body: Body) -> Record:
    assert isinstance(body.happening, Record)
    return body.happening


def taught(*bodies: Body) -> RecordShapes:
    shapes = RecordShapes()
    for body in bodies:
        shapes.learn(encode_body(body), body, encode_body)
    return shapes


NUMBERED = [draft_body(number) for number in range(8)]
KNOWN = taught(*NUMBERED)


def test_a_body_of_a_known_shape_is_the_one_that_the_parser_gives() -> None:
    shapes = taught(draft_body(0))

    for number in range(1, 6):
        body = draft_body(number)
        assert shapes.body_of(encode_body(body)) == body
    assert len(shapes) == 1


@pytest.mark.parametrize(
    "other",
    [
        draft_body(1, member=HOSPITAL),
        draft_body(1, who=actor(Role.NURSE)),
        draft_body(1, who=replace(actor(), person="dr-other")),
        replace(draft_body(1), happening=replace(record_of(draft_body(1)), part=1)),
        replace(draft_body(1), happening=replace(record_of(draft_body(1)), keyring_epoch=2)),
        replace(draft_body(1), happening=replace(record_of(draft_body(1)), media_type="text/x")),
        replace(
            draft_body(1), happening=replace(record_of(draft_body(1)), media_type="text/plaim")
        ),
    ],
    ids=["custodian", "role", "person", "part", "epoch", "shorter media type", "media type"],
)
def test_a_body_that_says_something_else_is_of_another_shape(other: Body) -> None:
    assert taught(draft_body(0)).body_of(encode_body(other)) is None
    assert taught(draft_body(0), other).body_of(encode_body(other)) == other


def test_a_record_that_replaces_one_leaves_no_shape() -> None:
    replaces = Replaces(record_id=RecordId(b"e" * 16), reason=ReplaceReason.CORRECTED)
    body = draft_body(0)

    shapes = taught(replace(body, happening=replace(record_of(body), replaces=replaces)))

    assert len(shapes) == 0


def test_fields_in_another_order_leave_no_shape_and_are_parsed_all_the_same() -> None:
    encoded = encode_body(draft_body(0))
    format_fields, request_id, rest = encoded[:4], encoded[4:22], encoded[22:]
    moved = request_id + format_fields + rest
    body = parse_body(moved)

    shapes = RecordShapes()
    shapes.learn(moved, body, encode_body)

    assert body == draft_body(0)
    assert len(shapes) == 0


@given(
    body=st.sampled_from(NUMBERED),
    flips=st.lists(st.tuples(st.integers(0, 400), st.integers(1, 255)), max_size=3),
    cut=st.integers(0, 3),
    more=st.binary(max_size=3),
)
def test_whatever_the_bytes_a_shape_never_contradicts_the_parser(
    body: Body, flips: Sequence[tuple[int, int]], cut: int, more: bytes
) -> None:
    changed = bytearray(encode_body(body))
    for at, bits in flips:
        changed[at % len(changed)] ^= bits
    encoded = bytes(changed[: len(changed) - cut]) + more

    known = KNOWN.body_of(encoded)

    if known is not None:
        assert known == parse_body_strictly(encoded)


def test_every_byte_of_a_body_is_a_fields_or_belongs_to_its_shape() -> None:
    encoded = encode_body(draft_body(1))
    told = [
        (at, KNOWN.body_of(encoded[:at] + bytes((encoded[at] ^ 1,)) + encoded[at + 1 :]))
        for at in range(len(encoded))
    ]

    for at, known in told:
        changed = encoded[:at] + bytes((encoded[at] ^ 1,)) + encoded[at + 1 :]
        assert known is None or known == parse_body_strictly(changed) != draft_body(1)
    assert sum(known is not None for _, known in told) == 16 + 32 + 16 + 4 * 32 + 16


def test_it_begins_anew_when_it_is_full() -> None:
    shapes = RecordShapes(shapes_max=3)
    for part in range(8):
        body = replace(draft_body(0), happening=replace(record_of(draft_body(0)), part=part))
        shapes.learn(encode_body(body), body, encode_body)
        assert len(shapes) <= 3
        assert shapes.body_of(encode_body(body)) == body


def test_few_layouts_are_kept_for_one_length() -> None:
    shapes = RecordShapes()
    for length in range(1, LAYOUTS_MAX + 3):
        record = record_of(draft_body(0))
        names = replace(record, custodian=MemberId("a" * length), media_type="b" * (20 - length))
        body = replace(draft_body(0), happening=names)
        shapes.learn(encode_body(body), body, encode_body)

    assert len(shapes) == LAYOUTS_MAX
