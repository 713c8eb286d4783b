"""The envelope: bytes sealed under a symmetric key, in one form for content and for wrapped keys.

    version u8 (1) || suite u8 (1) || nonce 12 || AES-256-GCM ciphertext || tag 16

Version and suite are not part of the additional data: another value is refused, and every
additional data begins with a label of v1.
"""

from typing import Final

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from caretree.crypto.suite import (
    FORMAT_VERSION,
    KEY_BYTES,
    SUITE_1,
    check_key,
    check_suite,
    check_version,
)
from caretree.model.errors import MalformedError, VerificationError

NONCE_BYTES: Final = 12
TAG_BYTES: Final = 16
ENVELOPE_EXTRA_BYTES: Final = 2 + NONCE_BYTES + TAG_BYTES

_HEADER: Final = bytes((FORMAT_VERSION, SUITE_1))


class OpeningError(VerificationError):
    """Sealed bytes do not open: another key, other additional data, or changed bytes."""


def seal_envelope(*, key: bytes, nonce: bytes, aad: bytes, plaintext: bytes) -> bytes:
    """The envelope of `plaintext` under `key`, bound to `aad`.

    The nonce must be fresh random bytes: two envelopes under one key and nonce betray both
    plaintexts and the authentication key. A key that seals more than once seals at most 2^32
    envelopes.

    Raises:
        MalformedError: the key or the nonce has a wrong length.
    """
    if len(key) != KEY_BYTES or len(nonce) != NONCE_BYTES:
        _refuse_lengths(key, nonce)
    return _HEADER + nonce + AESGCM(key).encrypt(nonce, plaintext, aad)


def open_envelope(*, key: bytes, aad: bytes, envelope: bytes, field: str) -> bytes:
    """The plaintext of an envelope, `field` naming it in errors.

    Raises:
        MalformedError: it is too short, newer than this Caretree, or of another suite.
        OpeningError: it was not sealed like this under this key and `aad`.
    """
    if len(envelope) < ENVELOPE_EXTRA_BYTES:
        raise MalformedError(field, f"expected at least {ENVELOPE_EXTRA_BYTES} bytes")
    check_version(envelope[0], field=field)
    check_suite(envelope[1], field=field)
    nonce, ciphertext = envelope[2 : 2 + NONCE_BYTES], envelope[2 + NONCE_BYTES :]
    return aes_gcm_open(key=key, nonce=nonce, aad=aad, ciphertext=ciphertext, field=field)


def aes_gcm_seal(*, key: bytes, nonce: bytes, aad: bytes, plaintext: bytes) -> bytes:
    """AES-256-GCM ciphertext || tag 16, for formats that carry version, suite and nonce themselves.

    Raises:
        MalformedError: the key or the nonce has a wrong length.
    """
    _refuse_lengths(key, nonce)
    return AESGCM(key).encrypt(nonce, plaintext, aad)


def aes_gcm_open(*, key: bytes, nonce: bytes, aad: bytes, ciphertext: bytes, field: str) -> bytes:
    """The plaintext of `aes_gcm_seal`'s bytes.

    Raises:
        OpeningError: they were not sealed like this.
        MalformedError: the key has a wrong length.
    """
    cipher = AESGCM(check_key(key, field="key"))
    try:
        return cipher.decrypt(nonce, ciphertext, aad)
    except InvalidTag:
        reason = "does not open: sealed under another key, for another place, or changed since"
        raise OpeningError(f"{field}: {reason}") from None


def _refuse_lengths(key: bytes, nonce: bytes) -> None:
    """Return when both have their lengths."""
    check_key(key, field="key")
    if len(nonce) != NONCE_BYTES:
        raise MalformedError("nonce", f"expected {NONCE_BYTES} bytes, found {len(nonce)}")
