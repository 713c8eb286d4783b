"""HMAC-SHA256 under a key that is used again and again.

    HMAC(key, message) = SHA-256(key xor opad || SHA-256(key xor ipad || message))   (RFC 2104 2)

The two blocks that the key fills are hashed once, and each message goes on from copies (RFC 2104 4
proposes it). That takes 0.6 us for a short message where `hmac.digest` takes 1.3, some four times a
record.
"""

import hashlib
import hmac
from typing import Final

from caretree.crypto.suite import KEY_BYTES, check_key

_BLOCK_BYTES: Final = 64  # SHA-256's
_INNER: Final = bytes(byte ^ 0x36 for byte in range(256))
_OUTER: Final = bytes(byte ^ 0x5C for byte in range(256))


class KeyedHash:
    """One key's hash; nothing shows the key."""

    __slots__ = ("_inner", "_outer")

    def __init__(self, key: bytes, *, field: str) -> None:
        """The hash under a 32-byte key.

        Raises:
            MalformedError: the key has another length; names `field`.
        """
        assert KEY_BYTES <= _BLOCK_BYTES, "a longer key would be hashed first (RFC 2104 2)"
        block = check_key(key, field=field).ljust(_BLOCK_BYTES, b"\0")
        self._inner = hashlib.sha256(block.translate(_INNER))
        self._outer = hashlib.sha256(block.translate(_OUTER))

    def digest(self, message: bytes) -> bytes:
        """HMAC-SHA256 of the message, 32 bytes."""
        inner, outer = self._inner.copy(), self._outer.copy()
        inner.update(message)
        outer.update(inner.digest())
        return outer.digest()


# A key as it is, or as the hash under it where it is used for every record.
HashKey = bytes | KeyedHash


def keyed_digest(key: HashKey, message: bytes) -> bytes:
    """HMAC-SHA256 of the message, 32 bytes."""
    if isinstance(key, KeyedHash):
        return key.digest(message)
    return hmac.digest(key, message, "sha256")
