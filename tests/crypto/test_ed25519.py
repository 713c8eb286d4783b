import hypothesis.strategies as st
import pytest
from caretree.crypto import ed25519
from caretree.crypto.ed25519 import SignatureError, SigningKey, check_public_key, verify
from caretree.model.errors import MalformedError, VerificationError
from Crypto.PublicKey import ECC
from Crypto.Signature import eddsa
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from hypothesis import given

from tests.crypto import edwards
from tests.crypto.builders import secret

KEY = SigningKey.from_seed(secret("signer"))
MESSAGE = b"a checkpoint"
SIGNATURE = KEY.sign(MESSAGE)
MINUS_ONE = edwards.P - 1


def encoded(y: int, *, sign: int = 0) -> bytes:
    return (y | sign << 255).to_bytes(32, "little")


@given(seed=st.binary(min_size=32, max_size=32), message=st.binary(max_size=200))
def test_what_is_signed_verifies(seed: bytes, message: bytes) -> None:
    key = SigningKey.from_seed(seed)
    verify(key.public_key, message, key.sign(message))


@given(message=st.binary(max_size=200))
def test_both_libraries_make_and_take_the_same_signature(message: bytes) -> None:
    # RFC 8032 signatures are deterministic: not only acceptable to each other but equal.
    other = ECC.construct(curve="Ed25519", seed=KEY.seed)
    theirs = eddsa.new(other, "rfc8032").sign(message)
    assert theirs == KEY.sign(message)
    verify(KEY.public_key, message, theirs)
    eddsa.new(eddsa.import_public_key(KEY.public_key), "rfc8032").verify(message, KEY.sign(message))


def test_the_slow_reference_takes_our_signature() -> None:
    assert edwards.holds(KEY.public_key, MESSAGE, SIGNATURE)
    assert not edwards.holds(KEY.public_key, MESSAGE + b".", SIGNATURE)


@pytest.mark.parametrize("bit", range(0, 512, 7))
def test_a_flipped_bit_of_the_signature_is_refused(bit: int) -> None:
    flipped = bytearray(SIGNATURE)
    flipped[bit // 8] ^= 1 << bit % 8
    with pytest.raises(SignatureError):
        verify(KEY.public_key, MESSAGE, bytes(flipped))


@pytest.mark.parametrize("bit", range(0, 256, 5))
def test_a_flipped_bit_of_the_key_is_refused(bit: int) -> None:
    flipped = bytearray(KEY.public_key)
    flipped[bit // 8] ^= 1 << bit % 8
    with pytest.raises(SignatureError):
        verify(bytes(flipped), MESSAGE, SIGNATURE)


def test_another_message_is_refused() -> None:
    with pytest.raises(VerificationError, match="does not hold"):
        verify(KEY.public_key, MESSAGE + b".", SIGNATURE)


@pytest.mark.parametrize("length", [0, 31, 33])
def test_a_key_of_another_length_is_refused(length: int) -> None:
    with pytest.raises(SignatureError, match=f"32 bytes, found {length}"):
        verify(bytes(length), MESSAGE, SIGNATURE)
    with pytest.raises(SignatureError, match=f"32 bytes, found {length}"):
        check_public_key(bytes(length))


@pytest.mark.parametrize("length", [0, 63, 65, 128])
def test_a_signature_of_another_length_is_refused(length: int) -> None:
    with pytest.raises(SignatureError, match=f"64 bytes, found {length}"):
        verify(KEY.public_key, MESSAGE, bytes(length))


def test_s_above_the_group_order_is_refused_though_it_satisfies_the_equation() -> None:
    number = int.from_bytes(SIGNATURE[32:], "little") + edwards.ORDER
    malleated = SIGNATURE[:32] + number.to_bytes(32, "little")
    assert edwards.holds(KEY.public_key, MESSAGE, malleated)
    with pytest.raises(SignatureError, match="group order"):
        verify(KEY.public_key, MESSAGE, malleated)


def test_the_bound_of_s_is_the_group_order_itself() -> None:
    for number, reason in ((edwards.ORDER, "group order"), (edwards.ORDER - 1, "does not hold")):
        with pytest.raises(SignatureError, match=reason):
            verify(KEY.public_key, MESSAGE, SIGNATURE[:32] + number.to_bytes(32, "little"))


def test_the_table_of_small_order_is_what_the_reference_computes() -> None:
    assert edwards.small_order_encodings() == ed25519._SMALL_ORDER
    assert len(ed25519._SMALL_ORDER) == 8


@pytest.mark.parametrize("point", sorted(edwards.small_order_encodings()), ids=bytes.hex)
def test_points_of_small_order_are_refused_as_key_and_as_r(point: bytes) -> None:
    with pytest.raises(SignatureError, match="public key: is a point of small order"):
        verify(point, MESSAGE, SIGNATURE)
    with pytest.raises(SignatureError, match="signature's R: is a point of small order"):
        verify(KEY.public_key, MESSAGE, point + SIGNATURE[32:])


NON_CANONICAL = [
    *(encoded(edwards.P + y, sign=sign) for y in range(19) for sign in (0, 1)),
    encoded(1, sign=1),
    encoded(MINUS_ONE, sign=1),
]


@pytest.mark.parametrize("point", NON_CANONICAL, ids=bytes.hex)
def test_encodings_that_are_not_canonical_are_refused_as_key_and_as_r(point: bytes) -> None:
    with pytest.raises(SignatureError, match="public key: expected the canonical"):
        verify(point, MESSAGE, SIGNATURE)
    with pytest.raises(SignatureError, match="signature's R: expected the canonical"):
        verify(KEY.public_key, MESSAGE, point + SIGNATURE[32:])


def test_a_key_that_is_no_point_is_refused() -> None:
    off_curve = next(encoded(y) for y in range(2, 100) if edwards.decode(encoded(y)) is None)
    with pytest.raises(SignatureError):
        verify(off_curve, MESSAGE, SIGNATURE)


@given(key=st.binary(max_size=40), message=st.binary(max_size=40), signature=st.binary(max_size=70))
def test_arbitrary_bytes_give_only_our_error(key: bytes, message: bytes, signature: bytes) -> None:
    with pytest.raises(SignatureError):
        verify(key, message, signature)


@given(key=st.binary(min_size=32, max_size=32), signature=st.binary(min_size=64, max_size=64))
def test_arbitrary_bytes_of_right_length_give_only_our_error(key: bytes, signature: bytes) -> None:
    with pytest.raises(SignatureError):
        verify(key, MESSAGE, signature)


def test_the_key_cache_is_bounded() -> None:
    assert ed25519._import_public_key.cache_info().maxsize == ed25519.KEY_CACHE_KEYS_MAX
    assert isinstance(ed25519._import_public_key(KEY.public_key), Ed25519PublicKey)


def test_a_signing_key_shows_its_public_key_alone() -> None:
    shown = repr(KEY)
    assert repr(KEY.public_key) in shown
    assert repr(KEY.seed) not in shown
    assert KEY.seed.hex() not in shown
    assert "Private" not in shown


def test_signing_keys_are_equal_by_their_seed_and_not_else() -> None:
    assert SigningKey.from_seed(secret("signer")) == KEY
    assert SigningKey.from_seed(secret("another")) != KEY


def test_a_seed_has_32_bytes() -> None:
    with pytest.raises(MalformedError, match="signing key"):
        SigningKey.from_seed(bytes(31))
