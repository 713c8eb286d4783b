from dataclasses import replace

import hypothesis.strategies as st
import pytest
from caretree.crypto.aead import OpeningError
from caretree.crypto.fields import encode_fields
from caretree.crypto.keystore import (
    _KIND,
    PSEUDONYM_KEYS_MAX,
    Keystore,
    PseudonymKey,
    _fields,
    decode_keystore,
    encode_keystore,
)
from caretree.crypto.locked import BOX_BYTES_MAX, BoxKey, Passphrase, RawKey, lock
from caretree.crypto.suite import NewerFormatError, UnknownSuiteError
from caretree.model.errors import CaretreeError, MalformedError
from caretree.model.ids import MemberId
from Crypto.Cipher import AES
from hypothesis import given

from tests.crypto.builders import FixedRandom, keystore, secret

RAW = RawKey(key=secret("keystore key"))
PASSPHRASE = Passphrase(text="correct horse battery staple")


def encoded(key: BoxKey = RAW, *, founded: bool = True) -> bytes:
    return encode_keystore(keystore(founded=founded), key=key, random=FixedRandom())


def locked(fields: dict[int, bytes]) -> bytes:
    """A box that holds these fields, whoever may have written them."""
    return lock(_KIND, key=RAW, context=b"", plaintext=encode_fields(fields), random=FixedRandom())


def assert_same(one: Keystore, other: Keystore) -> None:
    """Equal in every secret too, which the values' own equality leaves out."""
    assert one == other
    assert _fields(one) == _fields(other)


@pytest.mark.parametrize("founded", [True, False])
def test_a_keystore_is_found_again(founded: bool) -> None:
    data = encoded(founded=founded)
    assert_same(decode_keystore(data, key=RAW), keystore(founded=founded))


def test_a_keystore_is_found_again_with_its_passphrase() -> None:
    assert_same(decode_keystore(encoded(PASSPHRASE), key=PASSPHRASE), keystore())


def test_known_answer_of_a_keystore() -> None:
    data = encoded(founded=False)
    assert data.hex() == (
        "0101018b51fb0498fb74cdbbcf1b8a2f61067eb307cd6adc0bc4b40006fa6d3774644b67270fff9b"
        "0b4ea8f259406fbc995d580dd260e169f308cbe2ab5cf26c83d671b6bb1d85b58c054f700268868b"
        "af3bebaa6521be25f30e301a713def8b98e071d837f5259c50b2958948194947ab60d8c21c6d4228"
        "624bca856ed1467d1fd3c56df5ecc6206760868cec361ffffb4da3299222b606846d3f815ad66cf1"
        "361ab7d49e31a58eecd352a0df2fc011dfcf0256c4e9784d4be74a35cd7bd66033a9a8a91b3c5958"
        "be8e26a9ac7ed9267d"
    )


def test_the_other_library_opens_the_file_by_its_layout() -> None:
    data = encoded(founded=False)
    assert data[:3] == b"\x01\x01\x01"
    header = data[:15]
    cipher = AES.new(RAW.key, AES.MODE_GCM, nonce=data[3:15])
    cipher.update(
        b"\x00\x00\x00\x14caretree/v1/keystore" + b"\x00\x00\x00\x0f" + header + b"\x00\x00\x00\x00"
    )
    plaintext = cipher.decrypt_and_verify(data[15:-16], data[-16:])
    assert plaintext == (
        b"\x01\x00\x00\x00\x0ccare.example"
        b"\x02\x00\x00\x00\x08township"
        b"\x03\x00\x00\x00\x20" + secret("member") + b"\x04\x00\x00\x00\x20" + secret("sealing")
        + b"\x05\x00\x00\x00\x20" + secret("member secret")
        + b"\x06\x00\x00\x00\x20" + secret("storage")
    )  # fmt: skip


def test_no_secret_is_in_the_file() -> None:
    data = encoded()
    for name in ("member", "sealing", "member secret", "storage", "batch", "log", "cosigner"):
        assert secret(name) not in data
    assert b"care.example" not in data


def test_the_wrong_key_is_refused_saying_what_to_do() -> None:
    with pytest.raises(OpeningError, match=r"wrong key or damaged; .*recovery kit"):
        decode_keystore(encoded(), key=RawKey(key=secret("another")))


def test_the_wrong_passphrase_is_refused_saying_what_to_do() -> None:
    with pytest.raises(OpeningError, match=r"wrong key or damaged; .*recovery kit"):
        decode_keystore(encoded(PASSPHRASE), key=Passphrase(text="Tr0ub4dor"))


def test_the_other_sort_of_key_is_refused_by_name() -> None:
    with pytest.raises(OpeningError, match="locked with a passphrase"):
        decode_keystore(encoded(PASSPHRASE), key=RAW)
    with pytest.raises(OpeningError, match="locked with a key file"):
        decode_keystore(encoded(), key=PASSPHRASE)


def test_every_flipped_byte_is_refused() -> None:
    data = encoded()
    for place in range(len(data)):
        flipped = bytearray(data)
        flipped[place] ^= 0x04
        with pytest.raises((OpeningError, MalformedError)):
            decode_keystore(bytes(flipped), key=RAW)


