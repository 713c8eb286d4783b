"""A signature check that remembers what it found good.

Many receipts share one checkpoint. A leader checks a batch before it orders it, and again when the
block is applied, as every peer does. Nothing can have changed between two checks of the same key,
message and signature.
"""

from collections import OrderedDict
from collections.abc import Callable
from hashlib import sha256
from typing import Final

from caretree.crypto.ed25519 import SigningKey, verify

# As many as a block can hold batches.
REMEMBERED_SIGNATURES_MAX: Final = 4096


class RememberingCheck:
    """Checks as `ed25519.verify` does; the last good signatures are not computed again.

    What is remembered is key, signature and the message's digest, for the message of a batch holds
    every leaf of it; and only what was good. May be
    used by several threads: each step on the table is a single one of the interpreter's, and what
    two threads find out at once they find out alike.
    """

    __slots__ = ("_good",)

    def __init__(self) -> None:
        self._good: OrderedDict[tuple[bytes, bytes, bytes], None] = OrderedDict()

    def __call__(self, public_key: bytes, message: bytes, signature: bytes, /) -> None:
        """Return when the signature is good.

        Raises:
            VerificationError: it is not.
        """
        key = (public_key, sha256(message).digest(), signature)
        if key in self._good:
            return
        verify(public_key, message, signature)
        self._keep(key)

    def remember(self, public_key: bytes, message: bytes, signature: bytes, /) -> None:
        """Take a signature as good that this process has just made itself."""
        self._keep((public_key, sha256(message).digest(), signature))

    def signing_with(self, key: SigningKey) -> Callable[[bytes], bytes]:
        """Signs as the key does, and remembers each signature."""

        def sign(message: bytes) -> bytes:
            signature = key.sign(message)
            self.remember(key.public_key, message, signature)
            return signature

        return sign

    def _keep(self, key: tuple[bytes, bytes, bytes]) -> None:
        self._good[key] = None
        if len(self._good) > REMEMBERED_SIGNATURES_MAX:
            self._good.popitem(last=False)
