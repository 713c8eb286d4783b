"""Encryption of rows at rest, and the blinded names in row keys, both under one storage key.

Bytes on disk for ever:

    group key    = HMAC-SHA256(HKDF-SHA256(storage key, info = LABEL_ROW), group)
    sealed row   = version u8 (1) || suite u8 (1) || group 12 || number u32
                   || AES-256-GCM ciphertext || tag 16, under the group key, with the nonce
                   zeros 8 || number u32, and AAD = LABEL_ROW || prefix || key
    blind(value) = HMAC-SHA256(HKDF-SHA256(storage key, info = LABEL_BLIND), value)[:16]
    check        = HKDF-SHA256(storage key, info = LABEL_CHECK)[:16]

A group is random and lives no longer than the process that drew it; its rows are numbered, so no
nonce comes twice under one key (NIST SP 800-38D 8.2.1), however often rows are written and whatever
a crash took. With prefix and key in the AAD a value moved to another row does not open. A key for
each group instead of each row saves most of what sealing a small row costs (ADR 21).
"""

import hmac
import threading
from collections.abc import Callable
from functools import lru_cache
from hashlib import sha256
from itertools import count
from typing import Final

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from caretree.crypto.aead import TAG_BYTES
from caretree.crypto.derive import hkdf
from caretree.crypto.framing import U32_MAX, label
from caretree.crypto.random_source import RandomSource
from caretree.crypto.suite import (
    FORMAT_VERSION,
    KEY_BYTES,
    SUITE_1,
    check_key,
    check_suite,
    check_version,
)
from caretree.model.errors import MalformedError
from caretree.storage.errors import StorageError
from caretree.storage.keys import Table

LABEL_ROW: Final = label("storage-row")
LABEL_BLIND: Final = label("storage-blind")
LABEL_CHECK: Final = label("storage-check")

STORAGE_KEY_BYTES: Final = KEY_BYTES
BLIND_BYTES: Final = 16
GROUP_BYTES: Final = 12
GROUP_ROWS_MAX: Final = U32_MAX + 1
GROUP_KEYS_MAX: Final = 64  # kept for reading: one for each of the last starts whose rows are read

_FORMAT: Final = bytes((FORMAT_VERSION, SUITE_1))
_NUMBER_BYTES: Final = 4
_GROUP_END: Final = len(_FORMAT) + GROUP_BYTES
_HEADER_BYTES: Final = _GROUP_END + _NUMBER_BYTES
_NONCE_ZEROS: Final = bytes(8)
_HMAC_BLOCK_BYTES: Final = 64


class Blinder:
    """Names for row keys that say nothing to who does not hold the storage key."""

    __slots__ = ("_inner", "_outer")

    def __init__(self, storage_key: bytes) -> None:
        # HMAC's two padded keys (RFC 2104) made once: with them a name costs two plain hashes,
        # half of what the library's HMAC takes to set up its key again for each.
        padded = _derive(storage_key, LABEL_BLIND).ljust(_HMAC_BLOCK_BYTES, b"\x00")
        self._inner = bytes(byte ^ 0x36 for byte in padded)
        self._outer = bytes(byte ^ 0x5C for byte in padded)

    def blind(self, value: bytes) -> bytes:
        """The 16 bytes that stand for `value`, the same ones each time."""
        inner = sha256(self._inner + value).digest()
        return sha256(self._outer + inner).digest()[:BLIND_BYTES]


class _Group:
    """Rows sealed under one key; `next_number` gives each its own."""

    __slots__ = ("cipher", "header", "next_number")

    def __init__(self, group: bytes, cipher: AESGCM) -> None:
        self.header = _FORMAT + group
        self.cipher = cipher
        # One step of a counter is atomic, so that two threads never get the same number.
        self.next_number: Callable[[], int] = count().__next__


class RowCipher:
    """Seals and opens the rows of encrypted tables, from any thread."""

    __slots__ = (
        "_blinder",
        "_check",
        "_cipher_of",
        "_group",
        "_group_rows_max",
        "_random",
        "_renewal",
        "_row_key",
    )

    def __init__(
        self, storage_key: bytes, *, random: RandomSource, group_rows_max: int = GROUP_ROWS_MAX
    ) -> None:
        assert 0 < group_rows_max <= GROUP_ROWS_MAX
        self._row_key = _derive(storage_key, LABEL_ROW)
        self._check = _derive(storage_key, LABEL_CHECK)[:BLIND_BYTES]
        self._blinder = Blinder(storage_key)
        self._random = random
        self._group_rows_max = group_rows_max
        self._cipher_of = lru_cache(maxsize=GROUP_KEYS_MAX)(self._derived_cipher)
        self._group: _Group | None = None  # drawn with the first row: who only reads needs none
        self._renewal = threading.Lock()

    @property
    def check(self) -> bytes:
        """16 bytes by which a database recognises its storage key, and nobody learns it."""
        return self._check

    def blind(self, value: bytes) -> bytes:
        """See `Blinder.blind`."""
        return self._blinder.blind(value)

    def seal(self, table: Table, key: bytes, value: bytes) -> bytes:
        """The bytes to store for `value` in this row, and in no other."""
        group = self._group or self._renew(None)
        number = group.next_number()
        while number >= self._group_rows_max:
            group = self._renew(group)
            number = group.next_number()
        numbered = number.to_bytes(_NUMBER_BYTES, "big")
        aad = LABEL_ROW + table.prefix + key
        return group.header + numbered + group.cipher.encrypt(_NONCE_ZEROS + numbered, value, aad)

    def open(self, table: Table, key: bytes, sealed: bytes) -> bytes:
        """The value that was sealed for this row.

        Raises:
            StorageError: it was not sealed for this row under this key, or is not as it was
            written.
        """
        if sealed[:2] != _FORMAT or len(sealed) < _HEADER_BYTES + TAG_BYTES:
            raise _error(table, _misformed(sealed))
        cipher = self._cipher_of(sealed[len(_FORMAT) : _GROUP_END])
        nonce = _NONCE_ZEROS + sealed[_GROUP_END:_HEADER_BYTES]
        try:
            return cipher.decrypt(nonce, sealed[_HEADER_BYTES:], LABEL_ROW + table.prefix + key)
        except InvalidTag:
            raise _error(
                table,
                "row: does not open: sealed under another key, for another place, or changed since",
            ) from None

    def _renew(self, used_up: _Group | None) -> _Group:
        """A group with numbers left, the same one for all threads that found `used_up`."""
        with self._renewal:
            if self._group is None or self._group is used_up:
                name = self._random.random_bytes(GROUP_BYTES)
                self._group = _Group(name, self._derived_cipher(name))
            return self._group

    def _derived_cipher(self, group: bytes) -> AESGCM:
        return AESGCM(hmac.digest(self._row_key, group, "sha256"))


def _misformed(sealed: bytes) -> str:
    """What is wrong with a row that begins as none does or is too short."""
    try:
        if len(sealed) >= _HEADER_BYTES + TAG_BYTES:
            check_version(sealed[0], field="row")
            check_suite(sealed[1], field="row")
    except MalformedError as error:
        return error.message
    return f"row: expected at least {_HEADER_BYTES + TAG_BYTES} bytes"


def _error(table: Table, reason: str) -> StorageError:
    return StorageError(operation="decryption", subject=f"table {table.name}", reason=reason)


def _derive(storage_key: bytes, purpose: bytes) -> bytes:
    return hkdf(check_key(storage_key, field="storage key"), info=purpose)
