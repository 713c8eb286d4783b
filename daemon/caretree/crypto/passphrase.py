"""A key out of a passphrase: scrypt (RFC 7914), made slow on purpose.

The cost stands with what is locked, as 19 bytes: log2 N u8 || r u8 || p u8 || salt 16.
"""

import unicodedata
from dataclasses import dataclass
from typing import Final, Self

from Crypto.Protocol.KDF import scrypt

from caretree.crypto.suite import KEY_BYTES
from caretree.model.errors import MalformedError

SALT_BYTES: Final = 16
COST_BYTES: Final = 3 + SALT_BYTES
LOG2_N: Final = 17  # with r = 8: 128 MiB and about half a second
LOG2_N_MAX: Final = 20  # 1 GiB: more in a file is an attack on who opens it
BLOCK_SIZE: Final = 8  # r
PARALLEL: Final = 1  # p


@dataclass(frozen=True, slots=True, kw_only=True)
class Cost:
    """How dearly a passphrase is turned into a key, and with what salt."""

    log2_n: int
    salt: bytes

    def encode(self) -> bytes:
        """The 19 bytes that `decode` reads."""
        return bytes((self.log2_n, BLOCK_SIZE, PARALLEL)) + self.salt

    @classmethod
    def decode(cls, encoded: bytes, *, field: str) -> Self:
        """The cost in 19 bytes, within the bounds of this Caretree.

        Raises:
            MalformedError: it is cut, below LOG2_N, above LOG2_N_MAX, or of another r or p.
        """
        if len(encoded) != COST_BYTES:
            raise MalformedError(field, f"expected {COST_BYTES} bytes of scrypt cost")
        log2_n, block_size, parallel = encoded[:3]
        if not LOG2_N <= log2_n <= LOG2_N_MAX or (block_size, parallel) != (BLOCK_SIZE, PARALLEL):
            expected = f"expected scrypt cost 2^{LOG2_N} to 2^{LOG2_N_MAX}, r = 8, p = 1"
            raise MalformedError(field, expected)
        return cls(log2_n=log2_n, salt=encoded[3:])


def stretch(passphrase: str, cost: Cost) -> bytes:
    """The 32-byte key of a passphrase (in NFKC, UTF-8) at a cost.

    Raises:
        MalformedError: the passphrase is empty or no text.
    """
    try:
        secret = unicodedata.normalize("NFKC", passphrase).encode()
    except UnicodeEncodeError:
        raise MalformedError("passphrase", "expected text that has a UTF-8 form") from None
    if not secret:
        raise MalformedError("passphrase", "expected at least one character")
    return scrypt(secret, cost.salt, KEY_BYTES, 1 << cost.log2_n, BLOCK_SIZE, PARALLEL)