def test_every_flipped_byte_before_the_salt_is_refused_under_a_passphrase() -> None:
    data = encoded(PASSPHRASE)
    for place in range(6):
        flipped = bytearray(data)
        flipped[place] ^= 0x40
        with pytest.raises(MalformedError):
            decode_keystore(bytes(flipped), key=PASSPHRASE)


def test_a_dearer_cost_than_the_bound_is_refused_before_it_is_paid() -> None:
    data = encoded(PASSPHRASE)
    with pytest.raises(MalformedError, match="scrypt cost"):
        decode_keystore(data[:3] + b"\x1f" + data[4:], key=PASSPHRASE)


def test_every_cut_is_refused() -> None:
    data = encoded()
    for length in range(len(data)):
        with pytest.raises((OpeningError, MalformedError)):
            decode_keystore(data[:length], key=RAW)


def test_what_is_newer_is_refused_as_newer() -> None:
    data = encoded()
    with pytest.raises(NewerFormatError):
        decode_keystore(b"\x02" + data[1:], key=RAW)
    with pytest.raises(UnknownSuiteError):
        decode_keystore(data[:1] + b"\x02" + data[2:], key=RAW)


def test_a_file_above_the_limit_is_refused() -> None:
    with pytest.raises(MalformedError, match="65536 bytes"):
        decode_keystore(bytes(BOX_BYTES_MAX + 1), key=RAW)


@pytest.mark.parametrize("tag", [1, 2, 3, 4, 5, 6])
def test_a_missing_field_is_named(tag: int) -> None:
    fields = _fields(keystore())
    del fields[tag]
    with pytest.raises(MalformedError, match=f"lacks field {tag}"):
        decode_keystore(locked(fields), key=RAW)


@pytest.mark.parametrize(
    ("tag", "value"),
    [
        (1, b"\xff"),
        (1, b"Upper Case"),
        (2, b"-"),
        (3, bytes(31)),
        (4, bytes(33)),
        (5, b""),
        (6, bytes(31)),
        (7, b""),
        (7, bytes(35)),
        (7, bytes(36) * 2),  # one epoch twice
        (8, bytes(95)),
        (9, b""),
    ],
)
def test_a_wrong_field_is_refused(tag: int, value: bytes) -> None:
    with pytest.raises(MalformedError):
        decode_keystore(locked(_fields(keystore()) | {tag: value}), key=RAW)


@given(st.dictionaries(st.integers(1, 9), st.binary(max_size=40)))
def test_arbitrary_fields_give_only_our_errors(fields: dict[int, bytes]) -> None:
    with pytest.raises(CaretreeError):
        decode_keystore(locked(fields), key=RAW)


@given(st.binary(max_size=120))
def test_arbitrary_bytes_give_only_our_errors(data: bytes) -> None:
    with pytest.raises(CaretreeError):
        decode_keystore(data, key=RAW)
    with pytest.raises(CaretreeError):
        decode_keystore(b"\x01\x01\x01" + data, key=RAW)


def test_the_most_pseudonym_keys_fit_and_one_more_does_not() -> None:
    many = tuple(PseudonymKey(epoch=n, key=secret("k")) for n in range(PSEUDONYM_KEYS_MAX))
    full = replace(keystore(), pseudonym_keys=many)
    data = encode_keystore(full, key=RAW, random=FixedRandom())
    assert_same(decode_keystore(data, key=RAW), full)
    with pytest.raises(MalformedError, match="pseudonym keys"):
        replace(full, pseudonym_keys=(*many, PseudonymKey(epoch=5000, key=secret("k"))))


@pytest.mark.parametrize(
    "change",
    [
        {"member_secret": bytes(31)},
        {"storage_key": bytes(33)},
        {"consortium": "Not A Name"},
        {"member": MemberId("not a member")},
        {"pseudonym_keys": (PseudonymKey(epoch=1, key=bytes(31)),)},
        {"pseudonym_keys": (PseudonymKey(epoch=-1, key=bytes(32)),)},
        {"pseudonym_keys": (PseudonymKey(epoch=2**32, key=bytes(32)),)},
        {
            "pseudonym_keys": (
                PseudonymKey(epoch=2, key=bytes(32)),
                PseudonymKey(epoch=1, key=bytes(32)),
            )
        },
    ],
)
def test_what_could_not_be_read_again_is_never_made(change: dict[str, object]) -> None:
    with pytest.raises(MalformedError):
        replace(keystore(), **change)  # type: ignore[arg-type]


def test_a_raw_key_has_32_bytes() -> None:
    with pytest.raises(MalformedError, match="keystore key"):
        RawKey(key=b"hunter2")


def test_nothing_secret_is_shown() -> None:
    shown = repr(keystore()) + repr(RAW) + repr(PASSPHRASE)
    names = ("member", "sealing", "member secret", "storage", "batch", "log", "cosigner")
    for name in (*names, "pseudonym key 1", "pseudonym key 4", "keystore key"):
        assert repr(secret(name)) not in shown
        assert secret(name).hex() not in shown
    assert PASSPHRASE.text not in shown
