"""Keys sealed to members and split among trustees; alone in this room it draws randomness.

A sealed secret is

    version u8 (1) || suite u8 (1) || enc 32 || AES-256-GCM ciphertext || tag 16

by HPKE (RFC 9180) in mode base with DHKEM(X25519, HKDF-SHA256), HKDF-SHA256 and AES-256-GCM, the
context in `info`, no additional data, one message: 82 bytes for a 32-byte key. A split key is two
Shamir splits over GF(2^128), one of each half.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Final, Protocol

from Crypto.Protocol import HPKE
from Crypto.Protocol.DH import import_x25519_private_key, import_x25519_public_key
from Crypto.Protocol.SecretSharing import Shamir
from Crypto.Random import get_random_bytes
from typing_extensions import override

from caretree.crypto.aead import TAG_BYTES, OpeningError
from caretree.crypto.keyring import check_key_id
from caretree.crypto.random_source import RandomSource
from caretree.crypto.suite import (
    FORMAT_VERSION,
    KEY_BYTES,
    SUITE_1,
    check_key,
    check_suite,
    check_version,
)
from caretree.crypto.x25519 import SEALING_PUBLIC_KEY_BYTES, SealingKey
from caretree.model.errors import MalformedError
from caretree.model.ids import KeyId

ENCAPSULATED_BYTES: Final = 32
SEALED_EXTRA_BYTES: Final = 2 + ENCAPSULATED_BYTES + TAG_BYTES
SEALED_KEY_BYTES: Final = SEALED_EXTRA_BYTES + KEY_BYTES
TRUSTEES_MIN: Final = 3
TRUSTEES_MAX: Final = 9
THRESHOLD_MIN: Final = 2

_HEADER: Final = bytes((FORMAT_VERSION, SUITE_1))
_HALF_BYTES: Final = 16
_FIELD: Final = "sealed key"


class Custody(RandomSource, Protocol):
    """What the rooms above ask of key custody, as an argument: SystemCustody in a daemon."""

    def seal_to(self, public_key: bytes, *, info: bytes, secret: bytes) -> bytes:
        """`secret` sealed to the holder of the sealing key, under `info`.

        Raises:
            MalformedError: the public key is none.
        """
        ...

    def open_sealed(self, sealing_key: SealingKey, *, info: bytes, sealed: bytes) -> bytes:
        """The secret that was sealed to this key under this `info`.

        Raises:
            MalformedError: the bytes have a wrong length, version or suite.
            OpeningError: they were sealed to another key or under another `info`, or were changed.
        """
        ...


class SystemRandom(RandomSource):
    """The operating system's random source."""

    @override
    def random_bytes(self, length: int) -> bytes:
        return get_random_bytes(length)


class SystemCustody(SystemRandom, Custody):
    """Custody by this module's functions, with the operating system's random source."""

    @override
    def seal_to(self, public_key: bytes, *, info: bytes, secret: bytes) -> bytes:
        return seal_to(public_key, info=info, secret=secret)

    @override
    def open_sealed(self, sealing_key: SealingKey, *, info: bytes, sealed: bytes) -> bytes:
        return open_sealed(sealing_key, info=info, sealed=sealed)


def seal_to(public_key: bytes, *, info: bytes, secret: bytes) -> bytes:
    """`secret` sealed to the holder of an X25519 sealing key, under `info`, as the module says.

    Raises:
        MalformedError: the public key has not 32 bytes or is of small order.
    """
    if len(public_key) != SEALING_PUBLIC_KEY_BYTES:
        raise MalformedError("sealing key", f"expected {SEALING_PUBLIC_KEY_BYTES} bytes")
    try:
        receiver = import_x25519_public_key(public_key)
        cipher = HPKE.new(receiver_key=receiver, aead_id=HPKE.AEAD.AES256_GCM, info=info)
    except ValueError:
        raise MalformedError("sealing key", "expected an X25519 public key") from None
    return _HEADER + cipher.enc + cipher.seal(secret)


def open_sealed(sealing_key: SealingKey, *, info: bytes, sealed: bytes) -> bytes:
    """The secret of `seal_to`'s bytes.

    Raises:
        MalformedError: the bytes have a wrong length, version or suite.
        OpeningError: they were sealed to another key or under another `info`, or were changed.
    """
    if len(sealed) < SEALED_EXTRA_BYTES:
        raise MalformedError(_FIELD, f"expected at least {SEALED_EXTRA_BYTES} bytes")
    check_version(sealed[0], field=_FIELD)
    check_suite(sealed[1], field=_FIELD)
    end = 2 + ENCAPSULATED_BYTES
    receiver = import_x25519_private_key(sealing_key.private_key)
    try:
        cipher = HPKE.new(
            receiver_key=receiver, enc=sealed[2:end], aead_id=HPKE.AEAD.AES256_GCM, info=info
        )
        return cipher.unseal(sealed[end:])
    except ValueError:
        reason = "does not open: sealed to another member, for another place, or changed since"
        raise OpeningError(f"{_FIELD}: {reason}") from None


@dataclass(frozen=True, slots=True, kw_only=True)
class KeyShare:
    """One trustee's share of a split key: its number from 1, and a share of each half."""

    number: int
    first_half: bytes = field(repr=False)
    second_half: bytes = field(repr=False)


def split_key(key: bytes, *, threshold: int, trustees: int) -> tuple[KeyShare, ...]:
    """Shares of a 32-byte key: `threshold` of 3 to 9 give it back, and fewer tell nothing.

    Raises:
        MalformedError: the key has another length, or the numbers are out of bounds.
    """
    check_key(key, field="split key")
    if not TRUSTEES_MIN <= trustees <= TRUSTEES_MAX:
        raise MalformedError("trustees", f"expected {TRUSTEES_MIN} to {TRUSTEES_MAX}")
    if not THRESHOLD_MIN <= threshold <= trustees:
        raise MalformedError("threshold", f"expected {THRESHOLD_MIN} to the number of trustees")
    first = Shamir.split(threshold, trustees, key[:_HALF_BYTES])
    second = Shamir.split(threshold, trustees, key[_HALF_BYTES:])
    return tuple(
        KeyShare(number=number, first_half=first_half, second_half=second_half)
        for (number, first_half), (_, second_half) in zip(first, second, strict=True)
    )


def combine_key(shares: Sequence[KeyShare], *, expected: KeyId) -> bytes:
    """The key whose shares these are, checked against its key id.

    Too few or altered shares give another key, which the check finds.

    Raises:
        MalformedError: the shares are too many, repeated or no shares.
        OpeningError: they do not give the key that `expected` names.
    """
    numbers = {share.number for share in shares}
    lengths = {len(half) for share in shares for half in (share.first_half, share.second_half)}
    if not THRESHOLD_MIN <= len(shares) <= TRUSTEES_MAX or len(numbers) != len(shares):
        raise MalformedError("shares", f"expected {THRESHOLD_MIN} to {TRUSTEES_MAX} different ones")
    if lengths != {_HALF_BYTES} or not all(1 <= number <= TRUSTEES_MAX for number in numbers):
        raise MalformedError("shares", f"expected halves of {_HALF_BYTES} bytes, numbered from 1")
    key = Shamir.combine([(share.number, share.first_half) for share in shares]) + Shamir.combine(
        [(share.number, share.second_half) for share in shares]
    )
    check_key_id(key, expected)
    return key
