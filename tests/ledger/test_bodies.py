from collections.abc import Callable
from dataclasses import replace

import pytest
from caretree.ledger.bodies import encode_body, kind_of, parse_body
from caretree.ledger.values import (
    Actor,
    EntryKind,
    Happening,
    Role,
)
from caretree.model.errors import MalformedError
from caretree.proto.ledger.v1 import block_pb2, body_pb2, genesis_pb2, receipt_pb2
from hypothesis import given
from hypothesis import strategies as st

from tests.ledger.samples import (
    DENIAL,
    GRANT,
    HAPPENINGS,
    NEXT_KEYRING,
    PAGE_READING,
    RECORD,
    body_of,
    short_hash,
)

KNOWN_HASHES = {
    "record": "deb5936d21b8055595940cf9918fecc8",
    "replacing record": "eba58d0f3b22c56a726f0f8bc52db613",
    "first keyring": "90c8a28eecf710813db29e13a9f40519",
    "next keyring": "99c5ae2cb65171b5a92988111134dc6f",
    "grant": "f19f4e968845b27c8076d1a8a0236468",
    "revoke": "2d385b1a86c82a5479ca37f89e388735",
    "page reading": "331e5df60561bf272b952fbe2a2f6b0c",
    "record reading": "b3ed51e2f1ac374910d66b1ed805bea1",
    "denial": "1cabf1c4a903d3376276d74cc613487d",
}

Edit = Callable[[body_pb2.Body], object]


def edited(happening: Happening, edit: Edit) -> bytes:
    """The bytes of a body after a change to its message."""
    message = body_pb2.Body.FromString(encode_body(body_of(happening)))
    edit(message)
    return message.SerializeToString()


@pytest.mark.parametrize("name", HAPPENINGS)
def test_the_bytes_of_every_kind_are_what_they_were(name: str) -> None:
    assert short_hash(encode_body(body_of(HAPPENINGS[name]))) == KNOWN_HASHES[name]


@pytest.mark.parametrize("name", HAPPENINGS)
def test_every_kind_is_read_back_as_written(name: str) -> None:
    body = body_of(HAPPENINGS[name])

    assert parse_body(encode_body(body)) == body


def test_every_kind_but_genesis_has_a_body() -> None:
    kinds = {kind_of(happening) for happening in HAPPENINGS.values()}

    assert kinds == set(EntryKind) - {EntryKind.GENESIS}


def test_a_principal_that_is_a_person_names_no_other() -> None:
    body = replace(
        body_of(RECORD), actor=Actor(principal="dr-wang", person="", role=Role.PHYSICIAN)
    )

    assert parse_body(encode_body(body)) == body


UNKNOWN_FIELD = b"\xc2\x3e\x01x"  # field 1000, one byte


@pytest.mark.parametrize(
    "hidden",
    [
        UNKNOWN_FIELD,
        b"\x08\x01",  # the version once more
        b"\x82\x01\x01x",  # field 16, kept for LINK
        b"\x52\x00",  # the record once more, empty
        b"\x5a\x00",  # a second kind
    ],
)
def test_bytes_behind_the_known_fields_are_refused(hidden: bytes) -> None:
    with pytest.raises(MalformedError):
        parse_body(encode_body(body_of(RECORD)) + hidden)


def test_unknown_fields_are_refused_inside_nested_messages() -> None:
    def hide_in_patient(message: body_pb2.Body) -> None:
        message.record.patient.MergeFromString(UNKNOWN_FIELD)

    def hide_in_sealed_key(message: body_pb2.Body) -> None:
        message.keyring.sealed_keys[0].MergeFromString(UNKNOWN_FIELD)

    for happening, hide in ((RECORD, hide_in_patient), (NEXT_KEYRING, hide_in_sealed_key)):
        with pytest.raises(MalformedError, match="no unknown, repeated or redundant"):
            parse_body(edited(happening, hide))


def test_a_stretched_number_is_refused() -> None:
    encoded = encode_body(body_of(RECORD))
    assert encoded.startswith(b"\x08\x01")

    with pytest.raises(MalformedError, match="redundant"):
        parse_body(b"\x08\x81\x00" + encoded[2:])


def test_the_order_of_fields_does_not_matter() -> None:
    encoded = encode_body(body_of(RECORD))

    assert parse_body(encoded[2:] + encoded[:2]) == body_of(RECORD)


