"""HMAC-SHA256 by copies of its first blocks, against the standard library and RFC 4231."""

import hmac

import pytest
from caretree.crypto.derive import hkdf
from caretree.crypto.keyed_hash import KeyedHash, keyed_digest
from caretree.model.errors import MalformedError
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.kdf.hkdf import HKDF
from hypothesis import given
from hypothesis import strategies as st

keys = st.binary(min_size=32, max_size=32)


@given(key=keys, messages=st.lists(st.binary(max_size=200), min_size=1, max_size=4))
def test_every_digest_is_the_hmac_of_its_message_alone(key: bytes, messages: list[bytes]) -> None:
    keyed = KeyedHash(key, field="key")
    for message in messages:
        expected = hmac.new(key, message, "sha256").digest()
        assert keyed.digest(message) == expected
        assert keyed_digest(keyed, message) == keyed_digest(key, message) == expected


@pytest.mark.parametrize("length", [0, 31, 33, 64])
def test_a_key_of_another_length_is_refused_by_its_name(length: int) -> None:
    with pytest.raises(MalformedError) as caught:
        KeyedHash(bytes(length), field="digest key")
    assert caught.value.field == "digest key"


def test_nothing_shows_the_key() -> None:
    key = bytes(range(32))
    assert key.hex() not in repr(KeyedHash(key, field="key"))
    assert not hasattr(KeyedHash(key, field="key"), "__dict__")


@given(key=keys, info=st.binary(max_size=80))
def test_one_block_of_hkdf_is_what_the_library_derives(key: bytes, info: bytes) -> None:
    library = HKDF(algorithm=hashes.SHA256(), length=32, salt=None, info=info)
    assert hkdf(key, info=info) == library.derive(key)
