"""Entry bundles hold the entries as they were, and nothing that is cut or left over."""

import pytest
from caretree.merkle.bundle import ENTRY_BYTES_MAX, decode_entries, encode_entries
from caretree.model.errors import MalformedError
from hypothesis import given
from hypothesis import strategies as st


@given(st.lists(st.binary(max_size=40), max_size=256))
def test_entries_come_back_as_they_went_in(entries: list[bytes]) -> None:
    assert decode_entries(encode_entries(entries), width=len(entries)) == tuple(entries)


def test_an_entry_is_written_behind_its_length_in_two_bytes() -> None:
    assert encode_entries([b"ab", b""]) == b"\x00\x02ab\x00\x00"


def test_an_entry_of_the_largest_length_fits_and_one_byte_more_does_not() -> None:
    entry = bytes(ENTRY_BYTES_MAX)
    assert decode_entries(encode_entries([entry]), width=1) == (entry,)
    with pytest.raises(AssertionError):
        encode_entries([entry + b"\0"])


def test_a_bundle_holds_256_entries_and_not_one_more() -> None:
    assert len(encode_entries([b""] * 256)) == 512
    with pytest.raises(AssertionError):
        encode_entries([b""] * 257)


@pytest.mark.parametrize("width", [0, 1, 3, 256])
def test_another_number_of_entries_is_refused(width: int) -> None:
    with pytest.raises(MalformedError, match=f"exactly {width} entries"):
        decode_entries(encode_entries([b"a", b"b"]), width=width)


def test_a_bundle_cut_anywhere_is_refused() -> None:
    bundle = encode_entries([b"abc", b"defg"])
    for length in range(len(bundle)):
        with pytest.raises(MalformedError):
            decode_entries(bundle[:length], width=2)
