import hypothesis.strategies as st
import pytest
from caretree.crypto.padding import pad, padded_length, unpad
from caretree.model.errors import MalformedError
from caretree.model.limits import CONTENT_BYTES_MAX
from hypothesis import given


@given(st.binary(max_size=3000))
def test_padded_content_is_found_again(content: bytes) -> None:
    assert unpad(pad(content)) == content


def test_the_layout_is_length_content_and_zeros() -> None:
    # 4 + 5 = 9 becomes 10, the dearest of all lengths.
    assert pad(b"hello") == b"\x00\x00\x00\x05hello\x00"


@pytest.mark.parametrize(
    ("length", "padded"),
    [(0, 0), (1, 1), (2, 2), (4, 4), (8, 8), (9, 10), (17, 18), (33, 36), (100, 104), (1000, 1024)],
)
def test_known_padme_lengths(length: int, padded: int) -> None:
    assert padded_length(length) == padded


def test_padding_costs_at_most_12_percent_and_never_shrinks() -> None:
    previous = 0
    for length in range(1, 70_000):
        padded = padded_length(length)
        assert length <= padded <= length * 1.12
        assert padded >= previous
        assert padded_length(padded) == padded
        previous = padded


@given(st.integers(min_value=16, max_value=2**32))
def test_few_lengths_are_left_to_tell_contents_apart(length: int) -> None:
    # Padme leaves floor(log2(e)) + 1 significant bits below the first, e the bits of the length.
    exponent = length.bit_length() - 1
    padded = padded_length(length)
    assert padded % (1 << max(exponent - exponent.bit_length(), 0)) == 0


def test_content_is_taken_at_the_limit_and_refused_above() -> None:
    assert unpad(pad(bytes(CONTENT_BYTES_MAX))) == bytes(CONTENT_BYTES_MAX)
    with pytest.raises(MalformedError, match="content: expected at most 262144"):
        pad(bytes(CONTENT_BYTES_MAX + 1))


@pytest.mark.parametrize(
    "padded",
    [
        b"",
        b"\x00\x00\x00",
        b"\x00\x00\x00\x05hello",  # without its padding
        b"\x00\x00\x00\x05hello\x00\x00",  # with more
        b"\x00\x00\x00\x05hello\x01",  # with other bytes than zeros
        b"\x00\x00\x00\x06hello",  # shorter than it says
        b"\xff\xff\xff\xffhello",
        b"\x00\x00\x00\x00\x00",
    ],
)
def test_only_what_pad_writes_is_taken(padded: bytes) -> None:
    with pytest.raises(MalformedError, match="padded content"):
        unpad(padded)


def test_a_length_above_the_limit_is_refused_even_with_all_its_bytes() -> None:
    length = CONTENT_BYTES_MAX + 1
    framed = length.to_bytes(4, "big") + bytes(length)
    with pytest.raises(MalformedError, match="padded content"):
        unpad(framed.ljust(padded_length(len(framed)), b"\0"))


@given(st.binary(max_size=60))
def test_arbitrary_bytes_are_content_or_our_error(data: bytes) -> None:
    try:
        content = unpad(data)
    except MalformedError:
        return
    assert pad(content) == data
