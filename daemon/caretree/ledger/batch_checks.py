"""Batch signatures, checked once where a peer meets a batch twice.

A leader checks a batch before it orders it, and again when the block is applied, as every peer
does; the author has just signed its own. Nothing can have changed between two checks of the same
key, message and signature.
"""

from collections import OrderedDict
from hashlib import sha256
from typing import Final

from caretree.crypto.ed25519 import verify

BATCHES_REMEMBERED_MAX: Final = 4096  # as many as a block can hold


class BatchCheck:
    """Checks as `ed25519.verify` does; the last good batches are not computed again.

    A message is remembered by its digest, for it holds every leaf of its batch. May be asked from
    any thread: each step on the table is a single one of the interpreter's.
    """

    __slots__ = ("_good",)

    def __init__(self) -> None:
        self._good: OrderedDict[tuple[bytes, bytes, bytes], None] = OrderedDict()

    def __len__(self) -> int:
        return len(self._good)

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

    def _keep(self, key: tuple[bytes, bytes, bytes]) -> None:
        self._good[key] = None
        if len(self._good) > BATCHES_REMEMBERED_MAX:
            self._good.popitem(last=False)
