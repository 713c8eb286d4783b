from dataclasses import replace

import pytest
from caretree.ledger.bodies import encode_body, parse_body
from caretree.ledger.values import (
    Attempt,
    Denial,
    Happening,
    Page,
    Patient,
    Purpose,
    Reading,
    SealedKey,
)
from caretree.model.errors import MalformedError
from caretree.model.ids import MemberId, Pseudonym, RecordId, TimeMs
from caretree.model.limits import BODY_BYTES_MAX, MEMBERS_MAX, PAGE_SIZE_MAX

from tests.ledger.samples import GRANT, NEXT_KEYRING, PATIENT, RECORD, body_of


def record_ids(count: int) -> tuple[RecordId, ...]:
    return tuple(RecordId(number.to_bytes(16, "big")) for number in range(count))


def patients(count: int) -> tuple[Patient, ...]:
    return tuple(
        Patient(pseudonym_epoch=1, pseudonym=Pseudonym(number.to_bytes(32, "big")))
        for number in range(count)
    )


def test_a_reading_names_a_full_page_of_records_and_no_more() -> None:
    def reading(count: int) -> Reading:
        return Reading(
            patient=PATIENT,
            purpose=Purpose.TREATMENT,
            scope=Page(before=9, size=count),
            record_ids=record_ids(count),
        )

    full = body_of(reading(PAGE_SIZE_MAX))
    assert parse_body(encode_body(full)) == full
    with pytest.raises(MalformedError, match=r"reading\.page\.size"):
        parse_body(encode_body(body_of(reading(PAGE_SIZE_MAX + 1))))


def test_a_keyring_is_sealed_to_every_member_and_no_more() -> None:
    def keyring(count: int) -> Happening:
        keys = [SealedKey(member=MemberId(f"m{n}"), sealed=b"s" * 82) for n in range(count)]
        return replace(NEXT_KEYRING, sealed_keys=tuple(keys))

    full = body_of(keyring(MEMBERS_MAX))
    assert parse_body(encode_body(full)) == full
    with pytest.raises(MalformedError, match=r"keyring\.sealed_keys"):
        parse_body(encode_body(body_of(keyring(MEMBERS_MAX + 1))))


def test_a_denial_names_thirty_two_patients_and_no_more() -> None:
    def denial(count: int) -> Denial:
        attempts = tuple(Attempt(patient=patient, count=1) for patient in patients(count))
        return Denial(minute_ms=TimeMs(60_000), attempts=attempts, more=0)

    full = body_of(denial(32))
    assert parse_body(encode_body(full)) == full
    with pytest.raises(MalformedError, match=r"denial\.attempts"):
        parse_body(encode_body(body_of(denial(33))))


def test_a_rule_names_thirty_two_principals_and_no_more() -> None:
    def grant(count: int) -> Happening:
        names = frozenset(f"ward-{number}" for number in range(count))
        return replace(GRANT, rule=replace(GRANT.rule, principals=names))

    full = body_of(grant(32))
    assert parse_body(encode_body(full)) == full
    with pytest.raises(MalformedError, match=r"grant\.rule\.principals"):
        parse_body(encode_body(body_of(grant(33))))


def test_a_media_type_has_at_most_128_characters() -> None:
    longest = body_of(replace(RECORD, media_type="x" * 128))

    assert parse_body(encode_body(longest)) == longest
    with pytest.raises(MalformedError, match=r"record\.media_type"):
        parse_body(encode_body(body_of(replace(RECORD, media_type="x" * 129))))


def test_a_body_has_at_most_16_kib() -> None:
    encoded = encode_body(body_of(RECORD))
    # A hidden field brings the bytes to the bound: there they are read, one above they are not.
    filler = BODY_BYTES_MAX - len(encoded) - 4
    at_bound = encoded + b"\xc2\x3e" + (0x80 | filler & 0x7F).to_bytes() + (filler >> 7).to_bytes()
    at_bound += bytes(BODY_BYTES_MAX - len(at_bound))

    with pytest.raises(MalformedError, match="unknown"):
        parse_body(at_bound)
    with pytest.raises(MalformedError, match=f"at most {BODY_BYTES_MAX} bytes"):
        parse_body(at_bound + b"\0")


def test_an_author_cannot_encode_more_than_16_kib() -> None:
    with pytest.raises(MalformedError, match=f"at most {BODY_BYTES_MAX} bytes"):
        encode_body(body_of(replace(RECORD, media_type="x" * BODY_BYTES_MAX)))
