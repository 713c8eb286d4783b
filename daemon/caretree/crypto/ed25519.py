"""Ed25519 signatures under our own rule of acceptance (ADR-0011).

Verifiers of Ed25519 differ at the edges, and a consortium whose peers run different library
releases must never disagree about one signature (INV-26). So a signature is refused here, before
any library is asked, unless

1. the public key A has 32 bytes and the signature R || S has 64;
2. A and R are canonical encodings (RFC 8032 5.1.3): y below p = 2^255 - 19, no sign bit where x
   is zero;
3. S is below the group order L (RFC 8032 5.1.7, step 1);
4. neither A nor R is one of the eight points of small order.

What remains is decided by the equation without cofactor, [S]B = R + [k]A, which OpenSSL computes. A
point that is the sum of a large and a small part passes 1 to 4 and then stands or falls by that
equation alone; verifiers that multiply it by the cofactor 8 (pycryptodome's is one) take some such
signatures, which only the holder of the private key can make, and are no verifiers for us.
"""

from dataclasses import dataclass, field
from functools import lru_cache
from typing import Final, Self

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import (
    Ed25519PrivateKey,
    Ed25519PublicKey,
)

from caretree.crypto.suite import check_key
from caretree.model.errors import VerificationError

PUBLIC_KEY_BYTES: Final = 32
SIGNATURE_BYTES: Final = 64
KEY_CACHE_KEYS_MAX: Final = 1024  # importing a key costs 2 us; a consortium has some hundred keys

_FIELD_PRIME: Final = 2**255 - 19
_GROUP_ORDER: Final = 2**252 + 27742317777372353535851937790883648493
_Y_MASK: Final = 2**255 - 1
_SIGN_BIT: Final = 1 << 255
_MINUS_ONE: Final = _FIELD_PRIME - 1
# The y of the four points of order 8, up to its sign; the tests compute all eight points anew.
_ORDER_8_Y: Final = 0x7A03AC9277FDC74EC6CC392CFA53202A0F67100D760B3CBA4FD84D3D706A17C7


def _encode(y: int, *, sign: bool) -> bytes:
    return (y | _SIGN_BIT if sign else y).to_bytes(32, "little")


_SMALL_ORDER: Final = frozenset(
    (
        _encode(1, sign=False),  # order 1
        _encode(_MINUS_ONE, sign=False),  # order 2
        _encode(0, sign=False),  # order 4
        _encode(0, sign=True),
        _encode(_ORDER_8_Y, sign=False),  # order 8
        _encode(_ORDER_8_Y, sign=True),
        _encode(_FIELD_PRIME - _ORDER_8_Y, sign=False),
        _encode(_FIELD_PRIME - _ORDER_8_Y, sign=True),
    )
)


class SignatureError(VerificationError):
    """A signature or public key is refused by the rule above, or does not hold."""


def verify(public_key: bytes, message: bytes, signature: bytes) -> None:
    """Return when `signature` over `message` holds under `public_key` by the rule of this module.

    The arguments stand in the order of merkle's SignatureCheck, which this function is.

    Raises:
        SignatureError: otherwise.
    """
    key = _import_public_key(bytes(public_key))
    if len(signature) != SIGNATURE_BYTES:
        raise SignatureError(f"signature: expected {SIGNATURE_BYTES} bytes, found {len(signature)}")
    _check_point(signature[:32], what="signature's R")
    if int.from_bytes(signature[32:], "little") >= _GROUP_ORDER:
        raise SignatureError("signature's S: expected a number below the group order")
    try:
        key.verify(signature, message)
    except InvalidSignature:
        raise SignatureError("signature: does not hold under this public key") from None


def check_public_key(public_key: bytes) -> None:
    """Return when `public_key` could verify a signature by the rule of this module.

    Raises:
        SignatureError: it is of another length, not canonical or of small order.
    """
    if len(public_key) != PUBLIC_KEY_BYTES:
        raise SignatureError(
            f"public key: expected {PUBLIC_KEY_BYTES} bytes, found {len(public_key)}"
        )
    _check_point(public_key, what="public key")


@lru_cache(maxsize=KEY_CACHE_KEYS_MAX)
def _import_public_key(public_key: bytes) -> Ed25519PublicKey:
    check_public_key(public_key)
    return Ed25519PublicKey.from_public_bytes(public_key)


def _check_point(encoded: bytes, *, what: str) -> None:
    number = int.from_bytes(encoded, "little")
    y = number & _Y_MASK
    if y >= _FIELD_PRIME or (number & _SIGN_BIT and y in (1, _MINUS_ONE)):
        raise SignatureError(f"{what}: expected the canonical encoding of a point")
    if encoded in _SMALL_ORDER:
        raise SignatureError(f"{what}: is a point of small order")


@dataclass(frozen=True, slots=True, kw_only=True)
class SigningKey:
    """An Ed25519 private key. Two are equal when their public keys are; the seed is never shown."""

    public_key: bytes
    seed: bytes = field(repr=False, compare=False)
    _key: Ed25519PrivateKey = field(repr=False, compare=False)

    @classmethod
    def from_seed(cls, seed: bytes) -> Self:
        """The key whose 32-byte private seed (RFC 8032 5.1.5) this is.

        Raises:
            MalformedError: the seed has another length.
        """
        key = Ed25519PrivateKey.from_private_bytes(check_key(seed, field="signing key"))
        return cls(public_key=key.public_key().public_bytes_raw(), seed=seed, _key=key)

    def sign(self, message: bytes) -> bytes:
        """The 64-byte signature over `message`, which `verify` accepts."""
        return self._key.sign(message)
