"""Rows at rest: sealed for one place under one key, and names that say nothing."""

import hmac
from concurrent.futures import ThreadPoolExecutor

import pytest
from caretree.model.errors import MalformedError
from caretree.storage.errors import StorageError
from caretree.storage.keys import Table
from caretree.storage.row_cipher import GROUP_KEYS_MAX, RowCipher
from Crypto.Cipher import AES
from Crypto.Hash import SHA256
from Crypto.Protocol.KDF import HKDF
from hypothesis import given
from hypothesis import strategies as st

from tests.storage.stores import STORAGE_KEY, SystemBytes, cipher


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


def test_no_nonce_comes_twice_under_one_key_from_any_thread() -> None:
    sealing = cipher()
    with ThreadPoolExecutor(4) as threads:
        rows = list(threads.map(lambda _: sealing.seal(Table.BODY, b"key", b"value"), range(2_000)))

    assert len({row[2:18] for row in rows}) == len(rows)


def test_a_group_that_is_full_is_followed_by_another() -> None:
    sealing = RowCipher(STORAGE_KEY, random=SystemBytes(), group_rows_max=3)
    rows = [sealing.seal(Table.BODY, b"key", bytes((place,))) for place in range(7)]

    assert [row[14:18] for row in rows] == [bytes((0, 0, 0, number % 3)) for number in range(7)]
    assert len({row[2:14] for row in rows}) == 3
    for place, row in enumerate(rows):
        assert sealing.open(Table.BODY, b"key", row) == bytes((place,))


def test_rows_of_more_groups_than_are_remembered_still_open() -> None:
    reading = cipher()
    rows = [cipher().seal(Table.BODY, b"key", b"value") for _ in range(GROUP_KEYS_MAX + 2)]

    for row in (*rows, *rows):
        assert reading.open(Table.BODY, b"key", row) == b"value"
    assert reading._cipher_of.cache_info().currsize == GROUP_KEYS_MAX


def test_the_layout_on_disk_is_the_documented_one() -> None:
    sealed = RowCipher(STORAGE_KEY, random=CountedBytes()).seal(Table.STATE, b"head", b"value")

    # Opened by the other library, from the layout alone.
    group, number = sealed[2:14], sealed[14:18]
    group_key = hmac.digest(derived(b"storage-row"), group, "sha256")
    other = AES.new(group_key, AES.MODE_GCM, nonce=bytes(8) + number)
    other.update(b"caretree/v1/storage-row" + b"\x20head")
    assert sealed[:2] == b"\x01\x01"
    assert group == bytes(range(12))
    assert number == bytes(4)
    assert other.decrypt_and_verify(sealed[18:-16], sealed[-16:]) == b"value"
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


KNOWN_ROW = "0101000102030405060708090a0b00000000d8eb26a8a6596b7e7178901d8046f9eda3bdf7a629"
KNOWN_BLIND = "3abe0d55221cafcd4b1101e6aa5c8e6f"
KNOWN_CHECK = "f2d900d9f9ba7c482b58a243572cf66c"
