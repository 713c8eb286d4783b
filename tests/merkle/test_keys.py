"""Verifier keys have the id that the format computes, and one text."""

import sys
from hashlib import sha256

import pytest
from caretree.merkle.keys import (
    SignatureType,
    VerifierKey,
    check_key_name,
    format_vkey,
    parse_vkey,
)
from caretree.merkle.text import encode_base64
from caretree.model.errors import MalformedError

from tests.merkle.builders import cosigner

NAMES_REFUSED = [
    "",
    "a b",
    "a+b",
    "a\tb",
    "a\nb",
    "a\u00a0b",
    "a\u2003b",
    "a\u3000b",
    "a\u0085b",
    "a\x01",
]


@pytest.mark.parametrize("signature_type", list(SignatureType))
def test_a_key_id_is_the_start_of_the_hash_of_name_type_and_key(
    signature_type: SignatureType,
) -> None:
    key = cosigner(1).verifier(signature_type)
    expected = sha256(
        key.name.encode() + b"\n" + bytes([signature_type.value]) + key.public_key
    ).digest()[:4]
    assert key.key_id == expected


@pytest.mark.parametrize("signature_type", list(SignatureType))
def test_a_vkey_comes_back(signature_type: SignatureType) -> None:
    key = cosigner(1).verifier(signature_type)
    assert parse_vkey(format_vkey(key)) == key


def test_a_name_outside_ascii_is_hashed_and_written_as_utf_8() -> None:
    key = VerifierKey(
        name="\u536b\u751f\u9662.example", signature_type=SignatureType.NOTE, public_key=bytes(32)
    )
    assert parse_vkey(format_vkey(key)) == key


@pytest.mark.parametrize("name", [*NAMES_REFUSED, chr(0xD800), chr(0xDFFF)])
def test_a_name_that_cannot_stand_in_a_line_is_refused(name: str) -> None:
    with pytest.raises(MalformedError, match="key name"):
        check_key_name(name)
    with pytest.raises(MalformedError, match="key name"):
        VerifierKey(name=name, signature_type=SignatureType.NOTE, public_key=bytes(32))


def test_a_name_is_refused_for_exactly_the_characters_that_the_format_forbids() -> None:
    for number in range(sys.maxunicode + 1):
        sign = chr(number)
        forbidden = sign.isspace() or sign == "+" or sign < " " or "\ud800" <= sign <= "\udfff"
        assert is_refused(f"a{sign}b") == forbidden, hex(number)


def is_refused(name: str) -> bool:
    """Whether the name cannot stand in a line."""
    try:
        check_key_name(name)
    except MalformedError:
        return True
    return False


def test_equal_keys_have_equal_hashes_and_a_type_tells_two_keys_apart() -> None:
    note, cosignature = (cosigner(1).verifier(kind) for kind in SignatureType)
    again = cosigner(1).verifier(SignatureType.NOTE)
    assert (again, hash(again)) == (note, hash(note))
    assert len({note, cosignature, again}) == 2


@pytest.mark.parametrize("length", [0, 31, 33, 1312])
def test_a_public_key_has_32_bytes(length: int) -> None:
    with pytest.raises(MalformedError, match="public key"):
        VerifierKey(name="a", signature_type=SignatureType.NOTE, public_key=bytes(length))


def test_a_vkey_with_one_character_changed_is_refused_or_another_key() -> None:
    key = cosigner(1).verifier(SignatureType.NOTE)
    text = format_vkey(key)
    for place in range(len(text)):
        for sign in "+ 0A\u00e9":
            if text[place] == sign:
                continue
            with pytest.raises(MalformedError):
                parse_vkey(text[:place] + sign + text[place + 1 :])


@pytest.mark.parametrize("marker", [0x00, 0x02, 0x03, 0x05, 0x06, 0xFF])
def test_types_that_are_not_ed25519_are_refused(marker: int) -> None:
    marked = bytes([marker]) + bytes(32)
    key_id = sha256(b"log\n" + marked).hexdigest()[:8]
    with pytest.raises(MalformedError, match="type 0x01 or 0x04"):
        parse_vkey(f"log+{key_id}+{encode_base64(marked)}")


def test_a_vkey_with_an_upper_case_id_is_refused() -> None:
    text = format_vkey(cosigner(2).verifier(SignatureType.NOTE))
    name, key_id, key = text.split("+", 2)
    assert key_id != key_id.upper()
    with pytest.raises(MalformedError):
        parse_vkey(f"{name}+{key_id.upper()}+{key}")
