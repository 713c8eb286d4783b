import hashlib

import hypothesis.strategies as st
import pytest
from caretree.crypto.aead import OpeningError
from caretree.crypto.commitments import content_commitment
from caretree.crypto.keyring import key_id
from caretree.crypto.padding import pad
from caretree.crypto.sealing import (
    PAYLOAD_BYTES_MAX,
    WRAPPED_KEY_BYTES,
    RecordContext,
    RecordSealer,
    open_content,
    payload_digest,
    seal_content,
    unwrap_record_key,
    wrap_record_key,
)
from caretree.crypto.suite import NewerFormatError
from caretree.model.errors import MalformedError
from caretree.model.ids import Origin
from caretree.model.limits import CONTENT_BYTES_MAX
from Crypto.Cipher import AES
from hypothesis import given

from tests.crypto.builders import HOSPITAL, nonce, record_context, secret

CONTEXT = record_context()
RECORD_KEY, EPOCH_KEY = secret("record key"), secret("epoch key")
OTHER_CONTEXTS = [
    record_context(origin=Origin("care.example/0011aabc")),
    record_context(custodian=HOSPITAL),
    record_context(record="another record"),
]
# The layout of the additional data, written out once more by hand.
CONTENT_AAD = (
    b"\x00\x00\x00\x12caretree/v1/record"
    b"\x00\x00\x00\x15care.example/0011aabb"
    b"\x00\x00\x00\x08township"
    b"\x00\x00\x00\x10" + secret("record")[:16]
)
KEY_AAD = CONTENT_AAD + b"\x00\x00\x00\x20" + key_id(EPOCH_KEY)


def payload_of(content: bytes = b"content") -> bytes:
    return seal_content(
        record_key=RECORD_KEY, nonce=nonce("content"), context=CONTEXT, content=content
    )


def wrapped_key() -> bytes:
    return wrap_record_key(
        epoch_key=EPOCH_KEY, nonce=nonce("wrap"), context=CONTEXT, record_key=RECORD_KEY
    )


@given(st.binary(max_size=2000))
def test_a_sealed_record_opens(content: bytes) -> None:
    payload = payload_of(content)
    assert open_content(record_key=RECORD_KEY, context=CONTEXT, payload=payload) == content


@given(st.binary(max_size=500))
def test_each_library_opens_the_record_that_the_other_sealed(content: bytes) -> None:
    payload = payload_of(content)
    cipher = AES.new(RECORD_KEY, AES.MODE_GCM, nonce=payload[2:14])
    cipher.update(CONTENT_AAD)
    assert cipher.decrypt_and_verify(payload[14:-16], payload[-16:]) == pad(content)

    cipher = AES.new(RECORD_KEY, AES.MODE_GCM, nonce=nonce("theirs"))
    cipher.update(CONTENT_AAD)
    ciphertext, tag = cipher.encrypt_and_digest(pad(content))
    theirs = b"\x01\x01" + nonce("theirs") + ciphertext + tag
    assert open_content(record_key=RECORD_KEY, context=CONTEXT, payload=theirs) == content


def test_each_library_unwraps_the_record_key_that_the_other_wrapped() -> None:
    wrapped = wrapped_key()
    cipher = AES.new(EPOCH_KEY, AES.MODE_GCM, nonce=wrapped[2:14])
    cipher.update(KEY_AAD)
    assert cipher.decrypt_and_verify(wrapped[14:-16], wrapped[-16:]) == RECORD_KEY

    cipher = AES.new(EPOCH_KEY, AES.MODE_GCM, nonce=nonce("theirs"))
    cipher.update(KEY_AAD)
    ciphertext, tag = cipher.encrypt_and_digest(RECORD_KEY)
    theirs = b"\x01\x01" + nonce("theirs") + ciphertext + tag
    assert unwrap_record_key(epoch_key=EPOCH_KEY, context=CONTEXT, wrapped=theirs) == RECORD_KEY


def test_known_answers_of_a_sealed_record() -> None:
    assert payload_of().hex() == (
        "0101d0ccf132ab647bc7921166701efa643a9f4a8859c9c52e81e3ff96ee9994c27cca0654763e72b76a"
    )
    assert wrapped_key().hex() == (
        "01019b5db45c42a4d9ab6589e4dc2698c6d6a03150961837f26aabd9dd90a731f6594a7af395aa44"
        "1aed7effd7082b97a4e02ddafd3179f03de9ede65741"
    )
    assert CONTEXT.content_aad() == CONTENT_AAD
    assert CONTEXT.key_aad(key_id(EPOCH_KEY)) == KEY_AAD


@pytest.mark.parametrize("context", OTHER_CONTEXTS)
def test_a_record_moved_to_another_place_does_not_open(context: RecordContext) -> None:
    with pytest.raises(OpeningError, match="payload"):
        open_content(record_key=RECORD_KEY, context=context, payload=payload_of())
    with pytest.raises(OpeningError, match="wrapped key"):
        unwrap_record_key(epoch_key=EPOCH_KEY, context=context, wrapped=wrapped_key())


