import hypothesis.strategies as st
import pytest
from caretree.crypto.aead import ENVELOPE_EXTRA_BYTES, OpeningError, open_envelope, seal_envelope
from caretree.crypto.suite import NewerFormatError, UnknownSuiteError
from caretree.model.errors import MalformedError
from Crypto.Cipher import AES
from hypothesis import given

from tests.crypto.builders import nonce, secret

KEY, NONCE, AAD = secret("key"), nonce("once"), b"place"


def sealed(plaintext: bytes = b"plaintext") -> bytes:
    return seal_envelope(key=KEY, nonce=NONCE, aad=AAD, plaintext=plaintext)


def opened(envelope: bytes, key: bytes = KEY, aad: bytes = AAD) -> bytes:
    return open_envelope(key=key, aad=aad, envelope=envelope, field="envelope")


@given(st.binary(max_size=300))
def test_what_is_sealed_opens(plaintext: bytes) -> None:
    envelope = sealed(plaintext)
    assert opened(envelope) == plaintext
    assert len(envelope) == len(plaintext) + ENVELOPE_EXTRA_BYTES


@given(st.binary(max_size=300), st.binary(max_size=40))
def test_each_library_opens_what_the_other_sealed(plaintext: bytes, aad: bytes) -> None:
    envelope = seal_envelope(key=KEY, nonce=NONCE, aad=aad, plaintext=plaintext)
    cipher = AES.new(KEY, AES.MODE_GCM, nonce=envelope[2:14])
    cipher.update(aad)
    assert cipher.decrypt_and_verify(envelope[14:-16], envelope[-16:]) == plaintext

    cipher = AES.new(KEY, AES.MODE_GCM, nonce=NONCE)
    cipher.update(aad)
    ciphertext, tag = cipher.encrypt_and_digest(plaintext)
    assert opened(b"\x01\x01" + NONCE + ciphertext + tag, aad=aad) == plaintext


def test_known_answer_of_an_envelope() -> None:
    assert (
        sealed().hex()
        == "010122ea5b9059e982bfb080c82984777c96cfaf7ef14af01967977b26080c597e4d330ca560dd"
    )


@pytest.mark.parametrize("place", range(2, ENVELOPE_EXTRA_BYTES + 9))
def test_a_flipped_bit_anywhere_is_refused(place: int) -> None:
    flipped = bytearray(sealed())
    flipped[place] ^= 0x10
    with pytest.raises(OpeningError, match="envelope: does not open"):
        opened(bytes(flipped))


def test_another_key_or_place_is_refused() -> None:
    with pytest.raises(OpeningError):
        opened(sealed(), key=secret("another"))
    with pytest.raises(OpeningError):
        opened(sealed(), aad=b"elsewhere")


def test_what_is_newer_or_of_another_suite_is_refused_before_it_is_opened() -> None:
    with pytest.raises(NewerFormatError):
        opened(b"\x02" + sealed()[1:])
    with pytest.raises(UnknownSuiteError):
        opened(b"\x01\x02" + sealed()[2:])
    with pytest.raises(MalformedError):
        opened(b"\x00" + sealed()[1:])


@pytest.mark.parametrize("length", range(ENVELOPE_EXTRA_BYTES))
def test_a_cut_envelope_is_refused(length: int) -> None:
    with pytest.raises(MalformedError, match="at least 30"):
        opened(sealed()[:length])


def test_keys_and_nonces_of_another_length_are_refused() -> None:
    with pytest.raises(MalformedError, match="key"):
        seal_envelope(key=bytes(16), nonce=NONCE, aad=AAD, plaintext=b"")
    with pytest.raises(MalformedError, match="nonce"):
        seal_envelope(key=KEY, nonce=bytes(11), aad=AAD, plaintext=b"")
    with pytest.raises(MalformedError, match="key"):
        opened(sealed(), key=bytes(16))


@given(st.binary(max_size=80))
def test_arbitrary_bytes_give_only_our_errors(data: bytes) -> None:
    with pytest.raises((MalformedError, OpeningError)):
        opened(data)
    with pytest.raises(OpeningError):
        opened(b"\x01\x01" + data.ljust(28, b"\0"))
