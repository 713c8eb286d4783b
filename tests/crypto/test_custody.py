import itertools

import hypothesis.strategies as st
import pytest
from caretree.crypto.aead import OpeningError
from caretree.crypto.custody import (
    SEALED_EXTRA_BYTES,
    SEALED_KEY_BYTES,
    Custody,
    KeyShare,
    SystemCustody,
    SystemRandom,
    combine_key,
    open_sealed,
    seal_to,
    split_key,
)
from caretree.crypto.keyring import key_id, keyring_seal_info
from caretree.crypto.random_source import RandomSource
from caretree.crypto.suite import NewerFormatError, UnknownSuiteError
from caretree.crypto.x25519 import SealingKey
from caretree.model.errors import MalformedError
from cryptography.hazmat.primitives import hpke
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey, X25519PublicKey
from hypothesis import given, settings

from tests.crypto.builders import HOSPITAL, TOWNSHIP, keyring_context, secret

RECIPIENT = SealingKey.from_private(secret("hospital sealing"))
SECRET = secret("epoch key")
INFO = keyring_seal_info(keyring_context(), epoch_key_id=key_id(SECRET), recipient=HOSPITAL)
SUITE = hpke.Suite(hpke.KEM.X25519, hpke.KDF.HKDF_SHA256, hpke.AEAD.AES_256_GCM)
# Sealed once by seal_to; every later release must open it.
KEPT = bytes.fromhex(
    "01019b1d2e43a77e1c0fb7e263a52237f7e437363d7570ac13a93c63f81f8b1fae62b05f6c1c0f22"
    "4f2e76044ea23f76ab219f8c905bcf3e9c12fe13e526e381b1697e9e367391ddfc0d929d507fdd08"
    "6fdd"
)


def sealed() -> bytes:
    return seal_to(RECIPIENT.public_key, info=INFO, secret=SECRET)


@settings(max_examples=20)
@given(st.binary(max_size=100), st.binary(max_size=100))
def test_what_is_sealed_to_a_member_opens(plaintext: bytes, info: bytes) -> None:
    envelope = seal_to(RECIPIENT.public_key, info=info, secret=plaintext)
    assert open_sealed(RECIPIENT, info=info, sealed=envelope) == plaintext
    assert len(envelope) == SEALED_EXTRA_BYTES + len(plaintext)


def test_a_sealed_key_has_82_bytes_and_names_version_and_suite() -> None:
    assert len(sealed()) == SEALED_KEY_BYTES == 82
    assert sealed()[:2] == b"\x01\x01"


def test_each_library_opens_the_envelope_that_the_other_sealed() -> None:
    private = X25519PrivateKey.from_private_bytes(RECIPIENT.private_key)
    assert SUITE.decrypt(sealed()[2:], private, INFO) == SECRET

    public = X25519PublicKey.from_public_bytes(RECIPIENT.public_key)
    theirs = b"\x01\x01" + SUITE.encrypt(SECRET, public, INFO)
    assert open_sealed(RECIPIENT, info=INFO, sealed=theirs) == SECRET


def test_an_envelope_of_the_first_release_opens() -> None:
    assert open_sealed(RECIPIENT, info=INFO, sealed=KEPT) == SECRET


def test_no_two_envelopes_are_equal() -> None:
    assert sealed() != sealed()


def test_another_member_or_place_opens_nothing() -> None:
    with pytest.raises(OpeningError, match="sealed to another member"):
        open_sealed(SealingKey.from_private(secret("other")), info=INFO, sealed=KEPT)
    elsewhere = keyring_seal_info(
        keyring_context(), epoch_key_id=key_id(SECRET), recipient=TOWNSHIP
    )
    with pytest.raises(OpeningError):
        open_sealed(RECIPIENT, info=elsewhere, sealed=KEPT)


@pytest.mark.parametrize("place", range(2, 82))
def test_every_flipped_byte_is_refused(place: int) -> None:
    flipped = bytearray(KEPT)
    flipped[place] ^= 0x20
    with pytest.raises(OpeningError):
        open_sealed(RECIPIENT, info=INFO, sealed=bytes(flipped))


def test_what_is_newer_or_of_another_suite_is_refused() -> None:
    with pytest.raises(NewerFormatError):
        open_sealed(RECIPIENT, info=INFO, sealed=b"\x02" + KEPT[1:])
    with pytest.raises(UnknownSuiteError):
        open_sealed(RECIPIENT, info=INFO, sealed=b"\x01\x02" + KEPT[2:])


