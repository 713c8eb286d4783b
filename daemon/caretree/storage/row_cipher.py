"""Encryption of rows at rest, and the blinded names in row keys, both under one storage key.

Bytes on disk for ever:

    row key      = HMAC-SHA256(HKDF-SHA256(storage key, info = LABEL_ROW), prefix || key)
    sealed row   = the envelope of crypto.aead under the row key, AAD = LABEL_ROW || prefix || key
    blind(value) = HMAC-SHA256(HKDF-SHA256(storage key, info = LABEL_BLIND), value)[:16]
    check        = HKDF-SHA256(storage key, info = LABEL_CHECK)[:16]

A key of its own for each row keeps random nonces far from their limit (NIST SP 800-38D 8.3),
however often a row is written; with prefix and key in the AAD a value moved to another row does not
open.
"""

import hmac
from typing import Final

from caretree.crypto.aead import NONCE_BYTES, open_envelope, seal_envelope
from caretree.crypto.derive import hkdf
from caretree.crypto.framing import label
from caretree.crypto.random_source import RandomSource
from caretree.crypto.suite import KEY_BYTES, check_key
from caretree.model.errors import RejectedError
from caretree.storage.errors import StorageError
from caretree.storage.keys import Table

LABEL_ROW: Final = label("storage-row")
LABEL_BLIND: Final = label("storage-blind")
LABEL_CHECK: Final = label("storage-check")

STORAGE_KEY_BYTES: Final = KEY_BYTES
BLIND_BYTES: Final = 16


class Blinder:
    """Names for row keys that say nothing to who does not hold the storage key."""

    __slots__ = ("_key",)

    def __init__(self, storage_key: bytes) -> None:
        self._key = _derive(storage_key, LABEL_BLIND)

    def blind(self, value: bytes) -> bytes:
        """The 16 bytes that stand for `value`, the same ones each time."""
        return hmac.digest(self._key, value, "sha256")[:BLIND_BYTES]


class RowCipher:
    """Seals and opens the rows of encrypted tables, from any thread."""

    __slots__ = ("_blinder", "_check", "_random", "_row_key")

    def __init__(self, storage_key: bytes, *, random: RandomSource) -> None:
        self._row_key = _derive(storage_key, LABEL_ROW)
        self._check = _derive(storage_key, LABEL_CHECK)[:BLIND_BYTES]
        self._blinder = Blinder(storage_key)
        self._random = random

    @property
    def check(self) -> bytes:
        """16 bytes by which a database recognises its storage key, and nobody learns it."""
        return self._check

    def blind(self, value: bytes) -> bytes:
        """See `Blinder.blind`."""
        return self._blinder.blind(value)

    def seal(self, table: Table, key: bytes, value: bytes) -> bytes:
        """The bytes to store for `value` in this row, and in no other."""
        row = table.prefix + key
        return seal_envelope(
            key=self._key_of(row),
            nonce=self._random.random_bytes(NONCE_BYTES),
            aad=LABEL_ROW + row,
            plaintext=value,
        )

    def open(self, table: Table, key: bytes, sealed: bytes) -> bytes:
        """The value that was sealed for this row.

        Raises:
            StorageError: it was not sealed for this row under this key, or is not as it was
            written.
        """
        row = table.prefix + key
        try:
            return open_envelope(
                key=self._key_of(row), aad=LABEL_ROW + row, envelope=sealed, field="row"
            )
        except RejectedError as error:
            raise StorageError(
                operation="decryption", subject=f"table {table.name}", reason=error.message
            ) from None

    def _key_of(self, row: bytes) -> bytes:
        return hmac.digest(self._row_key, row, "sha256")


def _derive(storage_key: bytes, purpose: bytes) -> bytes:
    return hkdf(check_key(storage_key, field="storage key"), info=purpose)