def test_swapped_ciphertexts_do_not_open() -> None:
    other = seal_content(
        record_key=RECORD_KEY,
        nonce=nonce("other"),
        context=record_context(record="another record"),
        content=b"other content",
    )
    with pytest.raises(OpeningError):
        open_content(record_key=RECORD_KEY, context=CONTEXT, payload=other)


def test_another_key_opens_nothing() -> None:
    with pytest.raises(OpeningError):
        open_content(record_key=EPOCH_KEY, context=CONTEXT, payload=payload_of())
    with pytest.raises(OpeningError):
        unwrap_record_key(epoch_key=RECORD_KEY, context=CONTEXT, wrapped=wrapped_key())


def test_a_wrapped_key_is_no_payload_and_a_payload_no_wrapped_key() -> None:
    # Under one key and of one length, the additional data alone tells them apart.
    payload = seal_content(
        record_key=EPOCH_KEY, nonce=nonce("content"), context=CONTEXT, content=bytes(28)
    )
    assert len(payload) == WRAPPED_KEY_BYTES
    with pytest.raises(OpeningError):
        unwrap_record_key(epoch_key=EPOCH_KEY, context=CONTEXT, wrapped=payload)
    with pytest.raises(OpeningError):
        open_content(record_key=EPOCH_KEY, context=CONTEXT, payload=wrapped_key())


def test_equal_contents_of_like_length_are_sealed_to_equal_lengths() -> None:
    assert len(payload_of(bytes(1000))) == len(payload_of(bytes(1019)))


def test_the_longest_content_fills_the_longest_payload() -> None:
    payload = payload_of(bytes(CONTENT_BYTES_MAX))
    assert len(payload) == PAYLOAD_BYTES_MAX
    with pytest.raises(MalformedError, match="payload: expected at most"):
        open_content(record_key=RECORD_KEY, context=CONTEXT, payload=payload + b"\0")
    with pytest.raises(MalformedError, match="content"):
        payload_of(bytes(CONTENT_BYTES_MAX + 1))


@given(st.binary(max_size=2000))
def test_sealing_a_record_at_once_gives_what_its_steps_give(content: bytes) -> None:
    drawn = RECORD_KEY + nonce("content") + nonce("wrap")
    sealer = RecordSealer(origin=CONTEXT.origin, custodian=CONTEXT.custodian)
    payload, wrapped, commitment = sealer.seal(
        drawn,
        record_id=CONTEXT.record_id,
        content=content,
        epoch_key=EPOCH_KEY,
        epoch_key_id=key_id(EPOCH_KEY),
    )
    assert payload == payload_of(content)
    assert wrapped == wrapped_key()
    assert commitment == content_commitment(record_key=RECORD_KEY, content=content)


def test_a_record_key_unwraps_under_the_key_id_given_and_no_other() -> None:
    given_id = unwrap_record_key(
        epoch_key=EPOCH_KEY,
        context=CONTEXT,
        wrapped=wrapped_key(),
        epoch_key_id=key_id(EPOCH_KEY),
    )
    assert given_id == RECORD_KEY
    with pytest.raises(OpeningError):
        unwrap_record_key(
            epoch_key=EPOCH_KEY,
            context=CONTEXT,
            wrapped=wrapped_key(),
            epoch_key_id=key_id(RECORD_KEY),
        )


def test_the_digest_is_of_the_payload_as_stored() -> None:
    assert payload_digest(payload_of()) == hashlib.sha256(payload_of()).digest()


def test_a_record_key_has_32_bytes() -> None:
    with pytest.raises(MalformedError, match="record key"):
        wrap_record_key(
            epoch_key=EPOCH_KEY, nonce=nonce("wrap"), context=CONTEXT, record_key=bytes(16)
        )


def test_a_wrapped_key_has_one_length() -> None:
    assert len(wrapped_key()) == WRAPPED_KEY_BYTES
    for wrapped in (wrapped_key()[:-1], wrapped_key() + b"\0"):
        with pytest.raises(MalformedError, match="wrapped key"):
            unwrap_record_key(epoch_key=EPOCH_KEY, context=CONTEXT, wrapped=wrapped)


def test_a_newer_payload_is_refused() -> None:
    with pytest.raises(NewerFormatError):
        open_content(record_key=RECORD_KEY, context=CONTEXT, payload=b"\x02" + payload_of()[1:])


@given(st.binary(max_size=80))
def test_arbitrary_bytes_give_only_our_errors(data: bytes) -> None:
    with pytest.raises((MalformedError, OpeningError)):
        open_content(record_key=RECORD_KEY, context=CONTEXT, payload=data)
    with pytest.raises((MalformedError, OpeningError)):
        unwrap_record_key(
            epoch_key=EPOCH_KEY, context=CONTEXT, wrapped=(b"\x01\x01" + data)[:62].ljust(62)
        )
