import pytest
from caretree.crypto.sealing import PAYLOAD_BYTES_MAX as SEALED_CONTENT_BYTES_MAX
from caretree.crypto.sealing import WRAPPED_KEY_BYTES
from caretree.ledger.payloads import (
    PAYLOAD_BYTES_MAX,
    Payload,
    encode_payload,
    parse_payload,
    sealed_content_of,
)
from caretree.model.errors import MalformedError
from hypothesis import given
from hypothesis import strategies as st

WRAPPED = b"w" * WRAPPED_KEY_BYTES


def test_a_payload_is_read_back_as_written() -> None:
    encoded = encode_payload(sealed_content=b"c" * 40, wrapped_key=WRAPPED)

    assert encoded.hex() == "0a28" + "63" * 40 + "123e" + "77" * 62
    assert parse_payload(encoded) == Payload(sealed_content=b"c" * 40, wrapped_key=WRAPPED)


def test_the_largest_sealed_content_is_taken_and_one_byte_more_is_refused() -> None:
    largest = bytes(SEALED_CONTENT_BYTES_MAX)

    encoded = encode_payload(sealed_content=largest, wrapped_key=WRAPPED)
    assert len(encoded) <= PAYLOAD_BYTES_MAX
    assert parse_payload(encoded).sealed_content == largest
    with pytest.raises(MalformedError, match=r"payload\.sealed_content"):
        parse_payload(encode_payload(sealed_content=largest + b"\0", wrapped_key=WRAPPED))


@pytest.mark.parametrize("wrapped", [b"", WRAPPED[:-1], WRAPPED + b"\0"])
def test_a_wrapped_key_of_another_length_is_refused(wrapped: bytes) -> None:
    with pytest.raises(MalformedError, match=r"payload\.wrapped_key"):
        parse_payload(encode_payload(sealed_content=b"c" * 40, wrapped_key=wrapped))


@given(
    content=st.integers(0, 20_000).map(bytes),
    wrapped=st.sampled_from([WRAPPED, WRAPPED[:-1], WRAPPED + b"w", b""]),
    flips=st.lists(st.tuples(st.integers(-70, 6), st.integers(1, 255)), max_size=2),
)
def test_the_sealed_content_alone_is_taken_from_the_same_bytes(
    content: bytes, wrapped: bytes, flips: list[tuple[int, int]]
) -> None:
    changed = bytearray(encode_payload(sealed_content=content, wrapped_key=wrapped))
    for at, bits in flips:
        if -len(changed) <= at < len(changed):
            changed[at] ^= bits
    encoded = bytes(changed)

    try:
        expected = parse_payload(encoded).sealed_content
    except MalformedError:
        with pytest.raises(MalformedError):
            sealed_content_of(encoded)
    else:
        assert sealed_content_of(encoded) == expected


@pytest.mark.parametrize("length", [30, 61, 62, 127, 128, 16_383, 16_384, SEALED_CONTENT_BYTES_MAX])
def test_the_sealed_content_of_every_length_is_found(length: int) -> None:
    content = b"c" * length

    encoded = encode_payload(sealed_content=content, wrapped_key=WRAPPED)

    assert sealed_content_of(encoded) == content
    for bad in (encoded[:-1], encoded + b"w", encoded[1:]):
        with pytest.raises(MalformedError):
            sealed_content_of(bad)


def test_fields_in_the_other_order_give_the_sealed_content_too() -> None:
    encoded = encode_payload(sealed_content=b"c" * 40, wrapped_key=WRAPPED)

    assert sealed_content_of(encoded[42:] + encoded[:42]) == b"c" * 40


@given(st.binary(max_size=200))
def test_arbitrary_bytes_are_refused_as_malformed(content: bytes) -> None:
    with pytest.raises(MalformedError):
        parse_payload(content)
