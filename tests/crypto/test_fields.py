import hypothesis.strategies as st
import pytest
from caretree.crypto.fields import decode_fields, encode_fields
from caretree.model.errors import MalformedError
from hypothesis import given

KNOWN = frozenset(range(1, 9))


def decoded(encoded: bytes) -> dict[int, bytes]:
    return decode_fields(encoded, known=KNOWN, name="keystore")


@given(st.dictionaries(st.sampled_from(sorted(KNOWN)), st.binary(max_size=20)))
def test_fields_are_found_again(values: dict[int, bytes]) -> None:
    assert decoded(encode_fields(values)) == values


def test_the_layout_is_tag_length_and_value_in_rising_order() -> None:
    assert encode_fields({2: b"b", 1: b""}).hex() == "0100000000" + "020000000162"


@given(st.binary(max_size=40))
def test_arbitrary_bytes_are_fields_in_their_one_form_or_our_error(data: bytes) -> None:
    try:
        values = decoded(data)
    except MalformedError:
        return
    assert encode_fields(values) == data


@pytest.mark.parametrize(
    ("encoded", "reason"),
    [
        ("01000000", "cut"),
        ("010000000261", "cut"),
        ("01ffffffff61", "cut"),
        ("0900000000", "does not know"),
        ("0000000000", "does not know"),
        ("01000000000100000000", "once and in order"),
        ("02000000000100000000", "once and in order"),
    ],
)
def test_other_bytes_are_refused(encoded: str, reason: str) -> None:
    with pytest.raises(MalformedError, match=f"keystore: .*{reason}"):
        decoded(bytes.fromhex(encoded))
