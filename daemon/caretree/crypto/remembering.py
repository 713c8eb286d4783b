"""A signature check that remembers what it found good: many receipts share one checkpoint."""

from collections import OrderedDict
from typing import Final

from caretree.crypto.ed25519 import verify

REMEMBERED_SIGNATURES_MAX: Final = 256


class RememberingCheck:
    """Checks as `ed25519.verify` does; the last good signatures are not computed again."""

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
        self._good[key] = None
        if len(self._good) > REMEMBERED_SIGNATURES_MAX:
            self._good.popitem(last=False)
