import pytest
from caretree.crypto.x25519 import SealingKey
from caretree.model.errors import MalformedError
from Crypto.Protocol.DH import import_x25519_private_key

from tests.crypto.builders import secret


def test_both_libraries_derive_the_same_public_key() -> None:
    key = SealingKey.from_private(secret("sealing"))
    other = import_x25519_private_key(secret("sealing"))
    assert key.public_key == other.public_key().export_key(format="raw")


def test_a_sealing_key_shows_its_public_key_alone() -> None:
    key = SealingKey.from_private(secret("sealing"))
    assert repr(key.private_key) not in repr(key)
    assert repr(key.public_key) in repr(key)


def test_sealing_keys_are_equal_by_their_public_keys() -> None:
    assert SealingKey.from_private(secret("a")) == SealingKey.from_private(secret("a"))
    assert SealingKey.from_private(secret("a")) != SealingKey.from_private(secret("b"))


@pytest.mark.parametrize("length", [0, 31, 33])
def test_a_private_key_has_32_bytes(length: int) -> None:
    with pytest.raises(MalformedError, match="sealing key"):
        SealingKey.from_private(bytes(length))