REFUSED: dict[str, tuple[Happening, Edit, str]] = {
    "newer version": (RECORD, lambda m: setattr(m, "version", 2), "body.version"),
    "no version": (RECORD, lambda m: m.ClearField("version"), "body.version"),
    "other suite": (RECORD, lambda m: setattr(m, "suite", 2), "body.suite"),
    "request id": (RECORD, lambda m: setattr(m, "request_id", b"x" * 15), "request_id"),
    "digest": (RECORD, lambda m: setattr(m, "request_digest", b"x" * 33), "request_digest"),
    "nothing happened": (RECORD, lambda m: m.ClearField("record"), "entry"),
    "no actor": (RECORD, lambda m: m.ClearField("actor"), "actor.principal"),
    "principal": (RECORD, lambda m: setattr(m.actor, "principal", "Dr Wang"), "actor.principal"),
    "person": (RECORD, lambda m: setattr(m.actor, "person", "a b"), "actor.person"),
    "long person": (RECORD, lambda m: setattr(m.actor, "person", "x" * 65), "actor.person"),
    "no role": (RECORD, lambda m: m.actor.ClearField("role"), "actor.role"),
    "strange role": (RECORD, lambda m: setattr(m.actor, "role", 6), "actor.role"),
    "record id": (
        RECORD,
        lambda m: setattr(m.record, "record_id", b"x" * 17),
        "record.record_id",
    ),
    "no patient": (
        RECORD,
        lambda m: m.record.ClearField("patient"),
        "record.patient.pseudonym",
    ),
    "pseudonym": (
        RECORD,
        lambda m: setattr(m.record.patient, "pseudonym", b"x" * 31),
        "record.patient.pseudonym",
    ),
    "pseudonym epoch": (
        RECORD,
        lambda m: setattr(m.record.patient, "pseudonym_epoch", 0),
        "record.patient.pseudonym_epoch",
    ),
    "custodian": (
        RECORD,
        lambda m: setattr(m.record, "custodian", "x" * 33),
        "record.custodian",
    ),
    "keyring epoch": (
        RECORD,
        lambda m: setattr(m.record, "keyring_epoch", 0),
        "record.keyring_epoch",
    ),
    "key id": (RECORD, lambda m: setattr(m.record, "key_id", b""), "record.key_id"),
    "ciphertext": (
        RECORD,
        lambda m: setattr(m.record, "ciphertext_sha256", b"x"),
        "record.ciphertext_sha256",
    ),
    "commitment": (
        RECORD,
        lambda m: setattr(m.record, "content_commitment", b"x"),
        "record.content_commitment",
    ),
    "no media type": (
        RECORD,
        lambda m: setattr(m.record, "media_type", ""),
        "record.media_type",
    ),
    "media type with newline": (
        RECORD,
        lambda m: setattr(m.record, "media_type", "text/plain\n"),
        "record.media_type",
    ),
    "foreign media type": (
        RECORD,
        lambda m: setattr(m.record, "media_type", "text/纯"),
        "record.media_type",
    ),
    "document id": (
        RECORD,
        lambda m: setattr(m.record, "document_id", b"x"),
        "record.document_id",
    ),
    "no reason": (
        RECORD,
        lambda m: setattr(m.record.replaces, "record_id", b"x" * 16),
        "record.replaces.reason",
    ),
    "epoch 0": (NEXT_KEYRING, lambda m: setattr(m.keyring, "epoch", 0), "keyring.epoch"),
    "first epoch after another": (
        NEXT_KEYRING,
        lambda m: setattr(m.keyring, "epoch", 1),
        "keyring.previous_key_id",
    ),
    "no previous key": (
        NEXT_KEYRING,
        lambda m: m.keyring.ClearField("previous_key"),
        "keyring.previous_key",
    ),
    "the key before once more": (
        NEXT_KEYRING,
        lambda m: setattr(m.keyring, "previous_key_id", m.keyring.key_id),
        "keyring.key_id",
    ),
    "sealed to nobody": (
        NEXT_KEYRING,
        lambda m: m.keyring.ClearField("sealed_keys"),
        "keyring.sealed_keys",
    ),
    "sealed twice": (
        NEXT_KEYRING,
        lambda m: setattr(m.keyring.sealed_keys[1], "member", "town"),
        "keyring.sealed_keys.member",
    ),
    "short sealed key": (
        NEXT_KEYRING,
        lambda m: setattr(m.keyring.sealed_keys[1], "sealed", b"x"),
        "keyring.sealed_keys.sealed",
    ),
    "grantee": (GRANT, lambda m: setattr(m.grant, "grantee", ""), "grant.grantee"),
    "role twice": (
        GRANT,
        lambda m: m.grant.rule.roles.append(body_pb2.ROLE_NURSE),
        "grant.rule.roles",
    ),
    "role unknown": (
        GRANT,
        lambda m: m.grant.rule.roles.append(body_pb2.Role.ValueType(9)),
        "grant.rule.roles",
    ),
    "no purpose": (
        GRANT,
        lambda m: m.grant.rule.ClearField("purpose"),
        "grant.rule.purpose",
    ),
    "page of none": (
        PAGE_READING,
        lambda m: setattr(m.reading.page, "size", 0),
        "reading.page.size",
    ),
    "no scope": (PAGE_READING, lambda m: m.reading.ClearField("page"), "reading.scope"),
    "read twice": (
        PAGE_READING,
        lambda m: m.reading.record_ids.append(b"r" * 16),
        "reading.record_ids",
    ),
    "more than one record": (
        PAGE_READING,
        lambda m: setattr(m.reading, "record_id", b"r" * 16),
        "reading.record_ids",
    ),
    "more than a page": (
        PAGE_READING,
        lambda m: setattr(m.reading.page, "size", 1),
        "reading.record_ids",
    ),
    "half a minute": (
        DENIAL,
        lambda m: setattr(m.denial, "minute_ms", 30_000),
        "denial.minute_ms",
    ),
    "no attempts": (DENIAL, lambda m: m.denial.ClearField("attempts"), "denial.attempts"),
    "same patient": (
        DENIAL,
        lambda m: m.denial.attempts.append(m.denial.attempts[0]),
        "denial.attempts",
    ),
    "never tried": (
        DENIAL,
        lambda m: setattr(m.denial.attempts[0], "count", 0),
        "denial.attempts.count",
    ),
}


