import hmac
import unicodedata

import hypothesis.strategies as st
import pytest
from caretree.crypto.pseudonym import (
    PatientIdentifier,
    normalise_identifier,
    pseudonym_key_seal_info,
    pseudonym_of,
)
from caretree.crypto.resident_number import RESIDENT_NUMBER_SYSTEM, resident_check_place
from caretree.model.errors import MalformedError
from caretree.model.limits import IDENTIFIER_BYTES_MAX
from hypothesis import given

from tests.crypto.builders import HOSPITAL, TOWNSHIP, secret

SYSTEM = "urn:example:cards"
KEY = secret("pseudonym key")
FIRST_17 = next(
    f"99999919700101{sequence:03}"
    for sequence in range(20)
    if resident_check_place(f"99999919700101{sequence:03}") == "X"
)
RESIDENT = FIRST_17 + "X"


def uniform(value: str) -> str:
    return normalise_identifier(system=SYSTEM, value=value).value


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ("card-7a", "CARD-7A"),
        ("  Card-7A\t\n", "CARD-7A"),
        ("\u3000\uff23\uff21\uff32\uff24\uff0d\uff17\uff21\u3000", "CARD-7A"),  # full width
        ("\u519b\u5b57\u7b2c2001988\u53f7", "\u519b\u5b57\u7b2c2001988\u53f7"),  # an officer's card
        ("stra\u00dfe", "STRASSE"),
        ("\u00e9", "\u00c9"),
        ("e\u0301", "\u00c9"),
        ("\u0390", "\u03aa\u0301"),  # its capital comes decomposed and is composed again
        ("a b", "A B"),
    ],
)
def test_an_identifier_is_made_uniform(value: str, expected: str) -> None:
    assert uniform(value) == expected


@given(st.text(max_size=40))
def test_making_uniform_twice_changes_nothing(value: str) -> None:
    try:
        once = uniform(value)
    except MalformedError:
        return
    assert uniform(once) == once


@pytest.mark.parametrize("value", [RESIDENT, RESIDENT.lower(), f" {RESIDENT}\n"])
def test_a_resident_number_is_taken_as_it_is_written(value: str) -> None:
    identifier = normalise_identifier(system=RESIDENT_NUMBER_SYSTEM, value=value)
    assert identifier.value == RESIDENT


def test_a_full_width_resident_number_is_the_same_person() -> None:
    wide = "".join(chr(ord(place) + 0xFEE0) for place in RESIDENT)
    assert normalise_identifier(system=RESIDENT_NUMBER_SYSTEM, value=wide).value == RESIDENT


def test_a_wrong_resident_number_is_refused_without_being_shown() -> None:
    wrong = FIRST_17 + "1"
    with pytest.raises(MalformedError) as caught:
        normalise_identifier(system=RESIDENT_NUMBER_SYSTEM, value=wrong)
    assert caught.value.field == "patient.value"
    assert wrong not in str(caught.value)


@pytest.mark.parametrize(
    "value",
    [
        "",
        " \t\u3000",
        "a\x00b",
        "a\nb",
        "a\u200bb",  # invisible
        "a\ue000b",  # private
        "a\ud800b",  # half a character
        "a\u0378b",  # assigned in no version of Unicode
        "\u0138",  # a small letter that has no capital
    ],
)
def test_values_that_another_release_might_treat_otherwise_are_refused(value: str) -> None:
    with pytest.raises(MalformedError) as caught:
        uniform(value)
    assert caught.value.field == "patient.value"


def test_a_value_is_taken_at_the_limit_and_refused_above() -> None:
    assert len(uniform("7" * IDENTIFIER_BYTES_MAX)) == IDENTIFIER_BYTES_MAX
    for value in (
        "7" * (IDENTIFIER_BYTES_MAX + 1),
        "\u5b57" * (IDENTIFIER_BYTES_MAX // 3 + 1),
        "\ufdfa" * 20,  # one character that NFKC makes eighteen of
    ):
        with pytest.raises(MalformedError, match="bytes of UTF-8"):
            uniform(value)


@pytest.mark.parametrize("system", ["", "a b", "a\n", "\u7cfb", "a" * 257])
def test_a_system_is_visible_ascii(system: str) -> None:
    with pytest.raises(MalformedError) as caught:
        normalise_identifier(system=system, value="7")
    assert caught.value.field == "patient.system"


def test_a_system_may_be_as_long_as_the_limit() -> None:
    assert normalise_identifier(system="a" * 256, value="7").system == "a" * 256


def test_a_pseudonym_is_the_mac_of_its_layout() -> None:
    identifier = normalise_identifier(system=SYSTEM, value="card-7\u00e9")
    layout = b"\x00\x00\x00\x11urn:example:cards" + b"\x00\x00\x00\x08CARD-7\xc3\x89"
    assert pseudonym_of(KEY, identifier) == hmac.new(KEY, layout, "sha256").digest()


def test_known_answer_of_a_pseudonym() -> None:
    identifier = normalise_identifier(system=SYSTEM, value="card-7a")
    assert (
        pseudonym_of(KEY, identifier).hex()
        == "66def9d76e2e2fdfe5a6923eef8d50af4a4c8204a50282d88894fefdad905a31"
    )


def test_system_value_and_key_move_the_pseudonym() -> None:
    def of(system: str, value: str, key: bytes = KEY) -> bytes:
        return pseudonym_of(key, normalise_identifier(system=system, value=value))

    values = {
        of(SYSTEM, "7a"),
        of("urn:example:others", "7a"),
        of(SYSTEM, "7b"),
        of(SYSTEM, "7a", secret("next epoch")),
        of(SYSTEM + "7", "a"),
    }
    assert len(values) == 5


def test_a_pseudonym_key_has_32_bytes() -> None:
    with pytest.raises(MalformedError, match="pseudonym key"):
        pseudonym_of(bytes(16), normalise_identifier(system=SYSTEM, value="7"))


def test_every_ascii_value_is_made_uniform_as_any_other_text_is() -> None:
    texts = [chr(code) for code in range(128)] + [" p-7z ", "", "  ", "a\tb", "~!"]
    for text in texts:
        capital = unicodedata.normalize("NFKC", text).strip().upper()
        controls = any(unicodedata.category(character) == "Cc" for character in capital)
        if controls or not capital:
            with pytest.raises(MalformedError):
                normalise_identifier(system=SYSTEM, value=text)
        else:
            assert normalise_identifier(system=SYSTEM, value=text).value == capital


def test_an_identifier_is_not_shown() -> None:
    identifier = PatientIdentifier(system=SYSTEM, value="CARD-7A")
    assert "CARD-7A" not in repr(identifier)
    assert "CARD-7A" not in str(identifier)


def test_the_seal_info_of_a_pseudonym_key_is_its_layout() -> None:
    info = pseudonym_key_seal_info(consortium="care.example", epoch=1, recipient=HOSPITAL)
    assert info == (
        b"\x00\x00\x00\x1ecaretree/v1/pseudonym-key-seal"
        b"\x00\x00\x00\x0ccare.example"
        b"\x00\x00\x00\x04\x00\x00\x00\x01"
        b"\x00\x00\x00\x08hospital"
    )
    assert info != pseudonym_key_seal_info(consortium="care.example", epoch=1, recipient=TOWNSHIP)
