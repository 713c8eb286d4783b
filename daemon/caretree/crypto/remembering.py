"""A signature check that remembers what it found good: many receipts share one checkpoint."""

from collections import OrderedDict
from typing import Final

from caretree.crypto.ed25519 import verify

REMEMBERED_SIGNATURES_MAX: Final = 256


class RememberingCheck:
    """Checks as `ed25519.verify` does; the last good signatures are not computed again.

    What is remembered is key, message and signature, byte for byte, and only what was good. May be
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
        key = (public_key, message, signature)
        if key in self._good:
            return
        verify(public_key, message, signature)
        self._keep(key)

    def remember(self, public_key: bytes, message: bytes, signature: bytes, /) -> None:
        """Take a signature as good that this process has just made itself."""
        self._keep((public_key, message, signature))

    def _keep(self, key: tuple[bytes, bytes, bytes]) -> None:
        self._good[key] = None
        if len(self._good) > REMEMBERED_SIGNATURES_MAX:
            self._good.popitem(last=False)
