import hashlib
import itertools

import hypothesis.strategies as st
import pytest
from caretree.crypto.aead import OpeningError, seal_envelope
from caretree.crypto.framing import LABEL_KEYRING_CHAIN, length_prefixed
from caretree.crypto.keyring import (
    CHAINED_KEY_BYTES,
    KeyringContext,
    chain_previous,
    check_key_id,
    key_id,
    keyring_seal_info,
    open_previous,
)
from caretree.model.errors import MalformedError
from caretree.model.ids import KeyId, Origin
from Crypto.Cipher import AES
from hypothesis import given

from tests.crypto.builders import HOSPITAL, TOWNSHIP, keyring_context, nonce, secret

CONTEXT = keyring_context()
NEW, PREVIOUS = secret("epoch 2"), secret("epoch 1")
OTHER_CONTEXTS = [
    keyring_context(origin=Origin("care.example/0011aabc")),
    keyring_context(custodian=HOSPITAL),
    keyring_context(patient="another patient"),
]
CONTEXT_PARTS = (
    b"\x00\x00\x00\x15care.example/0011aabb"
    b"\x00\x00\x00\x08township"
    b"\x00\x00\x00\x20" + secret("pseudonym patient")
)


def chained() -> bytes:
    return chain_previous(new_key=NEW, previous_key=PREVIOUS, nonce=nonce("chain"), context=CONTEXT)


def opened(chain: bytes, context: KeyringContext = CONTEXT, new_key: bytes = NEW) -> bytes:
    return open_previous(
        new_key=new_key, previous_key_id=key_id(PREVIOUS), chained=chain, context=context
    )


def test_a_key_id_is_the_hash_of_its_layout() -> None:
    layout = b"\x00\x00\x00\x12caretree/v1/key-id" + b"\x00\x00\x00\x20" + NEW
    assert key_id(NEW) == hashlib.sha256(layout).digest()


def test_known_answers_of_a_keyring() -> None:
    assert key_id(NEW).hex() == "ac131303fb4316eda61a7389e62523a9297c196f1a2ee3eae7d57e97227ce489"
    assert chained().hex() == (
        "0101528c20cdbfd0f9dee5687fad8f1f6bb53ecf810fbcb044b725a5046460f6ebf2f272c836ee54"
        "dc0986f64fad6d941e95f1e420edbbee11b75d08afc1"
    )


def test_the_previous_key_opens_with_the_new_one() -> None:
    assert opened(chained()) == PREVIOUS
    assert len(chained()) == CHAINED_KEY_BYTES


def test_the_newest_key_opens_all_that_went_before() -> None:
    keys = [secret(f"epoch {number}") for number in range(6)]
    links = [
        chain_previous(new_key=new, previous_key=old, nonce=nonce("link"), context=CONTEXT)
        for old, new in itertools.pairwise(keys)
    ]
    key = keys[-1]
    for number in range(4, -1, -1):
        key = open_previous(
            new_key=key,
            previous_key_id=key_id(keys[number]),
            chained=links[number],
            context=CONTEXT,
        )
        assert key == keys[number]


def test_each_library_opens_the_chain_that_the_other_sealed() -> None:
    aad = (
        b"\x00\x00\x00\x19caretree/v1/keyring-chain"
        + CONTEXT_PARTS
        + b"\x00\x00\x00\x20"
        + key_id(NEW)
        + b"\x00\x00\x00\x20"
        + key_id(PREVIOUS)
    )
    chain = chained()
    cipher = AES.new(NEW, AES.MODE_GCM, nonce=chain[2:14])
    cipher.update(aad)
    assert cipher.decrypt_and_verify(chain[14:-16], chain[-16:]) == PREVIOUS

    cipher = AES.new(NEW, AES.MODE_GCM, nonce=nonce("theirs"))
    cipher.update(aad)
    ciphertext, tag = cipher.encrypt_and_digest(PREVIOUS)
    assert opened(b"\x01\x01" + nonce("theirs") + ciphertext + tag) == PREVIOUS


@pytest.mark.parametrize("context", OTHER_CONTEXTS)
def test_a_link_moved_to_another_keyring_does_not_open(context: KeyringContext) -> None:
    with pytest.raises(OpeningError):
        opened(chained(), context=context)


def test_a_link_does_not_open_with_another_key_nor_as_another_key() -> None:
    with pytest.raises(OpeningError):
        opened(chained(), new_key=secret("epoch 3"))
    with pytest.raises(OpeningError):
        open_previous(
            new_key=NEW,
            previous_key_id=key_id(secret("epoch 0")),
            chained=chained(),
            context=CONTEXT,
        )


def test_a_chained_key_that_its_id_does_not_name_is_refused() -> None:
    # What a custodian itself could write: rightly sealed, but another key.
    aad = length_prefixed(LABEL_KEYRING_CHAIN, *CONTEXT.parts(), key_id(NEW), key_id(PREVIOUS))
    chain = seal_envelope(key=NEW, nonce=nonce("x"), aad=aad, plaintext=secret("epoch 0"))
    with pytest.raises(OpeningError, match="key id"):
        opened(chain)


def test_a_key_id_names_its_key_alone() -> None:
    check_key_id(NEW, key_id(NEW))
    with pytest.raises(OpeningError, match="key id"):
        check_key_id(NEW, key_id(PREVIOUS))
    with pytest.raises(OpeningError):
        check_key_id(NEW, KeyId(b""))
    with pytest.raises(MalformedError):
        key_id(bytes(16))


def test_the_seal_info_is_its_layout() -> None:
    info = keyring_seal_info(CONTEXT, epoch_key_id=key_id(NEW), recipient=HOSPITAL)
    assert info == (
        b"\x00\x00\x00\x18caretree/v1/keyring-seal"
        + CONTEXT_PARTS
        + b"\x00\x00\x00\x20"
        + key_id(NEW)
        + b"\x00\x00\x00\x08hospital"
    )


def test_every_part_moves_the_seal_info() -> None:
    infos = {
        keyring_seal_info(context, epoch_key_id=key_id(NEW), recipient=HOSPITAL)
        for context in (CONTEXT, *OTHER_CONTEXTS)
    }
    infos.add(keyring_seal_info(CONTEXT, epoch_key_id=key_id(PREVIOUS), recipient=HOSPITAL))
    infos.add(keyring_seal_info(CONTEXT, epoch_key_id=key_id(NEW), recipient=TOWNSHIP))
    assert len(infos) == 6


@given(st.binary(max_size=80))
def test_arbitrary_bytes_give_only_our_errors(data: bytes) -> None:
    for chain in (data, (b"\x01\x01" + data)[:62].ljust(62)):
        with pytest.raises((MalformedError, OpeningError)):
            opened(chain)
