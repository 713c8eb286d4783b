"""Rows at rest: sealed for one place under one key, and names that say nothing."""

import hmac

import pytest
from caretree.model.errors import MalformedError
from caretree.storage.errors import StorageError
from caretree.storage.keys import Table
from caretree.storage.row_cipher import RowCipher
from Crypto.Cipher import AES
from Crypto.Hash import SHA256
from Crypto.Protocol.KDF import HKDF
from hypothesis import given
from hypothesis import strategies as st

from tests.storage.stores import STORAGE_KEY, cipher


class CountedBytes:
    """Bytes 0, 1, 2, ... for a known answer."""

    def random_bytes(self, length: int) -> bytes:
        return bytes(range(length))


def derived(purpose: bytes) -> bytes:
    key = HKDF(STORAGE_KEY, 32, b"", SHA256, 1, context=b"caretree/v1/" + purpose)
    assert isinstance(key, bytes)
    return key


@given(value=st.binary(max_size=300), key=st.binary(max_size=40))
def test_a_sealed_row_opens_to_its_value(value: bytes, key: bytes) -> None:
    sealed = cipher().seal(Table.BODY, key, value)

    assert cipher().open(Table.BODY, key, sealed) == value


def test_the_same_row_is_never_sealed_twice_alike() -> None:
    rows = {cipher().seal(Table.BODY, b"key", b"value") for _ in range(50)}

    assert len(rows) == 50


def test_the_layout_on_disk_is_the_documented_one() -> None:
    sealed = RowCipher(STORAGE_KEY, random=CountedBytes()).seal(Table.STATE, b"head", b"value")

    # Opened by the other library, from the layout alone.
    row = b"\x20head"
    row_key = hmac.digest(derived(b"storage-row"), row, "sha256")
    other = AES.new(row_key, AES.MODE_GCM, nonce=sealed[2:14])
    other.update(b"caretree/v1/storage-row" + row)
    assert sealed[:2] == b"\x01\x01"
    assert sealed[2:14] == bytes(range(12))
    assert other.decrypt_and_verify(sealed[14:-16], sealed[-16:]) == b"value"
    assert sealed.hex() == KNOWN_ROW


def test_the_blinded_name_and_the_key_check_are_the_documented_ones() -> None:
    assert (
        cipher().blind(b"value") == hmac.digest(derived(b"storage-blind"), b"value", "sha256")[:16]
    )
    assert cipher().check == derived(b"storage-check")[:16]
    assert cipher().blind(b"value").hex() == KNOWN_BLIND
    assert cipher().check.hex() == KNOWN_CHECK


@pytest.mark.parametrize(
    ("table", "key", "storage_key"),
    [
        (Table.STATE, b"key", STORAGE_KEY),
        (Table.BODY, b"kez", STORAGE_KEY),
        (Table.BODY, b"key\x00", STORAGE_KEY),
        (Table.BODY, b"key", bytes(32)),
    ],
    ids=["other table", "other key", "longer key", "other storage key"],
)
def test_a_row_moved_or_under_another_key_does_not_open(
    table: Table, key: bytes, storage_key: bytes
) -> None:
    sealed = cipher().seal(Table.BODY, b"key", b"secret value")

    with pytest.raises(StorageError) as caught:
        cipher(storage_key).open(table, key, sealed)
    assert "secret" not in str(caught.value)


def test_a_row_with_any_byte_changed_or_missing_does_not_open() -> None:
    sealed = cipher().seal(Table.BODY, b"key", b"value")
    changed = [
        sealed[:at] + bytes((sealed[at] ^ 1 << bit,)) + sealed[at + 1 :]
        for at in range(len(sealed))
        for bit in (0, 7)
    ]
    cut = [sealed[:length] for length in range(len(sealed))]

    for damaged in [*changed, *cut, sealed + b"\x00"]:
        with pytest.raises(StorageError):
            cipher().open(Table.BODY, b"key", damaged)


def test_a_storage_key_of_another_length_is_refused() -> None:
    with pytest.raises(MalformedError):
        cipher(bytes(31))


KNOWN_ROW = "0101000102030405060708090a0bc244869739b517e4de078cf2a2b124f12d3d3d5f80"
KNOWN_BLIND = "3abe0d55221cafcd4b1101e6aa5c8e6f"
KNOWN_CHECK = "f2d900d9f9ba7c482b58a243572cf66c"