@pytest.mark.parametrize("public_key", [b"", bytes(31), bytes(33), bytes(32), b"\x01" + bytes(31)])
def test_what_is_no_sealing_key_is_refused(public_key: bytes) -> None:
    with pytest.raises(MalformedError, match="sealing key"):
        seal_to(public_key, info=INFO, secret=SECRET)


@settings(max_examples=30)
@given(st.binary(max_size=100))
def test_arbitrary_bytes_give_only_our_errors(data: bytes) -> None:
    for envelope in (data, b"\x01\x01" + data.ljust(48, b"\0")):
        with pytest.raises((MalformedError, OpeningError)):
            open_sealed(RECIPIENT, info=INFO, sealed=envelope)


def test_a_low_order_encapsulated_key_is_refused() -> None:
    with pytest.raises(OpeningError):
        open_sealed(RECIPIENT, info=INFO, sealed=b"\x01\x01" + bytes(32) + KEPT[34:])


def test_system_custody_does_what_the_functions_do() -> None:
    custody: Custody = SystemCustody()
    envelope = custody.seal_to(RECIPIENT.public_key, info=INFO, secret=SECRET)
    assert custody.open_sealed(RECIPIENT, info=INFO, sealed=envelope) == SECRET
    assert len(custody.random_bytes(12)) == 12


def test_the_random_source_draws_as_much_as_asked_and_never_the_same() -> None:
    random: RandomSource = SystemRandom()
    assert [len(random.random_bytes(length)) for length in (0, 1, 12, 32)] == [0, 1, 12, 32]
    assert len({random.random_bytes(16) for _ in range(100)}) == 100


@pytest.mark.parametrize(("threshold", "trustees"), [(2, 3), (3, 3), (3, 5), (5, 9), (9, 9)])
def test_threshold_shares_give_the_key_back(threshold: int, trustees: int) -> None:
    shares = split_key(SECRET, threshold=threshold, trustees=trustees)
    assert [share.number for share in shares] == list(range(1, trustees + 1))
    for some in itertools.islice(itertools.combinations(shares, threshold), 10):
        assert combine_key(some, expected=key_id(SECRET)) == SECRET
        assert combine_key(some[::-1], expected=key_id(SECRET)) == SECRET


def test_fewer_shares_than_the_threshold_give_no_key() -> None:
    shares = split_key(SECRET, threshold=3, trustees=5)
    for some in itertools.combinations(shares, 2):
        with pytest.raises(OpeningError):
            combine_key(some, expected=key_id(SECRET))


def test_an_altered_share_is_noticed() -> None:
    one, two, _ = split_key(SECRET, threshold=2, trustees=3)
    altered = KeyShare(
        number=two.number,
        first_half=two.first_half,
        second_half=bytes((two.second_half[0] ^ 1,)) + two.second_half[1:],
    )
    with pytest.raises(OpeningError):
        combine_key([one, altered], expected=key_id(SECRET))


def test_what_are_no_shares_is_refused() -> None:
    one, two, _ = split_key(SECRET, threshold=2, trustees=3)
    short = KeyShare(number=3, first_half=bytes(15), second_half=bytes(16))
    zero = KeyShare(number=0, first_half=bytes(16), second_half=bytes(16))
    for shares in ([], [one], [one, one], [one, short], [one, zero], [one, two] * 5):
        with pytest.raises(MalformedError, match="shares"):
            combine_key(shares, expected=key_id(SECRET))


@pytest.mark.parametrize(("threshold", "trustees"), [(2, 2), (2, 10), (1, 3), (4, 3)])
def test_numbers_out_of_bounds_are_refused(threshold: int, trustees: int) -> None:
    with pytest.raises(MalformedError, match=r"trustees|threshold"):
        split_key(SECRET, threshold=threshold, trustees=trustees)


def test_a_split_key_has_32_bytes() -> None:
    with pytest.raises(MalformedError, match="split key"):
        split_key(bytes(16), threshold=2, trustees=3)


def test_a_share_is_not_shown() -> None:
    share = split_key(SECRET, threshold=2, trustees=3)[0]
    assert repr(share) == "KeyShare(number=1)"
