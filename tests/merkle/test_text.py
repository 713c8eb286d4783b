"""Decimals and base64 are read in one spelling only."""

import pytest
from caretree.merkle.text import (
    decode_base64,
    decode_hash,
    decode_hash_lines,
    encode_base64,
    encode_hash_lines,
    parse_decimal,
)
from caretree.model.errors import MalformedError
from hypothesis import given
from hypothesis import strategies as st


@given(st.integers(0, 2**63 - 1))
def test_decimals_come_back(number: int) -> None:
    assert parse_decimal(str(number), field="size", maximum=2**63 - 1) == number


@pytest.mark.parametrize(
    "text",
    [
        "",
        "00",
        "01",
        "+1",
        "-1",
        " 1",
        "1 ",
        "1\n",
        "1_0",
        "1.0",
        "0x1",
        "\u0661",
        "9" * 19,
        "1" * 99,
    ],
)
def test_other_spellings_of_numbers_are_refused(text: str) -> None:
    with pytest.raises(MalformedError, match="size"):
        parse_decimal(text, field="size", maximum=2**63 - 1)


def test_a_number_is_allowed_up_to_its_maximum() -> None:
    assert parse_decimal("7", field="size", maximum=7) == 7
    with pytest.raises(MalformedError):
        parse_decimal("8", field="size", maximum=7)


@given(st.binary(max_size=80))
def test_base64_comes_back(content: bytes) -> None:
    assert decode_base64(encode_base64(content), field="line") == content


@pytest.mark.parametrize(
    "text",
    [
        "A",
        "AA",
        "AA=",
        "AAA",
        "AA==\n",
        " AA==",
        "AA= =",
        "AB==",
        "AAB=",
        "AA==AA==",
        "-_==",
        "A\u00e9==",
        "====",
    ],
)
def test_other_spellings_of_base64_are_refused(text: str) -> None:
    with pytest.raises(MalformedError, match="line"):
        decode_base64(text, field="line")


@given(st.binary(max_size=80))
def test_base64_in_ascii_bytes_is_read_as_its_text_is(content: bytes) -> None:
    encoded = encode_base64(content)
    assert decode_base64(encoded.encode(), field="line") == content
    with pytest.raises(MalformedError, match="line"):
        decode_base64(encoded.encode() + b"\n", field="line")


@given(st.lists(st.binary(min_size=32, max_size=32), max_size=64))
def test_lines_of_hashes_come_back(hashes: list[bytes]) -> None:
    written = encode_hash_lines(hashes)
    assert written == b"".join(encode_base64(value).encode() + b"\n" for value in hashes)
    assert decode_hash_lines(written.split(b"\n")[:-1], field="hash") == tuple(hashes)


@pytest.mark.parametrize(
    "line",
    [
        b"",
        b"A",
        encode_base64(bytes(31)).encode(),
        encode_base64(bytes(33)).encode(),
        encode_base64(bytes(32)).encode()[:-1],
        b" " + encode_base64(bytes(32)).encode(),
        encode_base64(bytes(32)).encode() + b"\r",
        encode_base64(bytes(32)).encode()[:-2] + b"B=",
        "\u00e9".encode() * 22,
    ],
)
def test_one_line_that_is_no_hash_spoils_all(line: bytes) -> None:
    good = encode_base64(bytes(32)).encode()
    for lines in ([line], [good, line], [line, good]):
        with pytest.raises(MalformedError, match="hash"):
            decode_hash_lines(lines, field="hash")


def test_a_hash_has_32_bytes() -> None:
    assert decode_hash(encode_base64(bytes(32)), field="hash") == bytes(32)
    for length in (0, 31, 33):
        with pytest.raises(MalformedError, match="hash"):
            decode_hash(encode_base64(bytes(length)), field="hash")