@pytest.mark.parametrize("name", REFUSED)
def test_a_field_out_of_bounds_is_refused_by_its_path(name: str) -> None:
    happening, edit, field = REFUSED[name]

    with pytest.raises(MalformedError) as refused:
        parse_body(edited(happening, edit))

    assert refused.value.field == field


def test_no_other_field_that_is_parsed_strictly_is_packed() -> None:
    packed = {
        field.full_name
        for file in (block_pb2, body_pb2, genesis_pb2, receipt_pb2)
        for message in file.DESCRIPTOR.message_types_by_name.values()
        for field in message.fields
        if field.is_packed
    }

    assert packed == {"caretree.ledger.v1.Rule.roles"}


def framed(content: bytes) -> bytes:
    """The content behind its length, as in a field of a protobuf message."""
    low, high = len(content) & 0x7F, len(content) >> 7
    return (bytes((low | 0x80, high)) if high else bytes((low,))) + content


@pytest.mark.parametrize("version", [b"\x88\x00\x01", b"\x08\x81\x00"])
def test_a_role_written_unpacked_makes_no_room_for_a_stretched_number(version: bytes) -> None:
    grant = replace(GRANT, rule=replace(GRANT.rule, roles=frozenset((Role.NURSE,))))
    plain = encode_body(body_of(grant))
    message = body_pb2.Body.FromString(plain).grant
    rule, whole = message.rule.SerializeToString(), message.SerializeToString()

    short_rule = rule.replace(b"\x0a\x01\x02", b"\x08\x02")
    short = whole.replace(framed(rule), framed(short_rule))
    respelt = version + plain.replace(framed(whole), framed(short)).removeprefix(b"\x08\x01")

    assert parse_body(plain) == body_of(grant)
    assert len(respelt) == len(plain)
    assert body_pb2.Body.FromString(respelt) == body_pb2.Body.FromString(plain)
    with pytest.raises(MalformedError) as refused:
        parse_body(respelt)
    assert refused.value.field == "grant.rule.roles"


@given(st.binary(max_size=400))
def test_arbitrary_bytes_are_refused_as_malformed(content: bytes) -> None:
    with pytest.raises(MalformedError):
        parse_body(content)


@given(
    st.sampled_from(sorted(HAPPENINGS)),
    st.integers(min_value=0),
    st.integers(min_value=0, max_value=255),
    st.booleans(),
)
def test_a_changed_byte_is_refused_or_changes_the_body(
    name: str, place: int, byte: int, insert: bool
) -> None:
    body = body_of(HAPPENINGS[name])
    encoded = encode_body(body)
    place %= len(encoded)
    changed = encoded[:place] + byte.to_bytes() + encoded[place + (not insert) :]
    if changed == encoded:
        return

    try:
        parsed = parse_body(changed)
    except MalformedError:
        return

    assert parsed != body
